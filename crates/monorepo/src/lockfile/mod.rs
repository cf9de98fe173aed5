//! Lockfiles as graphs: what is installed for a project is the whole subtree below its dependencies, with its edges.
//!
//! An inventory of versions is not enough: an edge that is pointed at another version that was there before changes what a
//! project gets, and no version in the file (<https://github.com/nrwl/nx/issues/36929>). What a file says of how it was written
//! (order, comments, indentation, which of its parts are for development) counts nothing.

mod berry;
mod bun;
mod cargo;
mod changes;
mod classic;
mod descriptors;
mod graph;
mod npm;
mod pnpm;
mod yaml;

use std::collections::BTreeSet;

use foldhash::{HashMap, HashSet};

pub use self::changes::{Change, Difference, changes};
use self::graph::Draft;
use crate::digest::Digest;
use crate::files::Files;
use crate::path;
use crate::problem::Problem;

/// A lockfile.
#[derive(Clone, Debug)]
pub struct Lock {
    /// Where it is.
    pub path: String,
    /// All that it may install from elsewhere. What is the repository's own is in [`Lock::importers`].
    pub packages: Vec<Package>,
    importers: Vec<Member>,
    finder: Finder,
}

/// A package's place in [`Lock::packages`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackageId(pub usize);

/// One package as it is installed; a package that is installed twice, with different peers, is two.
#[derive(Clone, Debug)]
pub struct Package {
    /// Its own name, whatever those that depend on it call it.
    pub name: String,
    /// Its version; where the file tells none, where it is from.
    pub version: String,
    /// What it is by itself: name, version, content (integrity, or else where it is from), patch, platforms, peers.
    ///
    /// Not whether it is for development or optional: the file works that out over all importers, so that it changes for one
    /// with what another one needs.
    pub digest: Digest,
    /// What it depends on, by the name that it calls it.
    pub dependencies: Vec<(String, PackageId)>,
    /// Members of the workspace that it depends on (a peer, a patched crate), as in [`Resolution::Workspace`].
    pub workspaces: Vec<String>,
    /// The patch that it gets, relative to the lockfile's folder, where the lockfile does not tell the patch's content (bun).
    pub patch: Option<String>,
    /// What it is with all that is below it.
    pub subtree: Digest,
    /// [`Package::digest`] without the peers.
    content: Digest,
}

/// Who depends on something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Importer<'a> {
    /// Its folder, relative to the lockfile's folder; blank is that folder itself.
    pub folder: &'a str,
    /// The name in its manifest. Cargo's lockfile knows it by this alone.
    pub package: Option<&'a str>,
}

/// What a dependency is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// This package.
    Package(PackageId),
    /// One of these; the file does not tell which (an override in a manifest does).
    OneOf(Vec<PackageId>),
    /// A member of the workspace: its folder relative to the lockfile's, or in Cargo's lockfile its name.
    Workspace(String),
    /// Nothing that the file knows of.
    Missing,
}

/// A member of the workspace, as the lockfile has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its folder, relative to the lockfile's folder, if the file tells.
    pub folder: Option<String>,
    /// Its name, if the file tells.
    pub name: Option<String>,
    /// What it depends on, by the name that it calls it; Cargo's lockfile has the names before renaming. No [`Resolution::Missing`].
    pub dependencies: Vec<(String, Resolution)>,
}

/// How a format looks up what an importer depends on.
#[derive(Clone, Debug)]
enum Finder {
    /// Each member's dependencies are listed, by its folder (pnpm).
    ByFolder(HashMap<String, usize>),
    /// Each member's dependencies are listed, by its name (Cargo).
    ByName(HashMap<String, usize>),
    /// By place below `node_modules` (npm).
    Folders(npm::Folders),
    /// By the names on the way from a member (bun).
    Keys(bun::Keys),
    /// By name and range (yarn).
    Descriptors(descriptors::Descriptors),
}

/// The names that package managers read, apart from bun's binary one.
const NAMES: [&str; 6] =
    ["package-lock.json", "npm-shrinkwrap.json", "pnpm-lock.yaml", "yarn.lock", "bun.lock", "Cargo.lock"];

/// Bun's lockfile before 1.2.
const BINARY: &str = "bun.lockb";

/// The lockfiles of a commit that a package manager would read, in order.
pub fn known(files: &Files<'_>) -> Vec<String> {
    let paths = files.iter().map(|(path, _)| path).filter(|path| is_read(files, path));
    paths.map(str::to_owned).collect()
}

