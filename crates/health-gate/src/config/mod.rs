//! What the caller meant: every string is checked here, and nothing has left the process yet.

mod metrics;
mod probes;
mod variables;

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use common::aws::Place;
use common::delivery::{Addresses, Health};
use common::edges::Edges;
use common::failure::Failure;
use common::image::ImageSource;
use common::inputs::List;
use common::names::{ClusterName, CommitSha, ContainerName, ServiceKey, ServiceName};
use common::scope::Scope;
use http::Uri;

pub(crate) use self::metrics::{Wanted, Wish};
use self::variables::Variables;
use crate::inputs::{Inputs, Lines};
use crate::probe::Probe;
use crate::tally::Policy;

/// A gate, as the caller meant it.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) place: Place,
    /// `None`: only URLs are asked.
    pub(crate) cluster: Option<ClusterName>,
    pub(crate) environment: Option<String>,
    pub(crate) commit: Option<CommitSha>,
    pub(crate) targets: Vec<Target>,
    pub(crate) dry_run: bool,
    /// Whether a hook that a deployment waits at is to be answered.
    pub(crate) answer_pause: bool,
    /// Whether a degraded service fails the step.
    pub(crate) fail_on_warn: bool,
    /// Whether the deployment of an unhealthy service is to be taken back.
    pub(crate) roll_back: bool,
    pub(crate) timeout: Duration,
}

/// One service to watch.
#[derive(Debug)]
pub(crate) struct Target {
    /// Its key in the delivery file, or what else it is called.
    pub(crate) name: String,
    /// The ECS service; `None` if only its URL is asked.
    pub(crate) service: Option<ServiceName>,
    /// Which image is to run.
    pub(crate) image: ImageSource,
    /// Which deployment is to be the primary one.
    pub(crate) deployment: Option<String>,
    /// Which task definition is to run.
    pub(crate) task_definition: Option<String>,
    pub(crate) probes: Vec<Probe>,
    /// The names of alarms, or how they begin: `shop-*`.
    pub(crate) alarms: Vec<String>,
    pub(crate) metrics: Vec<Wish>,
    /// What to run once in a task of its own, and in which container.
    pub(crate) smoke: Option<Smoke>,
    pub(crate) optional: Vec<String>,
    pub(crate) observe: Vec<String>,
    pub(crate) interval: Duration,
    pub(crate) bake: Duration,
    pub(crate) settle: Duration,
    pub(crate) policy: Policy,
}

/// A command to run once.
#[derive(Clone, Debug)]
pub(crate) struct Smoke {
    pub(crate) command: Vec<String>,
    /// `None`: the task definition's first essential one.
    pub(crate) container: Option<ContainerName>,
}

impl Config {
    pub(crate) fn read(inputs: Inputs, edges: &Edges) -> Result<Self, Failure> {
        let Inputs {
            common,
            cluster,
            service,
            deployment,
            task_definitions,
            url,
            expect,
            method,
            headers,
            body,
            addresses,
            distinct,
            distinct_by,
            smoke,
            smoke_command,
            interval,
            request_timeout,
            passes,
            failures,
            bake,
            settle,
            alarms,
            metrics,
            prometheus,
            optional,
            observe,
            fail_on,
            on_unhealthy,
            answer_pause,
        } = inputs;
        let scope = Scope::resolve(&common, edges)?;
        let overrides = Overrides {
            service,
            deployment,
            task_definitions: task_definitions.map(|definitions| definitions.0).unwrap_or_default(),
            url,
            expect,
            method,
            headers,
            body,
            addresses,
            distinct,
            distinct_by,
            smoke,
            smoke_command,
            interval,
            request_timeout,
            passes,
            failures,
            bake,
            settle,
            alarms,
            metrics,
            prometheus,
            optional,
            observe,
        };
        let needs_service = [
            ("answer-pause", answer_pause),
            ("on-unhealthy", on_unhealthy == "rollback"),
            ("deployment", overrides.deployment.is_some()),
            ("smoke-command", overrides.smoke_command.is_some()),
        ];
        let needs_service = needs_service.into_iter().find_map(|(input, is_given)| is_given.then_some(input));
        let (cluster, targets) = aim(&scope, cluster, &overrides, needs_service)?;
        if let Some(target) = targets.iter().find(|target| target.bake >= common.timeout) {
            return Err(Failure::input(format!("service `{}`: `bake` takes all of `timeout`", target.name))
                .hint("give the input `timeout` more time than `bake`: what came before it takes time, too"));
        }
        Ok(Self {
            cluster,
            environment: scope.environment.as_ref().map(|(name, _)| name.to_string()),
            commit: scope.commit,
            targets,
            place: scope.place,
            dry_run: common.dry_run,
            answer_pause,
            fail_on_warn: fail_on == "warn",
            roll_back: on_unhealthy == "rollback",
            timeout: common.timeout,
        })
    }
}

