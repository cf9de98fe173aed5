//! The lockfiles of the Node tools, written from one graph of externals.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use base64::Engine as _;
use serde_json::{Map, Value, json};

use crate::dice::Dice;
use crate::model::{External, Model, Project};
use crate::render::manifests::{pretty, wanted, workspace_range};
use crate::shape::Tool;

pub(crate) fn lockfile(model: &Model) -> String {
    let mut text = match model.tool {
        Tool::Npm => npm(model),
        Tool::Yarn => yarn(model),
        Tool::Bun => bun(model),
        _ => pnpm(model),
    };
    if model.settings.lock_reformatted {
        text.push('\n');
    }
    text
}

/// A made-up SHA-256 in hexadecimal.
pub(crate) fn checksum(of: &str) -> String {
    let mut dice = Dice::named(0, of);
    (0..4).map(|_| format!("{:016x}", dice.next())).collect()
}

fn integrity(of: &str) -> String {
    let mut dice = Dice::named(0, of);
    let bytes: Vec<u8> = (0..8).flat_map(|_| dice.next().to_be_bytes()).collect();
    format!("sha512-{}", base64::engine::general_purpose::STANDARD.encode(bytes))
}

/// In the lockfile's order, or the other way round.
fn ordered<T>(model: &Model, items: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut items: Vec<T> = items.into_iter().collect();
    if model.settings.lock_reformatted {
        items.reverse();
    }
    items
}

/// <https://github.com/pnpm/spec/blob/master/lockfile/9.0.md>.
fn pnpm(model: &Model) -> String {
    let mut text = String::from("lockfileVersion: '9.0'\n\nsettings:\n  autoInstallPeers: true\n");
    text.push_str("  excludeLinksFromLockfile: false\n\ncatalogs:\n  default:\n");
    for (name, specifier) in &model.settings.catalog {
        let version = model.version(&External { name: name.clone(), major: 1 });
        let _ =
            writeln!(text, "    {}:\n      specifier: {}\n      version: {version}", quoted(name), quoted(specifier));
    }
    text.push_str("\nimporters:\n\n  .:");
    let mut packages = Vec::new();
    if model.tool == Tool::Nx {
        text.push_str("\n    devDependencies:\n      '@nx/js':\n        specifier: 24.0.6\n        version: 24.0.6\n");
        packages.push("@nx/js@24.0.6".to_owned());
    } else {
        text.push_str(" {}\n");
    }
    let folders = model.folders();
    for (folder, project) in ordered(model, &model.projects) {
        let _ = writeln!(text, "\n  {}:", quoted(folder));
        pnpm_importer(model, &folders, folder, project, &mut text);
    }
    packages.extend(model.externals.keys().map(|external| format!("{}@{}", external.name, model.version(external))));
    packages.sort();
    text.push_str("\npackages:\n");
    for package in ordered(model, &packages) {
        let _ = writeln!(text, "\n  {}:\n    resolution: {{integrity: {}}}", quoted(package), integrity(package));
    }
    text.push_str("\nsnapshots:\n");
    let mut snapshots: BTreeMap<String, String> =
        packages.iter().map(|package| (package.clone(), String::new())).collect();
    for (external, locked) in &model.externals {
        let snapshot = snapshots.entry(format!("{}@{}", external.name, model.version(external))).or_default();
        for (name, major) in &locked.needs {
            let version = model.version(&External { name: name.clone(), major: *major });
            let _ = writeln!(snapshot, "      {}: {version}", quoted(name));
        }
    }
    for (package, needs) in ordered(model, snapshots) {
        let _ = match needs.as_str() {
            "" => writeln!(text, "\n  {}: {{}}", quoted(&package)),
            needs => write!(text, "\n  {}:\n    dependencies:\n{needs}", quoted(&package)),
        };
    }
    text
}

