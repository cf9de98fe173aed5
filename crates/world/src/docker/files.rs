//! A tree of files: a build context, an image's root.

use std::collections::BTreeMap;
use std::io::{self, Read};

use bytes::Bytes;
use tar::{Archive, Builder, EntryType, Header};

use crate::oci;

/// Files and folders by path, without a slash at either end. The root is the empty path, and has no entry.
#[derive(Clone, Debug, Default)]
pub(super) struct Files(BTreeMap<String, Entry>);

/// What lies at a path.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) mode: u32,
    pub(super) owner: (u64, u64),
    pub(super) kind: Kind,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File(Bytes),
    Folder,
    Link(String),
}

impl Entry {
    pub(super) fn file(content: impl Into<Bytes>) -> Self {
        Self { mode: 0o644, owner: (0, 0), kind: Kind::File(content.into()) }
    }

    pub(super) fn folder() -> Self {
        Self { mode: 0o755, owner: (0, 0), kind: Kind::Folder }
    }
}

impl Files {
    /// Reads an archive, which may be compressed.
    pub(super) fn read(archive: &[u8]) -> io::Result<Self> {
        let plain = oci::gunzip(archive)?;
        let mut files = Self::default();
        for entry in Archive::new(&plain[..]).entries()? {
            let mut entry = entry?;
            let path = normal(&entry.path()?.to_string_lossy());
            let kind = match entry.header().entry_type() {
                EntryType::Directory => Kind::Folder,
                EntryType::Symlink | EntryType::Link => Kind::Link(
                    entry.link_name()?.map(|target| target.to_string_lossy().into_owned()).unwrap_or_default(),
                ),
                _ => {
                    let mut content = Vec::new();
                    entry.read_to_end(&mut content)?;
                    Kind::File(content.into())
                }
            };
            let header = entry.header();
            // Blank numbers, which archives made in memory have, are read as zero, as by the engine.
            let owner = (header.uid().unwrap_or(0), header.gid().unwrap_or(0));
            files.insert(&path, Entry { mode: header.mode().unwrap_or(0o644) & 0o7777, owner, kind });
        }
        Ok(files)
    }

    /// Writes an archive that is the same for the same files.
    pub(super) fn write(&self) -> io::Result<Vec<u8>> {
        let mut archive = Builder::new(Vec::new());
        for (path, entry) in &self.0 {
            let mut header = Header::new_gnu();
            header.set_mode(entry.mode);
            header.set_uid(entry.owner.0);
            header.set_gid(entry.owner.1);
            header.set_mtime(0);
            match &entry.kind {
                Kind::File(content) => {
                    header.set_size(content.len() as u64);
                    archive.append_data(&mut header, path, &content[..])?;
                }
                Kind::Folder => {
                    header.set_entry_type(EntryType::Directory);
                    header.set_size(0);
                    archive.append_data(&mut header, format!("{path}/"), io::empty())?;
                }
                Kind::Link(target) => {
                    header.set_entry_type(EntryType::Symlink);
                    header.set_size(0);
                    archive.append_link(&mut header, path, target)?;
                }
            }
        }
        archive.into_inner()
    }

    /// Puts an entry at a path, and the folders that lead there.
    pub(super) fn insert(&mut self, path: &str, entry: Entry) {
        let path = normal(path);
        for (end, _) in path.match_indices('/') {
            self.0.entry(path[..end].to_owned()).or_insert_with(Entry::folder);
        }
        if !path.is_empty() {
            self.0.insert(path, entry);
        }
    }

