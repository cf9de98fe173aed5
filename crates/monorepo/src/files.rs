//! The files of one commit.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::listing::{Apart, Listing};
use crate::problem::Problem;

/// The largest file that is read for what it says; what is larger counts by its bytes alone.
pub const LARGEST: u64 = 32 * 1024 * 1024;

/// The name that git gives a file's content.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BlobId(pub [u8; 20]);

impl Hash for BlobId {
    /// A part of it does: it is a digest itself.
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.first_chunk::<8>().hash(state);
    }
}

/// What a path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A file.
    File,
    /// A file that may be run.
    Executable,
    /// A symbolic link: its content is where it leads.
    Link,
    /// A submodule: its "content" is the commit that it is at.
    Submodule,
}

/// One path's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    /// What it is.
    pub kind: Kind,
    /// Its content.
    pub id: BlobId,
}

/// Where the contents of files are read from.
pub trait Contents: Sync {
    /// The content; the error says why it cannot be read, as a fragment. What is larger than [`LARGEST`] is such an error.
    fn read(&self, id: BlobId) -> Result<Vec<u8>, String>;

    /// Of each content its place in the order in which all of them are read fastest; the same for the same content.
    fn places(&self, ids: &[BlobId]) -> Vec<usize>;
}

/// The files of one commit. A path is relative to the root, with `/`, without `./`; a folder has no entry of its own.
#[derive(Clone)]
pub struct Files<'a> {
    entries: Listing,
    contents: &'a dyn Contents,
}

impl<'a> Files<'a> {
    /// The files of a commit.
    pub fn new(entries: Vec<(Arc<str>, Entry)>, contents: &'a dyn Contents) -> Self {
        Self { entries: Listing::new(entries), contents }
    }

    /// The same files but for what is at these paths; `None` is nothing.
    pub fn but<'c>(&self, others: impl IntoIterator<Item = (&'c str, Option<Entry>)>) -> Self {
        Self { entries: self.entries.but(others), contents: self.contents }
    }

    /// The same files, read from elsewhere.
    pub(crate) fn with_contents<'c>(&self, contents: &'c dyn Contents) -> Files<'c> {
        Files { entries: self.entries.clone(), contents }
    }

    /// What is where.
    pub(crate) fn listing(&self) -> &Listing {
        &self.entries
    }

    /// The paths at which these and other files differ: what is there is another content, another kind, or nothing.
    pub(crate) fn apart<'f>(&'f self, other: &'f Files<'_>) -> Apart<'f> {
        self.entries.apart(&other.entries)
    }

    /// All files, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Entry)> {
        self.below("")
    }

    /// The files in a folder and below, in order; blank is the root.
    pub fn below(&self, folder: &str) -> impl Iterator<Item = (&str, Entry)> {
        self.entries.below(folder)
    }

    /// The file at a path, else the files below the folder.
    pub fn at_or_below(&self, path: &str) -> impl Iterator<Item = (&str, Entry)> {
        let file = self.find(path);
        let below = file.is_none().then(|| self.below(path));
        file.into_iter().chain(below.into_iter().flatten())
    }

    /// What lies directly in a folder, in byte order of the files below; blank is the root. A folder has no entry.
    pub fn children(&self, folder: &str) -> impl Iterator<Item = (&str, Option<Entry>)> {
        self.entries.children(folder)
    }

    /// What is at a path, with the path as it is kept here; `None` if there is no file.
    pub fn find(&self, path: &str) -> Option<(&str, Entry)> {
        self.entries.find(path)
    }

    /// What is at a path; `None` if there is no file.
    pub fn get(&self, path: &str) -> Option<Entry> {
        self.find(path).map(|(_, entry)| entry)
    }

    /// Whether there is a file at a path.
    pub fn has(&self, path: &str) -> bool {
        self.get(path).is_some()
    }

    /// Whether there is a folder at a path: some file lies below it.
    pub fn has_folder(&self, path: &str) -> bool {
        self.entries.has_folder(path)
    }

    /// The content of a file; `None` if there is no such file.
    pub fn bytes(&self, path: &str) -> Result<Option<Vec<u8>>, Problem> {
        match self.get(path) {
            Some(Entry { kind: Kind::File | Kind::Executable, id }) => {
                self.read(id).map(Some).map_err(|why| Problem::new(path, why))
            }
            Some(_) | None => Ok(None),
        }
    }

    /// The text of a file, without a byte order mark; `None` if there is no such file.
    pub fn text(&self, path: &str) -> Result<Option<String>, Problem> {
        let Some(bytes) = self.bytes(path)? else { return Ok(None) };
        let text = String::from_utf8(bytes).map_err(|_| Problem::new(path, "not UTF-8"))?;
        Ok(Some(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text)))
    }

    /// See [`Contents::places`].
    pub(crate) fn places(&self, ids: &[BlobId]) -> Vec<usize> {
        self.contents.places(ids)
    }

    /// Contents, each with what it is wanted for, in the order in which they are read fastest.
    pub(crate) fn in_order<For: Ord>(&self, wanted: Vec<(BlobId, For)>) -> Vec<(BlobId, For)> {
        let ids: Vec<BlobId> = wanted.iter().map(|(id, _)| *id).collect();
        let mut ordered: Vec<(usize, (BlobId, For))> = self.places(&ids).into_iter().zip(wanted).collect();
        ordered.sort_unstable();
        ordered.into_iter().map(|(_, wanted)| wanted).collect()
    }

    /// Some content, whatever the path.
    pub fn read(&self, id: BlobId) -> Result<Vec<u8>, String> {
        self.contents.read(id)
    }
}

