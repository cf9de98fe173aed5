//! Services: what runs, and the deployments that change it.

use aws_sdk_ecs::config::Builder;
use aws_sdk_ecs::types::{AwsVpcConfiguration, DeploymentControllerType};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_smithy_types::retry::RetryConfig;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::Ecs;
use crate::aws::refusal::failure;
use crate::aws::{moment, raw};
use crate::failure::{Failure, Kind};
use crate::names::{ClusterName, ServiceName, TaskDefinitionRevision};

/// DescribeServices takes ten services a call.
const PER_CALL: usize = 10;

/// An ECS service.
#[derive(Clone, Debug, Default)]
pub struct Service {
    /// Its short name.
    pub name: String,
    /// `ACTIVE`, `DRAINING` or `INACTIVE`.
    pub status: String,
    /// The task definition that the next task is started from.
    pub task_definition: String,
    /// How many tasks there should be, are running, and are on their way.
    pub desired: i32,
    /// How many tasks run.
    pub running: i32,
    /// How many tasks are on their way.
    pub pending: i32,
    /// `ECS`, `CODE_DEPLOY` or `EXTERNAL`.
    pub controller: String,
    /// Its deployments, the primary one first.
    pub deployments: Vec<Deployment>,
    /// What ECS says of it, newest first, at most 100.
    pub events: Vec<ServiceEvent>,
    /// Who sends it requests.
    pub load_balancers: Vec<LoadBalancer>,
    /// Its deployment circuit breaker; `None` if it never was configured.
    pub circuit_breaker: Option<CircuitBreaker>,
    /// `deploymentConfiguration` as ECS holds it, members that are newer than this program included.
    pub configuration: Value,
    /// `REPLICA` or `DAEMON`.
    pub scheduling: String,
    /// Where its tasks are placed; `None` outside of `awsvpc`.
    pub network: Option<Network>,
    /// `FARGATE`, `EC2` or `EXTERNAL`; `None` where a capacity provider strategy is used.
    pub launch_type: Option<String>,
    /// Capacity provider, weight, base.
    pub capacity_providers: Vec<(String, i32, i32)>,
    /// The Fargate platform version.
    pub platform_version: Option<String>,
}

/// One deployment of a service, as DescribeServices shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployment {
    /// `ecs-svc/<number>`; also `startedBy` of its tasks.
    pub id: String,
    /// `PRIMARY`, `ACTIVE` or `INACTIVE`.
    pub status: String,
    /// The ARN of what it deploys.
    pub task_definition: String,
    /// How many tasks it is to have.
    pub desired: i32,
    /// How many of its tasks run.
    pub running: i32,
    /// How many of its tasks are on their way.
    pub pending: i32,
    /// How many of its tasks failed in a row.
    pub failed: i32,
    /// `IN_PROGRESS`, `COMPLETED`, `FAILED`, or a word that is newer than this program.
    pub rollout: String,
    /// ECS's own words on the rollout.
    pub reason: Option<String>,
    /// When it was made, by AWS's clock.
    pub created_at: Option<Timestamp>,
}

/// One line that ECS wrote about a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceEvent {
    /// AWS's id of it.
    pub id: String,
    /// When.
    pub at: Option<Timestamp>,
    /// What.
    pub message: String,
}

/// A target group that a service's tasks are registered in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadBalancer {
    /// The target group's ARN.
    pub target_group: String,
    /// The ARN of the second target group, where there is one: blue/green, linear and canary deployments take them in turns.
    pub alternate_target_group: Option<String>,
    /// The container that is registered.
    pub container: String,
    /// Its port.
    pub port: i32,
    /// Whether it has the second target group and the listener rule that blue/green, linear and canary shift traffic by.
    pub can_shift: bool,
}

/// What UpdateService is to change. Everything else stays: every member that is sent would be a decision of ours about the
/// user's service. Load balancers sent back break blue/green (hashicorp/terraform-provider-aws#45678), a desired count fights
/// autoscaling, and two calls are two deployments (kayac/ecspresso#929).
#[derive(Clone, Debug, Default)]
pub struct Update {
    /// What to run.
    pub task_definition: Option<TaskDefinitionRevision>,
    /// Start a deployment even if nothing changes.
    pub force: bool,
    /// How many tasks there are to be.
    pub desired_count: Option<u32>,
    /// The whole `deploymentConfiguration`.
    pub configuration: Option<Value>,
}

