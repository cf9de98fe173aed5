//! What `package.json` and the workspaces of npm, yarn, pnpm and lerna say: who is a member, and what it depends on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use globset::{GlobSet, GlobSetBuilder};
use serde_json::Value;

use super::manifests::{entries, texts};
use super::patterns::glob;
use super::{Language, Requirement};
use crate::digest::Digest;
use crate::path;
use crate::problem::Problem;
use crate::setting::Setting;

/// The fields that name dependencies. Tools are among them: they make what is built.
const FIELDS: [&str; 4] = ["dependencies", "optionalDependencies", "devDependencies", "peerDependencies"];

/// Scripts that an installation runs.
const LIFECYCLE: [&str; 7] =
    ["preinstall", "install", "postinstall", "preprepare", "prepare", "postprepare", "pnpm:devPreinstall"];

/// Fields of the root's `package.json` that reach every project.
const ROOT_FIELDS: [&str; 6] = ["engines", "devEngines", "packageManager", "type", "volta", "imports"];

/// pnpm's settings that change what is told, and not what is installed
/// (<https://pnpm.io/settings>).
const QUIET: [&str; 12] = [
    "packages",
    "catalog",
    "catalogs",
    "catalogMode",
    "cleanupUnusedCatalogs",
    "peerDependencyRules",
    "allowedDeprecatedVersions",
    "auditConfig",
    "updateConfig",
    "requiredScripts",
    "ignoredBuiltDependencies",
    "verifyDepsBeforeRun",
];

/// A workspace of npm packages: its folder, and who is a member.
#[derive(Debug)]
pub(crate) struct Scope {
    pub(crate) folder: String,
    included: GlobSet,
    excluded: GlobSet,
    has_root: bool,
    /// What the root says cannot be read: whoever has a manifest is a member.
    is_any: bool,
}

impl Scope {
    /// A workspace by the patterns of its root.
    pub(crate) fn new<'p>(
        folder: &str,
        file: &str,
        patterns: impl IntoIterator<Item = &'p str>,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let (mut included, mut excluded) = (GlobSetBuilder::new(), GlobSetBuilder::new());
        let (mut has_root, mut is_any) = (false, false);
        for text in patterns {
            let (set, pattern) = match text.strip_prefix('!') {
                Some(pattern) => (&mut excluded, pattern),
                None => (&mut included, text),
            };
            let pattern = pattern.trim_start_matches("./").trim_end_matches('/');
            if matches!(pattern, "" | ".") {
                has_root |= !text.starts_with('!');
                continue;
            }
            match glob(&path::join(pattern, "package.json")) {
                Ok(glob) => drop(set.add(glob)),
                Err(error) => {
                    is_any |= !text.starts_with('!');
                    problems.push(Problem::new(file, format!("workspace pattern `{text}`: {}", error.kind())));
                }
            }
        }
        let mut build = |set: GlobSetBuilder| {
            set.build().unwrap_or_else(|error| {
                problems.push(Problem::new(file, format!("workspace patterns: {}", error.kind())));
                is_any = true;
                GlobSet::empty()
            })
        };
        let (included, excluded) = (build(included), build(excluded));
        Self { folder: folder.to_owned(), included, excluded, has_root, is_any }
    }

    /// A workspace whose root cannot be read.
    pub(crate) fn of_anyone(folder: &str) -> Self {
        let (included, excluded) = (GlobSet::empty(), GlobSet::empty());
        Self { folder: folder.to_owned(), included, excluded, has_root: true, is_any: true }
    }

    /// Whether the package in a folder is a member.
    pub(crate) fn has(&self, folder: &str) -> bool {
        match path::below(folder, &self.folder) {
            None => false,
            Some("") => self.has_root,
            Some(inner) => {
                let manifest = path::join(inner, "package.json");
                (self.is_any || self.included.is_match(&manifest)) && !self.excluded.is_match(&manifest)
            }
        }
    }
}

