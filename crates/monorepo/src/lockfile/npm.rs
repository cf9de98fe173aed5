//! `package-lock.json` and `npm-shrinkwrap.json`, versions 2 and 3 (<https://docs.npmjs.com/cli/configuring-npm/package-lock-json>).

use std::collections::{BTreeMap, BTreeSet};

use foldhash::HashMap;
use serde::Deserialize;
use serde_json::Value;

use super::graph::Draft;
use super::{Finder, Lock, Member, PackageId, Resolution, join};
use crate::digest::{Digest, Hasher};
use crate::problem::Problem;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    lockfile_version: u64,
    packages: Option<BTreeMap<String, Entry>>,
}

/// An entry. `dev`, `optional`, `peer`, `license`, `funding`, `deprecated` and the like do not decide what is installed here, or
/// follow from other packages.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    name: Option<String>,
    version: Option<String>,
    resolved: Option<Value>,
    integrity: Option<String>,
    #[serde(default)]
    link: bool,
    os: Option<Value>,
    cpu: Option<Value>,
    libc: Option<Value>,
    engines: Option<Value>,
    #[serde(default)]
    dependencies: BTreeMap<String, Value>,
    #[serde(default)]
    dev_dependencies: BTreeMap<String, Value>,
    #[serde(default)]
    optional_dependencies: BTreeMap<String, Value>,
    #[serde(default)]
    peer_dependencies: BTreeMap<String, Value>,
}

/// What lies at each path.
#[derive(Clone, Debug, Default)]
pub(super) struct Folders(HashMap<String, Resolution>);

pub(super) fn read(path: &str, text: &str) -> Result<Lock, Problem> {
    let file: File = serde_json::from_str(text)
        .map_err(|error| Problem::new(path, format!("not a lockfile of npm: {error}")).at(error.line()))?;
    let entries = match (file.lockfile_version, file.packages) {
        (2 | 3, Some(entries)) => entries,
        (0 | 1, _) => {
            return Err(Problem::new(
                path,
                "lockfileVersion 1: `npm install` of npm 7 or later writes one that can be read",
            ));
        }
        (2 | 3, None) => return Err(Problem::new(path, "no `packages`")),
        (version, _) => return Err(Problem::new(path, format!("lockfileVersion {version} is not known: 2 and 3 are"))),
    };
    let installed: Vec<_> = entries.iter().filter(|(place, entry)| is_installed(place) && !entry.link).collect();
    let folders = Folders::new(&entries, &installed);
    let drafts = installed.iter().map(|(place, entry)| draft(place, entry, &folders)).collect();
    let members = entries.iter().filter(|(place, _)| !is_installed(place));
    let members = members.map(|(place, entry)| member(place, entry, &folders)).collect();
    Ok(Lock::new(path, drafts, members, Finder::Folders(folders)))
}

/// Whether a path is below `node_modules`; else it is a folder of the workspace.
fn is_installed(place: &str) -> bool {
    place.split('/').any(|part| part == "node_modules")
}

fn draft(place: &str, entry: &Entry, folders: &Folders) -> Draft {
    let name = place.rsplit_once("node_modules/").map_or(place, |(_, name)| name);
    Draft {
        name: entry.name.clone().unwrap_or_else(|| name.to_owned()),
        version: entry.version.clone().unwrap_or_default(),
        content: content(entry),
        peers: String::new(),
        patch: None,
        dependencies: dependencies(place, entry, folders),
    }
}

fn content(entry: &Entry) -> Digest {
    let mut hasher = Hasher::default();
    match (&entry.integrity, &entry.resolved) {
        (Some(integrity), _) => hasher.field(integrity),
        (None, Some(resolved)) => hasher.field(Digest::of_value(resolved)),
        // In a bundle: its content is that of what it is bundled with.
        (None, None) => {}
    }
    for (key, value) in [("os", &entry.os), ("cpu", &entry.cpu), ("libc", &entry.libc), ("engines", &entry.engines)] {
        if let Some(value) = value {
            hasher.field(key);
            hasher.field(Digest::of_value(value));
        }
    }
    hasher.finish()
}

fn member(folder: &str, entry: &Entry, folders: &Folders) -> Member {
    let dependencies = dependencies(folder, entry, folders);
    Member { folder: Some(folder.to_owned()), name: entry.name.clone(), dependencies }
}

/// What is not there is for another platform, or a peer that is optional.
fn dependencies(place: &str, entry: &Entry, folders: &Folders) -> Vec<(String, Resolution)> {
    let fields = [&entry.dependencies, &entry.dev_dependencies, &entry.optional_dependencies, &entry.peer_dependencies];
    let names: BTreeSet<_> = fields.into_iter().flat_map(BTreeMap::keys).collect();
    let found = names.into_iter().map(|name| (name.clone(), folders.find(place, name)));
    found.filter(|(_, resolution)| *resolution != Resolution::Missing).collect()
}

impl Folders {
    fn new(entries: &BTreeMap<String, Entry>, installed: &[(&String, &Entry)]) -> Self {
        let packages = installed.iter().enumerate();
        let packages = packages.map(|(id, (place, _))| ((*place).clone(), Resolution::Package(PackageId(id))));
        let links = entries.iter().filter(|(_, entry)| entry.link);
        let links = links.map(|(place, entry)| {
            let target = entry.resolved.as_ref().and_then(Value::as_str).unwrap_or_default();
            (place.clone(), Resolution::Workspace(join("", target)))
        });
        Self(packages.chain(links).collect())
    }

    /// Looks a package up as Node does: in the `node_modules` of a folder, then of the one above it, up to the root.
    pub(super) fn find(&self, from: &str, name: &str) -> Resolution {
        let mut folder = from;
        loop {
            if folder != "node_modules" && !folder.ends_with("/node_modules") {
                let place = if folder.is_empty() {
                    format!("node_modules/{name}")
                } else {
                    format!("{folder}/node_modules/{name}")
                };
                if let Some(resolution) = self.0.get(&place) {
                    return resolution.clone();
                }
            }
            match folder.rsplit_once('/') {
                Some((above, _)) => folder = above,
                None if folder.is_empty() => return Resolution::Missing,
                None => folder = "",
            }
        }
    }
}
