//! What a service's Dockerfile reads, as far as the commit has it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::digest::Digest;
use crate::dockerfile::{self, Matched, Origin, Recipe, Source};
use crate::files::Files;
use crate::ignore::Ignore;
use crate::imports::is_source;
use crate::inputs::Items;
use crate::path;
use crate::problem::Problem;
use crate::service::Service;
use crate::setting::Setting;
use crate::snapshot::Snapshot;
use crate::workspace::ProjectId;

/// What a service's Dockerfile reads.
#[derive(Debug, Default)]
pub(crate) struct View<'s> {
    /// The Dockerfile itself and how the image is built with it.
    pub(crate) build: Items<'s>,
    /// Files that count by their bytes.
    pub(crate) copied: Items<'s>,
    /// Files of projects, of which those count that the project's own configuration says are built.
    pub(crate) of_projects: BTreeMap<ProjectId, BTreeSet<&'s str>>,
    /// Folders that are copied with several projects in them: the graph tells which of them count.
    pub(crate) broad: Vec<String>,
    /// Whether all that is copied of the service's own project is in the commit, so that what is not copied does not count.
    pub(crate) is_complete: bool,
    pub(crate) ignore: Arc<Ignore>,
    /// The images that it is made from.
    pub(crate) images: Vec<String>,
    pub(crate) remarks: Vec<String>,
    pub(crate) problems: Vec<Problem>,
}

/// The `.dockerignore` files of services, by path: most services share one, which is read once.
pub(crate) type Ignores = BTreeMap<String, Result<Arc<Ignore>, Problem>>;

/// Reads what leaves files out of the images of some services.
pub(crate) fn ignores(files: &Files<'_>, services: &[Service]) -> Ignores {
    let found = services.iter().filter_map(|service| Ignore::file_for(files, &service.context, &service.dockerfile));
    let found: BTreeSet<String> = found.collect();
    found.into_iter().map(|file| (file.clone(), Ignore::open(files, &file).map(Arc::new))).collect()
}

impl<'s> View<'s> {
    /// Reads what the Dockerfile of a service reads. `own` is the service's project; `ignores` has all that leave files out.
    pub(crate) fn read(
        snapshot: &'s Snapshot<'_>,
        service: &'s Service,
        own: Option<ProjectId>,
        ignores: &Ignores,
    ) -> Self {
        let mut view = Self::default();
        view.build.files.extend(snapshot.files.find(&service.dockerfile));
        let ignore = Ignore::file_for(&snapshot.files, &service.context, &service.dockerfile);
        match ignore.and_then(|file| ignores.get(&file)) {
            Some(Ok(ignore)) => view.ignore = Arc::clone(ignore),
            Some(Err(problem)) => view.problems.push(problem.clone()),
            None => {}
        }
        let recipe = snapshot.files.text(&service.dockerfile).and_then(|text| {
            let contexts = service.contexts.keys().cloned().collect();
            let (arguments, target) = (&service.arguments, service.target.as_deref());
            dockerfile::read(&service.dockerfile, &text.unwrap_or_default(), arguments, target, &contexts)
        });
        let mut reading = Reading { snapshot, service, own, view, is_generated: false, is_own_copied: false };
        match recipe {
            Ok(recipe) => reading.read(&recipe),
            Err(problem) => {
                reading.view.problems.push(problem);
                reading.is_generated = true;
            }
        }
        let Reading { mut view, is_generated, is_own_copied, .. } = reading;
        view.is_complete = is_own_copied && !is_generated;
        let is_in_folder = |path: &str| path != service.dockerfile && path::below(path, &service.folder).is_some();
        let is_of_folder = view.copied.files.iter().any(|(path, _)| is_in_folder(path));
        if own.is_none() && (is_generated || !is_of_folder) {
            // Nobody tells what it is made of, but that its sources are here.
            view.copied.files.extend(snapshot.files.below(&service.folder));
        }
        view
    }

    /// Whether the context of the build lacks a file.
    pub(crate) fn leaves_out(&self, context: &str, path: &str) -> bool {
        path::below(path, context).is_none_or(|path| self.ignore.leaves_out(path))
    }
}

struct Reading<'s, 'a> {
    snapshot: &'s Snapshot<'a>,
    service: &'s Service,
    own: Option<ProjectId>,
    view: View<'s>,
    /// Something is copied that the commit does not have: it is built before.
    is_generated: bool,
    is_own_copied: bool,
}

