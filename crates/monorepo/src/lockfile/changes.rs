//! What differs between two subtrees, for people.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

use foldhash::HashMap;

use super::{Lock, Package, PackageId};
use crate::digest::Digest;

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The package.
    pub name: String,
    /// The versions that there are no longer; where only the content differs, those of which it does.
    pub from: Vec<String>,
    /// The versions that there were not before; where only the content differs, the same.
    pub to: Vec<String>,
    /// How it is reached: the direct dependency, what that depends on, … down to the package itself.
    pub way: Vec<String>,
    /// What differs.
    pub difference: Difference,
}

/// What differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Difference {
    /// Which versions there are.
    Versions,
    /// What is in a version: its integrity, its patch, where it is from.
    Content,
    /// Nothing but which version the one before it on the way gets.
    Edge,
    /// Nothing that has a name: what is below is put together otherwise.
    Below,
}

/// What differs between what is at and below two sets of packages: direct ones first. Empty only if their subtrees are the same.
pub fn changes(old: (&Lock, &[PackageId]), new: (&Lock, &[PackageId])) -> Vec<Change> {
    if subtrees(old) == subtrees(new) {
        return Vec::new();
    }
    let (old, new) = (Side::new(old), Side::new(new));
    let mut changes = inventory(&old, &new);
    let explained: BTreeSet<_> = changes.iter().map(|change| change.name.clone()).collect();
    changes.extend(edges(&old, &new).into_iter().filter(|change| !explained.contains(&change.name)));
    if changes.is_empty() {
        changes = below(&old, &new);
    }
    changes.sort_by(|one, other| order(one).cmp(&order(other)));
    changes
}

fn order(change: &Change) -> (usize, &[String], &str, Difference) {
    (change.way.len(), &change.way, &change.name, change.difference)
}

fn subtrees((lock, roots): (&Lock, &[PackageId])) -> BTreeSet<Digest> {
    roots.iter().filter_map(|root| Some(lock.package(*root)?.subtree)).collect()
}

/// One of the two, with what it reaches.
struct Side<'l> {
    lock: &'l Lock,
    roots: &'l [PackageId],
    /// Of each that is reached, the one that it is reached by; `None` for a root.
    by: HashMap<PackageId, Option<PackageId>>,
    /// In the order of distance.
    reached: Vec<(PackageId, &'l Package)>,
}

impl<'l> Side<'l> {
    fn new((lock, roots): (&'l Lock, &'l [PackageId])) -> Self {
        let mut side = Self { lock, roots, by: HashMap::default(), reached: Vec::new() };
        let mut waiting: VecDeque<_> = roots.iter().map(|id| (*id, None)).collect();
        while let Some((id, by)) = waiting.pop_front() {
            let Some(package) = lock.package(id).filter(|_| !side.by.contains_key(&id)) else { continue };
            side.by.insert(id, by);
            side.reached.push((id, package));
            waiting.extend(package.dependencies.iter().map(|(_, below)| (*below, Some(id))));
        }
        side
    }

    fn inventory(&self) -> Inventory<'l> {
        let mut inventory = Inventory::new();
        for (id, package) in &self.reached {
            let versions = inventory.entry(&package.name).or_default();
            versions.entry(&package.version).or_insert((*id, BTreeSet::new())).1.insert(package.content);
        }
        inventory
    }

    /// The names from a root to a package.
    fn way(&self, to: PackageId) -> Vec<String> {
        let mut way = Vec::new();
        let mut next = Some(to);
        while let Some(id) = next {
            way.extend(self.lock.package(id).map(|package| package.name.clone()));
            next = self.by.get(&id).copied().flatten();
        }
        way.reverse();
        way
    }

    /// What each package gets under each name; those that are alike count as one. The roots' is first, without a package.
    fn wiring(&self) -> Vec<(Option<(PackageId, Digest)>, Edges<'l>)> {
        let mut wiring: Vec<(_, Edges<'_>)> = vec![(None, Edges::new())];
        let mut places = HashMap::default();
        for root in self.roots.iter().filter_map(|root| self.lock.package(*root)) {
            wiring[0].1.entry(&root.name).or_default().insert((&root.name, &root.version));
        }
        for (id, package) in &self.reached {
            let place = *places.entry(package.content).or_insert(wiring.len());
            if place == wiring.len() {
                wiring.push((Some((*id, package.content)), Edges::new()));
            }
            for (name, below) in &package.dependencies {
                let Some(below) = self.lock.package(*below) else { continue };
                wiring[place].1.entry(name).or_default().insert((&below.name, &below.version));
            }
        }
        wiring
    }
}

/// Names and versions by what they are called.
type Edges<'l> = BTreeMap<&'l str, BTreeSet<(&'l str, &'l str)>>;

/// By name and version, the first in distance and all contents.
type Inventory<'l> = BTreeMap<&'l str, BTreeMap<&'l str, (PackageId, BTreeSet<Digest>)>>;

