//! A model as files.

mod cargo;
mod delivery;
mod lockfiles;
mod manifests;
mod sources;

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Model, Project};
use crate::shape::Tool;

/// A file as git keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Blob {
    /// `100644`, `100755` or `120000`.
    pub(crate) mode: &'static str,
    pub(crate) text: String,
}

impl Blob {
    fn text(text: String) -> Self {
        Self { mode: "100644", text }
    }
}

/// Files by path.
pub(crate) type Tree = BTreeMap<String, Blob>;

/// Every file of an estate.
pub(crate) fn tree(model: &Model) -> Tree {
    let mut tree = outside_of_projects(model);
    for (folder, project) in &model.projects {
        render_project(model, folder, project, &mut tree);
    }
    tree
}

/// A commit that others are changes to.
pub(crate) struct Ground<'a> {
    model: &'a Model,
    outside: Tree,
}

/// What is written at a path; nothing where the file is deleted.
pub(crate) type Change = (String, Option<Blob>);

impl<'a> Ground<'a> {
    pub(crate) fn new(model: &'a Model) -> Self {
        Self { model, outside: outside_of_projects(model) }
    }

    /// What has to be written and deleted to get to another model. Projects that are the same are not rendered.
    pub(crate) fn changes(&self, head: &Model) -> Vec<Change> {
        let base = self.model;
        let (mut before, mut after) = (Tree::new(), outside_of_projects(head));
        let folders: BTreeSet<&String> = base.projects.keys().chain(head.projects.keys()).collect();
        for folder in folders {
            let (was, is) = (base.projects.get(folder), head.projects.get(folder));
            if was != is {
                if let Some(project) = was {
                    render_project(base, folder, project, &mut before);
                }
                if let Some(project) = is {
                    render_project(head, folder, project, &mut after);
                }
            }
        }
        let was = |path: &String| before.get(path).or_else(|| self.outside.get(path));
        let paths = before.keys().chain(self.outside.keys());
        let mut changes: Vec<Change> =
            paths.filter(|path| !after.contains_key(*path)).map(|path| (path.clone(), None)).collect();
        let written = after.iter().filter(|(path, blob)| was(path) != Some(blob));
        changes.extend(written.map(|(path, blob)| (path.clone(), Some(blob.clone()))));
        changes
    }
}

fn outside_of_projects(model: &Model) -> Tree {
    let mut tree = Tree::new();
    if model.tool == Tool::Cargo {
        cargo::root(model, &mut tree);
    } else if model.tool.is_node() {
        manifests::root(model, &mut tree);
    }
    if let Some(path) = model.tool.lockfile() {
        let text = if model.tool == Tool::Cargo { cargo::lockfile(model) } else { lockfiles::lockfile(model) };
        tree.insert(path.to_owned(), Blob::text(text));
    }
    delivery::render(model, &mut tree);
    for (path, file) in &model.loose {
        tree.insert(path.clone(), sources::render(model.tool, path, file));
    }
    tree
}

fn render_project(model: &Model, folder: &str, project: &Project, tree: &mut Tree) {
    match model.tool {
        Tool::Cargo => cargo::project(model, folder, project, tree),
        Tool::Plain => {}
        _ => manifests::project(model, folder, project, tree),
    }
    for (path, file) in &project.files {
        let path = format!("{folder}/{path}");
        let blob = sources::render(model.tool, &path, file);
        tree.insert(path, blob);
    }
}

/// The way up from a folder to the root: `../../`.
fn way_up(folder: &str) -> String {
    "../".repeat(folder.split('/').count())
}
