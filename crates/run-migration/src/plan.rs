//! What will be done. Pure: everything that can be refused is refused here, all at once, before any write.

mod again;
mod network;
mod text;

use common::aws::{LogStream, Network, Service, Task};
use common::failure::Failure;
use common::image::ImageSource;
use common::names::{ContainerName, ServiceKey, ServiceName, TaskDefinitionRevision};
use common::preflight::{Finding, FindingKind};
use common::task_definition::{Source, comparable, registrable, text};
use serde_json::{Value, json};

pub(crate) use again::{client_token, started_by_status};

use crate::backup::Backup;
use crate::config::{Config, Target};
use crate::ending::Watched;
use crate::facts::{Facts, FoundDatabase, ServiceFacts};
use crate::pending::Pending;
use again::{start, started_by};
use network::network;

/// What will be done. [`plan`] is its only mint.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) migrations: Vec<Migration>,
    /// What could not be found out beforehand, and what stops nothing.
    pub(crate) remarks: Vec<String>,
}

/// One migration.
#[derive(Debug)]
pub(crate) struct Migration {
    pub(crate) key: ServiceKey,
    /// The ECS service.
    pub(crate) service: ServiceName,
    /// What the task is made from, whether it is registered yet or not.
    pub(crate) definition: Value,
    pub(crate) family: String,
    /// `None`: it is to be registered.
    pub(crate) revision: Option<TaskDefinitionRevision>,
    pub(crate) container: ContainerName,
    pub(crate) command: Vec<String>,
    /// What is asked first whether any migration is pending; empty is nothing.
    pub(crate) status: Vec<String>,
    pub(crate) network: Option<Network>,
    pub(crate) launch_type: Option<String>,
    pub(crate) capacity_providers: Vec<(String, i32, i32)>,
    pub(crate) platform_version: Option<String>,
    /// The same in every attempt of one run, and in no other run.
    pub(crate) started_by: String,
    pub(crate) start: Start,
    pub(crate) pending: Pending,
    /// The snapshot to take before.
    pub(crate) backup: Option<Backup>,
    /// What the service runs now: what there is to go back to.
    pub(crate) previous: String,
    /// What a reader should know, and what stops nothing.
    pub(crate) remarks: Vec<String>,
}

/// How a migration begins.
#[derive(Debug)]
pub(crate) enum Start {
    /// With a new task. So many of this run's have failed before.
    New { earlier: usize },
    /// With a task that this run started before: it runs still, or it has succeeded.
    Follow(Box<Task>),
    /// Not at all: somebody else's task is at it.
    Blocked(Box<Task>),
}

/// The family that a migration's task definition belongs to. A family of its own: the revisions of the service's stay what was
/// deployed, one after the other, and its list of tasks shows migrations alone. A revision that was asked for by name is run
/// as it is, and so in its own family.
pub(crate) fn family(target: &Target, running: &Value, existing: Option<&Value>) -> String {
    let base = text(&existing.unwrap_or(running)["family"]);
    let is_run_as_it_is = matches!((&target.source, &target.image), (Source::Existing(_), ImageSource::AsWritten));
    if is_run_as_it_is || base.ends_with("-migration") { base } else { format!("{base}-migration") }
}

/// Decides. Everything that stands in the way is told at once.
pub(crate) fn plan(config: &Config, mut facts: Facts) -> Result<Plan, Failure> {
    let migration = |target: &Target| {
        let found = facts.services.remove(&target.key)?;
        Some(migration(config, target, found).map_err(|refusal| refusal.context(format!("service `{}`", target.key))))
    };
    let migrations = Failure::collect(config.targets.iter().filter_map(migration))?;
    Ok(Plan { migrations, remarks: Vec::new() })
}

impl Plan {
    /// The task definitions of the tasks that are going to be started, for the preflight to look at what they refer to.
    pub(crate) fn to_check(&self) -> Vec<(ServiceKey, Value)> {
        let new = self.migrations.iter().filter(|migration| matches!(migration.start, Start::New { .. }));
        new.map(|migration| (migration.key.clone(), migration.definition.clone())).collect()
    }

    /// Whether a finding in pending SQL stands in the way. A task that was started already is past that.
    pub(crate) fn is_blocked(&self) -> bool {
        let new = self.migrations.iter().filter(|migration| matches!(migration.start, Start::New { .. }));
        new.flat_map(|migration| migration.pending.blocking()).next().is_some()
    }

    /// The plan, with what the preflight found: refused for what blocks, remarked for what warns.
    pub(crate) fn checked(mut self, findings: Vec<Finding>) -> Result<Self, Failure> {
        let (blocks, warns): (Vec<_>, Vec<_>) =
            findings.into_iter().partition(|finding| finding.kind == FindingKind::Blocks);
        if let Some(refusal) = Failure::all(blocks.into_iter().map(|finding| finding.failure)) {
            return Err(refusal);
        }
        self.remarks.extend(warns.iter().map(|finding| finding.failure.to_string()));
        Ok(self)
    }
}