/// A service's deployment circuit breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CircuitBreaker {
    /// Whether it watches.
    pub enabled: bool,
    /// Whether it puts back what ran before.
    pub rollback: bool,
}

/// Where tasks are placed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// Subnet ids.
    pub subnets: Vec<String>,
    /// Security group ids.
    pub security_groups: Vec<String>,
    /// Whether tasks get a public address; `None` is AWS's default.
    pub assign_public_ip: Option<bool>,
}

impl Service {
    /// `ROLLING`, `BLUE_GREEN`, `LINEAR`, `CANARY`, or a newer word.
    pub fn strategy(&self) -> &str {
        self.configuration["strategy"].as_str().unwrap_or("ROLLING")
    }

    /// The deployment that ECS is working towards, or has reached.
    pub fn primary(&self) -> Option<&Deployment> {
        self.deployments.iter().find(|deployment| deployment.status == "PRIMARY")
    }
}

impl Network {
    pub(super) fn to_sdk(&self) -> Result<aws_sdk_ecs::types::NetworkConfiguration, Failure> {
        use aws_sdk_ecs::types::{AssignPublicIp, NetworkConfiguration};

        let assign =
            self.assign_public_ip.map(|yes| if yes { AssignPublicIp::Enabled } else { AssignPublicIp::Disabled });
        let configuration = AwsVpcConfiguration::builder()
            .set_subnets(Some(self.subnets.clone()))
            .set_security_groups((!self.security_groups.is_empty()).then(|| self.security_groups.clone()))
            .set_assign_public_ip(assign)
            .build()
            .map_err(Failure::bug)?;
        Ok(NetworkConfiguration::builder().awsvpc_configuration(configuration).build())
    }

    fn from_sdk(configuration: &AwsVpcConfiguration) -> Self {
        Self {
            subnets: configuration.subnets().to_vec(),
            security_groups: configuration.security_groups().to_vec(),
            assign_public_ip: configuration.assign_public_ip().map(|assign| assign.as_str() == "ENABLED"),
        }
    }
}

impl Ecs {
    /// `ecs:DescribeServices`, ten a call. Services that do not exist are left out of the answer.
    pub async fn describe_services(
        &self,
        cluster: &ClusterName,
        names: &[&ServiceName],
    ) -> Result<Vec<Service>, Failure> {
        let mut services = Vec::with_capacity(names.len());
        for names in names.chunks(PER_CALL) {
            let doing = || {
                let names: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
                format!("look at service `{}` in cluster `{cluster}`", names.join("`, `"))
            };
            let whole = raw::Answer::default();
            let answer = self
                .0
                .describe_services()
                .cluster(cluster.as_str())
                .set_services(Some(names.iter().map(ToString::to_string).collect()))
                .customize()
                .interceptor(whole.clone())
                .send()
                .await
                .map_err(|error| failure("ecs:DescribeServices", doing(), error))?;
            if let Some(unexpected) = answer.failures().iter().find(|failed| failed.reason() != Some("MISSING")) {
                let reason = unexpected.reason().unwrap_or("no reason given");
                return Err(Failure::remote(reason).context("ecs:DescribeServices").context(doing()));
            }
            let mut whole = whole.take();
            services.extend(answer.services().iter().enumerate().map(|(index, one)| Service {
                configuration: whole["services"][index]["deploymentConfiguration"].take(),
                ..service(one)
            }));
        }
        Ok(services)
    }

    /// `ecs:UpdateService`, one attempt: each call may be a deployment of its own, and a lost answer may be that of one that
    /// began. Answers the service as it is from now on.
    pub async fn update_service(
        &self,
        cluster: &ClusterName,
        name: &ServiceName,
        update: &Update,
    ) -> Result<Service, Failure> {
        let mut body = json!({ "cluster": cluster, "service": name });
        for (member, value) in [
            ("taskDefinition", update.task_definition.as_ref().map(|revision| json!(revision))),
            ("forceNewDeployment", update.force.then_some(json!(true))),
            ("desiredCount", update.desired_count.map(|count| json!(count))),
            ("deploymentConfiguration", update.configuration.clone()),
        ] {
            if let Some(value) = value {
                body[member] = value;
            }
        }
        let doing = format!("update service `{name}` in cluster `{cluster}`");
        let request = self.0.update_service().service(name.as_str()).customize().mutate_request(raw::body(&body));
        let request = request.config_override(Builder::new().retry_config(RetryConfig::disabled()));
        let answer = request.send().await.map_err(|error| {
            let is_refused = error.as_service_error().is_some_and(|refused| {
                refused.is_invalid_parameter_exception()
                    || refused.is_service_not_active_exception()
                    || refused.is_service_not_found_exception()
                    || refused.is_unsupported_feature_exception()
            });
            refusal_of(is_refused, failure("ecs:UpdateService", &doing, error))
        })?;
        answer.service().map(service).ok_or_else(|| Failure::remote("ECS answered without the service").context(doing))
    }

