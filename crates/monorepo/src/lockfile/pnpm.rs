//! `pnpm-lock.yaml`, versions 5 to 9 (<https://github.com/pnpm/spec/tree/master/lockfile>).

use foldhash::HashMap;

use super::graph::Draft;
use super::yaml::{self, Node};
use super::{Finder, Lock, Member, PackageId, Resolution, join};
use crate::digest::Hasher;
use crate::problem::Problem;

const DEPENDENCIES: [&str; 3] = ["dependencies", "devDependencies", "optionalDependencies"];

/// What of an entry decides what is installed. `deprecated`, `dev`, `optional`, `requiresBuild` and the like do not, or follow
/// from other packages.
const CONTENT: [&str; 5] = ["os", "cpu", "libc", "engines", "bundledDependencies"];

pub(super) fn read(path: &str, text: &str) -> Result<Lock, Problem> {
    let Some(root) = yaml::read(path, text)? else { return Err(Problem::new(path, "empty")) };
    let is_old = version(&root, path)? == "5";
    let packages = root.map("packages", path)?;
    let snapshots = root.map("snapshots", path)?;
    // From version 9 on, what a package is stands in `packages`, and what it depends on in `snapshots`, once per set of peers.
    let known: HashMap<&str, &Node<'_>> = packages.iter().map(|(id, node)| (id.as_ref(), node)).collect();
    let listed = if snapshots.is_empty() { packages } else { snapshots };
    let ids: HashMap<&str, usize> = listed.iter().enumerate().map(|(place, (id, _))| (id.as_ref(), place)).collect();
    let reader = Reader { path, ids, is_old };
    let drafts = listed.iter().map(|(id, node)| reader.draft(id, node, &known)).collect::<Result<_, _>>()?;
    let importers = match root.get("importers") {
        Some(_) => root.map("importers", path)?.iter().map(|(folder, node)| reader.member(folder, node)).collect(),
        None => reader.member(".", &root).map(|member| vec![member]),
    }?;
    let folders = importers.iter().enumerate();
    let folders = folders.filter_map(|(place, member)| Some((member.folder.clone()?, place))).collect();
    Ok(Lock::new(path, drafts, importers, Finder::ByFolder(folders)))
}

fn version<'n>(root: &'n Node<'_>, path: &str) -> Result<&'n str, Problem> {
    let node = root.get("lockfileVersion").ok_or_else(|| Problem::new(path, "no `lockfileVersion`"))?;
    let version = node.text().unwrap_or_default();
    match version.split('.').next() {
        Some(major @ ("5" | "6" | "7" | "9")) => Ok(major),
        _ => Err(Problem::new(path, format!("lockfileVersion {version} is not known: 5 to 9 are")).at(node.line)),
    }
}

struct Reader<'a> {
    path: &'a str,
    ids: HashMap<&'a str, usize>,
    /// Version 5.
    is_old: bool,
}

/// What a package's id says.
struct Id<'a> {
    name: &'a str,
    version: &'a str,
    /// Its peers and the hash of its patch.
    suffix: &'a str,
}

