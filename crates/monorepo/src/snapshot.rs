//! One commit, understood: its projects, and all that each of them is made of.

use std::collections::BTreeSet;
use std::ops::{Deref, Range};
use std::sync::Arc;

use crate::digest::Digest;
use crate::files::Files;
use crate::inputs::{Items, Packages};
use crate::listing::Apart;
use crate::lockfile::{PackageId, Resolution};
use crate::parallel::in_parallel;
use crate::path;
use crate::setting::Setting;
pub use crate::shape::Cache;
use crate::shape::{Common, Shape, is_manifest};
use crate::workspace::{Language, Project, ProjectId, Role, Workspace};

/// Parts of a manifest that only say what to resolve to: what came of it is in the lockfile.
const RESOLVED: [&str; 4] = ["overrides", "resolutions", "patchedDependencies", "packageExtensions"];

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

/// One commit, understood.
#[derive(Debug)]
pub struct Snapshot<'a> {
    pub(crate) files: Files<'a>,
    /// What builds an image: the name of a task of Nx or Turborepo.
    pub(crate) task: String,
    shape: Arc<Shape>,
}

/// A commit is what its files say together, and their bytes.
impl Deref for Snapshot<'_> {
    type Target = Shape;

    fn deref(&self) -> &Shape {
        &self.shape
    }
}

impl<'a> Snapshot<'a> {
    /// Reads a commit. `task` is what builds an image, as Nx and Turborepo call it; `cache` is shared by the commits that are
    /// compared.
    pub fn read(files: Files<'a>, task: &str, cache: &mut Cache) -> Self {
        let shape = cache.shape(&files, task);
        Self { files, task: task.to_owned(), shape }
    }

    /// What both commits say alike.
    pub(crate) fn common(&self, other: &Snapshot<'_>) -> Common {
        self.shape.common(&other.shape)
    }

    /// The projects for which something else is installed than in another commit, which has all but lockfiles in common.
    pub(crate) fn installed_otherwise(&self, other: &Snapshot<'_>) -> BTreeSet<ProjectId> {
        if self.common(other) == Common::Everything {
            return BTreeSet::new();
        }
        let differs = |project: &ProjectId| self.installed(*project) != other.installed(*project);
        let projects = |portion: Range<usize>| portion.map(ProjectId).filter(differs).collect();
        in_parallel(self.workspace.projects.len(), || (), |(), portion| projects(portion)).into_iter().collect()
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
        let apart = self.files.apart(&base.files);
        let mut affected = self.changed_inside(base, &apart);
        let is_other = self.changed_outside(base, &apart);
        for (place, project) in self.workspace.projects.iter().enumerate() {
            let before = base.workspace.named(&project.name).filter(|_| !affected.contains(project.name.as_str()));
            if before.is_some_and(|before| is_other(ProjectId(place), before)) {
                affected.insert(&project.name);
            }
        }
        // What depended on a project that is gone may not have changed itself.
        let gone = base.workspace.projects.iter().filter(|project| self.workspace.named(&project.name).is_none());
        let gone = gone.filter_map(|project| base.workspace.named(&project.name));
        affected.extend(base.graph.dependents(gone).into_iter().map(|project| base.name(project)));
        let affected: Vec<ProjectId> = affected.into_iter().filter_map(|name| self.workspace.find(name)).collect();
        self.describe(self.graph.dependents(affected))
    }

    /// The projects that are new, and those of which a file of their own differs: tests and documents included.
    fn changed_inside<'n>(&'n self, base: &'n Snapshot<'_>, apart: &Apart<'_>) -> BTreeSet<&'n str> {
        let new = self.workspace.projects.iter().map(|project| project.name.as_str());
        let mut changed: BTreeSet<&str> = new.filter(|name| base.workspace.named(name).is_none()).collect();
        for (side, other) in [(self, base), (base, self)] {
            let owner = |path: &str| side.workspace.owner(path).map(|project| side.name(project));
            changed.extend(apart.keys().filter(|path| !side.is_lockfile(path)).filter_map(|path| owner(path)));
            // The files of a folder that is a project on one side alone are another project's on the other.
            let roots = other.workspace.projects.iter().map(|project| project.root.as_str());
            let roots = roots.filter(|root| side.workspace.at(root).is_none());
            changed.extend(roots.filter_map(|root| owner(&format!("{root}/"))));
        }
        changed
    }

    /// Tells whether something differs that reaches a project from outside.
    fn changed_outside<'n>(
        &'n self,
        base: &'n Snapshot<'_>,
        apart: &'n Apart<'_>,
    ) -> Box<dyn Fn(ProjectId, ProjectId) -> bool + 'n> {
        if self.common(base) == Common::Nothing || apart.keys().any(|path| self.is_patch(path)) {
            return Box::new(|project, before| {
                self.configured(project, Role::Own).settled() != base.configured(before, Role::Own).settled()
            });
        }
        // The two differ in contents alone, and in none that says what a project is.
        let installed = self.installed_otherwise(base);
        Box::new(move |project, _| {
            let shared = self.workspace.shared(&self.files, project, Role::Own, &self.task);
            let imported = self.graph.node(project).into_iter().flat_map(|node| &node.outside);
            let shared = shared.iter().map(|shared| &shared.path).filter(|path| !self.is_readable_lockfile(path));
            let mut paths = shared.chain(imported);
            installed.contains(&project) || paths.any(|path| apart.contains_key(path.as_str()))
        })
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

    /// What reaches a project beside its own files: settings, whole files of the root, and what is installed for it.
    pub(crate) fn configured(&self, project: ProjectId, role: Role) -> Items<'_> {
        let Some(known) = self.project(project) else { return Items::default() };
        let mut items = self.installed(project);
        let is_resolved = |setting: &Setting| {
            let key = setting.part.trim_start_matches("pnpm.").split('[').next().unwrap_or_default();
            RESOLVED.contains(&key) && !items.packages.is_empty()
        };
        let settings = self.workspace.settings(project, &self.task);
        items.settings.extend(settings.iter().filter(|setting| !is_resolved(setting)).cloned());
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
            let counts = |path: &str| path::below(path, &known.root).is_some_and(|path| selection.has(path));
            items.settings.extend(self.typescript.settings(&known.root, counts));
        }
        items
    }

    /// What is installed for a project.
    fn installed(&self, project: ProjectId) -> Items<'_> {
        let mut items = Items::default();
        for language in self.project(project).into_iter().flat_map(|project| &project.languages) {
            self.install(project, *language, &mut items);
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
            for (importer, requirement) in self.requirements(project, language, path::folder(path)) {
                let (name, range) = (requirement.name.as_str(), requirement.range.as_str());
                let resolution = lock.resolve(importer, name, range);
                roots.extend(resolution.packages());
                if resolution == Resolution::Missing {
                    let part = format!("{name}, which is not in it").into();
                    items.settings.push(Setting { file: path.into(), part, digest: Digest::of([range]) });
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
                let patches: Vec<String> = patches.map(|patch| path::join(path::folder(path), patch)).collect();
                items.files.extend(patches.iter().filter_map(|patch| self.files.find(patch)));
            }
            if !roots.is_empty() {
                items.packages.push(Packages { lockfile: path, roots, digest: Digest::of(subtrees) });
            }
        }
    }

    /// Whether a file counts by what it says and not by its bytes, or may do so for some project.
    pub fn is_configuration(&self, path: &str) -> bool {
        self.is_lockfile(path) || is_manifest(path)
    }
}
