//! The OCI image layout: what `buildx --output type=oci`, BuildKit, buildah and Docker from 25 on write.
//!
//! <https://github.com/opencontainers/image-spec/blob/v1.1.0/image-layout.md>

use serde_json::Value;

use super::shelf::Shelf;
use super::{Blob, Content, Layer, SourceImage, TEXT, damaged, describe, diff_ids};
use crate::extent::{Extent, unreadable};
use crate::failure::Failure;
use crate::names::Digest;
use crate::registry::{Descriptor, Manifest};

/// Reads the one image of a layout.
pub(super) fn read(shelf: &Shelf) -> Result<SourceImage, Failure> {
    let top = top(shelf)?;
    let manifest = manifest(shelf, &top)?;
    if manifest.is_index() {
        return index(shelf, manifest);
    }
    let (config, layers) = image(shelf, &manifest)?;
    // What is not compressed is never sent so: Lambda refuses such layers, and everybody who pulls them waits.
    let is_plain = |blob: &Blob| blob.descriptor.media_type.ends_with(".tar");
    if layers.iter().any(is_plain) {
        return plain(&config, layers);
    }
    let size = layers.iter().map(|layer| layer.descriptor.size).sum();
    let files = (text(&config)?, extents(&layers));
    let (image, history) = describe(&files.0, size)?;
    let blobs = [config].into_iter().chain(layers).collect();
    Ok(SourceImage { image, history, content: Content::Whole { manifests: vec![manifest], blobs }, files })
}

/// The one entry of `index.json`.
fn top(shelf: &Shelf) -> Result<Descriptor, Failure> {
    let file = shelf.require("index.json")?;
    let bytes = file.read(TEXT).map_err(|error| unreadable(&file, &error))?;
    let json: Value = serde_json::from_slice(&bytes).map_err(|error| damaged(format!("index.json: {error}")))?;
    let mut entries: Vec<Descriptor> =
        serde_json::from_value(json["manifests"].clone()).map_err(|error| damaged(format!("index.json: {error}")))?;
    // The same image under several names is one image.
    entries.dedup_by(|one, other| one.digest == other.digest);
    match entries.len() {
        1 => Ok(entries.remove(0)),
        0 => Err(damaged("index.json names no image")),
        count => Err(Failure::input(format!("the layout holds {count} images, and which one is meant is not known"))
            .hint("write each image to a layout of its own")),
    }
}

fn index(shelf: &Shelf, index: Manifest) -> Result<SourceImage, Failure> {
    let children = index.parts().map_err(|error| damaged(format!("the index: {error}")))?.manifests;
    let (mut manifests, mut blobs, mut described) = (Vec::new(), Vec::new(), None);
    for child in &children {
        let manifest = manifest(shelf, child)?;
        let (config, layers) = image(shelf, &manifest)?;
        // BuildKit's attestations are entries too, of a platform that is none.
        if described.is_none()
            && child.more.get("platform").is_none_or(|platform| platform["architecture"] != "unknown")
        {
            let size = layers.iter().map(|layer| layer.descriptor.size).sum();
            let files = (text(&config)?, extents(&layers));
            described = Some((describe(&files.0, size)?, files));
        }
        manifests.push(manifest);
        blobs.extend([config].into_iter().chain(layers));
    }
    let ((mut image, history), files) = described.ok_or_else(|| damaged("the index names no image"))?;
    image.id = index.digest();
    image.platform.clear();
    manifests.push(index);
    let content = Content::Whole { manifests, blobs };
    Ok(SourceImage { image, history, content, files })
}

fn extents(layers: &[Blob]) -> Vec<Extent> {
    layers.iter().map(|layer| layer.extent.clone()).collect()
}

/// An image whose layers are not all compressed.
fn plain(config: &Blob, layers: Vec<Blob>) -> Result<SourceImage, Failure> {
    let config = text(config)?;
    let ids = diff_ids(&config)?;
    if ids.len() != layers.len() {
        return Err(damaged(format!(
            "its configuration names {} layers, and its manifest {}",
            ids.len(),
            layers.len()
        )));
    }
    let layers = ids.into_iter().zip(layers).map(|(diff_id, Blob { descriptor, extent })| Layer {
        diff_id,
        extent: Some(extent),
        compressed: (!descriptor.media_type.ends_with(".tar")).then_some(descriptor),
    });
    SourceImage::of_layers(config, layers.collect())
}

fn manifest(shelf: &Shelf, descriptor: &Descriptor) -> Result<Manifest, Failure> {
    let file = shelf.require(&path(&descriptor.digest))?;
    let bytes = file.read(TEXT).map_err(|error| unreadable(&file, &error))?;
    let manifest = Manifest { media_type: descriptor.media_type.clone(), bytes };
    match manifest.digest() {
        found if found == descriptor.digest => Ok(manifest),
        found => Err(damaged(format!("{} should be {} and is {found}", file.name(), descriptor.digest))),
    }
}

/// The configuration and the layers that a manifest leads to.
fn image(shelf: &Shelf, manifest: &Manifest) -> Result<(Blob, Vec<Blob>), Failure> {
    let parts = manifest.parts().map_err(|error| damaged(format!("manifest {}: {error}", manifest.digest())))?;
    let config =
        parts.config.ok_or_else(|| damaged(format!("manifest {} names no configuration", manifest.digest())))?;
    let layers: Result<Vec<Blob>, Failure> = parts.layers.into_iter().map(|layer| blob(shelf, layer)).collect();
    Ok((blob(shelf, config)?, layers?))
}

fn blob(shelf: &Shelf, descriptor: Descriptor) -> Result<Blob, Failure> {
    let extent = shelf.require(&path(&descriptor.digest))?;
    match extent.length() {
        length if length == descriptor.size => Ok(Blob { descriptor, extent }),
        length => Err(damaged(format!("{} should have {} bytes and has {length}", extent.name(), descriptor.size))),
    }
}

fn text(blob: &Blob) -> Result<bytes::Bytes, Failure> {
    let bytes = blob.extent.read(TEXT).map_err(|error| unreadable(&blob.extent, &error))?;
    match Digest::of_bytes(&bytes) {
        found if found == blob.descriptor.digest => Ok(bytes),
        found => Err(damaged(format!("{} should be {} and is {found}", blob.extent.name(), blob.descriptor.digest))),
    }
}

fn path(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hexadecimal())
}
