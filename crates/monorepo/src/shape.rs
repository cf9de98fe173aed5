//! What the files of a commit say together: its projects, what they import, what is installed for them. Two commits that differ
//! in nothing that was read for it share it: most changes cost what differs, not what there is.

use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use foldhash::{HashMap, HashSet};

use crate::files::{BlobId, Contents, Entry, Files, Kind};
use crate::graph::Graph;
use crate::imports::{self, TypeScript, is_source, scan_all};
use crate::listing::Listing;
use crate::lockfile::{self, Importer, Lock, Resolution};
use crate::parallel::in_parallel;
use crate::path;
use crate::problem::Problem;
use crate::workspace::{Language, Project, ProjectId, Requirement, Workspace};

/// What the files of a commit say together.
#[derive(Debug)]
pub struct Shape {
    pub(crate) workspace: Arc<Workspace>,
    pub(crate) typescript: Arc<TypeScript>,
    /// What manifests and sources say, and what lockfiles say beside it.
    pub(crate) graph: Arc<Graph>,
    without_locks: WithoutLocks,
    locks: Locks,
    problems: Vec<Problem>,
}

/// What is the same whatever the lockfiles say.
#[derive(Clone, Debug)]
struct WithoutLocks {
    graph: Arc<Graph>,
    problems: Arc<Vec<Problem>>,
}

/// Lockfiles, by path. One that cannot be read counts by its bytes.
type Locks = BTreeMap<String, Arc<Result<Lock, Problem>>>;

/// What was understood before: the commits that are compared share most of their files.
#[derive(Debug, Default)]
pub struct Cache {
    imports: imports::Cache,
    /// Lockfiles, by path and content.
    locks: BTreeMap<(String, BlobId), Arc<Result<Lock, Problem>>>,
    first: Option<Known>,
}

/// The first commit, which others are compared with.
#[derive(Debug)]
struct Known {
    listing: Listing,
    task: String,
    /// What was read of it to understand it, beside its sources and its lockfiles.
    read: HashSet<BlobId>,
    shape: Arc<Shape>,
}

impl Cache {
    /// What the files of a commit say together.
    pub(crate) fn shape(&mut self, files: &Files<'_>, task: &str) -> Arc<Shape> {
        if let Some(known) = self.first.take() {
            let shape = match known.has_in_common(files, task, &mut self.imports) {
                Common::Everything => Some(Arc::clone(&known.shape)),
                Common::AllButLockfiles => Some(Arc::new(known.shape.with_locks(self.locks(files)))),
                Common::Nothing => None,
            };
            self.first = Some(known);
            return shape.unwrap_or_else(|| Arc::new(self.read(files, task).0));
        }
        let (shape, read) = self.read(files, task);
        let shape = Arc::new(shape);
        let known = Known { listing: files.listing().clone(), task: task.to_owned(), read, shape: Arc::clone(&shape) };
        self.first = Some(known);
        shape
    }

