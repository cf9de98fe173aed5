//! What Nx says: which files are inputs of a target (<https://nx.dev/reference/inputs>), and which parts of `nx.json` reach it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::expansion::Expansion;
use super::manifests::{self, Syntax, entries, texts};
use super::nxignore::Ignored;
use super::patterns::{self, Patterns};
use crate::digest::Digest;
use crate::files::Files;
use crate::path;
use crate::problem::Problem;
use crate::setting::Setting;

/// What a target reads that says nothing of it.
const DEFAULT_INPUTS: [&str; 2] = ["default", "^default"];

/// Targets that build an image, when a project has one.
const IMAGE_TARGETS: [&str; 4] = ["container", "docker-build", "docker:build", "build-image"];

/// Fields of a target that change how it is run, and not what comes out.
const HOW: [&str; 5] = ["cache", "parallelism", "continuous", "syncGenerators", "metadata"];

/// Fields of a target that tell what it reads.
pub(crate) const TELLING: [&str; 3] = ["executor", "inputs", "dependsOn"];

/// An Nx workspace: a folder with an `nx.json`.
#[derive(Debug)]
pub(crate) struct Nx {
    pub(crate) folder: String,
    pub(crate) json: Value,
    /// If it cannot be read, its bytes.
    pub(crate) broken: Option<Digest>,
    pub(crate) ignored: Option<Arc<Ignored>>,
    parts: Parts,
    /// Whether `targetDefaults` may tell projects apart.
    has_filters: bool,
}

/// The parts of an `nx.json` that may reach a project.
#[derive(Debug, Default)]
struct Parts {
    named_inputs: BTreeMap<String, Setting>,
    defaults: BTreeMap<String, Setting>,
    /// What reaches every project.
    global: Vec<Setting>,
}

/// What Nx knows of one project.
#[derive(Clone, Debug, Default)]
pub(crate) struct NxProject {
    /// Which workspace it is in.
    pub(crate) nx: usize,
    pub(crate) name: String,
    pub(crate) root: String,
    pub(crate) tags: Vec<String>,
    pub(crate) named_inputs: Map<String, Value>,
    /// By name, as far as they tell of inputs; null for those that plugins make.
    pub(crate) targets: Arc<Targets>,
    /// Patterns, each with the file that has it.
    pub(crate) implicit: Vec<(String, String)>,
}

/// Targets by name.
pub(crate) type Targets = BTreeMap<String, Value>;

/// All projects of the workspace, to look up those that an input names.
pub(crate) type Others<'a> = &'a dyn Fn() -> Vec<&'a NxProject>;

/// What targets read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Inputs {
    /// Files of the project itself, by lists of patterns below its root, each enough; `None` is all of them.
    pub(crate) own: Option<Vec<Patterns>>,
    /// Files anywhere, by patterns below the repository's root.
    pub(crate) shared: Patterns,
    /// What they read of dependencies, by names.
    pub(crate) dependencies: BTreeSet<String>,
    /// The named inputs that were looked up.
    pub(crate) used: BTreeSet<String>,
    /// The targets whose defaults were looked up.
    pub(crate) defaults: BTreeSet<String>,
    /// Whether the project's own name or folder has a part in them: who says the same reads something else.
    pub(crate) is_personal: bool,
}

/// What comes before a target, however far.
#[derive(Debug, Default)]
pub(crate) struct Before {
    /// The targets of the same project.
    targets: BTreeSet<String>,
    /// The other projects of which a target is named, as patterns.
    pub(crate) projects: BTreeSet<String>,
}

impl Nx {
    /// Reads the workspace in a folder.
    pub(crate) fn read(files: &Files<'_>, folder: &str, problems: &mut Vec<Problem>) -> Self {
        let path = path::join(folder, "nx.json");
        let (json, broken) = match manifests::read(files, &path, Syntax::Jsonc) {
            Ok(json) => (json.unwrap_or_default(), None),
            Err(problem) => {
                problems.push(problem);
                (Value::Null, Some(Digest::of(files.get(&path).map(|entry| entry.id.0))))
            }
        };
        let ignored = match files.text(&path::join(folder, ".nxignore")) {
            Ok(text) => text.and_then(|text| Ignored::parse(folder, &text)).map(Arc::new),
            Err(problem) => {
                problems.push(problem);
                None
            }
        };
        let parts = Parts::of(&path.as_str().into(), &json);
        let has_filters = entries(&json, "targetDefaults").any(|(_, default)| default.is_array());
        let nx = Self { folder: folder.to_owned(), json, broken, ignored, parts, has_filters };
        problems.extend(nx.complaints(&path));
        nx
    }

