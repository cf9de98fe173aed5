//! What is where in a commit, found by path and by folder. That of another commit is told by what differs: it costs that, and not
//! what there is.

use std::collections::{BTreeMap, btree_map};
use std::hash::BuildHasher as _;
use std::iter::Peekable;
use std::ops::{Bound, Range};
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use crate::files::Entry;
use crate::path;

/// A path, and what is there.
pub(crate) type Listed = (Arc<str>, Entry);

/// The paths at which two listings differ, with what the one and the other have there.
pub(crate) type Apart<'l> = BTreeMap<&'l str, [Option<Entry>; 2]>;

/// What is where, in byte order of the paths. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Listing {
    ground: Arc<Ground>,
    /// What is at these paths instead; `None` is nothing.
    changed: Arc<BTreeMap<Arc<str>, Option<Entry>>>,
}

/// A whole commit.
#[derive(Debug)]
struct Ground {
    entries: Vec<Listed>,
    /// The places of the files, by path.
    files: HashTable<u32>,
    /// The folders but for the root, by path.
    folders: HashTable<Folder>,
}

/// A folder: the files below it are next to each other.
#[derive(Clone, Copy, Debug)]
struct Folder {
    first: u32,
    end: u32,
    /// How long its path is, which the path of its first file begins with.
    length: u32,
}

impl Listing {
    pub(crate) fn new(mut entries: Vec<Listed>) -> Self {
        entries.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        entries.shrink_to_fit();
        Self { ground: Arc::new(Ground::new(entries)), changed: Arc::default() }
    }

    /// The same but for what is at these paths; `None` is nothing.
    pub(crate) fn but<'c>(&self, others: impl IntoIterator<Item = (&'c str, Option<Entry>)>) -> Self {
        let mut changed = (*self.changed).clone();
        changed.extend(others.into_iter().map(|(path, entry)| (path.into(), entry)));
        Self { ground: Arc::clone(&self.ground), changed: Arc::new(changed) }
    }

    /// The paths at which it differs from another one.
    pub(crate) fn apart<'l>(&'l self, other: &'l Self) -> Apart<'l> {
        if Arc::ptr_eq(&self.ground, &other.ground) {
            let paths = self.changed.keys().chain(other.changed.keys()).map(|path| &**path);
            let sides = |path| [self, other].map(|listing| listing.find(path).map(|(_, entry)| entry));
            return paths.map(|path| (path, sides(path))).filter(|(_, [one, other])| one != other).collect();
        }
        let mut apart = Apart::new();
        for (side, listing) in [self, other].into_iter().enumerate() {
            for (path, entry) in listing.below("") {
                apart.entry(path).or_default()[side] = Some(entry);
            }
        }
        apart.retain(|_, [one, other]| one != other);
        apart
    }

    /// What is at a path, with the path as it is kept here.
    pub(crate) fn find(&self, path: &str) -> Option<(&str, Entry)> {
        match self.changed.get_key_value(path) {
            Some((path, entry)) => Some((path, (*entry)?)),
            None => self.ground.find(path),
        }
    }

    /// The files in a folder and below; blank is the root.
    pub(crate) fn below(&self, folder: &str) -> impl Iterator<Item = (&str, Entry)> {
        Merged::new(self, folder).filter_map(|(path, entry)| Some((path, entry?)))
    }

    /// Whether some file lies below a folder.
    pub(crate) fn has_folder(&self, folder: &str) -> bool {
        match self.changed.is_empty() {
            true => !self.ground.below(folder).is_empty(),
            false => self.below(folder).next().is_some(),
        }
    }

    /// What lies directly in a folder, in byte order of the files below; blank is the root. A folder has no entry.
    pub(crate) fn children(&self, folder: &str) -> impl Iterator<Item = (&str, Option<Entry>)> {
        let start = if folder.is_empty() { 0 } else { folder.len() + 1 };
        let mut merged = Merged::new(self, folder);
        std::iter::from_fn(move || {
            loop {
                let (path, entry) = merged.next()?;
                match (memchr::memchr(b'/', &path.as_bytes()[start..]), entry) {
                    (Some(end), _) => {
                        // All that lies below the folder is jumped over, however much it is.
                        let child = &path[..start + end];
                        merged.pass(child);
                        if self.has_folder(child) {
                            return Some((child, None));
                        }
                    }
                    (None, Some(entry)) => return Some((path, Some(entry))),
                    (None, None) => {}
                }
            }
        })
    }
}

