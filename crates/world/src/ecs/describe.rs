//! How tasks, services and deployments are written in answers.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::deployments::{self, Deployment, Rollout};
use super::services::Service;
use super::tasks::{Container, Health, Status, Task};
use super::{lifecycle, scheduler, tags, without_nulls};
use crate::state::State;
use crate::wire::epoch;

mod records;

pub(super) use records::{revision, service_deployment, service_deployment_brief};

const PLATFORM_VERSION: &str = "1.4.0";
const SERVICE_ROLE: &str = "aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS";

/// A task.
pub(super) fn task(state: &State, task: &Task, with_tags: bool) -> Value {
    let mut containers = task.containers.iter();
    let checked = containers.any(lifecycle::has_health_check);
    let fargate = is_fargate(&task.settings);
    let arm = super::task_definitions::find(state, &task.task_definition)
        .and_then(|definition| definition.content.get("runtimePlatform"))
        .is_some_and(|platform| platform["cpuArchitecture"] == "ARM64");
    without_nulls(json!({
        "attachments": [attachment(task)],
        "attributes": [{ "name": "ecs.cpu-architecture", "value": if arm { "arm64" } else { "x86_64" } }],
        "availabilityZone": format!("{}a", state.region),
        "clusterArn": state.ecs_arn(&format!("cluster/{}", task.cluster)),
        "connectivity": "CONNECTED",
        "connectivityAt": epoch(task.created_at),
        "containers": task.containers.iter().map(|one| container(task, one)).collect::<Vec<_>>(),
        "cpu": task.cpu,
        "createdAt": epoch(task.created_at),
        "desiredStatus": if task.stopping { "STOPPED" } else { "RUNNING" },
        "enableExecuteCommand": task.settings.get("enableExecuteCommand").is_some_and(|enabled| enabled == true),
        "executionStoppedAt": moment(task.execution_stopped_at),
        "group": task.group,
        "healthStatus": if checked { health(task) } else { "UNKNOWN" },
        "lastStatus": task.status.name(),
        "launchType": launch_type(&task.settings),
        "capacityProviderName": providers(&task.settings).next(),
        "memory": task.memory,
        "overrides": overrides(task),
        "platformVersion": fargate.then_some(PLATFORM_VERSION),
        "platformFamily": fargate.then_some("Linux"),
        "pullStartedAt": moment(task.pull_started_at),
        "pullStoppedAt": moment(task.pull_stopped_at),
        "startedAt": moment(task.started_at),
        "startedBy": task.started_by,
        "stopCode": task.stop.as_ref().map(|stop| stop.code),
        "stoppedAt": moment(task.stopped_at),
        "stoppedReason": task.stop.as_ref().map(|stop| &stop.reason),
        "stoppingAt": moment(task.stopping_at),
        "tags": if with_tags { json!(tags::of(state, &task.arn)) } else { Value::Null },
        "taskArn": task.arn,
        "taskDefinitionArn": task.task_definition,
        "version": version(task),
        "ephemeralStorage": fargate.then(|| json!({ "sizeInGiB": 20 })),
        "fargateEphemeralStorage": fargate.then(|| json!({ "sizeInGiB": 20 })),
    }))
}

/// A service.
pub(super) fn service(state: &State, service: &Service, with_tags: bool) -> Value {
    let fargate = is_fargate(&service.settings);
    let setting = |member: &str, default: Value| scheduler::setting(service, member).cloned().unwrap_or(default);
    let (running, pending) = service.deployments.iter().fold((0, 0), |(running, pending), deployment| {
        let (more_running, more_pending) = scheduler::count(state, &service.arn, &deployment.id);
        (running + more_running, pending + more_pending)
    });
    let revisions = deployments::running_revisions(state, &service.arn);
    let revisions = revisions.into_iter().map(|(arn, requested, running, pending)| {
        json!({ "arn": arn, "requestedTaskCount": requested, "runningTaskCount": running, "pendingTaskCount": pending })
    });
    without_nulls(json!({
        "serviceArn": service.arn,
        "serviceName": service.name,
        "clusterArn": state.ecs_arn(&format!("cluster/{}", service.cluster)),
        "loadBalancers": setting("loadBalancers", json!([])),
        "serviceRegistries": setting("serviceRegistries", json!([])),
        "status": service.status,
        "desiredCount": service.desired_count,
        "runningCount": running,
        "pendingCount": pending,
        "launchType": launch_type(&service.settings),
        "capacityProviderStrategy": setting("capacityProviderStrategy", Value::Null),
        "platformVersion": fargate.then(|| setting("platformVersion", json!("LATEST"))),
        "platformFamily": fargate.then_some("Linux"),
        "taskDefinition": service.primary().map(|deployment| &deployment.task_definition),
        "deploymentConfiguration": service.configuration(),
        "deployments": shown(state, service).map(|one| deployment(state, service, one)).collect::<Vec<_>>(),
        "taskSets": (service.controller() != "ECS").then(|| task_sets(state, service)),
        "roleArn": format!("arn:aws:iam::{}:role/{SERVICE_ROLE}", state.account),
        "events": service.events.iter().map(event).collect::<Vec<_>>(),
        "createdAt": epoch(service.created_at),
        "currentServiceDeployment": service.service_deployments.last().map(|deployment| &deployment.arn),
        "currentServiceRevisions": revisions.collect::<Vec<_>>(),
        "placementConstraints": setting("placementConstraints", json!([])),
        "placementStrategy": setting("placementStrategy", json!([])),
        "networkConfiguration": setting("networkConfiguration", Value::Null),
        "healthCheckGracePeriodSeconds": setting("healthCheckGracePeriodSeconds", json!(0)),
        "schedulingStrategy": setting("schedulingStrategy", json!("REPLICA")),
        "deploymentController": setting("deploymentController", json!({ "type": "ECS" })),
        "createdBy": format!("arn:aws:iam::{}:role/deliver", state.account),
        "enableECSManagedTags": setting("enableECSManagedTags", json!(false)),
        "propagateTags": setting("propagateTags", json!("NONE")),
        "enableExecuteCommand": setting("enableExecuteCommand", json!(false)),
        "availabilityZoneRebalancing": setting("availabilityZoneRebalancing", json!("ENABLED")),
        "tags": if with_tags { json!(tags::of(state, &service.arn)) } else { Value::Null },
    }))
}