    /// Understands a commit, and tells what was read for it beside its sources and its lockfiles. The sources are read while the rest
    /// is: nothing of the one is needed for the other.
    fn read(&mut self, files: &Files<'_>, task: &str) -> (Shape, HashSet<BlobId>) {
        let sources: Vec<(&str, Entry)> = files.iter().filter(|(path, _)| is_source(path)).collect();
        let noted = Noted { files, manifests: manifests(files), read: Mutex::default() };
        let noting = files.with_contents(&noted);
        let mut imports = std::mem::take(&mut self.imports);
        let (locks, workspace, (typescript, mut problems), scanned) = thread::scope(|scope| {
            let scanned = scope.spawn(|| scan_all(files, &sources, &mut imports));
            // One after another: what the first needs most memory for is then free for the next.
            let locks = self.locks(files);
            let workspace = Workspace::read(&noting);
            let typescript = TypeScript::read(&noting, workspace.packages());
            (locks, workspace, typescript, scanned.join().unwrap_or_else(|panic| resume_unwind(panic)))
        });
        self.imports = imports;
        let graph = Arc::new(Graph::read(&noting, &workspace, &typescript, task, &sources, &scanned));
        problems.extend(workspace.problems.iter().cloned().chain(scanned.problems));
        let without_locks = WithoutLocks { graph, problems: Arc::new(problems) };
        let shape = Shape::new(Arc::new(workspace), Arc::new(typescript), without_locks, locks);
        (shape, noted.read.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// The lockfiles of a commit.
    fn locks(&mut self, files: &Files<'_>) -> Locks {
        let mut locks = Locks::new();
        for path in lockfile::known(files) {
            let open = || Arc::new(lockfile::open(files, &path));
            let lock = match files.get(&path) {
                Some(entry) => Arc::clone(self.locks.entry((path.clone(), entry.id)).or_insert_with(open)),
                None => open(),
            };
            locks.insert(path, lock);
        }
        locks
    }
}

/// What the files of two commits say alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Common {
    Everything,
    AllButLockfiles,
    Nothing,
}

impl Known {
    /// What other files say as these do. They say the same together if they are at the same places, what differs was not read, and
    /// sources that differ import the same.
    fn has_in_common(&self, files: &Files<'_>, task: &str, imports: &mut imports::Cache) -> Common {
        if self.task != task {
            return Common::Nothing;
        }
        let (mut before, mut after) = (Vec::new(), Vec::new());
        let mut common = Common::Everything;
        for (path, sides) in self.listing.apart(files.listing()) {
            let [Some(known), Some(entry)] = sides else { return Common::Nothing };
            if known.kind != entry.kind || self.read.contains(&known.id) {
                return Common::Nothing;
            }
            if is_source(path) {
                before.push((path, known));
                after.push((path, entry));
            }
            if self.shape.is_lockfile(path) {
                common = Common::AllButLockfiles;
            }
        }
        if scan_all(files, &before, imports) == scan_all(files, &after, imports) { common } else { Common::Nothing }
    }
}

/// Contents, and which of them were asked for.
struct Noted<'a> {
    files: &'a Files<'a>,
    manifests: HashMap<BlobId, Vec<u8>>,
    read: Mutex<HashSet<BlobId>>,
}

/// The contents of the manifests, read all at once: one after another, each would be put together anew from what it differs from.
/// What cannot be read is told where it is needed.
fn manifests(files: &Files<'_>) -> HashMap<BlobId, Vec<u8>> {
    let is_file = |entry: Entry| matches!(entry.kind, Kind::File | Kind::Executable);
    let manifests = files.iter().filter(|(path, entry)| is_manifest(path) && is_file(*entry));
    let mut manifests = files.in_order(manifests.map(|(_, entry)| (entry.id, ())).collect());
    manifests.dedup();
    let read = |portion: &[(BlobId, ())]| portion.iter().map(|(id, ())| Some((*id, files.read(*id).ok()?))).collect();
    let read = in_parallel(manifests.len(), || (), |(), portion| read(&manifests[portion]));
    read.into_iter().flatten().collect()
}

impl Contents for Noted<'_> {
    fn read(&self, id: BlobId) -> Result<Vec<u8>, String> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
        self.manifests.get(&id).cloned().map_or_else(|| self.files.read(id), Ok)
    }

    fn places(&self, ids: &[BlobId]) -> Vec<usize> {
        self.files.places(ids)
    }
}

impl Shape {
    fn new(workspace: Arc<Workspace>, typescript: Arc<TypeScript>, without_locks: WithoutLocks, locks: Locks) -> Self {
        let WithoutLocks { graph, problems } = without_locks.clone();
        let unread = locks.values().filter_map(|lock| lock.as_ref().as_ref().err());
        let mut problems: Vec<Problem> = problems.iter().chain(unread).cloned().collect();
        problems.sort();
        let mut shape = Self { workspace, typescript, graph, without_locks, locks, problems };
        shape.link_locked();
        shape
    }

    /// The same with other lockfiles.
    fn with_locks(&self, locks: Locks) -> Self {
        Self::new(Arc::clone(&self.workspace), Arc::clone(&self.typescript), self.without_locks.clone(), locks)
    }

    /// What it has in common with the shape of another commit.
    pub(crate) fn common(self: &Arc<Self>, other: &Arc<Self>) -> Common {
        // One that can be read counts otherwise than one that cannot.
        let is_read = |(path, lock): (&String, &Arc<Result<_, _>>)| {
            self.locks.get(path).is_some_and(|own| own.is_ok() == lock.is_ok())
        };
        if Arc::ptr_eq(self, other) {
            Common::Everything
        } else if Arc::ptr_eq(&self.workspace, &other.workspace) && other.locks.iter().all(is_read) {
            Common::AllButLockfiles
        } else {
            Common::Nothing
        }
    }

