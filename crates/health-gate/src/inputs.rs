//! What the caller wrote.

use std::convert::Infallible;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use clap::Parser;
use common::duration;
use common::inputs::{CommonInputs, boolean};
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
    /// The one ECS service to watch, for use without a delivery file, or another name for the one in `services`.
    #[arg(long)]
    pub service: Option<ServiceName>,
    /// The URL to ask. Redirects are answers, and are not followed. Blank: the delivery file's; without one, ECS and the load balancer alone decide.
    #[arg(long)]
    pub url: Option<String>,
    /// What each answer has to be, one condition a line: `status == 200`, `json(/version) == '${COMMIT}'`, `header(x-version) != 'old'`, `latency < 1s`, `body contains 'ok'`. Blank: the delivery file's, else `status == 200`.
    #[arg(long)]
    pub expect: Option<Lines>,
    /// From one look to the next, with a unit: `10s`. Blank: the delivery file's, else `30s`.
    #[arg(long, value_parser = duration::parse)]
    pub interval: Option<Duration>,
    /// How many good looks in a row make a service healthy. Blank: the delivery file's, else 2.
    #[arg(long, value_parser = count)]
    pub passes: Option<NonZeroU32>,
    /// How many bad looks in a row make a service unhealthy. Blank: the delivery file's, else 3.
    #[arg(long, value_parser = count)]
    pub failures: Option<NonZeroU32>,
    /// Answer the lifecycle hook that a service's deployment waits at: continue when it is healthy, roll back when it is unhealthy.
    #[arg(long, action = clap::ArgAction::Set, value_parser = boolean, default_value = "false")]
    pub answer_pause: bool,
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

fn count(text: &str) -> Result<NonZeroU32, String> {
    text.parse().map_err(|_| format!("`{text}` is not a whole number from 1 up"))
}
