//! What each project depends on: what its manifests declare, joined with what its sources import.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::files::{Entry, Files};
use crate::imports::{Resolution, Resolved, Resolver, Scanned, TypeScript, resolve_all};
use crate::parallel::in_parallel;
use crate::workspace::{ProjectId, Role, Selection, Workspace};

/// What the projects depend on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Graph {
    /// By project.
    nodes: Vec<Node>,
    /// The packages that some source imports, wherever it is.
    pub(crate) imported: BTreeSet<String>,
}

/// What one project depends on by itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Node {
    /// Other projects.
    pub(crate) links: BTreeMap<ProjectId, Link>,
    /// Files of no project that its sources import, however far.
    pub(crate) outside: BTreeSet<String>,
    /// Packages from elsewhere that its sources import.
    pub(crate) externals: BTreeSet<String>,
    /// The entries of a tsconfig's `paths` that its imports lead through.
    pub(crate) entries: BTreeSet<(String, String)>,
}

/// How one project depends on another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Link {
    /// Whether its manifest says so.
    is_declared: bool,
    /// The file and line of an import, if a file that is built has one.
    import: Option<(String, usize)>,
}

impl Link {
    fn is_built(&self) -> bool {
        self.is_declared || self.import.is_some()
    }
}

impl Graph {
    /// Reads where the imports of a commit's sources lead.
    pub(crate) fn read(
        files: &Files<'_>,
        workspace: &Workspace,
        typescript: &TypeScript,
        task: &str,
        sources: &[(&str, Entry)],
        scanned: &Scanned,
    ) -> Self {
        let reads = workspace.reads(None, task);
        let roles = [Role::Own, Role::Dependency(reads)];
        let select = |place| roles.map(|role| workspace.selection(ProjectId(place), role, task));
        let built = in_parallel(workspace.projects.len(), || (), |(), portion| portion.map(select).collect());
        let resolver = Resolver::new(files, typescript, workspace.packages());
        let resolved = resolve_all(&resolver, sources, scanned);
        let mut reading = Reading {
            workspace,
            built,
            nodes: vec![Node::default(); workspace.projects.len()],
            loose: BTreeMap::new(),
        };
        for (place, ((path, _), resolutions)) in sources.iter().zip(&resolved).enumerate() {
            let lines = scanned.imports(place).iter().map(|import| import.line);
            reading.read(path, lines.zip(resolutions.iter().map(|resolution| &**resolution)));
        }
        reading.follow_loose_files();
        reading.add_declared(task);
        reading.add_references(typescript);
        let imported = reading.nodes.iter().flat_map(|node| &node.externals).cloned().collect();
        Self { nodes: reading.nodes, imported }
    }

    /// Whether a project is known to depend on another one, or is the other one.
    pub(crate) fn declares(&self, from: ProjectId, to: ProjectId) -> bool {
        from == to || self.node(from).is_some_and(|node| node.links.get(&to).is_some_and(|link| link.is_declared))
    }

    /// Adds what something else than a manifest declares.
    pub(crate) fn declare(&mut self, from: ProjectId, to: ProjectId) {
        if let Some(node) = self.nodes.get_mut(from.0).filter(|_| from != to) {
            node.links.entry(to).or_default().is_declared = true;
        }
    }

    /// What a project depends on by itself.
    pub(crate) fn node(&self, project: ProjectId) -> Option<&Node> {
        self.nodes.get(project.0)
    }

    /// A project and all that it is built with, each with the one that leads there on the shortest way; the first with itself.
    pub(crate) fn reach(&self, from: ProjectId) -> BTreeMap<ProjectId, ProjectId> {
        let mut before = BTreeMap::from([(from, from)]);
        let mut queue = VecDeque::from([from]);
        while let Some(project) = queue.pop_front() {
            for (next, link) in self.node(project).into_iter().flat_map(|node| &node.links) {
                if link.is_built() && !before.contains_key(next) {
                    before.insert(*next, project);
                    queue.push_back(*next);
                }
            }
        }
        before
    }

    /// These projects and all that depend on them, by tests too.
    pub(crate) fn dependents(&self, of: impl IntoIterator<Item = ProjectId>) -> BTreeSet<ProjectId> {
        let mut users: BTreeMap<ProjectId, Vec<ProjectId>> = BTreeMap::new();
        for (place, node) in self.nodes.iter().enumerate() {
            node.links.keys().for_each(|to| users.entry(*to).or_default().push(ProjectId(place)));
        }
        let mut queue: Vec<ProjectId> = of.into_iter().collect();
        let mut dependents: BTreeSet<ProjectId> = queue.iter().copied().collect();
        while let Some(project) = queue.pop() {
            let new = users.get(&project).into_iter().flatten().copied().filter(|user| dependents.insert(*user));
            queue.extend(new);
        }
        dependents
    }

    /// The imports of what is built that no manifest declares: who, whom, in which file and line.
    pub(crate) fn undeclared(&self) -> impl Iterator<Item = (ProjectId, ProjectId, &str, usize)> {
        let links =
            self.nodes.iter().enumerate().flat_map(|(from, node)| node.links.iter().map(move |link| (from, link)));
        links.filter(|(_, (_, link))| !link.is_declared).filter_map(|(from, (to, link))| {
            let (file, line) = link.import.as_ref()?;
            Some((ProjectId(from), *to, file.as_str(), *line))
        })
    }
}