/// The innermost workspace that has the package in a folder as a member.
pub(crate) fn scope_of<'s>(scopes: &'s BTreeMap<String, Scope>, folder: &str) -> Option<&'s Scope> {
    path::around(folder).filter_map(|around| scopes.get(around)).find(|scope| scope.has(folder))
}

/// One dependency of a package.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Dependency<'m> {
    pub(crate) field: &'static str,
    /// What the package calls it.
    pub(crate) name: &'m str,
    pub(crate) range: &'m str,
    pub(crate) source: Source<'m>,
}

/// Where a dependency comes from.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Source<'m> {
    /// A folder of the repository.
    Folder(String),
    /// The package of the workspace with this name, and nothing else.
    Workspace(&'m str),
    /// The registry, or the package of the workspace with this name.
    Anywhere(&'m str),
    /// The registry, git, a tarball.
    Outside,
}

/// What the package in a folder depends on. `scope` is the folder of its workspace.
pub(crate) fn dependencies<'m>(manifest: &'m Value, root: &str, scope: &str) -> Vec<Dependency<'m>> {
    let mut dependencies = Vec::new();
    for field in FIELDS {
        for (name, range) in entries(manifest, field) {
            let range = range.as_str().unwrap_or_default();
            dependencies.push(Dependency { field, name, range, source: source(name, range, root, scope) });
        }
    }
    dependencies
}

fn source<'m>(name: &'m str, range: &'m str, root: &str, scope: &str) -> Source<'m> {
    if let Some(rest) = range.strip_prefix("workspace:") {
        if rest.starts_with('.') {
            return path::resolve(root, rest).map_or(Source::Outside, Source::Folder);
        }
        // `workspace:other@*` is `other` by another name; yarn takes a folder from the root, too.
        return match rest.rfind('@') {
            Some(at) if at > 0 => Source::Workspace(&rest[..at]),
            _ if rest.contains('/') => path::resolve(scope, rest).map_or(Source::Outside, Source::Folder),
            _ => Source::Workspace(name),
        };
    }
    let path = ["file:", "link:", "portal:"].into_iter().find_map(|protocol| range.strip_prefix(protocol));
    if let Some(path) = path.or_else(|| range.starts_with('.').then_some(range)) {
        let is_archive = [".tgz", ".tar.gz", ".tar"].into_iter().any(|ending| path.ends_with(ending));
        return match path::resolve(root, path.split('#').next().unwrap_or_default()) {
            Some(folder) if !is_archive => Source::Folder(folder),
            _ => Source::Outside,
        };
    }
    let protocols = ["npm:", "git", "http:", "https:", "github:", "patch:", "jsr:", "ssh:", "exec:"];
    match protocols.into_iter().any(|protocol| range.starts_with(protocol)) {
        true => Source::Outside,
        false => Source::Anywhere(name),
    }
}

/// A dependency as something that a lockfile resolves.
pub(crate) fn requirement(dependency: &Dependency<'_>) -> Requirement {
    Requirement {
        name: dependency.name.to_owned(),
        range: dependency.range.to_owned(),
        field: dependency.field.to_owned(),
        language: Language::JavaScript,
    }
}

/// The root of a workspace, as far as it reaches the packages in it.
#[derive(Clone, Debug, Default)]
pub struct PackageRoot {
    /// Its folder; blank is the repository's root.
    pub folder: String,
    /// What its `package.json` depends on outside of the repository: what projects without a manifest of their own import.
    pub requires: Vec<Requirement>,
    /// Its scripts, by name: what a `RUN npm run …` of a Dockerfile runs.
    pub scripts: BTreeMap<String, Digest>,
    /// The parts of its configuration that reach every package.
    pub(crate) settings: Vec<Setting>,
}

