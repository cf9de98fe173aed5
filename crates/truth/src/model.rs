//! An estate in memory: what the files are written from, and what the truth is told from.

use std::collections::{BTreeMap, BTreeSet};

use crate::shape::Tool;

/// A whole repository at one commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Model {
    pub(crate) tool: Tool,
    /// By folder.
    pub(crate) projects: BTreeMap<String, Project>,
    /// By key in `delivery.toml`.
    pub(crate) services: BTreeMap<String, Service>,
    pub(crate) externals: BTreeMap<External, Locked>,
    pub(crate) settings: Settings,
    /// Files outside of every project, by path: docs, what Dockerfiles copy, `.npmrc`.
    pub(crate) loose: BTreeMap<String, File>,
}

/// A project: a folder with a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Project {
    pub(crate) name: String,
    /// By path within the project, without the manifests that are written from the fields below.
    pub(crate) files: BTreeMap<String, File>,
    /// The workspace packages that its manifest depends on, by name.
    pub(crate) declares: BTreeSet<String>,
    /// Nx's `implicitDependencies`, by name.
    pub(crate) implicit: BTreeSet<String>,
    /// The major version that its manifest wants of an external.
    pub(crate) wants: BTreeMap<String, u32>,
}

/// What a file is for, which decides whether it reaches an image.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Source,
    /// Left out by Nx's `production`, Turborepo's `inputs` and `.dockerignore` alike.
    Spec,
    /// Left out by all three too.
    Readme,
    /// JSON below `fixtures/`: in the image until `.dockerignore` says otherwise.
    Fixture,
    /// Any other text.
    Text,
    Link(String),
}

/// A file. Its text follows from these fields and its path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct File {
    pub(crate) kind: Kind,
    /// Which edition of its text this is.
    pub(crate) revision: u32,
    /// The module specifiers that it imports.
    pub(crate) imports: BTreeSet<String>,
    /// A specifier that stands in a comment and in a string, and is no import.
    pub(crate) decoy: Option<String>,
    pub(crate) executable: bool,
}

impl File {
    pub(crate) fn new(kind: Kind) -> Self {
        Self { kind, revision: 0, imports: BTreeSet::new(), decoy: None, executable: false }
    }
}

/// A service of `delivery.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Service {
    /// The folder of its project.
    pub(crate) home: String,
    /// Whether the delivery file names the project instead of the folder.
    pub(crate) by_project: bool,
    pub(crate) dockerfile: Dockerfile,
    pub(crate) repository: String,
    pub(crate) container: String,
    pub(crate) depends_on: BTreeSet<String>,
    pub(crate) paths: BTreeSet<String>,
}

/// How a service's image is built.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Dockerfile {
    pub(crate) from: From,
    /// The default of its `ARG`.
    pub(crate) argument: u32,
    /// Whether manifests and lockfile are copied by name ahead of everything else, for the layer cache.
    pub(crate) manifests_first: bool,
    /// What it takes from outside of its project, beside `COPY . .`.
    pub(crate) takes: BTreeSet<Take>,
}

/// What an image starts from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum From {
    Public(String),
    /// The image of the service with this key, by its repository's name; `registry`: with ECR's host before it.
    Service {
        key: String,
        registry: bool,
    },
}

/// An instruction that takes something from the build context by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Take {
    File(String),
    /// `folder/*.suffix`.
    Glob {
        folder: String,
        suffix: String,
    },
    Folder(String),
    /// `RUN --mount=type=bind,source=…`.
    Bind(String),
}

impl Take {
    pub(crate) fn takes(&self, path: &str) -> bool {
        match self {
            Self::File(file) | Self::Bind(file) => path == file,
            Self::Folder(folder) => within(folder, path).is_some(),
            Self::Glob { folder, suffix } => {
                within(folder, path).is_some_and(|name| !name.contains('/') && name.ends_with(suffix.as_str()))
            }
        }
    }
}

/// A made-up package of a registry, one per name and major version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct External {
    pub(crate) name: String,
    pub(crate) major: u32,
}

/// What the lockfile says of an external.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Locked {
    pub(crate) minor: u32,
    /// Its own dependencies: by name, the major version that is resolved to. Always acyclic.
    pub(crate) needs: BTreeMap<String, u32>,
}

impl Model {
    pub(crate) fn version(&self, external: &External) -> String {
        let minor = self.externals.get(external).map_or(0, |locked| locked.minor);
        format!("{}.{minor}.0", external.major)
    }

    /// The folder of the project with this name.
    pub(crate) fn folder_of(&self, name: &str) -> Option<&str> {
        self.projects.iter().find(|(_, project)| project.name == name).map(|(folder, _)| folder.as_str())
    }

    /// The folder of every project, by its name.
    pub(crate) fn folders(&self) -> BTreeMap<&str, &str> {
        self.projects.iter().map(|(folder, project)| (project.name.as_str(), folder.as_str())).collect()
    }

    /// The folder of the project that this path lies in: the deepest.
    pub(crate) fn owner_of(&self, path: &str) -> Option<&str> {
        let above = path.rmatch_indices('/').map(|(slash, _)| &path[..slash]);
        above.filter_map(|folder| self.projects.get_key_value(folder)).map(|(folder, _)| folder.as_str()).next()
    }
}

/// What root configuration files say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// `compilerOptions.target` of `tsconfig.base.json`; the profile's optimisation in a Cargo workspace.
    pub(crate) target: u32,
    /// `compilerOptions.paths`.
    pub(crate) aliases: BTreeMap<String, String>,
    pub(crate) nx_parallel: u32,
    /// A task of `turbo.json` that no build needs.
    pub(crate) turbo_task: bool,
    /// A script of the root manifest.
    pub(crate) root_script: u32,
    /// `engines` of the root manifest.
    pub(crate) engine: u32,
    /// Specifiers of pnpm's default catalog.
    pub(crate) catalog: BTreeMap<String, String>,
    /// Whether `.dockerignore` leaves fixtures out.
    pub(crate) ignores_fixtures: bool,
    /// Whether `.dockerignore` names a folder that does not exist.
    pub(crate) ignores_nothing_more: bool,
    /// Whether the lockfile ends with an empty line and lists its keys the other way round.
    pub(crate) lock_reformatted: bool,
    /// A comment of `delivery.toml`.
    pub(crate) delivery_comment: u32,
}

/// The rest of `path` below `folder`.
pub(crate) fn within<'a>(folder: &str, path: &'a str) -> Option<&'a str> {
    path.strip_prefix(folder)?.strip_prefix('/')
}