fn pnpm_importer(model: &Model, folders: &BTreeMap<&str, &str>, folder: &str, project: &Project, text: &mut String) {
    let mut dependencies = BTreeMap::new();
    for name in &project.declares {
        let target = folders.get(name.as_str()).copied().unwrap_or("gone");
        dependencies.insert(name, ("workspace:*".to_owned(), format!("link:{}", relative(folder, target))));
    }
    for (name, major) in &project.wants {
        let version = model.version(&External { name: name.clone(), major: *major });
        dependencies.insert(name, (wanted(model, name, *major), version));
    }
    if dependencies.is_empty() {
        // As pnpm writes a project without dependencies: `libs/x: {}`.
        text.truncate(text.trim_end().len());
        text.push_str(" {}\n");
        return;
    }
    text.push_str("    dependencies:\n");
    for (name, (specifier, version)) in dependencies {
        let name = quoted(name);
        let _ = writeln!(text, "      {name}:\n        specifier: {}\n        version: {version}", quoted(&specifier));
    }
}

fn relative(from: &str, to: &str) -> String {
    let shared = from.split('/').zip(to.split('/')).take_while(|(a, b)| a == b).count();
    let up = "../".repeat(from.split('/').count() - shared);
    let down: Vec<&str> = to.split('/').skip(shared).collect();
    format!("{up}{}", down.join("/")).trim_end_matches('/').to_owned()
}

/// As YAML wants it: names with `@` or a colon at their end are quoted.
fn quoted(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./^:*@".contains(&byte);
    let simple = text.bytes().all(plain) && !text.starts_with('@') && !text.ends_with(':');
    if simple { text.to_owned() } else { format!("'{text}'") }
}

/// <https://docs.npmjs.com/cli/v10/configuring-npm/package-lock-json>: `packages` is `node_modules` as it will lie there.
fn npm(model: &Model) -> String {
    let mut packages = Map::new();
    packages.insert(
        String::new(),
        json!({ "name": "acme", "version": "0.0.0", "workspaces": ["apps/*", "services/*", "libs/*", "libs/shared/*", "libs/core/plugins/*"] }),
    );
    let mut placed = BTreeMap::new();
    for (folder, project) in &model.projects {
        let mut dependencies: Map<String, Value> =
            project.declares.iter().map(|name| (name.clone(), workspace_range(model.tool).into())).collect();
        for (name, major) in &project.wants {
            dependencies.insert(name.clone(), wanted(model, name, *major).into());
            place(model, folder, &External { name: name.clone(), major: *major }, &mut placed);
        }
        let mut entry = json!({ "name": project.name, "version": "1.0.0" });
        if !dependencies.is_empty() {
            entry["dependencies"] = dependencies.into();
        }
        placed.insert(folder.clone(), entry);
        placed.insert(format!("node_modules/{}", project.name), json!({ "resolved": folder, "link": true }));
    }
    for external in model.externals.keys().filter(|external| external.major == 1) {
        place(model, "", external, &mut placed);
    }
    packages.extend(ordered(model, placed));
    pretty(&json!({ "name": "acme", "version": "0.0.0", "lockfileVersion": 3, "requires": true, "packages": packages }))
}

/// Major version 1 is hoisted to the root; any other lies below who needs it, as npm does when two do not fit in one place.
fn place(model: &Model, owner: &str, external: &External, placed: &mut BTreeMap<String, Value>) {
    let Some(locked) = model.externals.get(external) else { return };
    let hoisted = external.major == 1 || owner.is_empty();
    let place_at = match (hoisted, owner) {
        (true, _) | (false, "") => format!("node_modules/{}", external.name),
        (false, owner) => format!("{owner}/node_modules/{}", external.name),
    };
    if placed.contains_key(&place_at) {
        return;
    }
    let version = model.version(external);
    let needs: Map<String, Value> =
        locked.needs.iter().map(|(name, major)| (name.clone(), format!("^{major}.0.0").into())).collect();
    let mut entry = json!({
        "version": version,
        "resolved": tarball(&external.name, &version),
        "integrity": integrity(&format!("{}@{version}", external.name)),
    });
    if !needs.is_empty() {
        entry["dependencies"] = needs.into();
    }
    placed.insert(place_at.clone(), entry);
    for (name, major) in &locked.needs {
        place(model, &place_at, &External { name: name.clone(), major: *major }, placed);
    }
}