/// The ground and what is changed of it, side by side, in a folder and below.
struct Merged<'l> {
    ground: &'l Ground,
    places: Range<usize>,
    changed: Peekable<btree_map::Range<'l, Arc<str>, Option<Entry>>>,
    /// What the paths begin with.
    prefix: String,
}

impl<'l> Merged<'l> {
    fn new(listing: &'l Listing, folder: &str) -> Self {
        let prefix = if folder.is_empty() { String::new() } else { [folder, "/"].concat() };
        let changed = listing.changed.range::<str, _>((Bound::Included(prefix.as_str()), Bound::Unbounded));
        Self { ground: &listing.ground, places: listing.ground.below(folder), changed: changed.peekable(), prefix }
    }

    /// Goes on after all that lies below a folder.
    fn pass(&mut self, folder: &str) {
        self.places.start = self.places.start.max(self.ground.below(folder).end);
        while self.changed.next_if(|(path, _)| path::below(path, folder).is_some()).is_some() {}
    }
}

impl<'l> Iterator for Merged<'l> {
    type Item = (&'l str, Option<Entry>);

    fn next(&mut self) -> Option<Self::Item> {
        let known = self.ground.entries[self.places.clone()].first();
        let changed = self.changed.peek().map(|(path, _)| &***path).filter(|path| path.starts_with(&self.prefix));
        match (known, changed) {
            (Some((path, entry)), changed) if changed.is_none_or(|changed| **path < *changed) => {
                self.places.start += 1;
                Some((path, Some(*entry)))
            }
            (known, changed) => {
                let changed = changed?;
                self.places.start += usize::from(known.is_some_and(|(path, _)| **path == *changed));
                self.changed.next().map(|(path, entry)| (&**path, *entry))
            }
        }
    }
}

impl Ground {
    /// What is at these paths, which are in order.
    fn new(entries: Vec<Listed>) -> Self {
        let mut ground = Self { files: HashTable::with_capacity(entries.len()), folders: HashTable::new(), entries };
        // The folders that the paths so far end in, from the outside in, each with its first file.
        let mut open: Vec<(usize, usize)> = Vec::new();
        let mut before = "";
        let mut folders = Vec::new();
        for (place, (path, _)) in ground.entries.iter().enumerate() {
            let common = path.bytes().zip(before.bytes()).take_while(|(one, other)| one == other).count();
            while let Some((length, first)) = open.pop_if(|(length, _)| *length >= common) {
                folders.push(Folder::new(first, place, length));
            }
            let known = open.last().map_or(0, |(length, _)| length + 1);
            open.extend(memchr::memchr_iter(b'/', &path.as_bytes()[known..]).map(|end| (known + end, place)));
            before = path;
        }
        folders.extend(open.into_iter().map(|(length, first)| Folder::new(first, ground.entries.len(), length)));
        ground.index(folders);
        ground
    }

    fn index(&mut self, folders: Vec<Folder>) {
        let entries = &self.entries;
        for (place, (path, _)) in (0..).zip(entries) {
            self.files.insert_unique(hash(path), place, |place| hash(path_at(entries, *place)));
        }
        for folder in folders {
            self.folders.insert_unique(hash(folder.path(entries)), folder, |folder| hash(folder.path(entries)));
        }
    }

    fn find(&self, path: &str) -> Option<(&str, Entry)> {
        let place = self.files.find(hash(path), |place| path_at(&self.entries, *place) == path)?;
        self.entries.get(*place as usize).map(|(path, entry)| (&**path, *entry))
    }