/// What is looked at, and in which cluster: services, or a URL alone. `needs_service` is an input that is about a service.
fn aim(
    scope: &Scope,
    cluster: Option<ClusterName>,
    overrides: &Overrides,
    needs_service: Option<&str>,
) -> Result<(Option<ClusterName>, Vec<Target>), Failure> {
    let is_url_alone =
        scope.delivery.is_none() && cluster.is_none() && overrides.service.is_none() && scope.services.is_empty();
    match (&overrides.url, is_url_alone, needs_service) {
        (_, true, Some(input)) => {
            Err(Failure::input(format!("`{input}`: there is no service whose deployment it could be about"))
                .hint("set `cluster` and `service`, or run actions/checkout before this step and add delivery.toml"))
        }
        (Some(url), true, None) => Ok((None, vec![url_alone(scope, url, overrides)?])),
        (None, true, None) => Err(Failure::input("there is nothing to check").hint(
            "set `url`, or `cluster` and `service`, or run actions/checkout before this step and add delivery.toml",
        )),
        (_, false, _) => Ok((Some(scope.cluster(cluster)?), targets(scope, overrides)?)),
    }
}

/// What the inputs say instead of the delivery file.
struct Overrides {
    service: Option<ServiceName>,
    deployment: Option<String>,
    task_definitions: BTreeMap<String, Option<String>>,
    url: Option<String>,
    expect: Option<Lines>,
    method: Option<String>,
    headers: Option<Lines>,
    body: Option<String>,
    addresses: Option<Addresses>,
    distinct: Option<NonZeroU32>,
    distinct_by: Option<String>,
    smoke: Option<Lines>,
    smoke_command: Option<List<String>>,
    interval: Option<Duration>,
    request_timeout: Option<Duration>,
    passes: Option<NonZeroU32>,
    failures: Option<NonZeroU32>,
    bake: Option<Duration>,
    settle: Option<Duration>,
    alarms: Option<List<String>>,
    metrics: Option<Lines>,
    prometheus: Option<String>,
    optional: Option<Lines>,
    observe: Option<Lines>,
}

impl Overrides {
    /// An input that was given and speaks of one service.
    fn given(&self) -> Option<&'static str> {
        let given = [
            ("service", self.service.is_some()),
            ("deployment", self.deployment.is_some()),
            ("url", self.url.is_some()),
            ("expect", self.expect.is_some()),
            ("smoke", self.smoke.is_some()),
            ("smoke-command", self.smoke_command.is_some()),
        ];
        given.into_iter().find_map(|(input, is_given)| is_given.then_some(input))
    }
}

/// A gate of a URL, whoever serves it.
fn url_alone(scope: &Scope, url: &str, overrides: &Overrides) -> Result<Target, Failure> {
    let host = url.parse::<Uri>().ok().and_then(|url| url.host().map(str::to_owned));
    let name = host.unwrap_or_else(|| url.to_owned());
    let mut variables: BTreeMap<String, String> = BTreeMap::new();
    variables.extend(scope.commit.iter().map(|commit| ("COMMIT".to_owned(), commit.to_string())));
    target(name, &Health::default(), overrides, Variables(variables))
}

