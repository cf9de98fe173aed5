//! From manifests to projects and their edges.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use foldhash::{HashMap, HashSet};
use serde_json::{Map, Value, json};

use super::discovery::Discovery;
use super::manifests::{entries, texts, told_name};
use super::nx::{self, NxProject, Targets};
use super::packages::{self, PackageRoot, Source};
use super::turbo::TurboProject;
use super::{Because, Edge, Language, Member, Project, ProjectId, Workspace, cargo, plugins};
use crate::digest::Digest;
use crate::files::Files;
use crate::path;
use crate::problem::Problem;
use crate::setting::Setting;

/// Reads the projects of a commit.
pub(crate) fn read(files: &Files<'_>) -> Workspace {
    let discovery = Discovery::new(files);
    let mut reader = Reader {
        files,
        discovery,
        workspace: Workspace::default(),
        scopes: Vec::new(),
        by_package: HashMap::default(),
    };
    reader.projects();
    reader.name();
    reader.edges();
    reader.implicit_edges();
    let Reader { discovery, mut workspace, .. } = reader;
    workspace.problems.extend(discovery.problems);
    workspace.problems.sort_unstable();
    workspace.problems.dedup();
    workspace.nx = discovery.nx;
    workspace.turbo = discovery.turbo;
    workspace
}

struct Reader<'a> {
    files: &'a Files<'a>,
    discovery: Discovery,
    workspace: Workspace,
    /// The folder of the workspace that each project is in: names of packages mean its packages.
    scopes: Vec<String>,
    by_package: HashMap<String, HashMap<String, ProjectId>>,
}

