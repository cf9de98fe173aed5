//! Why a service is affected.

use std::fmt;

use common::names::ServiceKey;

/// Why a service is affected. Reads as a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// There is nothing to compare with.
    Unknown { why: String },
    /// The base has no such service.
    New,
    /// What the delivery file says of it changed.
    Settings { file: String },
    /// A file of the root changed that reaches everything.
    Everything { file: String },
    /// Its Dockerfile changed.
    Dockerfile { file: String },
    /// Files in its own folder changed.
    Own { files: Vec<String> },
    /// Files changed that its `paths` name.
    Extra { files: Vec<String> },
    /// Files changed of a project that it depends on.
    Project { files: Vec<String>, way: Vec<String> },
    /// A service changed that it depends on.
    Service { key: ServiceKey },
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { why } => write!(formatter, "nothing to compare with: {why}"),
            Self::New => write!(formatter, "it is new"),
            Self::Settings { file } => write!(formatter, "its table in {file} changed"),
            Self::Everything { file } => write!(formatter, "{file} changed, which may reach everything"),
            Self::Dockerfile { file } => write!(formatter, "{file} changed"),
            Self::Own { files } => write!(formatter, "{} changed", Files(files)),
            Self::Extra { files } => write!(formatter, "{} changed, which its `paths` name", Files(files)),
            Self::Project { files, way } => write!(formatter, "{} changed: {}", Files(files), way.join(" → ")),
            Self::Service { key } => write!(formatter, "it depends on {key}, which is affected"),
        }
    }
}

/// The first of several files, and how many more there are.
struct Files<'a>(&'a [String]);

impl fmt::Display for Files<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => write!(formatter, "nothing"),
            [file] => write!(formatter, "{file}"),
            [file, more @ ..] => write!(formatter, "{file} and {} more", more.len()),
        }
    }
}
