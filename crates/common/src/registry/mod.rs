//! A registry of images, by the OCI distribution API: Amazon ECR, with its own ways, or any other.
//!
//! <https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md>
//!
//! # Invariants
//! - A blob goes up by `POST` and one `PUT` with its length and its digest. That is the way that ECR keeps to the
//!   specification on: its answers to `PATCH` are 201 for 202, with a `Range` that stays at the first part
//!   (<https://github.com/aws/containers-roadmap/issues/2831>).
//! - What failed on the way begins again in a new session, a bounded number of times, and says each time why.
//! - What the registry says that it has is what was sent: digests are compared, never assumed.

mod attempt;
mod blob;
mod login;
mod manifest;
mod referrer;
mod refusal;

use std::sync::Arc;

use http::request::Builder;
use http::{Method, Request};
use tokio::sync::{Mutex, Semaphore};

pub use blob::Arrived;
pub use login::Keys;
pub use manifest::{Descriptor, Manifest, MediaType};
pub use referrer::Artifact;

use crate::edges::Edges;
use crate::names::RepositoryName;
use login::Tokens;

/// How many blobs go up side by side. More than a handful made ECR reset connections
/// (<https://github.com/dotnet/sdk-container-builds/issues/279>).
const UPLOADS: usize = 5;

/// A registry.
pub struct Registry<'a> {
    edges: &'a Edges,
    host: String,
    keys: Keys,
    tokens: Mutex<Tokens>,
    uploads: Semaphore,
}

/// A repository of a registry.
#[derive(Clone)]
pub struct Repository<'a> {
    registry: Arc<Registry<'a>>,
    /// Its name, without the registry's host.
    pub name: RepositoryName,
}

impl<'a> Registry<'a> {
    /// The registry at a host, `name` or `name:port`. One on loopback is spoken to without TLS, as the Docker engine does.
    pub fn new(edges: &'a Edges, host: impl Into<String>, keys: Keys) -> Arc<Self> {
        let (host, tokens, uploads) = (host.into(), Mutex::default(), Semaphore::new(UPLOADS));
        Arc::new(Self { edges, host, keys, tokens, uploads })
    }

    /// A repository of it, which need not be there.
    pub fn repository(self: &Arc<Self>, name: RepositoryName) -> Repository<'a> {
        Repository { registry: self.clone(), name }
    }

    fn url(&self, path: &str) -> String {
        let scheme = if is_loopback(&self.host) { "http" } else { "https" };
        format!("{scheme}://{}{path}", self.host)
    }
}

impl Repository<'_> {
    /// `host/name`, as references begin.
    pub fn address(&self) -> String {
        format!("{}/{}", self.registry.host, self.name)
    }

    fn request(&self, method: Method, path: &str) -> Builder {
        Request::builder().method(method).uri(self.registry.url(&format!("/v2/{}/{path}", self.name)))
    }
}

fn is_loopback(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    name == "localhost"
        || name == "[::1]"
        || name.parse().is_ok_and(|address: std::net::Ipv4Addr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_spoken_to_without_tls() {
        for host in ["localhost", "localhost:5000", "127.0.0.1:5000", "127.1.2.3", "[::1]:5000"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["111122223333.dkr.ecr.eu-west-1.amazonaws.com", "registry:5000", "10.0.0.1:5000", "localhost.org"]
        {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
