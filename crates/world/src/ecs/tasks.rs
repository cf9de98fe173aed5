//! Tasks, and the operations on them. How a task lives is in [`super::lifecycle`].

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::launch::{self, Launch};
use super::lifecycle::{self, Step};
use super::{clusters, describe, missing, page, services, strings, tags, task_definitions, without_nulls};
use crate::behaviour::Behaviour;
use crate::state::State;
use crate::wire::Refusal;

/// A task, from the decision to launch it until ECS forgets it, an hour after it stopped.
#[derive(Debug)]
pub(crate) struct Task {
    /// Its place in the order of launches.
    pub(super) sequence: u64,
    pub(crate) id: String,
    pub(super) arn: String,
    pub(super) cluster: String,
    /// `service:auth` or `family:auth`.
    pub(super) group: String,
    /// The ARN of the service that it belongs to.
    pub(crate) service: Option<String>,
    /// The deployment of that service.
    pub(super) deployment: Option<String>,
    pub(super) started_by: Option<String>,
    /// The task definition's ARN.
    pub(super) task_definition: String,
    pub(super) family: String,
    pub(super) cpu: Option<String>,
    pub(super) memory: Option<String>,
    /// What the launch asked for: launch type, platform version, network configuration.
    pub(super) settings: Map<String, Value>,
    pub(super) overrides: Value,
    pub(crate) containers: Vec<Container>,
    pub(crate) ip: String,
    pub(super) network_interface: String,
    pub(super) attachment: String,
    pub(super) status: Status,
    pub(super) stopping: bool,
    pub(crate) health: Health,
    pub(super) stop: Option<Stop>,
    pub(super) created_at: Timestamp,
    pub(super) pull_started_at: Option<Timestamp>,
    pub(super) pull_stopped_at: Option<Timestamp>,
    pub(super) started_at: Option<Timestamp>,
    pub(super) stopping_at: Option<Timestamp>,
    pub(super) execution_stopped_at: Option<Timestamp>,
    pub(super) stopped_at: Option<Timestamp>,
    /// What happens to it next, in the order of time.
    pub(super) timeline: VecDeque<(Timestamp, Step)>,
}

/// A container of a task.
#[derive(Debug)]
pub(crate) struct Container {
    pub(crate) name: String,
    pub(crate) image: String,
    /// Its container definition with the launch's overrides.
    pub(crate) definition: Value,
    pub(super) arn: String,
    pub(super) runtime_id: String,
    pub(super) essential: bool,
    /// What it does, known once the image is pulled.
    pub(crate) behaviour: Option<Behaviour>,
    pub(super) digest: Option<String>,
    pub(super) exit_code: Option<i64>,
    pub(super) reason: Option<String>,
}

/// `lastStatus`: <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-lifecycle-explanation.html>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Provisioning,
    Pending,
    Running,
    Deactivating,
    Deprovisioning,
    Stopped,
}

/// What health checks say, those of the target group and those of the containers taken together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    /// Nothing yet.
    Unknown,
    Healthy,
    Unhealthy,
}

/// Why a task stopped.
#[derive(Clone, Debug)]
pub(super) struct Stop {
    /// <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-error-codes.html>
    pub(super) code: &'static str,
    pub(super) reason: String,
}

/// The client tokens of RunTask, each with its request and the tasks that it launched.
pub(super) type ClientTokens = BTreeMap<String, (Timestamp, Value, Vec<String>)>;

/// RunTask.
pub(super) fn run(state: &mut State, body: &Value) -> Result<Value, Refusal> {
    let cluster = clusters::named(state, body)?;
    if let Some(tasks) = already_run(state, &cluster, body)? {
        return Ok(json!({ "tasks": described(state, &tasks), "failures": [] }));
    }
    let definition = task_definitions::usable(state, body["taskDefinition"].as_str().unwrap_or_default())?.clone();
    launch::check(&definition, body)?;
    if launch::lacks_capacity(state, &definition, None) {
        return Ok(json!({ "tasks": [], "failures": [{ "reason": launch::NO_CAPACITY }] }));
    }
    let count = body["count"].as_u64().unwrap_or(1);
    if !(1..=10).contains(&count) {
        return Err(Refusal::new("InvalidParameterException", "Task count should be between 1 and 10."));
    }
    let launch = Launch {
        group: body["group"].as_str().map_or_else(|| format!("family:{}", definition.family), str::to_owned),
        started_by: body["startedBy"].as_str().map(str::to_owned),
        overrides: body["overrides"].clone(),
        settings: body.as_object().cloned().unwrap_or_default(),
        cluster: cluster.clone(),
        definition,
        service: None,
        deployment: None,
    };
    let launched: Vec<u64> = (0..count).map(|_| launch::launch(state, &launch)).collect();
    let arns: Vec<String> = launched.iter().map(|sequence| state.ecs.tasks[sequence].arn.clone()).collect();
    if let Some(given) = body["tags"].as_array() {
        state.ecs.tags.extend(arns.iter().map(|arn| (arn.clone(), given.clone())));
    }
    if let Some(token) = body["clientToken"].as_str() {
        let record = (state.now, body.clone(), arns.clone());
        state.ecs.client_tokens.insert(format!("{cluster} {token}"), record);
    }
    Ok(json!({ "tasks": described(state, &arns), "failures": [] }))
}

