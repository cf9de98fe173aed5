//! What the caller wrote.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Parser};
use common::delivery::Addresses;
use common::duration;
use common::inputs::{CommonInputs, List, boolean};
use common::names::{ClusterName, ServiceName};

/// The inputs of `health-gate`. Their comments are the descriptions in `action.yml`.
#[derive(Debug, Parser)]
#[command(name = "health-gate", disable_help_flag = true)]
pub struct Inputs {
    /// The inputs of every action.
    #[command(flatten)]
    pub common: CommonInputs,
    /// The ECS cluster. Blank: the environment's.
    #[arg(long)]
    pub cluster: Option<ClusterName>,
    /// What is said of services here, and not in the delivery file.
    #[command(flatten)]
    pub overrides: Overrides,
    /// What fails the step: `fail`, unhealthy and undecided services alone; `warn`, degraded ones too.
    #[arg(long, value_parser = ["fail", "warn"], default_value = "fail")]
    pub fail_on: String,
    /// What to do about an unhealthy service: `report` it, or `rollback`: have ECS take back its deployment if that is still on its way. One that has arrived is ecs-deploy's to roll back: the output `rollback` tells.
    #[arg(long, value_parser = ["report", "rollback"], default_value = "report")]
    pub on_unhealthy: String,
    /// Answer the lifecycle hook that a service's deployment waits at: continue when it is healthy, roll back when it is unhealthy.
    #[arg(long, action = clap::ArgAction::Set, value_parser = boolean, default_value = "false")]
    pub answer_pause: bool,
    /// Make the verdict, with the first reason for it, the newest status of the service's deployment on GitHub, which ecs-deploy made.
    #[arg(long, action = clap::ArgAction::Set, value_parser = boolean, default_value = "false")]
    pub deployment_status: bool,
}

/// What is to hold of services, where it is said here and not in the delivery file.
#[derive(Debug, Args)]
pub struct Overrides {
    /// The one ECS service to watch, for use without a delivery file, or another name for the one in `services`.
    #[arg(long)]
    pub service: Option<ServiceName>,
    /// The deployment that has to be the service's primary one, by its id: `ecs-svc/1234567890123456789`.
    #[arg(long)]
    pub deployment: Option<String>,
    /// What each service is to run, as a JSON object by service: ecs-deploy's output `task-definitions`.
    #[arg(long)]
    pub task_definitions: Option<TaskDefinitions>,
    /// The URL to ask. Redirects are answers, and are not followed. Blank: the delivery file's; without one, ECS and the load balancer alone decide.
    #[arg(long)]
    pub url: Option<String>,
    /// What each answer has to be, one condition a line: `status == 200`, `json(/version) == '${COMMIT}'`, `header(x-version) != 'old'`, `latency < 1s`, `certificate > 14d`, `body contains 'ok'`. Blank: the delivery file's, else `status == 200`.
    #[arg(long)]
    pub expect: Option<Lines>,
    /// How to ask: `GET`, `HEAD`, `POST`, … Blank: the delivery file's, else `GET`.
    #[arg(long)]
    pub method: Option<String>,
    /// What to send beside the request, one header a line: `x-api-key: abc`.
    #[arg(long)]
    pub headers: Option<Lines>,
    /// What to send as the request's body.
    #[arg(long)]
    pub body: Option<String>,
    /// Whom to ask where the URL's host has several addresses: `one`, the first that answers, or `all` of them. Blank: the delivery file's, else `one`.
    #[arg(long)]
    pub addresses: Option<Addresses>,
    /// How many different instances have to have answered with the right version. Needs `distinct-by`.
    #[arg(long, value_parser = count)]
    pub distinct: Option<NonZeroU32>,
    /// What of an answer tells one instance from another: `json(/task)`, `header(x-instance)`.
    #[arg(long)]
    pub distinct_by: Option<String>,
    /// Further URLs, one a line, each of which has to answer with a status below 400.
    #[arg(long)]
    pub smoke: Option<Lines>,
    /// A command to run once, when everything else holds, in a task of the service's own image and network; a JSON list: `["k6", "run", "smoke.js"]`. Exit code 0 passes, 99 (k6's) fails, any other is undecided.
    #[arg(long)]
    pub smoke_command: Option<List<String>>,
    /// From one look to the next, with a unit: `10s`. Blank: the delivery file's, else `30s`.
    #[arg(long, value_parser = duration::parse)]
    pub interval: Option<Duration>,
    /// How long an answer may take, with a unit. Blank: the delivery file's, else `5s`.
    #[arg(long, value_parser = duration::parse)]
    pub request_timeout: Option<Duration>,
    /// How many good looks in a row make a service healthy. Blank: the delivery file's, else 2.
    #[arg(long, value_parser = count)]
    pub passes: Option<NonZeroU32>,
    /// How many bad looks in a row make a service unhealthy. Blank: the delivery file's, else 3.
    #[arg(long, value_parser = count)]
    pub failures: Option<NonZeroU32>,
    /// How long everything has to hold once it does, with a unit: `10m`. Blank: the delivery file's, else no longer than `passes` looks.
    #[arg(long, value_parser = duration::parse)]
    pub bake: Option<Duration>,
    /// How long after the deployment metrics begin to count, with a unit. Blank: the delivery file's, else `1m`.
    #[arg(long, value_parser = duration::parse)]
    pub settle: Option<Duration>,
    /// The CloudWatch alarms that must not be in ALARM, one a line or separated by commas; `shop-*` for all that begin so, `tag:service=auth` for all with this tag. Blank: the delivery file's.
    #[arg(long)]
    pub alarms: Option<List<String>>,
    /// What is measured, one preset a line, with other limits if need be: `alb-response-time`, `ecs-cpu warn 60 fail 80`, `alb-errors fail 5, 2 of 3 points`. Blank: the delivery file's.
    #[arg(long)]
    pub metrics: Option<Lines>,
    /// The Prometheus server that is asked for the delivery file's metrics with a `prometheus` query. Blank: the delivery file's.
    #[arg(long)]
    pub prometheus: Option<String>,
    /// Checks, one a line, that can make a service degraded and not unhealthy: as the summary names them (`targets of auth`, `latency`), or a whole condition. Blank: the delivery file's.
    #[arg(long)]
    pub optional: Option<Lines>,
    /// Checks, one a line, that are shown and never counted. Blank: the delivery file's.
    #[arg(long)]
    pub observe: Option<Lines>,
}

impl Overrides {
    /// An input that was given and speaks of one service.
    pub(crate) fn given(&self) -> Option<&'static str> {
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

    /// The task definition that a service is to run, where somebody says so.
    pub(crate) fn task_definition(&self, service: &str) -> Option<String> {
        self.task_definitions.as_ref()?.0.get(service)?.clone()
    }
}

impl AsRef<CommonInputs> for Inputs {
    fn as_ref(&self) -> &CommonInputs {
        &self.common
    }
}

/// Texts, one a line. A comma separates nothing: it may be part of a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lines(pub(crate) Vec<String>);

impl FromStr for Lines {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()))
    }
}

/// Task definitions, `family:revision`, by service; where ecs-deploy tells of none, there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskDefinitions(BTreeMap<String, Option<String>>);

impl FromStr for TaskDefinitions {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = serde_json::from_str(text).map(Self);
        read.map_err(|error| format!("not a JSON object of task definitions by service: {error}"))
    }
}

fn count(text: &str) -> Result<NonZeroU32, String> {
    text.parse().map_err(|_| format!("`{text}` is not a whole number from 1 up"))
}
