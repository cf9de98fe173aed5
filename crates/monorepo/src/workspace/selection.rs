//! Which files count for what is built, and which parts of the root's configuration reach it.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use std::sync::{Arc, MutexGuard, PoisonError};

use foldhash::HashMap;

use super::nxignore::Ignored;
use super::patterns::{self, Compiled, Patterns};
use super::{Language, Member, ProjectId, Workspace, nx, turbo};
use crate::files::Files;
use crate::path;
use crate::setting::Setting;

/// Files of an npm workspace's root that change what is installed, or with what.
const PACKAGE_FILES: [&str; 9] = [
    ".npmrc",
    ".nvmrc",
    ".node-version",
    ".tool-versions",
    ".yarnrc",
    ".yarnrc.yml",
    ".pnpmfile.cjs",
    ".pnpmfile.mjs",
    "bunfig.toml",
];

/// Files of a Cargo workspace's root that change what is compiled, or with what.
const CARGO_FILES: [&str; 5] =
    ["rust-toolchain", "rust-toolchain.toml", ".cargo/config", ".cargo/config.toml", ".tool-versions"];

/// Files that count in any project: they say what it is.
const MANIFESTS: [&str; 5] = ["package.json", "project.json", "Cargo.toml", "turbo.json", "turbo.jsonc"];

/// As what a project is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// By itself.
    Own,
    /// As a dependency, of which somebody reads this much.
    Dependency(Reads),
}

/// What somebody reads of dependencies: the `^production` of its inputs (see [`Workspace::reads`]). The same for all that read the
/// same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reads(usize);

/// What [`Reads`] stands for: named inputs of Nx, tasks of Turborepo.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Names {
    nx: BTreeSet<String>,
    turbo: BTreeSet<String>,
}

/// Which files of a project count. Cheap to clone; what is compiled is shared between projects with the same patterns.
#[derive(Clone, Debug)]
pub struct Selection {
    lists: Lists,
    /// What Nx does not see, and the project's root, from which that is told.
    ignored: Option<(Arc<Ignored>, Arc<str>)>,
}

/// A whole file outside of a project that reaches it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shared {
    /// The file.
    pub path: String,
    /// The file that lists it (`nx.json`, `turbo.json`); `None` for one that its tool reads without being told.
    pub listed_by: Option<String>,
}

/// What was asked before.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    names: Vec<Names>,
    compiled: HashMap<Vec<Patterns>, Arc<Vec<Compiled>>>,
    /// The files that a shared pattern means.
    matched: HashMap<String, Arc<Vec<String>>>,
    /// The files that are there of those that are read without being told, by folder and how many there may be.
    unasked: HashMap<(String, usize), Vec<String>>,
    inputs: HashMap<String, HashMap<(ProjectId, Role), Known>>,
    /// The same, each once: most projects read as others do.
    distinct: HashMap<Arc<Inputs>, Lists>,
    settings: HashMap<(ProjectId, String), Arc<[Setting]>>,
}

/// Lists of patterns, each enough; `None` is every file.
type Lists = Option<Arc<Vec<Compiled>>>;

/// What a task reads, and which files of the project itself these are.
#[derive(Clone, Debug)]
struct Known {
    inputs: Arc<Inputs>,
    lists: Lists,
}

/// What a task reads, as each tool tells.
#[derive(Debug, Default, PartialEq, Eq, Hash)]
struct Inputs {
    nx: Option<nx::Inputs>,
    turbo: Option<turbo::Inputs>,
}

