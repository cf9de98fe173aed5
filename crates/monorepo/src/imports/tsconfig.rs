//! What `tsconfig.json` files say (<https://www.typescriptlang.org/tsconfig/>): where specifiers lead, and what a project takes
//! from files that are not its own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use foldhash::HashMap;
use serde_json::Value;

use super::manifest::Manifest;
use super::paths::Paths;
use super::place::{package_of, resolve};
use crate::digest::Digest;
use crate::files::Files;
use crate::path;
use crate::problem::Problem;
use crate::setting::Setting;

/// The TypeScript configuration of a commit.
#[derive(Debug, Default)]
pub struct TypeScript {
    /// By path: every `tsconfig*.json` and `jsconfig*.json`, and what they extend.
    configs: BTreeMap<String, Config>,
    /// How specifiers are looked up in a folder that has configuration; what the compiler would take comes first.
    scopes: HashMap<String, Vec<Arc<Scope>>>,
}

/// A project that another one refers to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// The file that refers to it.
    pub file: String,
    /// The folder of the other project, or its configuration file.
    pub to: String,
}

/// One configuration file.
#[derive(Debug, Default)]
struct Config {
    /// Most projects' files are the same: they share it.
    value: Arc<Value>,
    /// The files that it extends; a later one wins over an earlier one.
    extends: Vec<String>,
    /// The digest of its bytes if it cannot be read.
    unread: Option<Digest>,
    /// What others may take of it, by part; told when somebody does.
    settings: OnceLock<HashMap<String, Setting>>,
}

/// What decides where the specifiers of a folder's files lead.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Scope {
    table: Table,
    /// The folder that the targets of `paths` are relative to.
    pub(super) paths_base: String,
    /// What `${configDir}` is.
    pub(super) folder: String,
    pub(super) base_url: Option<String>,
    pub(super) root_dirs: Vec<String>,
}

/// A table of `paths`, which is the same if its file is.
#[derive(Clone, Debug, Default)]
pub(super) struct Table(Arc<Paths>);

impl PartialEq for Table {
    fn eq(&self, other: &Self) -> bool {
        self.0.file == other.0.file
    }
}

impl Eq for Table {}

impl Scope {
    pub(super) fn paths(&self) -> &Paths {
        &self.table.0
    }
}

/// What a file says together with what it extends: a value and the file that it is from, by key.
type Effective<'c> = BTreeMap<&'c str, (&'c str, &'c Value)>;

/// The keys that change nothing that is built: they are for editors, for people, or said elsewhere.
const BESIDE: [&str; 8] =
    ["$schema", "extends", "references", "compilerOptions", "watchOptions", "compileOnSave", "display", "docs"];

impl TypeScript {
    /// Reads all configuration of a commit. `packages` are the folders of the workspace's packages, by name: one of them may
    /// be what others extend.
    pub fn read(files: &Files<'_>, packages: &BTreeMap<String, String>) -> (Self, Vec<Problem>) {
        let mut reader =
            Reader { files, packages, configs: BTreeMap::new(), known: HashMap::default(), problems: Vec::new() };
        let mut waiting: Vec<String> =
            files.iter().map(|(path, _)| path).filter(|path| is_config(path)).map(str::to_owned).collect();
        while let Some(path) = waiting.pop() {
            if !reader.configs.contains_key(&path) {
                let config = reader.config(&path);
                waiting.extend(config.extends.iter().cloned());
                reader.configs.insert(path, config);
            }
        }
        let Reader { configs, mut problems, .. } = reader;
        let mut typescript = Self { configs, scopes: HashMap::default() };
        problems.extend(typescript.cycles());
        typescript.scopes = typescript.scopes();
        problems.sort();
        (typescript, problems)
    }

    /// What the project in a folder takes from configuration files outside of it: what the files that it extends say and none
    /// of its own overrides, and all that the nearest configuration above says if it has none of its own. `counts` tells which
    /// of its own files take part in what is built (that of its tests may not). `paths` are not among them, see
    /// [`Self::paths_setting`]; nor are its own files, which count by their bytes.
    pub fn settings(&self, folder: &str, counts: impl Fn(&str) -> bool) -> Vec<Setting> {
        let own = self.below(folder).filter(|path| is_config(path) && counts(path));
        let mut settings: BTreeSet<Setting> = own.flat_map(|path| self.outside(path, folder)).collect();
        if !self.scopes.contains_key(folder) {
            settings.extend(self.above(folder).into_iter().flat_map(|path| self.outside(path, folder)));
        }
        settings.into_iter().collect()
    }

