//! Elastic Load Balancing: who of a target group gets requests, and why not the others.

use aws_config::SdkConfig;

use super::refusal::failure;
use crate::failure::Failure;

/// The Elastic Load Balancing API.
#[derive(Clone, Debug)]
pub struct Elb(aws_sdk_elasticloadbalancingv2::Client);

/// One target of a target group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its address, or its instance.
    pub id: String,
    /// Its port.
    pub port: Option<i32>,
    /// AWS's word: `healthy`, `unhealthy`, `initial`, `draining`, `unused`, …
    pub state: String,
    /// Why it is not healthy, AWS's code and description.
    pub reason: Option<String>,
}

impl Elb {
    pub(super) fn new(config: &SdkConfig) -> Self {
        Self(aws_sdk_elasticloadbalancingv2::Client::new(config))
    }

    /// `elasticloadbalancing:DescribeTargetHealth`.
    pub async fn describe_target_health(&self, target_group: &str) -> Result<Vec<Target>, Failure> {
        let answer = self.0.describe_target_health().target_group_arn(target_group).send().await.map_err(|error| {
            let doing = format!("look at the targets of `{target_group}`");
            failure("elasticloadbalancing:DescribeTargetHealth", doing, error)
        })?;
        let targets = answer.target_health_descriptions().iter().filter_map(|description| {
            let target = description.target()?;
            let health = description.target_health()?;
            let reason = health.reason().map(|code| match health.description() {
                Some(text) => format!("{}: {text}", code.as_str()),
                None => code.as_str().to_owned(),
            });
            Some(Target {
                id: target.id().unwrap_or_default().to_owned(),
                port: target.port(),
                state: health.state().map_or("unknown", |state| state.as_str()).to_owned(),
                reason,
            })
        });
        Ok(targets.collect())
    }
}
