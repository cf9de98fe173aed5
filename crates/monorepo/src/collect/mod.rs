//! Collects what the images of all services of a commit are made of.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::digest::Digest;
use crate::files::Entry;
use crate::inputs::{Inputs, Items, Keys, Lists, Part};
use crate::listing::Apart;
use crate::parallel::in_parallel;
use crate::path;
use crate::problem::Problem;
use crate::service::Service;
use crate::shape::Common;
use crate::snapshot::Snapshot;
use crate::view::{Ignores, View, ignores};
use crate::workspace::{ProjectId, Role};

/// What the images of some services are made of.
#[derive(Debug, Default)]
pub struct Collected<'s> {
    /// By service.
    pub inputs: BTreeMap<String, Arc<Inputs<'s>>>,
    /// For each service the images that its Dockerfile names and that are another service's, with that service.
    pub bases: BTreeMap<String, BTreeMap<String, String>>,
    /// For each service the services whose images its own is made from, or whose change changes it too.
    pub made_from: BTreeMap<String, BTreeSet<String>>,
    /// What is wrong with Dockerfiles and `.dockerignore` files, and stops nothing. Of a commit beside another, what the other has as
    /// well is not told again.
    pub problems: Vec<Problem>,
    services: &'s [Service],
    known: Known<'s>,
}

/// A project, as what it is taken, and what the context leaves out of it, if it does.
type BroadKey = (ProjectId, Role, Option<Digest>);

/// What several services of a commit are made of.
#[derive(Clone, Debug, Default)]
struct Known<'s> {
    items: BTreeMap<BroadKey, Arc<Items<'s>>>,
    keys: Keys,
}

impl Snapshot<'_> {
    /// What the images of these services are made of.
    pub fn collect<'s>(&'s self, services: &'s [Service]) -> Collected<'s> {
        self.collect_with(services, Known::default(), Collected::default())
    }

    /// The same for a commit that is compared with another: what both have is not collected again.
    pub fn collect_beside<'s>(
        &'s self,
        services: &'s [Service],
        other: &'s Snapshot<'_>,
        collected: &Collected<'s>,
    ) -> Collected<'s> {
        let apart = self.files.apart(&other.files);
        if self.common(other) == Common::Nothing || apart.keys().any(|path| path.ends_with(".dockerignore")) {
            return self.collect(services);
        }
        let same = match self.common(other) {
            Common::Everything => collected.untouched(services, &apart),
            Common::AllButLockfiles | Common::Nothing => Collected::default(),
        };
        let installed = self.installed_otherwise(other);
        let mut known = collected.known.clone();
        known.items.retain(|(project, ..), items| {
            let root = self.root(*project);
            !installed.contains(project)
                && !apart.keys().any(|path| path::below(path, root).is_some() || items.has(path))
        });
        self.collect_with(services, known, same)
    }

    /// `collected` has some of the services already.
    fn collect_with<'s>(
        &'s self,
        services: &'s [Service],
        known: Known<'s>,
        mut collected: Collected<'s>,
    ) -> Collected<'s> {
        let ignores = ignores(&self.files, services);
        let left: Vec<&Service> =
            services.iter().filter(|service| !collected.inputs.contains_key(&service.key)).collect();
        let makings = in_parallel(
            left.len(),
            || (),
            |(), portion| left[portion].iter().map(|service| Making::read(self, service, &ignores)).collect(),
        );
        for Making { service, view, .. } in &makings {
            collected.problems.extend(view.problems.iter().cloned());
            let bases = bases(services, service, view);
            collected.made_from.insert(service.key.clone(), made_from(services, service, &bases));
            collected.bases.insert(service.key.clone(), bases);
        }
        collected.problems.sort();
        collected.problems.dedup();
        let mut collector = Collector { snapshot: self, known };
        collector.share(&makings);
        let makings: BTreeMap<&str, Making<'_>> =
            makings.into_iter().map(|making| (making.service.key.as_str(), making)).collect();
        for making in order(services, &collected.made_from).into_iter().filter_map(|service| makings.get(service)) {
            let key = &making.service.key;
            let before = collected.made_from.get(key).into_iter().flatten();
            // In a circle one is first, and knows nothing of the last.
            let keys = before.filter_map(|key| Some((key.clone(), collected.inputs.get(key)?.key))).collect();
            collected.inputs.insert(key.clone(), Arc::new(collector.inputs(making, keys)));
        }
        Collected { services, known: collector.known, ..collected }
    }

    /// A service's project: the one that its folder is, or lies in.
    fn project_of(&self, service: &Service) -> Option<ProjectId> {
        let around = || self.workspace.owner(&format!("{}/", service.folder)).filter(|_| !service.folder.is_empty());
        self.workspace.at(&service.folder).or_else(|| around().filter(|project| !self.root(*project).is_empty()))
    }
}