/// The task sets of a service that another controller deploys.
fn task_sets(state: &State, service: &Service) -> Vec<Value> {
    let task_set = |deployment: &Deployment| {
        let (running, pending) = scheduler::count(state, &service.arn, &deployment.id);
        let id = deployment.id.replace("ecs-svc/", "ecs-svc-");
        json!({
            "id": id,
            "taskSetArn": format!("{}/{id}", service.arn.replacen(":service/", ":task-set/", 1)),
            "serviceArn": service.arn,
            "clusterArn": cluster_of(service),
            "externalId": if service.controller() == "CODE_DEPLOY" { "d-0A1B2C3D4" } else { "release-1" },
            "status": "PRIMARY",
            "taskDefinition": deployment.task_definition,
            "computedDesiredCount": service.desired_count,
            "pendingCount": pending,
            "runningCount": running,
            "createdAt": epoch(deployment.created_at),
            "updatedAt": epoch(deployment.updated_at),
            "launchType": launch_type(&service.settings),
            "loadBalancers": service.load_balancers(),
            "scale": { "value": 100.0, "unit": "PERCENT" },
            "stabilityStatus": if pending == 0 { "STEADY_STATE" } else { "STABILIZING" },
            "stabilityStatusAt": epoch(deployment.updated_at),
            "tags": [],
        })
    };
    service.primary().into_iter().map(task_set).collect()
}

/// The deployments that DescribeServices shows: the primary one, and those that still have tasks.
///
/// A service that another controller deploys has none: its tasks are in task sets.
pub(super) fn shown<'a>(state: &'a State, service: &'a Service) -> impl Iterator<Item = &'a Deployment> {
    let mut all: Vec<&Deployment> =
        service.deployments.iter().rev().filter(|_| service.controller() == "ECS").collect();
    all.sort_by_key(|deployment| deployment.id != service.primary);
    all.into_iter().filter(|deployment| {
        let mut tasks = scheduler::tasks(state, &service.arn);
        deployment.id == service.primary
            || tasks.any(|task| task.deployment.as_ref() == Some(&deployment.id) && task.status != Status::Stopped)
    })
}

/// One of `deployments`.
fn deployment(state: &State, service: &Service, deployment: &Deployment) -> Value {
    let (running, pending) = scheduler::count(state, &service.arn, &deployment.id);
    let primary = deployment.id == service.primary;
    let revision = service.revisions.iter().find(|revision| revision.arn == deployment.revision);
    let settings = revision.map_or(&service.settings, |revision| &revision.settings);
    let fargate = is_fargate(settings);
    without_nulls(json!({
        "id": deployment.id,
        "status": if primary { "PRIMARY" } else { "ACTIVE" },
        "taskDefinition": deployment.task_definition,
        "desiredCount": if primary { service.desired_count } else { running + pending },
        "pendingCount": pending,
        "runningCount": running,
        "failedTasks": deployment.failed_tasks,
        "createdAt": epoch(deployment.created_at),
        "updatedAt": epoch(deployment.updated_at),
        "launchType": launch_type(settings),
        "capacityProviderStrategy": settings.get("capacityProviderStrategy"),
        "platformVersion": fargate.then_some(PLATFORM_VERSION),
        "platformFamily": fargate.then_some("Linux"),
        "networkConfiguration": settings.get("networkConfiguration"),
        "serviceConnectConfiguration": settings.get("serviceConnectConfiguration"),
        "volumeConfigurations": settings.get("volumeConfigurations"),
        "vpcLatticeConfigurations": settings.get("vpcLatticeConfigurations"),
        "rolloutState": rollout(deployment.rollout),
        "rolloutStateReason": deployment.reason,
    }))
}

