//! The targets that Nx's own plugins make of the configuration files in a folder
//! (<https://nx.dev/concepts/inferred-tasks>).

use std::collections::BTreeSet;

use foldhash::HashMap;
use serde_json::Value;

use super::manifests::texts;
use super::patterns::Patterns;
use crate::path;

/// A target that a plugin makes: the option that names it, and its name without.
type Target = (&'static str, &'static str);

/// A plugin, the configuration files that it looks for, without their endings, and the targets that it makes of one.
struct Plugin(&'static str, &'static [&'static str], &'static [Target]);

/// The files of a commit that a plugin may look for: names by folder.
#[derive(Debug, Default)]
pub(crate) struct Configurations(HashMap<String, Vec<String>>);

impl Configurations {
    /// Adds a file.
    pub(crate) fn push(&mut self, path: &str) {
        // Storybook's lies in a folder of its own.
        let inner = path.rfind(".storybook/").filter(|at| *at == 0 || path[..*at].ends_with('/'));
        let (root, name) = match inner {
            Some(at) => (path[..at].trim_end_matches('/'), &path[at..]),
            None => (path::folder(path), path::name(path)),
        };
        self.0.entry(root.to_owned()).or_default().push(name.to_owned());
    }

    /// The configuration in a folder that has one of these names; `.*` is any ending.
    fn find(&self, folder: &str, names: &[&str]) -> Option<String> {
        let is_meant = |file: &str| {
            names.iter().any(|name| match name.strip_suffix('*') {
                Some(stem) => file.strip_prefix(stem).is_some_and(|ending| !ending.contains('.')),
                None => file == *name,
            })
        };
        self.0.get(folder)?.iter().find(|file| is_meant(file)).map(|file| path::join(folder, file))
    }

    fn has(&self, folder: &str, name: &str) -> bool {
        self.find(folder, &[name]).is_some()
    }
}

/// Whether a plugin may look for a file.
pub(crate) fn is_configuration(path: &str, name: &str) -> bool {
    name.contains(".config.")
        || name.starts_with(".eslintrc")
        || name == "Dockerfile"
        || (name.starts_with("tsconfig.") && name.ends_with(".json"))
        || (name.starts_with("main.") && path.contains(".storybook/"))
}

const PLUGINS: [Plugin; 16] = [
    Plugin("@nx/eslint/plugin", &["eslint.config.*", ".eslintrc.*", ".eslintrc"], &[("targetName", "lint")]),
    Plugin("@nx/jest/plugin", &["jest.config.*"], &[("targetName", "test")]),
    Plugin(
        "@nx/vite/plugin",
        &["vite.config.*"],
        &[
            ("buildTargetName", "build"),
            ("testTargetName", "test"),
            ("serveTargetName", "serve"),
            ("devTargetName", "dev"),
            ("previewTargetName", "preview"),
            ("typecheckTargetName", "typecheck"),
        ],
    ),
    Plugin("@nx/vite/plugin", &["vitest.config.*"], &[("testTargetName", "test")]),
    Plugin("@nx/vitest", &["vitest.config.*", "vite.config.*"], &[("testTargetName", "test")]),
    Plugin("@nx/vitest/plugin", &["vitest.config.*", "vite.config.*"], &[("testTargetName", "test")]),
    Plugin("@nx/webpack/plugin", &["webpack.config.*"], &[("buildTargetName", "build"), ("serveTargetName", "serve")]),
    Plugin("@nx/rspack/plugin", &["rspack.config.*"], &[("buildTargetName", "build"), ("serveTargetName", "serve")]),
    Plugin("@nx/rollup/plugin", &["rollup.config.*"], &[("buildTargetName", "build")]),
    Plugin(
        "@nx/next/plugin",
        &["next.config.*"],
        &[("buildTargetName", "build"), ("devTargetName", "dev"), ("startTargetName", "start")],
    ),
    Plugin("@nx/nuxt/plugin", &["nuxt.config.*"], &[("buildTargetName", "build"), ("serveTargetName", "serve")]),
    Plugin("@nx/remix/plugin", &["remix.config.*"], &[("buildTargetName", "build"), ("devTargetName", "dev")]),
    Plugin("@nx/playwright/plugin", &["playwright.config.*"], &[("targetName", "e2e"), ("ciTargetName", "e2e-ci")]),
    Plugin("@nx/cypress/plugin", &["cypress.config.*"], &[("targetName", "e2e"), ("ciTargetName", "e2e-ci")]),
    Plugin("@nx/storybook/plugin", &[".storybook/main.*"], &[("buildStorybookTargetName", "build-storybook")]),
    Plugin("@nx/docker", &["Dockerfile"], &[("buildTarget", "docker:build"), ("runTarget", "docker:run")]),
];

/// The targets that the plugins of an `nx.json` make for the project in a folder.
pub(crate) fn targets(files: &Configurations, nx: &Value, workspace: &str, root: &str) -> BTreeSet<String> {
    let mut targets = BTreeSet::new();
    for entry in nx.get("plugins").and_then(Value::as_array).into_iter().flatten() {
        let name = entry.as_str().or_else(|| entry.get("plugin")?.as_str()).unwrap_or_default();
        let options = entry.get("options").unwrap_or(&Value::Null);
        if name == "@nx/js/typescript" {
            if applies(entry, workspace, &path::join(root, "tsconfig.json")) {
                targets.extend(typescript(files, options, root));
            }
            continue;
        }
        for Plugin(_, configurations, made) in PLUGINS.iter().filter(|Plugin(known, ..)| *known == name) {
            // What lints a folder may lie in a folder around it.
            let is_inherited = name == "@nx/eslint/plugin";
            let folders = path::around(root).take(if is_inherited { usize::MAX } else { 1 });
            let mut folders = folders.filter(|folder| path::below(folder, workspace).is_some());
            let is_configured = folders
                .any(|folder| files.find(folder, configurations).is_some_and(|path| applies(entry, workspace, &path)));
            if is_configured {
                targets.extend(made.iter().filter_map(|(option, name)| named(options.get(option), name)));
            }
        }
    }
    targets
}

/// Whether a plugin looks at a configuration file at all: its `include` and `exclude`.
fn applies(entry: &Value, workspace: &str, path: &str) -> bool {
    let mut patterns = Patterns::default();
    texts(entry.get("include")).for_each(|pattern| patterns.push(pattern));
    texts(entry.get("exclude")).for_each(|pattern| patterns.push(&format!("!{pattern}")));
    patterns == Patterns::default() || path::below(path, workspace).is_some_and(|path| patterns.compile().has(path))
}

/// A target's name by its option: a text, or an object with a `name`; `false` is none.
fn named(option: Option<&Value>, name: &str) -> Option<String> {
    match option {
        Some(Value::Bool(false)) => None,
        Some(Value::String(name)) => Some(name.clone()),
        Some(option) => {
            let own = ["name", "targetName"].into_iter().find_map(|key| option.get(key)?.as_str());
            Some(own.unwrap_or(name).to_owned())
        }
        None => Some(name.to_owned()),
    }
}

/// `typecheck` wherever there is a `tsconfig.json`; `build` if it is asked for and there is what it is made of.
fn typescript(files: &Configurations, options: &Value, root: &str) -> BTreeSet<String> {
    let mut targets = BTreeSet::new();
    if files.has(root, "tsconfig.json") {
        targets.extend(named(options.get("typecheck"), "typecheck"));
    }
    if let Some(build) = options.get("build").filter(|build| !matches!(build, Value::Bool(false) | Value::Null)) {
        let file = build.get("configName").and_then(Value::as_str).unwrap_or("tsconfig.lib.json");
        if files.has(root, file) {
            targets.extend(named(Some(build), "build"));
        }
    }
    targets
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_configuration_file_makes_targets() {
        let mut files = Configurations::default();
        let paths = ["eslint.config.mjs", "a/jest.config.ts", "a/tsconfig.json", "a/tsconfig.lib.json"];
        let more = ["a/vite.config.ts", "a/Dockerfile", "a/.storybook/main.ts"];
        for path in paths.into_iter().chain(more) {
            assert!(is_configuration(path, path::name(path)), "{path}");
            files.push(path);
        }
        let check = |plugins: Value, root: &str, expected: &[&str]| {
            let found = targets(&files, &json!({ "plugins": plugins }), "", root);
            assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), expected, "{plugins}");
        };
        check(json!(["@nx/eslint/plugin"]), "a", &["lint"]);
        check(json!(["@nx/jest/plugin", "@acme/own"]), "a", &["test"]);
        check(json!(["@nx/jest/plugin"]), "b", &[]);
        check(json!(["@nx/storybook/plugin"]), "a", &["build-storybook"]);
        check(json!([{ "plugin": "@nx/jest/plugin", "options": { "targetName": "unit" } }]), "a", &["unit"]);
        check(json!([{ "plugin": "@nx/jest/plugin", "exclude": ["a/**/*"] }]), "a", &[]);
        check(json!([{ "plugin": "@nx/jest/plugin", "include": ["b/**/*"] }]), "a", &[]);
        check(json!(["@nx/js/typescript"]), "a", &["typecheck"]);
        check(
            json!([{ "plugin": "@nx/js/typescript", "options": { "typecheck": false, "build": { "targetName": "compile" } } }]),
            "a",
            &["compile"],
        );
        check(
            json!([{ "plugin": "@nx/docker", "options": { "buildTarget": { "name": "container" } } }]),
            "a",
            &["container", "docker:run"],
        );
        check(json!(["@nx/vite/plugin"]), "a", &["build", "dev", "preview", "serve", "test", "typecheck"]);
    }
}
