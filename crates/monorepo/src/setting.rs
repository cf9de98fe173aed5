//! A part of a configuration file that reaches what is built, apart from the rest of the file, which does not.

use std::sync::Arc;

use serde_json::Value;

use crate::digest::Digest;

/// A part of a configuration file. Cheap to clone: most reach many projects.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Setting {
    /// The file.
    pub file: Arc<str>,
    /// The part, as people write it: `compilerOptions.target`, `paths["@acme/db"]`, `namedInputs.production`; blank is all of it.
    pub part: Arc<str>,
    /// Its value.
    pub digest: Digest,
}

impl Setting {
    /// A part with its value.
    pub fn of(file: &Arc<str>, part: String, value: &Value) -> Self {
        Self { file: Arc::clone(file), part: part.into(), digest: Digest::of_value(value) }
    }

    /// What tells it from others.
    pub(crate) fn fields(&self) -> [&[u8]; 3] {
        [self.file.as_bytes(), self.part.as_bytes(), self.digest.as_ref()]
    }

    /// A whole file: one that cannot be read counts by its bytes.
    pub fn whole(file: &str, digest: Digest) -> Self {
        Self { file: file.into(), part: "".into(), digest }
    }
}
