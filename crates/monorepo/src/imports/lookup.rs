//! The files of a commit, as modules are looked for among them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use foldhash::{HashMap, HashSet};

use super::manifest::Manifest;
use super::place::{folder_of, inside, join};
use crate::files::{Files, Kind};

/// Finds the files of a commit.
#[derive(Debug)]
pub(super) struct Lookup<'a> {
    files: &'a Files<'a>,
    /// All files, and all folders of them.
    paths: HashSet<&'a str>,
    folders: HashSet<&'a str>,
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
        let (mut paths, mut folders, mut links) = (HashSet::default(), HashSet::default(), BTreeMap::new());
        for (path, entry) in files.iter() {
            paths.insert(path);
            let mut folder = folder_of(path);
            while folders.insert(folder) && !folder.is_empty() {
                folder = folder_of(folder);
            }
            if entry.kind == Kind::Link {
                let target = files.read(entry.id).ok().and_then(|target| String::from_utf8(target).ok());
                links.extend(target.and_then(|target| join(folder_of(path), &target)).map(|target| (path, target)));
            }
        }
        Self { files, paths, folders, links, manifests: Mutex::default() }
    }

    pub(super) fn has_folder(&self, path: &str) -> bool {
        self.folders.contains(path)
    }

    /// The file that a path means: itself, with an extension, what it is compiled from, or what a folder stands for.
    pub(super) fn file(&self, path: &str) -> Option<String> {
        self.tracked(path)
            .or_else(|| self.substitute(path))
            .or_else(|| self.extended(path))
            .or_else(|| self.index(path))
    }

    pub(super) fn tracked(&self, path: &str) -> Option<String> {
        self.paths.contains(path).then(|| path.to_owned())
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
        if !self.folders.contains(folder) {
            return None;
        }
        let modules = self.manifest(folder).map(|manifest| manifest.modules("")).unwrap_or_default();
        let main = modules.iter().filter_map(|module| join(folder, module)).find_map(|module| {
            self.tracked(&module).or_else(|| self.substitute(&module)).or_else(|| self.extended(&module))
        });
        main.or_else(|| self.extended(&inside(folder, "index")))
    }

    /// Sass leaves out the `_` of a partial (<https://sass-lang.com/documentation/at-rules/use/#partials>).
    pub(super) fn partial(&self, path: &str) -> Option<String> {
        let name = path.rsplit('/').next()?;
        let hidden = inside(folder_of(path), &format!("_{name}"));
        self.tracked(&hidden).or_else(|| self.extended(&hidden)).or_else(|| self.extended(&inside(path, "_index")))
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
            path = inside(target, path[end..].trim_start_matches('/')).into();
        }
        path
    }

    /// The nearest folder of a path that has files.
    pub(super) fn nearest(&self, path: &str) -> String {
        let mut folder = path;
        while !self.folders.contains(folder) && !folder.is_empty() {
            folder = folder_of(folder);
        }
        folder.to_owned()
    }

    pub(super) fn manifest(&self, folder: &str) -> Option<Arc<Manifest>> {
        let path = inside(folder, "package.json");
        if !self.paths.contains(path.as_str()) {
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
