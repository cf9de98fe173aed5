//! A part of a configuration file that reaches what is built, apart from the rest of the file, which does not.

use crate::digest::Digest;

/// A part of a configuration file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Setting {
    /// The file.
    pub file: String,
    /// The part, as people write it: `compilerOptions.target`, `paths["@acme/db"]`, `namedInputs.production`; blank is all of it.
    pub part: String,
    /// Its value.
    pub digest: Digest,
}