impl Workspace {
    /// What the task of a consumer reads of what it depends on; without a consumer, what is said for all that have the task.
    pub fn reads(&self, consumer: Option<ProjectId>, task: &str) -> Reads {
        let names = match consumer {
            Some(consumer) => {
                let inputs = self.inputs(consumer, Role::Own, task);
                Names {
                    nx: inputs.nx.as_ref().map(|nx| nx.dependencies.clone()).unwrap_or_default(),
                    turbo: inputs.turbo.as_ref().map(|turbo| turbo.dependencies.clone()).unwrap_or_default(),
                }
            }
            None => Names {
                nx: self.nx.iter().flat_map(|nx| nx.names_for_dependents(task)).collect(),
                turbo: BTreeSet::new(),
            },
        };
        let mut asked = self.asked();
        let place = asked.names.iter().position(|known| *known == names).unwrap_or_else(|| {
            asked.names.push(names);
            asked.names.len() - 1
        });
        Reads(place)
    }

    /// Which files of a project count for building with it.
    ///
    /// With Nx, the inputs of its target `task`, of the targets on the same project that this one depends on, and those written
    /// down for a target that builds an image (`container`, `docker-build`, `docker:build`, `build-image`); as a dependency, the
    /// named inputs that are read of it, or if there are none what its own task reads. With Turborepo, the inputs of the same
    /// tasks. With both, what either says. Without, every file. Its manifests always count.
    pub fn selection(&self, project: ProjectId, of: Role, task: &str) -> Selection {
        let Known { lists, .. } = self.known(project, of, task);
        let nx = self.members.get(project.0).and_then(|member| member.nx.as_ref());
        let ignored = nx.and_then(|project| {
            let ignored = self.nx.get(project.nx)?.ignored.clone()?;
            Some((ignored, Arc::from(project.root.as_str())))
        });
        Selection { lists, ignored }
    }

    /// The parts of the root's configuration that reach a project's build, in order. What a tsconfig and a lockfile say is told by
    /// [`crate::imports`] and [`crate::lockfile`].
    pub fn settings(&self, project: ProjectId, task: &str) -> Arc<[Setting]> {
        let key = (project, task.to_owned());
        if let Some(known) = self.asked().settings.get(&key) {
            return Arc::clone(known);
        }
        let settings: Arc<[Setting]> = self.read_settings(project, task).into_iter().collect();
        Arc::clone(self.asked().settings.entry(key).or_insert(settings))
    }

    fn read_settings(&self, project: ProjectId, task: &str) -> BTreeSet<Setting> {
        let mut settings = BTreeSet::new();
        let (Some(member), Some(root)) =
            (self.members.get(project.0), self.projects.get(project.0).map(|project| &project.root))
        else {
            return settings;
        };
        // A project at the root has the root's manifest as a file of its own.
        if let Some(package_root) = self.package_root(project).filter(|package_root| package_root.folder != *root) {
            settings.extend(package_root.settings.iter().cloned());
        }
        let inputs = self.inputs(project, Role::Own, task);
        if let (Some(known), Some(inputs)) = (&member.nx, &inputs.nx)
            && let Some(nx) = self.nx.get(known.nx)
        {
            nx.settings(known, inputs, &mut settings);
        }
        if let (Some(known), Some(inputs)) = (&member.turbo, &inputs.turbo)
            && let Some(turbo) = self.turbo.get(known.turbo)
        {
            turbo.settings(known, inputs, &mut settings);
        }
        settings.extend(member.cargo.iter().flat_map(|(_, settings)| settings).cloned());
        settings
    }

    /// The whole files outside of a project that reach it, in order: what Nx and Turborepo list for it, and what npm and Cargo
    /// read at the root. `files` are those that this was read from.
    pub fn shared(&self, files: &Files<'_>, project: ProjectId, of: Role, task: &str) -> Vec<Shared> {
        let Some(member) = self.members.get(project.0) else { return Vec::new() };
        let mut shared = BTreeMap::new();
        shared.extend(self.unasked(files, member, project).into_iter().map(|path| (path, None)));
        let inputs = self.inputs(project, of, task);
        let nx =
            inputs.nx.as_ref().zip(member.nx.as_ref()).and_then(|(inputs, known)| {
                Some((&inputs.shared, path::join(&self.nx.get(known.nx)?.folder, "nx.json")))
            });
        let turbo = inputs
            .turbo
            .as_ref()
            .zip(member.turbo.as_ref())
            .and_then(|(inputs, known)| Some((&inputs.shared, self.turbo.get(known.turbo)?.file().to_owned())));
        for (patterns, file) in nx.into_iter().chain(turbo) {
            let left_out = Patterns { included: BTreeSet::new(), excluded: patterns.excluded.clone() }.compile();
            for pattern in &patterns.included {
                for path in self.matched(files, pattern).iter().filter(|path| left_out.has(path)) {
                    shared.insert(path.clone(), Some(file.clone()));
                }
            }
        }
        shared.into_iter().map(|(path, listed_by)| Shared { path, listed_by }).collect()
    }

