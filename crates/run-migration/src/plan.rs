//! What will be done. Pure: everything that can be refused is refused here, all at once, before any write.

use std::fmt;

use common::aws::{Network, Service, Task};
use common::failure::Failure;
use common::image::ImageSource;
use common::names::{ContainerName, ServiceKey, TaskDefinitionRevision};
use common::poll::Judged;
use common::task_definition::{Source, comparable, registrable, text};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::config::{Config, Placement, Run, Target};
use crate::ending::{Class, Watched, judge};
use crate::facts::{Facts, ServiceFacts};

/// The tasks of this action are known by this, whoever runs it.
const STARTED_BY: &str = "migration/";

/// What will be done. [`plan`] is its only mint.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) migrations: Vec<Migration>,
}

/// One migration.
#[derive(Debug)]
pub(crate) struct Migration {
    pub(crate) key: ServiceKey,
    /// What the task is made from, whether it is registered yet or not.
    pub(crate) definition: Value,
    pub(crate) family: String,
    /// `None`: it is to be registered.
    pub(crate) revision: Option<TaskDefinitionRevision>,
    pub(crate) container: ContainerName,
    pub(crate) command: Vec<String>,
    pub(crate) network: Option<Network>,
    pub(crate) launch_type: Option<String>,
    pub(crate) capacity_providers: Vec<(String, i32, i32)>,
    pub(crate) platform_version: Option<String>,
    /// The same in every attempt of one run, and in no other run.
    pub(crate) started_by: String,
    pub(crate) start: Start,
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
    let (mut migrations, mut refusals) = (Vec::new(), Vec::new());
    for target in &config.targets {
        let Some(found) = facts.services.remove(&target.key) else { continue };
        match migration(config, target, found) {
            Ok(migration) => migrations.push(migration),
            Err(refusal) => refusals.push(refusal.context(format!("service `{}`", target.key))),
        }
    }
    Failure::all(refusals).map_or(Ok(Plan { migrations }), Err)
}