    /// `ecs:CreateService`, from this JSON as it is. Answers the service.
    pub async fn create_service(&self, definition: &Value) -> Result<Service, Failure> {
        let name = definition["serviceName"].as_str().unwrap_or_default();
        let doing = format!("create service `{name}`");
        let request = self.0.create_service().service_name(name).customize().mutate_request(raw::body(definition));
        let answer = request.send().await.map_err(|error| {
            let code = error.as_service_error().and_then(ProvideErrorMetadata::code);
            let is_refused = code.is_some_and(|code| {
                !code.contains("Server") && !code.contains("Throttl") && !code.contains("AccessDenied")
            });
            refusal_of(is_refused, failure("ecs:CreateService", &doing, error))
        })?;
        answer.service().map(service).ok_or_else(|| Failure::remote("ECS answered without the service").context(doing))
    }
}

/// What ECS says no to is the caller's to mend, and no reason to ask again.
fn refusal_of(is_refused: bool, failure: Failure) -> Failure {
    match is_refused {
        true => Failure { kind: Kind::Input, hint: None, ..failure }
            .hint("the message above is ECS's own: mend the service, or the settings that it speaks of"),
        false => failure,
    }
}

fn service(service: &aws_sdk_ecs::types::Service) -> Service {
    let deployments = service.deployments().iter().map(deployment).collect();
    let events = service.events().iter().map(|event| ServiceEvent {
        id: text(event.id()),
        at: event.created_at().and_then(moment),
        message: text(event.message()),
    });
    let load_balancers = service.load_balancers().iter().filter_map(|balancer| {
        let advanced = balancer.advanced_configuration();
        Some(LoadBalancer {
            target_group: balancer.target_group_arn()?.to_owned(),
            alternate_target_group: advanced
                .and_then(|advanced| advanced.alternate_target_group_arn())
                .map(str::to_owned),
            container: text(balancer.container_name()),
            port: balancer.container_port().unwrap_or_default(),
            can_shift: advanced.is_some(),
        })
    });
    let breaker =
        service.deployment_configuration().and_then(|configuration| configuration.deployment_circuit_breaker());
    let controller =
        service.deployment_controller().map_or(&DeploymentControllerType::Ecs, |controller| controller.r#type());
    let network = service.network_configuration().and_then(|network| network.awsvpc_configuration());
    let providers = service.capacity_provider_strategy().iter();
    Service {
        name: text(service.service_name()),
        status: text(service.status()),
        task_definition: text(service.task_definition()),
        desired: service.desired_count(),
        running: service.running_count(),
        pending: service.pending_count(),
        controller: controller.as_str().to_owned(),
        deployments,
        events: events.collect(),
        load_balancers: load_balancers.collect(),
        circuit_breaker: breaker
            .map(|breaker| CircuitBreaker { enabled: breaker.enable(), rollback: breaker.rollback() }),
        configuration: Value::Null,
        scheduling: service.scheduling_strategy().map_or("REPLICA", |strategy| strategy.as_str()).to_owned(),
        network: network.map(Network::from_sdk),
        launch_type: service.launch_type().map(|launch_type| launch_type.as_str().to_owned()),
        capacity_providers: providers
            .map(|provider| (provider.capacity_provider().to_owned(), provider.weight(), provider.base()))
            .collect(),
        platform_version: service.platform_version().map(str::to_owned),
    }
}

fn deployment(deployment: &aws_sdk_ecs::types::Deployment) -> Deployment {
    Deployment {
        id: text(deployment.id()),
        status: text(deployment.status()),
        task_definition: text(deployment.task_definition()),
        desired: deployment.desired_count(),
        running: deployment.running_count(),
        pending: deployment.pending_count(),
        failed: deployment.failed_tasks(),
        rollout: deployment.rollout_state().map_or("", |state| state.as_str()).to_owned(),
        reason: deployment.rollout_state_reason().map(str::to_owned),
        created_at: deployment.created_at().and_then(moment),
    }
}

pub(super) fn text(value: Option<&str>) -> String {
    value.unwrap_or_default().to_owned()
}
