//! What the caller meant: every string is checked here, and nothing has left the process yet.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use common::aws::Place;
use common::delivery::{Health, interpolate};
use common::edges::Edges;
use common::failure::Failure;
use common::image::ImageSource;
use common::names::{ClusterName, CommitSha, ServiceKey, ServiceName};
use common::scope::Scope;
use http::Uri;

use crate::condition::Condition;
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
    pub(crate) probe: Option<Probe>,
    pub(crate) interval: Duration,
    pub(crate) policy: Policy,
}

impl Config {
    pub(crate) fn read(inputs: Inputs, edges: &Edges) -> Result<Self, Failure> {
        let Inputs { common, cluster, service, url, expect, interval, passes, failures, answer_pause } = inputs;
        let scope = Scope::resolve(&common, edges)?;
        let overrides = Overrides { service, url, expect, interval, passes, failures };
        let is_url_alone =
            scope.delivery.is_none() && cluster.is_none() && overrides.service.is_none() && scope.services.is_empty();
        let (cluster, targets) = match (&overrides.url, is_url_alone) {
            (_, true) if answer_pause => {
                return Err(Failure::input("`answer-pause`: there is no service whose deployment could wait").hint(
                    "set `cluster` and `service`, or run actions/checkout before this step and add delivery.toml",
                ));
            }
            (Some(url), true) => (None, vec![url_alone(&scope, url, &overrides)?]),
            (None, true) => {
                return Err(Failure::input("there is nothing to check")
                    .hint("set `url`, or `cluster` and `service`, or run actions/checkout before this step and add delivery.toml"));
            }
            (_, false) => (Some(scope.cluster(cluster)?), targets(&scope, &overrides)?),
        };
        Ok(Self {
            cluster,
            environment: scope.environment.as_ref().map(|(name, _)| name.to_string()),
            commit: scope.commit,
            targets,
            place: scope.place,
            dry_run: common.dry_run,
            answer_pause,
            timeout: common.timeout,
        })
    }
}

/// What the inputs say instead of the delivery file.
struct Overrides {
    service: Option<ServiceName>,
    url: Option<String>,
    expect: Option<Lines>,
    interval: Option<Duration>,
    passes: Option<NonZeroU32>,
    failures: Option<NonZeroU32>,
}

impl Overrides {
    /// An input that was given and speaks of one service.
    fn given(&self) -> Option<&'static str> {
        let given =
            [("service", self.service.is_some()), ("url", self.url.is_some()), ("expect", self.expect.is_some())];
        given.into_iter().find_map(|(input, is_given)| is_given.then_some(input))
    }
}

/// A gate of a URL, whoever serves it.
fn url_alone(scope: &Scope, url: &str, overrides: &Overrides) -> Result<Target, Failure> {
    let host = url.parse::<Uri>().ok().and_then(|url| url.host().map(str::to_owned));
    let name = host.unwrap_or_else(|| url.to_owned());
    let mut variables: BTreeMap<String, String> = BTreeMap::new();
    variables.extend(scope.commit.iter().map(|commit| ("COMMIT".to_owned(), commit.to_string())));
    target(name, &Health::default(), overrides, &variables, None, ImageSource::AsWritten)
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
    let service = scope.ecs_service(key, overrides.service.as_ref());
    target(key.to_string(), &health, overrides, &scope.variables(key), Some(service), image)
}

fn target(
    name: String,
    health: &Health,
    overrides: &Overrides,
    variables: &BTreeMap<String, String>,
    service: Option<ServiceName>,
    image: ImageSource,
) -> Result<Target, Failure> {
    Ok(Target {
        name,
        service,
        image,
        probe: probe(health, overrides, variables)?,
        interval: overrides.interval.unwrap_or_else(|| health.interval.get()),
        policy: Policy {
            passes: overrides.passes.unwrap_or(health.passes),
            failures: overrides.failures.unwrap_or(health.failures),
        },
    })
}

/// What to ask over HTTP. All that is wrong with the conditions is told at once.
fn probe(
    health: &Health,
    overrides: &Overrides,
    variables: &BTreeMap<String, String>,
) -> Result<Option<Probe>, Failure> {
    let Some(url) = overrides.url.as_deref().or_else(|| health.url.as_ref().map(|url| url.as_str())) else {
        return match overrides.expect {
            None => Ok(None),
            Some(_) => Err(Failure::input("input `expect`: there is no URL whose answer could be as expected")
                .hint("set the input `url`, or `url` under `health` in delivery.toml")),
        };
    };
    let (place, expect) = match &overrides.expect {
        Some(Lines(lines)) => ("input `expect`", lines.clone()),
        None => ("`expect`", health.expect.iter().map(|template| template.as_str().to_owned()).collect()),
    };
    let mut failures = Vec::new();
    let mut conditions: Vec<Condition> = Vec::new();
    for (number, line) in (1..).zip(&expect) {
        let condition = fill_in(line, variables).and_then(|line| line.parse().map_err(Failure::input));
        match condition {
            Ok(condition) => conditions.push(condition),
            Err(failure) => failures.push(failure.context(format!("{place}, line {number}"))),
        }
    }
    let url = fill_in(url, variables)
        .and_then(|url| checked(&url))
        .map_err(|failure| failures.push(failure.context("`url`")));
    match (url, Failure::all(failures)) {
        (Ok(url), None) => Ok(Some(Probe { url, conditions, limit: health.timeout.get() })),
        (_, failure) => Err(failure.unwrap_or_else(|| Failure::bug("a URL was refused without a reason"))),
    }
}

fn fill_in(text: &str, variables: &BTreeMap<String, String>) -> Result<String, Failure> {
    interpolate(text, |name| variables.get(name).cloned()).map_err(|unknown| {
        let known: Vec<&str> = variables.keys().map(String::as_str).collect();
        Failure::input(format!("unknown variable `${{{}}}`", unknown.name))
            .hint(format!("add it to the environment's `variables`; known are `{}`", known.join("`, `")))
    })
}

fn checked(url: &str) -> Result<Uri, Failure> {
    let refuse =
        || Failure::input(format!("`{url}` is not a URL")).hint("write it as `https://auth.example.com/health`");
    let uri: Uri = url.parse().map_err(|_| refuse())?;
    let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
    if is_http && uri.host().is_some() { Ok(uri) } else { Err(refuse()) }
}