impl Reader<'_> {
    fn draft(&self, id: &str, node: &Node<'_>, known: &HashMap<&str, &Node<'_>>) -> Result<Draft, Problem> {
        let Id { name, version, suffix } = if self.is_old { parse_old(id) } else { parse(id) };
        let plain = id.strip_suffix(suffix).unwrap_or(id);
        let Some(package) = known.get(id).or_else(|| known.get(plain)) else {
            return Err(
                Problem::new(self.path, format!("`{plain}` is in `snapshots` and not in `packages`")).at(node.line)
            );
        };
        let mut hasher = Hasher::default();
        resolution(package, &mut hasher);
        for key in CONTENT {
            if let Some(node) = package.get(key) {
                hasher.field(key);
                node.write(&mut hasher);
            }
        }
        hasher.field(patch(suffix, package));
        let text = |key| package.get(key).and_then(Node::text).map(str::to_owned);
        Ok(Draft {
            name: text("name").unwrap_or_else(|| name.to_owned()),
            version: text("version").unwrap_or_else(|| version.to_owned()),
            content: hasher.finish(),
            peers: suffix.to_owned(),
            patch: None,
            dependencies: self.dependencies("", node)?,
        })
    }

    fn member(&self, folder: &str, node: &Node<'_>) -> Result<Member, Problem> {
        let folder = join("", folder);
        let dependencies = self.dependencies(&folder, node)?;
        Ok(Member { folder: Some(folder), name: None, dependencies })
    }

    fn dependencies(&self, folder: &str, node: &Node<'_>) -> Result<Vec<(String, Resolution)>, Problem> {
        let mut found = Vec::new();
        for key in DEPENDENCIES {
            for (name, value) in node.map(key, self.path)? {
                let reference = value.text().or_else(|| value.get("version").and_then(Node::text)).unwrap_or_default();
                let resolution = self.find(folder, name, reference).ok_or_else(|| {
                    Problem::new(self.path, format!("`{name}: {reference}` is in no package")).at(value.line)
                })?;
                found.push((name.clone().into_owned(), resolution));
            }
        }
        Ok(found)
    }

    /// What a reference leads to. It is a version, or a whole id where the name differs or the package is from elsewhere.
    fn find(&self, folder: &str, name: &str, reference: &str) -> Option<Resolution> {
        if let Some(link) = reference.strip_prefix("link:") {
            return Some(Resolution::Workspace(join(folder, link)));
        }
        let ids = [
            format!("{name}@{reference}"),
            format!("/{name}@{reference}"),
            format!("/{name}/{reference}"),
            reference.to_owned(),
        ];
        let place = ids.iter().find_map(|id| self.ids.get(id.as_str()))?;
        Some(Resolution::Package(PackageId(*place)))
    }
}

/// Where its content is from: the integrity says it all, whatever the registry.
fn resolution(package: &Node<'_>, hasher: &mut Hasher) {
    let Some(resolution) = package.get("resolution") else { return };
    match resolution.get("integrity") {
        Some(integrity) => integrity.write(hasher),
        None => resolution.write(hasher),
    }
}

/// `name@1.0.0(peer@2.0.0)`; before version 9 with a `/` in front.
fn parse(id: &str) -> Id<'_> {
    let bare = id.strip_prefix('/').unwrap_or(id);
    let (plain, suffix) = bare.split_at(bare.find('(').unwrap_or(bare.len()));
    let (name, version) = plain.rsplit_once('@').filter(|(name, _)| !name.is_empty()).unwrap_or((plain, ""));
    // What is from elsewhere has an address for a version, which may have an `@` of its own.
    match name.match_indices('@').map(|(at, _)| at).find(|at| *at > 0) {
        Some(at) => Id { name: &plain[..at], version: &plain[at + 1..], suffix },
        None => Id { name, version, suffix },
    }
}

/// `/name/1.0.0_peer@2.0.0`, of version 5; what is from elsewhere says its name in its entry.
fn parse_old(id: &str) -> Id<'_> {
    let parsed = id.strip_prefix('/').and_then(|bare| {
        let scope = if bare.starts_with('@') { bare.find('/')? + 1 } else { 0 };
        let end = scope + bare[scope..].find('/')?;
        let (version, suffix) = bare[end + 1..].split_at(bare[end + 1..].find('_').unwrap_or(bare.len() - end - 1));
        Some(Id { name: &bare[..end], version, suffix })
    });
    parsed.unwrap_or(Id { name: id, version: "", suffix: "" })
}

/// The hash of the patch in a suffix. Version 5's is not told from peers, apart from a mark in the entry.
fn patch<'s>(suffix: &'s str, package: &Node<'_>) -> &'s str {
    if package.get("patched").is_some() && !suffix.starts_with('(') {
        return suffix;
    }
    let start = suffix.find("(patch_hash=").unwrap_or(suffix.len());
    let rest = &suffix[start..];
    &rest[..rest.find(')').map_or(rest.len(), |end| end + 1)]
}