impl Reader<'_> {
    /// All projects, without their edges.
    fn projects(&mut self) {
        let mut roots: BTreeMap<String, usize> = BTreeMap::new();
        // Most projects have the same targets as others: they share them.
        let mut targets: HashSet<Arc<Targets>> = HashSet::default();
        let mut kin: HashMap<Kin, usize> = HashMap::default();
        let folders: Vec<String> = self.discovery.roots.iter().cloned().collect();
        for root in folders {
            let (mut project, mut member) = self.project(&root);
            if project.languages.contains(&Language::JavaScript)
                && let Some(folder) = self.package_root(&root)
            {
                let place = *roots.entry(folder.clone()).or_insert_with(|| {
                    self.workspace.roots.push(self.read_package_root(&folder));
                    self.workspace.roots.len() - 1
                });
                member.root = Some(place);
            }
            if let Some(nx) = &mut member.nx {
                nx.name.clone_from(&project.name);
                nx.targets = match targets.get(&nx.targets) {
                    Some(known) => Arc::clone(known),
                    None => Arc::clone(&nx.targets),
                };
                targets.insert(Arc::clone(&nx.targets));
                self.workspace.problems.extend(nx.complaints());
            }
            let place = self.workspace.members.len();
            member.kin = Kin::of(&member).map_or(place, |known| *kin.entry(known).or_insert(place));
            let scope = self.discovery.scope_of(&root).map(str::to_owned);
            let in_nx = || member.nx.as_ref().and_then(|nx| self.discovery.nx.get(nx.nx)).map(|nx| nx.folder.clone());
            self.scopes.push(scope.or_else(in_nx).unwrap_or_else(|| root.clone()));
            project.root = root;
            self.workspace.projects.push(project);
            self.workspace.members.push(member);
        }
    }

    fn project(&mut self, root: &str) -> (Project, Member) {
        let nx = self.discovery.nx_of(root);
        let package = self.discovery.packages.get(root);
        let settings = self.discovery.nx_projects.get(root).filter(|_| nx.is_some());
        let manifest = self.discovery.crates.get(root);
        let broken = [package, settings, manifest].into_iter().flatten().filter_map(|manifest| manifest.as_ref().err());
        self.workspace.problems.extend(broken.cloned());
        let mut project = Project::default();
        if package.is_some() || (settings.is_some() && manifest.is_none()) {
            project.languages.insert(Language::JavaScript);
        }
        if manifest.is_some() {
            project.languages.insert(Language::Rust);
            project.targets.extend(["build", "test"].map(str::to_owned));
        }
        let told =
            package.is_some_and(Result::is_err).then(|| told_name(self.files, &path::join(root, "package.json")));
        let [package, settings, manifest] =
            [package, settings, manifest].map(|manifest| manifest.and_then(|manifest| manifest.as_ref().ok()));
        let in_package = package.and_then(|package| package.get("nx")).filter(|_| nx.is_some());
        project.crate_name = text(manifest.and_then(|manifest| manifest.get("package")), "name");
        let package_name = text(package, "name").or(told.flatten());
        project.package = package_name.clone().or_else(|| project.crate_name.clone());
        let folder = if root.is_empty() { "." } else { path::name(root) };
        let in_nx = text(settings, "name").or_else(|| text(in_package, "name"));
        project.name = in_nx.or_else(|| project.package.clone()).unwrap_or_else(|| folder.to_owned());
        let kind = text(settings, "projectType").or_else(|| text(in_package, "projectType"));
        project.is_application = kind.as_deref() == Some("application");
        project.targets.extend(scripts(package).map(str::to_owned));
        let mut member = Member::default();
        let is_member = self.discovery.scope_of(root).is_some();
        if let Some(nx) = nx.filter(|_| is_member || self.discovery.nx_projects.contains_key(root)) {
            let known = self.nx_project(nx, root, package, settings);
            // Nx may be told to take only some of the scripts.
            if in_package.is_some_and(|nx| nx.get("includedScripts").is_some()) {
                project.targets.clear();
            }
            project.targets.extend(known.targets.keys().cloned());
            project.tags.extend(known.tags.iter().cloned());
            member.nx = Some(known);
        }
        member.turbo = package.and_then(|package| self.turbo_project(root, package, package_name));
        member.cargo = manifest.map(|manifest| self.cargo_member(root, manifest));
        (project, member)
    }

    fn turbo_project(&self, root: &str, package: &Value, name: Option<String>) -> Option<TurboProject> {
        let turbo = self.discovery.turbo_of(root)?;
        let own = self.discovery.turbo_packages.get(root);
        Some(TurboProject {
            turbo,
            name: name.unwrap_or_default(),
            root: root.to_owned(),
            scripts: scripts(Some(package)).map(str::to_owned).collect(),
            json: own.and_then(|own| own.as_ref().ok()).cloned().unwrap_or_default(),
            is_broken: own.is_some_and(Result::is_err),
        })
    }

    /// The folder of a crate's workspace, and the parts of its root that reach the crate.
    fn cargo_member(&self, root: &str, manifest: &Value) -> (String, Vec<Setting>) {
        match self.discovery.cargo_root(root) {
            None => (root.to_owned(), Vec::new()),
            Some((folder, _)) if folder == root => (root.to_owned(), Vec::new()),
            Some((folder, workspace)) => {
                (folder.to_owned(), cargo::settings(folder, workspace, manifest).into_iter().collect())
            }
        }
    }

    fn nx_project(&self, nx: usize, root: &str, package: Option<&Value>, settings: Option<&Value>) -> NxProject {
        let in_package = package.and_then(|package| package.get("nx"));
        // `project.json` has the last word.
        let sources = [(in_package, path::join(root, "package.json")), (settings, path::join(root, "project.json"))];
        let mut project = NxProject { nx, root: root.to_owned(), ..NxProject::default() };
        let mut targets = Targets::new();
        let included = in_package.and_then(|nx| nx.get("includedScripts"));
        for script in scripts(package) {
            if included.is_none() || texts(included).any(|name| name == script) {
                targets.insert(script.to_owned(), json!({ "executor": "nx:run-script" }));
            }
        }
        for (source, file) in sources {
            let Some(source) = source else { continue };
            for (target, value) in entries(source, "targets") {
                let known = targets.entry(target.to_owned()).or_default();
                *known = merged(known, value);
            }
            project
                .named_inputs
                .extend(entries(source, "namedInputs").map(|(name, list)| (name.to_owned(), list.clone())));
            project.tags.extend(texts(source.get("tags")).map(str::to_owned));
            project
                .implicit
                .extend(texts(source.get("implicitDependencies")).map(|pattern| (file.clone(), pattern.to_owned())));
        }
        if let Some(nx) = self.discovery.nx.get(nx) {
            for target in plugins::targets(&self.discovery.configurations, &nx.json, &nx.folder, root) {
                targets.entry(target).or_default();
            }
        }
        let fields = targets.values_mut().filter_map(Value::as_object_mut);
        fields.for_each(|fields| fields.retain(|field, _| nx::TELLING.contains(&field.as_str())));
        project.targets = Arc::new(targets);
        project
    }

    /// The folder that the packages of a project are installed in.
    fn package_root(&self, root: &str) -> Option<String> {
        let scope = self.discovery.scope_of(root).map(str::to_owned);
        let is_root = |folder: &&str| {
            let is_workspace = self.discovery.scopes.contains_key(*folder)
                || self.discovery.nx.iter().any(|nx| nx.folder == **folder)
                || self.discovery.locked.contains(*folder);
            is_workspace || folder.is_empty()
        };
        scope.or_else(|| path::around(root).find(is_root).map(str::to_owned))
    }

    fn read_package_root(&self, folder: &str) -> PackageRoot {
        let read = |manifest: Option<&'_ super::discovery::Manifest>, file: &str| {
            let unread = Digest::of(self.files.get(&path::join(folder, file)).map(|entry| entry.id.0));
            manifest.map(|manifest| manifest.as_ref().map_err(|_| unread).cloned())
        };
        let package = read(self.discovery.packages.get(folder), "package.json");
        let pnpm = read(self.discovery.pnpm.get(folder), "pnpm-workspace.yaml");
        fn borrowed(manifest: &Option<Result<Value, Digest>>) -> Option<Result<&Value, Digest>> {
            manifest.as_ref().map(|manifest| manifest.as_ref().map_err(|digest| *digest))
        }
        PackageRoot::new(folder, borrowed(&package), borrowed(&pnpm))
    }

    /// Who is called what. What lies in a workspace inside of another gives way.
    fn name(&mut self) {
        let mut order: Vec<usize> = (0..self.workspace.projects.len()).collect();
        order.sort_by_key(|place| {
            self.scopes.get(*place).map_or(0, |scope| scope.split('/').filter(|part| !part.is_empty()).count())
        });
        for place in order {
            let (Some(project), Some(scope)) = (self.workspace.projects.get_mut(place), self.scopes.get(place)) else {
                continue;
            };
            let id = ProjectId(place);
            self.workspace.folders.insert(project.root.clone(), id);
            if let Some(package) = project.package.clone().filter(|_| project.languages.contains(&Language::JavaScript))
            {
                self.workspace.packages.entry(package.clone()).or_insert_with(|| project.root.clone());
                self.by_package.entry(scope.clone()).or_default().entry(package).or_insert(id);
            }
            let Some(known) = self.workspace.names.get(&project.name).copied() else {
                self.workspace.names.insert(project.name.clone(), id);
                continue;
            };
            let name = std::mem::replace(&mut project.name, project.root.clone());
            let root = project.root.clone();
            self.workspace.names.entry(root.clone()).or_insert(id);
            if self.scopes.get(known.0) == Some(scope)
                && let Some(known) = self.workspace.projects.get(known.0)
            {
                let files = ["project.json", "package.json", "Cargo.toml"].map(|file| path::join(&root, file));
                let file = files.iter().find(|path| self.files.has(path)).map_or(root.as_str(), String::as_str);
                let message = format!(
                    "two projects are called `{name}`: `{}` and `{root}`; the second is called `{root}` here",
                    known.root
                );
                self.workspace.problems.push(Problem::new(file, message));
            }
        }
    }

    fn edges(&mut self) {
        for place in 0..self.workspace.projects.len() {
            let Some(project) = self.workspace.projects.get(place) else { continue };
            let root = project.root.clone();
            let (mut edges, mut requires) = (Vec::new(), Vec::new());
            let scope = self.scopes.get(place).cloned().unwrap_or_default();
            if let Some(Ok(manifest)) = self.discovery.packages.get(&root) {
                let file: Arc<str> = path::join(&root, "package.json").into();
                for dependency in packages::dependencies(manifest, &root, &scope) {
                    let target = || match &dependency.source {
                        Source::Folder(folder) => self.workspace.at(folder),
                        Source::Workspace(name) | Source::Anywhere(name) => {
                            self.by_package.get(&scope)?.get(*name).copied()
                        }
                        Source::Outside => None,
                    };
                    match target() {
                        Some(to) => edges.push(Edge {
                            to,
                            because: Because::Manifest { file: Arc::clone(&file), field: dependency.field },
                        }),
                        None => requires.push(packages::requirement(&dependency)),
                    }
                }
            }
            if let Some(Ok(manifest)) = self.discovery.crates.get(&root) {
                let file: Arc<str> = path::join(&root, "Cargo.toml").into();
                for dependency in cargo::dependencies(manifest, &root, self.discovery.cargo_root(&root)) {
                    match dependency.folder.as_ref().and_then(|folder| self.workspace.at(folder)) {
                        Some(to) => edges.push(Edge { to, because: Because::CargoPath { file: Arc::clone(&file) } }),
                        None => requires.push(cargo::requirement(&dependency)),
                    }
                }
            }
            edges.extend(self.any_library(&root));
            let mut known = HashSet::from_iter([ProjectId(place)]);
            edges.retain(|edge| known.insert(edge.to));
            if let Some(project) = self.workspace.projects.get_mut(place) {
                project.dependencies = edges;
                project.requires = requires;
            }
        }
    }

    /// What a project with a manifest that cannot be read may depend on.
    fn any_library(&self, root: &str) -> Vec<Edge> {
        let is_nx = self.discovery.nx_of(root).is_some();
        let manifests = [
            (self.discovery.packages.get(root), "package.json"),
            (self.discovery.nx_projects.get(root).filter(|_| is_nx), "project.json"),
            (self.discovery.crates.get(root), "Cargo.toml"),
        ];
        let unreadable = manifests.into_iter().find(|(manifest, _)| manifest.is_some_and(Result::is_err));
        let Some((_, file)) = unreadable else { return Vec::new() };
        let file: Arc<str> = path::join(root, file).into();
        let libraries = self.workspace.projects.iter().enumerate().filter(|(_, project)| !project.is_application);
        let edge = |to| Edge { to: ProjectId(to), because: Because::Unreadable { file: Arc::clone(&file) } };
        libraries.map(|(place, _)| edge(place)).collect()
    }

    fn implicit_edges(&mut self) {
        let mut meant: HashMap<(usize, String), Vec<ProjectId>> = HashMap::default();
        for place in 0..self.workspace.members.len() {
            let Some(nx) = self.workspace.members.get(place).and_then(|member| member.nx.as_ref()) else { continue };
            let (workspace, implicit) = (nx.nx, nx.implicit.clone());
            for (file, text) in implicit {
                let (is_taken_away, pattern) =
                    text.strip_prefix('!').map_or((false, text.as_str()), |pattern| (true, pattern));
                let targets = meant
                    .entry((workspace, pattern.to_owned()))
                    .or_insert_with(|| self.workspace.meant_by(workspace, pattern));
                if targets.is_empty() {
                    let message = format!("implicit dependency `{text}`: there is no such project");
                    self.workspace.problems.push(Problem::new(&file, message));
                }
                let Some(project) = self.workspace.projects.get_mut(place) else { continue };
                if is_taken_away {
                    project.dependencies.retain(|edge| !targets.contains(&edge.to));
                    project.excluded.extend(targets.iter().filter(|target| target.0 != place));
                    continue;
                }
                let file: Arc<str> = file.into();
                let known: HashSet<ProjectId> = project.dependencies.iter().map(|edge| edge.to).collect();
                let new = targets.iter().filter(|target| target.0 != place && !known.contains(target));
                project
                    .dependencies
                    .extend(new.map(|to| Edge { to: *to, because: Because::Implicit { file: Arc::clone(&file) } }));
            }
        }
    }
}

