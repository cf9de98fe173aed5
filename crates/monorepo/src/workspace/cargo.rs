//! What `Cargo.toml` says: members of workspaces, and the crates that they take from the repository
//! (<https://doc.rust-lang.org/cargo/reference/workspaces.html>).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use globset::{GlobSet, GlobSetBuilder};
use serde_json::Value;

use super::manifests::{entries, texts};
use super::patterns::glob;
use super::{Language, Requirement};
use crate::path;
use crate::problem::Problem;
use crate::setting::Setting;

const FIELDS: [&str; 5] =
    ["dependencies", "build-dependencies", "dev-dependencies", "build_dependencies", "dev_dependencies"];

/// A Cargo workspace: its folder, and who is a member.
#[derive(Debug)]
pub(crate) struct CargoScope {
    pub(crate) folder: String,
    members: GlobSet,
    excluded: Vec<String>,
}

/// One dependency of a crate.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Dependency {
    pub(crate) field: String,
    /// The crate's name, whatever it is called here.
    pub(crate) name: String,
    pub(crate) range: String,
    /// The folder that it is taken from.
    pub(crate) folder: Option<String>,
    /// The entry of `[workspace.dependencies]` that says so.
    pub(crate) inherited: Option<String>,
}

impl CargoScope {
    /// A workspace by its root's manifest; `None` if it is none.
    pub(crate) fn new(folder: &str, manifest: &Value, problems: &mut Vec<Problem>) -> Option<Self> {
        let workspace = manifest.get("workspace")?;
        let mut members = GlobSetBuilder::new();
        for pattern in texts(workspace.get("members")) {
            match glob(&path::join(pattern.trim_start_matches("./").trim_end_matches('/'), "Cargo.toml")) {
                Ok(glob) => drop(members.add(glob)),
                Err(error) => problems.push(Problem::new(
                    &path::join(folder, "Cargo.toml"),
                    format!("workspace member `{pattern}`: {}", error.kind()),
                )),
            }
        }
        let excluded = texts(workspace.get("exclude")).filter_map(|path| path::resolve(folder, path)).collect();
        let members = members.build().unwrap_or_else(|error| {
            problems
                .push(Problem::new(&path::join(folder, "Cargo.toml"), format!("workspace members: {}", error.kind())));
            GlobSet::empty()
        });
        Some(Self { folder: folder.to_owned(), members, excluded })
    }

    /// Whether the crate in a folder is a member by the patterns; the root is one.
    pub(crate) fn has(&self, folder: &str) -> bool {
        let inner = path::below(folder, &self.folder).filter(|_| !self.excludes(folder));
        inner.is_some_and(|inner| inner.is_empty() || self.members.is_match(path::join(inner, "Cargo.toml")))
    }

    /// Whether a folder is kept out of the workspace.
    pub(crate) fn excludes(&self, folder: &str) -> bool {
        self.excluded.iter().any(|excluded| path::below(folder, excluded).is_some())
    }
}

/// The workspace around a folder, member or taken along by path.
pub(crate) fn scope_of<'s>(scopes: &'s BTreeMap<String, CargoScope>, folder: &str) -> Option<&'s CargoScope> {
    path::around(folder).find_map(|around| scopes.get(around)).filter(|scope| !scope.excludes(folder))
}

/// What the crate in a folder depends on; `root` is its workspace's folder and manifest.
pub(crate) fn dependencies(manifest: &Value, folder: &str, root: Option<(&str, &Value)>) -> Vec<Dependency> {
    let workspace = root.and_then(|(_, manifest)| manifest.get("workspace"));
    let mut dependencies = Vec::new();
    let by_platform = entries(manifest, "target").map(|(_, tables)| tables);
    for tables in std::iter::once(manifest).chain(by_platform) {
        for field in FIELDS {
            for (key, spec) in entries(tables, field) {
                let is_inherited = spec.get("workspace").and_then(Value::as_bool) == Some(true);
                let at_root = workspace.and_then(|workspace| workspace.get("dependencies")?.get(key));
                let (spec, base) = match (is_inherited, at_root, root) {
                    (true, Some(spec), Some((root, _))) => (spec, root),
                    _ => (spec, folder),
                };
                dependencies.push(Dependency {
                    field: field.to_owned(),
                    name: spec.get("package").and_then(Value::as_str).unwrap_or(key).to_owned(),
                    range: spec.as_str().or_else(|| spec.get("version")?.as_str()).unwrap_or("*").to_owned(),
                    folder: spec.get("path").and_then(Value::as_str).and_then(|path| path::resolve(base, path)),
                    inherited: is_inherited.then(|| key.to_owned()),
                });
            }
        }
    }
    let patches = patches(root.map_or(folder, |(folder, _)| folder), root.map_or(manifest, |(_, manifest)| manifest));
    for dependency in dependencies.iter_mut().filter(|dependency| dependency.folder.is_none()) {
        dependency.folder = patches.get(&dependency.name).cloned();
    }
    dependencies
}