    /// The files that the package managers read without being told, at their own root and at the repository's.
    fn unasked(&self, files: &Files<'_>, member: &Member, project: ProjectId) -> Vec<String> {
        let languages = self.projects.get(project.0).map(|project| &project.languages);
        let packages = languages.filter(|languages| languages.contains(&Language::JavaScript)).map(|_| {
            let root = self.package_root(project).map_or("", |root| root.folder.as_str());
            (root, &PACKAGE_FILES[..])
        });
        let crates = member.cargo.as_ref().map(|(folder, _)| (folder.as_str(), &CARGO_FILES[..]));
        let mut paths = Vec::new();
        for (root, names) in packages.into_iter().chain(crates) {
            for folder in [root, ""] {
                let find =
                    || names.iter().map(|name| path::join(folder, name)).filter(|path| files.has(path)).collect();
                let key = (folder.to_owned(), names.len());
                paths.extend_from_slice(self.asked().unasked.entry(key).or_insert_with(find));
            }
        }
        paths
    }

    fn matched(&self, files: &Files<'_>, pattern: &str) -> Arc<Vec<String>> {
        if let Some(known) = self.asked().matched.get(pattern) {
            return Arc::clone(known);
        }
        let found = if files.has(pattern) {
            vec![pattern.to_owned()]
        } else {
            let compiled = Patterns { included: [pattern.to_owned()].into(), excluded: BTreeSet::new() }.compile();
            let below = files.below(patterns::literal(pattern)).map(|(path, _)| path);
            below.filter(|path| compiled.has(path)).map(str::to_owned).collect()
        };
        Arc::clone(self.asked().matched.entry(pattern.to_owned()).or_insert_with(|| Arc::new(found)))
    }

    fn inputs(&self, project: ProjectId, of: Role, task: &str) -> Arc<Inputs> {
        self.known(project, of, task).inputs
    }

    fn known(&self, project: ProjectId, of: Role, task: &str) -> Known {
        let kin = self.members.get(project.0).map_or(project, |member| ProjectId(member.kin));
        if let Some(known) = self.asked().known(task, (project, kin), of) {
            return known;
        }
        let names = match of {
            Role::Own => None,
            Role::Dependency(Reads(place)) => self.asked().names.get(place).cloned(),
        };
        let inputs = self.members.get(project.0).map_or_else(Inputs::default, |member| Inputs {
            nx: self.nx_inputs(member, names.as_ref().map(|names| &names.nx), task),
            turbo: self.turbo_inputs(member, names.as_ref().map(|names| &names.turbo), task),
        });
        let whose = if inputs.are_personal() { project } else { kin };
        let mut asked = self.asked();
        let known = asked.kept(inputs);
        asked.inputs.entry(task.to_owned()).or_default().insert((whose, of), known.clone());
        known
    }

    fn nx_inputs(&self, member: &Member, names: Option<&BTreeSet<String>>, task: &str) -> Option<nx::Inputs> {
        let known = member.nx.as_ref()?;
        let nx = self.nx.get(known.nx)?;
        if let Some(names) = names.filter(|names| !names.is_empty()) {
            return Some(nx.inputs_of_dependency(known, names));
        }
        let others = || {
            let all = self.members.iter().filter_map(|member| member.nx.as_ref());
            all.filter(|other| other.nx == known.nx).collect()
        };
        Some(nx.inputs(known, task, &others))
    }

