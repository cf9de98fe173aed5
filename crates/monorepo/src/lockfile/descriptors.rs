//! What both of yarn's formats have in common: a package is looked up by the name and range of a manifest.

use std::collections::BTreeMap;

use foldhash::HashMap;

use super::graph::Draft;
use super::{Finder, Lock, Member, PackageId, Resolution, one};
use crate::digest::Digest;

/// What each `name@range` leads to.
#[derive(Clone, Debug, Default)]
pub(super) struct Descriptors {
    exact: HashMap<String, Resolution>,
    /// The patched descriptor by the one that is patched.
    patched: HashMap<String, String>,
    by_name: BTreeMap<String, Vec<Resolution>>,
}

/// An entry of a file.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) content: Digest,
    /// The folder of a member of the workspace.
    pub(super) workspace: Option<String>,
    pub(super) descriptors: Vec<String>,
    /// Names and ranges.
    pub(super) dependencies: Vec<(String, String)>,
}

/// The lockfile with these entries.
pub(super) fn lock(path: &str, entries: Vec<Found>) -> Lock {
    let descriptors = Descriptors::new(&entries);
    let mut drafts = Vec::new();
    let mut members = Vec::new();
    for Found { name, version, content, workspace, dependencies, .. } in entries {
        let found = dependencies.into_iter().map(|(name, range)| {
            let resolution = descriptors.find(&name, &range);
            (name, resolution)
        });
        let dependencies = found.filter(|(_, resolution)| *resolution != Resolution::Missing).collect();
        match workspace {
            Some(folder) => members.push(Member { folder: Some(folder), name: Some(name), dependencies }),
            None => drafts.push(Draft { name, version, content, peers: String::new(), patch: None, dependencies }),
        }
    }
    Lock::new(path, drafts, members, Finder::Descriptors(descriptors))
}

impl Descriptors {
    fn new(entries: &[Found]) -> Self {
        let mut descriptors = Self::default();
        let mut count = 0;
        for entry in entries {
            let resolution = match &entry.workspace {
                Some(folder) => Resolution::Workspace(folder.clone()),
                None => {
                    count += 1;
                    Resolution::Package(PackageId(count - 1))
                }
            };
            for descriptor in &entry.descriptors {
                descriptors.add(descriptor, &resolution);
            }
        }
        descriptors
    }

    fn add(&mut self, descriptor: &str, resolution: &Resolution) {
        // Which manifest a patch is of stands behind: `patch:x@npm%3A1.0.0#./x.patch::locator=…`.
        let plain = descriptor.split_once("::").map_or(descriptor, |(plain, _)| plain);
        if let Some((_, patch)) = plain.split_once("@patch:") {
            let source = decode(patch.split_once('#').map_or(patch, |(source, _)| source));
            self.patched.insert(source, plain.to_owned());
        }
        if let Some((name, _)) = split(plain) {
            let named = self.by_name.entry(name.to_owned()).or_default();
            if !named.contains(resolution) {
                named.push(resolution.clone());
            }
        }
        self.exact.insert(plain.to_owned(), resolution.clone());
    }

    /// What a name and a range lead to; what a range in a manifest leads to where an override gives it another is one of those
    /// with the name.
    pub(super) fn find(&self, name: &str, range: &str) -> Resolution {
        let range = range.split_once("::").map_or(range, |(plain, _)| plain);
        let ways = [format!("{name}@{range}"), format!("{name}@npm:{range}")];
        let Some(mut descriptor) =
            ways.iter().find(|way| self.exact.contains_key(*way) || self.patched.contains_key(*way))
        else {
            return one(self.by_name.get(name).into_iter().flatten());
        };
        // A patch's descriptor has that of what it patches in it, so that this ends.
        while let Some(patched) = self.patched.get(descriptor).filter(|patched| patched.len() > descriptor.len()) {
            descriptor = patched;
        }
        self.exact.get(descriptor).cloned().unwrap_or(Resolution::Missing)
    }
}

/// The name and the range of a descriptor.
pub(super) fn split(descriptor: &str) -> Option<(&str, &str)> {
    let at = descriptor.match_indices('@').map(|(at, _)| at).find(|at| *at > 0)?;
    Some((&descriptor[..at], &descriptor[at + 1..]))
}

/// Text without percent-encoding.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let code = (*first == b'%').then(|| after.get(..2)).flatten();
        let code = code.and_then(|code| std::str::from_utf8(code).ok());
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
