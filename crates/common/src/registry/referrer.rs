//! What is attached to an image: its bill of materials, its provenance. Each is a manifest with the image as its subject.
//!
//! <https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#pushing-manifests-with-subject>

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::Repository;
use super::attempt::Question;
use super::manifest::{Descriptor, Manifest, MediaType};
use super::refusal::Need;
use crate::extent::Extent;
use crate::failure::Failure;
use crate::names::Digest;

/// The content of an artifact that has no configuration (image specification, "Guidance for an empty descriptor").
const EMPTY: &[u8] = b"{}";

/// Something that is said of an image.
#[derive(Clone, Debug)]
pub struct Artifact {
    /// What it is: the type that tools look for.
    pub media_type: String,
    /// The document.
    pub content: Bytes,
    /// For people: the name of the file.
    pub title: String,
}

impl Artifact {
    /// The manifest that attaches it to an image. It holds no time, so that the same artifact attached again is the same
    /// manifest, and no second entry in the list.
    fn manifest(&self, subject: &Descriptor) -> Manifest {
        let Self { media_type, content, title } = self;
        let layer = Descriptor::of(media_type, content);
        let subject = Descriptor { more: serde_json::Map::new(), ..subject.clone() };
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MediaType::MANIFEST,
            "artifactType": media_type,
            "config": Descriptor::of(MediaType::EMPTY, EMPTY),
            "layers": [layer],
            "subject": subject,
            "annotations": { "org.opencontainers.image.title": title },
        });
        Manifest { media_type: MediaType::MANIFEST.to_owned(), bytes: manifest.to_string().into() }
    }
}

impl Repository<'_> {
    /// Attaches an artifact to an image that is there. Answers the digest of what was attached.
    pub async fn attach(&self, subject: &Descriptor, artifact: &Artifact) -> Result<Digest, Failure> {
        let manifest = artifact.manifest(subject);
        let digest = manifest.digest();
        let is_listed = match self.manifest(digest.as_str()).await? {
            // It may have been cut off before it was listed.
            Some(_) => false,
            None => {
                self.put_contents(artifact).await?;
                self.put_manifest(&manifest, digest.as_str()).await?
            }
        };
        if !is_listed && !self.lists_referrers(&subject.digest).await? {
            self.list_by_tag(&subject.digest, &manifest, artifact).await?;
        }
        Ok(digest)
    }

    async fn put_contents(&self, artifact: &Artifact) -> Result<(), Failure> {
        for content in [Bytes::from_static(EMPTY), artifact.content.clone()] {
            let blob = Digest::of_bytes(&content);
            if !self.has(&blob).await? {
                self.put_blob(&blob, &Extent::of_bytes(content, artifact.title.as_str()), None, &Arc::default())
                    .await?;
            }
        }
        Ok(())
    }

    /// Whether the registry keeps the list of what refers to an image.
    async fn lists_referrers(&self, subject: &Digest) -> Result<bool, Failure> {
        let doing = format!("list what refers to {} in `{}`", subject.short(), self.name);
        let question = || {
            let request = self.request(Method::GET, &format!("referrers/{subject}")).body(Bytes::new());
            Ok(Question { request: request.map_err(Failure::bug)?, need: Need::ListReferrers })
        };
        Ok(self.ask(&doing, question).await?.status() == StatusCode::OK)
    }

    /// Keeps the list in the registry's stead: an index at a tag that is made of the image's digest ("Referrers Tag Schema").
    async fn list_by_tag(&self, subject: &Digest, manifest: &Manifest, artifact: &Artifact) -> Result<(), Failure> {
        let tag = format!("sha256-{}", subject.hexadecimal());
        let known = self.manifest(&tag).await?;
        let mut entries = match known {
            Some(known) => entries(&known.bytes).ok_or_else(|| {
                Failure::remote(format!(
                    "`{}:{tag}` is no list of what refers to an image, and is left as it is",
                    self.name
                ))
                .hint("look who made this tag, remove it, and run again")
            })?,
            None => Vec::new(),
        };
        let digest = manifest.digest();
        if entries.iter().any(|entry| entry["digest"] == digest.as_str()) {
            return Ok(());
        }
        let mut entry = manifest.descriptor();
        entry.more.insert("artifactType".to_owned(), json!(artifact.media_type));
        entry.more.insert("annotations".to_owned(), json!({ "org.opencontainers.image.title": artifact.title }));
        entries.push(json!(entry));
        let index = json!({ "schemaVersion": 2, "mediaType": MediaType::INDEX, "manifests": entries });
        let index = Manifest { media_type: MediaType::INDEX.to_owned(), bytes: index.to_string().into() };
        let put = self.put_manifest(&index, &tag).await;
        put.map(drop).map_err(|failure| {
            failure.hint("this registry lists what is attached by a tag that has to move: exclude `sha256-*` from tag immutability")
        })
    }
}

/// What an index lists; `None` if it is none.
fn entries(index: &[u8]) -> Option<Vec<Value>> {
    let index: Value = serde_json::from_slice(index).ok()?;
    index["manifests"].as_array().cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_list_is_not_taken_for_an_empty_one() {
        assert_eq!(entries(br#"{ "manifests": [] }"#), Some(Vec::new()));
        assert_eq!(entries(br#"{ "layers": [] }"#), None);
        assert_eq!(entries(b"{"), None);
    }
}