    /// The places of the files below a folder.
    fn below(&self, folder: &str) -> Range<usize> {
        if folder.is_empty() {
            return 0..self.entries.len();
        }
        let found = self.folders.find(hash(folder), |known| known.path(&self.entries) == folder);
        found.map_or(0..0, |folder| folder.first as usize..folder.end as usize)
    }
}

impl Folder {
    /// Git counts the entries of an index by 32 bits as well, and the length of a path by fewer.
    fn new(first: usize, end: usize, length: usize) -> Self {
        let [first, end, length] = [first, end, length].map(|number| u32::try_from(number).unwrap_or(u32::MAX));
        Self { first, end, length }
    }

    fn path(self, entries: &[Listed]) -> &str {
        &path_at(entries, self.first)[..self.length as usize]
    }
}

fn path_at(entries: &[Listed], place: u32) -> &str {
    entries.get(place as usize).map_or("", |(path, _)| path)
}

fn hash(path: &str) -> u64 {
    FixedState::default().hash_one(path)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::files::{BlobId, Kind};

    fn entry(content: u8) -> Entry {
        Entry { kind: Kind::File, id: BlobId([content; 20]) }
    }

    fn listed(files: &BTreeMap<String, u8>) -> Listing {
        Listing::new(files.iter().map(|(path, content)| (path.as_str().into(), entry(*content))).collect())
    }

    /// All folders of some files, and one that is none.
    fn folders(files: &BTreeMap<String, u8>) -> BTreeSet<&str> {
        files.keys().flat_map(|path| path::around(path::folder(path))).chain(["a/none"]).collect()
    }

    /// Files of which none is a folder as well, as in a commit.
    fn commits() -> impl Strategy<Value = BTreeMap<String, u8>> {
        let path = prop::collection::vec(prop::sample::select(vec!["a", "a-b", "a.b", "b"]), 1..4);
        prop::collection::btree_map(path.prop_map(|parts| parts.join("/")), 0..3_u8, 0..12).prop_map(|mut files| {
            let folders: BTreeSet<String> =
                files.keys().flat_map(|path| path::around(path::folder(path))).map(str::to_owned).collect();
            files.retain(|path, _| !folders.contains(path));
            files
        })
    }

    proptest! {
        #[test]
        fn told_by_what_differs_it_is_the_same(before in commits(), after in commits()) {
            let (old, new) = (listed(&before), listed(&after));
            let changes: BTreeMap<&str, Option<Entry>> =
                old.apart(&new).into_iter().map(|(path, [_, entry])| (path, entry)).collect();
            let told = old.but(changes.iter().map(|(path, entry)| (*path, *entry)));
            for folder in folders(&before).into_iter().chain(folders(&after)) {
                let is_below = |path: &&str| path::below(path, folder).is_some_and(|below| !below.is_empty());
                let expected: Vec<&str> = after.keys().map(String::as_str).filter(is_below).collect();
                let below = |listing: &Listing| listing.below(folder).map(|(path, _)| path.to_owned()).collect::<Vec<_>>();
                prop_assert_eq!(&below(&new), &expected);
                prop_assert_eq!(&below(&told), &expected);
                prop_assert_eq!((new.has_folder(folder), told.has_folder(folder)), (!expected.is_empty(), !expected.is_empty()));
                prop_assert!(new.children(folder).eq(told.children(folder)));
            }
            for path in before.keys().chain(after.keys()) {
                let expected = after.get(path).map(|content| (path.as_str(), entry(*content)));
                prop_assert_eq!((new.find(path), told.find(path)), (expected, expected));
            }
            let differing: Vec<&str> = changes.keys().copied().collect();
            prop_assert!(told.apart(&new).is_empty());
            prop_assert_eq!(told.apart(&old).into_keys().collect::<Vec<_>>(), differing);
        }
    }
}