fn is_read(files: &Files<'_>, path: &str) -> bool {
    let folder = path::folder(path);
    let beside = |other: &str| files.has(&join(folder, other));
    let is_lock = match path::name(path) {
        // npm: "npm-shrinkwrap.json will take precedence".
        "package-lock.json" => !beside("npm-shrinkwrap.json"),
        BINARY => !beside("bun.lock"),
        name => NAMES.contains(&name),
    };
    is_lock && !folder.split('/').any(|part| part == "node_modules")
}

/// Reads a lockfile of a commit.
pub fn open(files: &Files<'_>, path: &str) -> Result<Lock, Problem> {
    if path::name(path) == BINARY {
        return read(path, "");
    }
    let text = files.text(path)?.ok_or_else(|| Problem::new(path, "no such file"))?;
    read(path, &text)
}

/// Reads a lockfile.
pub fn read(path: &str, text: &str) -> Result<Lock, Problem> {
    if let Some(line) = text.lines().position(|line| line.starts_with("<<<<<<< ")) {
        return Err(Problem::new(path, "a merge conflict that is not resolved").at(line + 1));
    }
    match path::name(path) {
        "package-lock.json" | "npm-shrinkwrap.json" => npm::read(path, text),
        "pnpm-lock.yaml" => pnpm::read(path, text),
        "yarn.lock" if text.lines().any(|line| line.starts_with("__metadata:")) => berry::read(path, text),
        "yarn.lock" => classic::read(path, text),
        "bun.lock" => bun::read(path, text),
        "Cargo.lock" => cargo::read(path, text),
        BINARY => {
            Err(Problem::new(path, "binary: `bun install --save-text-lockfile` writes a bun.lock that can be read"))
        }
        _ => Err(Problem::new(path, format!("not a lockfile that is known: {}", NAMES.join(", ")))),
    }
}

impl Lock {
    fn new(path: &str, drafts: Vec<Draft>, importers: Vec<Member>, finder: Finder) -> Self {
        Self { path: path.to_owned(), packages: graph::packages(drafts), importers, finder }
    }

    /// A package.
    pub fn package(&self, id: PackageId) -> Option<&Package> {
        self.packages.get(id.0)
    }

    /// What an importer gets for a dependency, by the name and range of its manifest.
    pub fn resolve(&self, importer: Importer<'_>, dependency: &str, range: &str) -> Resolution {
        match &self.finder {
            Finder::ByFolder(members) => self.listed(members.get(importer.folder), dependency),
            Finder::ByName(members) => self.listed(importer.package.and_then(|name| members.get(name)), dependency),
            Finder::Folders(folders) => folders.find(importer.folder, dependency),
            Finder::Keys(keys) => keys.of_importer(importer.folder, dependency),
            Finder::Descriptors(descriptors) => descriptors.find(dependency, range),
        }
    }

    fn listed(&self, member: Option<&usize>, dependency: &str) -> Resolution {
        let member = member.and_then(|place| self.importers.get(*place));
        let dependencies = member.into_iter().flat_map(|member| &member.dependencies);
        one(dependencies.filter(|(name, _)| name == dependency).map(|(_, resolution)| resolution))
    }

    /// The members of the workspace, as far as the file tells: all but yarn's classic does.
    pub fn importers(&self) -> &[Member] {
        &self.importers
    }

    /// All that is at or below some packages, in order.
    pub fn reach(&self, roots: impl IntoIterator<Item = PackageId>) -> BTreeSet<PackageId> {
        let mut reached = HashSet::default();
        let mut waiting: Vec<_> = roots.into_iter().collect();
        while let Some(id) = waiting.pop() {
            if let Some(package) = self.package(id)
                && reached.insert(id)
            {
                waiting.extend(package.dependencies.iter().map(|(_, id)| *id));
            }
        }
        reached.into_iter().collect()
    }
}

impl Resolution {
    /// The packages that it may be.
    pub fn packages(&self) -> &[PackageId] {
        match self {
            Self::Package(id) => std::slice::from_ref(id),
            Self::OneOf(ids) => ids,
            Self::Workspace(_) | Self::Missing => &[],
        }
    }
}

/// One resolution for all that a name may be.
fn one<'r>(resolutions: impl IntoIterator<Item = &'r Resolution>) -> Resolution {
    let mut packages = BTreeSet::new();
    let mut last = Resolution::Missing;
    for resolution in resolutions {
        packages.extend(resolution.packages());
        last = resolution.clone();
    }
    if packages.len() > 1 { Resolution::OneOf(packages.into_iter().collect()) } else { last }
}

/// A path from a folder, without `.` and `..`; what leads out of the root keeps its `..`.
fn join(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in folder.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests;
