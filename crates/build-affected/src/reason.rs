//! Why a service is affected.

use std::fmt;

use common::names::{RepositoryName, ServiceKey};
use monorepo::compare::Difference;

/// Why a service is affected. Reads as a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// There is nothing to compare with.
    Unknown { why: String },
    /// The base has no such service.
    New,
    /// The registry has no image of the same contents.
    NotHeld { repository: RepositoryName },
    /// Something that its image is made of is another.
    Different(Difference),
    /// A service that its image is made from is affected.
    Service { key: ServiceKey },
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { why } => write!(formatter, "nothing to compare with: {why}"),
            Self::New => write!(formatter, "it is new"),
            Self::NotHeld { repository } => write!(formatter, "{repository} has no image of these contents"),
            Self::Different(difference) => write!(formatter, "{difference}"),
            Self::Service { key } => write!(formatter, "it is made from {key}, which is affected"),
        }
    }
}