fn migration(config: &Config, target: &Target, facts: ServiceFacts) -> Result<Migration, Failure> {
    let ServiceFacts { service, running, existing, image, latest, tasks } = facts;
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
    let Service { launch_type, capacity_providers, platform_version, .. } = service;
    Ok(Migration {
        key: target.key.clone(),
        remarks: remarks(&definition, &container),
        definition,
        family,
        revision,
        container,
        command: target.command.clone(),
        network,
        launch_type,
        capacity_providers,
        platform_version,
        started_by,
        start,
    })
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

/// What tells this run's tasks from all others: `migration/<run>/<what is run>/<service>`, within ECS's 128 characters of
/// letters, digits, `-`, `_` and `/`.
fn started_by(
    run: &Run,
    key: &ServiceKey,
    container: &ContainerName,
    command: &[String],
    definition: &Value,
) -> String {
    let what = json!([run.repository, container, command, comparable(definition)]);
    format!("{STARTED_BY}{}/{}/{key}", run.id, &hash(&what.to_string())[..16])
}

/// The token of a start: repeated, ECS starts nothing new for 24 hours
/// (<https://docs.aws.amazon.com/AmazonECS/latest/APIReference/ECS_Idempotency.html>). After a failure it must be another one,
/// or ECS would hand back the dead task.
pub(crate) fn client_token(run: &Run, started_by: &str, number: usize) -> String {
    hash(&format!("{started_by} {} {number}", run.attempt))
}

fn hash(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn start(started_by: &str, tasks: Vec<Task>, watched: &Watched) -> Start {
    let of_migrations =
        tasks.into_iter().filter(|task| task.started_by.as_deref().is_some_and(|by| by.starts_with(STARTED_BY)));
    let (mut ours, others): (Vec<Task>, Vec<Task>) =
        of_migrations.partition(|task| task.started_by.as_deref() == Some(started_by));
    ours.sort_by_key(|task| std::cmp::Reverse(task.created_at));
    let has_failed =
        |task: &Task| matches!(judge(watched, task), Judged::Done(ending) if ending.class != Class::Success);
    match ours.iter().position(|task| !has_failed(task)) {
        Some(index) => Start::Follow(Box::new(ours.swap_remove(index))),
        None => match others.into_iter().find(|task| task.desired_status != "STOPPED") {
            Some(other) => Start::Blocked(Box::new(other)),
            None => Start::New { earlier: ours.len() },
        },
    }
}

/// The service's own network, as far as the inputs do not say otherwise. `None` outside of `awsvpc`.
fn network(service: &Service, placement: &Placement) -> Result<Option<Network>, Failure> {
    let texts = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect::<Vec<_>>();
    let subnets = placement.subnets.as_ref().map(|ids| texts(ids.iter().map(AsRef::as_ref).collect()));
    let groups = placement.security_groups.as_ref().map(|ids| texts(ids.iter().map(AsRef::as_ref).collect()));
    let Placement { assign_public_ip, .. } = placement;
    match (&service.network, subnets) {
        (Some(network), subnets) => Ok(Some(Network {
            subnets: subnets.unwrap_or_else(|| network.subnets.clone()),
            security_groups: groups.unwrap_or_else(|| network.security_groups.clone()),
            assign_public_ip: assign_public_ip.or(network.assign_public_ip),
        })),
        (None, Some(subnets)) => Ok(Some(Network {
            subnets,
            security_groups: groups.unwrap_or_default(),
            assign_public_ip: *assign_public_ip,
        })),
        (None, None) if groups.is_some() || assign_public_ip.is_some() => {
            Err(Failure::input(format!("service `{}` has no network of its own to take subnets from", service.name))
                .hint("set the input `subnets` too"))
        }
        (None, None) => Ok(None),
    }
}

fn remarks(definition: &Value, container: &ContainerName) -> Vec<String> {
    let is_followed = common::aws::LogStream::of_container(definition, container.as_str(), "").is_some();
    let remark = format!(
        "the log of container `{container}` cannot be followed: it has no `awslogs` driver with a stream prefix"
    );
    (!is_followed).then_some(remark).into_iter().collect()
}

impl Migration {
    /// The image of the migration's container.
    pub(crate) fn image(&self) -> String {
        let containers = self.definition["containerDefinitions"].as_array().into_iter().flatten();
        let mut containers = containers.filter(|container| container["name"] == self.container.as_str());
        containers.next().map(|container| text(&container["image"])).unwrap_or_default()
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.migrations.iter().try_for_each(|migration| write!(formatter, "{migration}"))
    }
}

impl fmt::Display for Migration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, container, command, .. } = self;
        match &self.start {
            Start::Follow(task) => {
                writeln!(formatter, "{key}: follow task {}, which this run started before", task.id())?
            }
            Start::Blocked(task) => writeln!(formatter, "{key}: nothing, for task {} is migrating already", task.id())?,
            Start::New { .. } => {
                let command =
                    if command.is_empty() { "its own command".to_owned() } else { format!("`{}`", command.join(" ")) };
                writeln!(formatter, "{key}: run {command} in container `{container}`")?;
            }
        }
        match &self.revision {
            Some(revision) => writeln!(formatter, "  task definition: {}", revision.short())?,
            None => writeln!(formatter, "  task definition: a new revision of {}", self.family)?,
        }
        writeln!(formatter, "  image: {}", self.image())?;
        if let Some(Network { subnets, security_groups, assign_public_ip }) = &self.network {
            let address = if *assign_public_ip == Some(true) { ", with a public address" } else { "" };
            writeln!(formatter, "  network: {}{address}", [subnets.as_slice(), security_groups].concat().join(", "))?;
        }
        self.remarks.iter().try_for_each(|remark| writeln!(formatter, "  note: {remark}"))
    }
}

#[cfg(test)]
mod tests {
    use common::aws::Container;

    use super::*;

    const OURS: &str = "migration/7/0123456789abcdef/auth";

    fn task(id: &str, started_by: &str, status: &str, exit_code: Option<i32>) -> Task {
        Task {
            arn: id.into(),
            started_by: Some(started_by.into()),
            last_status: status.into(),
            desired_status: if status == "STOPPED" { "STOPPED".into() } else { "RUNNING".into() },
            stop_code: (status == "STOPPED").then(|| "EssentialContainerExited".into()),
            stopped_reason: None,
            health: "UNKNOWN".into(),
            task_definition: "auth-migration:1".into(),
            containers: vec![Container {
                name: "app".into(),
                exit_code,
                reason: None,
                addresses: Vec::new(),
                image_digest: None,
            }],
            created_at: None,
            started_at: None,
            stopped_at: None,
        }
    }