impl<'s> Collected<'s> {
    /// Those of some services that are the same in a commit that differs from this one in the contents of these files alone.
    fn untouched(&self, services: &[Service], apart: &Apart<'_>) -> Self {
        let known: BTreeMap<&str, &Service> = self.services.iter().map(|service| (&*service.key, service)).collect();
        let is_same = |service: &&Service| {
            let inputs = self.inputs.get(&service.key).filter(|_| known.get(&*service.key) == Some(service));
            inputs.is_some_and(|inputs| !apart.keys().any(|path| inputs.has(path)))
        };
        let mut same: BTreeSet<&String> = services.iter().filter(is_same).map(|service| &service.key).collect();
        // What is made from another is another, too.
        loop {
            let is_made_from_same = |key: &&String| {
                self.made_from.get(*key).is_some_and(|before| before.iter().all(|before| same.contains(before)))
            };
            let left: BTreeSet<&String> = same.iter().copied().filter(is_made_from_same).collect();
            if left.len() == same.len() {
                break;
            }
            same = left;
        }
        let some = |key: &&String| same.contains(*key);
        Self {
            inputs: picked(&self.inputs, some),
            bases: picked(&self.bases, some),
            made_from: picked(&self.made_from, some),
            ..Self::default()
        }
    }
}

/// Some entries of a map.
fn picked<Value: Clone>(
    map: &BTreeMap<String, Value>,
    is_wanted: impl Fn(&&String) -> bool,
) -> BTreeMap<String, Value> {
    let wanted = map.iter().filter(|(key, _)| is_wanted(key));
    wanted.map(|(key, value)| (key.clone(), value.clone())).collect()
}

struct Collector<'s, 'a> {
    snapshot: &'s Snapshot<'a>,
    /// What several services are made of is collected once.
    known: Known<'s>,
}

/// What a service takes from a project that it reaches.
enum Share<'v, 's> {
    /// What its Dockerfile copies: these files.
    Copied(&'v BTreeSet<&'s str>),
    /// All that counts, but for what its context leaves out if there is a digest: as others take it.
    Broad(BroadKey),
}

/// A service on the way.
struct Making<'s> {
    service: &'s Service,
    own: Option<ProjectId>,
    view: View<'s>,
    /// Stands for what the context leaves out.
    ignored: Digest,
    /// As what it takes the projects that it depends on.
    role: Role,
    /// The projects that it is built with, each with the one that leads there.
    reach: BTreeMap<ProjectId, ProjectId>,
}

impl<'s> Making<'s> {
    fn read(snapshot: &'s Snapshot<'_>, service: &'s Service, ignores: &Ignores) -> Self {
        let own = snapshot.project_of(service);
        let view = View::read(snapshot, service, own, ignores);
        let ignored = Digest::of([service.context.as_str(), view.ignore.file().unwrap_or_default()]);
        let role = Role::Dependency(snapshot.workspace.reads(own, &snapshot.task));
        let reach = own.map(|own| snapshot.graph.reach(own)).unwrap_or_default();
        Self { service, own, view, ignored, role, reach }
    }

