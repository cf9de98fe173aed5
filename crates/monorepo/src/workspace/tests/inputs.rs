//! Which files count, and which parts of the root reach a project.

use super::super::*;
use super::DB;
use crate::files::tests::Made;

const NX: &str = r#"{
    "namedInputs": {
        "default": ["{projectRoot}/**/*", "sharedGlobals"],
        "production": ["default", "!{projectRoot}/**/?(*.)+(spec|test).[jt]s?(x)", "!{projectRoot}/**/*.md"],
        "sharedGlobals": ["{workspaceRoot}/babel.config.json", "{workspaceRoot}/tools/**/*", "!{workspaceRoot}/tools/*.md"],
        "docs": ["{projectRoot}/**/*.md"]
    },
    "targetDefaults": { "build": { "inputs": ["production", "^production"], "cache": true }, "lint": { "inputs": ["default"] } },
    "plugins": ["@nx/docker"], "parallel": 3, "defaultBase": "main"
}"#;

/// An Nx workspace of an application and a library.
fn nx(nx: &str, auth: &str, db: &str) -> Made {
    Made::new(&[
        ("nx.json", nx),
        ("package.json", r#"{ "name": "root", "engines": { "node": "22" }, "scripts": { "lint": "x" } }"#),
        (".npmrc", ""),
        ("babel.config.json", "{}"),
        ("tools/x.js", ""),
        ("tools/README.md", ""),
        ("apps/auth/project.json", auth),
        ("libs/db/project.json", db),
    ])
}

fn counted(selection: &Selection) -> Vec<&'static str> {
    let files = ["src/a.ts", "src/a.spec.ts", "README.md", "Dockerfile", "schema/a.graphql", "project.json"];
    files.into_iter().filter(|file| selection.has(file)).collect()
}

