//! Collects what the images of all services of a commit are made of.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::digest::Digest;
use crate::inputs::{Inputs, Items, Keys, Part};
use crate::problem::Problem;
use crate::service::Service;
use crate::snapshot::Snapshot;
use crate::view::{View, within};
use crate::workspace::{ProjectId, Role};

/// What the images of some services are made of.
#[derive(Debug, Default)]
pub struct Collected<'s> {
    /// By service.
    pub inputs: BTreeMap<String, Inputs<'s>>,
    /// For each service the images that its Dockerfile names and that are another service's, with that service.
    pub bases: BTreeMap<String, BTreeMap<String, String>>,
    /// For each service the services whose images its own is made from, or whose change changes it too.
    pub made_from: BTreeMap<String, BTreeSet<String>>,
    /// What is wrong with Dockerfiles and `.dockerignore` files, and stops nothing.
    pub problems: Vec<Problem>,
}

impl Snapshot<'_> {
    /// What the images of these services are made of.
    pub fn collect<'s>(&'s self, services: &'s [Service]) -> Collected<'s> {
        let mut collector = Collector { snapshot: self, shared: BTreeMap::new(), keys: Keys::default() };
        let read = |service| {
            let own = self.project_of(service);
            (service, own, View::read(self, service, own))
        };
        let views: Vec<(&Service, Option<ProjectId>, View<'_>)> = services.iter().map(read).collect();
        let mut collected = Collected::default();
        for (service, _, view) in &views {
            collected.problems.extend(view.problems.iter().cloned());
            let bases = bases(services, service, view);
            collected.made_from.insert(service.key.clone(), made_from(services, service, &bases));
            collected.bases.insert(service.key.clone(), bases);
        }
        collected.problems.sort();
        collected.problems.dedup();
        for place in order(services, &collected.made_from) {
            let Some((service, own, view)) = views.get(place) else { continue };
            let before = collected.made_from.get(&service.key).into_iter().flatten();
            // In a circle one is first, and knows nothing of the last.
            let keys = before.filter_map(|key| Some((key.clone(), collected.inputs.get(key)?.key))).collect();
            let inputs = collector.inputs(service, *own, view, keys);
            collected.inputs.insert(service.key.clone(), inputs);
        }
        collected
    }

    /// A service's project: the one that its folder is, or lies in.
    fn project_of(&self, service: &Service) -> Option<ProjectId> {
        let around = || self.workspace.owner(&format!("{}/", service.folder)).filter(|_| !service.folder.is_empty());
        self.workspace.at(&service.folder).or_else(|| around().filter(|project| !self.root(*project).is_empty()))
    }
}

struct Collector<'s, 'a> {
    snapshot: &'s Snapshot<'a>,
    /// What several services are made of is collected once: by project, role, and what the context leaves out.
    shared: BTreeMap<(ProjectId, Role, Option<Digest>), Arc<Items<'s>>>,
    keys: Keys,
}

/// A service on the way.
struct Making<'v, 's> {
    service: &'s Service,
    own: Option<ProjectId>,
    view: &'v View<'s>,
    /// Stands for what the context leaves out.
    ignored: Digest,
    role: Role,
}

