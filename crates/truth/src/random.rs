//! Scenarios drawn by chance: a few edits in one commit, whose truth is told from the model that comes of them.

use crate::dice::Dice;
use crate::edit::{
    add_file, add_library, add_service, bump, declare, delete_library, delete_service, import, make_executable,
    move_file, move_project, remove_file, rename_package, rename_service, repoint, repoint_alias, text, touch,
    touch_loose, untie,
};
use crate::estate::Plan;
use crate::grow::{external_name, package_name, root_file};
use crate::model::{External, Kind, Model, Take};
use crate::shape::Tool;

/// Makes one edit somewhere, and says what it did; nothing if there was no place for it.
type Edit = fn(&mut Model, &mut Dice) -> Option<String>;

/// Edits as often as they are written here: what people do most is done most.
const EDITS: [Edit; 32] = [
    source,
    source,
    source,
    other_file,
    added,
    removed,
    mode,
    moved,
    import_name,
    import_path,
    declared,
    untied,
    bumped,
    bumped,
    repointed,
    wanted,
    unwanted,
    implicit,
    argument,
    taken,
    loose,
    loose,
    setting,
    path_repointed,
    library_added,
    library_deleted,
    library_moved,
    library_renamed,
    service_added,
    service_deleted,
    service_renamed,
    service_tied,
];

pub(crate) fn plans(base: &Model, seed: u64, count: usize) -> Vec<Plan> {
    (0..count).map(|index| plan(base, seed, index)).collect()
}

fn plan(base: &Model, seed: u64, index: usize) -> Plan {
    let name = format!("random-{index:03}");
    let mut dice = Dice::named(seed, &name);
    let mut head = base.clone();
    let mut done: Vec<String> = Vec::new();
    let wished = 1 + dice.below(6);
    while done.len() < wished {
        let edit = EDITS[dice.below(EDITS.len())];
        // An edit that turns out to be impossible half-way is not to leave its first half behind.
        let mut edited = head.clone();
        if let Some(what) = edit(&mut edited, &mut dice) {
            head = edited;
            done.push(what);
        }
    }
    Plan { name, why: done.join("; "), head, sides: Vec::new() }
}

fn project(model: &Model, dice: &mut Dice) -> Option<String> {
    let folders: Vec<&String> = model.projects.keys().collect();
    dice.pick(&folders).map(|folder| (*folder).clone())
}

fn library(model: &Model, dice: &mut Dice) -> Option<String> {
    let folders: Vec<&String> = model.projects.keys().filter(|folder| folder.starts_with("libs/")).collect();
    dice.pick(&folders).map(|folder| (*folder).clone())
}

/// A library that no other one is nested in.
fn movable(model: &Model, dice: &mut Dice) -> Option<String> {
    library(model, dice).filter(|folder| folder != "libs/core" && !folder.contains("plugins"))
}

fn service(model: &Model, dice: &mut Dice) -> Option<String> {
    let keys: Vec<&String> = model.services.keys().collect();
    dice.pick(&keys).map(|key| (*key).clone())
}

fn file(model: &Model, folder: &str, dice: &mut Dice, kinds: &[Kind]) -> Option<String> {
    let files = model.projects.get(folder)?.files.iter().filter(|(_, file)| kinds.contains(&file.kind));
    let paths: Vec<&String> = files.map(|(path, _)| path).collect();
    dice.pick(&paths).map(|path| (*path).clone())
}

fn source(model: &mut Model, dice: &mut Dice) -> Option<String> {
    let folder = project(model, dice)?;
    let path = file(model, &folder, dice, &[Kind::Source])?;
    touch(model, &folder, &path)?;
    Some(format!("{folder}/{path} edited"))
}

fn other_file(model: &mut Model, dice: &mut Dice) -> Option<String> {
    workspace(model)?;
    let folder = project(model, dice)?;
    let path = file(model, &folder, dice, &[Kind::Spec, Kind::Readme, Kind::Fixture])?;
    touch(model, &folder, &path)?;
    Some(format!("{folder}/{path} edited"))
}

fn added(model: &mut Model, dice: &mut Dice) -> Option<String> {
    let folder = project(model, dice)?;
    let path = format!("src/added {}.txt", dice.below(100));
    add_file(model, &folder, &path, text())?;
    Some(format!("{folder}/{path} added"))
}

fn removed(model: &mut Model, dice: &mut Dice) -> Option<String> {
    let folder = project(model, dice)?;
    // The first two parts are imported by name.
    let path = file(model, &folder, dice, &[Kind::Source])
        .filter(|path| path.contains("part_") && path.as_str() > "src/part_03")?;
    remove_file(model, &folder, &path)?;
    Some(format!("{folder}/{path} deleted"))
}