    /// One entry of a file's `paths`, to count for who is led by it.
    pub fn paths_setting(&self, file: &str, entry: &str) -> Setting {
        let options = self.configs.get(file).and_then(|config| config.value.get("compilerOptions"));
        let value = options.and_then(|options| options.get("paths")?.get(entry)).unwrap_or(&Value::Null);
        Setting::of(&file.into(), format!("paths[\"{entry}\"]"), value)
    }

    /// The projects outside of a folder that its configuration refers to: `tsc --build` builds them first.
    pub fn references(&self, folder: &str, counts: impl Fn(&str) -> bool) -> Vec<Reference> {
        let mut references = BTreeSet::new();
        for file in self.below(folder).filter(|path| is_config(path) && counts(path)) {
            let listed = self.configs.get(file).and_then(|config| config.value.get("references")?.as_array());
            let paths = listed.into_iter().flatten().filter_map(|reference| reference.get("path")?.as_str());
            let to = paths
                .filter_map(|path| resolve(path::folder(file), path))
                .filter(|to| path::below(to, folder).is_none());
            references.extend(to.map(|to| Reference { file: file.to_owned(), to }));
        }
        references.into_iter().collect()
    }

    /// How specifiers in a folder are looked up: by the nearest configuration, then by the root's, as Nx does.
    pub(super) fn scopes_at(&self, folder: &str) -> Vec<&Scope> {
        let mut near = Some(folder);
        while let Some(at) = near.filter(|at| !self.scopes.contains_key(*at)) {
            near = (!at.is_empty()).then(|| path::folder(at));
        }
        let mut scopes: Vec<&Scope> = Vec::new();
        for folder in [near.unwrap_or_default(), ""] {
            for scope in self.scopes.get(folder).into_iter().flatten() {
                if !scopes.contains(&scope.as_ref()) {
                    scopes.push(scope);
                }
            }
        }
        scopes
    }

