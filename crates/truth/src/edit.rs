//! What people do to a repository, done to the model. Each edit is possible or says that it is not (`None`).

use crate::grow::{add_aliases, package_name, root_file};
use crate::model::{External, File, From, Kind, Model, Project, within};
use crate::shape::Tool;

/// Writes another edition of a project's file.
pub(crate) fn touch(model: &mut Model, folder: &str, file: &str) -> Option<()> {
    model.projects.get_mut(folder)?.files.get_mut(file)?.revision += 1;
    Some(())
}

/// Writes another edition of the module that a project is imported by.
pub(crate) fn touch_root(model: &mut Model, folder: &str) -> Option<()> {
    touch(model, folder, root_file(model.tool))
}

pub(crate) fn touch_loose(model: &mut Model, path: &str) -> Option<()> {
    model.loose.get_mut(path)?.revision += 1;
    Some(())
}

pub(crate) fn add_file(model: &mut Model, folder: &str, path: &str, file: File) -> Option<()> {
    model.projects.get_mut(folder)?.files.insert(path.to_owned(), file).is_none().then_some(())
}

pub(crate) fn remove_file(model: &mut Model, folder: &str, path: &str) -> Option<File> {
    model.projects.get_mut(folder)?.files.remove(path)
}

pub(crate) fn make_executable(model: &mut Model, folder: &str, path: &str) -> Option<()> {
    let executable = &mut model.projects.get_mut(folder)?.files.get_mut(path)?.executable;
    *executable = !*executable;
    Some(())
}

pub(crate) fn move_file(model: &mut Model, from: &str, to: &str, path: &str, new: &str) -> Option<()> {
    if model.projects.get(to)?.files.contains_key(new) {
        return None;
    }
    let file = remove_file(model, from, path)?;
    add_file(model, to, new, file)
}

/// Has a project import another one, by a specifier of one's choice.
pub(crate) fn import(model: &mut Model, folder: &str, file: &str, specifier: &str) -> Option<()> {
    model.projects.get_mut(folder)?.files.get_mut(file)?.imports.insert(specifier.to_owned()).then_some(())
}

pub(crate) fn declare(model: &mut Model, folder: &str, name: &str) -> Option<()> {
    let project = model.projects.get_mut(folder)?;
    (project.name != name && project.declares.insert(name.to_owned())).then_some(())
}

/// Takes every tie from one project to another away: its imports, its dependency, its implicit dependency.
pub(crate) fn untie(model: &mut Model, folder: &str, other: &str) -> Option<()> {
    let name = model.projects.get(other)?.name.clone();
    let aliases = aliases_into(model, other);
    let project = model.projects.get_mut(folder)?;
    let before = project.clone();
    project.declares.remove(&name);
    project.implicit.remove(&name);
    for file in project.files.values_mut() {
        file.imports
            .retain(|specifier| *specifier != name && !aliases.iter().any(|alias| alias_leads(alias, specifier)));
    }
    (before != *project).then_some(())
}

/// Deletes a library, and mends whoever used it.
pub(crate) fn delete_library(model: &mut Model, folder: &str) -> Option<()> {
    if !model.projects.contains_key(folder) || model.services.values().any(|service| service.home == folder) {
        return None;
    }
    let users: Vec<String> = model.projects.keys().cloned().collect();
    for user in users {
        let _unused = untie(model, &user, folder);
    }
    for alias in aliases_into(model, folder) {
        model.settings.aliases.remove(&alias);
    }
    for service in model.services.values_mut() {
        service.paths.remove(folder);
    }
    model.projects.remove(folder).map(drop)
}

/// Moves a project to another folder, with what names its folder.
pub(crate) fn move_project(model: &mut Model, from: &str, to: &str) -> Option<()> {
    if model.projects.contains_key(to) {
        return None;
    }
    let project = model.projects.remove(from)?;
    model.projects.insert(to.to_owned(), project);
    for target in model.settings.aliases.values_mut() {
        if let Some(rest) = within(from, target) {
            *target = format!("{to}/{rest}");
        }
    }
    for service in model.services.values_mut() {
        if service.home == from {
            to.clone_into(&mut service.home);
        }
        if service.paths.remove(from) {
            service.paths.insert(to.to_owned());
        }
    }
    Some(())
}

/// Gives a package another name, and tells those who use it only if `everywhere`.
pub(crate) fn rename_package(model: &mut Model, folder: &str, new: &str, everywhere: bool) -> Option<()> {
    if model.folder_of(new).is_some() {
        return None;
    }
    let old = std::mem::replace(&mut model.projects.get_mut(folder)?.name, new.to_owned());
    if everywhere {
        for project in model.projects.values_mut() {
            rename_uses(project, &old, new);
        }
    }
    Some(())
}