fn tarball(name: &str, version: &str) -> String {
    let short = name.rsplit('/').next().unwrap_or(name);
    format!("https://registry.npmjs.org/{name}/-/{short}-{version}.tgz")
}

/// <https://classic.yarnpkg.com/lang/en/docs/yarn-lock/>.
fn yarn(model: &Model) -> String {
    let mut text =
        String::from("# THIS IS AN AUTOGENERATED FILE. DO NOT EDIT THIS FILE DIRECTLY.\n# yarn lockfile v1\n\n");
    for (external, locked) in ordered(model, &model.externals) {
        let External { name, major } = external;
        let version = model.version(external);
        let _ = writeln!(text, "\n\"{name}@^{major}.0.0\":\n  version \"{version}\"");
        let _ = writeln!(text, "  resolved \"{}\"", tarball(name, &version));
        let _ = writeln!(text, "  integrity {}", integrity(&format!("{name}@{version}")));
        if !locked.needs.is_empty() {
            text.push_str("  dependencies:\n");
            for (name, major) in &locked.needs {
                let _ = writeln!(text, "    \"{name}\" \"^{major}.0.0\"");
            }
        }
    }
    text
}

/// <https://bun.com/docs/pm/lockfile>: JSON with trailing commas, one line per package; the key is the place in the tree.
fn bun(model: &Model) -> String {
    let mut text = String::from(
        "{\n  \"lockfileVersion\": 1,\n  \"workspaces\": {\n    \"\": {\n      \"name\": \"acme\",\n    },\n",
    );
    let mut packages = BTreeMap::new();
    for (folder, project) in ordered(model, &model.projects) {
        let _ =
            writeln!(text, "    {folder:?}: {{\n      \"name\": {:?},\n      \"version\": \"1.0.0\",", project.name);
        text.push_str("      \"dependencies\": {\n");
        for name in &project.declares {
            let _ = writeln!(text, "        {name:?}: \"workspace:*\",");
        }
        for (name, major) in &project.wants {
            let _ = writeln!(text, "        {name:?}: \"^{major}.0.0\",");
            bun_place(model, &project.name, &External { name: name.clone(), major: *major }, &mut packages);
        }
        text.push_str("      },\n    },\n");
        packages.insert(project.name.clone(), json!([format!("{}@workspace:{folder}", project.name)]).to_string());
    }
    for external in model.externals.keys().filter(|external| external.major == 1) {
        bun_place(model, "", external, &mut packages);
    }
    text.push_str("  },\n  \"packages\": {\n");
    for (place, package) in ordered(model, packages) {
        let _ = writeln!(text, "    {place:?}: {package},\n");
    }
    text.push_str("  },\n}\n");
    text
}

fn bun_place(model: &Model, owner: &str, external: &External, packages: &mut BTreeMap<String, String>) {
    let Some(locked) = model.externals.get(external) else { return };
    let place = if external.major == 1 { external.name.clone() } else { format!("{owner}/{}", external.name) };
    if packages.contains_key(&place) {
        return;
    }
    let package = format!("{}@{}", external.name, model.version(external));
    let needs: Map<String, Value> =
        locked.needs.iter().map(|(name, major)| (name.clone(), format!("^{major}.0.0").into())).collect();
    let about = if needs.is_empty() { json!({}) } else { json!({ "dependencies": needs }) };
    packages.insert(place.clone(), json!([package, "", about, integrity(&package)]).to_string());
    for (name, major) in &locked.needs {
        bun_place(model, &place, &External { name: name.clone(), major: *major }, packages);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::way_up;

    #[test]
    fn links_lead_from_one_folder_to_the_other() {
        assert_eq!(relative("apps/a", "libs/b"), "../../libs/b");
        assert_eq!(relative("libs/core/plugins/nested", "libs/core"), "../..");
        assert_eq!(relative("libs/a", "libs/b"), "../b");
        assert_eq!(way_up("libs/shared/x"), "../../../");
    }
}