    /// Links projects that a lockfile knows each other to be, and no manifest does: one that cannot be read tells no name.
    fn link_locked(&mut self) {
        let mut links = Vec::new();
        for (place, project) in self.workspace.projects.iter().enumerate() {
            for (path, lock) in self.lockfiles(&project.root, Language::JavaScript) {
                let Some(lock) = lock.filter(|_| project.languages.contains(&Language::JavaScript)) else { continue };
                for (importer, requirement) in
                    self.requirements(ProjectId(place), Language::JavaScript, path::folder(path))
                {
                    if let Resolution::Workspace(to) = lock.resolve(importer, &requirement.name, &requirement.range) {
                        let to = self.workspace.at(&path::join(path::folder(path), &to));
                        links.extend(to.map(|to| (ProjectId(place), to)));
                    }
                }
            }
        }
        links.retain(|(from, to)| !self.graph.declares(*from, *to));
        if !links.is_empty() {
            let graph = Arc::make_mut(&mut self.graph);
            links.into_iter().for_each(|(from, to)| graph.declare(from, to));
        }
    }

    /// What is wrong with files of the commit, and stops nothing.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
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

    /// What is to be installed for a project: what it requires; what it imports and only the workspace's root requires; and the
    /// root's tools, which no source imports, so that they may have a part in every build.
    pub(crate) fn requirements<'s>(
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
            let is_tool = !names.iter().any(|name| self.graph.imported.contains(*name));
            if !is_own && (is_used || is_tool) {
                requirements.push((importer, requirement));
            }
        }
        requirements
    }

    /// The lockfiles of the nearest folder that has any.
    pub(crate) fn lockfiles(&self, root: &str, language: Language) -> Vec<(&str, Option<&Lock>)> {
        let is_in = |path: &str, of: &str| {
            path::folder(path) == of && path.ends_with("Cargo.lock") == (language == Language::Rust)
        };
        let found = |folder: &str| -> Vec<(&str, Option<&Lock>)> {
            let locks = self.locks.iter().filter(|(path, _)| is_in(path, folder));
            locks.map(|(path, lock)| (path.as_str(), lock.as_ref().as_ref().ok())).collect()
        };
        path::around(root).map(found).find(|found| !found.is_empty()).unwrap_or_default()
    }

    /// Whether a lockfile says that a package is patched by a file.
    pub(crate) fn is_patch(&self, path: &str) -> bool {
        let locks = self.locks.iter().filter_map(|(lockfile, lock)| Some((lockfile, lock.as_ref().as_ref().ok()?)));
        let mut patches = locks.flat_map(|(lockfile, lock)| {
            let patches = lock.packages.iter().filter_map(|package| package.patch.as_ref());
            patches.map(|patch| path::join(path::folder(lockfile), patch))
        });
        patches.any(|patch| patch == path)
    }

    /// Whether a file is a lockfile.
    pub(crate) fn is_lockfile(&self, path: &str) -> bool {
        self.locks.contains_key(path)
    }

    pub(crate) fn is_readable_lockfile(&self, path: &str) -> bool {
        self.lock(path).is_some()
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

/// Whether a file says what a project is, by its name.
pub(crate) fn is_manifest(path: &str) -> bool {
    let name = path::name(path);
    matches!(name, "package.json" | "project.json" | "Cargo.toml" | "nx.json" | "turbo.json" | "turbo.jsonc")
        || matches!(name, "pnpm-workspace.yaml" | "lerna.json")
        || (name.starts_with("tsconfig") && name.ends_with(".json"))
}

/// The package whose types a package holds: `@types/node` is for `node`, `@types/a__b` for `@a/b`.
fn subject(name: &str) -> String {
    match name.strip_prefix("@types/").map(|name| (name, name.split_once("__"))) {
        Some((_, Some((scope, name)))) => format!("@{scope}/{name}"),
        Some((name, None)) => name.to_owned(),
        None => name.to_owned(),
    }
}