    fn check(tasks: Vec<Task>, expected: &str) {
        let definition = json!({ "containerDefinitions": [{ "name": "app" }] });
        let found = match start(OURS, tasks, &Watched::new(&definition, &"app".parse().unwrap())) {
            Start::New { earlier } => format!("new after {earlier}"),
            Start::Follow(task) => format!("follow {}", task.arn),
            Start::Blocked(task) => format!("blocked by {}", task.arn),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn a_run_never_starts_what_it_has_started_before_unless_that_failed() {
        let another_run = "migration/6/0123456789abcdef/auth";
        check(vec![], "new after 0");
        check(vec![task("a", OURS, "RUNNING", None)], "follow a");
        check(vec![task("a", OURS, "PROVISIONING", None)], "follow a");
        check(vec![task("a", OURS, "STOPPED", Some(0))], "follow a");
        check(vec![task("a", OURS, "STOPPED", Some(1))], "new after 1");
        check(vec![task("a", OURS, "STOPPED", None), task("b", OURS, "STOPPED", Some(1))], "new after 2");
        check(vec![task("a", OURS, "STOPPED", Some(1)), task("b", OURS, "RUNNING", None)], "follow b");
        check(vec![task("a", another_run, "STOPPED", Some(0))], "new after 0");
        check(vec![task("a", another_run, "RUNNING", None)], "blocked by a");
        check(vec![task("a", "ecs-svc/1234567890123456789", "RUNNING", None)], "new after 0");
    }

    #[test]
    fn what_tells_tasks_apart_fits_into_what_ecs_takes() {
        let run =
            |id: &str, attempt: &str| Run { repository: "org/shop.js".into(), id: id.into(), attempt: attempt.into() };
        let definition = json!({ "containerDefinitions": [{ "name": "app" }] });
        let key = "k".repeat(64).parse().unwrap();
        let name = |run: &Run, command: &str| {
            started_by(run, &key, &"app".parse().unwrap(), &[command.to_owned()], &definition)
        };
        let first = name(&run("18446744073709551615", "1"), "migrate");
        assert!(first.len() <= 128, "{first}");
        assert!(first.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_/".contains(&byte)), "{first}");
        assert_eq!(first, name(&run("18446744073709551615", "2"), "migrate"));
        assert_ne!(first, name(&run("18446744073709551615", "1"), "seed"));
        assert_ne!(first, name(&run("7", "1"), "migrate"));

        let token = |attempt: &str, number| client_token(&run("7", attempt), &first, number);
        assert_eq!((token("1", 0).len(), token("1", 0)), (64, token("1", 0)));
        assert_ne!(token("1", 0), token("1", 1));
        assert_ne!(token("1", 0), token("2", 0));
    }

    #[test]
    fn the_network_is_the_services_unless_the_inputs_say_otherwise() {
        let of_service = Network {
            subnets: vec!["subnet-00000001".into()],
            security_groups: vec!["sg-00000001".into()],
            assign_public_ip: Some(false),
        };
        let service = |network| Service {
            name: "auth".into(),
            status: "ACTIVE".into(),
            task_definition: "auth:1".into(),
            network,
            launch_type: Some("FARGATE".into()),
            ..Service::default()
        };
        let nothing = Placement::default();
        assert_eq!(network(&service(Some(of_service.clone())), &nothing).unwrap(), Some(of_service.clone()));
        assert_eq!(network(&service(None), &nothing).unwrap(), None);
        let public = Placement { assign_public_ip: Some(true), ..Placement::default() };
        let expected = Network { assign_public_ip: Some(true), ..of_service.clone() };
        assert_eq!(network(&service(Some(of_service.clone())), &public).unwrap(), Some(expected));
        assert!(network(&service(None), &public).is_err());
        let elsewhere = Placement { subnets: Some(vec!["subnet-00000002".parse().unwrap()]), ..Placement::default() };
        let expected = Network { subnets: vec!["subnet-00000002".into()], ..of_service.clone() };
        assert_eq!(network(&service(Some(of_service)), &elsewhere).unwrap(), Some(expected));
    }
}
