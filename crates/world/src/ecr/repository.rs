//! One repository: its settings, and its images by digest and by tag.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::scans::ScanSeed;
use crate::wire::Refusal;
use crate::{oci, wildcard};

/// A repository.
#[derive(Debug)]
pub(crate) struct Repository {
    pub(super) created_at: Timestamp,
    pub(super) mutability: String,
    /// Wildcard patterns of the tags that are excepted from `mutability`.
    pub(super) exclusions: Vec<String>,
    pub(super) scan_on_push: bool,
    pub(super) encryption: String,
    pub(super) kms_key: Option<String>,
    pub(super) lifecycle_policy: Option<String>,
    pub(super) manifests: BTreeMap<String, Manifest>,
    pub(super) tags: BTreeMap<String, String>,
    /// What the scans of its images show, stage by stage.
    pub(super) scans: Vec<ScanSeed>,
    /// What the signatures of its images show, by the time since the push.
    pub(super) signatures: Vec<(Duration, String)>,
    blobs: BTreeMap<String, Bytes>,
}

/// A manifest or an index, as it was pushed.
#[derive(Debug)]
pub(crate) struct Manifest {
    pub(crate) media_type: String,
    pub(crate) body: Bytes,
    pub(super) pushed_at: Timestamp,
    /// When its last scan was asked for.
    pub(super) scanned_at: Option<Timestamp>,
}

/// What a push of a manifest came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Pushed {
    New(String),
    /// The same manifest under the same tag was there before.
    Unchanged(String),
}

impl Manifest {
    pub(crate) fn parse(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
}

impl Repository {
    pub(super) fn created_at(moment: Timestamp) -> Self {
        Self {
            created_at: moment,
            mutability: "MUTABLE".to_owned(),
            exclusions: Vec::new(),
            scan_on_push: false,
            encryption: "AES256".to_owned(),
            kms_key: None,
            lifecycle_policy: None,
            manifests: BTreeMap::new(),
            tags: BTreeMap::new(),
            scans: Vec::new(),
            signatures: Vec::new(),
            blobs: BTreeMap::new(),
        }
    }

    /// The manifest of a tag or a digest, with its digest.
    pub(crate) fn manifest(&self, reference: &str) -> Option<(&str, &Manifest)> {
        let digest = self.tags.get(reference).map_or(reference, String::as_str);
        self.manifests.get_key_value(digest).map(|(digest, manifest)| (digest.as_str(), manifest))
    }

    pub(crate) fn tags(&self) -> impl Iterator<Item = &str> {
        self.tags.keys().map(String::as_str)
    }

    /// What points to the manifests whose subject is this one, as the list of referrers has it.
    pub(crate) fn referrers(&self, subject: &str) -> Vec<Value> {
        let manifests = self.manifests.iter().map(|(digest, manifest)| (digest, manifest, manifest.parse()));
        let referrers = manifests.filter(|(_, _, json)| json["subject"]["digest"] == subject);
        let descriptor = |(digest, manifest, json): (&String, &Manifest, Value)| {
            json!({
                "mediaType": manifest.media_type,
                "digest": digest,
                "size": manifest.body.len(),
                "artifactType": json["artifactType"],
                "annotations": json["annotations"],
            })
        };
        referrers.map(descriptor).collect()
    }

    pub(crate) fn blob(&self, digest: &str) -> Option<&Bytes> {
        self.blobs.get(digest)
    }

    /// Stores a blob and answers its digest.
    pub(crate) fn put_blob(&mut self, bytes: Bytes) -> String {
        let digest = oci::digest(&bytes);
        self.blobs.insert(digest.clone(), bytes);
        digest
    }

    /// Whether a manifest of this repository refers to the blob: only then can it be mounted elsewhere.
    /// <https://github.com/aws/containers-roadmap/issues/2860>
    pub(crate) fn refers_to(&self, blob: &str) -> bool {
        self.manifests.values().any(|manifest| oci::blobs(&manifest.parse()).contains(&blob))
    }

    /// Stores a manifest, under a tag if one is given. Refuses as ECR's `PutImage` does.
    pub(super) fn put_manifest(
        &mut self,
        name: &str,
        media_type: &str,
        body: &Bytes,
        tag: Option<&str>,
        now: Timestamp,
    ) -> Result<Pushed, Refusal> {
        let manifest: Value = serde_json::from_slice(body).map_err(|_| {
            let message = "Invalid parameter at 'ImageManifest' failed to satisfy constraint: 'Invalid JSON syntax'";
            Refusal::new("InvalidParameterException", message)
        })?;
        self.has_all_of(name, &manifest)?;
        let digest = oci::digest(body);
        if let Some(tag) = tag {
            match self.tags.get(tag) {
                Some(existing) if *existing == digest => return Ok(Pushed::Unchanged(digest)),
                Some(_) if self.is_immutable(tag) => return Err(tag_is_immutable(name, tag)),
                _ => self.tags.insert(tag.to_owned(), digest.clone()),
            };
        } else if self.manifests.contains_key(&digest) {
            return Ok(Pushed::Unchanged(digest));
        }
        self.manifests.entry(digest.clone()).or_insert_with(|| Manifest {
            media_type: media_type.to_owned(),
            body: body.clone(),
            pushed_at: now,
            scanned_at: None,
        });
        Ok(Pushed::New(digest))
    }

