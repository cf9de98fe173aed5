//! The projects of a workspace and what each depends on, as one commit tells.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use common::failure::Failure;
use common::git::Tree;
use globset::Glob;

use crate::manifests::{Members, NxProject, PackageJson, nx_project, package};

/// The projects of a workspace, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Graph {
    projects: BTreeMap<String, Project>,
}

/// One project.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Project {
    /// Its folder; blank is the workspace's root.
    pub(crate) root: String,
    /// What it is called elsewhere: its npm package, where Nx has another name for it.
    alias: Option<String>,
    /// The names of the projects that it depends on.
    dependencies: BTreeSet<String>,
}

/// A project as its manifests tell of it.
struct Declared {
    root: String,
    package: Option<PackageJson>,
    nx: Option<NxProject>,
}

impl Graph {
    /// Reads the graph of a commit.
    pub(crate) fn read(tree: &Tree<'_>) -> Result<Self, Failure> {
        let mut graph = Self::default();
        let declared = declared(tree)?;
        for project in &declared {
            let name = project.name();
            let alias = project.package.as_ref().and_then(|package| package.name.clone()).filter(|alias| *alias != name);
            let known = graph.projects.insert(name.clone(), Project { root: project.root.clone(), alias, ..Project::default() });
            if let Some(known) = known {
                return Err(Failure::input(format!("two projects are called `{name}`: `{}` and `{}`", known.root, project.root))
                    .hint("give each project of the workspace a name of its own"));
            }
        }
        for project in &declared {
            let dependencies = graph.dependencies(project, &declared);
            if let Some(node) = graph.projects.get_mut(&project.name()) {
                node.dependencies = dependencies;
            }
        }
        Ok(graph)
    }

    /// All projects, by name.
    pub(crate) fn projects(&self) -> impl Iterator<Item = (&str, &Project)> {
        self.projects.iter().map(|(name, project)| (name.as_str(), project))
    }

    /// The project of this name, or of this npm package.
    pub(crate) fn find(&self, name: &str) -> Option<(&str, &Project)> {
        self.projects().find(|(key, _)| *key == name).or_else(|| self.projects().find(|(_, project)| project.alias.as_deref() == Some(name)))
    }

    /// The project whose folder this is.
    pub(crate) fn at(&self, root: &str) -> Option<(&str, &Project)> {
        self.projects().find(|(_, project)| project.root == root)
    }

    /// The innermost project that a path lies in.
    pub(crate) fn owner(&self, path: &str) -> Option<&str> {
        let holders = self.projects().filter(|(_, project)| lies_in(path, &project.root));
        holders.max_by_key(|(_, project)| project.root.len()).map(|(name, _)| name)
    }

    /// A project and all that it depends on, each with the shortest way to it, the project itself first.
    pub(crate) fn ways(&self, from: &str) -> BTreeMap<&str, Vec<&str>> {
        let Some((from, _)) = self.projects.get_key_value(from) else { return BTreeMap::new() };
        let mut ways = BTreeMap::from([(from.as_str(), vec![from.as_str()])]);
        let mut queue = VecDeque::from([from.as_str()]);
        while let Some(name) = queue.pop_front() {
            let way = ways[name].clone();
            for next in self.projects.get(name).into_iter().flat_map(|project| &project.dependencies) {
                if !ways.contains_key(next.as_str()) {
                    ways.insert(next, way.iter().copied().chain([next.as_str()]).collect());
                    queue.push_back(next);
                }
            }
        }
        ways
    }

    fn dependencies(&self, project: &Declared, all: &[Declared]) -> BTreeSet<String> {
        let own = project.name();
        let mut dependencies: BTreeSet<String> = match &project.package {
            Some(package) => package.dependencies().filter_map(|name| self.find(name)).map(|(name, _)| name.to_owned()).collect(),
            // An Nx project without a package says nowhere what it imports: any library may be among it.
            None => all.iter().filter(|other| !other.is_application()).map(Declared::name).collect(),
        };
        for pattern in project.implicit_dependencies() {
            let (is_taken_away, pattern) = pattern.strip_prefix('!').map_or((false, pattern), |pattern| (true, pattern));
            let glob = Glob::new(pattern).map(|glob| glob.compile_matcher());
            let matches = |name: &str| name == pattern || glob.as_ref().is_ok_and(|glob| glob.is_match(name));
            if is_taken_away {
                dependencies.retain(|name| !matches(name));
            } else {
                dependencies.extend(self.projects.keys().filter(|name| matches(name)).cloned());
            }
        }
        dependencies.remove(&own);
        dependencies
    }
}

impl Declared {
    /// What Nx calls it, else its npm package, else its folder.
    fn name(&self) -> String {
        let in_package = self.package.as_ref().and_then(|package| package.nx.as_ref()).and_then(|nx| nx.name.clone());
        let package = self.package.as_ref().and_then(|package| package.name.clone());
        let folder = || self.root.rsplit('/').next().unwrap_or_default().to_owned();
        self.nx.as_ref().and_then(|nx| nx.name.clone()).or(in_package).or(package).unwrap_or_else(folder)
    }

    fn settings(&self) -> impl Iterator<Item = &NxProject> {
        self.nx.iter().chain(self.package.iter().filter_map(|package| package.nx.as_ref()))
    }

    fn implicit_dependencies(&self) -> impl Iterator<Item = &str> {
        self.settings().flat_map(|nx| &nx.implicit_dependencies).map(String::as_str)
    }

    fn is_application(&self) -> bool {
        self.settings().any(|nx| nx.project_type.as_deref() == Some("application"))
    }
}

/// All projects that the files of a commit declare.
fn declared(tree: &Tree<'_>) -> Result<Vec<Declared>, Failure> {
    let members = Members::read(tree)?;
    let is_nx = tree.has("nx.json");
    let mut roots = BTreeSet::new();
    for path in tree.paths().filter(|path| !path.split('/').any(|part| part == "node_modules")) {
        let (root, file) = path.rsplit_once('/').unwrap_or(("", path));
        if (file == "package.json" && members.has(root)) || (file == "project.json" && is_nx) {
            roots.insert(root);
        }
    }
    // A repository that is one package is a workspace of one.
    if roots.is_empty() && tree.has("package.json") {
        roots.insert("");
    }
    let declared = roots.into_iter().map(|root| {
        let path = |file: &str| if root.is_empty() { file.to_owned() } else { format!("{root}/{file}") };
        let nx = if is_nx { nx_project(tree, &path("project.json"))? } else { None };
        // Outside of the workspace's packages, a `package.json` is there to publish by, and does not say what is imported.
        let is_package = nx.is_none() || members.has(root);
        let package = if is_package { package(tree, &path("package.json"))? } else { None };
        Ok(Declared { root: root.to_owned(), package, nx })
    });
    declared.collect()
}

/// Whether a path is a folder or lies in it; blank is the root, which holds everything.
pub(crate) fn lies_in(path: &str, folder: &str) -> bool {
    folder.is_empty() || path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
