//! Service deployments: AWS's own record of how a deployment ended, which outlives the deployment itself.
//! <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ServiceDeployment.html>

use std::collections::BTreeMap;

use aws_sdk_ecs::config::Builder;
use aws_sdk_ecs::types::{
    CreatedAt, DeploymentLifecycleHookAction, ServiceDeploymentStatus, StopServiceDeploymentStopType,
};
use aws_smithy_types::DateTime;
use aws_smithy_types::retry::RetryConfig;
use jiff::Timestamp;

use super::Ecs;
use super::service::text;
use crate::aws::moment;
use crate::aws::refusal::failure;
use crate::failure::{Failure, Kind};
use crate::names::{ClusterName, ServiceName};

/// DescribeServiceDeployments and DescribeServiceRevisions take twenty ARNs a call.
const PER_CALL: usize = 20;

/// One deployment of a service, from its request to its end.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServiceDeployment {
    /// Its ARN.
    pub arn: String,
    /// `PENDING`, `IN_PROGRESS`, `SUCCESSFUL`, `STOP_REQUESTED`, `STOPPED`, `ROLLBACK_REQUESTED`, `ROLLBACK_IN_PROGRESS`,
    /// `ROLLBACK_SUCCESSFUL`, `ROLLBACK_FAILED`, or a word that is newer than this program.
    pub status: String,
    /// AWS's own words on the status.
    pub reason: Option<String>,
    /// Where it is on its way: `SCALE_UP`, `PRODUCTION_TRAFFIC_SHIFT`, `BAKE_TIME`, …
    pub stage: Option<String>,
    /// The service revision that it deploys.
    pub target_revision: String,
    /// How much of the traffic goes to that revision, in percent; `None` where ECS does not move traffic.
    pub traffic: Option<f64>,
    /// When it was made, by AWS's clock.
    pub created_at: Option<Timestamp>,
    /// When it was over.
    pub finished_at: Option<Timestamp>,
    /// Why it was rolled back.
    pub rollback_reason: Option<String>,
    /// The circuit breaker's state: `MONITORING`, `TRIGGERED`, …
    pub breaker: Option<String>,
    /// How many tasks failed, and how many may.
    pub failures: Option<(i32, i32)>,
    /// The alarms that went off since it began.
    pub triggered_alarms: Vec<String>,
    /// What it waits for, or waited for.
    pub hooks: Vec<LifecycleHook>,
}

/// A lifecycle hook of a deployment.
/// <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-lifecycle-hooks.html>
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LifecycleHook {
    /// What ContinueServiceDeployment calls it by.
    pub id: String,
    /// `AWAITING_ACTION`, `IN_PROGRESS`, `SUCCEEDED`, `FAILED`, `TIMED_OUT`, or a newer word.
    pub status: String,
    /// When ECS stops waiting.
    pub expires_at: Option<Timestamp>,
    /// What ECS does then: `ROLLBACK` or `CONTINUE`.
    pub timeout_action: Option<String>,
}

/// What StopServiceDeployment came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// ECS takes the deployment back.
    Requested,
    /// The deployment is over, or was never there: there is nothing to stop.
    TooLate,
}

impl ServiceDeployment {
    /// Whether nothing more will happen to it. A word that is newer than this program is no end.
    pub fn is_over(&self) -> bool {
        ["SUCCESSFUL", "STOPPED", "ROLLBACK_SUCCESSFUL", "ROLLBACK_FAILED"].contains(&self.status.as_str())
    }

    /// Whether ECS is taking it back.
    pub fn is_rolling_back(&self) -> bool {
        ["ROLLBACK_REQUESTED", "ROLLBACK_IN_PROGRESS"].contains(&self.status.as_str())
    }

    /// The hook that a person, or a gate, has to answer.
    pub fn awaits(&self) -> Option<&LifecycleHook> {
        self.hooks.iter().find(|hook| hook.status == "AWAITING_ACTION")
    }