    fn has_all_of(&self, name: &str, manifest: &Value) -> Result<(), Refusal> {
        let missing: Vec<&str> =
            oci::blobs(manifest).into_iter().filter(|digest| !self.blobs.contains_key(*digest)).collect();
        if !missing.is_empty() {
            let message = format!(
                "Layers with digests '[{}]' required for pushing image into repository with name '{name}' do not exist",
                missing.join(", ")
            );
            return Err(Refusal::new("LayersNotFoundException", message));
        }
        match oci::children(manifest).into_iter().find(|(digest, _)| !self.manifests.contains_key(*digest)) {
            None => Ok(()),
            Some((digest, _)) => {
                let message = format!(
                    "Images with digests '[{digest}]' required for pushing image into repository with name '{name}' do not exist"
                );
                Err(Refusal::new("ReferencedImagesNotFoundException", message))
            }
        }
    }

    /// <https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-tag-mutability.html>
    fn is_immutable(&self, tag: &str) -> bool {
        let is_excluded = self.exclusions.iter().any(|pattern| wildcard::matches(pattern, tag));
        match self.mutability.as_str() {
            "IMMUTABLE" => true,
            "IMMUTABLE_WITH_EXCLUSION" => !is_excluded,
            "MUTABLE_WITH_EXCLUSION" => is_excluded,
            _ => false,
        }
    }
}

fn tag_is_immutable(name: &str, tag: &str) -> Refusal {
    let message = format!(
        "The image tag '{tag}' already exists in the '{name}' repository and cannot be overwritten because the tag is immutable."
    );
    Refusal::new("ImageTagAlreadyExistsException", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository(mutability: &str, exclusions: &[&str]) -> Repository {
        Repository {
            mutability: mutability.to_owned(),
            exclusions: exclusions.iter().map(ToString::to_string).collect(),
            ..Repository::created_at(Timestamp::UNIX_EPOCH)
        }
    }

    fn push(repository: &mut Repository, content: &str, tag: &str) -> Result<Pushed, String> {
        let body = Bytes::from(format!("{{\"annotations\":\"{content}\"}}"));
        repository
            .put_manifest("app", oci::MANIFEST, &body, Some(tag), Timestamp::UNIX_EPOCH)
            .map_err(|refusal| refusal.code)
    }

    #[test]
    fn a_tag_moves_only_where_it_may() {
        for (mutability, exclusions, tag, may_move) in [
            ("MUTABLE", &[] as &[&str], "main", true),
            ("IMMUTABLE", &[], "main", false),
            ("IMMUTABLE_WITH_EXCLUSION", &["main", "pr-*"], "main", true),
            ("IMMUTABLE_WITH_EXCLUSION", &["main", "pr-*"], "pr-12", true),
            ("IMMUTABLE_WITH_EXCLUSION", &["main", "pr-*"], "v1", false),
            ("MUTABLE_WITH_EXCLUSION", &["v*.0"], "v1.0", false),
            ("MUTABLE_WITH_EXCLUSION", &["v*.0"], "v1.1", true),
        ] {
            let mut repository = repository(mutability, exclusions);
            assert!(matches!(push(&mut repository, "one", tag), Ok(Pushed::New(_))));
            assert!(matches!(push(&mut repository, "one", tag), Ok(Pushed::Unchanged(_))), "{mutability} {tag}");
            assert_eq!(push(&mut repository, "two", tag).is_ok(), may_move, "{mutability} {tag}");
        }
    }

    #[test]
    fn a_manifest_without_its_layers_is_refused() {
        let mut repository = repository("MUTABLE", &[]);
        let (config, layer) = (Bytes::from("{}"), Bytes::from("layer"));
        let manifest = oci::manifest(&config, std::slice::from_ref(&layer));
        let put = |repository: &mut Repository| {
            repository
                .put_manifest("app", oci::MANIFEST, &manifest, None, Timestamp::UNIX_EPOCH)
                .map_err(|refusal| refusal.code)
        };
        assert_eq!(put(&mut repository), Err("LayersNotFoundException".to_owned()));
        repository.put_blob(config);
        repository.put_blob(layer.clone());
        assert_eq!(put(&mut repository), Ok(Pushed::New(oci::digest(&manifest))));
        assert!(repository.refers_to(&oci::digest(&layer)));
    }
}
