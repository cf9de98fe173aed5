//! What Turborepo says: which files are inputs of a task (<https://turborepo.com/docs/reference/configuration>), and which parts
//! of `turbo.json` reach it.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::manifests::{self, Syntax, texts};
use super::nx::without;
use super::patterns::Patterns;
use crate::digest::Digest;
use crate::files::Files;
use crate::path;
use crate::problem::Problem;
use crate::setting::Setting;

/// Scripts that build an image, when a package has one.
const IMAGE_TASKS: [&str; 4] = ["container", "docker-build", "docker:build", "build-image"];

/// Fields of a task that change how it is run, and not what comes out.
const HOW: [&str; 9] = [
    "cache",
    "persistent",
    "interactive",
    "interruptible",
    "outputLogs",
    "outputMode",
    "description",
    "with",
    "$schema",
];

/// A Turborepo: a folder with a `turbo.json` that extends no other.
#[derive(Debug)]
pub(crate) struct Turbo {
    pub(crate) folder: String,
    file: Arc<str>,
    json: Value,
    broken: Option<Digest>,
    /// Its parts that reach every project, and its tasks.
    global: Vec<Setting>,
    tasks: BTreeMap<String, Setting>,
}

/// What Turborepo knows of one package.
#[derive(Debug, Default)]
pub(crate) struct TurboProject {
    /// Which repository it is in.
    pub(crate) turbo: usize,
    pub(crate) name: String,
    pub(crate) root: String,
    pub(crate) scripts: BTreeSet<String>,
    /// Its own `turbo.json`.
    pub(crate) json: Value,
    /// It has one that cannot be read.
    pub(crate) is_broken: bool,
}

/// What tasks read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Inputs {
    /// Files of the package, by lists of patterns below its root; `None` is all of them.
    pub(crate) own: Option<Vec<Patterns>>,
    /// Files anywhere, by patterns below the repository's root.
    pub(crate) shared: Patterns,
    /// The tasks of dependencies that come before.
    pub(crate) dependencies: BTreeSet<String>,
    /// The packages of which a task is named that comes before.
    pub(crate) packages: BTreeSet<String>,
    /// Whether the package's own name or folder has a part in them: who says the same reads something else.
    pub(crate) is_personal: bool,
    tasks: BTreeSet<String>,
}

/// A `turbo.json`, or `turbo.jsonc`, in a folder, with its path; `None` if there is none.
pub(crate) fn read(files: &Files<'_>, folder: &str) -> Option<(String, Result<Value, Problem>)> {
    let path =
        ["turbo.json", "turbo.jsonc"].map(|name| path::join(folder, name)).into_iter().find(|path| files.has(path))?;
    let json = manifests::read(files, &path, Syntax::Jsonc).map(Option::unwrap_or_default);
    Some((path, json))
}

/// Whether a `turbo.json` is a package's, and builds on the one at the root.
pub(crate) fn extends(json: &Value) -> bool {
    texts(json.get("extends")).any(|name| name == "//")
}

impl Turbo {
    /// The repository that a `turbo.json` makes.
    pub(crate) fn new(files: &Files<'_>, folder: &str, file: String, json: Option<Value>) -> Self {
        let broken = json.is_none().then(|| Digest::of(files.get(&file).map(|entry| entry.id.0)));
        let (file, json): (Arc<str>, Value) = (file.into(), json.unwrap_or_default());
        let global = ["globalEnv", "globalPassThroughEnv"].into_iter();
        let global = global.filter_map(|key| Some(Setting::of(&file, key.to_owned(), json.get(key)?))).collect();
        let tasks = Self::tasks(&json).into_iter().flat_map(|(key, tasks)| tasks.iter().map(move |task| (key, task)));
        let tasks = tasks.map(|(key, (name, value))| {
            (name.clone(), Setting::of(&file, format!("{key}.{name}"), &without(value, &HOW)))
        });
        let tasks = tasks.collect();
        Self { folder: folder.to_owned(), file, json, broken, global, tasks }
    }

    /// What a task of a package reads: its inputs, those of the tasks on the same package that it depends on, and those that are
    /// written down for a script that builds an image. Who says nothing reads everything.
    pub(crate) fn inputs(&self, project: &TurboProject, task: &str) -> Inputs {
        let mut inputs = Inputs { own: Some(Vec::new()), ..Inputs::default() };
        // A task may be that of one package alone: `package#task`.
        inputs.is_personal = self.tasks.keys().any(|task| task.contains('#'));
        for pattern in texts(self.json.get("globalDependencies")) {
            self.share(&mut inputs.shared, &self.folder, pattern);
        }
        let mut queue = vec![task.to_owned()];
        let image_tasks = IMAGE_TASKS.into_iter().filter(|name| project.scripts.contains(*name));
        queue.extend(image_tasks.filter(|name| self.declares_inputs(project, name)).map(str::to_owned));
        while let Some(task) = queue.pop() {
            if !inputs.tasks.insert(task.clone()) {
                continue;
            }
            let definition = self.definition(project, &task);
            let definition = definition.as_deref();
            self.take(project, definition, &mut inputs);
            for before in texts(definition.and_then(|definition| definition.get("dependsOn"))) {
                inputs.is_personal |= before.contains('#');
                match (before.strip_prefix('^'), before.split_once('#')) {
                    (Some(task), _) => drop(inputs.dependencies.insert(task.to_owned())),
                    (None, Some((package, task))) if package == project.name => queue.push(task.to_owned()),
                    // `$NAME` is a variable of the environment, as Turborepo 1 had them.
                    _ if before.starts_with('$') => {}
                    (None, Some((package, _))) => drop(inputs.packages.insert(package.to_owned())),
                    // A script that the package does not have is not run.
                    (None, None) if project.scripts.contains(before) => queue.push(before.to_owned()),
                    (None, None) => {}
                }
            }
        }
        if self.broken.is_some() || project.is_broken {
            inputs.own = None;
        }
        inputs
    }

