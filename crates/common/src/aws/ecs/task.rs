//! Tasks: what runs, what ran, why it stopped, and how to start one.

use aws_sdk_ecs::operation::run_task::RunTaskError;
use aws_sdk_ecs::types::{
    CapacityProviderStrategyItem, ContainerOverride, DesiredStatus, KeyValuePair, LaunchType, Tag, TaskOverride,
};
use aws_smithy_runtime_api::client::result::SdkError;
use jiff::Timestamp;

use super::Ecs;
use super::service::{Network, text};
use crate::aws::moment;
use crate::aws::refusal::failure;
use crate::failure::{Failure, Kind};
use crate::names::{ClusterName, ContainerName, TaskDefinitionRevision};

/// DescribeTasks takes a hundred tasks a call.
const PER_CALL: usize = 100;

/// A task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Its ARN.
    pub arn: String,
    /// Who started it: a deployment's id for a service's tasks.
    pub started_by: Option<String>,
    /// `PROVISIONING`, `PENDING`, `ACTIVATING`, `RUNNING`, `DEACTIVATING`, `STOPPING`, `DEPROVISIONING`, `STOPPED`.
    pub last_status: String,
    /// What it is to become.
    pub desired_status: String,
    /// AWS's class of the stop: `EssentialContainerExited`, `TaskFailedToStart`, …
    pub stop_code: Option<String>,
    /// AWS's words on the stop.
    pub stopped_reason: Option<String>,
    /// `HEALTHY`, `UNHEALTHY` or `UNKNOWN`, by its containers' health checks.
    pub health: String,
    /// The ARN of its task definition.
    pub task_definition: String,
    /// Its containers.
    pub containers: Vec<Container>,
    /// When it was asked for.
    pub created_at: Option<Timestamp>,
    /// When its containers ran.
    pub started_at: Option<Timestamp>,
    /// When it was over.
    pub stopped_at: Option<Timestamp>,
}

/// A container of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// Its name in the task definition.
    pub name: String,
    /// Its process's exit code. `None` if it never ran, or never ended, or nobody knows.
    pub exit_code: Option<i32>,
    /// AWS's words on its end.
    pub reason: Option<String>,
    /// Its private addresses.
    pub addresses: Vec<String>,
    /// The digest of the image that it was started from.
    pub image_digest: Option<String>,
}

/// A one-off task to start.
#[derive(Clone, Debug)]
pub struct RunTask {
    /// The cluster to run in.
    pub cluster: ClusterName,
    /// The task definition to start from.
    pub task_definition: TaskDefinitionRevision,
    /// Where to place it; `None` outside of `awsvpc`.
    pub network: Option<Network>,
    /// `FARGATE`, `EC2` or `EXTERNAL`; `None` where a capacity provider strategy is used.
    pub launch_type: Option<String>,
    /// Capacity provider, weight, base.
    pub capacity_providers: Vec<(String, i32, i32)>,
    /// The Fargate platform version.
    pub platform_version: Option<String>,
    /// The container whose command is replaced.
    pub container: ContainerName,
    /// The command; empty is the image's own.
    pub command: Vec<String>,
    /// More environment for that container.
    pub environment: Vec<(String, String)>,
    /// Who starts it, at most 128 characters: it is found again by this.
    pub started_by: String,
    /// The same token again, within 24 hours, starts nothing new.
    pub client_token: String,
    /// Tags of the task.
    pub tags: Vec<(String, String)>,
}

/// What RunTask answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Started {
    /// The task.
    Task(Box<Task>),
    /// No task: ECS's reasons, `RESOURCE:…` or `Capacity is unavailable at this time` among them.
    Refused(Vec<String>),
}

impl Task {
    /// Whether a task is one of a deployment. A task that says who started it is believed; of the others (an endpoint that does
    /// not tell) those count that began after it, from its task definition. A blank deployment is one that is not known any more.
    pub fn is_of(&self, deployment: &str, task_definition: &str, since: Option<Timestamp>) -> bool {
        match self.started_by.as_deref() {
            Some(starter) if starter.starts_with("ecs-svc/") && !deployment.is_empty() => starter == deployment,
            _ => self.task_definition == task_definition && since.is_none_or(|since| self.created_at >= Some(since)),
        }
    }

