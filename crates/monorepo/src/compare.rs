//! What differs between what one image is made of in two commits, and the way from the service to it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use crate::digest::Digest;
use crate::files::Entry;
use crate::inputs::{Inputs, Items, Packages, Part};
use crate::lockfile::{self, Change};
use crate::snapshot::Snapshot;

/// Something that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The projects from the service's own to the one that it is found in; blank if it is no project's.
    pub way: Vec<String>,
    /// What differs.
    pub what: What,
}

/// What differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Files, each with what happened to it.
    Files(Vec<(String, Fate)>),
    /// What is installed.
    Packages {
        /// As the lockfile says.
        lockfile: String,
        /// Which packages, the direct ones first.
        changes: Vec<Change>,
    },
    /// Parts of a configuration file.
    Settings {
        /// The file.
        file: String,
        /// The parts.
        parts: Vec<String>,
    },
    /// It depends on the project that the way leads to now, and did not before.
    Reached,
    /// It depended on this project, and does no more.
    Left(String),
    /// The image of another service, which it is made from or depends on, is another.
    Service(String),
}

/// What happened to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was not there, or did not count.
    Added,
    /// It has another content or mode.
    Changed,
    /// It is not there any more, or does not count.
    Removed,
}

/// One side of a comparison.
#[derive(Clone, Copy)]
struct Side<'a, 's> {
    snapshot: &'a Snapshot<'s>,
    items: &'a Items<'a>,
}

/// What differs between two commits, the nearest first. Empty if, and only if, the content keys are equal.
pub fn compare(base: (&Snapshot<'_>, &Inputs<'_>), head: (&Snapshot<'_>, &Inputs<'_>)) -> Vec<Difference> {
    let ((old_snapshot, old), (new_snapshot, new)) = (base, head);
    if old.key == new.key {
        return Vec::new();
    }
    let empty = Items::default();
    let mut differences = Vec::new();
    for part in old.parts.keys().chain(new.parts.keys()).collect::<BTreeSet<_>>() {
        let (before, after) = (old.parts.get(part), new.parts.get(part));
        // What is the same in both commits was collected once.
        if before.zip(after).is_some_and(|(before, after)| Arc::ptr_eq(before, after)) {
            continue;
        }
        let way = match part {
            Part::Project(name) => new.way(name),
            Part::Build | Part::Copied | Part::Named => Vec::new(),
        };
        match (part, before, after) {
            (Part::Project(_), None, Some(_)) => differences.push(Difference { way, what: What::Reached }),
            (Part::Project(name), Some(_), None) => {
                differences.push(Difference { way: Vec::new(), what: What::Left(name.clone()) });
            }
            _ => {
                let old = Side { snapshot: old_snapshot, items: before.map_or(&empty, |items| &**items) };
                let new = Side { snapshot: new_snapshot, items: after.map_or(&empty, |items| &**items) };
                differences.extend(whats(old, new).into_iter().map(|what| Difference { way: way.clone(), what }));
            }
        }
    }
    let services = changed(&old.services, &new.services);
    differences.extend(services.into_iter().map(|(key, _)| Difference { way: Vec::new(), what: What::Service(key) }));
    differences.sort_by_key(|difference| difference.way.len());
    once(differences)
}

/// A file may be copied by name and be of a project, too: it is told once.
fn once(mut differences: Vec<Difference>) -> Vec<Difference> {
    let mut told = BTreeSet::new();
    for difference in &mut differences {
        if let What::Files(files) = &mut difference.what {
            files.retain(|(path, _)| told.insert(path.clone()));
        }
    }
    differences.retain(|difference| !matches!(&difference.what, What::Files(files) if files.is_empty()));
    differences
}

