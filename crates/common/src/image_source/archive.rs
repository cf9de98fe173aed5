//! The archive of `docker save` before 25, which other builders still write: a `manifest.json` that names the configuration and
//! the layers, compressed or not.
//!
//! <https://github.com/moby/moby/blob/master/image/spec/spec.md>

use std::collections::BTreeSet;
use std::io::Read;

use serde::Deserialize;

use super::shelf::Shelf;
use super::{Layer, SourceImage, TEXT, damaged, diff_ids};
use crate::digest::Hasher;
use crate::extent::{Extent, unreadable};
use crate::failure::Failure;
use crate::names::Digest;
use crate::registry::{Descriptor, MediaType};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    config: String,
    layers: Vec<String>,
}

/// Reads the one image of an archive, which may leave out layers that are known.
pub(super) fn read(shelf: &Shelf, known: &BTreeSet<Digest>) -> Result<SourceImage, Failure> {
    let file = shelf.require("manifest.json")?;
    let bytes = file.read(TEXT).map_err(|error| unreadable(&file, &error))?;
    let mut entries: Vec<Entry> =
        serde_json::from_slice(&bytes).map_err(|error| damaged(format!("manifest.json: {error}")))?;
    let entry = match entries.len() {
        1 => entries.remove(0),
        0 => return Err(damaged("manifest.json names no image")),
        count => {
            return Err(Failure::input(format!(
                "the archive holds {count} images, and which one is meant is not known"
            ))
            .hint("save each image to an archive of its own"));
        }
    };
    let file = shelf.require(&entry.config)?;
    let config = file.read(TEXT).map_err(|error| unreadable(&file, &error))?;
    let ids = diff_ids(&config)?;
    if ids.len() != entry.layers.len() {
        let (named, there) = (ids.len(), entry.layers.len());
        return Err(damaged(format!("its configuration names {named} layers, and manifest.json {there}")));
    }
    let layer = |(diff_id, name): (Digest, &String)| match shelf.get(name) {
        Some(extent) => layer(diff_id, extent),
        None if known.contains(&diff_id) => Ok(Layer { diff_id, extent: None, compressed: None }),
        None => Err(damaged(format!("there is no `{name}` in it"))),
    };
    let layers: Result<Vec<Layer>, Failure> = ids.into_iter().zip(&entry.layers).map(layer).collect();
    SourceImage::of_layers(config, layers?)
}

fn layer(diff_id: Digest, extent: Extent) -> Result<Layer, Failure> {
    let compressed = compressed(&extent).map_err(|error| unreadable(&extent, &error))?;
    Ok(Layer { diff_id, extent: Some(extent), compressed })
}

/// What points to a layer that is compressed already, as some builders write them. Its digest is nowhere told.
fn compressed(extent: &Extent) -> std::io::Result<Option<Descriptor>> {
    let mut head = [0; 2];
    if extent.length() < 2 || extent.reader().read_exact(&mut head).is_err() || head != [0x1f, 0x8b] {
        return Ok(None);
    }
    let mut hasher = Hasher::new();
    let mut reader = extent.reader();
    let mut piece = vec![0; 256 << 10];
    loop {
        match reader.read(&mut piece)? {
            0 => break,
            count => hasher.update(&piece[..count]),
        }
    }
    let (digest, size) = (hasher.finish(), extent.length());
    Ok(Some(Descriptor { media_type: MediaType::LAYER.to_owned(), digest, size, more: serde_json::Map::new() }))
}