impl fmt::Debug for Files<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_map().entries(self.iter()).finish()
    }
}

impl fmt::Display for BlobId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for BlobId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::digest::Digest;

    /// Files that are made up, for the tests of every room.
    #[derive(Debug, Default)]
    pub(crate) struct Made {
        entries: Vec<(String, Entry)>,
        contents: BTreeMap<BlobId, Vec<u8>>,
    }

    impl Made {
        /// Files by path and text.
        pub(crate) fn new(files: &[(&str, &str)]) -> Self {
            let mut made = Self::default();
            files.iter().for_each(|(path, text)| made.put(path, Kind::File, text.as_bytes()));
            made
        }

        pub(crate) fn put(&mut self, path: &str, kind: Kind, content: &[u8]) {
            let mut id = [0; 20];
            id.copy_from_slice(&Digest::of([content]).bytes()[..20]);
            self.contents.insert(BlobId(id), content.to_vec());
            self.entries.retain(|(known, _)| known != path);
            self.entries.push((path.to_owned(), Entry { kind, id: BlobId(id) }));
        }

        pub(crate) fn files(&self) -> Files<'_> {
            Files::new(self.entries.iter().map(|(path, entry)| (path.as_str().into(), *entry)).collect(), self)
        }
    }

    impl Contents for Made {
        fn read(&self, id: BlobId) -> Result<Vec<u8>, String> {
            self.contents.get(&id).cloned().ok_or_else(|| "not in the clone".to_owned())
        }

        fn places(&self, ids: &[BlobId]) -> Vec<usize> {
            vec![0; ids.len()]
        }
    }

    #[test]
    fn a_folder_is_what_lies_below_it() {
        let mut made = Made::new(&[("a/x", "1"), ("a-b", "2"), ("a/b/y", "3"), ("b", "\u{feff}4")]);
        made.put("a/link", Kind::Link, b"x");
        let files = made.files();
        assert_eq!(files.below("a").map(|(path, _)| path).collect::<Vec<_>>(), ["a/b/y", "a/link", "a/x"]);
        assert_eq!(files.below("").count(), 5);
        let children: Vec<_> = files.children("").map(|(path, entry)| (path, entry.is_some())).collect();
        assert_eq!(children, [("a-b", true), ("a", false), ("b", true)]);
        assert_eq!(files.children("a").map(|(path, _)| path).collect::<Vec<_>>(), ["a/b", "a/link", "a/x"]);
        assert!(files.has_folder("a/b") && !files.has_folder("b") && files.has("b") && !files.has("a"));
        assert_eq!(files.text("b"), Ok(Some("4".to_owned())));
        assert_eq!((files.text("c"), files.text("a/link")), (Ok(None), Ok(None)));
    }
}
