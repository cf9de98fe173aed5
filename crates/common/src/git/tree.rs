//! The files of a commit by their text.

use std::collections::BTreeMap;

use gix::ObjectId;
use gix::bstr::ByteSlice;

use super::{Git, broken};
use crate::failure::Failure;
use crate::names::CommitSha;

/// The files of one commit.
#[derive(Clone, Debug)]
pub struct Tree<'git> {
    git: &'git Git,
    commit: CommitSha,
    files: BTreeMap<String, ObjectId>,
}

impl Git {
    /// The files of a commit.
    pub fn tree(&self, commit: &CommitSha) -> Result<Tree<'_>, Failure> {
        let reading = |error: gix::Error| broken(&format!("list the files of {}", commit.short()), &error);
        let entries =
            self.commit(commit)?.tree().and_then(|tree| tree.traverse().breadthfirst.files()).map_err(reading)?;
        let files = entries.into_iter().filter(|entry| entry.mode.is_blob());
        let files = files.map(|entry| (entry.filepath.to_str_lossy().into_owned(), entry.oid)).collect();
        Ok(Tree { git: self, commit: commit.clone(), files })
    }

    /// The paths of the files that differ between two commits, in order. A renamed file is two paths: the old and the new.
    pub fn changed_paths(&self, base: &CommitSha, head: &CommitSha) -> Result<Vec<String>, Failure> {
        Ok(self.changed(base, head)?.into_iter().map(|change| change.path).collect())
    }
}

impl Tree<'_> {
    /// The paths of all files, in order.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// Whether there is a file at this path.
    pub fn has(&self, path: &str) -> bool {
        self.files.contains_key(path)
    }

    /// The text of a file; `None` if there is no such file.
    pub fn text(&self, path: &str) -> Result<Option<String>, Failure> {
        let Some(id) = self.files.get(path) else { return Ok(None) };
        let blob = self.git.repository.find_blob(*id).map_err(|error| {
            broken(&format!("read `{path}` of {}", self.commit.short()), &error)
                .hint("a clone without its files' contents cannot be read: leave out `filter` of actions/checkout")
        })?;
        Ok(Some(blob.data.to_str_lossy().into_owned()))
    }
}
