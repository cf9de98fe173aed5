//! `Cargo.lock` (<https://doc.rust-lang.org/cargo/guide/cargo-toml-vs-cargo-lock.html>). Packages without a source are the
//! repository's own.

use foldhash::HashMap;
use serde::Deserialize;

use super::graph::Draft;
use super::{Finder, Lock, Member, PackageId, Resolution};
use crate::digest::Digest;
use crate::problem::Problem;

/// The newest version that is known.
const NEWEST: u64 = 4;

#[derive(Deserialize)]
struct File {
    version: Option<u64>,
    #[serde(default, rename = "package")]
    packages: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    name: String,
    version: String,
    source: Option<String>,
    checksum: Option<String>,
    #[serde(default)]
    dependencies: Vec<String>,
}

pub(super) fn read(path: &str, text: &str) -> Result<Lock, Problem> {
    let file: File = toml::from_str(text).map_err(|error| {
        let problem = Problem::new(path, format!("not a lockfile of Cargo: {}", error.message()));
        let start = error.span().and_then(|span| text.get(..span.start));
        start.map_or(problem.clone(), |before| problem.at(before.matches('\n').count() + 1))
    })?;
    if let Some(version) = file.version.filter(|version| *version > NEWEST) {
        return Err(Problem::new(path, format!("version {version} is not known: up to {NEWEST} is")));
    }
    let reader = Reader::new(path, text, &file.packages);
    let (installed, own): (Vec<_>, Vec<_>) = file.packages.iter().partition(|entry| entry.source.is_some());
    let drafts = installed.into_iter().map(|entry| reader.draft(entry)).collect::<Result<_, _>>()?;
    let members: Vec<_> = own.into_iter().map(|entry| reader.member(entry)).collect::<Result<_, _>>()?;
    let names = members.iter().enumerate().filter_map(|(place, member)| Some((member.name.clone()?, place))).collect();
    Ok(Lock::new(path, drafts, members, Finder::ByName(names)))
}

struct Reader<'a> {
    path: &'a str,
    text: &'a str,
    by_name: HashMap<&'a str, Vec<(&'a Entry, Resolution)>>,
}

impl<'a> Reader<'a> {
    fn new(path: &'a str, text: &'a str, entries: &'a [Entry]) -> Self {
        let mut by_name: HashMap<_, Vec<_>> = HashMap::default();
        let mut count = 0;
        for entry in entries {
            let resolution = if entry.source.is_some() {
                count += 1;
                Resolution::Package(PackageId(count - 1))
            } else {
                Resolution::Workspace(entry.name.clone())
            };
            by_name.entry(entry.name.as_str()).or_default().push((entry, resolution));
        }
        Self { path, text, by_name }
    }

    fn draft(&self, entry: &Entry) -> Result<Draft, Problem> {
        let from = entry.checksum.as_ref().or(entry.source.as_ref());
        Ok(Draft {
            name: entry.name.clone(),
            version: entry.version.clone(),
            content: Digest::of(from),
            peers: String::new(),
            patch: None,
            dependencies: self.dependencies(entry)?,
        })
    }

    fn member(&self, entry: &Entry) -> Result<Member, Problem> {
        let dependencies = self.dependencies(entry)?;
        Ok(Member { folder: None, name: Some(entry.name.clone()), dependencies })
    }

    fn dependencies(&self, entry: &Entry) -> Result<Vec<(String, Resolution)>, Problem> {
        entry.dependencies.iter().map(|dependency| self.find(dependency)).collect()
    }

    /// `name`, `name version` or `name version source`, as much as tells it from the others.
    fn find(&self, dependency: &str) -> Result<(String, Resolution), Problem> {
        let mut words = dependency.splitn(3, ' ');
        let name = words.next().unwrap_or_default();
        let version = words.next();
        // Before version 3 in parentheses.
        let source = words.next().map(|source| source.trim_start_matches('(').trim_end_matches(')'));
        let same = |entry: &Entry| {
            version.is_none_or(|version| version == entry.version)
                && source.is_none_or(|source| entry.source.as_ref().is_some_and(|known| is_source(known, source)))
        };
        let known = self.by_name.get(name).map(Vec::as_slice).unwrap_or_default();
        let mut found = known.iter().filter(|(entry, _)| same(entry));
        match (found.next(), found.next()) {
            (Some((_, resolution)), None) => Ok((name.to_owned(), resolution.clone())),
            (first, _) => {
                let which = if first.is_some() { "more than one package" } else { "no package" };
                let problem = Problem::new(self.path, format!("`{dependency}` is {which}"));
                let line = self.text.lines().position(|line| line.contains(&format!("\"{dependency}\"")));
                Err(line.map_or(problem.clone(), |line| problem.at(line + 1)))
            }
        }
    }
}

/// A dependency names a git source without its commit.
fn is_source(known: &str, named: &str) -> bool {
    known == named || known.split_once('#').is_some_and(|(plain, _)| plain == named)
}
