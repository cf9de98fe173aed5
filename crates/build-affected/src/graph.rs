//! The projects of a workspace and what each depends on, as one commit tells.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use common::failure::Failure;
use common::git::Tree;
use globset::Glob;

use crate::manifests::{Members, NxProject, PackageJson, nx_project, package};

/// What a project depends on that does not say what it imports.
const ANY_LIBRARY: &str = "any library";

/// The projects of a workspace.
#[derive(Clone, Debug, Default)]
pub(crate) struct Graph {
    /// By name.
    projects: BTreeMap<String, Project>,
    /// The name of the project in each folder.
    folders: BTreeMap<String, String>,
    /// The name of the project behind each npm package.
    packages: BTreeMap<String, String>,
    /// The projects that [`ANY_LIBRARY`] stands for.
    libraries: BTreeSet<String>,
}

/// One project.
#[derive(Clone, Debug, Default)]
pub(crate) struct Project {
    /// Its folder; blank is the workspace's root.
    pub(crate) root: String,
    /// The names of what it depends on.
    dependencies: BTreeSet<String>,
}

/// A project and all that it depends on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reach<'a> {
    /// Each with the one that leads to it on the shortest way; the first with itself.
    before: BTreeMap<&'a str, &'a str>,
}

impl Graph {
    /// Reads the graph of a commit.
    pub(crate) fn read(tree: &Tree<'_>) -> Result<Self, Failure> {
        let declared = declared(tree)?;
        let mut graph = Self::default();
        for project in &declared {
            let name = project.name();
            graph.folders.insert(project.root.clone(), name.clone());
            graph.packages.extend(project.package_name().map(|package| (package.to_owned(), name.clone())));
            if !project.is_application() {
                graph.libraries.insert(name.clone());
            }
            if let Some(known) =
                graph.projects.insert(name.clone(), Project { root: project.root.clone(), ..Project::default() })
            {
                return Err(Failure::input(format!(
                    "two projects are called `{name}`: `{}` and `{}`",
                    known.root, project.root
                ))
                .hint("give each project of the workspace a name of its own"));
            }
        }
        for project in &declared {
            let dependencies = graph.dependencies(project);
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
        let name = if self.projects.contains_key(name) { name } else { self.packages.get(name)? };
        self.projects.get_key_value(name).map(|(name, project)| (name.as_str(), project))
    }

    /// The name of the project whose folder this is.
    pub(crate) fn at(&self, root: &str) -> Option<&str> {
        self.folders.get(root).map(String::as_str)
    }

    /// The innermost project that a path lies in.
    pub(crate) fn owner(&self, path: &str) -> Option<&str> {
        let folders = path.rmatch_indices('/').map(|(end, _)| &path[..end]).chain([""]);
        folders.filter_map(|folder| self.at(folder)).next()
    }

    /// A project and all that it depends on.
    pub(crate) fn reach(&self, from: &str) -> Reach<'_> {
        let Some((from, _)) = self.projects.get_key_value(from) else { return Reach::default() };
        let mut before = BTreeMap::from([(from.as_str(), from.as_str())]);
        let mut queue = VecDeque::from([from.as_str()]);
        while let Some(name) = queue.pop_front() {
            for next in self.next(name) {
                if !before.contains_key(next) {
                    before.insert(next, name);
                    queue.push_back(next);
                }
            }
        }
        Reach { before }
    }

    /// These projects and all that depend on them.
    pub(crate) fn dependents<'a>(&'a self, of: impl IntoIterator<Item = &'a str>) -> BTreeSet<&'a str> {
        let mut before: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for name in self.projects.keys().map(String::as_str).chain([ANY_LIBRARY]) {
            self.next(name).for_each(|next| before.entry(next).or_default().push(name));
        }
        let mut queue: Vec<&str> = of.into_iter().collect();
        let mut dependents: BTreeSet<&str> = queue.iter().copied().collect();
        while let Some(name) = queue.pop() {
            let new = before.get(name).into_iter().flatten().copied().filter(|name| dependents.insert(name));
            queue.extend(new);
        }
        dependents.remove(ANY_LIBRARY);
        dependents
    }

    /// What a project depends on by itself.
    fn next(&self, name: &str) -> impl Iterator<Item = &str> {
        let libraries = (name == ANY_LIBRARY).then_some(&self.libraries);
        self.projects
            .get(name)
            .map(|project| &project.dependencies)
            .or(libraries)
            .into_iter()
            .flatten()
            .map(String::as_str)
    }

