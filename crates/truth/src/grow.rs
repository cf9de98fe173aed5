//! How an estate comes to be: layers of libraries, services on top, made-up externals below.

use std::collections::{BTreeMap, BTreeSet};

use crate::dice::Dice;
use crate::model::{Dockerfile, External, File, From, Kind, Locked, Model, Project, Service, Settings, Take};
use crate::shape::{Shape, Tool};

/// How many externals there are.
const EXTERNALS: usize = 150;
/// Externals from here on are needed by other externals alone.
const TRANSITIVE: usize = 50;
/// Externals from here on are wanted only by libraries that a single service uses.
const PRIVATE: usize = 100;
/// The external that every private one needs in its first major version, and that has a second.
pub(crate) const TWO_MAJORS: usize = 60;

/// How many libraries are there only for what tools are known to get wrong.
const TRAPS: usize = 3;

/// The estate's first commit.
pub(crate) fn grow(shape: &Shape) -> Model {
    let mut dice = Dice::named(shape.seed, "estate");
    let service_count = (shape.projects / shape.service_every.max(1)).max(1);
    let mut model = Model {
        tool: shape.tool,
        projects: BTreeMap::new(),
        services: BTreeMap::new(),
        externals: externals(&mut Dice::named(shape.seed, "externals")),
        settings: settings(shape.tool),
        loose: loose(),
    };
    let libraries = libraries(shape, service_count, &mut dice, &mut model);
    for index in 0..service_count {
        service(shape, index, &libraries, &mut dice, &mut model);
    }
    traps(service_count, &mut model);
    if shape.tool == Tool::Plain {
        name_paths_instead_of_edges(&mut model);
    }
    model
}

pub(crate) fn external_name(index: usize) -> String {
    // Scoped names have to be quoted in YAML and are nested in node_modules: both kinds are in every estate.
    if index.is_multiple_of(5) { format!("@made/ext-{index:03}") } else { format!("ext-{index:03}") }
}

/// The files that a project of this name has at first.
pub(crate) fn project_files(count: usize, manifests: usize, tool: Tool) -> BTreeMap<String, File> {
    let extension = if tool == Tool::Cargo { "rs" } else { "ts" };
    let root = if tool == Tool::Cargo { "src/lib.rs" } else { "src/index.ts" };
    let mut files = BTreeMap::from([
        (root.to_owned(), File::new(Kind::Source)),
        ("README.md".to_owned(), File::new(Kind::Readme)),
        (format!("src/index.spec.{extension}"), File::new(Kind::Spec)),
        ("fixtures/sample.json".to_owned(), File::new(Kind::Fixture)),
    ]);
    for part in 1..=count.saturating_sub(manifests + files.len()).max(4) {
        files.insert(format!("src/part_{part:02}.{extension}"), File::new(Kind::Source));
    }
    files
}

pub(crate) fn root_file(tool: Tool) -> &'static str {
    if tool == Tool::Cargo { "src/lib.rs" } else { "src/index.ts" }
}

/// A library's name in the workspace.
pub(crate) fn package_name(tool: Tool, short: &str) -> String {
    if tool == Tool::Cargo { format!("acme-{short}") } else { format!("@acme/{short}") }
}

/// The Dockerfile of a service that needs nothing special.
pub(crate) fn plain_dockerfile(manifests_first: bool) -> Dockerfile {
    Dockerfile { from: From::Public("node:24-alpine".to_owned()), argument: 0, manifests_first, takes: BTreeSet::new() }
}

fn externals(dice: &mut Dice) -> BTreeMap<External, Locked> {
    let mut externals = BTreeMap::new();
    for index in 0..EXTERNALS {
        let majors = if index.is_multiple_of(10) { 1..=2 } else { 1..=1 };
        for major in majors {
            let mut needs = BTreeMap::new();
            let floor = if index >= PRIVATE { TRANSITIVE } else { 0 };
            let ceiling = if index >= PRIVATE { PRIVATE } else { index };
            for _ in 0..dice.below(3) + usize::from(index >= PRIVATE) {
                if ceiling > floor {
                    needs.insert(external_name(floor + dice.below(ceiling - floor)), 1);
                }
            }
            // One that can be re-pointed to another major version of the same package. Both versions are below it by
            // other ways too, so that re-pointing changes no inventory: a closure kept as a set does not see it.
            if index >= PRIVATE {
                needs.insert(external_name(TWO_MAJORS), 1);
                needs.insert(external_name(TWO_MAJORS + 1), 1);
                needs.insert(external_name(TWO_MAJORS + 2), 1);
            }
            if index == TWO_MAJORS + 1 || index == TWO_MAJORS + 2 {
                needs.insert(external_name(TWO_MAJORS), u32::try_from(index - TWO_MAJORS).unwrap_or(1));
            }
            externals.insert(External { name: external_name(index), major }, Locked { minor: 0, needs });
        }
    }
    externals
}