    /// AWS's words on why it did not succeed, as a part of a sentence.
    pub fn why(&self) -> String {
        let reason = self.rollback_reason.as_deref().or(self.reason.as_deref());
        reason.unwrap_or("ECS gave no reason").trim_end_matches('.').to_owned()
    }
}

impl Ecs {
    /// `ecs:ListServiceDeployments` and `ecs:DescribeServiceDeployments`: those made at or after `since`, oldest first.
    pub async fn service_deployments_since(
        &self,
        cluster: &ClusterName,
        name: &ServiceName,
        since: Timestamp,
    ) -> Result<Vec<ServiceDeployment>, Failure> {
        // The filter excludes its own bound, and counts whole seconds.
        let after = CreatedAt::builder().after(DateTime::from_secs(since.as_second() - 1)).build();
        let mut deployments = self.list_service_deployments(cluster, name, Some(after), &[]).await?;
        deployments.sort_by_key(|deployment| deployment.created_at);
        Ok(deployments)
    }

    /// The latest deployments of a service, newest first, at most twenty, of any status or of one (`SUCCESSFUL`).
    pub async fn latest_service_deployments(
        &self,
        cluster: &ClusterName,
        name: &ServiceName,
        status: Option<&str>,
    ) -> Result<Vec<ServiceDeployment>, Failure> {
        let statuses: Vec<_> = status.map(ServiceDeploymentStatus::from).into_iter().collect();
        let mut deployments = self.list_service_deployments(cluster, name, None, &statuses).await?;
        deployments.sort_by_key(|deployment| std::cmp::Reverse(deployment.created_at));
        Ok(deployments)
    }

    async fn list_service_deployments(
        &self,
        cluster: &ClusterName,
        name: &ServiceName,
        created_at: Option<CreatedAt>,
        statuses: &[ServiceDeploymentStatus],
    ) -> Result<Vec<ServiceDeployment>, Failure> {
        let request = self.0.list_service_deployments().cluster(cluster.as_str()).service(name.as_str());
        let request = request.set_created_at(created_at).set_status((!statuses.is_empty()).then(|| statuses.to_vec()));
        let answer = request.send().await.map_err(|error| {
            let doing = format!("list the deployments of service `{name}` in cluster `{cluster}`");
            failure("ecs:ListServiceDeployments", doing, error)
        })?;
        let arns = answer.service_deployments().iter().filter_map(|brief| brief.service_deployment_arn());
        let arns: Vec<String> = arns.map(str::to_owned).take(PER_CALL).collect();
        match arns.as_slice() {
            [] => Ok(Vec::new()),
            arns => self.describe_service_deployments(arns).await,
        }
    }

    /// `ecs:DescribeServiceDeployments`, twenty a call. Those that ECS does not know are left out of the answer.
    pub async fn describe_service_deployments(&self, arns: &[String]) -> Result<Vec<ServiceDeployment>, Failure> {
        let mut deployments = Vec::with_capacity(arns.len());
        for arns in arns.chunks(PER_CALL) {
            let request = self.0.describe_service_deployments().set_service_deployment_arns(Some(arns.to_vec()));
            let answer = request.send().await.map_err(|error| {
                failure("ecs:DescribeServiceDeployments", format!("look at {} deployments", arns.len()), error)
            })?;
            deployments.extend(answer.service_deployments().iter().map(service_deployment));
        }
        Ok(deployments)
    }

    /// `ecs:DescribeServiceRevisions`, twenty a call: the task definition of each service revision.
    pub async fn revision_task_definitions(&self, arns: &[String]) -> Result<BTreeMap<String, String>, Failure> {
        let mut definitions = BTreeMap::new();
        for arns in arns.chunks(PER_CALL) {
            let request = self.0.describe_service_revisions().set_service_revision_arns(Some(arns.to_vec()));
            let answer = request.send().await.map_err(|error| {
                failure("ecs:DescribeServiceRevisions", format!("look at {} service revisions", arns.len()), error)
            })?;
            definitions.extend(answer.service_revisions().iter().filter_map(|revision| {
                Some((revision.service_revision_arn()?.to_owned(), revision.task_definition()?.to_owned()))
            }));
        }
        Ok(definitions)
    }