    fn below<'c>(&'c self, folder: &str) -> impl Iterator<Item = &'c str> {
        let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let from = self.configs.range(prefix.clone()..);
        from.map(|(path, _)| path.as_str()).take_while(move |path| path.starts_with(&prefix))
    }

    /// The configuration of the nearest folder above, as bundlers look for it.
    fn above(&self, folder: &str) -> Option<&str> {
        let mut at = folder;
        while !at.is_empty() {
            at = path::folder(at);
            let names = ["tsconfig.json", "jsconfig.json"].map(|name| path::join(at, name));
            if let Some((path, _)) = names.iter().find_map(|name| self.configs.get_key_value(name)) {
                return Some(path);
            }
        }
        None
    }

    /// What holds for a file and is said outside of a folder.
    fn outside(&self, path: &str, folder: &str) -> Vec<Setting> {
        let mut settings = Vec::new();
        let own = |file: &str| path::below(file, folder).is_some();
        let said = |(key, (file, _)): (&&str, &(&str, &Value)), part: &str| {
            let config = self.configs.get(*file)?;
            config.settings.get_or_init(|| config.read_settings(file)).get(&format!("{part}{key}")).cloned()
        };
        let options = self.effective(path, |value| value.get("compilerOptions"));
        let options = options.iter().filter(|(key, (file, _))| **key != "paths" && !own(file));
        settings.extend(options.filter_map(|entry| said(entry, "compilerOptions.")));
        // Which files a configuration above compiles is its own matter.
        let is_own = own(path);
        let is_about_files = |key: &str| matches!(key, "files" | "include" | "exclude");
        let others = self.effective(path, Some);
        let others = others.iter().filter(|(key, (file, _))| !BESIDE.contains(key) && !own(file));
        let others = others.filter(|(key, _)| is_own || !is_about_files(key));
        settings.extend(others.filter_map(|entry| said(entry, "")));
        let broken = self.chain(path).into_iter().filter(|file| !own(file));
        settings.extend(broken.filter_map(|file| {
            let digest = self.configs.get(file)?.unread?;
            Some(Setting::whole(file, digest))
        }));
        settings
    }

    /// A part of a file together with the same part of what it extends.
    fn effective<'c>(&'c self, path: &'c str, part: impl Fn(&'c Value) -> Option<&'c Value>) -> Effective<'c> {
        let mut effective = Effective::new();
        for file in self.chain(path) {
            let entries = self.configs.get(file).and_then(|config| part(&config.value)).and_then(Value::as_object);
            effective.extend(entries.into_iter().flatten().map(|(key, value)| (key.as_str(), (file, value))));
        }
        effective
    }

    /// A file and all that it extends; what wins comes last. A file that extends itself is there once.
    fn chain<'c>(&'c self, path: &'c str) -> Vec<&'c str> {
        let (mut chain, mut waiting) = (Vec::new(), vec![path]);
        while let Some(file) = waiting.pop() {
            if !chain.contains(&file) {
                chain.push(file);
                waiting
                    .extend(self.configs.get(file).into_iter().flat_map(|config| &config.extends).map(String::as_str));
            }
        }
        chain.reverse();
        chain
    }

    /// Files that extend themselves, each cycle once.
    fn cycles(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut reported = BTreeSet::new();
        for start in self.configs.keys() {
            let reaches_itself = self
                .chain(start)
                .iter()
                .any(|file| self.configs.get(*file).is_some_and(|config| config.extends.contains(start)));
            if reaches_itself && reported.insert(start.clone()) {
                reported.extend(self.chain(start).into_iter().map(str::to_owned));
                problems.push(Problem::new(start, "extends itself, by way of others or not"));
            }
        }
        problems
    }

    fn scopes(&self) -> HashMap<String, Vec<Arc<Scope>>> {
        let mut tables: HashMap<&str, Table> = HashMap::default();
        let mut scopes: HashMap<String, Vec<Arc<Scope>>> = HashMap::default();
        let mut leaves: Vec<&String> = self.configs.keys().filter(|path| is_config(path)).collect();
        // What the compiler and editors take comes first.
        leaves.sort_by_key(|path| !path.ends_with("/tsconfig.json") && path.as_str() != "tsconfig.json");
        for path in leaves {
            let scope = Arc::new(self.scope(path, &mut tables));
            let known = scopes.entry(path::folder(path).to_owned()).or_default();
            if !known.contains(&scope) {
                known.push(scope);
            }
        }
        scopes
    }

    fn scope<'c>(&'c self, path: &'c str, tables: &mut HashMap<&'c str, Table>) -> Scope {
        let options = self.effective(path, |value| value.get("compilerOptions"));
        let folder = path::folder(path);
        let absolute = |file: &str, text: &str| absolute(path::folder(file), text, folder);
        let base_url = options.get("baseUrl").and_then(|(file, value)| absolute(file, value.as_str()?));
        let root_dirs = options.get("rootDirs").map(|(file, value)| {
            value.as_array().into_iter().flatten().filter_map(|root| absolute(file, root.as_str()?)).collect()
        });
        let paths = options.get("paths");
        let table = paths.map(|(file, value)| {
            tables.entry(file).or_insert_with(|| Table(Arc::new(Paths::new(file, value)))).clone()
        });
        let declared_in = paths.map(|(file, _)| path::folder(file).to_owned());
        Scope {
            table: table.unwrap_or_default(),
            paths_base: base_url.clone().or(declared_in).unwrap_or_default(),
            folder: folder.to_owned(),
            base_url,
            root_dirs: root_dirs.unwrap_or_default(),
        }
    }
}

impl Config {
    /// What others may take of it: its options but for `paths`, and what stands beside them.
    fn read_settings(&self, file: &str) -> HashMap<String, Setting> {
        let file: Arc<str> = file.into();
        let options = self.value.get("compilerOptions").and_then(Value::as_object).into_iter().flatten();
        let options = options.filter(|(key, _)| *key != "paths");
        let options = options.map(|(key, value)| (format!("compilerOptions.{key}"), value));
        let others = self.value.as_object().into_iter().flatten().filter(|(key, _)| !BESIDE.contains(&key.as_str()));
        let parts = options.chain(others.map(|(key, value)| (key.clone(), value)));
        parts.map(|(part, value)| (part.clone(), Setting::of(&file, part, value))).collect()
    }
}

