//! Files by their names: those of a folder, or those in an archive, which is read in place and never unpacked.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tar::Archive;

use super::damaged;
use crate::extent::Extent;
use crate::failure::Failure;

const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Files by their names.
#[derive(Debug)]
pub(crate) enum Shelf {
    Folder(PathBuf),
    Archive(BTreeMap<String, Extent>),
}

impl Shelf {
    /// The files of a folder.
    pub(crate) fn folder(folder: &Path) -> Result<Self, Failure> {
        match folder.is_dir() {
            true => Ok(Self::Folder(folder.to_owned())),
            false => Err(Failure::input(format!("there is no folder `{}`", folder.display())).hint(
                "a container action sees the workspace and the runner's temporary folder only: write the image there",
            )),
        }
    }

    /// The files of an archive.
    pub(crate) fn archive(path: &Path) -> Result<Self, Failure> {
        let unread = |error: io::Error| {
            Failure::input(format!("read `{}`: {error}", path.display())).hint(
                "a container action sees the workspace and the runner's temporary folder only: write the image there",
            )
        };
        let mut file = File::open(path).map_err(unread)?;
        let mut head = [0; 2];
        if file.read_exact(&mut head).is_ok() && head == GZIP {
            return Err(Failure::input(format!("`{}` is compressed as a whole", path.display()))
                .hint("leave it as it is written, without `gzip`: its layers are compressed one by one, and only those that are new"));
        }
        file.rewind().map_err(unread)?;
        let shared = Arc::new(file.try_clone().map_err(unread)?);
        let mut files = Files::default();
        let mut archive = Archive::new(file);
        for entry in archive.entries_with_seek().map_err(unread)? {
            let entry = entry.map_err(|error| damaged(format!("`{}` is no whole archive: {error}", path.display())))?;
            let name = files.name(&entry).map_err(unread)?;
            if let Some(name) = name {
                let told = format!("{}: {name}", path.display());
                let extent = Extent::of_file(shared.clone(), entry.raw_file_position(), entry.size(), told);
                files.found.insert(name, extent);
            }
        }
        Ok(files.shelf())
    }

    /// A file; `None` if there is none of this name.
    pub(crate) fn get(&self, name: &str) -> Option<Extent> {
        match self {
            Self::Folder(folder) => {
                let path = folder.join(name);
                let file = File::open(&path).ok()?;
                let length = file.metadata().ok()?.len();
                Some(Extent::of_file(Arc::new(file), 0, length, path.display().to_string()))
            }
            Self::Archive(files) => files.get(name).cloned(),
        }
    }

    /// A file that has to be there.
    pub(crate) fn require(&self, name: &str) -> Result<Extent, Failure> {
        self.get(name).ok_or_else(|| damaged(format!("there is no `{name}` in it")))
    }
}

/// The files of an archive while it is read: what is a link to another file is that file.
#[derive(Debug, Default)]
pub(crate) struct Files {
    pub(crate) found: BTreeMap<String, Extent>,
    links: BTreeMap<String, String>,
}

impl Files {
    /// The name of a file; `None` if the entry is none, or a link, which is kept in mind.
    pub(crate) fn name(&mut self, entry: &tar::Entry<'_, impl Read>) -> io::Result<Option<String>> {
        let name = entry.path()?.display().to_string().trim_start_matches("./").to_owned();
        if let Some(target) = entry.link_name()? {
            // `docker save` writes a layer that comes twice as a link: `../<id>/layer.tar`.
            self.links.insert(name, target.display().to_string().trim_start_matches("../").to_owned());
            return Ok(None);
        }
        Ok(entry.header().entry_type().is_file().then_some(name))
    }

    pub(crate) fn shelf(mut self) -> Shelf {
        for (name, target) in self.links {
            if let Some(extent) = self.found.get(&target).cloned() {
                self.found.insert(name, extent);
            }
        }
        Shelf::Archive(self.found)
    }
}