    fn complaints(&self, path: &str) -> Vec<Problem> {
        let named = entries(&self.json, "namedInputs").map(|(_, list)| list);
        let defaults = entries(&self.json, "targetDefaults").filter_map(|(_, target)| target.get("inputs"));
        let filesets = named.chain(defaults).flat_map(|list| list.as_array().into_iter().flatten()).filter_map(fileset);
        complaints(path, filesets)
    }

    /// What a task of a project reads: its own target of this name, or what is said for all targets of this name, and the targets
    /// on the same project that it depends on. A target that builds an image (see [`IMAGE_TARGETS`]) adds the inputs that are
    /// written down for it; without any, what it reads is in its Dockerfile. Who says nothing reads everything.
    pub(crate) fn inputs<'a>(&'a self, project: &'a NxProject, task: &str, others: Others<'a>) -> Inputs {
        let mut inputs = Inputs { own: Some(Vec::new()), is_personal: self.has_filters, ..Inputs::default() };
        if self.broken.is_some() {
            inputs.own = None;
            return inputs;
        }
        let mut lists: Vec<Option<Vec<Value>>> = Vec::new();
        let image_targets =
            IMAGE_TARGETS.into_iter().filter(|name| *name != task && project.targets.contains_key(*name));
        for name in image_targets {
            inputs.defaults.insert(name.to_owned());
            lists.extend(self.declared(project, name).map(Some));
        }
        let declared = self.declared(project, task);
        if declared.is_some() || project.targets.contains_key(task) || lists.is_empty() {
            lists.push(declared);
        }
        inputs.defaults.insert(task.to_owned());
        for name in self.before(project, task).targets {
            lists.push(self.declared(project, &name));
            inputs.defaults.insert(name);
        }
        let default: Vec<Value> = DEFAULT_INPUTS.into_iter().map(Value::from).collect();
        for list in lists {
            let list = list.unwrap_or_else(|| default.clone());
            inputs = Expansion::take(self, project, others, inputs, &list);
        }
        inputs
    }

    /// What is read of a dependency by who reads these named inputs of it.
    pub(crate) fn inputs_of_dependency(&self, project: &NxProject, names: &BTreeSet<String>) -> Inputs {
        let mut inputs = Inputs { own: Some(Vec::new()), ..Inputs::default() };
        if self.broken.is_some() {
            inputs.own = None;
            return inputs;
        }
        let list: Vec<Value> = names.iter().map(|name| name.as_str().into()).collect();
        Expansion::take(self, project, &Vec::new, inputs, &list)
    }

    /// What dependents read of their dependencies when it is not known who they are.
    pub(crate) fn names_for_dependents(&self, task: &str) -> BTreeSet<String> {
        let nobody = NxProject::default();
        self.inputs(&nobody, task, &Vec::new).dependencies
    }

    /// The inputs that a target is said to have; `None` if nothing is said.
    fn declared(&self, project: &NxProject, target: &str) -> Option<Vec<Value>> {
        let own = project.targets.get(target);
        let default = self.default_of(project, target, "inputs").and_then(|value| value.as_array().cloned());
        match own.and_then(|own| own.get("inputs")).and_then(Value::as_array) {
            // `...` stands for what there would be without it.
            Some(own) => {
                let spread = |value: &Value| match value.as_str() {
                    Some("...") => default.clone().unwrap_or_default(),
                    _ => vec![value.clone()],
                };
                Some(own.iter().flat_map(spread).collect())
            }
            // A plugin's target reads what is meant for production, where that is told.
            None if default.is_none() && own.is_some_and(Value::is_null) => {
                let is_told = self.json.get("namedInputs").is_some_and(|named| named.get("production").is_some());
                is_told.then(|| ["production", "^production"].map(Value::from).to_vec())
            }
            None => default,
        }
    }

    /// A field of a target as `targetDefaults` has it: for its executor, else its name, else a pattern of names.
    fn default_of(&self, project: &NxProject, target: &str, field: &str) -> Option<&Value> {
        let own = project.targets.get(target);
        let executor = own.and_then(|own| own.get("executor")).and_then(Value::as_str);
        let defaults = self.json.get("targetDefaults")?.as_object()?;
        let key = self.default_key(executor, target)?;
        match defaults.get(key)? {
            Value::Array(list) => {
                let fits = |entry: &&Value| self.fits(entry.get("filter"), project, target, executor);
                list.iter().filter(fits).filter_map(|entry| entry.get(field)).next_back()
            }
            entry => entry.get(field),
        }
    }

    fn default_key<'n>(&'n self, executor: Option<&str>, target: &str) -> Option<&'n str> {
        let defaults = self.json.get("targetDefaults")?.as_object()?;
        let exact = executor.into_iter().chain([target]).find_map(|name| defaults.get_key_value(name));
        let by_pattern = || {
            let fits = |(key, _): &(&String, &Value)| {
                patterns::is_pattern(key)
                    && patterns::glob(key).is_ok_and(|glob| glob.compile_matcher().is_match(target))
            };
            defaults.iter().find(fits)
        };
        exact.or_else(by_pattern).map(|(key, _)| key.as_str())
    }

    fn fits(&self, filter: Option<&Value>, project: &NxProject, target: &str, executor: Option<&str>) -> bool {
        let Some(filter) = filter else { return true };
        let by_executor = filter.get("executor").and_then(Value::as_str).is_none_or(|name| Some(name) == executor);
        // Plugins make the targets that no file declares.
        let by_plugin = filter.get("plugin").is_none() || project.targets.get(target).is_none_or(Value::is_null);
        let mut by_project = filter.get("projects").is_none();
        for pattern in texts(filter.get("projects")) {
            match pattern.strip_prefix('!') {
                Some(pattern) => by_project &= !project.is_meant_by(pattern),
                None => by_project |= project.is_meant_by(pattern),
            }
        }
        by_executor && by_plugin && by_project
    }

    /// What comes before a target, by `dependsOn`
    /// (<https://nx.dev/reference/project-configuration#dependson>).
    pub(crate) fn before(&self, project: &NxProject, task: &str) -> Before {
        let (mut before, mut queue) = (Before::default(), vec![task.to_owned()]);
        while let Some(target) = queue.pop() {
            let own = project.targets.get(&target).and_then(|own| own.get("dependsOn"));
            let list = own.or_else(|| self.default_of(project, &target, "dependsOn"));
            for entry in list.and_then(Value::as_array).into_iter().flatten() {
                let elsewhere = entry.get("projects").into_iter().flat_map(|projects| texts(Some(projects)));
                let elsewhere: Vec<&str> = elsewhere.chain(entry.get("projects").and_then(Value::as_str)).collect();
                let is_elsewhere = elsewhere.iter().any(|name| *name != "self")
                    || entry.get("dependencies").and_then(Value::as_bool) == Some(true);
                let named = elsewhere.into_iter().filter(|name| !matches!(*name, "self" | "dependencies"));
                before.projects.extend(named.map(str::to_owned));
                let name = entry.as_str().or_else(|| entry.get("target").and_then(Value::as_str));
                let Some(name) = name.filter(|name| !name.starts_with('^') && !is_elsewhere) else { continue };
                let glob = patterns::is_pattern(name).then(|| patterns::glob(name).map(|glob| glob.compile_matcher()));
                let is_meant = |target: &str| match &glob {
                    Some(glob) => glob.as_ref().is_ok_and(|glob| glob.is_match(target)),
                    None => target == name,
                };
                for target in project.targets.keys().filter(|target| is_meant(target) && *target != task) {
                    if before.targets.insert(target.clone()) {
                        queue.push(target.clone());
                    }
                }
            }
        }
        before
    }

    /// The parts of `nx.json` that reach who reads these inputs.
    pub(crate) fn settings(&self, project: &NxProject, inputs: &Inputs, settings: &mut BTreeSet<Setting>) {
        if let Some(digest) = self.broken {
            settings.insert(Setting::whole(&path::join(&self.folder, "nx.json"), digest));
            return;
        }
        settings.extend(inputs.used.iter().filter_map(|name| self.parts.named_inputs.get(name)).cloned());
        let defaults = inputs.defaults.iter().filter_map(|target| {
            let executor = project.targets.get(target).and_then(|own| own.get("executor")).and_then(Value::as_str);
            self.parts.defaults.get(self.default_key(executor, target)?)
        });
        settings.extend(defaults.chain(&self.parts.global).cloned());
    }
}