/// Versions that came or went, and those with another content.
fn inventory(old: &Side<'_>, new: &Side<'_>) -> Vec<Change> {
    let (before, after) = (old.inventory(), new.inventory());
    let nothing = BTreeMap::new();
    let names: BTreeSet<_> = before.keys().chain(after.keys()).copied().collect();
    let mut changes = Vec::new();
    for name in names {
        let (before, after) = (before.get(name).unwrap_or(&nothing), after.get(name).unwrap_or(&nothing));
        let gone: Vec<_> = before.iter().filter(|(version, _)| !after.contains_key(*version)).collect();
        let came: Vec<_> = after.iter().filter(|(version, _)| !before.contains_key(*version)).collect();
        let differs = |version: &str, contents| before.get(version).is_some_and(|(_, before)| before != contents);
        let other: Vec<_> = after.iter().filter(|(version, (_, contents))| differs(version, contents)).collect();
        let first = |side: &[(&&str, &(PackageId, _))]| side.first().map(|(_, (id, _))| *id);
        let change = |from: &[(&&str, &_)], to: &[(&&str, &_)], way, difference| {
            let versions = |side: &[(&&str, &_)]| side.iter().map(|(version, _)| (**version).to_owned()).collect();
            Change { name: name.to_owned(), from: versions(from), to: versions(to), way, difference }
        };
        if let Some(way) = first(&came).map(|id| new.way(id)).or_else(|| first(&gone).map(|id| old.way(id))) {
            changes.push(change(&gone, &came, way, Difference::Versions));
        }
        if let Some(id) = first(&other) {
            changes.push(change(&other, &other, new.way(id), Difference::Content));
        }
    }
    changes
}

/// Packages that are the same and get another version of something.
fn edges(old: &Side<'_>, new: &Side<'_>) -> Vec<Change> {
    let before = old.wiring();
    let before: HashMap<_, _> = before.iter().map(|(at, edges)| (at.map(|(_, content)| content), edges)).collect();
    let mut changes = Vec::new();
    for (at, after) in new.wiring() {
        let Some(before) = before.get(&at.map(|(_, content)| content)) else { continue };
        let nothing = BTreeSet::new();
        let names: BTreeSet<_> = before.keys().chain(after.keys()).copied().collect();
        for name in names {
            let (before, after) = (before.get(name).unwrap_or(&nothing), after.get(name).unwrap_or(&nothing));
            let Some((name, _)) = after.symmetric_difference(before).next() else { continue };
            let versions = |set: &BTreeSet<(&str, &str)>, without: &BTreeSet<_>| {
                set.difference(without).map(|(_, version)| (*version).to_owned()).collect()
            };
            let mut way = at.map(|(id, _)| new.way(id)).unwrap_or_default();
            way.push((*name).to_owned());
            let (from, to) = (versions(before, after), versions(after, before));
            changes.push(Change { name: (*name).to_owned(), from, to, way, difference: Difference::Edge });
        }
    }
    changes
}

/// The direct ones below which something differs.
fn below(old: &Side<'_>, new: &Side<'_>) -> Vec<Change> {
    let (known, now) = (subtrees((old.lock, old.roots)), subtrees((new.lock, new.roots)));
    let differs = |package: &&Package| !(known.contains(&package.subtree) && now.contains(&package.subtree));
    let roots = |side: &Side<'_>| -> BTreeMap<String, BTreeSet<String>> {
        let mut roots: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for package in side.roots.iter().filter_map(|root| side.lock.packages.get(root.0)).filter(differs) {
            roots.entry(package.name.clone()).or_default().insert(package.version.clone());
        }
        roots
    };
    let (mut before, after) = (roots(old), roots(new));
    let mut names: BTreeSet<_> = before.keys().cloned().collect();
    names.extend(after.keys().cloned());
    let change = |name: String| {
        let versions = |set: Option<BTreeSet<String>>| set.into_iter().flatten().collect();
        let (from, to) = (versions(before.remove(&name)), versions(after.get(&name).cloned()));
        Change { way: vec![name.clone()], name, from, to, difference: Difference::Below }
    };
    names.into_iter().map(change).collect()
}

impl fmt::Display for Change {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, from, to, way, difference } = self;
        let above = way.split_last().map(|(_, above)| above.join(" → ")).unwrap_or_default();
        let (from, to) = (from.join(", "), to.join(", "));
        match (difference, from.as_str(), to.as_str()) {
            (Difference::Versions, "", to) => write!(formatter, "{name} {to} (new)"),
            (Difference::Versions, from, "") => write!(formatter, "{name} {from} (gone)"),
            (Difference::Versions, from, to) => write!(formatter, "{name} {from} → {to}"),
            (Difference::Content, _, to) => write!(formatter, "{name} {to}: other content"),
            (Difference::Edge, from, to) if above.is_empty() => write!(formatter, "{name}: now {to} instead of {from}"),
            (Difference::Edge, "", to) => write!(formatter, "{above}: now with {name} {to}"),
            (Difference::Edge, from, "") => write!(formatter, "{above}: now without {name} {from}"),
            (Difference::Edge, from, to) => write!(formatter, "{above}: now with {name} {to} instead of {from}"),
            (Difference::Below, _, to) => write!(formatter, "{name} {to}: put together otherwise below"),
        }
    }
}