#[test]
fn nx_inputs_say_which_files_count() {
    const PRODUCTION: [&str; 4] = ["src/a.ts", "Dockerfile", "schema/a.graphql", "project.json"];
    const ALL: [&str; 6] = ["src/a.ts", "src/a.spec.ts", "README.md", "Dockerfile", "schema/a.graphql", "project.json"];
    let check = |root: &str, auth: &str, db: &str, own: &[&str], dependency: &[&str]| {
        let made = nx(root, auth, db);
        let workspace = Workspace::read(&made.files());
        let (auth_id, db_id) = (workspace.at("apps/auth").unwrap(), workspace.at("libs/db").unwrap());
        assert_eq!(counted(&workspace.selection(auth_id, Role::Own, "build")), own, "{auth}");
        let reads = workspace.reads(Some(auth_id), "build");
        assert_eq!(counted(&workspace.selection(db_id, Role::Dependency(reads), "build")), dependency, "{auth} {db}");
    };
    check(NX, "{}", "{}", &PRODUCTION, &PRODUCTION);
    check("{}", "{}", "{}", &ALL, &ALL);
    check("{", "{}", "{}", &ALL, &ALL);
    check(NX, r#"{ "targets": { "build": { "inputs": ["default", "^production"] } } }"#, "{}", &ALL, &PRODUCTION);
    check(
        NX,
        r#"{ "targets": { "build": { "inputs": ["{projectRoot}/src/**/*", "^docs"] } } }"#,
        "{}",
        &["src/a.ts", "src/a.spec.ts", "project.json"],
        &["README.md", "project.json"],
    );
    check(NX, r#"{ "targets": { "build": { "inputs": ["...", "docs"] } } }"#, "{}", &PRODUCTION, &PRODUCTION);
    check(
        NX,
        "{}",
        r#"{ "namedInputs": { "production": ["{projectRoot}/src/*"] } }"#,
        &PRODUCTION,
        &["src/a.ts", "src/a.spec.ts", "project.json"],
    );
    check(NX, r#"{ "targets": { "build": { "inputs": ["unknown"] } } }"#, "{}", &ALL, &PRODUCTION);
    check(
        NX,
        r#"{ "targets": { "build": { "inputs": [{ "fileset": "{projectRoot}/src/*" }, { "env": "X" }, { "input": "docs", "projects": "dependencies" }] } } }"#,
        "{}",
        &["src/a.ts", "src/a.spec.ts", "project.json"],
        &["README.md", "project.json"],
    );
    // What comes before on the same project, and what builds the image if it says what it reads.
    let before = r#"{ "targets": { "build": { "inputs": ["{projectRoot}/src/*"], "dependsOn": ["^build", "generate"] }, "generate": { "inputs": ["{projectRoot}/schema/*"] } } }"#;
    check(NX, before, "{}", &["src/a.ts", "src/a.spec.ts", "schema/a.graphql", "project.json"], &PRODUCTION);
    check(NX, r#"{ "targets": { "build": {}, "container": {} } }"#, "{}", &PRODUCTION, &PRODUCTION);
    check(
        NX,
        r#"{ "targets": { "build": {}, "container": { "inputs": ["docs"] } } }"#,
        "{}",
        &["src/a.ts", "README.md", "Dockerfile", "schema/a.graphql", "project.json"],
        &PRODUCTION,
    );
    // By executor, by pattern, in a list with filters.
    let executor = NX.replace("\"lint\": {", "\"@nx/js:tsc\": {");
    check(
        &executor,
        r#"{ "targets": { "build": { "executor": "@nx/js:tsc" } } }"#,
        r#"{ "targets": { "build": { "executor": "@nx/js:tsc" } } }"#,
        &ALL,
        &ALL,
    );
    let listed = NX.replace("\"build\": { \"inputs\": [\"production\", \"^production\"], \"cache\": true }", "\"bui*\": [{ \"inputs\": [\"production\", \"^production\"] }, { \"filter\": { \"projects\": [\"auth\"] }, \"inputs\": [\"docs\"] }]");
    check(&listed, r#"{ "targets": { "build": {} } }"#, "{}", &["README.md", "project.json"], &PRODUCTION);
}

#[test]
fn what_is_compiled_is_shared() {
    let made = nx(NX, "{}", "{}");
    let workspace = Workspace::read(&made.files());
    let reads = workspace.reads(Some(ProjectId(0)), "build");
    assert_eq!(reads, workspace.reads(Some(ProjectId(1)), "build"));
    assert_eq!(workspace.reads(None, "build"), reads);
    assert_eq!(
        workspace.selection(ProjectId(0), Role::Own, "build"),
        workspace.selection(ProjectId(1), Role::Dependency(reads), "build")
    );
    assert_ne!(
        workspace.selection(ProjectId(0), Role::Own, "build"),
        workspace.selection(ProjectId(0), Role::Own, "lint")
    );
}

fn parts(settings: &[Setting]) -> Vec<String> {
    settings.iter().map(|setting| format!("{} {}", setting.file, setting.part)).collect()
}

fn shared(workspace: &Workspace, files: &Files<'_>, root: &str) -> Vec<String> {
    let found = workspace.shared(files, workspace.at(root).unwrap(), Role::Own, "build");
    found.into_iter().map(|shared| format!("{} ({})", shared.path, shared.listed_by.unwrap_or_default())).collect()
}

#[test]
fn the_parts_of_the_root_that_reach_an_nx_project() {
    let made = nx(NX, "{}", "{}");
    let workspace = Workspace::read(&made.files());
    let settings = workspace.settings(ProjectId(0), "build");
    assert_eq!(
        parts(&settings),
        [
            "nx.json namedInputs.default",
            "nx.json namedInputs.production",
            "nx.json namedInputs.sharedGlobals",
            "nx.json plugins",
            "nx.json targetDefaults.build",
            "package.json engines"
        ]
    );
    assert_eq!(
        shared(&workspace, &made.files(), "apps/auth"),
        [".npmrc ()", "babel.config.json (nx.json)", "tools/x.js (nx.json)"]
    );
    let same = |text: &str| Workspace::read(&nx(text, "{}", "{}").files()).settings(ProjectId(0), "build") == settings;
    for (from, to) in [
        ("\"parallel\": 3", "\"parallel\": 9"),
        ("\"cache\": true", "\"cache\": false"),
        ("\"main\"", "\"trunk\""),
        ("\"docs\": [", "\"docs\": [\"default\", "),
        ("\"lint\": { \"inputs\": [\"default\"]", "\"lint\": { \"inputs\": []"),
    ] {
        assert!(NX.contains(from) && same(&NX.replace(from, to)), "{from}");
    }
    for (from, to) in [
        ("babel.config.json", "other.json"),
        ("\"!{projectRoot}/**/*.md\"", "\"!{projectRoot}/x\""),
        ("@nx/docker", "@nx/other"),
        ("[\"production\", \"^production\"]", "[\"production\"]"),
    ] {
        assert!(NX.contains(from) && !same(&NX.replace(from, to)), "{from}");
    }
    let broken = Workspace::read(&nx("{", "{}", "{}").files());
    assert_eq!(parts(&broken.settings(ProjectId(0), "build")), ["nx.json ", "package.json engines"]);
    assert_eq!(broken.root_scripts().into_keys().collect::<Vec<_>>(), ["lint"]);
}

const TURBO: &str = r#"{
    // a comment
    "globalDependencies": ["babel.config.json", "tools/**", "!tools/*.md"], "globalEnv": ["CI"], "ui": "tui",
    "tasks": {
        "build": { "dependsOn": ["^build", "generate"], "inputs": ["$TURBO_DEFAULT$", "!**/*.spec.ts", "!README.md"], "outputLogs": "full" },
        "generate": { "inputs": ["schema/**", "$TURBO_ROOT$/root.graphql", "../../codegen.ts"] },
        "lint": {}, "web#build": { "inputs": ["src/**"] }
    }
}"#;

fn turbo(root: &str, auth: &str, own: &[(&str, &str)]) -> Made {
    let files = [
        ("package.json", r#"{ "workspaces": ["apps/*", "libs/*"] }"#),
        ("turbo.json", root),
        ("babel.config.json", ""),
        ("tools/x.js", ""),
        ("tools/README.md", ""),
        ("root.graphql", ""),
        ("codegen.ts", ""),
        ("apps/auth/package.json", auth),
        ("libs/db/package.json", DB),
    ];
    Made::new(&files.into_iter().chain(own.iter().copied()).collect::<Vec<_>>())
}

#[test]
fn turborepo_inputs_say_which_files_count() {
    const BUILT: [&str; 4] = ["src/a.ts", "Dockerfile", "schema/a.graphql", "project.json"];
    const ALL: [&str; 6] = ["src/a.ts", "src/a.spec.ts", "README.md", "Dockerfile", "schema/a.graphql", "project.json"];
    let check = |root: &str, auth: &str, files: &[(&str, &str)], own: &[&str], dependency: &[&str]| {
        let made = turbo(root, auth, files);
        let workspace = Workspace::read(&made.files());
        assert_eq!(counted(&workspace.selection(ProjectId(0), Role::Own, "build")), own, "{auth} {files:?}");
        let reads = workspace.reads(Some(ProjectId(0)), "build");
        assert_eq!(counted(&workspace.selection(ProjectId(1), Role::Dependency(reads), "build")), dependency, "{auth}");
    };
    check(TURBO, r#"{ "name": "auth" }"#, &[], &BUILT, &BUILT);
    check(TURBO, r#"{ "name": "auth", "scripts": { "generate": "x" } }"#, &[], &BUILT, &BUILT);
    check(TURBO, r#"{ "name": "web" }"#, &[], &["src/a.ts", "src/a.spec.ts", "project.json"], &BUILT);
    check(
        TURBO,
        "{}",
        &[("apps/auth/turbo.json", r#"{ "extends": ["//"], "tasks": { "build": { "inputs": ["schema/**"] } } }"#)],
        &["schema/a.graphql", "project.json"],
        &BUILT,
    );
    check(
        TURBO,
        "{}",
        &[(
            "apps/auth/turbo.json",
            r#"{ "extends": ["//"], "tasks": { "build": { "inputs": ["$TURBO_EXTENDS$", "!Dockerfile"] } } }"#,
        )],
        &["src/a.ts", "schema/a.graphql", "project.json"],
        &BUILT,
    );
    check(TURBO, "{}", &[("apps/auth/turbo.json", "{")], &ALL, &BUILT);
    check(&TURBO.replace("\"tasks\"", "\"pipeline\""), "{}", &[], &BUILT, &BUILT);
    check("{}", "{}", &[], &ALL, &ALL);
    check("{", "{}", &[], &ALL, &ALL);
}

#[test]
fn the_parts_of_the_root_that_reach_a_package() {
    let auth = r#"{ "name": "auth", "scripts": { "generate": "x" } }"#;
    let made = turbo(TURBO, auth, &[]);
    let workspace = Workspace::read(&made.files());
    let settings = workspace.settings(ProjectId(0), "build");
    assert_eq!(parts(&settings), ["turbo.json globalEnv", "turbo.json tasks.build", "turbo.json tasks.generate"]);
    assert_eq!(
        shared(&workspace, &made.files(), "apps/auth"),
        [
            "babel.config.json (turbo.json)",
            "codegen.ts (turbo.json)",
            "root.graphql (turbo.json)",
            "tools/x.js (turbo.json)"
        ]
    );
    let same =
        |text: &str| Workspace::read(&turbo(text, auth, &[]).files()).settings(ProjectId(0), "build") == settings;
    for (from, to) in [
        ("\"tui\"", "\"stream\""),
        ("\"full\"", "\"none\""),
        ("\"lint\": {}", "\"lint\": { \"cache\": false }"),
        ("// a comment", ""),
    ] {
        assert!(TURBO.contains(from) && same(&TURBO.replace(from, to)), "{from}");
    }
    assert!(!same(&TURBO.replace("\"CI\"", "\"CD\"")) && !same(&TURBO.replace("schema/**", "schema/*")));
}

#[test]
fn what_nx_ignores_does_not_count() {
    let made = Made::new(&[
        ("nx.json", "{}"),
        (".nxignore", "apps/auth/docs\n*.snap\n"),
        ("apps/auth/project.json", "{}"),
        ("apps/web/project.json", "{}"),
    ]);
    let workspace = Workspace::read(&made.files());
    let [auth, web] = [0, 1].map(|place| workspace.selection(ProjectId(place), Role::Own, "build"));
    assert_eq!(["docs/a", "a.snap", "a"].map(|path| auth.has(path)), [false, false, true]);
    assert_eq!(["docs/a", "a.snap", "a"].map(|path| web.has(path)), [true, false, true]);
    assert_ne!(auth, web);
}

#[test]
fn the_parts_of_the_root_that_reach_a_crate() {
    let made = Made::new(&[
        (
            "Cargo.toml",
            "[workspace]\nmembers = ['a']\n[workspace.dependencies]\nserde = '1'\n[profile.release]\nlto = true\n",
        ),
        ("a/Cargo.toml", "[package]\nname = 'a'\n[dependencies]\nserde.workspace = true\n"),
        ("rust-toolchain.toml", ""),
        (".cargo/config.toml", ""),
        (".npmrc", ""),
    ]);
    let workspace = Workspace::read(&made.files());
    assert_eq!(
        parts(&workspace.settings(ProjectId(0), "build")),
        ["Cargo.toml profile", "Cargo.toml workspace.dependencies.serde"]
    );
    assert_eq!(shared(&workspace, &made.files(), "a"), [".cargo/config.toml ()", "rust-toolchain.toml ()"]);
}

#[test]
fn who_says_the_same_reads_its_own() {
    let shared = |made: &Made, root: &str| -> Vec<String> {
        let (files, workspace) = (made.files(), Workspace::read(&made.files()));
        let shared = workspace.shared(&files, workspace.at(root).unwrap(), Role::Own, "build");
        shared.into_iter().map(|shared| shared.path).collect()
    };
    let files = [
        ("package.json", r#"{ "workspaces": ["libs/*"] }"#),
        ("libs/a/package.json", r#"{ "name": "a", "scripts": { "build": "x" } }"#),
        ("libs/b/package.json", r#"{ "name": "b", "scripts": { "build": "x" } }"#),
        ("etc/a.json", ""),
        ("etc/b.json", ""),
        ("etc/libs/a/x", ""),
        ("etc/libs/b/x", ""),
    ];
    let nx = r#"{ "targetDefaults": { "build": { "inputs": ["{workspaceRoot}/etc/{projectName}.json", "{workspaceRoot}/etc/{projectRoot}/x"] } } }"#;
    let made = Made::new(&[&files[..], &[("nx.json", nx)]].concat());
    assert_eq!(shared(&made, "libs/a"), ["etc/a.json", "etc/libs/a/x"]);
    assert_eq!(shared(&made, "libs/b"), ["etc/b.json", "etc/libs/b/x"]);
    let turbo = r#"{ "tasks": { "build": {}, "b#build": { "inputs": ["$TURBO_ROOT$/etc/b.json"] } } }"#;
    let made = Made::new(&[&files[..], &[("turbo.json", turbo)]].concat());
    assert_eq!((shared(&made, "libs/a"), shared(&made, "libs/b")), (vec![], vec!["etc/b.json".to_owned()]));
    let turbo = r#"{ "tasks": { "build": { "inputs": ["../here.json"] } } }"#;
    let deeper = [
        ("package.json", r#"{ "workspaces": ["libs/*", "libs/deep/*"] }"#),
        ("libs/deep/c/package.json", r#"{ "name": "c", "scripts": { "build": "x" } }"#),
        ("libs/here.json", ""),
        ("libs/deep/here.json", ""),
        ("turbo.json", turbo),
    ];
    let made = Made::new(&[&files[1..], &deeper].concat());
    assert_eq!(shared(&made, "libs/a"), ["libs/here.json"]);
    assert_eq!(shared(&made, "libs/deep/c"), ["libs/deep/here.json"]);
}

#[test]
fn a_filter_of_target_defaults_tells_those_apart_that_say_the_same() {
    let nx = r#"{ "targetDefaults": { "build": [
        { "inputs": ["{projectRoot}/src/**/*"] },
        { "filter": { "projects": "db" }, "inputs": ["{projectRoot}/schema/**/*"] }
    ] } }"#;
    let made = self::nx(nx, r#"{ "targets": { "build": {} } }"#, r#"{ "targets": { "build": {} } }"#);
    let workspace = Workspace::read(&made.files());
    let counted = |root: &str| counted(&workspace.selection(workspace.at(root).unwrap(), Role::Own, "build"));
    assert_eq!(counted("apps/auth"), ["src/a.ts", "src/a.spec.ts", "project.json"]);
    assert_eq!(counted("libs/db"), ["schema/a.graphql", "project.json"]);
}