fn rename_uses(project: &mut Project, old: &str, new: &str) {
    let files = project.files.values_mut().map(|file| &mut file.imports);
    for names in files.chain([&mut project.declares, &mut project.implicit]) {
        if names.remove(old) {
            names.insert(new.to_owned());
        }
    }
}

/// Adds a library that nobody uses.
pub(crate) fn add_library(model: &mut Model, short: &str) -> Option<String> {
    let folder = format!("libs/{short}");
    let sample = model.projects.get("libs/core")?.files.clone();
    let files = sample.into_iter().map(|(path, file)| (path, File { imports: Default::default(), ..file })).collect();
    let project = Project {
        name: package_name(model.tool, short),
        files,
        declares: Default::default(),
        implicit: Default::default(),
        wants: Default::default(),
    };
    if model.projects.contains_key(&folder) {
        return None;
    }
    model.projects.insert(folder.clone(), project);
    add_aliases(model, &folder, short);
    Some(folder)
}

/// Adds a service that is like another one.
pub(crate) fn add_service(model: &mut Model, key: &str, like: &str) -> Option<()> {
    if model.services.contains_key(key) {
        return None;
    }
    let mut service = model.services.get(like)?.clone();
    let mut project = model.projects.get(&service.home)?.clone();
    project.name = package_name(model.tool, key);
    service.home = format!("apps/{key}");
    service.repository = format!("acme/{key}");
    model.projects.insert(service.home.clone(), project);
    model.services.insert(key.to_owned(), service);
    Some(())
}

/// Deletes a service with its project, if no other one is built upon it.
pub(crate) fn delete_service(model: &mut Model, key: &str) -> Option<()> {
    let used = model.services.values().any(|service| {
        service.depends_on.contains(key)
            || matches!(&service.dockerfile.from, From::Service { key: base, .. } if base == key)
    });
    if used {
        return None;
    }
    let service = model.services.remove(key)?;
    model.projects.remove(&service.home).map(drop)
}

/// Gives a service another key in `delivery.toml`.
pub(crate) fn rename_service(model: &mut Model, old: &str, new: &str) -> Option<()> {
    if model.services.contains_key(new) {
        return None;
    }
    let service = model.services.remove(old)?;
    model.services.insert(new.to_owned(), service);
    for service in model.services.values_mut() {
        if service.depends_on.remove(old) {
            service.depends_on.insert(new.to_owned());
        }
        if let From::Service { key, .. } = &mut service.dockerfile.from
            && key == old
        {
            new.clone_into(key);
        }
    }
    Some(())
}

/// Raises an external's locked version within what is wanted of it.
pub(crate) fn bump(model: &mut Model, external: &External) -> Option<()> {
    model.externals.get_mut(external)?.minor += 1;
    Some(())
}

/// Resolves one need of an external to another major version that is in the lockfile already.
pub(crate) fn repoint(model: &mut Model, external: &External, need: &str) -> Option<()> {
    let major = *model.externals.get(external)?.needs.get(need)?;
    let other = if major == 1 { 2 } else { 1 };
    if !model.externals.contains_key(&External { name: need.to_owned(), major: other }) {
        return None;
    }
    model.externals.get_mut(external)?.needs.insert(need.to_owned(), other);
    Some(())
}

pub(crate) fn text() -> File {
    File::new(Kind::Text)
}

/// Re-points a `tsconfig` path to another module.
pub(crate) fn repoint_alias(model: &mut Model, alias: &str, target: &str) -> Option<()> {
    let was = model.settings.aliases.get_mut(alias)?;
    if was == target {
        return None;
    }
    target.clone_into(was);
    Some(())
}

pub(crate) fn only_node(model: &Model) -> Option<()> {
    model.tool.is_node().then_some(())
}

pub(crate) fn only(model: &Model, tools: &[Tool]) -> Option<()> {
    tools.contains(&model.tool).then_some(())
}

fn aliases_into(model: &Model, folder: &str) -> Vec<String> {
    let aliases = model.settings.aliases.iter();
    let leads = |target: &str| model.owner_of(target) == Some(folder);
    aliases.filter(|(_, target)| leads(target)).map(|(alias, _)| alias.clone()).collect()
}

fn alias_leads(alias: &str, specifier: &str) -> bool {
    match alias.strip_suffix('*') {
        Some(start) => specifier.starts_with(start),
        None => alias == specifier,
    }
}