    fn role_of(&self, project: ProjectId) -> Role {
        if self.own == Some(project) { Role::Own } else { self.role }
    }

    fn share(&self, project: ProjectId, root: &str) -> Share<'_, 's> {
        let is_broad = self.view.broad.iter().any(|folder| path::below(root, folder).is_some());
        if let Some(paths) = self.view.of_projects.get(&project).filter(|_| self.view.is_complete && !is_broad) {
            return Share::Copied(paths);
        }
        let is_filtered = self.view.is_complete && is_broad && path::below(root, &self.service.context).is_some();
        Share::Broad((project, self.role_of(project), is_filtered.then_some(self.ignored)))
    }
}

impl<'s> Collector<'s, '_> {
    /// Collects what services share, on all cores.
    fn share(&mut self, makings: &[Making<'s>]) {
        let mut wanted = BTreeMap::new();
        for making in makings {
            for project in making.reach.keys() {
                if let Share::Broad(key) = making.share(*project, self.snapshot.root(*project))
                    && !self.known.items.contains_key(&key)
                {
                    wanted.entry(key).or_insert(making);
                }
            }
        }
        let wanted: Vec<_> = wanted.into_iter().collect();
        let collected = in_parallel(wanted.len(), Lists::default, |lists, portion| {
            let collect = |(key, making): &(_, &Making<'s>)| {
                let items = self.broad(making, *key);
                (items.digest(lists), Arc::new(items))
            };
            wanted[portion].iter().map(collect).collect()
        });
        for ((key, _), (digest, items)) in wanted.into_iter().zip(collected) {
            self.known.keys.know(&items, digest);
            self.known.items.insert(key, items);
        }
    }

    fn inputs(&mut self, making: &Making<'s>, services: BTreeMap<String, Digest>) -> Inputs<'s> {
        let snapshot = self.snapshot;
        let Making { service, view, reach, .. } = making;
        let named = service.paths.iter().flat_map(|path| snapshot.files.at_or_below(path));
        let named = Items { files: named.collect(), ..Items::default() };
        let mut parts = BTreeMap::from([
            (Part::Build, Arc::new(view.build.clone().settled())),
            (Part::Copied, Arc::new(view.copied.clone().settled())),
            (Part::Named, Arc::new(named.settled())),
        ]);
        let name = |project: &ProjectId| snapshot.name(*project).to_owned();
        for project in reach.keys() {
            let items = match making.share(*project, snapshot.root(*project)) {
                Share::Broad(key) => match self.known.items.get(&key) {
                    Some(known) => Arc::clone(known),
                    None => Arc::new(self.broad(making, key)),
                },
                Share::Copied(paths) => {
                    let role = making.role_of(*project);
                    let mut items = snapshot.configured(*project, role);
                    self.select(*project, role, self.found(paths), &mut items);
                    Arc::new(items.settled())
                }
            };
            parts.insert(Part::Project(name(project)), items);
        }
        // What is of a project that the graph does not lead to is copied all the same.
        for (project, paths) in view.of_projects.iter().filter(|(project, _)| !reach.contains_key(project)) {
            let mut items = Items::default();
            self.select(*project, making.role, self.found(paths), &mut items);
            parts.insert(Part::Project(name(project)), Arc::new(items.settled()));
        }
        parts.retain(|_, items| !items.is_empty());
        let key = self.known.keys.of(&parts, &services);
        let before = reach.iter().map(|(project, before)| (name(project), name(before))).collect();
        Inputs { key, parts, before, services, remarks: view.remarks.clone() }
    }

    /// All that counts of a project, but for what the context leaves out, if that is asked about.
    fn broad(&self, making: &Making<'s>, (project, role, ignored): BroadKey) -> Items<'s> {
        let (snapshot, context) = (self.snapshot, making.service.context.as_str());
        let mut items = snapshot.configured(project, role);
        let root = snapshot.root(project);
        match ignored {
            Some(_) => {
                let kept = making.view.ignore.kept(&snapshot.files, context, root);
                self.select(project, role, kept.into_iter(), &mut items);
            }
            None => self.select(project, role, snapshot.files.below(root), &mut items),
        }
        items.settled()
    }

    fn found(&self, paths: &BTreeSet<&'s str>) -> impl Iterator<Item = (&'s str, Entry)> {
        paths.iter().filter_map(|path| self.snapshot.files.find(path))
    }

    /// Adds those of some files that are of a project and count for what is built.
    fn select(
        &self,
        project: ProjectId,
        role: Role,
        files: impl Iterator<Item = (&'s str, Entry)>,
        items: &mut Items<'s>,
    ) {
        let snapshot = self.snapshot;
        let root = snapshot.root(project);
        let selection = snapshot.workspace.selection(project, role, &snapshot.task);
        let counts = |(path, _): &(&str, Entry)| {
            path::below(path, root).is_some_and(|path| selection.has(path))
                && snapshot.workspace.owner(path) == Some(project)
                && snapshot.lock(path).is_none()
        };
        items.files.extend(files.filter(counts));
    }
}

/// The images that a Dockerfile names and that are another service's, with that service.
fn bases(services: &[Service], service: &Service, view: &View<'_>) -> BTreeMap<String, String> {
    let others = || services.iter().filter(|other| other.key != service.key);
    let owner = |image: &String| {
        let image = untagged(image);
        others().find(|other| is_of(image, &other.repository)).map(|other| other.key.clone())
    };
    view.images.iter().filter_map(|image| Some((image.clone(), owner(image)?))).collect()
}

/// The services whose images a service is made from, or says that it depends on.
fn made_from(services: &[Service], service: &Service, bases: &BTreeMap<String, String>) -> BTreeSet<String> {
    let is_known = |key: &&str| services.iter().any(|known| known.key == **key && known.key != service.key);
    let named = service.context_services().chain(service.depends_on.iter().map(String::as_str)).filter(is_known);
    named.chain(bases.values().map(String::as_str)).map(str::to_owned).collect()
}

/// An image without its tag and digest: `host/repository:tag@digest`, all but the repository optional.
fn untagged(image: &str) -> &str {
    let image = image.split_once('@').map_or(image, |(image, _)| image);
    let tag = image.rfind(':').filter(|colon| !image[*colon..].contains('/'));
    tag.map_or(image, |colon| &image[..colon])
}

/// Whether an image, without its tag, is that of a repository.
fn is_of(image: &str, repository: &str) -> bool {
    image == repository || image.strip_suffix(repository).is_some_and(|host| host.ends_with('/') && is_host(host))
}

/// Whether what stands before a repository is a registry, `host/` or a variable that nobody knows (`*/`, or nothing), and not a
/// part of the repository's name.
fn is_host(before: &str) -> bool {
    let host = before.trim_end_matches('/');
    !host.contains('/') && (host.contains(['.', ':', '*']) || host.is_empty() || host == "localhost")
}

/// The services, each after those that it is made from; in a circle, one is first.
fn order<'s>(services: &'s [Service], made_from: &BTreeMap<String, BTreeSet<String>>) -> Vec<&'s str> {
    let mut ordered: Vec<&str> = Vec::new();
    let mut done: BTreeSet<&str> = BTreeSet::new();
    let mut left: Vec<&Service> = services.iter().collect();
    while !left.is_empty() {
        let is_ready = |service: &&Service| {
            made_from.get(&service.key).is_none_or(|before| before.iter().all(|key| done.contains(key.as_str())))
        };
        let (mut ready, mut rest): (Vec<_>, Vec<_>) = left.into_iter().partition(is_ready);
        if ready.is_empty() {
            ready.push(rest.remove(0));
        }
        done.extend(ready.iter().map(|service| service.key.as_str()));
        ordered.extend(ready.into_iter().map(|service| service.key.as_str()));
        left = rest;
    }
    ordered
}

#[cfg(test)]
mod tests;
