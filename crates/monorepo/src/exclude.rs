//! Why a file that changed does not reach a service.

use std::fmt;

use crate::ignore::Ignore;
use crate::inputs::Inputs;
use crate::path;
use crate::service::Service;
use crate::snapshot::Snapshot;
use crate::workspace::Role;

/// A file that does not reach a service, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exclusion {
    /// The file.
    pub path: String,
    /// Why it does not.
    pub why: Why,
}

/// Why a file does not reach a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// It is of a project that the service does not depend on.
    OfAnother {
        /// The project.
        project: String,
    },
    /// It is of a project that the service is made of, and not of what is built of it.
    NotBuilt {
        /// The project.
        project: String,
        /// The task whose inputs leave it out.
        task: String,
    },
    /// The build does not see it.
    Ignored {
        /// The ignore file that says so.
        by: String,
    },
    /// It configures or locks something, and what changed of it does not reach the service.
    Elsewhere,
    /// It is of no project, and neither copied by the Dockerfile nor named by `paths`.
    OfNone,
}

impl Snapshot<'_> {
    /// Why those of some files that are not among a service's inputs are not.
    pub fn exclusions(&self, service: &Service, inputs: &Inputs<'_>, paths: &[String]) -> Vec<Exclusion> {
        let ignore = Ignore::of(&self.files, &service.context, &service.dockerfile).unwrap_or_default();
        let excluded = paths.iter().filter(|path| !inputs.has(path));
        excluded
            .map(|path| Exclusion { path: path.clone(), why: self.why_not(service, inputs, &ignore, path) })
            .collect()
    }

    fn why_not(&self, service: &Service, inputs: &Inputs<'_>, ignore: &Ignore, path: &str) -> Why {
        let project = self.workspace.owner(path).filter(|project| !self.root(*project).is_empty());
        let by = ignore.file().unwrap_or_default();
        let is_ignored = path::below(path, &service.context).is_some_and(|path| ignore.leaves_out(path));
        match project {
            _ if self.is_lockfile(path) => Why::Elsewhere,
            Some(project) if !inputs.before.contains_key(self.name(project)) => {
                Why::OfAnother { project: self.name(project).to_owned() }
            }
            Some(project) => {
                let root = self.root(project);
                let reads = self.workspace.reads(None, &self.task);
                let is_built = [Role::Own, Role::Dependency(reads)].into_iter().any(|role| {
                    let selection = self.workspace.selection(project, role, &self.task);
                    path::below(path, root).is_some_and(|path| selection.has(path))
                });
                match is_built && is_ignored {
                    true => Why::Ignored { by: by.to_owned() },
                    false => Why::NotBuilt { project: self.name(project).to_owned(), task: self.task.clone() },
                }
            }
            None if self.is_configuration(path) => Why::Elsewhere,
            None if is_ignored => Why::Ignored { by: by.to_owned() },
            None => Why::OfNone,
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OfAnother { project } => {
                write!(formatter, "it is of {project}, which the service does not depend on")
            }
            Self::NotBuilt { project, task } => {
                write!(formatter, "it is not among the inputs of the task `{task}` of {project}, or not copied")
            }
            Self::Ignored { by } => write!(formatter, "{by} leaves it out"),
            Self::Elsewhere => write!(formatter, "what changed of it does not reach the service"),
            Self::OfNone => {
                write!(formatter, "it is of no project; neither does the Dockerfile copy it, nor do `paths` name it")
            }
        }
    }
}
