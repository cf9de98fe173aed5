//! `yarn.lock` of yarn 2 and later, which is YAML (<https://yarnpkg.com/configuration/yarnrc>). Peers are no part of it: a package
//! gets those of who depends on it.

use super::descriptors::{self, Found};
use super::yaml::{self, Node};
use super::{Lock, join};
use crate::digest::Digest;
use crate::problem::Problem;

/// The versions of `__metadata` that are known: yarn 2 to 4.
const VERSIONS: std::ops::RangeInclusive<u64> = 4..=10;

pub(super) fn read(path: &str, text: &str) -> Result<Lock, Problem> {
    let Some(root) = yaml::read(path, text)? else { return Err(Problem::new(path, "empty")) };
    let mut entries = Vec::new();
    for (key, node) in root.entries() {
        if key == "__metadata" {
            let version = node.get("version").and_then(Node::text).unwrap_or_default();
            if !version.parse().is_ok_and(|version| VERSIONS.contains(&version)) {
                return Err(Problem::new(path, format!("version `{version}` is not known: 4 to 10 are")).at(node.line));
            }
        } else {
            entries.push(found(key, node, path)?);
        }
    }
    Ok(descriptors::lock(path, entries))
}

fn found(key: &str, node: &Node<'_>, path: &str) -> Result<Found, Problem> {
    let text = |key| node.get(key).and_then(Node::text);
    let parts = text("resolution").and_then(|resolution| Some((resolution, descriptors::split(resolution)?)));
    let Some((resolution, (name, reference))) = parts else {
        return Err(Problem::new(path, format!("`{key}` has no `resolution`")).at(node.line));
    };
    let mut dependencies = Vec::new();
    for (name, range) in node.map("dependencies", path)? {
        dependencies.push((name.clone().into_owned(), range.text().unwrap_or_default().to_owned()));
    }
    Ok(Found {
        name: name.to_owned(),
        version: text("version").unwrap_or(reference).to_owned(),
        // The resolution has the commit of what is from git, and the hash of a patch.
        content: Digest::of([resolution, text("checksum").unwrap_or_default(), text("conditions").unwrap_or_default()]),
        workspace: reference.strip_prefix("workspace:").map(|folder| join("", folder)),
        descriptors: key.split(", ").map(str::to_owned).collect(),
        dependencies,
    })
}