fn settings(tool: Tool) -> Settings {
    let catalog = if tool.is_pnpm() {
        (0..10).map(|index| (external_name(index), "^1.0.0".to_owned())).collect()
    } else {
        BTreeMap::new()
    };
    Settings {
        target: 2022,
        aliases: BTreeMap::new(),
        nx_parallel: 3,
        turbo_task: false,
        root_script: 0,
        engine: 22,
        catalog,
        ignores_fixtures: false,
        ignores_nothing_more: false,
        lock_reformatted: false,
        delivery_comment: 0,
    }
}

fn loose() -> BTreeMap<String, File> {
    let mut loose = BTreeMap::new();
    for path in [
        "docs/guide.md",
        "docs/adr/0001.md",
        "tools/docker/entrypoint.sh",
        "tools/certs/root.pem",
        "tools/certs/notes.txt",
        "tools/runtime/bin/start.sh",
        "tools/runtime/limits.conf",
        "tools/setup/install.sh",
        "tools/unused/lint.sh",
        "tools/shared/rules.json",
    ] {
        loose.insert(path.to_owned(), File::new(Kind::Text));
    }
    loose
}

/// Libraries in layers: the first is reached by (nearly) everything, each service has one of its own on top.
fn libraries(shape: &Shape, service_count: usize, dice: &mut Dice, model: &mut Model) -> Vec<String> {
    let count = shape.projects.saturating_sub(2 * service_count + TRAPS).max(1);
    let width = (count / 5).max(1);
    let mut names: Vec<String> = Vec::new();
    for index in 0..count {
        let short = if index == 0 { "core".to_owned() } else { format!("lib-{index:04}") };
        let folder = if index % 7 == 3 { format!("libs/shared/{short}") } else { format!("libs/{short}") };
        let mut project = new_project(shape, model.tool, &short);
        let below = (index / width) * width;
        let mut reached = BTreeSet::new();
        if index > 0 {
            reached.insert(names[0].clone());
        }
        for _ in 0..dice.below(3) {
            if below > 0 {
                reached.insert(names[dice.below(below)].clone());
            }
        }
        for (nth, name) in reached.into_iter().enumerate() {
            use_library(&mut project, model, &name, nth + index);
        }
        want(&mut project, dice.below(TRANSITIVE - 10) + 10, 1);
        want(&mut project, index % 10, 1);
        names.push(project.name.clone());
        model.projects.insert(folder.clone(), project);
        add_aliases(model, &folder, &short);
    }
    names
}

fn service(shape: &Shape, index: usize, libraries: &[String], dice: &mut Dice, model: &mut Model) {
    let own = format!("own-{index:04}");
    let mut private = new_project(shape, model.tool, &own);
    use_library(&mut private, model, &libraries[0], 0);
    want(&mut private, PRIVATE + index % 5 * 7, 1);
    let private_name = private.name.clone();
    model.projects.insert(format!("libs/{own}"), private);
    add_aliases(model, &format!("libs/{own}"), &own);

    let key = format!("svc-{index:04}");
    let home = if index.is_multiple_of(2) { format!("apps/{key}") } else { format!("services/{key}") };
    let mut project = new_project(shape, model.tool, &key);
    use_library(&mut project, model, &libraries[0], 0);
    use_library(&mut project, model, &private_name, index);
    for nth in 0..3 {
        let library = libraries[dice.below(libraries.len())].clone();
        use_library(&mut project, model, &library, nth);
    }
    want(&mut project, 10 + dice.below(TRANSITIVE - 10), 1);
    model.projects.insert(home.clone(), project);
    let dockerfile = plain_dockerfile(index.is_multiple_of(3) && model.tool.is_node());
    model
        .services
        .insert(key.clone(), new_service(&key, home, index % 4 == 1 && model.tool != Tool::Plain, dockerfile));
}

pub(crate) fn new_service(key: &str, home: String, by_project: bool, dockerfile: Dockerfile) -> Service {
    Service {
        home,
        by_project,
        dockerfile,
        repository: format!("acme/{key}"),
        container: "app".to_owned(),
        depends_on: BTreeSet::new(),
        paths: BTreeSet::new(),
    }
}

pub(crate) fn new_project(shape: &Shape, tool: Tool, short: &str) -> Project {
    let manifests = match tool {
        Tool::Nx => 3,
        Tool::Plain | Tool::Cargo => 1,
        _ => 2,
    };
    Project {
        name: package_name(tool, short),
        files: project_files(shape.files_per_project, manifests, tool),
        declares: BTreeSet::new(),
        implicit: BTreeSet::new(),
        wants: BTreeMap::new(),
    }
}

fn want(project: &mut Project, index: usize, major: u32) {
    project.wants.insert(external_name(index), major);
}

/// Imports a library in one of the ways that code does, and declares it.
fn use_library(project: &mut Project, model: &Model, name: &str, way: usize) {
    if *name == project.name {
        return;
    }
    let short = name.rsplit('/').next().unwrap_or(name);
    let specifier = match way % 5 {
        3 if model.tool.is_node() => format!("@paths/{short}"),
        4 if model.tool.is_node() => format!("@deep/{short}/part_02"),
        _ => name.to_owned(),
    };
    if let Some(file) = project.files.get_mut(root_file(model.tool)) {
        file.imports.insert(specifier);
    }
    project.declares.insert(name.to_owned());
}