impl<'s> Reading<'s, '_> {
    fn read(&mut self, recipe: &Recipe) {
        self.settings(recipe);
        for source in &recipe.sources {
            match &source.origin {
                Origin::Context => self.copy(source),
                Origin::Named(name) => self.named(name, source),
                // What another server has is not in the commit: the Dockerfile's own text is what counts of it.
                Origin::Remote(_) => {}
            }
        }
        self.mentions(recipe);
        self.view.images = recipe.images.iter().map(|image| image.reference.clone()).collect();
        self.view.problems.extend(recipe.remarks.iter().cloned());
    }

    /// How the image is built: what the delivery file says of it.
    fn settings(&mut self, recipe: &Recipe) {
        let service = self.service;
        let file: Arc<str> = service.file.as_str().into();
        let mut say = |part: String, value: &str| {
            let part = format!("services.{}.{part}", service.key).into();
            self.view.build.settings.push(Setting { file: Arc::clone(&file), part, digest: Digest::of([value]) });
        };
        say("repository".to_owned(), &service.repository);
        service.target.iter().for_each(|target| say("build.target".to_owned(), target));
        service.platform.iter().for_each(|platform| say("build.platform".to_owned(), platform));
        for (name, value) in service.arguments.iter().filter(|(name, _)| recipe.arguments.contains_key(*name)) {
            say(format!("build.arguments.{name}"), value);
        }
        service.contexts.iter().for_each(|(name, value)| say(format!("build.contexts.{name}"), value));
    }

    fn copy(&mut self, source: &Source) {
        let matched = source.matched(&self.snapshot.files, &self.service.context);
        if matched.is_empty() && !self.may_be_missing(source) {
            self.is_generated = true;
        }
        for matched in matched {
            match matched {
                Matched::File(path) => self.copy_file(path, source),
                Matched::Folder(folder) => self.copy_folder(&folder, source),
            }
        }
    }

    /// A pattern may match nothing, if the folder that it looks into is there: `COPY package-lock.json* ./`.
    fn may_be_missing(&self, source: &Source) -> bool {
        let Some(wildcard) = source.pattern.find(['*', '?', '[']) else { return false };
        let folder = path::folder(&source.pattern[..wildcard]);
        let folder = dockerfile::normal(&path::join(&self.service.context, folder.trim_start_matches('/')));
        self.snapshot.files.has_folder(&folder)
    }

    fn copy_file(&mut self, path: &str, source: &Source) {
        let Some((path, entry)) = self.snapshot.files.find(path) else { return };
        if self.view.leaves_out(&self.service.context, path) || (!source.is_final && self.counts_by_meaning(path)) {
            return;
        }
        self.view.copied.files.push((path, entry));
        if let Some(project) = self.snapshot.workspace.owner(path) {
            self.is_own_copied |= Some(project) == self.own && is_source(path);
            self.view.of_projects.entry(project).or_default().insert(path);
        }
    }

    fn copy_folder(&mut self, folder: &str, source: &Source) {
        let snapshot = self.snapshot;
        let own_root = self.own.map(|own| snapshot.root(own));
        let is_above = |root: &str| root != folder && path::below(root, folder).is_some();
        self.is_own_copied |=
            own_root.is_some_and(|root| path::below(root, folder).or(path::below(folder, root)).is_some());
        if own_root.is_some() && snapshot.workspace.projects.iter().any(|project| is_above(&project.root)) {
            self.broad(folder);
            return;
        }
        // Those that cannot be read are told among the recipe's remarks, and gone from the source.
        let excluded = source.exclusions().unwrap_or_default();
        for (path, entry) in snapshot.files.below(folder) {
            let is_excluded = path::below(path, folder).is_some_and(|path| excluded.leaves_out(path));
            if is_excluded || self.view.leaves_out(&self.service.context, path) {
                continue;
            }
            let project = snapshot.workspace.owner(path);
            if source.is_final || project.is_none() {
                self.view.copied.files.push((path, entry));
            }
            if let Some(project) = project {
                self.view.of_projects.entry(project).or_default().insert(path);
            }
        }
    }

    /// A folder with several projects in it: of these, the graph tells. What is of none counts as it is, unless the folder is
    /// the whole context.
    fn broad(&mut self, folder: &str) {
        self.view.broad.push(folder.to_owned());
        if folder == self.service.context {
            self.view.remarks.push(
                "its Dockerfile copies the whole context: of it counts what the graph reaches; name what else does in `paths`"
                    .to_owned(),
            );
            return;
        }
        for (path, entry) in self.snapshot.files.below(folder) {
            if !self.snapshot.is_of_project(path) && !self.view.leaves_out(&self.service.context, path) {
                self.view.copied.files.push((path, entry));
            }
        }
    }

    /// A folder that has a name of its own for this build.
    fn named(&mut self, name: &str, source: &Source) {
        let Some(folder) = self.service.contexts.get(name).filter(|context| !context.contains(':')) else { return };
        let folder = if folder == "." { "" } else { folder };
        for matched in source.matched(&self.snapshot.files, folder) {
            match matched {
                Matched::File(path) => self.view.copied.files.extend(self.snapshot.files.find(path)),
                Matched::Folder(folder) => self.view.copied.files.extend(self.snapshot.files.below(&folder)),
            }
        }
    }

    /// What commands of the Dockerfile name: files of the context, and scripts of the root's package.json.
    fn mentions(&mut self, recipe: &Recipe) {
        let scripts = self.snapshot.workspace.root_scripts();
        for mention in &recipe.mentions {
            let path = path::join(&self.service.context, mention);
            if let Some((path, entry)) = self.snapshot.files.find(&path)
                && !self.counts_by_meaning(path)
                && !self.view.leaves_out(&self.service.context, path)
            {
                self.view.copied.files.push((path, entry));
            }
            if let Some(digest) = scripts.get(mention.as_str()) {
                let part = format!("scripts.{mention}").into();
                self.view.build.settings.push(Setting { file: "package.json".into(), part, digest: *digest });
            }
        }
    }

    /// Whether a file tells what to install or how to build, so that only a part of it may matter: that part is among the
    /// inputs of the projects that it reaches.
    fn counts_by_meaning(&self, path: &str) -> bool {
        let Some(own) = self.own else { return false };
        let name = path::name(path);
        let is_of_another = || self.snapshot.workspace.owner(path) != Some(own);
        match name {
            _ if self.snapshot.lock(path).is_some() => true,
            "nx.json" | "turbo.json" | "turbo.jsonc" | "pnpm-workspace.yaml" => true,
            _ => self.snapshot.is_configuration(path) && is_of_another(),
        }
    }
}
