//! Which projects there are, and what they say they depend on.

use super::super::*;
use super::DB;
use crate::files::tests::Made;

fn read(files: &[(&str, &str)]) -> Workspace {
    Workspace::read(&Made::new(files).files())
}

fn why(because: &Because) -> String {
    match because {
        Because::Manifest { file, field } => format!("{file} {field}"),
        Because::Implicit { file } => format!("{file} implicit"),
        Because::CargoPath { file } => format!("{file} path"),
        Because::Unreadable { file } => format!("{file} unreadable"),
    }
}

fn roots(workspace: &Workspace) -> Vec<&str> {
    workspace.projects.iter().map(|project| project.root.as_str()).collect()
}

/// `dependency (why)`, of the project at a root.
fn edges(workspace: &Workspace, root: &str) -> Vec<String> {
    let project = workspace.project(workspace.at(root).unwrap()).unwrap();
    let name = |edge: &Edge| &workspace.projects[edge.to.0].name;
    project.dependencies.iter().map(|edge| format!("{} ({})", name(edge), why(&edge.because))).collect()
}

fn problems(workspace: &Workspace) -> Vec<String> {
    workspace.problems.iter().map(ToString::to_string).collect()
}

const AUTH: &str = r#"{ "name": "auth", "dependencies": { "@acme/db": "workspace:*", "pg": "^8" }, "devDependencies": { "@acme/log": "*", "vite": "5" } }"#;
const LOG: &str = r#"{ "name": "@acme/log" }"#;

