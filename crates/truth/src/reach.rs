//! The truth: what a service's image is made of, told from the model alone.
//!
//! An image is the sum of its parts. Each part has a digest; a service is affected if and only if the parts that it has at
//! the head are not those that it had at the base. Nothing here reads a file, a commit, or a line of what is tested.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::model::{External, File, From, Kind, Model, Project, Service, within};
use crate::shape::Tool;

/// What an image is made of: the kind and name of each part, and its digest.
type Parts<'a> = BTreeMap<(&'static str, &'a str), u64>;

/// What differs between two commits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) services: BTreeSet<String>,
    pub(crate) removed: BTreeSet<String>,
    pub(crate) projects: BTreeSet<String>,
}

/// What differs at the head from a base, of which the reach is known.
pub(crate) fn difference(before: &Reach<'_>, head: &Model) -> Difference {
    let (base, after) = (before.model, Reach::of(head));
    let services = head
        .services
        .keys()
        .filter(|key| !base.services.contains_key(*key) || before.service(key) != after.service(key))
        .cloned()
        .collect();
    let removed = base.services.keys().filter(|key| !head.services.contains_key(*key)).cloned().collect();
    let projects = head
        .projects
        .iter()
        .filter(|(folder, project)| {
            let was = before.folders.get(project.name.as_str());
            was.is_none_or(|was| before.project_parts(was) != after.project_parts(folder))
        })
        .map(|(_, project)| project.name.clone())
        .collect();
    Difference { services, removed, projects }
}

/// What every service and project of a model is made of.
pub(crate) struct Reach<'a> {
    model: &'a Model,
    folders: BTreeMap<&'a str, &'a str>,
    externals: BTreeMap<&'a External, u64>,
    projects: BTreeMap<&'a str, u64>,
    edges: BTreeMap<&'a str, BTreeSet<&'a str>>,
}

impl<'a> Reach<'a> {
    pub(crate) fn of(model: &'a Model) -> Self {
        let mut reach = Self {
            model,
            folders: model.folders(),
            externals: BTreeMap::new(),
            projects: BTreeMap::new(),
            edges: BTreeMap::new(),
        };
        for external in model.externals.keys() {
            reach.external(external);
        }
        for (folder, project) in &model.projects {
            let edges = reach.edges_of(project);
            reach.edges.insert(folder, edges);
            let own = reach.project(folder, project);
            reach.projects.insert(folder, own);
        }
        reach
    }

    /// The digest of an external with everything that it needs: the edges count, not only the inventory.
    fn external(&mut self, external: &'a External) -> u64 {
        if let Some(known) = self.externals.get(external) {
            return *known;
        }
        let mut below = Vec::new();
        if let Some(locked) = self.model.externals.get(external) {
            below.push(u64::from(locked.minor));
            for (name, major) in &locked.needs {
                let needed = External { name: name.clone(), major: *major };
                if let Some((needed, _)) = self.model.externals.get_key_value(&needed) {
                    below.push(self.external(needed));
                }
            }
        }
        let digest = digest(&(external, below));
        self.externals.insert(external, digest);
        digest
    }

