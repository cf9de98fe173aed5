//! What it takes to launch a task: the checks of the API, and the making of the task.

use std::collections::VecDeque;

use serde_json::{Map, Value, json};

use super::identifiers;
use super::lifecycle::{self, Step};
use super::task_definitions::TaskDefinition;
use super::tasks::{Container, Health, Status, Task};
use crate::behaviour::Behaviour;
use crate::state::State;
use crate::wire::Refusal;

pub(super) const NO_CAPACITY: &str =
    "Capacity is unavailable at this time. Please try again later or in a different availability zone";

/// What to launch, for whom.
#[derive(Debug)]
pub(super) struct Launch {
    pub(super) cluster: String,
    pub(super) definition: TaskDefinition,
    pub(super) group: String,
    pub(super) started_by: Option<String>,
    pub(super) service: Option<String>,
    pub(super) deployment: Option<String>,
    pub(super) overrides: Value,
    pub(super) settings: Map<String, Value>,
}

/// Refuses what RunTask and CreateService refuse about a task definition and how it is to be launched.
pub(super) fn check(definition: &TaskDefinition, request: &Value) -> Result<(), Refusal> {
    let refuse = |message: String| Err(Refusal::new("InvalidParameterException", message));
    let awsvpc = definition.text("networkMode") == Some("awsvpc");
    let subnets = &request["networkConfiguration"]["awsvpcConfiguration"]["subnets"];
    if awsvpc && request["networkConfiguration"].is_null() {
        return refuse("Network Configuration must be provided when networkMode 'awsvpc' is specified.".to_owned());
    }
    if awsvpc && subnets.as_array().is_none_or(Vec::is_empty) {
        return refuse("subnets can not be empty.".to_owned());
    }
    if !awsvpc && !request["networkConfiguration"].is_null() {
        return refuse(
            "Network Configuration is not valid for the given networkMode of this task definition.".to_owned(),
        );
    }
    if request["launchType"] == "FARGATE" && !(awsvpc && definition.text("cpu").is_some()) {
        return refuse("Task definition does not support launch_type FARGATE.".to_owned());
    }
    for name in request["overrides"]["containerOverrides"].as_array().into_iter().flatten().map(|one| &one["name"]) {
        if definition.containers().iter().all(|container| &container["name"] != name) {
            let name = name.as_str().unwrap_or_default();
            return refuse(format!("Override for container named {name} is not a container in the TaskDefinition."));
        }
    }
    Ok(())
}

/// Whether one of its images says that there is no capacity for it.
pub(super) fn lacks_capacity(state: &State, definition: &TaskDefinition, service: Option<&str>) -> bool {
    let images = definition.containers().iter().filter_map(|container| container["image"].as_str());
    images
        .filter_map(|image| crate::ecr::image(state, image))
        .any(|image| lifecycle::behaviour(&image.labels, service.is_some()) == Behaviour::NoCapacity)
}

/// Launches one task; its life takes its course from here. Gives its place in the order of launches.
pub(super) fn launch(state: &mut State, launch: &Launch) -> u64 {
    let id = identifiers::task_id(state);
    let sequence = state.ecs.tasks.last_key_value().map_or(0, |(last, _)| last + 1);
    let containers = launch.definition.containers().iter();
    let containers = containers.map(|definition| container(state, launch, definition)).collect();
    let size = |member: &str| {
        let overridden = launch.overrides[member].as_str();
        overridden.or_else(|| launch.definition.text(member)).map(str::to_owned)
    };
    let task = Task {
        sequence,
        arn: state.ecs_arn(&format!("task/{}/{id}", launch.cluster)),
        id,
        cluster: launch.cluster.clone(),
        group: launch.group.clone(),
        service: launch.service.clone(),
        deployment: launch.deployment.clone(),
        started_by: launch.started_by.clone(),
        task_definition: launch.definition.arn.clone(),
        family: launch.definition.family.clone(),
        cpu: size("cpu"),
        memory: size("memory"),
        settings: launch.settings.clone(),
        overrides: launch.overrides.clone(),
        containers,
        // A subnet of its own, 10.0.0.0/16, filled one by one.
        ip: format!("10.0.{}.{}", sequence / 250 % 250, sequence % 250 + 4),
        network_interface: identifiers::network_interface_id(state),
        attachment: identifiers::uuid(state),
        status: Status::Provisioning,
        stopping: false,
        health: Health::Unknown,
        stop: None,
        created_at: state.now,
        pull_started_at: None,
        pull_stopped_at: None,
        started_at: None,
        stopping_at: None,
        execution_stopped_at: None,
        stopped_at: None,
        timeline: VecDeque::from([(state.now + state.timing.provision, Step::Provisioned)]),
    };
    state.ecs.tasks.insert(sequence, task);
    sequence
}

fn container(state: &mut State, launch: &Launch, definition: &Value) -> Container {
    let definition = overridden(definition, &launch.overrides);
    let text = |member: &str| definition[member].as_str().unwrap_or_default().to_owned();
    let runtime = identifiers::task_id(state);
    let uuid = identifiers::uuid(state);
    Container {
        name: text("name"),
        image: text("image"),
        arn: state.ecs_arn(&format!("container/{}/{runtime}/{uuid}", launch.cluster)),
        runtime_id: format!("{runtime}-{:010}", state.ecs.tasks.len()),
        essential: definition["essential"] != false,
        definition,
        behaviour: None,
        digest: None,
        exit_code: None,
        reason: None,
    }
}

/// A container definition with the overrides of a launch: the environment is joined by name, all else replaced.
fn overridden(definition: &Value, overrides: &Value) -> Value {
    let mut result = definition.clone();
    let all = overrides["containerOverrides"].as_array().into_iter().flatten();
    let own = all.filter(|one| one["name"] == definition["name"]).filter_map(Value::as_object);
    for (member, value) in own.flatten() {
        result[member] = match (member.as_str(), value.as_array()) {
            ("environment", Some(new)) => {
                let old = definition["environment"].as_array().into_iter().flatten();
                let kept = old.filter(|old| new.iter().all(|new| new["name"] != old["name"]));
                json!(kept.chain(new).collect::<Vec<_>>())
            }
            _ => value.clone(),
        };
    }
    result
}