impl Parts {
    fn of(file: &Arc<str>, json: &Value) -> Self {
        let part =
            |of: &str, name: &str, value: &Value| (name.to_owned(), Setting::of(file, format!("{of}.{name}"), value));
        let named_inputs = entries(json, "namedInputs").map(|(name, value)| part("namedInputs", name, value));
        let defaults = entries(json, "targetDefaults");
        let defaults = defaults.map(|(name, value)| part("targetDefaults", name, &without(value, &HOW)));
        let global = ["plugins", "pluginsConfig", "extends"].into_iter();
        let global = global.filter_map(|key| Some(Setting::of(file, key.to_owned(), json.get(key)?)));
        Self { named_inputs: named_inputs.collect(), defaults: defaults.collect(), global: global.collect() }
    }
}

impl NxProject {
    /// Whether a pattern, as `implicitDependencies` has them, means this project
    /// (<https://nx.dev/reference/project-configuration#implicitdependencies>).
    pub(crate) fn is_meant_by(&self, pattern: &str) -> bool {
        let fits = |text: &str, pattern: &str| {
            text == pattern
                || (patterns::is_pattern(pattern)
                    && globset::Glob::new(pattern).is_ok_and(|glob| glob.compile_matcher().is_match(text)))
        };
        match pattern.split_once(':') {
            Some(("tag", pattern)) => self.tags.iter().any(|tag| fits(tag, pattern)),
            Some(("name", pattern)) => fits(&self.name, pattern),
            Some(("directory", pattern)) => fits(&self.root, pattern),
            _ => fits(&self.name, pattern) || fits(&self.root, pattern),
        }
    }