    fn turbo_inputs(&self, member: &Member, names: Option<&BTreeSet<String>>, task: &str) -> Option<turbo::Inputs> {
        let known = member.turbo.as_ref()?;
        let turbo = self.turbo.get(known.turbo)?;
        Some(match names {
            Some(names) => turbo.inputs_of_dependency(known, task, names),
            None => turbo.inputs(known, task),
        })
    }

    fn asked(&self) -> MutexGuard<'_, Asked> {
        // What was asked is whole at any moment: a thread that died while asking left nothing half done.
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Asked {
    /// What the task of a project reads, if that is known: of itself, or of who says the same.
    fn known(&self, task: &str, (project, kin): (ProjectId, ProjectId), of: Role) -> Option<Known> {
        let known = self.inputs.get(task)?;
        let of_kin = || known.get(&(kin, of)).filter(|known| !known.inputs.are_personal());
        known.get(&(project, of)).or_else(of_kin).cloned()
    }

    /// What was asked for, as it is kept.
    fn kept(&mut self, inputs: Inputs) -> Known {
        if let Some((inputs, lists)) = self.distinct.get_key_value(&inputs) {
            return Known { inputs: Arc::clone(inputs), lists: lists.clone() };
        }
        let lists = inputs.lists().map(|lists| {
            let compile = |lists: &Vec<Patterns>| Arc::new(lists.iter().map(Patterns::compile).collect());
            Arc::clone(self.compiled.entry(lists).or_insert_with_key(compile))
        });
        let inputs = Arc::new(inputs);
        self.distinct.insert(Arc::clone(&inputs), lists.clone());
        Known { inputs, lists }
    }
}

impl Inputs {
    /// Whether they are those of one project, whoever says the same.
    fn are_personal(&self) -> bool {
        let by_nx = self.nx.as_ref().is_some_and(|nx| nx.is_personal);
        by_nx || self.turbo.as_ref().is_some_and(|turbo| turbo.is_personal)
    }

    /// The files of the project itself, by lists of patterns of which each is enough; `None` is every file.
    fn lists(&self) -> Option<Vec<Patterns>> {
        let nx = self.nx.as_ref().map(|nx| nx.own.clone());
        let turbo = self.turbo.as_ref().map(|turbo| turbo.own.clone());
        let mut lists = match (nx, turbo) {
            (Some(nx), Some(turbo)) => nx.zip(turbo).map(|(one, other)| [one, other].concat()),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => None,
        }?;
        lists.sort_unstable();
        lists.dedup();
        Some(lists)
    }
}

impl Selection {
    /// Whether a file counts, by its path below the project's root.
    pub fn has(&self, path_below_root: &str) -> bool {
        if MANIFESTS.contains(&path_below_root) {
            return true;
        }
        let is_ignored =
            || self.ignored.as_ref().is_some_and(|(set, root)| set.has(&path::join(root, path_below_root)));
        let is_listed = self.lists.as_ref().is_none_or(|lists| lists.iter().any(|list| list.has(path_below_root)));
        is_listed && !is_ignored()
    }

    /// Whether every file counts.
    pub fn is_everything(&self) -> bool {
        self.lists.is_none() && self.ignored.is_none()
    }
}

impl PartialEq for Selection {
    fn eq(&self, other: &Self) -> bool {
        let lists = match (&self.lists, &other.lists) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (one, other) => one.is_none() && other.is_none(),
        };
        let ignored = match (&self.ignored, &other.ignored) {
            (Some((one, root)), Some((other, other_root))) => Arc::ptr_eq(one, other) && root == other_root,
            (one, other) => one.is_none() && other.is_none(),
        };
        lists && ignored
    }
}

impl Eq for Selection {}

impl Hash for Selection {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.lists.as_ref().map(Arc::as_ptr).hash(state);
        self.ignored.as_ref().map(|(_, root)| root).hash(state);
    }
}