#[test]
fn members_are_found_whoever_lists_them() {
    let members = [
        ("apps/auth/package.json", AUTH),
        ("libs/db/package.json", DB),
        ("libs/log/package.json", LOG),
        ("old/package.json", "{}"),
    ];
    let check = |root: &[(&str, &str)]| {
        let files: Vec<_> = members.iter().chain(root).copied().collect();
        let workspace = read(&files);
        assert_eq!(roots(&workspace), ["apps/auth", "libs/db", "libs/log"], "{root:?}");
        assert_eq!(
            edges(&workspace, "apps/auth"),
            ["@acme/db (apps/auth/package.json dependencies)", "@acme/log (apps/auth/package.json devDependencies)"]
        );
        let requires: Vec<_> = workspace.projects[0]
            .requires
            .iter()
            .map(|one| format!("{} {} {}", one.field, one.name, one.range))
            .collect();
        assert_eq!(requires, ["dependencies pg ^8", "devDependencies vite 5"]);
        assert_eq!(problems(&workspace), [""; 0], "{root:?}");
    };
    check(&[("package.json", r#"{ "workspaces": ["apps/*", "./libs/*"] }"#)]);
    check(&[
        ("package.json", r#"{ "workspaces": { "packages": ["apps/*", "libs/*"] } }"#),
        ("package-lock.json", "{}"),
    ]);
    check(&[("package.json", "{}"), ("pnpm-workspace.yaml", "packages:\n  - '**'\n  - '!old'\n  - '!.'\n")]);
    check(&[("package.json", "{}"), ("lerna.json", r#"{ "packages": ["apps/*", "libs/*"] }"#), ("yarn.lock", "")]);
    check(&[("package.json", r#"{ "workspaces": ["old"] }"#), ("pnpm-workspace.yaml", "packages: [apps/*, libs/*]")]);
}

#[test]
fn what_stands_alone_is_a_project() {
    assert_eq!(roots(&read(&[("package.json", "{}"), ("a/package.json", "{}")])), [""]);
    let alone = read(&[
        ("a/package.json", "{}"),
        ("a/package-lock.json", "{}"),
        ("b/package.json", "{}"),
        ("b/yarn.lock", ""),
        ("c/package.json", "{}"),
    ]);
    assert_eq!(roots(&alone), ["a", "b"]);
    let taken = read(&[
        ("a/package.json", r#"{ "dependencies": { "x": "file:../c" } }"#),
        ("a/yarn.lock", ""),
        ("c/package.json", "{}"),
    ]);
    assert_eq!(
        (roots(&taken), edges(&taken, "a")),
        (vec!["a", "c"], vec!["c (a/package.json dependencies)".to_owned()])
    );
    assert_eq!(roots(&read(&[("a/node_modules/b/package.json", "{}"), ("a/node_modules/b/yarn.lock", "")])), [""; 0]);
    let with_root = [("package.json", r#"{ "name": "root", "workspaces": [".", "a"] }"#), ("a/package.json", "{}")];
    assert_eq!(roots(&read(&with_root)), ["", "a"]);
}

#[test]
fn a_workspace_in_another_belongs_to_itself() {
    let workspace = read(&[
        ("package.json", r#"{ "workspaces": ["libs/*"] }"#),
        ("libs/db/package.json", DB),
        ("examples/shop/package.json", r#"{ "workspaces": ["packages/*"] }"#),
        ("examples/shop/packages/db/package.json", DB),
        ("examples/shop/packages/web/package.json", r#"{ "name": "web", "dependencies": { "@acme/db": "*" } }"#),
    ]);
    assert_eq!(roots(&workspace), ["examples/shop/packages/db", "examples/shop/packages/web", "libs/db"]);
    assert_eq!(workspace.projects[1].dependencies[0].to, ProjectId(0));
    assert_eq!(
        (workspace.find("@acme/db"), workspace.packages()["@acme/db"].as_str()),
        (Some(ProjectId(2)), "libs/db")
    );
    assert_eq!(workspace.projects[0].name, "examples/shop/packages/db");
    assert_eq!(problems(&workspace), [""; 0]);
}

#[test]
fn two_projects_of_one_name_are_both_there() {
    let workspace =
        read(&[("nx.json", "{}"), ("a/project.json", r#"{ "name": "x" }"#), ("b/project.json", r#"{ "name": "x" }"#)]);
    assert_eq!((workspace.find("x"), workspace.find("b")), (Some(ProjectId(0)), Some(ProjectId(1))));
    assert_eq!(
        problems(&workspace),
        ["b/project.json: two projects are called `x`: `a` and `b`; the second is called `b` here"]
    );
}

#[test]
fn a_broken_manifest_leaves_the_project_and_may_mean_any_library() {
    let workspace = read(&[
        ("nx.json", "{}"),
        ("package.json", r#"{ "workspaces": ["libs/*"] }"#),
        ("apps/auth/project.json", r#"{ "projectType": "application" }"#),
        ("apps/web/project.json", "{\n\"name\": \"web\"\n\"tags\": [] }"),
        ("libs/db/package.json", DB),
        ("libs/log/package.json", "{"),
    ]);
    assert_eq!(roots(&workspace), ["apps/auth", "apps/web", "libs/db", "libs/log"]);
    assert_eq!(edges(&workspace, "apps/auth"), [""; 0]);
    assert_eq!(
        edges(&workspace, "apps/web"),
        ["@acme/db (apps/web/project.json unreadable)", "log (apps/web/project.json unreadable)"]
    );
    assert_eq!(
        edges(&workspace, "libs/log"),
        ["web (libs/log/package.json unreadable)", "@acme/db (libs/log/package.json unreadable)"]
    );
    let lines: Vec<_> = workspace.problems.iter().map(|problem| (problem.path.as_str(), problem.line)).collect();
    assert_eq!(lines, [("apps/web/project.json", Some(2)), ("libs/log/package.json", Some(1))]);
}

#[test]
fn a_broken_root_leaves_nobody_out() {
    for root in [("package.json", "{"), ("pnpm-workspace.yaml", "packages: ["), ("lerna.json", "[]")] {
        let workspace = read(&[root, ("apps/auth/package.json", AUTH), ("libs/db/package.json", DB)]);
        let found = roots(&workspace);
        assert!(found.ends_with(&["apps/auth", "libs/db"]), "{root:?} {found:?}");
        assert_eq!(workspace.problems[0].path, root.0);
    }
    let cargo = read(&[("Cargo.toml", "["), ("a/Cargo.toml", "[package]\nname = 'a'")]);
    assert_eq!(roots(&cargo), ["", "a"]);
}

#[test]
fn nx_says_what_is_not_seen() {
    let workspace = read(&[
        ("nx.json", r#"{ "plugins": ["@nx/jest/plugin"] }"#),
        (".nxignore", "ignored/\n"),
        ("a/project.json", r#"{ "implicitDependencies": ["c*", "tag:base", "!cli", "nobody"] }"#),
        ("b/project.json", r#"{ "name": "base", "tags": ["base"], "targets": { "build": {} } }"#),
        ("b/jest.config.ts", ""),
        ("c/project.json", r#"{ "name": "core" }"#),
        ("d/project.json", r#"{ "name": "cli" }"#),
        ("e/project.json", r#"{ "implicitDependencies": ["*", "!a"] }"#),
        ("ignored/f/project.json", "{}"),
        ("g/package.json", r#"{ "name": "g", "scripts": { "build": "x" } }"#),
    ]);
    assert_eq!(roots(&workspace), ["a", "b", "c", "d", "e"]);
    assert_eq!(edges(&workspace, "a"), ["core (a/project.json implicit)", "base (a/project.json implicit)"]);
    assert_eq!(
        (workspace.projects[0].excluded.clone(), workspace.projects[4].excluded.clone()),
        (vec![ProjectId(3)], vec![ProjectId(0)])
    );
    assert_eq!(edges(&workspace, "e").len(), 3);
    assert_eq!(workspace.projects[1].targets.iter().collect::<Vec<_>>(), ["build", "test"]);
    assert_eq!(problems(&workspace), ["a/project.json: implicit dependency `nobody`: there is no such project"]);
}

#[test]
fn crates_of_a_workspace() {
    let workspace = read(&[
        (
            "Cargo.toml",
            "[workspace]\nmembers = ['crates/*']\nexclude = ['crates/fuzz']\n[workspace.dependencies]\ndb = { path = 'crates/db' }\n",
        ),
        (
            "crates/auth/Cargo.toml",
            "[package]\nname = 'auth'\n[dependencies]\ndb = { workspace = true }\nserde = '1'\n[dev-dependencies]\nfake = { path = '../../vendor/world', package = 'world' }\n",
        ),
        ("crates/auth/package.json", r#"{ "name": "@acme/auth" }"#),
        ("crates/auth/yarn.lock", ""),
        ("crates/db/Cargo.toml", "[package]\nname = 'db'\n"),
        ("crates/fuzz/Cargo.toml", "[package]\nname = 'fuzz'\n"),
        ("vendor/world/Cargo.toml", "[package]\nname = 'world'\n"),
        ("vendor/other/Cargo.toml", "[package]\nname = 'other'\n"),
    ]);
    assert_eq!(roots(&workspace), ["crates/auth", "crates/db", "vendor/world"]);
    assert_eq!(
        edges(&workspace, "crates/auth"),
        ["db (crates/auth/Cargo.toml path)", "world (crates/auth/Cargo.toml path)"]
    );
    let auth = &workspace.projects[0];
    assert_eq!((auth.package.as_deref(), auth.crate_name.as_deref()), (Some("@acme/auth"), Some("auth")));
    assert_eq!(auth.languages, [Language::JavaScript, Language::Rust].into());
    assert_eq!(auth.requires[0].name, "serde");
    assert_eq!(roots(&read(&[("Cargo.toml", "[package]\nname = 'one'\n")])), [""]);
}

#[test]
fn the_innermost_project_owns_a_path() {
    let workspace = read(&[
        ("package.json", r#"{ "workspaces": ["a", "a/inner"] }"#),
        ("a/package.json", "{}"),
        ("a/inner/package.json", "{}"),
    ]);
    for (path, owner) in [("a/x", Some("a")), ("a/inner/x/y", Some("inner")), ("ab/x", None), ("x", None)] {
        let name = workspace.owner(path).map(|owner| workspace.projects[owner.0].name.as_str());
        assert_eq!(name, owner, "{path}");
    }
}

#[test]
fn circles_are_told_however_long() {
    let check = |edges: &[(usize, usize)], nodes: usize, expected: &[&[usize]]| {
        let next = |node: usize| edges.iter().filter(|(from, _)| *from == node).map(|(_, to)| *to).collect();
        let found: Vec<Vec<usize>> =
            circles(nodes, &next).into_iter().map(|circle| circle.into_iter().map(|node| node.0).collect()).collect();
        assert_eq!(found, expected, "{edges:?}");
    };
    check(&[(0, 1), (1, 2)], 3, &[]);
    check(&[(0, 1), (1, 0), (1, 2), (2, 3), (3, 2), (4, 4)], 5, &[&[0, 1], &[2, 3]]);
    check(&[(0, 1), (1, 2), (2, 0), (2, 3)], 4, &[&[0, 1, 2]]);
    let long = |node: usize| vec![(node + 1) % 100_000];
    assert_eq!(circles(100_000, &long).iter().map(Vec::len).collect::<Vec<_>>(), [100_000]);
}

/// The names of the projects of which a task comes before the build of the project at a root.
fn before(workspace: &Workspace, root: &str) -> Vec<String> {
    let before = workspace.before(workspace.at(root).unwrap(), "build");
    before.into_iter().map(|project| workspace.projects[project.0].name.clone()).collect()
}

#[test]
fn a_task_of_another_project_comes_before() {
    let nx = read(&[
        (
            "nx.json",
            r#"{ "targetDefaults": { "build": { "dependsOn": ["^build", { "projects": ["tag:base"], "target": "build" }] } } }"#,
        ),
        (
            "a/project.json",
            r#"{ "targets": { "build": { "dependsOn": ["generate", { "dependencies": true, "target": "build" }, { "projects": "self", "target": "lint" }] }, "lint": {},
                "generate": { "dependsOn": [{ "projects": ["sch*"], "target": "export" }, { "projects": "dependencies", "target": "x" }] }, "test": { "dependsOn": [{ "projects": "d", "target": "serve" }] } } }"#,
        ),
        ("b/project.json", r#"{ "name": "base", "tags": ["base"], "targets": { "build": {} } }"#),
        ("c/project.json", r#"{ "name": "schema", "targets": { "export": {} } }"#),
        ("d/project.json", r#"{ "targets": { "serve": {}, "build": {} } }"#),
    ]);
    assert_eq!(before(&nx, "a"), ["schema"]);
    assert_eq!(before(&nx, "d"), ["base"]);
    assert_eq!(before(&nx, "b"), [""; 0]);
    let turbo = read(&[
        ("package.json", r#"{ "workspaces": ["*"] }"#),
        (
            "turbo.json",
            r#"{ "tasks": { "build": { "dependsOn": ["^build", "codegen", "$NODE_ENV"] }, "codegen": { "dependsOn": ["@acme/db#export"] }, "test": { "dependsOn": ["e2e#serve"] } } }"#,
        ),
        ("auth/package.json", r#"{ "name": "auth", "scripts": { "build": "x", "codegen": "x", "test": "x" } }"#),
        ("db/package.json", r#"{ "name": "@acme/db", "scripts": { "export": "x" } }"#),
        ("e2e/package.json", r#"{ "name": "e2e", "scripts": { "serve": "x" } }"#),
    ]);
    assert_eq!(before(&turbo, "auth"), ["@acme/db"]);
    assert_eq!(before(&turbo, "db"), [""; 0]);
}