    /// What in this project's own inputs cannot be understood.
    pub(crate) fn complaints(&self) -> Vec<Problem> {
        let lists = self.targets.values().filter_map(|target| target.get("inputs")).chain(self.named_inputs.values());
        let filesets = lists.flat_map(|list| list.as_array().into_iter().flatten()).filter_map(fileset);
        complaints(&path::join(&self.root, "project.json"), filesets)
    }
}

fn complaints<'v>(path: &str, filesets: impl Iterator<Item = &'v str>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for text in filesets.filter(|text| text.contains("{projectRoot}") || text.contains("{workspaceRoot}")) {
        let rest = text.trim_start_matches('!').split_once("Root}").map_or(text, |(_, rest)| rest);
        if let Some(complaint) = patterns::complaint(rest.trim_start_matches('/')) {
            problems.push(Problem::new(path, format!("input `{text}`: {complaint}; every file counts for it")));
        }
    }
    problems
}

/// The fileset that an input is, if it is one.
pub(crate) fn fileset(value: &Value) -> Option<&str> {
    value.as_str().or_else(|| value.get("fileset")?.as_str()).or_else(|| value.get("json")?.as_str())
}

/// A value without some of its fields; in a list, each of its items.
pub(crate) fn without(value: &Value, fields: &[&str]) -> Value {
    match value {
        Value::Array(items) => items.iter().map(|item| without(item, fields)).collect(),
        Value::Object(entries) => {
            let kept = entries.iter().filter(|(key, _)| !fields.contains(&key.as_str()));
            Value::Object(kept.map(|(key, value)| (key.clone(), value.clone())).collect())
        }
        simple => simple.clone(),
    }
}
