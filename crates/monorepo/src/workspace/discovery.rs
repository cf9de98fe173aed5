//! Where projects are: which folders with a manifest are a project of the workspace.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::cargo::{self, CargoScope};
use super::manifests::{self, Syntax};
use super::nx::Nx;
use super::packages::{self, Scope, Source, is_lockfile, member_patterns, scope_of};
use super::plugins::{self, Configurations};
use super::turbo::{self, Turbo};
use crate::files::{Files, Kind};
use crate::parallel::in_parallel;
use crate::path;
use crate::problem::Problem;

/// A manifest that is there: what it says, or why it cannot be read.
pub(crate) type Manifest = Result<Value, Problem>;

/// The manifests of a commit, by folder, and what they make of it.
#[derive(Debug, Default)]
pub(crate) struct Discovery {
    pub(crate) packages: BTreeMap<String, Manifest>,
    pub(crate) pnpm: BTreeMap<String, Manifest>,
    pub(crate) crates: BTreeMap<String, Manifest>,
    pub(crate) nx_projects: BTreeMap<String, Manifest>,
    pub(crate) nx: Vec<Nx>,
    pub(crate) turbo: Vec<Turbo>,
    /// The `turbo.json` of packages.
    pub(crate) turbo_packages: BTreeMap<String, Manifest>,
    pub(crate) scopes: BTreeMap<String, Scope>,
    pub(crate) cargo_scopes: BTreeMap<String, CargoScope>,
    /// Folders with a lockfile of npm packages.
    pub(crate) locked: BTreeSet<String>,
    /// Files that plugins of Nx look for.
    pub(crate) configurations: Configurations,
    cargo_locked: BTreeSet<String>,
    /// The folder of the workspace that the package in each folder is a member of.
    members: BTreeMap<String, String>,
    lerna: BTreeMap<String, Manifest>,
    /// The folders of all projects.
    pub(crate) roots: BTreeSet<String>,
    pub(crate) problems: Vec<Problem>,
}

impl Discovery {
    /// Looks through the files of a commit.
    pub(crate) fn new(files: &Files<'_>) -> Self {
        let mut discovery = Self::default();
        let (mut nx, mut turbo, mut manifests) = (Vec::new(), BTreeSet::new(), Vec::new());
        for (path, entry) in files.iter() {
            let name = path::name(path);
            let is_file = matches!(entry.kind, Kind::File | Kind::Executable);
            if !is_file || (path.contains("node_modules") && path.split('/').any(|part| part == "node_modules")) {
                continue;
            }
            let root = path::folder(path);
            match name {
                "package.json" | "lerna.json" => manifests.push((path, Syntax::Json)),
                "project.json" => manifests.push((path, Syntax::Jsonc)),
                "Cargo.toml" => manifests.push((path, Syntax::Toml)),
                "pnpm-workspace.yaml" => manifests.push((path, Syntax::Yaml)),
                "Cargo.lock" => drop(discovery.cargo_locked.insert(root.to_owned())),
                "nx.json" => nx.push(root),
                "turbo.json" | "turbo.jsonc" => drop(turbo.insert(root)),
                _ if is_lockfile(name) => drop(discovery.locked.insert(root.to_owned())),
                _ if plugins::is_configuration(path, name) => discovery.configurations.push(path),
                _ => {}
            }
        }
        for (path, manifest) in read_all(files, &manifests) {
            let kind = match path::name(path) {
                "project.json" => &mut discovery.nx_projects,
                "Cargo.toml" => &mut discovery.crates,
                "pnpm-workspace.yaml" => &mut discovery.pnpm,
                "lerna.json" => &mut discovery.lerna,
                _ => &mut discovery.packages,
            };
            kind.insert(path::folder(path).to_owned(), manifest);
        }
        discovery.nx = nx.into_iter().map(|root| Nx::read(files, root, &mut discovery.problems)).collect();
        discovery.find_turbo(files, turbo);
        discovery.find_scopes();
        discovery.find_members();
        discovery.find_roots();
        discovery
    }

