//! What a service's image is made of, item by item, and the content key over all of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use foldhash::HashMap;

use crate::digest::{Digest, Hasher};
use crate::files::{Entry, Kind};
use crate::lockfile::PackageId;
use crate::setting::Setting;

/// Counts up when the same files would give another key than before: all images are then built once more.
const EDITION: &str = "2";

/// All that one image is made of.
#[derive(Clone, Debug)]
pub struct Inputs<'s> {
    /// The content key: it changes when, and only when, something does that the image is made of.
    pub key: Digest,
    /// By where they come from.
    pub(crate) parts: BTreeMap<Part, Arc<Items<'s>>>,
    /// Each project that it reaches with the one that leads there on the shortest way; the first with itself.
    pub(crate) before: BTreeMap<String, String>,
    /// The services whose images it is made from, with their keys.
    pub(crate) services: BTreeMap<String, Digest>,
    /// What a reader should know of how they were found.
    pub remarks: Vec<String>,
}

/// Where some inputs come from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    /// How the image is built: Dockerfile, target, arguments, platform.
    Build,
    /// What the Dockerfile copies, apart from what projects tell.
    Copied,
    /// What the delivery file's `paths` name.
    Named,
    /// A project, by its name.
    Project(String),
}

/// Some inputs.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Items<'s> {
    pub(crate) files: Vec<(&'s str, Entry)>,
    pub(crate) settings: Vec<Setting>,
    pub(crate) packages: Vec<Packages<'s>>,
}

/// What of a lockfile is installed.
#[derive(Clone, Debug)]
pub(crate) struct Packages<'s> {
    pub(crate) lockfile: &'s str,
    pub(crate) roots: Vec<PackageId>,
    pub(crate) digest: Digest,
}

/// The same packages may be at other places of another lockfile.
impl PartialEq for Packages<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl Inputs<'_> {
    /// The projects from the service's own to another one, on the shortest way.
    pub(crate) fn way(&self, to: &str) -> Vec<String> {
        let mut way = Vec::new();
        let mut next = self.before.get_key_value(to).map(|(name, _)| name);
        while let Some(name) = next {
            way.push(name.clone());
            next = self.before.get(name).filter(|before| *before != name);
        }
        way.reverse();
        way
    }

    /// Whether a file is among them.
    pub fn has(&self, path: &str) -> bool {
        self.parts.values().any(|items| items.has(path))
    }
}

impl Items<'_> {
    /// Sorts what was collected, so that it is the same whatever the order was.
    pub(crate) fn settled(mut self) -> Self {
        self.files.sort_unstable_by_key(|(path, _)| *path);
        self.files.dedup_by_key(|(path, _)| *path);
        self.settings.sort();
        self.settings.dedup();
        self.packages.sort_by_key(|packages| packages.lockfile);
        self
    }

    /// Whether a file is among them, once they are settled.
    pub(crate) fn has(&self, path: &str) -> bool {
        self.files.binary_search_by_key(&path, |(path, _)| *path).is_ok()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.files.is_empty() && self.settings.is_empty() && self.packages.is_empty()
    }

    pub(crate) fn digest(&self, lists: &mut Lists) -> Digest {
        let mut hasher = Hasher::default();
        for (path, entry) in &self.files {
            hasher.field(path);
            hasher.field([mode(entry.kind)]);
            hasher.field(entry.id.0);
        }
        hasher.field(lists.digest(&self.settings));
        self.packages.iter().for_each(|packages| hasher.field(packages.digest));
        hasher.finish()
    }
}

/// The digests of lists of settings: most projects have the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lists(HashMap<Vec<Setting>, Digest>);

impl Lists {
    fn digest(&mut self, settings: &Vec<Setting>) -> Digest {
        if let Some(known) = self.0.get(settings) {
            return *known;
        }
        let digest = Digest::of(settings.iter().flat_map(Setting::fields));
        self.0.insert(settings.clone(), digest);
        digest
    }
}

/// The content keys of services: the digests of items that several of them share are made once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keys {
    known: BTreeMap<usize, Digest>,
    lists: Lists,
}

impl Keys {
    /// Takes the digest of items that live on.
    pub(crate) fn know(&mut self, items: &Arc<Items<'_>>, digest: Digest) {
        self.known.insert(Arc::as_ptr(items).addr(), digest);
    }

    /// The key over parts, which live on, and the keys of the services whose images are among them.
    pub(crate) fn of(&mut self, parts: &BTreeMap<Part, Arc<Items<'_>>>, services: &BTreeMap<String, Digest>) -> Digest {
        let Self { known, lists } = self;
        let digest =
            |items: &Arc<Items<'_>>| *known.entry(Arc::as_ptr(items).addr()).or_insert_with(|| items.digest(lists));
        let mut digests: Vec<Digest> = parts.values().map(digest).collect();
        // Neither the names of the projects nor their order is in an image.
        digests.sort_unstable();
        let mut hasher = Hasher::default();
        hasher.field(EDITION);
        digests.iter().chain(services.values()).for_each(|digest| hasher.field(digest));
        hasher.finish()
    }
}

fn mode(kind: Kind) -> u8 {
    match kind {
        Kind::File => 0,
        Kind::Executable => 1,
        Kind::Link => 2,
        Kind::Submodule => 3,
    }
}