fn whats(old: Side<'_, '_>, new: Side<'_, '_>) -> Vec<What> {
    let files = |side: Side<'_, '_>| -> BTreeMap<String, Entry> {
        side.items.files.iter().map(|(path, entry)| ((*path).to_owned(), *entry)).collect()
    };
    let settings = |side: Side<'_, '_>| -> BTreeMap<(String, String), Digest> {
        let settings = side.items.settings.iter();
        settings.map(|setting| ((setting.file.to_string(), setting.part.to_string()), setting.digest)).collect()
    };
    let mut whats = Vec::new();
    if old.items.files != new.items.files {
        whats.push(What::Files(changed(&files(old), &files(new))));
    }
    let mut parts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for ((file, part), _) in changed(&settings(old), &settings(new)) {
        parts.entry(file).or_default().push(part);
    }
    whats.extend(parts.into_iter().map(|(file, parts)| What::Settings { file, parts }));
    let lockfiles = old.items.packages.iter().chain(&new.items.packages).map(|packages| packages.lockfile);
    let lockfiles: BTreeSet<&str> = lockfiles.collect();
    whats.extend(lockfiles.into_iter().filter_map(|lockfile| installed(lockfile, old, new)));
    whats
}

/// What differs of what is installed from a lockfile.
fn installed(lockfile: &str, old: Side<'_, '_>, new: Side<'_, '_>) -> Option<What> {
    let (before, after) = (old.packages(lockfile), new.packages(lockfile));
    if before.map(|packages| packages.digest) == after.map(|packages| packages.digest) {
        return None;
    }
    let locks = old.snapshot.lock(lockfile).zip(new.snapshot.lock(lockfile));
    let roots = |packages: Option<&Packages<'_>>| packages.map(|packages| packages.roots.clone()).unwrap_or_default();
    let changes = locks.map(|(old, new)| lockfile::changes((old, &roots(before)), (new, &roots(after))));
    Some(What::Packages { lockfile: lockfile.to_owned(), changes: changes.unwrap_or_default() })
}

impl<'a> Side<'a, '_> {
    fn packages(self, lockfile: &str) -> Option<&'a Packages<'a>> {
        self.items.packages.iter().find(|packages| packages.lockfile == lockfile)
    }
}

/// What two maps do not have in common.
fn changed<Key: Ord + Clone, Value: PartialEq>(
    old: &BTreeMap<Key, Value>,
    new: &BTreeMap<Key, Value>,
) -> Vec<(Key, Fate)> {
    let keys: BTreeSet<&Key> = old.keys().chain(new.keys()).collect();
    let fate = |key: &Key| match (old.get(key), new.get(key)) {
        (None, _) => Some(Fate::Added),
        (_, None) => Some(Fate::Removed),
        (old, new) => (old != new).then_some(Fate::Changed),
    };
    keys.into_iter().filter_map(|key| Some((key.clone(), fate(key)?))).collect()
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The service's own project goes without saying.
        for project in self.way.iter().skip(1) {
            write!(formatter, "{project} ← ")?;
        }
        fmt::Display::fmt(&self.what, formatter)
    }
}

impl fmt::Display for What {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Files(files) => match files.as_slice() {
                [] => write!(formatter, "other files"),
                [(path, fate)] => write!(formatter, "{path}{}", fate.word()),
                [(path, fate), more @ ..] => write!(formatter, "{path}{} and {} more", fate.word(), more.len()),
            },
            Self::Packages { lockfile, changes } => match changes.as_slice() {
                [] => write!(formatter, "{lockfile}: other packages"),
                [change] => write!(formatter, "{lockfile}: {change}"),
                [change, more @ ..] => write!(formatter, "{lockfile}: {change} and {} more", more.len()),
            },
            Self::Settings { file, parts } if parts.iter().all(String::is_empty) => write!(formatter, "{file}"),
            Self::Settings { file, parts } => write!(formatter, "{file}: {}", parts.join(", ")),
            Self::Reached => write!(formatter, "a dependency that it did not have"),
            Self::Left(project) => write!(formatter, "{project}, which it depends on no more"),
            Self::Service(key) => write!(formatter, "the image of {key}"),
        }
    }
}

impl Fate {
    /// What follows the name of the file.
    fn word(self) -> &'static str {
        match self {
            Self::Added => " (new)",
            Self::Changed => "",
            Self::Removed => " (gone)",
        }
    }
}