    /// The last part of the ARN.
    pub fn id(&self) -> &str {
        self.arn.rsplit('/').next().unwrap_or(&self.arn)
    }

    /// Whether it is over.
    pub fn is_stopped(&self) -> bool {
        self.last_status == "STOPPED"
    }
}

impl Ecs {
    /// `ecs:RunTask`, one task.
    pub async fn run_task(&self, task: &RunTask) -> Result<Started, Failure> {
        let doing = format!("start a task of `{}` in cluster `{}`", task.task_definition.short(), task.cluster);
        let variable = |(name, value): &(String, String)| KeyValuePair::builder().name(name).value(value).build();
        let container = ContainerOverride::builder()
            .name(task.container.as_str())
            .set_command((!task.command.is_empty()).then(|| task.command.clone()))
            .set_environment((!task.environment.is_empty()).then(|| task.environment.iter().map(variable).collect()))
            .build();
        let provider = |(name, weight, base): &(String, i32, i32)| {
            CapacityProviderStrategyItem::builder().capacity_provider(name).weight(*weight).base(*base).build()
        };
        let providers =
            task.capacity_providers.iter().map(provider).collect::<Result<Vec<_>, _>>().map_err(Failure::bug)?;
        let tags = task.tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect();
        let answer = self
            .0
            .run_task()
            .cluster(task.cluster.as_str())
            .task_definition(task.task_definition.as_str())
            .count(1)
            .set_network_configuration(task.network.as_ref().map(Network::to_sdk).transpose()?)
            .set_launch_type(task.launch_type.as_deref().map(LaunchType::from))
            .set_capacity_provider_strategy((!providers.is_empty()).then_some(providers))
            .set_platform_version(task.platform_version.clone())
            .overrides(TaskOverride::builder().container_overrides(container).build())
            .started_by(&task.started_by)
            .client_token(&task.client_token)
            .set_tags((!task.tags.is_empty()).then_some(tags))
            .send()
            .await
            .map_err(|error| explain(error, &doing))?;
        match (answer.tasks().first(), answer.failures()) {
            (Some(started), _) => Ok(Started::Task(Box::new(convert(started)))),
            (None, []) => Err(Failure::remote("ECS answered with neither a task nor a reason").context(doing)),
            (None, failures) => {
                let reason = |refused: &aws_sdk_ecs::types::Failure| {
                    [refused.reason(), refused.detail()].into_iter().flatten().collect::<Vec<_>>().join(": ")
                };
                Ok(Started::Refused(failures.iter().map(reason).collect()))
            }
        }
    }

    /// `ecs:StopTask`. `reason` is shown as the task's stopped reason, at most 255 characters of it.
    pub async fn stop_task(&self, cluster: &ClusterName, arn: &str, reason: &str) -> Result<(), Failure> {
        let reason: String = reason.chars().take(255).collect();
        let request = self.0.stop_task().cluster(cluster.as_str()).task(arn).reason(reason);
        request.send().await.map(|_| ()).map_err(|error| failure("ecs:StopTask", format!("stop task `{arn}`"), error))
    }

    /// `ecs:DescribeTasks`. Tasks that ECS does not know (yet, or any more) are left out of the answer.
    pub async fn describe_tasks(&self, cluster: &ClusterName, arns: &[String]) -> Result<Vec<Task>, Failure> {
        let mut tasks = Vec::with_capacity(arns.len());
        for arns in arns.chunks(PER_CALL) {
            let request = self.0.describe_tasks().cluster(cluster.as_str()).set_tasks(Some(arns.to_vec()));
            let answer = request.send().await.map_err(|error| {
                failure("ecs:DescribeTasks", format!("look at {} tasks in cluster `{cluster}`", arns.len()), error)
            })?;
            tasks.extend(answer.tasks().iter().map(convert));
        }
        Ok(tasks)
    }

    /// The tasks of a service that are over: `ecs:ListTasks`, `ecs:DescribeTasks`. ECS forgets them an hour after their end.
    pub async fn stopped_tasks(&self, cluster: &ClusterName, service: &str) -> Result<Vec<Task>, Failure> {
        let request =
            self.0.list_tasks().cluster(cluster.as_str()).service_name(service).desired_status(DesiredStatus::Stopped);
        let listed: Result<Vec<String>, _> = request.into_paginator().items().send().collect().await;
        let arns = listed.map_err(|error| failure("ecs:ListTasks", listing(service), error))?;
        self.listed(cluster, service, &arns).await
    }

