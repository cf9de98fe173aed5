//! Images that are there before a test begins.

use std::io;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::repository::{Pushed, Repository};
use crate::oci;
use crate::state::World;

/// An image to be found in the registry.
#[derive(Clone, Debug, Default)]
pub struct ImageSeed {
    /// The repository's name; it is created if it does not exist.
    pub repository: String,
    /// The tag; untagged if blank.
    pub tag: String,
    /// The image's labels.
    pub labels: Vec<(String, String)>,
    /// Its environment, as `NAME=value`.
    pub env: Vec<String>,
    /// The user that it runs as; root if blank.
    pub user: String,
    /// The platforms that it was built for, as `linux/arm64`; `linux/amd64` if none is said. Several make an index, with an
    /// image for each.
    pub platforms: Vec<&'static str>,
    /// The command of its health check, if it has one.
    pub healthcheck: Option<Vec<String>>,
}

/// A repository to be found in the registry. The default is what ECR makes of a name alone.
#[derive(Clone, Debug, Default)]
pub struct RepositorySeed {
    /// Its name.
    pub name: String,
    /// `MUTABLE` if blank.
    pub tag_mutability: String,
    /// The tags for which the opposite holds.
    pub exclusions: Vec<String>,
    /// Whether images are scanned when they are pushed.
    pub scan_on_push: bool,
    /// Its lifecycle policy, if it has one.
    pub lifecycle_policy: Option<String>,
}

impl World {
    /// Puts a repository into the registry, or gives one that is there these settings.
    pub fn set_up_repository(&self, seed: RepositorySeed) {
        self.create_repository(&seed.name);
        self.with(|state| {
            let Some(repository) = state.ecr.repository_mut(&seed.name) else { return };
            let mutability = if seed.tag_mutability.is_empty() { "MUTABLE".to_owned() } else { seed.tag_mutability };
            repository.mutability = mutability;
            repository.exclusions = seed.exclusions;
            repository.scan_on_push = seed.scan_on_push;
            repository.lifecycle_policy = seed.lifecycle_policy;
        });
    }

    /// Creates a repository with default settings, unless it exists.
    pub fn create_repository(&self, name: &str) {
        self.with(|state| {
            let now = state.now;
            state.ecr.repositories.entry(name.to_owned()).or_insert_with(|| Repository::created_at(now));
        });
    }

    /// Has a repository's tags keep their images, as `IMMUTABLE` does.
    pub fn make_tags_immutable(&self, repository: &str) {
        self.with(|state| {
            if let Some(repository) = state.ecr.repository_mut(repository) {
                "IMMUTABLE".clone_into(&mut repository.mutability);
            }
        });
    }

    /// Has the registry know nothing of what refers to an image, as registries did before version 1.1 of the specification.
    pub fn forget_referrers(&self) {
        self.with(|state| state.ecr.lists_no_referrers = true);
    }

    /// Puts an image (a manifest, a configuration and one layer for each platform) into the registry and answers its digest.
    ///
    /// # Panics
    /// If the tag is immutable and there, with another image.
    pub fn push_image(&self, seed: ImageSeed) -> String {
        self.create_repository(&seed.repository);
        let tag = Some(seed.tag.as_str()).filter(|tag| !tag.is_empty());
        if let [_, _, ..] = seed.platforms.as_slice() {
            let put = |platform: &&'static str| (*platform, self.put_image(&seed, platform, None));
            let index = oci::index(&seed.platforms.iter().map(put).collect::<Vec<_>>());
            return self.put_manifest(&seed.repository, oci::INDEX, &index, tag);
        }
        let platform = seed.platforms.first().unwrap_or(&"linux/amd64");
        oci::digest(&self.put_image(&seed, platform, tag))
    }

    /// Puts an image of one platform and answers its manifest.
    fn put_image(&self, seed: &ImageSeed, platform: &str, tag: Option<&str>) -> Bytes {
        let (config, layer) = match seed.contents(platform) {
            Ok(contents) => contents,
            Err(error) => panic!("an archive in memory: {error}"),
        };
        let manifest = oci::manifest(&config, std::slice::from_ref(&layer));
        self.with(|state| {
            if let Some(repository) = state.ecr.repository_mut(&seed.repository) {
                repository.put_blob(config);
                repository.put_blob(layer);
            }
        });
        self.put_manifest(&seed.repository, oci::MANIFEST, &manifest, tag);
        manifest
    }

    fn put_manifest(&self, repository: &str, media_type: &str, manifest: &Bytes, tag: Option<&str>) -> String {
        let pushed = self.with(|state| {
            let now = state.now;
            state.ecr.push(repository, media_type, manifest, tag, now)
        });
        match pushed {
            Some(Ok(Pushed::New(digest) | Pushed::Unchanged(digest))) => digest,
            refused => panic!("the image cannot be put into the registry: {refused:?}"),
        }
    }

    /// Deletes an image, by tag or digest, with all of its tags, as a lifecycle policy does.
    pub fn delete_image(&self, repository: &str, reference: &str) {
        self.with(|state| {
            let Some(repository) = state.ecr.repository_mut(repository) else { return };
            let Some(digest) = repository.manifest(reference).map(|(digest, _)| digest.to_owned()) else { return };
            repository.manifests.remove(&digest);
            repository.tags.retain(|_, tagged| *tagged != digest);
        });
    }

    /// The digest of the image that has this tag.
    pub fn image_digest(&self, repository: &str, tag: &str) -> Option<String> {
        self.with(|state| {
            let (digest, _) = state.ecr.repository(repository)?.manifest(tag)?;
            Some(digest.to_owned())
        })
    }
}

impl ImageSeed {
    /// The configuration and the layer for a platform.
    fn contents(&self, platform: &str) -> io::Result<(Bytes, Bytes)> {
        let (os, architecture) = platform.split_once('/').unwrap_or(("linux", platform));
        // Content of its own per image: a layer is shared only where the images are the same.
        let text = format!("{} {platform} {} {:?} {:?}", self.repository, self.user, self.labels, self.env);
        let plain = tar_of("etc/image", text.as_bytes())?;
        let labels: Map<String, Value> = self.labels.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        let mut config = json!({
            "architecture": architecture,
            "os": os,
            "config": { "Env": self.env, "Labels": labels, "User": self.user, "Entrypoint": ["/app"] },
            "rootfs": { "type": "layers", "diff_ids": [oci::digest(&plain)] },
        });
        if let Some(command) = &self.healthcheck {
            config["config"]["Healthcheck"] = json!({ "Test": command });
        }
        Ok((Bytes::from(config.to_string()), oci::gzip(&plain)?))
    }
}

fn tar_of(path: &str, content: &[u8]) -> io::Result<Vec<u8>> {
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_data(&mut header, path, content)?;
    archive.into_inner()
}
