use super::*;
use crate::files::tests::Made;

fn read(files: &[(&str, &str)], packages: &[(&str, &str)]) -> (TypeScript, Vec<Problem>) {
    let packages = packages.iter().map(|(name, folder)| ((*name).to_owned(), (*folder).to_owned())).collect();
    TypeScript::read(&Made::new(files).files(), &packages)
}

fn parts(files: &[(&str, &str)], folder: &str) -> Vec<String> {
    let (typescript, problems) = read(files, &[("@acme/config", "libs/config")]);
    assert_eq!(problems, []);
    let settings = typescript.settings(folder, |path| !path.ends_with("spec.json"));
    settings.into_iter().map(|Setting { file, part, .. }| format!("{file} {part}")).collect()
}

#[test]
fn what_is_taken_from_outside_is_a_setting() {
    let base = (
        "tsconfig.base.json",
        r#"{ // base
        "extends": "@tsconfig/node20/tsconfig.json", "exclude": ["x"], "ts-node": {},
        "compilerOptions": { "target": "es2022", "strict": true, "paths": { "a": ["b"] }, }, }"#,
    );
    let check = |own: &[(&str, &str)], expected: &[&str]| {
        assert_eq!(parts(&[own, &[base]].concat(), "a"), expected, "{own:?}");
    };
    let all = ["exclude", "compilerOptions.strict", "compilerOptions.target", "ts-node"]
        .map(|part| format!("tsconfig.base.json {part}"));
    let mut all: Vec<&str> = all.iter().map(String::as_str).collect();
    all.sort_unstable();
    check(&[("a/tsconfig.json", r#"{ "extends": "../tsconfig.base.json" }"#)], &all);
    check(&[("a/tsconfig.json", r#"{ "extends": "../tsconfig.base" }"#)], &all);
    check(
        &[(
            "a/tsconfig.json",
            r#"{ "extends": "../tsconfig.base.json", "exclude": [], "compilerOptions": { "target": "es5" } }"#,
        )],
        &["tsconfig.base.json compilerOptions.strict", "tsconfig.base.json ts-node"],
    );
    check(
        &[
            ("a/tsconfig.json", r#"{ "extends": "./b.json" }"#),
            ("a/b.json", r#"{ "extends": ["../tsconfig.base.json"] }"#),
        ],
        &all,
    );
    check(&[("a/tsconfig.json", "{}")], &[]);
    check(&[("a/tsconfig.json", "{}"), ("a/tsconfig.spec.json", r#"{ "extends": "../tsconfig.base.json" }"#)], &[]);
    check(&[], &[]);
}

#[test]
fn a_folder_without_configuration_takes_the_nearest_above() {
    let root = ("tsconfig.json", r#"{ "include": ["a"], "compilerOptions": { "jsx": "react" } }"#);
    assert_eq!(parts(&[root, ("a/b/x.ts", "")], "a/b"), ["tsconfig.json compilerOptions.jsx"]);
    assert_eq!(parts(&[root], ""), [""; 0]);
}

#[test]
fn a_package_of_the_workspace_may_be_extended() {
    let check = |name: &str, manifest: &str, expected: &str| {
        let own = format!(r#"{{ "extends": "{name}" }}"#);
        let value = r#"{ "compilerOptions": { "strict": true } }"#;
        let files = [
            ("a/tsconfig.json", own.as_str()),
            ("libs/config/package.json", manifest),
            ("libs/config/base.json", value),
            ("libs/config/tsconfig.json", value),
        ];
        assert_eq!(parts(&files, "a"), [format!("libs/config/{expected} compilerOptions.strict")], "{name} {manifest}");
    };
    check("@acme/config", "{}", "tsconfig.json");
    check("@acme/config", r#"{ "tsconfig": "base.json" }"#, "base.json");
    check("@acme/config/base.json", "{}", "base.json");
    check("@acme/config/base", "{}", "base.json");
    check("@acme/config/x", r#"{ "exports": { "./x": "./base.json" } }"#, "base.json");
}

#[test]
fn what_cannot_be_read_counts_whole() {
    let own = ("a/tsconfig.json", r#"{ "extends": "../base.json" }"#);
    let (typescript, problems) = read(&[own, ("base.json", "{\n \"x\": }")], &[]);
    assert_eq!(
        problems.iter().map(|problem| (problem.path.as_str(), problem.line)).collect::<Vec<_>>(),
        [("base.json", Some(2))]
    );
    let settings = typescript.settings("a", |_| true);
    assert_eq!(
        settings.iter().map(|setting| (&*setting.file, &*setting.part)).collect::<Vec<_>>(),
        [("base.json", "")]
    );
    let (typescript, _) = read(&[own, ("base.json", "{\n \"y\": }")], &[]);
    assert_ne!(typescript.settings("a", |_| true), settings);
}

#[test]
fn cycles_and_what_is_gone_are_problems() {
    let check = |files: &[(&str, &str)], expected: &[&str]| {
        let problems: Vec<_> = read(files, &[]).1.iter().map(Problem::to_string).collect();
        assert_eq!(problems, expected, "{files:?}");
    };
    let cycle = "extends itself, by way of others or not";
    check(&[("tsconfig.json", r#"{ "extends": "./tsconfig.json" }"#)], &[&format!("tsconfig.json: {cycle}")]);
    check(
        &[
            ("tsconfig.a.json", r#"{ "extends": "./b.json" }"#),
            ("b.json", r#"{ "extends": "./tsconfig.a.json" }"#),
            ("x/tsconfig.json", r#"{ "extends": "../b" }"#),
        ],
        &[&format!("b.json: {cycle}")],
    );
    check(
        &[("a/tsconfig.json", r#"{ "extends": "../x.json" }"#)],
        &["a/tsconfig.json: extends `../x.json`, which is not in the repository"],
    );
    check(&[("a/tsconfig.json", r#"{ "extends": "./.nuxt/tsconfig.json" }"#)], &[]);
    check(&[("a/node_modules/x/tsconfig.json", "{")], &[]);
    check(&[("tsconfig.json", "")], &[]);
}

#[test]
fn entries_of_paths_count_one_by_one() {
    let of = |paths: &str| {
        let text = format!(r#"{{ "compilerOptions": {{ "paths": {paths} }} }}"#);
        read(&[("tsconfig.json", &text)], &[]).0.paths_setting("tsconfig.json", "a")
    };
    let setting = of(r#"{ "a": ["x"], "b": ["y"] }"#);
    assert_eq!((&*setting.file, &*setting.part), ("tsconfig.json", "paths[\"a\"]"));
    assert_eq!(setting, of(r#"{ "c": [], /* moved */ "a": [ "x" ], }"#));
    assert_ne!(setting, of(r#"{ "a": ["x", "z"], "b": ["y"] }"#));
    assert_ne!(setting, of(r#"{ "b": ["y"] }"#));
}

#[test]
fn references_lead_to_other_projects() {
    let own = r#"{ "references": [{ "path": "./tsconfig.app.json" }, { "path": "../b" }, { "path": "../c/tsconfig.lib.json" }, 1] }"#;
    let (typescript, _) = read(&[("a/tsconfig.json", own)], &[]);
    let references = typescript.references("a", |_| true);
    assert_eq!(
        references.iter().map(|reference| reference.to.as_str()).collect::<Vec<_>>(),
        ["b", "c/tsconfig.lib.json"]
    );
}
