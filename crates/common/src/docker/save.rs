//! An image out of the engine, for a push that leaves out what the registry has.

use std::collections::BTreeSet;
use std::io::{self, Seek, Write};
use std::path::Path;
use std::sync::Arc;

use tar::Archive;

use super::Docker;
use super::contents::Pieces;
use crate::extent::Extent;
use crate::failure::Failure;
use crate::image_source::{Files, Shelf, SourceImage, open_without};
use crate::names::Digest;

/// How an engine stores its images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// Unpacked, by a graph driver. Whatever is pushed is compressed first, again and again: the engine remembers only what it
    /// pulled or pushed itself.
    GraphDriver,
    /// As it was built, by containerd: nothing is compressed, and everything is found in the registry by its digest.
    Containerd,
}

impl Docker {
    /// How the engine stores its images (<https://docs.docker.com/engine/storage/containerd/>).
    pub async fn store(&self) -> Result<Store, Failure> {
        let info = self.engine.info().await;
        let info =
            info.map_err(|error| super::refused(&error).context("ask the Docker engine how it stores images"))?;
        let mut status = info.driver_status.unwrap_or_default().into_iter().flatten();
        let is_containerd = status.any(|word| word.starts_with("io.containerd.snapshotter"));
        Ok(if is_containerd { Store::Containerd } else { Store::GraphDriver })
    }

    /// Takes an image out of the engine, without the layers that are known elsewhere. What is needed of it is kept in a file of
    /// `folder` that goes when the image does.
    pub async fn take(&self, image: &str, known: BTreeSet<Digest>, folder: &Path) -> Result<SourceImage, Failure> {
        let doing = format!("take image `{image}` out of the Docker engine");
        let (folder, told) = (folder.to_owned(), format!("image `{image}`"));
        let skipped: BTreeSet<String> = known.iter().map(|id| format!("blobs/sha256/{}", id.hexadecimal())).collect();
        let kept = self.saved(image, move |archive| keep(archive, &skipped, &folder, &told)).await;
        let shelf = kept.map_err(|failure| failure.context(&doing))?;
        let opened = tokio::task::spawn_blocking(move || open_without(&shelf, &known)).await.map_err(Failure::bug)?;
        opened.map_err(|failure| failure.context(doing))
    }
}

/// Keeps the files of an archive that are wanted, one after the other, in one file without a name.
fn keep(archive: Pieces, skipped: &BTreeSet<String>, folder: &Path, told: &str) -> io::Result<Shelf> {
    let mut file = tempfile::tempfile_in(folder)
        .map_err(|error| io::Error::other(format!("no file can be made in `{}`: {error}", folder.display())))?;
    let shared = Arc::new(file.try_clone()?);
    let mut files = Files::default();
    let mut archive = Archive::new(archive);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let Some(name) = files.name(&entry)? else { continue };
        if skipped.contains(&name) {
            continue;
        }
        let (offset, length) = (file.stream_position()?, entry.size());
        let kept = io::copy(&mut entry, &mut file)
            .map_err(|error| io::Error::other(format!("keep {name} in `{}`: {error}", folder.display())))?;
        if kept != length {
            return Err(io::Error::other(format!("{name} ends after {kept} of {length} bytes")));
        }
        files.found.insert(name.clone(), Extent::of_file(shared.clone(), offset, length, format!("{told}: {name}")));
    }
    file.flush()?;
    Ok(files.shelf())
}