fn targets(scope: &Scope, overrides: &Overrides) -> Result<Vec<Target>, Failure> {
    let (mut targets, mut failures) = (Vec::new(), Vec::new());
    for key in scope.targets(overrides.service.as_ref(), overrides.given())? {
        match of_service(scope, &key, overrides) {
            Ok(target) => targets.push(target),
            Err(failure) => failures.push(failure.context(format!("service `{key}`"))),
        }
    }
    if targets.is_empty() && failures.is_empty() {
        // A gate that opens for having looked at nothing is none.
        failures.push(Failure::input("there is no service to watch: `services` is an empty list").hint(
            "skip this step when nothing is affected: `if: steps.<build-affected>.outputs.has-changes == 'true'`",
        ));
    }
    Failure::all(failures).map_or(Ok(targets), Err)
}

fn of_service(scope: &Scope, key: &ServiceKey, overrides: &Overrides) -> Result<Target, Failure> {
    let declared = scope.declared(key);
    let health = declared.map(|declared| declared.health.clone()).unwrap_or_default();
    let image = match (declared, &scope.commit) {
        (Some(declared), Some(commit)) => {
            ImageSource::Commit { repository: declared.repository.clone(), commit: commit.clone() }
        }
        _ => ImageSource::AsWritten,
    };
    let mut target = target(key.to_string(), &health, overrides, Variables(scope.variables(key)))?;
    if let (Some(smoke), Some(declared)) = (&mut target.smoke, declared) {
        smoke.container = Some(declared.container.clone());
    }
    Ok(Target {
        service: Some(scope.ecs_service(key, overrides.service.as_ref())),
        image,
        deployment: overrides.deployment.clone(),
        task_definition: overrides.task_definitions.get(key.as_str()).cloned().flatten(),
        ..target
    })
}

/// What to check of a target, of which nothing but its URLs is known yet. All that is wrong is told at once.
fn target(name: String, health: &Health, overrides: &Overrides, variables: Variables) -> Result<Target, Failure> {
    let mut failures = Vec::new();
    let mut keep = |failure: Failure| failures.push(failure);
    let probes = probes::read(health, overrides, &variables).map_err(&mut keep).unwrap_or_default();
    let metrics = metrics::read(health, overrides, &variables).map_err(&mut keep).unwrap_or_default();
    let alarms = match &overrides.alarms {
        Some(List(names)) => names.clone(),
        None => variables.fill_all(&health.alarms).map_err(&mut keep).unwrap_or_default(),
    };
    let mut names = |given: &Option<Lines>, declared| match given {
        Some(Lines(lines)) => lines.clone(),
        None => variables.fill_all(declared).map_err(&mut keep).unwrap_or_default(),
    };
    let (optional, observe) =
        (names(&overrides.optional, &health.optional), names(&overrides.observe, &health.observe));
    let command = overrides.smoke_command.as_ref().map_or(&health.smoke_command, |List(words)| words);
    let target = Target {
        name,
        service: None,
        image: ImageSource::AsWritten,
        deployment: None,
        task_definition: None,
        probes,
        alarms,
        metrics,
        smoke: (!command.is_empty()).then(|| Smoke { command: command.clone(), container: None }),
        optional,
        observe,
        interval: overrides.interval.unwrap_or_else(|| health.interval.get()),
        bake: overrides.bake.unwrap_or_else(|| health.bake.get()),
        settle: overrides.settle.unwrap_or_else(|| health.settle.get()),
        policy: Policy {
            passes: overrides.passes.unwrap_or(health.passes),
            failures: overrides.failures.unwrap_or(health.failures),
        },
    };
    Failure::all(failures).map_or(Ok(target), Err)
}
