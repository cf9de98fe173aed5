//! The files of a commit, as modules are looked for among them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use foldhash::HashMap;

use super::manifest::Manifest;
use super::place::resolve;
use crate::files::{Files, Kind};
use crate::path;

/// Finds the files of a commit.
#[derive(Debug)]
pub(super) struct Lookup<'a> {
    files: &'a Files<'a>,
    /// Symbolic links and where they lead.
    links: BTreeMap<&'a str, String>,
    /// The manifests that were read, by folder; `None` is one that cannot be.
    manifests: Mutex<HashMap<String, Option<Arc<Manifest>>>>,
}

/// What is put behind a path that names no file, likeliest first.
const EXTENSIONS: [&str; 17] = [
    ".ts", ".tsx", ".d.ts", ".mts", ".cts", ".js", ".jsx", ".mjs", ".cjs", ".json", ".vue", ".svelte", ".astro",
    ".css", ".scss", ".sass", ".less",
];

/// What a compiled file is made from (<https://www.typescriptlang.org/docs/handbook/modules/reference.html#file-extension-substitution>).
const SUBSTITUTES: [(&str, &[&str]); 4] = [
    (".js", &[".ts", ".tsx", ".d.ts", ".jsx"]),
    (".jsx", &[".tsx", ".d.ts"]),
    (".mjs", &[".mts", ".d.mts"]),
    (".cjs", &[".cts", ".d.cts"]),
];

/// The most links that are followed for one path.
const HOPS: usize = 10;

impl<'a> Lookup<'a> {
    pub(super) fn new(files: &'a Files<'a>) -> Self {
        let links = files.iter().filter(|(_, entry)| entry.kind == Kind::Link).filter_map(|(path, entry)| {
            let target = files.read(entry.id).ok().and_then(|target| String::from_utf8(target).ok())?;
            Some((path, resolve(path::folder(path), &target)?))
        });
        Self { files, links: links.collect(), manifests: Mutex::default() }
    }

    pub(super) fn has_folder(&self, path: &str) -> bool {
        self.files.has_folder(path)
    }

    /// The file that a path means: itself, with an extension, what it is compiled from, or what a folder stands for.
    pub(super) fn file(&self, path: &str) -> Option<String> {
        self.tracked(path)
            .or_else(|| self.substitute(path))
            .or_else(|| self.extended(path))
            .or_else(|| self.index(path))
    }

    pub(super) fn tracked(&self, path: &str) -> Option<String> {
        self.files.has(path).then(|| path.to_owned())
    }

    pub(super) fn substitute(&self, path: &str) -> Option<String> {
        let (_, others) = SUBSTITUTES.iter().find(|(extension, _)| path.ends_with(extension))?;
        let stem = &path[..path.rfind('.')?];
        others.iter().find_map(|other| self.tracked(&format!("{stem}{other}")))
    }

    pub(super) fn extended(&self, path: &str) -> Option<String> {
        let mut candidate = path.to_owned();
        EXTENSIONS.iter().find_map(|extension| {
            candidate.truncate(path.len());
            candidate.push_str(extension);
            self.tracked(&candidate)
        })
    }

    fn index(&self, folder: &str) -> Option<String> {
        if !self.files.has_folder(folder) {
            return None;
        }
        let modules = self.manifest(folder).map(|manifest| manifest.modules("")).unwrap_or_default();
        let main = modules.iter().filter_map(|module| resolve(folder, module)).find_map(|module| {
            self.tracked(&module).or_else(|| self.substitute(&module)).or_else(|| self.extended(&module))
        });
        main.or_else(|| self.extended(&path::join(folder, "index")))
    }

    /// Sass leaves out the `_` of a partial (<https://sass-lang.com/documentation/at-rules/use/#partials>).
    pub(super) fn partial(&self, path: &str) -> Option<String> {
        let name = path::name(path);
        let hidden = path::join(path::folder(path), &format!("_{name}"));
        self.tracked(&hidden).or_else(|| self.extended(&hidden)).or_else(|| self.extended(&path::join(path, "_index")))
    }

    /// A path as it is behind symbolic links.
    pub(super) fn behind_links<'p>(&self, path: &'p str) -> Cow<'p, str> {
        let mut path = Cow::Borrowed(path);
        if self.links.is_empty() {
            return path;
        }
        for _ in 0..HOPS {
            let mut ends = path.match_indices('/').map(|(end, _)| end).chain([path.len()]);
            let Some((end, target)) = ends.find_map(|end| Some((end, self.links.get(&path[..end])?))) else { break };
            path = path::join(target, path[end..].trim_start_matches('/')).into();
        }
        path
    }

    /// The nearest folder of a path that has files.
    pub(super) fn nearest(&self, path: &str) -> String {
        let mut folder = path;
        while !folder.is_empty() && !self.files.has_folder(folder) {
            folder = path::folder(folder);
        }
        folder.to_owned()
    }

    pub(super) fn manifest(&self, folder: &str) -> Option<Arc<Manifest>> {
        let path = path::join(folder, "package.json");
        if !self.files.has(&path) {
            return None;
        }
        let known = |manifests: &HashMap<_, Option<_>>| manifests.get(folder).cloned();
        if let Some(manifest) = known(&self.manifests.lock().unwrap_or_else(PoisonError::into_inner)) {
            return manifest;
        }
        // One that cannot be read is told by who reads the workspace.
        let manifest = self.files.text(&path).ok().flatten().map(|text| Arc::new(Manifest::read(&text)));
        self.manifests.lock().unwrap_or_else(PoisonError::into_inner).insert(folder.to_owned(), manifest.clone());
        manifest
    }
}
