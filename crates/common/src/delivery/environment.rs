//! Where a product is delivered to, and how its traffic moves there.

use std::fmt;
use std::str::FromStr;

use clap::ValueEnum;
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Serialize;

use super::read::{read_text, read_word};
use super::section::{Section, read_section};
use super::template::VARIABLES;
use super::time_span::TimeSpan;
use crate::failure::Failure;
use crate::names::{AccountId, ClusterName, Region, RoleArn, is_variable};

/// A place that the product is delivered to.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Environment {
    /// The branch that is delivered here without anyone naming the environment.
    pub branch: Option<String>,
    /// The AWS region. Without it, the input `aws-region` or the variable `AWS_REGION` says it.
    pub region: Option<Region>,
    /// The AWS account: with credentials of any other, nothing is done.
    pub account: Option<AccountId>,
    /// The ECS cluster.
    pub cluster: ClusterName,
    /// The role to assume by OpenID Connect.
    pub role: Option<RoleArn>,
    /// What `${NAME}` stands for in task definition files and in the delivery file.
    #[serde(default)]
    pub variables: IndexMap<VariableName, String>,
    /// How traffic moves to a new version. Without it, what each ECS service is set to stays.
    pub strategy: Option<Strategy>,
}

read_section!(Environment { branch, region, account, cluster, role, variables, strategy } check Environment::check);

impl Environment {
    fn check(section: &Section<'_>) {
        if let (Some(role), Some(account)) = (section.peek::<RoleArn>("role"), section.peek::<AccountId>("account"))
            && role.account() != account.as_str()
        {
            section.problem("role", &format!("it lives in account {}, but `account` is {account}", role.account()));
        }
    }
}

/// How traffic moves to a new version of a service
/// (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs_service-options.html>).
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Strategy {
    /// The ECS deployment strategy.
    pub kind: StrategyKind,
    /// The percentage of the traffic that moves first (`canary`) or with each step (`linear`).
    #[schemars(range(min = 0.1, max = 100.0))]
    pub percent: Option<f64>,
    /// The time between two steps of `canary` or `linear`, in whole minutes. Without it, ECS's own.
    pub step: Option<TimeSpan>,
    /// The time that the old version is kept, ready to go back to, once all traffic has moved, in whole minutes. Without it, ECS's own.
    pub bake: Option<TimeSpan>,
    /// The tasks that have to stay healthy while a deployment goes on, in percent of the desired count.
    #[schemars(range(max = 100))]
    pub minimum_healthy_percent: Option<u32>,
    /// The tasks that may run while a deployment goes on, in percent of the desired count.
    #[schemars(range(min = 100))]
    pub maximum_percent: Option<u32>,
    /// The CloudWatch alarms that end a deployment and roll it back.
    #[serde(default)]
    pub alarms: Vec<String>,
}

read_section!(Strategy { kind, percent, step, bake, minimum_healthy_percent, maximum_percent, alarms } check Strategy::check);

impl Strategy {
    /// Reads what the input `strategy` says: a kind, or a table as in the delivery file: `{ kind = "canary", percent = 10 }`.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let table = match text.trim_start().starts_with('{') {
            true => text.trim().to_owned(),
            false => format!("{{ kind = \"{}\" }}", text.trim()),
        };
        super::read_one(&format!("strategy = {table}"), "strategy", "input `strategy`")
    }

    fn check(section: &Section<'_>) {
        let moves_by_percent = match section.peek("kind") {
            // The least that ECS accepts: API_CanaryConfiguration, API_LinearConfiguration.
            Some(StrategyKind::Canary) => Some(0.1),
            Some(StrategyKind::Linear) => Some(3.0),
            Some(StrategyKind::Rolling | StrategyKind::BlueGreen) => None,
            None => return,
        };
        match moves_by_percent {
            Some(least) => Self::check_percent(section, least),
            None => {
                for key in ["percent", "step"].into_iter().filter(|key| section.has(key)) {
                    section.problem(key, "only `canary` and `linear` move traffic in steps");
                }
            }
        }
        for key in ["step", "bake"] {
            if section.peek::<TimeSpan>(key).is_some_and(|span| span.whole_minutes().is_none()) {
                section.problem(key, "ECS counts in whole minutes, at most a day: write it as `5m`");
            }
        }
        Self::check_healthy_percents(section);
    }

    fn check_percent(section: &Section<'_>, least: f64) {
        match section.peek::<f64>("percent") {
            Some(percent) if (least..=100.0).contains(&percent) => {}
            Some(percent) => section.problem("percent", &format!("`{percent}` is not within {least} and 100")),
            None if section.has("percent") => {}
            None => {
                section.problem("percent", "it is missing: say how much traffic moves at a time, as in `percent = 10`")
            }
        }
    }

    fn check_healthy_percents(section: &Section<'_>) {
        let (minimum, maximum) =
            (section.peek::<u32>("minimum-healthy-percent"), section.peek::<u32>("maximum-percent"));
        if let Some(minimum) = minimum.filter(|minimum| *minimum > 100) {
            section.problem("minimum-healthy-percent", &format!("`{minimum}` is more than 100"));
        }
        if let Some(maximum) = maximum.filter(|maximum| *maximum < 100) {
            section.problem("maximum-percent", &format!("`{maximum}` is less than 100"));
        }
        if (minimum, maximum) == (Some(100), Some(100)) {
            section.problem("maximum-percent", "with a minimum of 100 as well, ECS may neither start nor stop a task");
        }
    }
}

/// The ECS deployment strategies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StrategyKind {
    /// Tasks are replaced a few at a time.
    Rolling,
    /// All tasks are started beside the old ones, then all traffic moves.
    BlueGreen,
    /// Traffic moves in equal steps.
    Linear,
    /// A little traffic moves first, then the rest.
    Canary,
}

read_word!(StrategyKind);

/// The name of a variable: letters, digits and `_`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[schemars(with = "String")]
pub struct VariableName(String);

impl VariableName {
    /// The name as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Lets a map of variables be asked by a plain `&str`.
impl std::borrow::Borrow<str> for VariableName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// A text that a variable cannot be called.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidVariableName {
    /// It has characters that a variable's name cannot have.
    #[error("`{0}` is not a variable: use letters, digits and `_`, not starting with a digit")]
    Characters(String),
    /// It is one of [`VARIABLES`].
    #[error("`{0}` is set by every delivery and cannot be set here")]
    Taken(String),
}

impl FromStr for VariableName {
    type Err = InvalidVariableName;

    fn from_str(text: &str) -> Result<Self, InvalidVariableName> {
        match text {
            text if !is_variable(text) => Err(InvalidVariableName::Characters(text.to_owned())),
            text if VARIABLES.contains(&text) => Err(InvalidVariableName::Taken(text.to_owned())),
            text => Ok(Self(text.to_owned())),
        }
    }
}

impl fmt::Display for VariableName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

read_text!(Region, AccountId, ClusterName, RoleArn);