    /// Lays other files over these.
    pub(super) fn overlay(&mut self, other: &Self) {
        for (path, entry) in &other.0 {
            self.insert(path, entry.clone());
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn content(&self, path: &str) -> Option<&Bytes> {
        match &self.0.get(&normal(path))?.kind {
            Kind::File(content) => Some(content),
            Kind::Folder | Kind::Link(_) => None,
        }
    }

    pub(super) fn is_folder(&self, path: &str) -> bool {
        let path = normal(path);
        path.is_empty() || self.0.get(&path).is_some_and(|entry| entry.kind == Kind::Folder)
    }

    /// The paths that a source of `COPY` names: itself, or what its wildcards match. Empty if there is nothing.
    pub(super) fn matching(&self, source: &str) -> Vec<String> {
        let source = normal(source);
        if !source.contains(['*', '?', '[']) {
            let exists = source.is_empty() || self.0.contains_key(&source);
            return if exists { vec![source] } else { Vec::new() };
        }
        let patterns: Vec<&str> = source.split('/').collect();
        let is_match = |path: &&String| {
            let parts: Vec<&str> = path.split('/').collect();
            parts.len() == patterns.len() && parts.iter().zip(&patterns).all(|(part, pattern)| matches(pattern, part))
        };
        self.0.keys().filter(is_match).cloned().collect()
    }

    /// What `COPY source destination` brings: the file itself, or all that is in the folder. Paths are relative to the
    /// destination; the file's is empty.
    pub(super) fn under(&self, source: &str) -> Vec<(String, Entry)> {
        let source = normal(source);
        if let Some(entry) = self.0.get(&source)
            && entry.kind != Kind::Folder
        {
            return vec![(String::new(), entry.clone())];
        }
        let prefix = if source.is_empty() { source } else { source + "/" };
        let inside =
            self.0.iter().filter_map(|(path, entry)| Some((path.strip_prefix(&prefix)?.to_owned(), entry.clone())));
        inside.collect()
    }
}

/// A path without `.`, `..` and doubled slashes.
pub(super) fn normal(path: &str) -> String {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Matches one part of a path: `*` stands for any text, `?` for one letter, `[a-z]` for one of these.
fn matches(pattern: &str, text: &str) -> bool {
    let mut pattern = pattern.chars();
    let Some(first) = pattern.next() else { return text.is_empty() };
    let rest = pattern.as_str();
    let mut letters = text.chars();
    match first {
        '*' => text.char_indices().map(|(at, _)| at).chain([text.len()]).any(|at| matches(rest, &text[at..])),
        '?' => letters.next().is_some() && matches(rest, letters.as_str()),
        '[' => {
            let Some((class, rest)) = rest.split_once(']') else { return false };
            letters.next().is_some_and(|letter| is_in(class, letter)) && matches(rest, letters.as_str())
        }
        _ => letters.next() == Some(first) && matches(rest, letters.as_str()),
    }
}

fn is_in(class: &str, letter: char) -> bool {
    let (class, is_negated) = class.strip_prefix('^').map_or((class, false), |class| (class, true));
    let letters: Vec<char> = class.chars().collect();
    let in_range = letters.windows(3).any(|range| range[1] == '-' && (range[0]..=range[2]).contains(&letter));
    (in_range || letters.contains(&letter)) != is_negated
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(paths: &[&str]) -> Files {
        let mut files = Files::default();
        paths.iter().for_each(|path| files.insert(path, Entry::file(normal(path))));
        files
    }

    #[test]
    fn an_archive_is_the_same_for_the_same_files_and_reads_back() {
        let written = files(&["./a/b.txt", "/c"]).write().unwrap();
        assert_eq!(oci::digest(&written), oci::digest(&files(&["c", "a/b.txt"]).write().unwrap()));
        let read = Files::read(&oci::gzip(&written).unwrap()).unwrap();
        assert_eq!(read.content("a/b.txt").unwrap(), "a/b.txt");
        assert!(read.is_folder("a") && !read.is_folder("c"));
    }

    #[test]
    fn sources_are_found_by_path_and_wildcard() {
        let files = files(&["package.json", "package-lock.json", "src/a.js", "src/b.ts"]);
        for (source, expected) in [
            ("package*.json", &["package-lock.json", "package.json"] as &[&str]),
            ("./src/", &["src"]),
            (".", &[""]),
            ("src/[ab].?s", &["src/a.js", "src/b.ts"]),
            ("src/[^a].*", &["src/b.ts"]),
            ("nope", &[]),
            ("*.md", &[]),
        ] {
            assert_eq!(files.matching(source), expected, "{source}");
        }
    }

    #[test]
    fn a_folder_brings_what_is_in_it() {
        let files = files(&["src/a.js", "src/lib/b.js", "srcs"]);
        let under = |source| files.under(source).into_iter().map(|(path, _)| path).collect::<Vec<_>>();
        assert_eq!(under("src"), ["a.js", "lib", "lib/b.js"]);
        assert_eq!(under("src/a.js"), [""]);
    }
}