    fn dependencies(&self, project: &Declared) -> BTreeSet<String> {
        let own = project.name();
        let mut dependencies: BTreeSet<String> = match &project.package {
            Some(package) => {
                package.dependencies().filter_map(|name| self.find(name)).map(|(name, _)| name.to_owned()).collect()
            }
            // An Nx project without a package says nowhere what it imports: any library may be among it.
            None if project.implicit_dependencies().any(|pattern| pattern.starts_with('!')) => self.libraries.clone(),
            None => BTreeSet::from([ANY_LIBRARY.to_owned()]),
        };
        for pattern in project.implicit_dependencies() {
            let (is_taken_away, pattern) =
                pattern.strip_prefix('!').map_or((false, pattern), |pattern| (true, pattern));
            let glob = Glob::new(pattern).map(|glob| glob.compile_matcher());
            let matches = |name: &str| name == pattern || glob.as_ref().is_ok_and(|glob| glob.is_match(name));
            match is_taken_away {
                true => dependencies.retain(|name| !matches(name)),
                false => dependencies.extend(self.projects.keys().filter(|name| matches(name)).cloned()),
            }
        }
        dependencies.remove(&own);
        dependencies
    }
}

impl<'a> Reach<'a> {
    /// Whether a project is among them.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.before.contains_key(name)
    }

    /// The shortest way to a project, from the first one to it.
    pub(crate) fn way(&self, to: &str) -> Vec<&'a str> {
        let mut way = Vec::new();
        let mut next = self.before.get_key_value(to).map(|(name, _)| *name);
        while let Some(name) = next {
            way.push(name);
            next = self.before.get(name).copied().filter(|before| *before != name);
        }
        way.reverse();
        way
    }
}

/// A project as its manifests tell of it.
struct Declared {
    root: String,
    package: Option<PackageJson>,
    nx: Option<NxProject>,
}

impl Declared {
    /// What Nx calls it, else its npm package, else its folder.
    fn name(&self) -> String {
        let in_nx = self.settings().find_map(|nx| nx.name.as_deref());
        let folder = self.root.rsplit('/').next().unwrap_or_default();
        in_nx.or_else(|| self.package_name()).unwrap_or(folder).to_owned()
    }

    fn package_name(&self) -> Option<&str> {
        self.package.as_ref()?.name.as_deref()
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
    for path in tree.paths().filter(|path| path.ends_with("package.json") || path.ends_with("project.json")) {
        let (root, file) = path.rsplit_once('/').unwrap_or(("", path));
        let is_project = (file == "package.json" && members.has(root)) || (file == "project.json" && is_nx);
        if is_project && !root.split('/').any(|part| part == "node_modules") {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// `a` → `b` → `c` and `b` → `d`; `e` does not say what it imports; `a` and `e` are applications.
    fn graph() -> Graph {
        let mut graph = Graph::default();
        for (name, dependencies) in
            [("a", vec!["b"]), ("b", vec!["c", "d"]), ("c", vec![]), ("d", vec!["b"]), ("e", vec![ANY_LIBRARY])]
        {
            let dependencies = dependencies.into_iter().map(str::to_owned).collect();
            graph.projects.insert(name.to_owned(), Project { root: format!("libs/{name}"), dependencies });
            graph.folders.insert(format!("libs/{name}"), name.to_owned());
        }
        graph.libraries = ["b", "c", "d"].map(str::to_owned).into();
        graph
    }

    #[test]
    fn the_way_to_a_dependency_is_told() {
        let graph = graph();
        assert_eq!(graph.reach("a").way("c"), ["a", "b", "c"]);
        assert_eq!(graph.reach("e").way("c"), ["e", ANY_LIBRARY, "c"]);
        assert_eq!(graph.reach("c").way("a"), [""; 0]);
        assert!(graph.reach("d").has("c") && !graph.reach("d").has("a") && !graph.reach("nobody").has("a"));
    }

    #[test]
    fn dependents_are_found_however_far_and_in_circles() {
        let graph = graph();
        assert_eq!(graph.dependents(["c"]), BTreeSet::from(["a", "b", "c", "d", "e"]));
        assert_eq!(graph.dependents(["a"]), BTreeSet::from(["a"]));
        assert_eq!(graph.dependents([]), BTreeSet::new());
    }

    #[test]
    fn the_innermost_project_owns_a_path() {
        let mut graph = graph();
        graph.folders.insert("libs/a/inner".to_owned(), "d".to_owned());
        for (path, owner) in
            [("libs/a/x", Some("a")), ("libs/a/inner/x/y", Some("d")), ("libs/ab/x", None), ("x", None)]
        {
            assert_eq!(graph.owner(path), owner, "{path}");
        }
        graph.folders.insert(String::new(), "e".to_owned());
        assert_eq!(graph.owner("x"), Some("e"));
    }
}