/// StopTask.
pub(super) fn stop(state: &mut State, body: &Value) -> Result<Value, Refusal> {
    let cluster = clusters::named(state, body)?;
    let task = find(state, &cluster, body["task"].as_str().unwrap_or_default())
        .ok_or_else(|| Refusal::new("InvalidParameterException", "The referenced task was not found."))?;
    let (sequence, service) = (task.sequence, task.service.clone());
    let reason = body["reason"].as_str().unwrap_or("Task stopped by user").to_owned();
    lifecycle::ask_to_stop(state, sequence, Stop { code: "UserInitiated", reason });
    if let Some(service) = service {
        super::scheduler::reconcile(state, &service);
    }
    Ok(json!({ "task": describe::task(state, &state.ecs.tasks[&sequence], false) }))
}

/// ListTasks.
pub(super) fn list(state: &State, body: &Value) -> Result<Value, Refusal> {
    let cluster = clusters::named(state, body)?;
    let started_by = body["startedBy"].as_str();
    let stopped = body["desiredStatus"] == "STOPPED";
    let filtered = ["family", "serviceName", "containerInstance"].iter().any(|filter| !body[filter].is_null());
    if started_by.is_some() && (filtered || stopped) {
        // "When you specify startedBy as the filter, it must be the only filter that you use":
        // https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ListTasks.html
        return Err(Refusal::new("InvalidParameterException", "startedBy cannot be combined with another filter."));
    }
    let service = match body["serviceName"].as_str() {
        Some(name) => Some(services::existing(state, &cluster, name)?.arn.clone()),
        None => None,
    };
    let family = body["family"].as_str();
    let arns: Vec<&String> = (state.ecs.tasks.values())
        // ECS never sets a desired status of PENDING: that filter matches nothing.
        .filter(|task| task.cluster == cluster && task.stopping == stopped && body["desiredStatus"] != "PENDING")
        .filter(|task| started_by.is_none_or(|started_by| task.started_by.as_deref() == Some(started_by)))
        .filter(|task| service.is_none() || task.service == service)
        .filter(|task| family.is_none_or(|family| task.family == family))
        .map(|task| &task.arn)
        .collect();
    let (arns, next) = page(arns, body, 100)?;
    Ok(without_nulls(json!({ "taskArns": arns, "nextToken": next })))
}

/// DescribeTasks.
pub(super) fn describe(state: &State, body: &Value) -> Result<Value, Refusal> {
    let cluster = clusters::named(state, body)?;
    let wanted = strings(body, "tasks");
    if wanted.is_empty() || wanted.len() > 100 {
        return Err(Refusal::new("InvalidParameterException", "Tasks must hold between 1 and 100 items."));
    }
    let with_tags = strings(body, "include").contains(&"TAGS");
    let (mut tasks, mut failures) = (Vec::new(), Vec::new());
    for id in wanted {
        match find(state, &cluster, id) {
            Some(task) => tasks.push(describe::task(state, task, with_tags)),
            None => failures.push(missing(state, &format!("task/{cluster}"), id)),
        }
    }
    Ok(json!({ "tasks": tasks, "failures": failures }))
}

impl Task {
    /// When something happens to it next.
    pub(super) fn due(&self) -> Option<Timestamp> {
        self.timeline.front().map(|(moment, _)| *moment)
    }

    /// Takes requests, or would if its container did.
    pub(crate) fn is_running(&self) -> bool {
        self.status == Status::Running
    }

    /// Counts toward its service's desired count.
    pub(super) fn is_wanted(&self) -> bool {
        !self.stopping
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.status == Status::Deactivating
    }

    /// As services and clusters count: `PENDING`, `RUNNING`, or neither.
    pub(super) fn count_status(&self) -> &'static str {
        match self.status {
            Status::Provisioning | Status::Pending if !self.stopping => "PENDING",
            Status::Running => "RUNNING",
            _ => "STOPPING",
        }
    }

    /// The first container that takes requests, and its port.
    pub(crate) fn port(&self) -> Option<(&Container, u64)> {
        let port = |container: &Container| container.definition["portMappings"][0]["containerPort"].as_u64();
        self.containers.iter().find_map(|container| Some((container, port(container)?)))
    }
}

impl Status {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Provisioning => "PROVISIONING",
            Self::Pending => "PENDING",
            Self::Running => "RUNNING",
            Self::Deactivating => "DEACTIVATING",
            Self::Deprovisioning => "DEPROVISIONING",
            Self::Stopped => "STOPPED",
        }
    }
}

/// The tasks that this client token launched before.
/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/ECS_Idempotency.html>
fn already_run(state: &State, cluster: &str, body: &Value) -> Result<Option<Vec<String>>, Refusal> {
    const LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);
    let token = body["clientToken"].as_str().map(|token| format!("{cluster} {token}"));
    match token.and_then(|token| state.ecs.client_tokens.get(&token)) {
        Some((at, request, tasks)) if *at + LIFETIME > state.now => {
            if request == body {
                Ok(Some(tasks.clone()))
            } else {
                Err(Refusal::new("ConflictException", "The client token was used before, with other parameters."))
            }
        }
        _ => Ok(None),
    }
}

fn described(state: &State, arns: &[String]) -> Vec<Value> {
    let tasks = state.ecs.tasks.values().filter(|task| arns.contains(&task.arn));
    tasks.map(|task| describe::task(state, task, !tags::of(state, &task.arn).is_empty())).collect()
}

fn find<'a>(state: &'a State, cluster: &str, id_or_arn: &str) -> Option<&'a Task> {
    (state.ecs.tasks.values()).find(|task| task.cluster == cluster && (task.id == id_or_arn || task.arn == id_or_arn))
}