impl<'s> Collector<'s, '_> {
    fn inputs(
        &mut self,
        service: &'s Service,
        own: Option<ProjectId>,
        view: &View<'s>,
        services: BTreeMap<String, Digest>,
    ) -> Inputs<'s> {
        let snapshot = self.snapshot;
        let ignored = Digest::of([service.context.as_str(), view.ignore.file().unwrap_or_default()]);
        let role = Role::Dependency(snapshot.workspace.reads(own, &snapshot.task));
        let making = Making { service, own, view, ignored, role };
        let named = service.paths.iter().flat_map(|path| snapshot.files.at_or_below(path));
        let named = Items { files: named.collect(), ..Items::default() };
        let mut parts = BTreeMap::from([
            (Part::Build, Arc::new(view.build.clone().settled())),
            (Part::Copied, Arc::new(view.copied.clone().settled())),
            (Part::Named, Arc::new(named.settled())),
        ]);
        let reach = own.map(|own| snapshot.graph.reach(own)).unwrap_or_default();
        let name = |project: &ProjectId| snapshot.name(*project).to_owned();
        for project in reach.keys() {
            parts.insert(Part::Project(name(project)), self.project(&making, *project));
        }
        // What is of a project that the graph does not lead to is copied all the same.
        for (project, paths) in view.of_projects.iter().filter(|(project, _)| !reach.contains_key(project)) {
            let mut items = Items::default();
            self.select(*project, making.role, paths.iter().copied(), &mut items);
            parts.insert(Part::Project(name(project)), Arc::new(items.settled()));
        }
        parts.retain(|_, items| !items.is_empty());
        let key = self.keys.of(&parts, &services);
        let before = reach.iter().map(|(project, before)| (name(project), name(before))).collect();
        Inputs { key, parts, before, services, remarks: view.remarks.clone() }
    }

    /// What a service takes from a project that it reaches.
    fn project(&mut self, making: &Making<'_, 's>, project: ProjectId) -> Arc<Items<'s>> {
        let (snapshot, view) = (self.snapshot, making.view);
        let role = if making.own == Some(project) { Role::Own } else { making.role };
        let root = snapshot.root(project);
        let is_broad = view.broad.iter().any(|folder| within(root, folder).is_some());
        if let Some(paths) = view.of_projects.get(&project).filter(|_| view.is_complete && !is_broad) {
            let mut items = snapshot.configured(project, role);
            self.select(project, role, paths.iter().copied(), &mut items);
            return Arc::new(items.settled());
        }
        let context = making.service.context.as_str();
        let is_filtered = view.is_complete && is_broad && within(root, context).is_some();
        let shared = (project, role, is_filtered.then_some(making.ignored));
        if let Some(known) = self.shared.get(&shared) {
            return Arc::clone(known);
        }
        let mut items = snapshot.configured(project, role);
        let paths = snapshot.files.below(root).map(|(path, _)| path);
        let paths = paths.filter(|path| !is_filtered || !view.leaves_out(context, path));
        self.select(project, role, paths, &mut items);
        let items = Arc::new(items.settled());
        self.shared.insert(shared, Arc::clone(&items));
        items
    }

    /// Adds those of some files that are of a project and count for what is built.
    fn select(&self, project: ProjectId, role: Role, paths: impl Iterator<Item = &'s str>, items: &mut Items<'s>) {
        let snapshot = self.snapshot;
        let root = snapshot.root(project);
        let selection = snapshot.workspace.selection(project, role, &snapshot.task);
        let counts = |path: &&str| {
            within(path, root).is_some_and(|path| selection.has(path))
                && snapshot.workspace.owner(path) == Some(project)
                && snapshot.lock(path).is_none()
        };
        items.files.extend(paths.filter(counts).filter_map(|path| snapshot.files.find(path)));
    }
}

/// The images that a Dockerfile names and that are another service's, with that service.
fn bases(services: &[Service], service: &Service, view: &View<'_>) -> BTreeMap<String, String> {
    let others = || services.iter().filter(|other| other.key != service.key);
    let owner = |image: &String| others().find(|other| is_of(image, &other.repository)).map(|other| other.key.clone());
    view.images.iter().filter_map(|image| Some((image.clone(), owner(image)?))).collect()
}

/// The services whose images a service is made from, or says that it depends on.
fn made_from(services: &[Service], service: &Service, bases: &BTreeMap<String, String>) -> BTreeSet<String> {
    let is_known = |key: &&str| services.iter().any(|known| known.key == **key && known.key != service.key);
    let named = service.context_services().chain(service.depends_on.iter().map(String::as_str)).filter(is_known);
    named.chain(bases.values().map(String::as_str)).map(str::to_owned).collect()
}

/// Whether an image is that of a repository: `host/repository:tag@digest`, all but the repository optional.
fn is_of(image: &str, repository: &str) -> bool {
    let image = image.split_once('@').map_or(image, |(image, _)| image);
    let tag = image.rfind(':').filter(|colon| !image[*colon..].contains('/'));
    let path = tag.map_or(image, |colon| &image[..colon]);
    path == repository || path.strip_suffix(repository).is_some_and(|host| host.ends_with('/') && is_host(host))
}

/// Whether what stands before a repository is a registry, `host/` or a variable that nobody knows (`*/`, or nothing), and not a
/// part of the repository's name.
fn is_host(before: &str) -> bool {
    let host = before.trim_end_matches('/');
    !host.contains('/') && (host.contains(['.', ':', '*']) || host.is_empty() || host == "localhost")
}

/// The places of the services, each after those that it is made from; in a circle, one is first.
fn order(services: &[Service], made_from: &BTreeMap<String, BTreeSet<String>>) -> Vec<usize> {
    let mut ordered: Vec<usize> = Vec::new();
    let mut done: BTreeSet<&str> = BTreeSet::new();
    let mut left: Vec<(usize, &Service)> = services.iter().enumerate().collect();
    while !left.is_empty() {
        let is_ready = |(_, service): &(usize, &Service)| {
            made_from.get(&service.key).is_none_or(|before| before.iter().all(|key| done.contains(key.as_str())))
        };
        let (mut ready, mut rest): (Vec<_>, Vec<_>) = left.into_iter().partition(is_ready);
        if ready.is_empty() {
            ready.push(rest.remove(0));
        }
        done.extend(ready.iter().map(|(_, service)| service.key.as_str()));
        ordered.extend(ready.into_iter().map(|(place, _)| place));
        left = rest;
    }
    ordered
}

#[cfg(test)]
mod tests;
