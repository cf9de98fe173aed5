//! What is delivered.

use std::num::NonZeroU32;

use clap::ValueEnum;
use schemars::JsonSchema;
use serde::Serialize;

use super::health::Health;
use super::image_build::ImageBuild;
use super::image_policy::ServiceImagePolicy;
use super::read::{read_text, read_word};
use super::relative_path::RelativePath;
use super::section::{Section, read_section};
use super::template::Template;
use super::time_span::TimeSpan;
use crate::names::{ContainerName, RepositoryName, ServiceKey, ServiceName};

/// One service: where its sources are, and what runs of them.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(extend("oneOf" = [{ "required": ["path"] }, { "required": ["project"] }]))]
pub struct Service {
    /// The folder of its sources. Either this or `project`.
    pub path: Option<RelativePath>,
    /// Its name in the workspace's graph (npm, pnpm, yarn, Nx, Turborepo, Cargo). Either this or `path`.
    pub project: Option<String>,
    /// Its Dockerfile. Without it, the `Dockerfile` in the folder of its sources.
    pub dockerfile: Option<RelativePath>,
    /// The folder that the Dockerfile copies from. Without it, the repository's root.
    pub context: Option<RelativePath>,
    /// The ECR repository of its image.
    pub repository: RepositoryName,
    /// Its task definition: a JSON file with `${VARIABLE}`s, passed to ECS as written. Without it, the running one with the new image.
    pub task_definition: Option<RelativePath>,
    /// The container of the task definition that runs the image.
    pub container: ContainerName,
    /// The ECS service. Without it, the service's key in this file.
    pub service: Option<ServiceName>,
    /// What the ECS service is made from where it does not exist yet: a JSON file with `${VARIABLE}`s, as `aws ecs create-service --cli-input-json` takes it. Cluster, name and task definition are filled in.
    pub service_definition: Option<RelativePath>,
    /// The services that have to be deployed before this one.
    #[serde(default)]
    pub after: Vec<ServiceKey>,
    /// The services whose change changes this one too, beside those that the workspace's graph knows of.
    #[serde(default)]
    pub depends_on: Vec<ServiceKey>,
    /// Files and folders whose change changes this service, beside those that its Dockerfile and the workspace's graph know of.
    #[serde(default)]
    pub paths: Vec<RelativePath>,
    /// How its image is built, where its Dockerfile alone does not say it.
    #[serde(default)]
    pub build: ImageBuild,
    /// What `[image-policy]` says otherwise of its image.
    #[serde(default)]
    pub image_policy: ServiceImagePolicy,
    /// What has to succeed before the service is deployed.
    pub migration: Option<Migration>,
    /// What tells that the service is healthy.
    #[serde(default)]
    pub health: Health,
}

read_section!(Service {
    path, project, dockerfile, context, repository, task_definition, container, service, service_definition, after, depends_on, paths, build, image_policy, migration, health,
} check Service::check);

impl Service {
    /// The ECS service that this one, listed under `key`, is.
    pub fn ecs_service(&self, key: &ServiceKey) -> ServiceName {
        self.service.clone().unwrap_or_else(|| key.into())
    }

    fn check(section: &Section<'_>) {
        section.exactly_one("path", "project", "say where its sources are");
    }
}

/// A migration: a one-off task from the service's own image and network.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Migration {
    /// The command and its arguments, passed as written.
    #[schemars(length(min = 1))]
    pub command: Vec<String>,
    /// A command that exits with 0 only if no migration is pending, which is asked first: then nothing is backed up, and nothing run.
    #[serde(default)]
    pub status: Vec<String>,
    /// The folder of the migration files: what tells which are pending. SQL among them is looked at for what the version that runs would break by.
    pub sources: Option<RelativePath>,
    /// The database to back up before.
    pub backup: Option<Backup>,
}

read_section!(Migration { command, status, sources, backup } check Migration::check);

impl Migration {
    fn check(section: &Section<'_>) {
        if !section.has("command") {
            section.missing("command");
        }
        if section.peek::<Vec<String>>("command").is_some_and(|command| command.is_empty()) {
            section.problem(
                "command",
                "it is empty: write the program and its arguments, as in `[\"npm\", \"run\", \"migrate\"]`",
            );
        }
    }
}

/// A snapshot that is taken before a migration.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(extend("oneOf" = [{ "required": ["rds-instance"] }, { "required": ["rds-cluster"] }]))]
pub struct Backup {
    /// The RDS instance. Either this or `rds-cluster`.
    pub rds_instance: Option<Template>,
    /// The Aurora cluster. Either this or `rds-instance`.
    pub rds_cluster: Option<Template>,
    /// When to take it.
    #[serde(default)]
    pub when: BackupWhen,
    /// How many of these snapshots to keep: older ones are deleted once a new one is there. Without it, 5. Those that others took are left alone.
    pub keep: Option<NonZeroU32>,
    /// The most time that it may take. Without it, an hour.
    pub timeout: Option<TimeSpan>,
}

read_section!(Backup { rds_instance, rds_cluster, when, keep, timeout } check Backup::check);

impl Backup {
    fn check(section: &Section<'_>) {
        section.exactly_one("rds-instance", "rds-cluster", "name the database to back up");
    }
}

/// When a backup is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BackupWhen {
    /// Unless it is known that no migration is pending.
    #[default]
    IfPending,
    /// Before every run.
    Always,
    /// Not at all.
    Never,
}

read_word!(BackupWhen or IfPending);

read_text!(ServiceKey, ServiceName, ContainerName, RepositoryName);