/// What a project says to Nx and Turborepo, its name and its folder apart.
#[derive(PartialEq, Eq, Hash)]
struct Kin {
    nx: Option<(usize, Arc<Targets>)>,
    turbo: Option<(usize, BTreeSet<String>)>,
}

impl Kin {
    /// Nothing, if it says more than most do.
    fn of(member: &Member) -> Option<Self> {
        let says_more = member.nx.as_ref().is_some_and(|nx| !nx.named_inputs.is_empty())
            || member.turbo.as_ref().is_some_and(|turbo| turbo.is_broken || !turbo.json.is_null());
        let nx = member.nx.as_ref().map(|nx| (nx.nx, Arc::clone(&nx.targets)));
        let turbo = member.turbo.as_ref().map(|turbo| (turbo.turbo, turbo.scripts.clone()));
        (!says_more).then_some(Self { nx, turbo })
    }
}

/// A text of a manifest that says something.
fn text(manifest: Option<&Value>, key: &str) -> Option<String> {
    let text = manifest.and_then(|manifest| manifest.get(key)).and_then(Value::as_str);
    text.filter(|text| !text.is_empty()).map(str::to_owned)
}

/// The scripts of a package.
fn scripts(package: Option<&Value>) -> impl Iterator<Item = &str> {
    package.into_iter().flat_map(|package| entries(package, "scripts")).map(|(name, _)| name)
}

/// A target over another of the same name, field by field.
fn merged(base: &Value, over: &Value) -> Value {
    match (base.as_object(), over.as_object()) {
        (Some(base), Some(over)) => {
            let mut merged: Map<String, Value> = base.clone();
            merged.extend(over.iter().map(|(key, value)| (key.clone(), value.clone())));
            Value::Object(merged)
        }
        // `"build": {}` and even `"build": null` are targets that a file declares.
        (None, None) => json!({}),
        (Some(_), None) => base.clone(),
        (None, Some(_)) => over.clone(),
    }
}