/// The `tsconfig` paths by which a library can be imported.
pub(crate) fn add_aliases(model: &mut Model, folder: &str, short: &str) {
    if model.tool.is_node() {
        model.settings.aliases.insert(format!("@paths/{short}"), format!("{folder}/src/index.ts"));
        model.settings.aliases.insert(format!("@deep/{short}/*"), format!("{folder}/src/*"));
    }
}

/// What tools are known to get wrong, each on services of its own where there are enough of them.
fn traps(service_count: usize, model: &mut Model) {
    let key = |index: usize| format!("svc-{:04}", index % service_count);
    let tool = model.tool;
    trap_library(model, "undeclared", &[key(1), key(2), key(3)], |project, name| {
        insert_import(project, tool, name);
        // A Cargo package cannot be used without being declared.
        if tool == Tool::Cargo {
            project.declares.insert(name.to_owned());
        }
    });
    trap_library(model, "implicit", &[key(4), key(5), key(6)], |project, name| {
        if tool == Tool::Nx {
            project.implicit.insert(name.to_owned());
        } else {
            project.declares.insert(name.to_owned());
        }
    });
    nested_library(model, &key(7));
    let takes = [
        (0, Take::File("tools/docker/entrypoint.sh".to_owned())),
        (1, Take::File("tools/docker/entrypoint.sh".to_owned())),
        (2, Take::Glob { folder: "tools/certs".to_owned(), suffix: ".pem".to_owned() }),
        (3, Take::Folder("tools/runtime".to_owned())),
        (4, Take::Bind("tools/setup/install.sh".to_owned())),
    ];
    for (index, take) in takes {
        if let Some(service) = model.services.get_mut(&key(index)) {
            service.dockerfile.takes.insert(take);
        }
    }
    if service_count >= 10 {
        from(model, &key(service_count - 1), &key(service_count - 2), false);
        from(model, &key(service_count - 2), &key(service_count - 3), true);
        if let Some(service) = model.services.get_mut(&key(6)) {
            service.depends_on.insert(key(5));
            service.paths.insert("tools/shared".to_owned());
        }
    }
    if service_count >= 2 {
        decoy(model, &key(0), &package_name(tool, "own-0001"));
    }
}

fn from(model: &mut Model, service: &str, base: &str, registry: bool) {
    if let Some(service) = model.services.get_mut(service) {
        service.dockerfile.from = From::Service { key: base.to_owned(), registry };
    }
}

fn trap_library(model: &mut Model, short: &str, users: &[String], mut tie: impl FnMut(&mut Project, &str)) {
    let Some(sample) = model.projects.get("libs/core").cloned() else { return };
    let name = package_name(model.tool, short);
    let library = Project { name: name.clone(), declares: BTreeSet::new(), wants: BTreeMap::new(), ..sample };
    model.projects.insert(format!("libs/{short}"), library);
    for user in users {
        if let Some(project) = model.services.get(user).and_then(|service| model.projects.get_mut(&service.home)) {
            tie(project, &name);
        }
    }
}

/// A library in the folder of another one: a change to it is none to the outer one.
fn nested_library(model: &mut Model, user: &str) {
    trap_library(model, "nested", &[user.to_owned()], |project, name| {
        project.declares.insert(name.to_owned());
    });
    // A path that `delivery.toml` names has everything below it: there, nesting means something else.
    if model.tool == Tool::Plain {
        return;
    }
    if let Some(project) = model.projects.remove("libs/nested") {
        model.projects.insert("libs/core/plugins/nested".to_owned(), project);
    }
}

fn decoy(model: &mut Model, service: &str, name: &str) {
    let tool = model.tool;
    let Some(home) = model.services.get(service).map(|service| service.home.clone()) else { return };
    if let Some(file) = model.projects.get_mut(&home).and_then(|project| project.files.get_mut(root_file(tool))) {
        file.decoy = Some(name.to_owned());
    }
}

pub(crate) fn insert_import(project: &mut Project, tool: Tool, specifier: &str) {
    if let Some(file) = project.files.get_mut(root_file(tool)) {
        file.imports.insert(specifier.to_owned());
    }
}

/// Without a workspace nothing knows of an edge but the delivery file: each service names its libraries' folders.
fn name_paths_instead_of_edges(model: &mut Model) {
    let folders: BTreeMap<String, String> =
        model.projects.iter().map(|(folder, project)| (project.name.clone(), folder.clone())).collect();
    for service in model.services.values_mut() {
        let Some(project) = model.projects.get(&service.home) else { continue };
        service.paths.extend(project.declares.iter().filter_map(|name| folders.get(name)).cloned());
    }
    for project in model.projects.values_mut() {
        project.declares.clear();
        project.wants.clear();
        project.implicit.clear();
        for file in project.files.values_mut() {
            file.imports.clear();
        }
    }
    model.externals.clear();
}
