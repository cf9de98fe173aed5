//! What the caller meant: every string is checked here, and nothing has left the process yet.

mod metrics;
mod probes;
mod variables;

use std::collections::BTreeMap;
use std::time::Duration;

use common::aws::Place;
use common::delivery::Health;
use common::edges::Edges;
use common::failure::Failure;
use common::image::ImageSource;
use common::inputs::List;
use common::names::{ClusterName, CommitSha, ContainerName, EnvironmentName, Secret, ServiceKey, ServiceName};
use common::scope::Scope;
use http::Uri;

pub(crate) use self::metrics::{Wanted, Wish};
use self::variables::Variables;
use crate::alarms::Selector;
use crate::inputs::{Inputs, Lines, Overrides};
use crate::probe::Probe;
use crate::tally::Policy;

/// A gate, as the caller meant it.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) place: Place,
    /// `None`: only URLs are asked.
    pub(crate) cluster: Option<ClusterName>,
    pub(crate) environment: Option<EnvironmentName>,
    pub(crate) commit: Option<CommitSha>,
    pub(crate) targets: Vec<Target>,
    pub(crate) dry_run: bool,
    /// Whether a hook that a deployment waits at is to be answered.
    pub(crate) answer_pause: bool,
    /// Whose deployments on GitHub get the verdict as a status, if they are to.
    pub(crate) announce: Option<Announce>,
    /// Whether a degraded service fails the step.
    pub(crate) fail_on_warn: bool,
    /// Whether the deployment of an unhealthy service is to be taken back.
    pub(crate) roll_back: bool,
    pub(crate) timeout: Duration,
}

/// Which of GitHub's deployments the verdict is about.
#[derive(Debug)]
pub(crate) struct Announce {
    pub(crate) token: Secret,
    pub(crate) environment: EnvironmentName,
    pub(crate) commit: CommitSha,
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
    pub(crate) alarms: Vec<Selector>,
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
        let Inputs { common, cluster, overrides, fail_on, on_unhealthy, answer_pause, deployment_status } = inputs;
        let scope = Scope::resolve(&common, edges)?;
        let needs_service = [
            ("answer-pause", answer_pause),
            ("on-unhealthy", on_unhealthy == "rollback"),
            ("deployment-status", deployment_status),
            ("deployment", overrides.deployment.is_some()),
            ("smoke-command", overrides.smoke_command.is_some()),
        ];
        let needs_service = needs_service.into_iter().find_map(|(input, is_given)| is_given.then_some(input));
        let (cluster, targets) = aim(&scope, cluster, &overrides, needs_service)?;
        if let Some(target) = targets.iter().find(|target| target.bake >= common.timeout) {
            return Err(Failure::input(format!("service `{}`: `bake` takes all of `timeout`", target.name))
                .hint("give the input `timeout` more time than `bake`: what came before it takes time, too"));
        }
        let environment = scope.environment.map(|(name, _)| name);
        let announce = match (deployment_status, &environment, &scope.commit) {
            (false, _, _) => None,
            (true, Some(environment), Some(commit)) => {
                Some(Announce { token: common.github_token, environment: environment.clone(), commit: commit.clone() })
            }
            (true, _, _) => {
                return Err(Failure::input(
                    "`deployment-status`: there is no environment and commit whose deployment it could be about",
                )
                .hint("set `environment` and `commit`, or leave it out"));
            }
        };
        Ok(Self {
            cluster,
            environment,
            announce,
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

/// A gate of a URL, whoever serves it.
fn url_alone(scope: &Scope, url: &str, overrides: &Overrides) -> Result<Target, Failure> {
    let host = url.parse::<Uri>().ok().and_then(|url| url.host().map(str::to_owned));
    let name = host.unwrap_or_else(|| url.to_owned());
    let mut variables: BTreeMap<String, String> = BTreeMap::new();
    variables.extend(scope.commit.iter().map(|commit| ("COMMIT".to_owned(), commit.to_string())));
    target(name, &Health::default(), overrides, Variables(variables))
}

fn targets(scope: &Scope, overrides: &Overrides) -> Result<Vec<Target>, Failure> {
    let keys = scope.targets(overrides.service.as_ref(), overrides.given())?;
    if keys.is_empty() {
        // A gate that opens for having looked at nothing is none.
        return Err(Failure::input("there is no service to watch: `services` is an empty list").hint(
            "skip this step when nothing is affected: `if: steps.<build-affected>.outputs.has-changes == 'true'`",
        ));
    }
    let target = |key: &ServiceKey| {
        of_service(scope, key, overrides).map_err(|failure| failure.context(format!("service `{key}`")))
    };
    Failure::collect(keys.iter().map(target))
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
        task_definition: overrides.task_definition(key.as_str()),
        ..target
    })
}

/// What to check of a target, of which nothing but its URLs is known yet. All that is wrong is told at once.
fn target(name: String, health: &Health, overrides: &Overrides, variables: Variables) -> Result<Target, Failure> {
    let mut failures = Vec::new();
    let mut keep = |failure: Failure| failures.push(failure);
    let probes = probes::read(health, overrides, &variables).map_err(&mut keep).unwrap_or_default();
    let metrics = metrics::read(health, overrides, &variables).map_err(&mut keep).unwrap_or_default();
    let alarms = alarms(health, overrides, &variables).map_err(&mut keep).unwrap_or_default();
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

fn alarms(health: &Health, overrides: &Overrides, variables: &Variables) -> Result<Vec<Selector>, Failure> {
    let (place, written) = match &overrides.alarms {
        Some(List(names)) => ("input `alarms`", names.clone()),
        None => ("`alarms`", health.alarms.iter().map(|alarm| alarm.as_str().to_owned()).collect()),
    };
    let selector = |text: &String| variables.fill(text)?.parse::<Selector>();
    Failure::collect(written.iter().map(|text| selector(text).map_err(|failure| failure.context(place))))
}
