//! The projects of a workspace: what each says that it depends on, which of its files count for what is built of it, which targets
//! it has, and which parts of the root's configuration reach it. From a commit's files alone.
//!
//! [`Workspace::read`] takes npm, yarn, pnpm and lerna workspaces (`packages`), Nx (`nx`, `plugins`), Turborepo (`turbo`) and
//! Cargo (`cargo`). What sources import is not declared: [`crate::imports`] tells.

mod cargo;
mod discovery;
mod expansion;
mod manifests;
mod nx;
mod nxignore;
mod packages;
mod patterns;
mod plugins;
mod reading;
mod selection;
mod turbo;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use foldhash::HashMap;

use crate::digest::Digest;
use crate::files::Files;
use crate::path;
use crate::problem::Problem;
use crate::setting::Setting;

pub use packages::PackageRoot;
pub use selection::{Reads, Role, Selection, Shared};

/// A project by its place in [`Workspace::projects`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProjectId(pub usize);

/// One project.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Project {
    /// What Nx calls it, else its npm package, its crate, its folder. Of two with one name, the second is called by its root.
    pub name: String,
    /// Its folder; blank is the repository's root.
    pub root: String,
    /// The name of its npm package, else of its crate.
    pub package: Option<String>,
    /// The name of its crate.
    pub crate_name: Option<String>,
    /// Nx is told that it is an application: nothing depends on it that does not say so.
    pub is_application: bool,
    /// What it is written in, as its manifests tell.
    pub languages: BTreeSet<Language>,
    /// The projects that it says it depends on, each once.
    pub dependencies: Vec<Edge>,
    /// Projects that it does *not* depend on, whatever it imports: the `!` entries of Nx's `implicitDependencies`.
    pub excluded: Vec<ProjectId>,
    /// What it depends on from outside of the repository.
    pub requires: Vec<Requirement>,
    /// The targets that it has: Nx's, those that Nx's plugins make, its scripts; `build` and `test` of a crate.
    pub targets: BTreeSet<String>,
    /// Nx's tags.
    pub tags: BTreeSet<String>,
}

/// What a project is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Language {
    /// JavaScript or TypeScript: it has a `package.json`, or a `project.json` and no `Cargo.toml`.
    JavaScript,
    /// Rust: it has a `Cargo.toml`.
    Rust,
}

/// A project that another depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    /// Which.
    pub to: ProjectId,
    /// What says so.
    pub because: Because,
}

/// What says that a project depends on another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Because {
    /// A field of its `package.json`.
    Manifest {
        /// The manifest.
        file: Arc<str>,
        /// The field: `devDependencies`.
        field: &'static str,
    },
    /// Its `implicitDependencies`.
    Implicit {
        /// The file that has them.
        file: Arc<str>,
    },
    /// A crate that is taken from its folder.
    CargoPath {
        /// The manifest.
        file: Arc<str>,
    },
    /// Nobody knows: its manifest cannot be read, so that it may depend on any library.
    Unreadable {
        /// The manifest.
        file: Arc<str>,
    },
}

/// A dependency from outside of the repository.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Requirement {
    /// What the project calls it; of a crate, its own name.
    pub name: String,
    /// The versions that it takes.
    pub range: String,
    /// The field of the manifest.
    pub field: String,
    /// Whose lockfile resolves it.
    pub language: Language,
}

/// The projects of a commit.
#[derive(Debug, Default)]
pub struct Workspace {
    /// All of them, in order of root.
    pub projects: Vec<Project>,
    /// What could not be understood.
    pub problems: Vec<Problem>,
    folders: HashMap<String, ProjectId>,
    names: BTreeMap<String, ProjectId>,
    packages: BTreeMap<String, String>,
    roots: Vec<PackageRoot>,
    nx: Vec<nx::Nx>,
    turbo: Vec<turbo::Turbo>,
    /// Beside each project, what the tools know of it.
    members: Vec<Member>,
    asked: Mutex<selection::Asked>,
}

/// What the tools know of a project.
#[derive(Debug, Default)]
struct Member {
    nx: Option<nx::NxProject>,
    turbo: Option<turbo::TurboProject>,
    /// The place of the first project that says the same as this one to Nx and Turborepo, its name and its folder apart.
    kin: usize,
    /// The place of its root in `Workspace::roots`.
    root: Option<usize>,
    /// The folder of its Cargo workspace, and the parts of that root that reach it.
    cargo: Option<(String, Vec<Setting>)>,
}

impl Workspace {
    /// Reads the projects of a commit. What cannot be read is among the problems, and the project is there all the same.
    pub fn read(files: &Files<'_>) -> Self {
        reading::read(files)
    }

    /// A project.
    pub fn project(&self, project: ProjectId) -> Option<&Project> {
        self.projects.get(project.0)
    }

    /// The project whose folder this is.
    pub fn at(&self, root: &str) -> Option<ProjectId> {
        self.folders.get(root).copied()
    }