/// A path in a file of a folder, relative to the root; `${configDir}` is the folder of the file that is built with.
pub(super) fn absolute(folder: &str, path: &str, config_dir: &str) -> Option<String> {
    match path.strip_prefix("${configDir}") {
        Some(rest) => resolve(config_dir, rest.trim_start_matches('/')),
        None => resolve(folder, path),
    }
}

/// Whether a file is configuration by its name.
fn is_config(path: &str) -> bool {
    let name = path::name(path);
    let is_named = name.starts_with("tsconfig") || name.starts_with("jsconfig");
    is_named && name.ends_with(".json") && !path.split('/').any(|segment| segment == "node_modules")
}

/// What is read so far.
struct Reader<'r> {
    files: &'r Files<'r>,
    packages: &'r BTreeMap<String, String>,
    configs: BTreeMap<String, Config>,
    /// What was read, by its text.
    known: HashMap<String, Arc<Value>>,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn config(&mut self, path: &str) -> Config {
        let text = match self.files.text(path) {
            Ok(text) => text.unwrap_or_default(),
            Err(problem) => return self.unread(path, problem),
        };
        let value = match self.known.get(&text) {
            Some(value) => Arc::clone(value),
            None => match jsonc_parser::parse_to_serde_value(&text, &jsonc_parser::ParseOptions::default()) {
                Ok(value) => Arc::clone(self.known.entry(text).or_insert(Arc::new(value))),
                // The compiler takes an empty file as one that says nothing.
                Err(_) if text.trim().is_empty() => Arc::default(),
                Err(error) => {
                    let problem = Problem::new(path, format!("not JSON: {}", error.kind())).at(error.line_display());
                    return self.unread(path, problem);
                }
            },
        };
        let extends = match value.get("extends") {
            Some(Value::String(one)) => vec![one.as_str()],
            Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let extends = extends.into_iter().filter_map(|name| self.extended(path, name)).collect();
        Config { value, extends, ..Config::default() }
    }

    fn unread(&mut self, path: &str, problem: Problem) -> Config {
        self.problems.push(problem);
        let id = self.files.get(path).map(|entry| entry.id.0);
        Config { unread: Some(Digest::of(id)), ..Config::default() }
    }

    /// The file that another one extends; `None` if it comes from outside of the repository.
    fn extended(&mut self, path: &str, name: &str) -> Option<String> {
        let found = if name.starts_with('.') || name.starts_with("${configDir}") {
            let place = absolute(path::folder(path), name, path::folder(path));
            place.and_then(|place| {
                self.first([place.clone(), format!("{place}.json"), path::join(&place, "tsconfig.json")])
            })
        } else {
            let (package, subpath) = package_of(name)?;
            let folder = self.packages.get(package)?;
            self.first(self.in_package(folder, subpath))
        };
        // What starts with a dot is made by a framework before it builds (`.nuxt`, `.svelte-kit`).
        let is_generated =
            name.split('/').any(|segment| segment.starts_with('.') && !segment.trim_matches('.').is_empty());
        if found.is_none() && !is_generated {
            self.problems.push(Problem::new(path, format!("extends `{name}`, which is not in the repository")));
        }
        found
    }

    fn in_package(&self, folder: &str, subpath: &str) -> Vec<String> {
        let text = self.files.text(&path::join(folder, "package.json")).ok().flatten();
        let manifest = text.map(|text| Manifest::read(&text)).unwrap_or_default();
        let mut places = manifest.modules(subpath);
        if subpath.is_empty() {
            places.extend(manifest.tsconfig);
            places.push("tsconfig.json".to_owned());
        } else {
            places.extend([subpath.to_owned(), format!("{subpath}.json"), format!("{subpath}/tsconfig.json")]);
        }
        places.retain(|place| place.ends_with(".json"));
        places.iter().filter_map(|place| resolve(folder, place)).collect()
    }

    fn first(&self, places: impl IntoIterator<Item = String>) -> Option<String> {
        places.into_iter().find(|place| self.files.has(place))
    }
}

#[cfg(test)]
mod tests;
