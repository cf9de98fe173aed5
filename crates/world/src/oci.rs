//! Container images as bytes: digests, layers, manifests.
//!
//! Media types are Docker's, because that is what the engine pushes and what ECR shows for it.
//! <https://distribution.github.io/distribution/spec/manifest-v2-2/>

use std::io::{self, Read, Write};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub(crate) const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub(crate) const INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
pub(crate) const CONFIG: &str = "application/vnd.docker.container.image.v1+json";
pub(crate) const LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

/// The digest by which content is addressed: `sha256:` and 64 hexadecimal digits.
pub(crate) fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold("sha256:".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

/// The hexadecimal part of the digest: a name that is the same in every run for what has none of its own.
pub(crate) fn hexadecimal(text: &str) -> String {
    digest(text.as_bytes()).split_off("sha256:".len())
}

pub(crate) fn gzip(bytes: &[u8]) -> io::Result<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes)?;
    encoder.finish().map(Bytes::from)
}

/// Content that may be compressed, as a build context may be.
pub(crate) fn gunzip(bytes: &[u8]) -> io::Result<Bytes> {
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return Ok(Bytes::copy_from_slice(bytes));
    }
    let mut plain = Vec::new();
    GzDecoder::new(bytes).read_to_end(&mut plain)?;
    Ok(plain.into())
}

/// The manifest of an image of one platform.
pub(crate) fn manifest(config: &[u8], layers: &[Bytes]) -> Bytes {
    let describe = |media_type: &str, bytes: &[u8]| json!({ "mediaType": media_type, "size": bytes.len(), "digest": digest(bytes) });
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": describe(CONFIG, config),
        "layers": layers.iter().map(|layer| describe(LAYER, layer)).collect::<Vec<_>>(),
    });
    Bytes::from(manifest.to_string())
}

/// The index of an image of several platforms: each as `linux/arm64`, with its manifest.
pub(crate) fn index(manifests: &[(&str, Bytes)]) -> Bytes {
    let describe = |(platform, manifest): &(&str, Bytes)| {
        let (os, architecture) = platform.split_once('/').unwrap_or(("linux", platform));
        json!({
            "mediaType": MANIFEST,
            "size": manifest.len(),
            "digest": digest(manifest),
            "platform": { "architecture": architecture, "os": os },
        })
    };
    let manifests: Vec<Value> = manifests.iter().map(describe).collect();
    Bytes::from(json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests }).to_string())
}

/// The digests of a manifest's blobs: its configuration and its layers.
pub(crate) fn blobs(manifest: &Value) -> Vec<&str> {
    let layers = manifest["layers"].as_array().into_iter().flatten();
    std::iter::once(&manifest["config"]).chain(layers).filter_map(|blob| blob["digest"].as_str()).collect()
}

/// The digests of an index's manifests, with the architecture of each.
pub(crate) fn children(index: &Value) -> Vec<(&str, &str)> {
    let manifests = index["manifests"].as_array().into_iter().flatten();
    manifests
        .filter_map(|child| {
            Some((child["digest"].as_str()?, child["platform"]["architecture"].as_str().unwrap_or_default()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_that_of_sha256() {
        assert_eq!(digest(b""), "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }

    #[test]
    fn what_was_compressed_comes_back_and_what_was_not_stays() {
        assert_eq!(gunzip(&gzip(b"layer").unwrap()).unwrap(), "layer");
        assert_eq!(gunzip(b"plain").unwrap(), "plain");
    }
}
