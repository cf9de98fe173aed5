//! One commit, understood: its projects, what they import, what is installed for them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::digest::{Digest, Hasher};
use crate::files::{BlobId, Files};
use crate::graph::Graph;
use crate::imports::{self, TypeScript};
use crate::inputs::{Items, Packages};
use crate::lockfile::{self, Importer, Lock, PackageId, Resolution};
use crate::problem::Problem;
use crate::setting::Setting;
use crate::view::{join, within};
use crate::workspace::{Language, Project, ProjectId, Requirement, Role, Workspace};

/// Parts of a manifest that only say what to resolve to: what came of it is in the lockfile.
const RESOLVED: [&str; 4] = ["overrides", "resolutions", "patchedDependencies", "packageExtensions"];

/// What was understood before: the commits that are compared share most of their files.
#[derive(Debug, Default)]
pub struct Cache {
    imports: imports::Cache,
    /// Lockfiles, by path and content.
    locks: BTreeMap<(String, BlobId), Arc<Result<Lock, Problem>>>,
}

/// One commit, understood.
#[derive(Debug)]
pub struct Snapshot<'a> {
    pub(crate) files: Files<'a>,
    pub(crate) workspace: Workspace,
    pub(crate) graph: Graph,
    /// What builds an image: the name of a task of Nx or Turborepo.
    pub(crate) task: String,
    typescript: TypeScript,
    /// By path. One that cannot be read counts by its bytes.
    locks: BTreeMap<String, Arc<Result<Lock, Problem>>>,
    /// The packages that some source imports, wherever it is.
    imported: BTreeSet<String>,
    problems: Vec<Problem>,
}

impl Cache {
    fn lock(&mut self, files: &Files<'_>, path: &str) -> Arc<Result<Lock, Problem>> {
        let open = || Arc::new(lockfile::open(files, path));
        match files.get(path) {
            Some(entry) => Arc::clone(self.locks.entry((path.to_owned(), entry.id)).or_insert_with(open)),
            None => open(),
        }
    }
}

/// A project that a change reaches, in any of its files or in what it depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Affected {
    /// Its name.
    pub name: String,
    /// Its folder; blank is the root.
    pub root: String,
    /// What can be run of it.
    pub targets: BTreeSet<String>,
}

impl<'a> Snapshot<'a> {
    /// Reads a commit. `task` is what builds an image, as Nx and Turborepo call it; `cache` is shared by the commits that are
    /// compared.
    pub fn read(files: Files<'a>, task: &str, cache: &mut Cache) -> Self {
        let workspace = Workspace::read(&files);
        let (typescript, mut problems) = TypeScript::read(&files, workspace.packages());
        let graph = Graph::read(&files, &workspace, &typescript, task, &mut cache.imports);
        let mut locks = BTreeMap::new();
        for path in lockfile::known(&files) {
            let lock = cache.lock(&files, &path);
            problems.extend(lock.as_ref().as_ref().err().cloned());
            locks.insert(path, lock);
        }
        problems.extend(workspace.problems.iter().chain(&graph.problems).cloned());
        problems.sort();
        let nodes = (0..workspace.projects.len()).filter_map(|place| graph.node(ProjectId(place)));
        let imported = nodes.flat_map(|node| node.externals.iter().cloned()).collect();
        let mut snapshot =
            Self { files, workspace, graph, task: task.to_owned(), typescript, locks, imported, problems };
        snapshot.link_locked();
        snapshot
    }

    /// Links projects that a lockfile knows each other to be, and no manifest does: one that cannot be read tells no name.
    fn link_locked(&mut self) {
        let mut links = Vec::new();
        for (place, project) in self.workspace.projects.iter().enumerate() {
            for (path, lock) in self.lockfiles(&project.root, Language::JavaScript) {
                let Some(lock) = lock.filter(|_| project.languages.contains(&Language::JavaScript)) else { continue };
                for (importer, requirement) in self.requirements(ProjectId(place), Language::JavaScript, folder(path)) {
                    if let Resolution::Workspace(to) = lock.resolve(importer, &requirement.name, &requirement.range) {
                        let to = self.workspace.at(&join(folder(path), &to));
                        links.extend(to.map(|to| (ProjectId(place), to)));
                    }
                }
            }
        }
        links.into_iter().for_each(|(from, to)| self.graph.declare(from, to));
    }

