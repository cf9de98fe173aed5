//! Manifests: what an image is made of, and what an index leads to.
//!
//! <https://github.com/opencontainers/image-spec/blob/v1.1.0/manifest.md>

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Repository;
use super::attempt::Question;
use super::refusal::{Need, code, no_repository, unexpected, words};
use crate::failure::Failure;
use crate::names::Digest;

/// The kinds of content that we write, and those that we understand.
#[derive(Clone, Copy, Debug)]
pub struct MediaType;

impl MediaType {
    /// An image, by OCI.
    pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// Several images, by OCI.
    pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// An image, by Docker.
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    /// Several images, by Docker.
    pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    /// The configuration of an image.
    pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    /// A compressed layer.
    pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
    /// No content at all.
    pub const EMPTY: &str = "application/vnd.oci.empty.v1+json";

    /// All that a manifest may be: what is not in the list, a registry may convert.
    const MANIFESTS: [&str; 4] = [Self::INDEX, Self::MANIFEST, Self::DOCKER_LIST, Self::DOCKER_MANIFEST];
}

/// What points to content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// The kind of content.
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// Its bytes.
    pub size: u64,
    /// What else is said of it.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

impl Descriptor {
    /// What points to these bytes.
    pub fn of(media_type: &str, bytes: &[u8]) -> Self {
        let (digest, size) = (Digest::of_bytes(bytes), bytes.len() as u64);
        Self { media_type: media_type.to_owned(), digest, size, more: Map::new() }
    }
}

/// A manifest, byte for byte: its digest is that of its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Its kind.
    pub media_type: String,
    /// Its bytes.
    pub bytes: Bytes,
}

/// What a manifest may lead to.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Parts {
    pub(crate) media_type: Option<String>,
    pub(crate) config: Option<Descriptor>,
    pub(crate) layers: Vec<Descriptor>,
    pub(crate) manifests: Vec<Descriptor>,
}

impl Manifest {
    /// Whether it is that of the image of this id: the digest of its configuration.
    pub fn is_of(&self, id: &Digest) -> bool {
        let config = self.parts().ok().and_then(|parts| parts.config);
        config.is_some_and(|config| config.digest == *id)
    }

    /// Its digest.
    pub fn digest(&self) -> Digest {
        Digest::of_bytes(&self.bytes)
    }

    /// What points to it.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::of(&self.media_type, &self.bytes)
    }

    pub(crate) fn parts(&self) -> serde_json::Result<Parts> {
        serde_json::from_slice(&self.bytes)
    }

    /// Whether it is an index: a list of manifests.
    pub(crate) fn is_index(&self) -> bool {
        [MediaType::INDEX, MediaType::DOCKER_LIST].contains(&self.media_type.as_str())
    }
}

impl Repository<'_> {
    /// The manifest at a tag or a digest; `None` if there is none.
    pub async fn manifest(&self, reference: &str) -> Result<Option<Manifest>, Failure> {
        let doing = format!("read the manifest of `{}` at {reference}", self.name);
        let question = || {
            let request = self.request(Method::GET, &format!("manifests/{reference}"));
            let request = request.header(ACCEPT, MediaType::MANIFESTS.join(", ")).body(Bytes::new());
            Ok(Question { request: request.map_err(Failure::bug)?, need: Need::ReadManifest })
        };
        let answer = self.ask(&doing, question).await?;
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(None),
            _ => return Err(unexpected(&answer).context(doing)),
        }
        let media_type = header(answer.headers(), "content-type").unwrap_or(MediaType::MANIFEST).to_owned();
        let manifest = Manifest { media_type, bytes: answer.body().clone() };
        let found = manifest.digest();
        let promised = [header(answer.headers(), "docker-content-digest"), Some(reference)];
        let mut promised = promised.into_iter().flatten().filter(|promised| promised.starts_with("sha256:"));
        match promised.find(|promised| *promised != found.as_str()) {
            Some(promised) => Err(Failure::remote(format!("the registry sent {found} for {promised}")).context(doing)),
            None => Ok(Some(manifest)),
        }
    }

    /// Puts a manifest at its own digest or at a tag, and makes sure that the registry means the same one. Whether the registry
    /// keeps it in the list of what refers to its subject.
    pub async fn put_manifest(&self, manifest: &Manifest, reference: &str) -> Result<bool, Failure> {
        let doing = format!("put the manifest of `{}` at {reference}", self.name);
        let question = || {
            let request = self.request(Method::PUT, &format!("manifests/{reference}"));
            let request = request.header(CONTENT_TYPE, &manifest.media_type).body(manifest.bytes.clone());
            Ok(Question { request: request.map_err(Failure::bug)?, need: Need::PutManifest })
        };
        let answer = self.ask(&doing, question).await?;
        match answer.status() {
            StatusCode::CREATED | StatusCode::OK | StatusCode::ACCEPTED => {}
            StatusCode::NOT_FOUND if code(&answer).as_deref() == Some("NAME_UNKNOWN") => {
                return Err(no_repository(&answer, &self.name).context(doing));
            }
            StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST if is_incomplete(code(&answer).as_deref()) => {
                let words = words(&answer).unwrap_or_default();
                return Err(Failure::remote(format!("the registry misses a part of it: {words}"))
                    .hint("run again: what is missing is sent then; if it stays missing, the registry lost it")
                    .context(doing));
            }
            _ => return Err(unexpected(&answer).context(doing)),
        }
        let digest = manifest.digest();
        match header(answer.headers(), "docker-content-digest") {
            Some(stored) if stored != digest.as_str() => {
                Err(Failure::remote(format!("the registry stored {stored}, and {digest} was sent")).context(doing))
            }
            _ => Ok(answer.headers().contains_key("oci-subject")),
        }
    }
}

/// Whether the registry does not have all that a manifest leads to.
fn is_incomplete(code: Option<&str>) -> bool {
    matches!(code, Some("MANIFEST_BLOB_UNKNOWN" | "BLOB_UNKNOWN" | "MANIFEST_UNKNOWN"))
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