    /// `ecs:StopServiceDeployment`: ECS goes back to the service's last completed deployment. This works whether or not the
    /// service has a circuit breaker
    /// (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stop-service-deployment.html>).
    pub async fn stop_service_deployment(&self, arn: &str) -> Result<Stopped, Failure> {
        let request = self.0.stop_service_deployment().service_deployment_arn(arn);
        match request.stop_type(StopServiceDeploymentStopType::Rollback).send().await {
            Ok(_) => Ok(Stopped::Requested),
            Err(error)
                if error.as_service_error().is_some_and(|refused| {
                    refused.is_conflict_exception() || refused.is_service_deployment_not_found_exception()
                }) =>
            {
                Ok(Stopped::TooLate)
            }
            Err(error) => Err(failure("ecs:StopServiceDeployment", format!("take back deployment `{arn}`"), error)),
        }
    }

    /// `ecs:ContinueServiceDeployment`, one attempt: answers a hook that waits, by going on or by going back. One that does not
    /// wait any more is refused, and so would the second attempt be after a first whose answer was lost.
    pub async fn continue_service_deployment(&self, arn: &str, hook: &str, goes_on: bool) -> Result<(), Failure> {
        let action = match goes_on {
            true => DeploymentLifecycleHookAction::Continue,
            false => DeploymentLifecycleHookAction::Rollback,
        };
        let request = self.0.continue_service_deployment().service_deployment_arn(arn).hook_id(hook).action(action);
        let once = Builder::new().retry_config(RetryConfig::disabled());
        request.customize().config_override(once).send().await.map(|_| ()).map_err(|error| {
            let is_refused = error.as_service_error().is_some_and(|refused| {
                refused.is_invalid_parameter_exception() || refused.is_service_deployment_not_found_exception()
            });
            let doing = format!("answer hook `{hook}` of deployment `{arn}`");
            let failure = failure("ecs:ContinueServiceDeployment", doing, error);
            match is_refused {
                true => Failure { kind: Kind::Refused, hint: None, ..failure }
                    .hint("somebody else answered the hook, or its time was up: look at the deployment"),
                false => failure,
            }
        })
    }
}

fn service_deployment(deployment: &aws_sdk_ecs::types::ServiceDeployment) -> ServiceDeployment {
    let breaker = deployment.deployment_circuit_breaker();
    let target = deployment.target_service_revision();
    let alarms = deployment.alarms();
    ServiceDeployment {
        arn: text(deployment.service_deployment_arn()),
        status: deployment.status().map_or("", |status| status.as_str()).to_owned(),
        reason: deployment.status_reason().map(str::to_owned),
        stage: deployment.lifecycle_stage().map(|stage| stage.as_str().to_owned()),
        target_revision: text(target.and_then(|revision| revision.arn())),
        traffic: target.and_then(|revision| revision.requested_production_traffic_weight()),
        created_at: deployment.created_at().and_then(moment),
        finished_at: deployment.finished_at().and_then(moment),
        rollback_reason: deployment.rollback().and_then(|rollback| rollback.reason()).map(str::to_owned),
        breaker: breaker.and_then(|breaker| breaker.status()).map(|status| status.as_str().to_owned()),
        failures: breaker.map(|breaker| (breaker.failure_count(), breaker.threshold())),
        triggered_alarms: alarms.map(|alarms| alarms.triggered_alarm_names().to_vec()).unwrap_or_default(),
        hooks: deployment.lifecycle_hook_details().iter().map(hook).collect(),
    }
}

fn hook(hook: &aws_sdk_ecs::types::DeploymentLifecycleHookDetail) -> LifecycleHook {
    LifecycleHook {
        id: text(hook.hook_id()),
        status: hook.status().map_or("", |status| status.as_str()).to_owned(),
        expires_at: hook.expires_at().and_then(moment),
        timeout_action: hook.timeout_action().map(|action| action.as_str().to_owned()),
    }
}