/// The crates that `[patch]` takes from folders.
fn patches(folder: &str, manifest: &Value) -> BTreeMap<String, String> {
    let tables = entries(manifest, "patch").filter_map(|(_, table)| table.as_object()).flatten();
    let patches = tables.filter_map(|(key, spec)| {
        let name = spec.get("package").and_then(Value::as_str).unwrap_or(key);
        Some((name.to_owned(), path::resolve(folder, spec.get("path")?.as_str()?)?))
    });
    patches.collect()
}

/// A dependency as something that a lockfile resolves.
pub(crate) fn requirement(dependency: &Dependency) -> Requirement {
    Requirement {
        name: dependency.name.clone(),
        range: dependency.range.clone(),
        field: dependency.field.clone(),
        language: Language::Rust,
    }
}

/// The parts of a workspace's root that reach the crate with this manifest: how it is compiled, and what it inherits.
pub(crate) fn settings(root: &str, workspace: &Value, manifest: &Value) -> BTreeSet<Setting> {
    let file: Arc<str> = path::join(root, "Cargo.toml").into();
    let mut settings = BTreeSet::new();
    let mut push = |part: String, value: Option<&Value>| {
        if let Some(value) = value {
            settings.insert(Setting::of(&file, part, value));
        }
    };
    for key in ["profile", "patch", "replace"] {
        push(key.to_owned(), workspace.get(key));
    }
    let table = workspace.get("workspace").unwrap_or(&Value::Null);
    push("workspace.resolver".to_owned(), table.get("resolver"));
    for (key, value) in entries(manifest, "package") {
        if value.get("workspace").and_then(Value::as_bool) == Some(true) {
            push(format!("workspace.package.{key}"), table.get("package").and_then(|package| package.get(key)));
        }
    }
    for key in dependencies(manifest, root, Some((root, workspace))).into_iter().filter_map(|one| one.inherited) {
        let value = table.get("dependencies").and_then(|dependencies| dependencies.get(&key));
        push(format!("workspace.dependencies.{key}"), value);
    }
    settings
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn crates_are_taken_by_path_by_the_workspace_and_by_patch() {
        let root = json!({
            "workspace": { "dependencies": { "db": { "path": "crates/db" }, "serde": "1", "log": { "package": "tracing", "version": "0.1" } } },
            "patch": { "crates-io": { "h2": { "path": "vendor/h2" } } },
        });
        let manifest = json!({
            "dependencies": { "db": { "workspace": true }, "serde": { "workspace": true }, "h2": "0.4", "log": { "workspace": true } },
            "dev-dependencies": { "world": { "path": "../world", "package": "fake-world" } },
            "target": { "cfg(unix)": { "build-dependencies": { "cc": { "version": "1" } } } },
        });
        let found: Vec<String> = dependencies(&manifest, "crates/auth", Some(("", &root)))
            .into_iter()
            .map(|one| format!("{} {} {} {}", one.field, one.name, one.range, one.folder.unwrap_or_default()))
            .collect();
        assert_eq!(
            found,
            [
                "dependencies db * crates/db",
                "dependencies serde 1 ",
                "dependencies h2 0.4 vendor/h2",
                "dependencies tracing 0.1 ",
                "dev-dependencies fake-world * crates/world",
                "build-dependencies cc 1 ",
            ]
        );
    }

    #[test]
    fn members_are_who_the_patterns_mean() {
        let manifest = json!({ "workspace": { "members": ["crates/*", "xtask"], "exclude": ["crates/fuzz"] } });
        let scope = CargoScope::new("", &manifest, &mut Vec::new()).unwrap();
        for (folder, expected) in [
            ("", true),
            ("crates/a", true),
            ("xtask", true),
            ("crates/fuzz", false),
            ("crates/a/b", false),
            ("other", false),
        ] {
            assert_eq!(scope.has(folder), expected, "{folder}");
        }
    }

    #[test]
    fn only_what_a_crate_inherits_reaches_it() {
        let root = json!({
            "workspace": {
                "members": ["a"], "resolver": "3", "package": { "version": "1.0.0", "edition": "2024" },
                "dependencies": { "serde": "1", "tokio": "1" }, "lints": {},
            },
            "profile": { "release": { "lto": true } },
        });
        let manifest = json!({ "package": { "name": "a", "edition": { "workspace": true } }, "dependencies": { "serde": { "workspace": true } } });
        let parts: Vec<String> =
            settings("", &root, &manifest).into_iter().map(|setting| setting.part.to_string()).collect();
        assert_eq!(
            parts,
            ["profile", "workspace.dependencies.serde", "workspace.package.edition", "workspace.resolver"]
        );
    }
}