struct Reading<'a> {
    workspace: &'a Workspace,
    /// Which files of each project are built, in either role.
    built: Vec<[Selection; 2]>,
    nodes: Vec<Node>,
    /// The sources of no project, with what they import.
    loose: BTreeMap<String, Node>,
}

/// A source whose imports are read.
struct Importing<'a> {
    path: &'a str,
    project: Option<ProjectId>,
    is_built: bool,
}

impl Reading<'_> {
    fn read<'i>(&mut self, path: &str, imports: impl Iterator<Item = (usize, &'i Resolution)>) {
        let mut imports = imports.peekable();
        if imports.peek().is_none() {
            return;
        }
        let project = self.project_of(path);
        let is_built = project.is_none_or(|project| self.is_built(project, path));
        let importing = Importing { path, project, is_built };
        let mut node = match project.and_then(|project| self.nodes.get_mut(project.0)) {
            Some(node) => std::mem::take(node),
            None => Node::default(),
        };
        imports.for_each(|(line, resolution)| self.add(&mut node, &importing, resolution, line));
        match project.and_then(|project| self.nodes.get_mut(project.0)) {
            Some(place) => *place = node,
            None => drop(self.loose.insert(path.to_owned(), node)),
        }
    }

    /// The project that a file is of. What lies at the root of a workspace is of none: the root is not built as a whole.
    fn project_of(&self, path: &str) -> Option<ProjectId> {
        let project = self.workspace.owner(path)?;
        let is_root = self.workspace.project(project).is_some_and(|project| project.root.is_empty());
        (!is_root || self.workspace.projects.len() == 1).then_some(project)
    }

    fn is_built(&self, project: ProjectId, path: &str) -> bool {
        let root = self.workspace.project(project).map_or("", |project| project.root.as_str());
        let path = path.strip_prefix(root).unwrap_or(path).trim_start_matches('/');
        self.built.get(project.0).is_some_and(|built| built.iter().any(|selection| selection.has(path)))
    }

    fn add(&self, node: &mut Node, importing: &Importing<'_>, resolution: &Resolution, line: usize) {
        if importing.is_built {
            node.entries.extend(resolution.through.clone());
        }
        match &resolution.to {
            Resolved::File(file) => match self.project_of(file) {
                Some(project) => self.link(node, importing, project, line),
                None if importing.is_built => drop(node.outside.insert(file.clone())),
                None => {}
            },
            Resolved::Folder(folder) => {
                if let Some(project) = self.project_of(&format!("{folder}/")) {
                    self.link(node, importing, project, line);
                }
            }
            Resolved::Workspace { folder, .. } => {
                if let Some(project) = self.workspace.at(folder) {
                    self.link(node, importing, project, line);
                }
            }
            Resolved::External(package) if importing.is_built => drop(node.externals.insert(package.clone())),
            Resolved::External(_) | Resolved::Builtin | Resolved::Nowhere => {}
        }
    }

    fn link(&self, node: &mut Node, importing: &Importing<'_>, to: ProjectId, line: usize) {
        let from = importing.project.and_then(|project| self.workspace.project(project));
        // Nx is told that it does not depend on it, whatever it imports.
        let is_excluded = from.is_some_and(|from| from.excluded.contains(&to));
        if importing.project == Some(to) || is_excluded {
            return;
        }
        let link = node.links.entry(to).or_default();
        if importing.is_built {
            link.import.get_or_insert_with(|| (importing.path.to_owned(), line));
        }
    }

    /// Follows the files of no project to what they import in turn.
    fn follow_loose_files(&mut self) {
        for node in &mut self.nodes {
            let mut queue: Vec<String> = node.outside.iter().cloned().collect();
            while let Some(file) = queue.pop() {
                let Some(loose) = self.loose.get(&file) else { continue };
                queue.extend(loose.outside.iter().filter(|file| node.outside.insert((*file).clone())).cloned());
                node.externals.extend(loose.externals.iter().cloned());
                node.entries.extend(loose.entries.iter().cloned());
                for (project, link) in &loose.links {
                    let known = node.links.entry(*project).or_default();
                    known.import = known.import.take().or_else(|| link.import.clone());
                }
            }
        }
    }

    /// What `tsc --build` builds before.
    fn add_references(&mut self, typescript: &TypeScript) {
        for place in 0..self.nodes.len() {
            let own = ProjectId(place);
            let root = self.workspace.project(own).map_or("", |project| project.root.as_str());
            let references =
                typescript.references(root, |path| self.project_of(path) == Some(own) && self.is_built(own, path));
            let to = references.iter().filter_map(|reference| self.project_of(&format!("{}/", reference.to)));
            let to: Vec<ProjectId> = to.filter(|to| *to != own).collect();
            if let Some(node) = self.nodes.get_mut(place) {
                to.into_iter().for_each(|to| node.links.entry(to).or_default().is_declared = true);
            }
        }
    }

    /// What manifests declare, and the tasks that come before.
    fn add_declared(&mut self, task: &str) {
        for (place, (node, project)) in self.nodes.iter_mut().zip(&self.workspace.projects).enumerate() {
            let before = self.workspace.before(ProjectId(place), task);
            for to in project.dependencies.iter().map(|edge| edge.to).chain(before) {
                node.links.entry(to).or_default().is_declared = true;
            }
        }
    }
}
