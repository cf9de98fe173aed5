//! Elastic Load Balancing: who of a target group gets requests, and why not the others.

use aws_config::SdkConfig;
use aws_sdk_elasticloadbalancingv2::operation::describe_target_groups::DescribeTargetGroupsError;

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

/// Where a load balancer sends requests to, and how it finds out who can take them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetGroup {
    /// Its name.
    pub name: String,
    /// The port of targets that are registered without one. ECS registers each with its own.
    pub port: Option<i32>,
    /// AWS's word: `HTTP`, `HTTPS`, `TCP`, …
    pub protocol: Option<String>,
    /// AWS's word: `ip`, `instance`, `lambda`, `alb`. Tasks with network mode `awsvpc` need `ip`.
    pub target_type: Option<String>,
    /// The port that health checks go to, where that is not each target's own.
    pub health_check_port: Option<u16>,
    /// The path that health checks ask for; none for checks of the connection alone.
    pub health_check_path: Option<String>,
    /// The ARNs of the load balancers that send it requests.
    pub load_balancers: Vec<String>,
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

    /// `elasticloadbalancing:DescribeTargetGroups`, for one. `None` if there is no such target group.
    pub async fn describe_target_group(&self, arn: &str) -> Result<Option<TargetGroup>, Failure> {
        let answer = match self.0.describe_target_groups().target_group_arns(arn).send().await {
            Ok(answer) => answer,
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(DescribeTargetGroupsError::is_target_group_not_found_exception) =>
            {
                return Ok(None);
            }
            Err(error) => {
                let doing = format!("look up target group `{arn}`");
                return Err(failure("elasticloadbalancing:DescribeTargetGroups", doing, error));
            }
        };
        Ok(answer.target_groups().first().map(|group| TargetGroup {
            name: group.target_group_name().unwrap_or_default().to_owned(),
            port: group.port(),
            protocol: group.protocol().map(|protocol| protocol.as_str().to_owned()),
            target_type: group.target_type().map(|kind| kind.as_str().to_owned()),
            // `traffic-port` is each target's own.
            health_check_port: group.health_check_port().and_then(|port| port.parse().ok()),
            health_check_path: group.health_check_path().map(str::to_owned),
            load_balancers: group.load_balancer_arns().to_vec(),
        }))
    }
}
