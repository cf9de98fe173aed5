//! Where content is hashed: images are gigabytes, and what hashes them decides what a push costs.
//!
//! AWS-LC is linked for TLS already, and its assembly takes the fastest way that the processor has. On one without instructions
//! for SHA-256 it takes half of the time of portable code.

use aws_lc_rs::digest::{Context, SHA256};

use crate::names::Digest;

/// Hashes what comes in pieces.
#[derive(Clone)]
pub(crate) struct Hasher(Context);

impl Hasher {
    pub(crate) fn new() -> Self {
        Self(Context::new(&SHA256))
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all that came.
    pub(crate) fn finish(self) -> Digest {
        Digest::of_sha256(self.0.finish().as_ref())
    }
}

impl Digest {
    /// The digest of these bytes.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        let mut hasher = Hasher::new();
        hasher.update(bytes);
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_that_of_sha256_however_the_content_comes() {
        // The first example of FIPS 180-2, appendix B.
        let expected = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Digest::of_bytes(b"abc").as_str(), expected);
        let mut hasher = Hasher::new();
        b"abc".chunks(1).for_each(|piece| hasher.update(piece));
        assert_eq!(hasher.finish().as_str(), expected);
    }
}