    fn edges_of(&self, project: &'a Project) -> BTreeSet<&'a str> {
        let named = project.declares.iter().chain(&project.implicit);
        let mut edges: BTreeSet<&str> = named.filter_map(|name| self.folders.get(name.as_str()).copied()).collect();
        for (_, file) in counted(self.model, project) {
            edges.extend(file.imports.iter().filter_map(|specifier| self.resolve(specifier).map(|(folder, _)| folder)));
        }
        edges
    }

    /// The project that an import leads to, and the `tsconfig` path by which it does.
    fn resolve(&self, specifier: &str) -> Option<(&'a str, Option<(&'a str, &'a str)>)> {
        let aliases = &self.model.settings.aliases;
        if let Some((alias, target)) = aliases.get_key_value(specifier) {
            return Some((self.model.owner_of(target)?, Some((alias, target))));
        }
        for (slash, _) in specifier.match_indices('/') {
            let (folder, rest) = specifier.split_at(slash + 1);
            if let Some((alias, target)) = aliases.get_key_value(&format!("{folder}*")) {
                let path = target.replace('*', rest);
                return Some((self.model.owner_of(&path)?, Some((alias, target))));
            }
        }
        self.folders.get(specifier).map(|folder| (*folder, None))
    }

    /// The digest of what is a project's own: its place, its manifest, its files that count, the part of the lockfile
    /// below it, and the `tsconfig` paths that it uses.
    fn project(&self, folder: &str, project: &'a Project) -> u64 {
        let files: Vec<_> = counted(self.model, project).collect();
        let aliases: BTreeSet<_> = files
            .iter()
            .flat_map(|(_, file)| &file.imports)
            .filter_map(|specifier| self.resolve(specifier).and_then(|(_, alias)| alias))
            .collect();
        let locked: Vec<_> = project
            .wants
            .iter()
            .map(|(name, major)| self.externals.get(&External { name: name.clone(), major: *major }))
            .collect();
        let manifest = (&project.name, &project.declares, &project.implicit, &project.wants);
        digest(&(folder, manifest, files, aliases, locked))
    }

    fn project_parts(&self, folder: &str) -> Parts<'a> {
        let mut parts = Parts::new();
        for service in self.model.services.values().filter(|service| service.home == folder) {
            parts.insert(("dockerfile", ""), digest(&service.dockerfile));
        }
        self.gather_projects(folder, &mut parts);
        parts
    }

    fn gather_projects(&self, folder: &str, parts: &mut Parts<'a>) {
        let mut waiting: Vec<&str> = vec![folder];
        while let Some(folder) = waiting.pop() {
            let Some((folder, own)) = self.projects.get_key_value(folder) else { continue };
            if parts.insert(("project", folder), *own).is_none() {
                waiting.extend(self.edges.get(folder).into_iter().flatten());
            }
        }
    }

    fn service(&self, key: &str) -> Parts<'a> {
        let mut parts = Parts::new();
        let mut waiting = vec![key];
        while let Some(key) = waiting.pop() {
            let Some((key, service)) = self.model.services.get_key_value(key) else { continue };
            if parts.insert(("service", key), digest(service)).is_none() {
                self.gather(service, &mut parts);
                waiting.extend(service.depends_on.iter().map(String::as_str));
                if let From::Service { key, .. } = &service.dockerfile.from {
                    waiting.push(key);
                }
            }
        }
        parts
    }

    fn gather(&self, service: &'a Service, parts: &mut Parts<'a>) {
        self.gather_projects(&service.home, parts);
        for (path, file) in &self.model.loose {
            let taken = service.dockerfile.takes.iter().any(|take| take.takes(path));
            let named = service.paths.iter().any(|named| within(named, path).is_some());
            if taken || named || path == ".npmrc" {
                parts.insert(("file", path), digest(file));
            }
        }
        for named in &service.paths {
            if let Some(own) = self.projects.get(named.as_str()) {
                parts.insert(("project", named), *own);
            }
        }
        if self.model.tool != Tool::Plain {
            parts.insert(("setting", "engine"), u64::from(self.model.settings.engine));
            parts.insert(("setting", "compiler"), u64::from(self.model.settings.target));
        }
    }
}

/// The files of a project that reach an image.
fn counted<'a>(model: &'a Model, project: &'a Project) -> impl Iterator<Item = (&'a String, &'a File)> {
    let fixtures = !model.settings.ignores_fixtures;
    project.files.iter().filter(move |(_, file)| match file.kind {
        Kind::Spec | Kind::Readme => false,
        Kind::Fixture => fixtures,
        Kind::Source | Kind::Text | Kind::Link(_) => true,
    })
}

fn digest(of: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}