    /// What is read of a dependency: what its own task reads, and those of its tasks that come before.
    pub(crate) fn inputs_of_dependency(&self, project: &TurboProject, task: &str, before: &BTreeSet<String>) -> Inputs {
        let mut inputs = self.inputs(project, task);
        for task in before.iter().filter(|before| *before != task && project.scripts.contains(*before)) {
            let more = self.inputs(project, task);
            inputs.own = inputs.own.zip(more.own).map(|(one, other)| [one, other].concat());
            inputs.shared.included.extend(more.shared.included);
            inputs.is_personal |= more.is_personal;
        }
        inputs
    }

    fn declares_inputs(&self, project: &TurboProject, task: &str) -> bool {
        self.definition(project, task).is_some_and(|definition| texts(definition.get("inputs")).next().is_some())
    }

    fn tasks(json: &Value) -> Option<(&'static str, &Map<String, Value>)> {
        ["tasks", "pipeline"].into_iter().find_map(|key| Some((key, json.get(key)?.as_object()?)))
    }

    /// A task as a package has it: `package#task` at the root, else `task` there, and over it what the package's own file says.
    fn definition(&self, project: &TurboProject, task: &str) -> Option<Cow<'_, Value>> {
        let at_root = Self::tasks(&self.json)
            .and_then(|(_, tasks)| tasks.get(&format!("{}#{task}", project.name)).or_else(|| tasks.get(task)));
        let own = Self::tasks(&project.json).and_then(|(_, tasks)| tasks.get(task)).and_then(Value::as_object);
        let Some(own) = own else { return at_root.map(Cow::Borrowed) };
        let mut definition = at_root.and_then(|value| value.as_object().cloned()).unwrap_or_default();
        for (key, value) in own {
            let extends = texts(Some(value)).any(|text| text == "$TURBO_EXTENDS$");
            match definition.get_mut(key).and_then(Value::as_array_mut).filter(|_| extends) {
                Some(list) => list.extend(value.as_array().into_iter().flatten().cloned()),
                None => drop(definition.insert(key.clone(), value.clone())),
            }
        }
        Some(Cow::Owned(Value::Object(definition)))
    }

    fn take(&self, project: &TurboProject, definition: Option<&Value>, inputs: &mut Inputs) {
        let (mut own, mut is_default) = (Patterns::default(), false);
        let listed: Vec<&str> = texts(definition.and_then(|definition| definition.get("inputs")))
            .filter(|text| *text != "$TURBO_EXTENDS$")
            .collect();
        for pattern in &listed {
            let (mark, path) = pattern.strip_prefix('!').map_or(("", *pattern), |path| ("!", path));
            if path == "$TURBO_DEFAULT$" {
                is_default = true;
            } else if let Some(path) = path.strip_prefix("$TURBO_ROOT$/") {
                self.share(&mut inputs.shared, &self.folder, &format!("{mark}{path}"));
            } else if path.starts_with("../") {
                inputs.is_personal = true;
                self.share(&mut inputs.shared, &project.root, pattern);
            } else {
                own.push(&format!("{mark}{}", path.trim_start_matches("./")));
            }
        }
        if is_default {
            own.included.clear();
        }
        // Inputs that are all elsewhere take nothing of the package but its manifest.
        let is_elsewhere = !listed.is_empty() && !is_default && own == Patterns::default();
        match &mut inputs.own {
            Some(_) if is_elsewhere => {}
            Some(lists) if own != Patterns::default() => lists.push(own),
            all => *all = None,
        }
    }

    fn share(&self, shared: &mut Patterns, folder: &str, pattern: &str) {
        let (mark, path) = pattern.strip_prefix('!').map_or(("", pattern), |path| ("!", path));
        let path = path.trim_start_matches("$TURBO_ROOT$/");
        // What lies outside of the repository is in no commit.
        if let Some(path) = path::resolve(folder, path) {
            shared.push(&format!("{mark}{path}"));
        }
    }

    /// The parts of `turbo.json` that reach who reads these inputs.
    pub(crate) fn settings(&self, project: &TurboProject, inputs: &Inputs, settings: &mut BTreeSet<Setting>) {
        if let Some(digest) = self.broken {
            settings.insert(Setting::whole(&self.file, digest));
            return;
        }
        settings.extend(self.global.iter().cloned());
        for task in inputs.tasks.iter().chain(&inputs.dependencies) {
            let own = self.tasks.get(&format!("{}#{task}", project.name));
            settings.extend(own.or_else(|| self.tasks.get(task)).cloned());
        }
    }

    /// Its file.
    pub(crate) fn file(&self) -> &str {
        &self.file
    }

    /// Whether a folder lies in this repository.
    pub(crate) fn holds(&self, folder: &str) -> bool {
        path::below(folder, &self.folder).is_some()
    }
}