impl PackageRoot {
    /// Reads a root from its manifests. `Err` is the digest of one that cannot be read.
    pub(crate) fn new(
        folder: &str,
        package: Option<Result<&Value, Digest>>,
        pnpm: Option<Result<&Value, Digest>>,
    ) -> Self {
        let mut root = Self { folder: folder.to_owned(), ..Self::default() };
        let mut settings = BTreeSet::new();
        let file: Arc<str> = path::join(folder, "package.json").into();
        match package {
            Some(Ok(package)) => {
                root.scripts =
                    entries(package, "scripts").map(|(name, text)| (name.to_owned(), Digest::of_value(text))).collect();
                let outside = dependencies(package, folder, folder).into_iter();
                let outside = outside.filter(|one| matches!(one.source, Source::Outside | Source::Anywhere(_)));
                root.requires = outside.map(|dependency| requirement(&dependency)).collect();
                package_settings(&file, package, &mut settings);
            }
            Some(Err(digest)) => drop(settings.insert(Setting::whole(&file, digest))),
            None => {}
        }
        let file: Arc<str> = path::join(folder, "pnpm-workspace.yaml").into();
        match pnpm {
            Some(Ok(pnpm)) => pnpm_settings(&file, "", pnpm, &mut settings),
            Some(Err(digest)) => drop(settings.insert(Setting::whole(&file, digest))),
            None => {}
        }
        root.settings = settings.into_iter().collect();
        root
    }
}

fn package_settings(file: &Arc<str>, package: &Value, settings: &mut BTreeSet<Setting>) {
    for field in ROOT_FIELDS {
        if let Some(value) = package.get(field) {
            push(settings, file, field.to_owned(), value);
        }
    }
    for (name, text) in entries(package, "scripts").filter(|(name, _)| LIFECYCLE.contains(name)) {
        push(settings, file, format!("scripts.{name}"), text);
    }
    for field in ["overrides", "resolutions"] {
        entries(package, field).for_each(|(name, value)| push(settings, file, format!("{field}[\"{name}\"]"), value));
    }
    if let Some(pnpm) = package.get("pnpm") {
        pnpm_settings(file, "pnpm.", pnpm, settings);
    }
}

fn pnpm_settings(file: &Arc<str>, prefix: &str, pnpm: &Value, settings: &mut BTreeSet<Setting>) {
    for (key, value) in pnpm.as_object().into_iter().flatten().filter(|(key, _)| !QUIET.contains(&key.as_str())) {
        match (key.as_str(), value) {
            ("overrides" | "patchedDependencies" | "packageExtensions", Value::Object(entries)) => {
                entries
                    .iter()
                    .for_each(|(name, value)| push(settings, file, format!("{prefix}{key}[\"{name}\"]"), value));
            }
            _ => push(settings, file, format!("{prefix}{key}"), value),
        }
    }
}

fn push(settings: &mut BTreeSet<Setting>, file: &Arc<str>, part: String, value: &Value) {
    settings.insert(Setting::of(file, part, value));
}

/// The patterns of the members that a root's manifests name, with the file that names them; `None` if it is no workspace.
pub(crate) fn member_patterns<'v>(
    folder: &str,
    package: Option<&'v Value>,
    pnpm: Option<&'v Value>,
    lerna: Option<&'v Value>,
) -> Option<(String, Vec<&'v str>)> {
    if let Some(packages) = pnpm.and_then(|pnpm| pnpm.get("packages")) {
        return Some((path::join(folder, "pnpm-workspace.yaml"), texts(Some(packages)).collect()));
    }
    if let Some(workspaces) = package.and_then(|package| package.get("workspaces")) {
        let list = workspaces.get("packages").unwrap_or(workspaces);
        return Some((path::join(folder, "package.json"), texts(Some(list)).collect()));
    }
    let packages = lerna?.get("packages")?;
    Some((path::join(folder, "lerna.json"), texts(Some(packages)).collect()))
}