    /// The innermost project that a path lies in.
    pub fn owner(&self, path: &str) -> Option<ProjectId> {
        path::around(path::folder(path)).find_map(|folder| self.at(folder))
    }

    /// The project of this name.
    pub(crate) fn named(&self, name: &str) -> Option<ProjectId> {
        self.names.get(name).copied()
    }

    /// The project of this name, or of this npm package.
    pub fn find(&self, name_or_package: &str) -> Option<ProjectId> {
        let by_package = || self.at(self.packages.get(name_or_package)?);
        self.names.get(name_or_package).copied().or_else(by_package)
    }

    /// The projects of which a task comes before a project's own, by `dependsOn`, beside those that it depends on anyway.
    pub(crate) fn before(&self, project: ProjectId, task: &str) -> BTreeSet<ProjectId> {
        let Some(member) = self.members.get(project.0) else { return BTreeSet::new() };
        let by_nx = member.nx.as_ref().and_then(|own| Some((own.nx, self.nx.get(own.nx)?.before(own, task).projects)));
        let by_nx = by_nx
            .into_iter()
            .flat_map(|(nx, patterns)| patterns.into_iter().flat_map(move |pattern| self.meant_by(nx, &pattern)));
        let by_turbo =
            member.turbo.as_ref().and_then(|own| Some(self.turbo.get(own.turbo)?.inputs(own, task).packages));
        let by_turbo = by_turbo.into_iter().flatten().filter_map(|package| self.at(self.packages.get(&package)?));
        by_nx.chain(by_turbo).filter(|before| *before != project).collect()
    }

    /// The projects of an Nx workspace that a pattern means.
    fn meant_by(&self, nx: usize, pattern: &str) -> Vec<ProjectId> {
        if !patterns::is_pattern(pattern)
            && let Some(exact) = self.find(pattern)
        {
            return vec![exact];
        }
        let is_meant = |member: &Member| member.nx.as_ref().is_some_and(|own| own.nx == nx && own.is_meant_by(pattern));
        let members = self.members.iter().enumerate();
        members.filter(|(_, member)| is_meant(member)).map(|(place, _)| ProjectId(place)).collect()
    }

    /// The folder of each npm package.
    pub fn packages(&self) -> &BTreeMap<String, String> {
        &self.packages
    }

    /// The root of the npm workspace that a project is in: what it imports without saying so is installed there.
    pub fn package_root(&self, project: ProjectId) -> Option<&PackageRoot> {
        self.roots.get(self.members.get(project.0)?.root?)
    }

    /// The scripts of the repository's own `package.json`, which a Dockerfile may run.
    pub fn root_scripts(&self) -> BTreeMap<String, Digest> {
        self.roots.iter().find(|root| root.folder.is_empty()).map(|root| root.scripts.clone()).unwrap_or_default()
    }

    /// Projects that depend on each other in a circle, each circle in order of root. They are built all the same.
    pub fn cycles(&self) -> Vec<Vec<ProjectId>> {
        let next = |node: usize| self.projects.get(node).into_iter().flat_map(|project| &project.dependencies);
        circles(self.projects.len(), &|node| next(node).map(|edge| edge.to.0).collect())
    }
}

/// The strongly connected components of more than one node, by Tarjan's algorithm with a stack of its own: a chain of projects may
/// be longer than a thread's stack is deep.
fn circles(nodes: usize, next: &dyn Fn(usize) -> Vec<usize>) -> Vec<Vec<ProjectId>> {
    const UNSEEN: usize = usize::MAX;
    let (mut order, mut lowest) = (vec![UNSEEN; nodes], vec![UNSEEN; nodes]);
    let (mut is_open, mut open) = (vec![false; nodes], Vec::new());
    let (mut seen, mut circles) = (0, Vec::new());
    for start in 0..nodes {
        if order[start] != UNSEEN {
            continue;
        }
        let mut way = vec![(start, next(start), 0)];
        while let Some((node, targets, place)) = way.last_mut() {
            let node = *node;
            if order[node] == UNSEEN {
                (order[node], lowest[node]) = (seen, seen);
                seen += 1;
                is_open[node] = true;
                open.push(node);
            }
            if let Some(target) = targets.get(*place).copied() {
                *place += 1;
                if order[target] == UNSEEN {
                    way.push((target, next(target), 0));
                } else if is_open[target] {
                    lowest[node] = lowest[node].min(order[target]);
                }
                continue;
            }
            way.pop();
            if let Some((before, ..)) = way.last() {
                lowest[*before] = lowest[*before].min(lowest[node]);
            }
            if lowest[node] == order[node] {
                let from = open.iter().rposition(|open| *open == node).unwrap_or_default();
                let mut circle: Vec<ProjectId> = open.drain(from..).map(ProjectId).collect();
                circle.iter().for_each(|node| is_open[node.0] = false);
                circle.sort_unstable();
                if circle.len() > 1 {
                    circles.push(circle);
                }
            }
        }
    }
    circles.sort_unstable();
    circles
}

#[cfg(test)]
mod tests;