    /// The Nx workspace that a folder is in, unless it is ignored there.
    pub(crate) fn nx_of(&self, folder: &str) -> Option<usize> {
        let place = self.innermost(folder, self.nx.iter().map(|nx| nx.folder.as_str()))?;
        let manifest = path::join(folder, "project.json");
        let is_ignored = self.nx.get(place)?.ignored.as_ref().is_some_and(|ignored| ignored.has(&manifest));
        (!is_ignored).then_some(place)
    }

    /// The Turborepo that a folder is in.
    pub(crate) fn turbo_of(&self, folder: &str) -> Option<usize> {
        self.innermost(folder, self.turbo.iter().map(|turbo| turbo.folder.as_str()))
    }

    fn innermost<'f>(&self, folder: &str, folders: impl Iterator<Item = &'f str>) -> Option<usize> {
        let around = folders.enumerate().filter(|(_, around)| path::below(folder, around).is_some());
        around.max_by_key(|(_, around)| around.len()).map(|(place, _)| place)
    }

    /// The folder of the workspace that the package in a folder is a member of.
    pub(crate) fn scope_of(&self, folder: &str) -> Option<&str> {
        self.members.get(folder).map(String::as_str)
    }

    fn find_turbo(&mut self, files: &Files<'_>, folders: BTreeSet<&str>) {
        for folder in folders {
            let Some((path, json)) = turbo::read(files, folder) else { continue };
            // What cannot be read inside of another's is a package's.
            let is_package = match &json {
                Ok(json) => turbo::extends(json),
                Err(_) => self.turbo.iter().any(|root| root.holds(folder)),
            };
            self.problems.extend(json.as_ref().err().cloned());
            match is_package {
                true => drop(self.turbo_packages.insert(folder.to_owned(), json)),
                false => self.turbo.push(Turbo::new(files, folder, path, json.ok())),
            }
        }
    }

    fn find_scopes(&mut self) {
        let folders: BTreeSet<&String> =
            self.packages.keys().chain(self.pnpm.keys()).chain(self.lerna.keys()).collect();
        for folder in folders {
            let (package, pnpm, lerna) = (self.packages.get(folder), self.pnpm.get(folder), self.lerna.get(folder));
            let unread = [pnpm, lerna].into_iter().flatten().filter_map(|manifest| manifest.as_ref().err());
            let known = self.problems.len();
            self.problems.extend(unread.cloned());
            // Without the root's word, nobody is left out.
            let is_unknown = self.problems.len() > known || (folder.is_empty() && package.is_some_and(Result::is_err));
            let scope = if is_unknown {
                Scope::of_anyone(folder)
            } else {
                let [package, pnpm, lerna] =
                    [package, pnpm, lerna].map(|manifest| manifest.and_then(|manifest| manifest.as_ref().ok()));
                let Some((file, patterns)) = member_patterns(folder, package, pnpm, lerna) else { continue };
                Scope::new(folder, &file, patterns, &mut self.problems)
            };
            self.scopes.insert(folder.clone(), scope);
        }
        for (folder, manifest) in &self.crates {
            let scope = manifest.as_ref().ok();
            if let Some(scope) = scope.and_then(|manifest| CargoScope::new(folder, manifest, &mut self.problems)) {
                self.cargo_scopes.insert(folder.clone(), scope);
            }
        }
    }

    fn find_members(&mut self) {
        for (folder, manifest) in &self.packages {
            // Nx takes a root whose manifest has something to tell it.
            let is_nx_root = || {
                let has_word = manifest.as_ref().is_ok_and(|manifest| manifest.get("nx").is_some());
                has_word && self.scopes.contains_key(folder) && self.nx.iter().any(|nx| nx.folder == *folder)
            };
            let scope = scope_of(&self.scopes, folder).map(|scope| &scope.folder);
            if let Some(scope) = scope.or_else(|| is_nx_root().then_some(folder)) {
                self.members.insert(folder.clone(), scope.clone());
            }
        }
    }

    fn find_roots(&mut self) {
        let members = self.members.keys();
        let nx = self.nx_projects.keys().filter(|folder| self.nx_of(folder).is_some());
        let crates = self.crates.iter().filter(|(folder, manifest)| self.is_crate(folder, manifest));
        let mut roots: BTreeSet<String> = members.chain(nx).chain(crates.map(|(folder, _)| folder)).cloned().collect();
        // What has a lockfile of its own, and is no workspace of others, stands alone.
        let alone = self.packages.keys().filter(|folder| {
            let is_workspace = self.scopes.contains_key(*folder) || self.nx.iter().any(|nx| nx.folder == **folder);
            let has_projects = || roots.iter().any(|root| root != *folder && path::below(root, folder).is_some());
            (self.locked.contains(*folder) || is_workspace) && !(is_workspace && has_projects())
        });
        let alone: Vec<String> = alone.cloned().collect();
        roots.extend(alone);
        if roots.is_empty() && self.packages.contains_key("") {
            roots.insert(String::new());
        }
        self.roots = roots;
        self.follow_paths();
    }

    fn is_crate(&self, folder: &str, manifest: &Manifest) -> bool {
        let scope = cargo::scope_of(&self.cargo_scopes, folder);
        let is_member = scope.is_some_and(|scope| scope.has(folder));
        let stands_alone = folder.is_empty() || self.cargo_locked.contains(folder);
        match manifest {
            Ok(manifest) => {
                manifest.get("package").is_some() && (is_member || stands_alone || self.is_under_unknown(folder))
            }
            Err(_) => is_member || stands_alone || self.is_under_unknown(folder),
        }
    }

    /// Whether the workspace around a crate cannot be read: nobody is left out.
    fn is_under_unknown(&self, folder: &str) -> bool {
        let roots = path::around(folder).filter(|around| around.is_empty() || self.cargo_locked.contains(*around));
        roots.filter_map(|around| self.crates.get(around)).any(Result::is_err)
    }

    /// What is taken from its folder is a project, too, whatever the workspace says.
    fn follow_paths(&mut self) {
        let mut queue: Vec<String> = self.roots.iter().cloned().collect();
        while let Some(root) = queue.pop() {
            let mut targets = Vec::new();
            if let Some(Ok(manifest)) = self.packages.get(&root) {
                for dependency in packages::dependencies(manifest, &root, "") {
                    if let Source::Folder(folder) = dependency.source
                        && self.packages.contains_key(&folder)
                    {
                        targets.push(folder);
                    }
                }
            }
            if let Some(Ok(manifest)) = self.crates.get(&root) {
                let folders = cargo::dependencies(manifest, &root, self.cargo_root(&root)).into_iter();
                targets.extend(folders.filter_map(|one| one.folder).filter(|folder| self.crates.contains_key(folder)));
            }
            for target in targets {
                if self.roots.insert(target.clone()) {
                    queue.push(target);
                }
            }
        }
    }

    /// The root of a crate's workspace, and its manifest.
    pub(crate) fn cargo_root(&self, folder: &str) -> Option<(&str, &Value)> {
        let scope = cargo::scope_of(&self.cargo_scopes, folder)?;
        Some((scope.folder.as_str(), self.crates.get(&scope.folder)?.as_ref().ok()?))
    }
}

/// Reads manifests: most of the time goes into parsing them.
fn read_all<'p>(files: &Files<'_>, manifests: &[(&'p str, Syntax)]) -> Vec<(&'p str, Manifest)> {
    let read = |(path, syntax): &(&'p str, Syntax)| {
        (*path, manifests::read(files, path, *syntax).map(Option::unwrap_or_default))
    };
    in_parallel(manifests.len(), || (), |(), portion| manifests[portion].iter().map(read).collect())
}