    /// The tasks of a service that run or are about to: `ecs:ListTasks`, `ecs:DescribeTasks`.
    pub async fn running_tasks(&self, cluster: &ClusterName, service: &str) -> Result<Vec<Task>, Failure> {
        let request =
            self.0.list_tasks().cluster(cluster.as_str()).service_name(service).desired_status(DesiredStatus::Running);
        let answer = request.send().await;
        self.listed(
            cluster,
            service,
            answer.map_err(|error| failure("ecs:ListTasks", listing(service), error))?.task_arns(),
        )
        .await
    }

    /// The tasks of a task definition family, those that run and those that are over: `ecs:ListTasks`, `ecs:DescribeTasks`.
    /// To look for whoever started them is no substitute: ListTasks takes `startedBy` only alone, and shows no stopped tasks then
    /// (<https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ListTasks.html>).
    pub async fn tasks_of_family(&self, cluster: &ClusterName, family: &str) -> Result<Vec<Task>, Failure> {
        let mut arns = Vec::new();
        for status in [DesiredStatus::Running, DesiredStatus::Stopped] {
            let request = self.0.list_tasks().cluster(cluster.as_str()).family(family).desired_status(status);
            let listed: Result<Vec<String>, _> = request.into_paginator().items().send().collect().await;
            arns.extend(listed.map_err(|error| failure("ecs:ListTasks", listing(family), error))?);
        }
        self.listed(cluster, family, &arns).await
    }

    async fn listed(&self, cluster: &ClusterName, of: &str, arns: &[String]) -> Result<Vec<Task>, Failure> {
        match arns {
            [] => Ok(Vec::new()),
            arns => self.describe_tasks(cluster, arns).await.map_err(|failure| failure.context(listing(of))),
        }
    }
}

/// What ECS says no to was never started, and is the caller's to mend. Any other error leaves open whether a task runs.
fn explain<R>(error: SdkError<RunTaskError, R>, doing: &str) -> Failure
where
    R: std::fmt::Debug + Send + Sync + 'static,
{
    let is_refused = error.as_service_error().is_some_and(|refused| {
        refused.is_client_exception()
            || refused.is_invalid_parameter_exception()
            || refused.is_platform_task_definition_incompatibility_exception()
            || refused.is_platform_unknown_exception()
            || refused.is_unsupported_feature_exception()
            || refused.is_blocked_exception()
    });
    let explained = failure("ecs:RunTask", doing, error);
    match is_refused {
        true => Failure { kind: Kind::Input, hint: None, ..explained }.hint(
            "the message above is ECS's own: mend the task definition, the network or the command that it speaks of",
        ),
        false => explained,
    }
}

fn listing(of: &str) -> String {
    format!("list the tasks of `{of}`")
}

fn convert(task: &aws_sdk_ecs::types::Task) -> Task {
    Task {
        arn: text(task.task_arn()),
        started_by: task.started_by().map(str::to_owned),
        last_status: text(task.last_status()),
        desired_status: text(task.desired_status()),
        stop_code: task.stop_code().map(|code| code.as_str().to_owned()),
        stopped_reason: task.stopped_reason().map(str::to_owned),
        health: task.health_status().map_or("UNKNOWN", |health| health.as_str()).to_owned(),
        task_definition: text(task.task_definition_arn()),
        containers: task.containers().iter().map(container).collect(),
        created_at: task.created_at().and_then(moment),
        started_at: task.started_at().and_then(moment),
        stopped_at: task.stopped_at().and_then(moment),
    }
}

fn container(container: &aws_sdk_ecs::types::Container) -> Container {
    let addresses = container.network_interfaces().iter().filter_map(|interface| interface.private_ipv4_address());
    Container {
        name: text(container.name()),
        exit_code: container.exit_code(),
        reason: container.reason().map(str::to_owned),
        addresses: addresses.map(str::to_owned).collect(),
        image_digest: container.image_digest().map(str::to_owned),
    }
}