fn mode(model: &mut Model, dice: &mut Dice) -> Option<String> {
    let folder = project(model, dice)?;
    let path = file(model, &folder, dice, &[Kind::Fixture, Kind::Text])?;
    make_executable(model, &folder, &path)?;
    Some(format!("{folder}/{path} made executable"))
}

fn moved(model: &mut Model, dice: &mut Dice) -> Option<String> {
    let (from, to) = (project(model, dice)?, project(model, dice)?);
    let path = file(model, &from, dice, &[Kind::Fixture, Kind::Text])?;
    move_file(model, &from, &to, &path, "fixtures/moved.json")?;
    Some(format!("{from}/{path} moved to {to}"))
}

fn import_name(model: &mut Model, dice: &mut Dice) -> Option<String> {
    node(model)?;
    let (folder, other) = (project(model, dice)?, library(model, dice)?);
    let path = file(model, &folder, dice, &[Kind::Source])?;
    let name = model.projects.get(&other).filter(|_| other != folder)?.name.clone();
    import(model, &folder, &path, &name)?;
    Some(format!("{folder}/{path} imports {name}, undeclared"))
}

fn import_path(model: &mut Model, dice: &mut Dice) -> Option<String> {
    node(model)?;
    let folder = project(model, dice)?;
    let path = file(model, &folder, dice, &[Kind::Source])?;
    let aliases: Vec<&String> = model.settings.aliases.keys().collect();
    let specifier = dice.pick(&aliases)?.replace('*', "part_02");
    import(model, &folder, &path, &specifier)?;
    Some(format!("{folder}/{path} imports {specifier}"))
}

fn declared(model: &mut Model, dice: &mut Dice) -> Option<String> {
    workspace(model)?;
    let (folder, other) = (project(model, dice)?, library(model, dice)?);
    let name = model.projects.get(&other)?.name.clone();
    declare(model, &folder, &name)?;
    Some(format!("{folder} declares {name}"))
}

fn untied(model: &mut Model, dice: &mut Dice) -> Option<String> {
    let (folder, other) = (project(model, dice)?, library(model, dice)?);
    untie(model, &folder, &other)?;
    Some(format!("{folder} no longer uses {other}"))
}

fn external(model: &Model, dice: &mut Dice) -> Option<External> {
    let externals: Vec<&External> = model.externals.keys().collect();
    dice.pick(&externals).map(|external| (*external).clone())
}

fn bumped(model: &mut Model, dice: &mut Dice) -> Option<String> {
    let external = external(model, dice)?;
    bump(model, &external)?;
    Some(format!("{} is locked at {}", external.name, model.version(&external)))
}

fn repointed(model: &mut Model, dice: &mut Dice) -> Option<String> {
    let external = external(model, dice)?;
    let needs: Vec<String> = model.externals.get(&external)?.needs.keys().cloned().collect();
    let need = dice.pick(&needs)?;
    repoint(model, &external, need)?;
    Some(format!("{}@{} gets another {need}", external.name, external.major))
}

fn wanted(model: &mut Model, dice: &mut Dice) -> Option<String> {
    workspace(model)?;
    let (folder, name) = (project(model, dice)?, external_name(dice.below(150)));
    model.projects.get_mut(&folder)?.wants.insert(name.clone(), 1).is_none().then_some(())?;
    Some(format!("{folder} wants {name}"))
}

fn unwanted(model: &mut Model, dice: &mut Dice) -> Option<String> {
    let folder = project(model, dice)?;
    let wants = &mut model.projects.get_mut(&folder)?.wants;
    let names: Vec<String> = wants.keys().cloned().collect();
    let name = dice.pick(&names)?;
    wants.remove(name)?;
    Some(format!("{folder} no longer wants {name}"))
}

fn implicit(model: &mut Model, dice: &mut Dice) -> Option<String> {
    (model.tool == Tool::Nx).then_some(())?;
    let (folder, other) = (project(model, dice)?, library(model, dice)?);
    let name = model.projects.get(&other).filter(|_| folder != other)?.name.clone();
    model.projects.get_mut(&folder)?.implicit.insert(name.clone()).then_some(())?;
    Some(format!("{folder} depends on {name} implicitly"))
}

fn argument(model: &mut Model, dice: &mut Dice) -> Option<String> {
    let key = service(model, dice)?;
    model.services.get_mut(&key)?.dockerfile.argument += 1;
    Some(format!("{key}'s ARG has another default"))
}

fn loose_path(model: &Model, dice: &mut Dice) -> Option<String> {
    let paths: Vec<&String> = model.loose.keys().filter(|path| path.contains('/')).collect();
    dice.pick(&paths).map(|path| (*path).clone())
}

