//! The manifests that say what a workspace is made of: `package.json`, `pnpm-workspace.yaml`, `nx.json`, `project.json`.
//! Parsed by libraries, from a commit's files; nothing is installed or run.

use std::collections::BTreeMap;

use common::failure::Failure;
use common::git::Tree;
use globset::{GlobBuilder, GlobMatcher};
use saphyr::{LoadableYamlNode, Yaml};
use serde::Deserialize;
use serde_json::Value;

/// `package.json`, as far as it tells of the workspace.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PackageJson {
    pub(crate) name: Option<String>,
    workspaces: Option<Workspaces>,
    dependencies: BTreeMap<String, Value>,
    dev_dependencies: BTreeMap<String, Value>,
    peer_dependencies: BTreeMap<String, Value>,
    optional_dependencies: BTreeMap<String, Value>,
    /// Nx's own settings of a package (<https://nx.dev/reference/project-configuration>).
    pub(crate) nx: Option<NxProject>,
}

/// npm has a list, yarn 1 a table with a list in it.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Workspaces {
    List(Vec<String>),
    Table { packages: Vec<String> },
}

/// `project.json`, as far as it tells of the graph.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct NxProject {
    pub(crate) name: Option<String>,
    pub(crate) project_type: Option<String>,
    pub(crate) implicit_dependencies: Vec<String>,
}

impl PackageJson {
    /// The names of all packages that this one names, its tools among them: they make what is built.
    pub(crate) fn dependencies(&self) -> impl Iterator<Item = &str> {
        let maps = [&self.dependencies, &self.dev_dependencies, &self.peer_dependencies, &self.optional_dependencies];
        maps.into_iter().flat_map(BTreeMap::keys).map(String::as_str)
    }
}

/// The folders that the members of a workspace are in.
#[derive(Debug)]
pub(crate) struct Members {
    included: Vec<GlobMatcher>,
    excluded: Vec<GlobMatcher>,
}

impl Members {
    /// Reads what the workspace's root says: `pnpm-workspace.yaml`, else the `workspaces` of `package.json`.
    pub(crate) fn read(tree: &Tree<'_>) -> Result<Self, Failure> {
        let patterns = match tree.text("pnpm-workspace.yaml")? {
            Some(text) => pnpm_packages(&text)?,
            None => match package(tree, "package.json")?.and_then(|package| package.workspaces) {
                Some(Workspaces::List(patterns) | Workspaces::Table { packages: patterns }) => patterns,
                None => Vec::new(),
            },
        };
        let mut members = Self { included: Vec::new(), excluded: Vec::new() };
        for pattern in &patterns {
            let (list, pattern) = match pattern.strip_prefix('!') {
                Some(pattern) => (&mut members.excluded, pattern),
                None => (&mut members.included, pattern.as_str()),
            };
            let pattern = pattern.trim_start_matches("./").trim_end_matches('/');
            let glob = GlobBuilder::new(pattern).literal_separator(true).build().map_err(|error| {
                Failure::input(format!("workspace pattern `{pattern}`: {}", error.kind()))
                    .hint("check the patterns of the workspace's root")
            })?;
            list.push(glob.compile_matcher());
        }
        Ok(members)
    }

    /// Whether a folder with a `package.json` is a member.
    pub(crate) fn has(&self, folder: &str) -> bool {
        let is_in = |list: &[GlobMatcher]| list.iter().any(|glob| glob.is_match(folder));
        is_in(&self.included) && !is_in(&self.excluded)
    }
}

/// The `packages` of `pnpm-workspace.yaml` (<https://pnpm.io/pnpm-workspace_yaml>). It may have none and be there for settings.
fn pnpm_packages(text: &str) -> Result<Vec<String>, Failure> {
    let documents = Yaml::load_from_str(text).map_err(|error| {
        Failure::input(format!("pnpm-workspace.yaml: not YAML: {error}")).hint("pnpm itself cannot read it either")
    })?;
    let packages = documents.first().and_then(|document| document.as_mapping_get("packages")).and_then(Yaml::as_vec);
    Ok(packages.into_iter().flatten().filter_map(|pattern| pattern.as_str().map(str::to_owned)).collect())
}

/// A `package.json`; `None` if there is no such file.
pub(crate) fn package(tree: &Tree<'_>, path: &str) -> Result<Option<PackageJson>, Failure> {
    let Some(text) = tree.text(path)? else { return Ok(None) };
    let text = text.trim_start_matches('\u{feff}');
    serde_json::from_str(text).map(Some).map_err(|error| unreadable(path, &error))
}

/// A `project.json`; `None` if there is no such file. Nx takes comments in it.
pub(crate) fn nx_project(tree: &Tree<'_>, path: &str) -> Result<Option<NxProject>, Failure> {
    let Some(text) = tree.text(path)? else { return Ok(None) };
    jsonc_parser::parse_to_serde_value(&text, &Default::default()).map(Some).map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &str, error: &dyn std::fmt::Display) -> Failure {
    Failure::input(format!("`{path}` cannot be read: {error}"))
        .hint("mend the file: without it, nobody knows what depends on what")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pnpm_lists_its_packages_or_none() {
        let packages = |text: &str| pnpm_packages(text).map_err(|failure| failure.to_string());
        assert_eq!(
            packages("packages:\n  - 'apps/*'\n  - \"!**/test/**\"\ncatalog:\n  react: ^18\n").unwrap(),
            ["apps/*", "!**/test/**"]
        );
        assert_eq!(packages("catalog:\n  react: ^18\n").unwrap(), [""; 0]);
        assert_eq!(packages("").unwrap(), [""; 0]);
        assert!(packages("packages: [").unwrap_err().starts_with("pnpm-workspace.yaml: not YAML: "));
    }

    #[test]
    fn a_project_file_may_have_comments() {
        let text = "{ // its name\n\"name\": \"auth\", \"implicitDependencies\": [\"db\"],}";
        let project: NxProject = jsonc_parser::parse_to_serde_value(text, &Default::default()).unwrap();
        assert_eq!((project.name.as_deref(), project.implicit_dependencies), (Some("auth"), vec!["db".to_owned()]));
    }

    #[test]
    fn tools_are_dependencies_too() {
        let package: PackageJson = serde_json::from_str(
            r#"{ "dependencies": { "a": "*" }, "devDependencies": { "b": "*" }, "peerDependencies": { "c": "*" }, "workspaces": { "packages": ["x"] } }"#,
        )
        .unwrap();
        assert_eq!(package.dependencies().collect::<Vec<_>>(), ["a", "b", "c"]);
        assert!(matches!(package.workspaces, Some(Workspaces::Table { .. })));
    }
}
