//! Service deployments: AWS's own record of how a deployment ended, which outlives the deployment itself.
//! <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ServiceDeployment.html>

use aws_sdk_ecs::types::CreatedAt;
use aws_smithy_types::DateTime;
use jiff::Timestamp;

use super::Ecs;
use super::service::text;
use crate::aws::moment;
use crate::aws::refusal::failure;
use crate::failure::Failure;
use crate::names::{ClusterName, ServiceName};

/// One deployment of a service, from its request to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceDeployment {
    /// Its ARN.
    pub arn: String,
    /// `PENDING`, `IN_PROGRESS`, `SUCCESSFUL`, `STOP_REQUESTED`, `STOPPED`, `ROLLBACK_REQUESTED`, `ROLLBACK_IN_PROGRESS`,
    /// `ROLLBACK_SUCCESSFUL`, `ROLLBACK_FAILED`, or a word that is newer than this program.
    pub status: String,
    /// AWS's own words on the status.
    pub reason: Option<String>,
    /// The service revision that it deploys.
    pub target_revision: String,
    /// When it was made, by AWS's clock.
    pub created_at: Option<Timestamp>,
    /// Why it was rolled back.
    pub rollback_reason: Option<String>,
    /// The circuit breaker's state: `MONITORING`, `TRIGGERED`, …
    pub breaker: Option<String>,
    /// How many tasks failed, and how many may.
    pub failures: Option<(i32, i32)>,
}

impl Ecs {
    /// `ecs:ListServiceDeployments` and `ecs:DescribeServiceDeployments`: those made at or after `since`, oldest first.
    pub async fn service_deployments_since(
        &self,
        cluster: &ClusterName,
        name: &ServiceName,
        since: Timestamp,
    ) -> Result<Vec<ServiceDeployment>, Failure> {
        let doing = || format!("list the deployments of service `{name}` in cluster `{cluster}`");
        // The filter excludes its own bound, and counts whole seconds.
        let after = CreatedAt::builder().after(DateTime::from_secs(since.as_second() - 1)).build();
        let answer = self
            .0
            .list_service_deployments()
            .cluster(cluster.as_str())
            .service(name.as_str())
            .created_at(after)
            .send()
            .await
            .map_err(|error| failure("ecs:ListServiceDeployments", doing(), error))?;
        let arns = answer.service_deployments().iter().filter_map(|brief| brief.service_deployment_arn());
        let arns: Vec<String> = arns.map(str::to_owned).collect();
        if arns.is_empty() {
            return Ok(Vec::new());
        }
        let mut deployments = self.describe_service_deployments(&arns).await?;
        deployments.sort_by_key(|deployment| deployment.created_at);
        Ok(deployments)
    }

    /// `ecs:DescribeServiceDeployments`, at most twenty.
    pub async fn describe_service_deployments(&self, arns: &[String]) -> Result<Vec<ServiceDeployment>, Failure> {
        let answer = self
            .0
            .describe_service_deployments()
            .set_service_deployment_arns(Some(arns.to_vec()))
            .send()
            .await
            .map_err(|error| failure("ecs:DescribeServiceDeployments", "look at the deployment", error))?;
        Ok(answer.service_deployments().iter().map(service_deployment).collect())
    }

    /// `ecs:DescribeServiceRevisions`: the task definition of a service revision.
    pub async fn revision_task_definition(&self, revision: &str) -> Result<Option<String>, Failure> {
        let answer = self
            .0
            .describe_service_revisions()
            .service_revision_arns(revision)
            .send()
            .await
            .map_err(|error| failure("ecs:DescribeServiceRevisions", "look at the service revision", error))?;
        Ok(answer.service_revisions().first().and_then(|revision| revision.task_definition()).map(str::to_owned))
    }
}

fn service_deployment(deployment: &aws_sdk_ecs::types::ServiceDeployment) -> ServiceDeployment {
    let breaker = deployment.deployment_circuit_breaker();
    ServiceDeployment {
        arn: text(deployment.service_deployment_arn()),
        status: deployment.status().map_or("", |status| status.as_str()).to_owned(),
        reason: deployment.status_reason().map(str::to_owned),
        target_revision: text(deployment.target_service_revision().and_then(|revision| revision.arn())),
        created_at: deployment.created_at().and_then(moment),
        rollback_reason: deployment.rollback().and_then(|rollback| rollback.reason()).map(str::to_owned),
        breaker: breaker.and_then(|breaker| breaker.status()).map(|status| status.as_str().to_owned()),
        failures: breaker.map(|breaker| (breaker.failure_count(), breaker.threshold())),
    }
}