fn taken(model: &mut Model, dice: &mut Dice) -> Option<String> {
    let key = service(model, dice)?;
    let path = loose_path(model, dice).filter(|path| path.starts_with("tools/"))?;
    let take = if dice.below(2) == 0 { Take::File(path.clone()) } else { Take::Bind(path.clone()) };
    model.services.get_mut(&key)?.dockerfile.takes.insert(take).then_some(())?;
    Some(format!("{key}'s Dockerfile takes {path}"))
}

fn loose(model: &mut Model, dice: &mut Dice) -> Option<String> {
    let path = loose_path(model, dice)?;
    touch_loose(model, &path)?;
    Some(format!("{path} edited"))
}

fn setting(model: &mut Model, dice: &mut Dice) -> Option<String> {
    workspace(model)?;
    let settings = &mut model.settings;
    let what = match dice.below(8) {
        0 => {
            settings.nx_parallel += 1;
            "nx.json: parallel"
        }
        1 => {
            settings.turbo_task = true;
            "turbo.json: storybook"
        }
        2 => {
            settings.root_script += 1;
            "package.json: a script"
        }
        3 => {
            settings.lock_reformatted = true;
            "the lockfile in another order"
        }
        4 => {
            settings.ignores_nothing_more = true;
            ".dockerignore: a folder that does not exist"
        }
        5 => {
            settings.delivery_comment += 1;
            "delivery.toml: a comment"
        }
        // What reaches everybody hides every other edit: seldom.
        6 if dice.below(3) == 0 => {
            settings.target += 1;
            "the compiler's target"
        }
        7 if dice.below(3) == 0 => {
            settings.ignores_fixtures = true;
            ".dockerignore: fixtures"
        }
        _ => return None,
    };
    Some(what.to_owned())
}

fn path_repointed(model: &mut Model, dice: &mut Dice) -> Option<String> {
    let aliases: Vec<String> = model.settings.aliases.keys().filter(|alias| !alias.contains('*')).cloned().collect();
    let (alias, target) = (dice.pick(&aliases)?, library(model, dice)?);
    repoint_alias(model, alias, &format!("{target}/src/part_01.ts"))?;
    Some(format!("the path {alias} leads to {target}"))
}

fn library_added(model: &mut Model, dice: &mut Dice) -> Option<String> {
    workspace(model)?;
    let folder = add_library(model, &format!("new-{}", dice.below(100)))?;
    let (user, name) = (project(model, dice)?, model.projects.get(&folder)?.name.clone());
    declare(model, &user, &name)?;
    import(model, &user, root_file(model.tool), &name)?;
    Some(format!("{folder} added, {user} uses it"))
}

fn library_deleted(model: &mut Model, dice: &mut Dice) -> Option<String> {
    let folder = movable(model, dice)?;
    delete_library(model, &folder)?;
    Some(format!("{folder} deleted, its users mended"))
}

fn library_moved(model: &mut Model, dice: &mut Dice) -> Option<String> {
    let folder = movable(model, dice)?;
    let to = format!("libs/shared/moved-{}", dice.below(100));
    move_project(model, &folder, &to)?;
    Some(format!("{folder} moved to {to}"))
}

fn library_renamed(model: &mut Model, dice: &mut Dice) -> Option<String> {
    workspace(model)?;
    let folder = library(model, dice)?;
    let name = package_name(model.tool, &format!("renamed-{}", dice.below(100)));
    rename_package(model, &folder, &name, true)?;
    Some(format!("{folder} is now called {name}"))
}

fn service_added(model: &mut Model, dice: &mut Dice) -> Option<String> {
    let like = service(model, dice)?;
    let key = format!("svc-new-{}", dice.below(100));
    add_service(model, &key, &like)?;
    Some(format!("{key} added, like {like}"))
}

fn service_deleted(model: &mut Model, dice: &mut Dice) -> Option<String> {
    let key = service(model, dice)?;
    delete_service(model, &key)?;
    Some(format!("{key} deleted"))
}

fn service_renamed(model: &mut Model, dice: &mut Dice) -> Option<String> {
    let (key, new) = (service(model, dice)?, format!("svc-other-{}", dice.below(100)));
    rename_service(model, &key, &new)?;
    Some(format!("{key} is now called {new}"))
}

/// By `depends-on`, from the last to the first in the alphabet: never in a circle.
fn service_tied(model: &mut Model, dice: &mut Dice) -> Option<String> {
    let (one, other) = (service(model, dice)?, service(model, dice)?);
    let (below, above) = if one < other { (one, other) } else { (other, one) };
    if above == below || !above.starts_with("svc-0") || !below.starts_with("svc-0") {
        return None;
    }
    model.services.get_mut(&above)?.depends_on.insert(below.clone()).then_some(())?;
    Some(format!("{above} depends on {below}"))
}

fn node(model: &Model) -> Option<()> {
    model.tool.is_node().then_some(())
}

fn workspace(model: &Model) -> Option<()> {
    (model.tool != Tool::Plain).then_some(())
}
