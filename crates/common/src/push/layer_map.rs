//! Which compressed layer of a registry is which layer of ours: read from an image that was pushed before.
//!
//! An image says what its layers are twice: compressed in its manifest, uncompressed in its configuration. Together they tell, of a
//! layer that was never compressed here, under which digest the registry has it; so it is neither compressed nor sent.

use std::collections::BTreeMap;

use crate::failure::Failure;
use crate::image_source::diff_ids;
use crate::names::Digest;
use crate::registry::{Descriptor, Manifest, Repository};

/// From the digest of a layer as it is to what points to it as the registry has it.
#[derive(Clone, Debug, Default)]
pub struct LayerMap {
    layers: BTreeMap<Digest, Descriptor>,
    size: Option<u64>,
}

impl LayerMap {
    /// Reads the map of an image that is in the registry. That of an index is its image for the same platform.
    pub async fn read(repository: &Repository<'_>, reference: &str, platform: &str) -> Result<Self, Failure> {
        let Some(manifest) = image(repository, reference, platform).await? else { return Ok(Self::default()) };
        let broken = |error| Failure::remote(format!("the manifest of `{}` at {reference}: {error}", repository.name));
        let parts = manifest.parts().map_err(broken)?;
        let Some(config) = parts.config.filter(|_| !parts.layers.is_empty()) else { return Ok(Self::default()) };
        let ids = diff_ids(&repository.blob(&config.digest).await?)?;
        // What is no image, a bill of materials, has layers too, and no diff ids.
        if ids.len() != parts.layers.len() {
            return Ok(Self::default());
        }
        let size = config.size + parts.layers.iter().map(|layer| layer.size).sum::<u64>();
        let layers = ids.into_iter().zip(parts.layers);
        let layers = layers.filter(|(_, layer)| !layer.media_type.ends_with(".tar")).collect();
        Ok(Self { layers, size: Some(size) })
    }

    /// What the registry has of a layer, or had.
    pub fn get(&self, diff_id: &Digest) -> Option<&Descriptor> {
        self.layers.get(diff_id)
    }

    /// The size of the image that it was read from, in bytes, as the registry stores it.
    pub fn size(&self) -> Option<u64> {
        self.size
    }

    /// All that it leads to.
    pub fn blobs(&self) -> impl Iterator<Item = &Digest> {
        self.layers.values().map(|layer| &layer.digest)
    }
}

async fn image(repository: &Repository<'_>, reference: &str, platform: &str) -> Result<Option<Manifest>, Failure> {
    let Some(manifest) = repository.manifest(reference).await? else { return Ok(None) };
    if !manifest.is_index() {
        return Ok(Some(manifest));
    }
    let children = manifest.parts().map(|parts| parts.manifests).unwrap_or_default();
    let is_same = |child: &&Descriptor| {
        let platform_of = child.more.get("platform").map(|platform| {
            let word = |name: &str| platform[name].as_str().unwrap_or_default().to_owned();
            format!("{}/{}", word("os"), word("architecture"))
        });
        platform_of.is_some_and(|found| found == platform)
    };
    match children.iter().find(is_same) {
        Some(child) => repository.manifest(child.digest.as_str()).await,
        None => Ok(None),
    }
}