    /// What is wrong with files of the commit, and stops nothing.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The commit's files.
    pub fn files(&self) -> &Files<'a> {
        &self.files
    }

    /// The commit's projects.
    pub fn workspace(&self) -> &Workspace {
        &self.workspace
    }

    /// Imports of what is built that no manifest declares, as people read them: `auth imports db (apps/auth/src/x.ts:3)`.
    pub fn undeclared(&self) -> Vec<String> {
        // Without a package.json there is nothing to declare it in.
        let declares = |project: ProjectId| self.project(project).is_some_and(|project| project.package.is_some());
        let imports = self.graph.undeclared().filter(|(from, to, ..)| declares(*from) && declares(*to));
        let written = |(from, to, file, line): (ProjectId, ProjectId, &str, usize)| {
            format!("{} imports {} ({file}:{line})", self.name(from), self.name(to))
        };
        imports.map(written).collect()
    }

    /// The projects that depend on each other in a circle, as people read them: `a → b → a`.
    pub fn cycles(&self) -> Vec<String> {
        let written = |cycle: Vec<ProjectId>| {
            let names: Vec<&str> = cycle.iter().chain(cycle.first()).map(|project| self.name(*project)).collect();
            names.join(" → ")
        };
        self.workspace.cycles().into_iter().map(written).collect()
    }

    /// The projects that are not what they were in `base`, and all that depend on them, their tests included.
    pub fn affected_since(&self, base: &Snapshot<'_>) -> Vec<Affected> {
        let (old, new) = (base.fingerprints(), self.fingerprints());
        let mut affected: BTreeSet<&str> =
            new.keys().filter(|name| old.get(*name) != new.get(*name)).copied().collect();
        // What depended on a project that is gone may not have changed itself.
        let gone = old.keys().filter(|name| !new.contains_key(*name)).filter_map(|name| base.workspace.find(name));
        affected.extend(base.graph.dependents(gone).into_iter().map(|project| base.name(project)));
        let affected: Vec<ProjectId> = affected.into_iter().filter_map(|name| self.workspace.find(name)).collect();
        self.describe(self.graph.dependents(affected))
    }

    /// All projects.
    pub fn all(&self) -> Vec<Affected> {
        self.describe((0..self.workspace.projects.len()).map(ProjectId))
    }

    fn describe(&self, projects: impl IntoIterator<Item = ProjectId>) -> Vec<Affected> {
        let describe = |project: &Project| Affected {
            name: project.name.clone(),
            root: project.root.clone(),
            targets: project.targets.clone(),
        };
        let mut described: Vec<Affected> =
            projects.into_iter().filter_map(|project| self.project(project)).map(describe).collect();
        described.sort_by(|one, other| one.name.cmp(&other.name));
        described
    }

    pub(crate) fn project(&self, project: ProjectId) -> Option<&Project> {
        self.workspace.project(project)
    }

    pub(crate) fn name(&self, project: ProjectId) -> &str {
        self.project(project).map_or("", |project| project.name.as_str())
    }

    pub(crate) fn root(&self, project: ProjectId) -> &str {
        self.project(project).map_or("", |project| project.root.as_str())
    }

    /// Each project with all that it is made of itself, tests and documents included.
    fn fingerprints(&self) -> BTreeMap<&str, Digest> {
        let mut hashers: Vec<Hasher> = vec![Hasher::default(); self.workspace.projects.len()];
        for (path, entry) in self.files.iter().filter(|(path, _)| !self.is_lockfile(path)) {
            if let Some(hasher) = self.workspace.owner(path).and_then(|project| hashers.get_mut(project.0)) {
                hasher.field(path);
                hasher.field(entry.id.0);
                hasher.field(format!("{:?}", entry.kind));
            }
        }
        let finish = |(place, mut hasher): (usize, Hasher)| {
            hasher.field(self.configured(ProjectId(place), Role::Own).settled().digest());
            (self.name(ProjectId(place)), hasher.finish())
        };
        hashers.into_iter().enumerate().map(finish).collect()
    }

    /// What reaches a project beside its own files: settings, whole files of the root, and what is installed for it.
    pub(crate) fn configured(&self, project: ProjectId, role: Role) -> Items<'_> {
        let Some(known) = self.project(project) else { return Items::default() };
        let mut items = Items::default();
        for language in &known.languages {
            self.install(project, *language, &mut items);
        }
        let is_resolved = |setting: &Setting| {
            let key = setting.part.trim_start_matches("pnpm.").split('[').next().unwrap_or_default();
            RESOLVED.contains(&key) && !items.packages.is_empty()
        };
        let settings = self.workspace.settings(project, &self.task);
        items.settings.extend(settings.into_iter().filter(|setting| !is_resolved(setting)).collect::<Vec<_>>());
        let shared = self.workspace.shared(&self.files, project, role, &self.task);
        // A lockfile counts by what of it is installed for this project, whoever lists it.
        let shared = shared.iter().map(|shared| shared.path.as_str()).filter(|path| !self.is_readable_lockfile(path));
        items.files.extend(shared.filter_map(|path| self.files.find(path)));
        if let Some(node) = self.graph.node(project) {
            items.files.extend(node.outside.iter().filter_map(|path| self.files.find(path)));
            items.settings.extend(node.entries.iter().map(|(file, entry)| self.typescript.paths_setting(file, entry)));
        }
        if known.languages.contains(&Language::JavaScript) {
            let selection = self.workspace.selection(project, role, &self.task);
            let counts = |path: &str| within(path, &known.root).is_some_and(|path| selection.has(path));
            items.settings.extend(self.typescript.settings(&known.root, counts));
        }
        items
    }

    /// Adds what is installed for a project.
    fn install<'s>(&'s self, project: ProjectId, language: Language, items: &mut Items<'s>) {
        for (path, lock) in self.lockfiles(self.root(project), language) {
            let Some(lock) = lock else {
                items.files.extend(self.files.find(path));
                continue;
            };
            let mut roots: Vec<PackageId> = Vec::new();
            for (importer, requirement) in self.requirements(project, language, folder(path)) {
                let (name, range) = (requirement.name.as_str(), requirement.range.as_str());
                let resolution = lock.resolve(importer, name, range);
                roots.extend(resolution.packages());
                if resolution == Resolution::Missing {
                    let part = format!("{name}, which is not in it");
                    items.settings.push(Setting { file: path.to_owned(), part, digest: Digest::of([range]) });
                }
            }
            roots.sort_unstable();
            roots.dedup();
            let mut subtrees: Vec<Digest> =
                roots.iter().filter_map(|root| lock.package(*root)).map(|package| package.subtree).collect();
            subtrees.sort_unstable();
            if lock.packages.iter().any(|package| package.patch.is_some()) {
                let patches =
                    lock.reach(roots.iter().copied()).into_iter().filter_map(|id| lock.package(id)?.patch.as_ref());
                let patches: Vec<String> = patches.map(|patch| join(folder(path), patch)).collect();
                items.files.extend(patches.iter().filter_map(|patch| self.files.find(patch)));
            }
            if !roots.is_empty() {
                items.packages.push(Packages { lockfile: path, roots, digest: Digest::of(subtrees) });
            }
        }
    }

    /// What is to be installed for a project: what it requires; what it imports and only the workspace's root requires; and the
    /// root's tools, which no source imports, so that they may have a part in every build.
    fn requirements<'s>(
        &'s self,
        project: ProjectId,
        language: Language,
        home: &str,
    ) -> Vec<(Importer<'s>, &'s Requirement)> {
        let Some(known) = self.project(project) else { return Vec::new() };
        let is_wanted = |requirement: &&Requirement| requirement.language == language;
        let package = if language == Language::Rust { &known.crate_name } else { &known.package };
        let below = known.root.strip_prefix(home).unwrap_or(&known.root).trim_start_matches('/');
        let own = Importer { folder: below, package: package.as_deref() };
        let mut requirements: Vec<_> =
            known.requires.iter().filter(is_wanted).map(|requirement| (own, requirement)).collect();
        let root = self.workspace.package_root(project).filter(|root| root.folder == home && root.folder != known.root);
        let Some(root) = root.filter(|_| language == Language::JavaScript) else { return requirements };
        let importer = Importer { folder: "", package: None };
        let node = self.graph.node(project);
        for requirement in root.requires.iter().filter(is_wanted) {
            let names = [requirement.name.as_str(), &subject(&requirement.name)];
            let is_own = known.requires.iter().any(|own| own.name == requirement.name);
            let is_used = node.is_some_and(|node| names.iter().any(|name| node.externals.contains(*name)));
            let is_tool = !names.iter().any(|name| self.imported.contains(*name));
            if !is_own && (is_used || is_tool) {
                requirements.push((importer, requirement));
            }
        }
        requirements
    }

    /// The lockfiles of the nearest folder that has any.
    fn lockfiles(&self, root: &str, language: Language) -> Vec<(&str, Option<&Lock>)> {
        let folders = std::iter::successors(Some(root), |root| (!root.is_empty()).then(|| folder(root)));
        let is_in =
            |path: &str, of: &str| folder(path) == of && path.ends_with("Cargo.lock") == (language == Language::Rust);
        let found = |folder: &str| -> Vec<(&str, Option<&Lock>)> {
            let locks = self.locks.iter().filter(|(path, _)| is_in(path, folder));
            locks.map(|(path, lock)| (path.as_str(), lock.as_ref().as_ref().ok())).collect()
        };
        folders.map(found).find(|found| !found.is_empty()).unwrap_or_default()
    }

    /// Whether a file is a lockfile.
    pub(crate) fn is_lockfile(&self, path: &str) -> bool {
        self.locks.contains_key(path)
    }

    fn is_readable_lockfile(&self, path: &str) -> bool {
        self.lock(path).is_some()
    }

    /// Whether a file counts by what it says and not by its bytes, or may do so for some project.
    pub fn is_configuration(&self, path: &str) -> bool {
        let name = path.rsplit('/').next().unwrap_or(path);
        self.is_lockfile(path)
            || matches!(name, "package.json" | "project.json" | "Cargo.toml" | "nx.json" | "turbo.json" | "turbo.jsonc")
            || matches!(name, "pnpm-workspace.yaml" | "lerna.json")
            || (name.starts_with("tsconfig") && name.ends_with(".json"))
    }

    /// Whether a file is of a project that is built as a whole: not of the workspace's root.
    pub(crate) fn is_of_project(&self, path: &str) -> bool {
        self.workspace.owner(path).is_some_and(|project| !self.root(project).is_empty())
    }

    /// A lockfile that could be read.
    pub(crate) fn lock(&self, path: &str) -> Option<&Lock> {
        self.locks.get(path)?.as_ref().as_ref().ok()
    }
}

/// The package whose types a package holds: `@types/node` is for `node`, `@types/a__b` for `@a/b`.
fn subject(name: &str) -> String {
    match name.strip_prefix("@types/").map(|name| (name, name.split_once("__"))) {
        Some((_, Some((scope, name)))) => format!("@{scope}/{name}"),
        Some((name, None)) => name.to_owned(),
        None => name.to_owned(),
    }
}

/// The folder that a path lies in.
fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}