fn migration(config: &Config, target: &Target, facts: ServiceFacts) -> Result<Migration, Failure> {
    let ServiceFacts { service, running, existing, image, latest, tasks, pending, database } = facts;
    let (Some(service), Some(running)) = (service, running) else {
        return Err(Failure::input(format!(
            "there is no active ECS service `{}` in cluster `{}`",
            target.service, config.cluster
        ))
        .hint("check `service`, `cluster` and the region: names are case-sensitive"));
    };
    let image = target.image.reference(&image)?;
    let named = target.container.as_ref();
    let definition = target.source.render(&running, existing.as_ref(), image.as_deref(), named, &target.variables)?;
    let container = container(&definition, named)?;
    let family = family(target, &running, existing.as_ref());
    let (definition, revision) = match &target.source {
        Source::Existing(revision) if image.is_none() => (definition, Some(revision.clone())),
        _ => {
            let wanted = of_its_own(definition, &family, &container);
            let latest = latest.filter(|latest| comparable(latest) == comparable(&wanted));
            let revision = latest.map(|latest| text(&latest["taskDefinitionArn"]).parse()).transpose();
            (wanted, revision.map_err(Failure::remote)?)
        }
    };
    let watched = Watched::new(&definition, &container);
    if !watched.is_essential() {
        return Err(Failure::input(format!(
            "container `{container}` is not essential: its end would not end the task"
        ))
        .hint("set `\"essential\": true` for it in the task definition"));
    }
    let started_by = started_by(&config.run, &target.key, &container, &target.command, &definition);
    let start = start(&started_by, tasks, &watched);
    let network = network(&service, &config.placement)?;
    let backup = backup(config, target, database)?;
    let Service { launch_type, capacity_providers, platform_version, task_definition: previous, .. } = service;
    Ok(Migration {
        key: target.key.clone(),
        service: target.service.clone(),
        remarks: remarks(&definition, &container),
        definition,
        family,
        revision,
        container,
        command: target.command.clone(),
        // New files are pending, whatever a command says that may exit with 0 in any case.
        status: if pending.is_some() { Vec::new() } else { target.status.clone() },
        network,
        launch_type,
        capacity_providers,
        platform_version,
        started_by,
        start,
        pending,
        backup,
        previous,
    })
}

/// The backup before a migration; none where none is due.
fn backup(config: &Config, target: &Target, found: FoundDatabase) -> Result<Option<Backup>, Failure> {
    let Some(wanted) = &target.backup else { return Ok(None) };
    let database = found.require(&wanted.database)?;
    let commit = config.commit.as_ref();
    Ok(database.map(|database| Backup::before(wanted, database, &target.key, commit, &config.run)))
}

/// The container whose exit code is the verdict.
fn container(definition: &Value, named: Option<&ContainerName>) -> Result<ContainerName, Failure> {
    let containers = definition["containerDefinitions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let names: Vec<&str> = containers.iter().filter_map(|container| container["name"].as_str()).collect();
    let known = format!("it has `{}`", names.join("`, `"));
    let hint = "name the container in delivery.toml (`container`) or in the input `container`";
    match (named, names.as_slice()) {
        (Some(named), names) if names.contains(&named.as_str()) => Ok(named.clone()),
        (Some(named), _) => {
            Err(Failure::input(format!("the task definition has no container `{named}`: {known}")).hint(hint))
        }
        (None, [only]) => only.parse().map_err(Failure::remote),
        (None, _) => Err(Failure::input(format!("which container migrates is not said: {known}")).hint(hint)),
    }
}

/// The task definition as the migration's own: whatever it is in the service, here its end is the end of the task.
fn of_its_own(definition: Value, family: &str, container: &ContainerName) -> Value {
    let mut definition = registrable(definition);
    definition["family"] = json!(family);
    for candidate in definition["containerDefinitions"].as_array_mut().into_iter().flatten() {
        if candidate["name"] == container.as_str() {
            candidate["essential"] = json!(true);
        }
    }
    definition
}

/// What is wrong with the log, which decides nothing, and is all that there is to read after a failure.
fn remarks(definition: &Value, container: &ContainerName) -> Vec<String> {
    if LogStream::of_container(definition, container.as_str(), "").is_none() {
        return vec![format!(
            "the log of container `{container}` cannot be followed: it has no `awslogs` driver with a stream prefix"
        )];
    }
    let containers = definition["containerDefinitions"].as_array().into_iter().flatten();
    let mut own = containers.filter(|candidate| candidate["name"] == container.as_str());
    let mode = own.next().map(|container| &container["logConfiguration"]["options"]["mode"]);
    // ECS's own default became `non-blocking` on 25 June 2025, and an account may have set another one:
    // https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-account-settings.html#default-log-driver-mode
    let may_drop = mode.is_none_or(|mode| mode != "blocking");
    let remark = format!(
        "the log of container `{container}` may lose lines when it falls behind: give it `\"mode\": \"blocking\"` in its `awslogs` options"
    );
    may_drop.then_some(remark).into_iter().collect()
}

impl Migration {
    /// The image of the migration's container.
    pub(crate) fn image(&self) -> String {
        let containers = self.definition["containerDefinitions"].as_array().into_iter().flatten();
        let mut containers = containers.filter(|container| container["name"] == self.container.as_str());
        containers.next().map(|container| text(&container["image"])).unwrap_or_default()
    }
}