/// `rolloutState`, as it is written.
pub(super) fn rollout(rollout: Rollout) -> &'static str {
    match rollout {
        Rollout::InProgress => "IN_PROGRESS",
        Rollout::Completed => "COMPLETED",
        Rollout::Failed => "FAILED",
    }
}

fn container(task: &Task, container: &Container) -> Value {
    let status = match task.status {
        _ if container.exit_code.is_some() => "STOPPED",
        Status::Running | Status::Deactivating => "RUNNING",
        Status::Provisioning | Status::Pending => "PENDING",
        Status::Deprovisioning | Status::Stopped => "STOPPED",
    };
    let text = |member: &str, default: &str| match &container.definition[member] {
        Value::Null => json!(default),
        value => json!(value.to_string()),
    };
    let interface = json!({ "attachmentId": task.attachment, "privateIpv4Address": task.ip });
    without_nulls(json!({
        "containerArn": container.arn,
        "taskArn": task.arn,
        "name": container.name,
        "image": container.image,
        "imageDigest": container.digest,
        "runtimeId": task.started_at.map(|_| &container.runtime_id),
        "lastStatus": status,
        "exitCode": container.exit_code,
        "reason": container.reason,
        "networkBindings": [],
        "networkInterfaces": if task.status == Status::Provisioning { json!([]) } else { json!([interface]) },
        "healthStatus": if lifecycle::has_health_check(container) { health(task) } else { "UNKNOWN" },
        "cpu": text("cpu", "0"),
        "memory": container.definition.get("memory").map(|_| text("memory", "0")),
        "memoryReservation": container.definition.get("memoryReservation").map(|_| text("memoryReservation", "0")),
    }))
}

fn attachment(task: &Task) -> Value {
    let subnet =
        &task.settings.get("networkConfiguration").unwrap_or(&Value::Null)["awsvpcConfiguration"]["subnets"][0];
    let status = match task.status {
        Status::Provisioning => "PRECREATED",
        Status::Stopped => "DELETED",
        _ => "ATTACHED",
    };
    let details = [
        ("subnetId", subnet.as_str().unwrap_or("subnet-0")),
        ("networkInterfaceId", &task.network_interface),
        ("privateIPv4Address", &task.ip),
    ];
    json!({
        "id": task.attachment,
        "type": "ElasticNetworkInterface",
        "status": status,
        "details": details.map(|(name, value)| json!({ "name": name, "value": value })),
    })
}

/// The overrides of the launch; every container has an entry, be it without overrides.
fn overrides(task: &Task) -> Value {
    let given = task.overrides["containerOverrides"].as_array().into_iter().flatten();
    let named: Vec<&Value> = given.clone().map(|one| &one["name"]).collect();
    let rest = task.containers.iter().filter(|container| !named.contains(&&json!(container.name)));
    let all: Vec<Value> = given.cloned().chain(rest.map(|container| json!({ "name": container.name }))).collect();
    let mut overrides = task.overrides.as_object().cloned().unwrap_or_default();
    overrides.insert("containerOverrides".to_owned(), json!(all));
    overrides.entry("inferenceAcceleratorOverrides").or_insert_with(|| json!([]));
    Value::Object(overrides)
}

fn event(event: &super::services::Event) -> Value {
    json!({ "id": event.id, "createdAt": epoch(event.created_at), "message": event.message })
}

fn health(task: &Task) -> &'static str {
    match task.health {
        Health::Unknown => "UNKNOWN",
        Health::Healthy => "HEALTHY",
        Health::Unhealthy => "UNHEALTHY",
    }
}

/// It counts up with every change that a subscriber would be told of.
fn version(task: &Task) -> u32 {
    let moments = [task.pull_started_at, task.started_at, task.stopping_at, task.execution_stopped_at, task.stopped_at];
    moments.iter().flatten().fold(1, |version, _| version + 1)
}

fn cluster_of(service: &Service) -> String {
    let prefix = service.arn.split(":service/").next().unwrap_or_default();
    format!("{prefix}:cluster/{}", service.cluster)
}

fn moment(moment: Option<Timestamp>) -> Value {
    moment.map_or(Value::Null, epoch)
}

/// What was asked for; with capacity providers nothing is.
fn launch_type(settings: &Map<String, Value>) -> Option<&str> {
    let asked = settings.get("launchType").and_then(Value::as_str).unwrap_or("EC2");
    providers(settings).next().is_none().then_some(asked)
}

fn is_fargate(settings: &Map<String, Value>) -> bool {
    launch_type(settings) == Some("FARGATE") || providers(settings).any(|provider| provider.starts_with("FARGATE"))
}

fn providers(settings: &Map<String, Value>) -> impl Iterator<Item = &str> {
    let strategy = settings.get("capacityProviderStrategy").and_then(Value::as_array);
    strategy.into_iter().flatten().filter_map(|item| item["capacityProvider"].as_str())
}
