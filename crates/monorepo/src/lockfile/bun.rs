//! `bun.lock`: JSON with comments (<https://bun.com/docs/pm/lockfile>).

use foldhash::HashMap;
use jsonc_parser::ParseOptions;
use serde_json::{Map, Value};

use super::graph::Draft;
use super::{Finder, Lock, Member, PackageId, Resolution};
use crate::digest::{Digest, Hasher};
use crate::problem::Problem;

const DEPENDENCIES: [&str; 4] = ["dependencies", "devDependencies", "optionalDependencies", "peerDependencies"];

/// What of a package's facts decides whether it is installed.
const CONTENT: [&str; 3] = ["os", "cpu", "libc"];

/// What each key leads to. A key is the names from a member or a package down to what it alone has: `@acme/web/react`.
#[derive(Clone, Debug, Default)]
pub(super) struct Keys {
    keys: HashMap<String, Resolution>,
    /// The members' names by folder.
    members: HashMap<String, String>,
}

pub(super) fn read(path: &str, text: &str) -> Result<Lock, Problem> {
    let root: Value = jsonc_parser::parse_to_serde_value(text, &ParseOptions::default())
        .map_err(|error| Problem::new(path, format!("not JSON: {}", error.kind())).at(error.line_display()))?;
    match root.get("lockfileVersion").and_then(Value::as_u64) {
        Some(0..=2) => {}
        Some(version) => return Err(Problem::new(path, format!("lockfileVersion {version} is not known: 0 to 2 are"))),
        None => return Err(Problem::new(path, "no `lockfileVersion`")),
    }
    let workspaces = object(&root, "workspaces", path)?;
    let entries = object(&root, "packages", path)?.iter().map(|(key, value)| Entry::new(key, value, path));
    let entries: Vec<_> = entries.collect::<Result<_, _>>()?;
    let keys = Keys::new(&entries, workspaces);
    let facts = Facts::new(&root);
    let installed = entries.iter().filter(|entry| entry.member().is_none());
    let drafts = installed.map(|entry| entry.draft(&keys, &facts)).collect();
    let members = workspaces.iter().map(|(folder, value)| keys.member(folder, value)).collect();
    Ok(Lock::new(path, drafts, members, Finder::Keys(keys)))
}

fn object<'v>(root: &'v Value, key: &str, path: &str) -> Result<&'v Map<String, Value>, Problem> {
    root.get(key)
        .and_then(Value::as_object)
        .ok_or_else(|| Problem::new(path, format!("no `{key}`, or it is no object")))
}

/// One of `packages`: `[id, registry, facts, integrity]`, or less for what is not from a registry.
struct Entry<'v> {
    key: &'v str,
    name: &'v str,
    version: &'v str,
    rest: &'v [Value],
}

/// What the file says of packages beside them.
struct Facts<'v> {
    patches: Option<&'v Map<String, Value>>,
    /// Those whose install scripts are run.
    trusted: Vec<&'v str>,
}

impl<'v> Facts<'v> {
    fn new(root: &'v Value) -> Self {
        let trusted = root.get("trustedDependencies").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        Self {
            patches: root.get("patchedDependencies").and_then(Value::as_object),
            trusted: trusted.iter().filter_map(Value::as_str).collect(),
        }
    }
}

impl<'v> Entry<'v> {
    fn new(key: &'v str, value: &'v Value, path: &str) -> Result<Self, Problem> {
        let broken = || Problem::new(path, format!("`packages[\"{key}\"]` is no list that starts with `name@version`"));
        let (id, rest) = value.as_array().and_then(|list| list.split_first()).ok_or_else(broken)?;
        let id = id.as_str().ok_or_else(broken)?;
        let at = id.get(1..).and_then(|id| id.find('@')).ok_or_else(broken)? + 1;
        Ok(Self { key, name: &id[..at], version: &id[at + 1..], rest })
    }

    fn member(&self) -> Option<&'v str> {
        self.version.strip_prefix("workspace:")
    }

    fn facts(&self) -> &'v Value {
        self.rest.iter().find(|value| value.is_object()).unwrap_or(&Value::Null)
    }

    fn draft(&self, keys: &Keys, facts: &Facts<'_>) -> Draft {
        let patch = facts.patches.and_then(|patches| patches.get(&format!("{}@{}", self.name, self.version)));
        let patch = patch.and_then(Value::as_str);
        let mut hasher = Hasher::default();
        let texts = || self.rest.iter().filter_map(Value::as_str);
        match texts().find(|text| text.starts_with("sha")) {
            Some(integrity) => hasher.field(integrity),
            None => texts().for_each(|text| hasher.field(text)),
        }
        for (key, value) in CONTENT.iter().filter_map(|key| Some((key, self.facts().get(key)?))) {
            hasher.field(key);
            hasher.field(Digest::of_value(value));
        }
        hasher.field(patch.unwrap_or_default());
        hasher.field([u8::from(facts.trusted.contains(&self.name))]);
        let names = names(self.facts()).map(|name| (name.clone(), keys.find(self.key, name)));
        Draft {
            name: self.name.to_owned(),
            version: self.version.to_owned(),
            content: hasher.finish(),
            peers: String::new(),
            patch: patch.map(str::to_owned),
            dependencies: names.filter(|(_, resolution)| *resolution != Resolution::Missing).collect(),
        }
    }
}

fn names(value: &Value) -> impl Iterator<Item = &String> {
    DEPENDENCIES.iter().filter_map(|key| value.get(key)?.as_object()).flat_map(Map::keys)
}

impl Keys {
    fn new(entries: &[Entry<'_>], workspaces: &Map<String, Value>) -> Self {
        let mut count = 0;
        let mut place = |entry: &Entry<'_>| match entry.member() {
            Some(folder) => Resolution::Workspace(folder.to_owned()),
            None => {
                count += 1;
                Resolution::Package(PackageId(count - 1))
            }
        };
        let keys = entries.iter().map(|entry| (entry.key.to_owned(), place(entry))).collect();
        let names = workspaces.iter().filter(|(folder, _)| !folder.is_empty());
        let names = names.filter_map(|(folder, value)| Some((folder.clone(), value.get("name")?.as_str()?.to_owned())));
        Self { keys, members: names.collect() }
    }

    fn member(&self, folder: &str, value: &Value) -> Member {
        let found = names(value).map(|name| (name.clone(), self.of_importer(folder, name)));
        let dependencies = found.filter(|(_, resolution)| *resolution != Resolution::Missing).collect();
        let name = value.get("name").and_then(Value::as_str).map(str::to_owned);
        Member { folder: Some(folder.to_owned()), name, dependencies }
    }

    pub(super) fn of_importer(&self, folder: &str, dependency: &str) -> Resolution {
        self.find(self.members.get(folder).map(String::as_str).unwrap_or_default(), dependency)
    }

    /// What a package has itself, or what one above it has.
    fn find(&self, from: &str, name: &str) -> Resolution {
        let mut from = from;
        loop {
            let key = if from.is_empty() { name.to_owned() } else { format!("{from}/{name}") };
            match self.keys.get(&key) {
                Some(resolution) => return resolution.clone(),
                None if from.is_empty() => return Resolution::Missing,
                None => from = above(from),
            }
        }
    }
}

/// A key without its last name, which may have a scope.
fn above(key: &str) -> &str {
    let Some((rest, _)) = key.rsplit_once('/') else { return "" };
    let (before, last) = rest.rsplit_once('/').unwrap_or(("", rest));
    if last.starts_with('@') { before } else { rest }
}