/// Whether a file of this name is a lockfile of npm packages.
pub(crate) fn is_lockfile(name: &str) -> bool {
    matches!(
        name,
        "package-lock.json" | "npm-shrinkwrap.json" | "pnpm-lock.yaml" | "yarn.lock" | "bun.lock" | "bun.lockb"
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn members_are_who_the_patterns_mean() {
        let check = |patterns: &[&str], folder: &str, members: &[&str], others: &[&str]| {
            let mut problems = Vec::new();
            let scope = Scope::new(folder, "package.json", patterns.iter().copied(), &mut problems);
            assert_eq!(problems, [], "{patterns:?}");
            members.iter().for_each(|member| assert!(scope.has(member), "{patterns:?} {member}"));
            others.iter().for_each(|other| assert!(!scope.has(other), "{patterns:?} {other}"));
        };
        check(&["apps/*", "./libs/*/"], "", &["apps/a", "libs/b"], &["", "apps", "apps/a/b", "apps2/a"]);
        check(
            &["packages/**", "!**/test/**"],
            "",
            &["packages/a", "packages", "packages/a/b"],
            &["packages/test/a", "packages/a/test/b"],
        );
        check(&[".", "tools"], "web", &["web", "web/tools"], &["", "tools", "web/apps/a"]);
        check(&["@acme/*"], "", &["@acme/db"], &["acme/db"]);
        let mut problems = Vec::new();
        assert!(Scope::new("", "package.json", ["apps/[a"], &mut problems).has("anything"));
        assert!(problems[0].to_string().starts_with("package.json: workspace pattern `apps/[a`: "));
    }

    #[test]
    fn a_dependency_says_where_it_comes_from() {
        let check =
            |range: &str, expected: Source<'_>| assert_eq!(source("db", range, "apps/auth", ""), expected, "{range}");
        check("workspace:*", Source::Workspace("db"));
        check("workspace:^1.2.0", Source::Workspace("db"));
        check("workspace:@acme/db@*", Source::Workspace("@acme/db"));
        check("workspace:../../libs/db", Source::Folder("libs/db".to_owned()));
        check("workspace:libs/db", Source::Folder("libs/db".to_owned()));
        check("file:../../libs/db", Source::Folder("libs/db".to_owned()));
        check("link:./inner", Source::Folder("apps/auth/inner".to_owned()));
        check("portal:../db", Source::Folder("apps/db".to_owned()));
        check("../db", Source::Folder("apps/db".to_owned()));
        check("file:../../../outside", Source::Outside);
        check("file:./vendor/db.tgz", Source::Outside);
        check("^1.2.0", Source::Anywhere("db"));
        check("*", Source::Anywhere("db"));
        check("catalog:", Source::Anywhere("db"));
        check("npm:other@1", Source::Outside);
        check("git+ssh://example.com/db.git", Source::Outside);
        check("github:acme/db", Source::Outside);
    }

    #[test]
    fn the_root_reaches_packages_by_some_of_its_parts() {
        let package = json!({
            "name": "root", "version": "1.0.0", "engines": { "node": "22" }, "packageManager": "pnpm@10.0.0",
            "scripts": { "lint": "eslint .", "postinstall": "./setup.sh" }, "devDependencies": { "nx": "22" },
            "overrides": { "qs": "6.13.0" }, "pnpm": { "overrides": { "a": "1" }, "peerDependencyRules": {}, "onlyBuiltDependencies": ["x"] },
        });
        let pnpm = json!({ "packages": ["apps/*"], "catalog": { "a": "1" }, "nodeLinker": "hoisted", "overrides": { "b": "2" } });
        let root = PackageRoot::new("", Some(Ok(&package)), Some(Ok(&pnpm)));
        let parts: Vec<_> = root.settings.iter().map(|setting| format!("{} {}", setting.file, setting.part)).collect();
        assert_eq!(
            parts,
            [
                "package.json engines",
                "package.json overrides[\"qs\"]",
                "package.json packageManager",
                "package.json pnpm.onlyBuiltDependencies",
                "package.json pnpm.overrides[\"a\"]",
                "package.json scripts.postinstall",
                "pnpm-workspace.yaml nodeLinker",
                "pnpm-workspace.yaml overrides[\"b\"]",
            ]
        );
        assert_eq!(root.scripts.keys().collect::<Vec<_>>(), ["lint", "postinstall"]);
        assert_eq!(root.requires.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["nx"]);
        let broken = PackageRoot::new("web", Some(Err(Digest::of(["x"]))), None);
        assert_eq!((&*broken.settings[0].file, &*broken.settings[0].part), ("web/package.json", ""));
    }
}
