//! Amazon ECS: clusters, task definitions, services with their scheduler, and tasks. This is the door: who answers
//! what, and how the world catches up with its clock.
//!
//! API: <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/Welcome.html>

mod alarms;
mod clusters;
mod configuration;
mod deployments;
mod describe;
mod hooks;
mod identifiers;
mod launch;
mod lifecycle;
mod rollback;
mod scheduler;
mod seed;
mod services;
mod share;
mod stages;
mod tags;
mod task_definitions;
mod tasks;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

pub(crate) use identifiers::hexadecimal;
pub use seed::{CircuitBreaker, ServiceSeed, ServiceView, TaskView};
pub(crate) use services::Service;
pub(crate) use tasks::{Container, Health, Task};

use crate::cloudwatch;
use crate::state::State;
use crate::wire::Refusal;

/// Everything that exists in ECS.
#[derive(Debug, Default)]
pub(crate) struct Ecs {
    /// By name.
    clusters: BTreeMap<String, clusters::Cluster>,
    /// By family; the revision is the place in the list, from one.
    families: BTreeMap<String, Vec<task_definitions::TaskDefinition>>,
    /// By ARN.
    pub(crate) services: BTreeMap<String, Service>,
    /// In the order of their launches.
    pub(crate) tasks: BTreeMap<u64, Task>,
    /// By the ARN of the resource that carries them.
    tags: BTreeMap<String, Vec<Value>>,
    client_tokens: tasks::ClientTokens,
    minted: u64,
    /// For so long after RegisterTaskDefinition other calls do not find what was registered.
    task_definitions_appear_after: Duration,
    /// Until when everything has happened.
    caught_up: Option<Timestamp>,
}

/// Answers one operation of the API.
pub(crate) fn answer(state: &mut State, operation: &str, body: &Value) -> Result<Value, Refusal> {
    match operation {
        "RegisterTaskDefinition" => task_definitions::register(state, body),
        "DescribeTaskDefinition" => task_definitions::describe(state, body),
        "ListTaskDefinitions" => task_definitions::list(state, body),
        "DeregisterTaskDefinition" => task_definitions::deregister(state, body),
        "DescribeClusters" => Ok(clusters::describe(state, body)),
        "CreateService" => services::create(state, body),
        "UpdateService" => services::update(state, body),
        "DeleteService" => services::delete(state, body),
        "DescribeServices" => services::describe(state, body),
        "ListServices" => services::list(state, body),
        "ListServiceDeployments" => deployments::list(state, body),
        "DescribeServiceDeployments" => deployments::describe(state, body),
        "DescribeServiceRevisions" => deployments::describe_revisions(state, body),
        "StopServiceDeployment" => rollback::stop_service_deployment(state, body),
        "ContinueServiceDeployment" => hooks::continue_service_deployment(state, body),
        "RunTask" => tasks::run(state, body),
        "StopTask" => tasks::stop(state, body),
        "ListTasks" => tasks::list(state, body),
        "DescribeTasks" => tasks::describe(state, body),
        "TagResource" => tags::tag(state, body),
        "ListTagsForResource" => tags::list(state, body),
        _ => Err(Refusal::new("UnknownOperationException", format!("ECS in this world does not answer {operation}."))),
    }
}

/// Lets everything happen that was due by `state.now`, in the order of time. While something happens, `state.now` is
/// its own moment: whoever looks later sees when it happened, not when they looked.
pub(crate) fn catch_up(state: &mut State) {
    let present = state.now;
    // An alarm may have been set in the very moment of the last look, after it: that moment is looked at once more.
    state.now = state.ecs.caught_up.map_or(present, |moment| moment - Duration::from_nanos(1));
    while let Some((moment, next)) = next(state).filter(|(moment, _)| *moment <= present) {
        state.now = moment;
        match next {
            Next::Alarms => alarms::watched(state).iter().for_each(|arn| scheduler::reconcile(state, arn)),
            Next::Task(sequence) => lifecycle::step(state, sequence),
            Next::Service(arn) => scheduler::reconcile(state, &arn),
        }
    }
    state.now = present;
    state.ecs.caught_up = Some(present);
}

/// What happens next after `state.now`, and when.
fn next(state: &State) -> Option<(Timestamp, Next)> {
    match (cloudwatch::next_change(state), state.ecs.next()) {
        (Some(alarms), Some((moment, _))) if alarms <= moment => Some((alarms, Next::Alarms)),
        (_, Some(next)) => Some(next),
        (alarms, None) => Some((alarms?, Next::Alarms)),
    }
}

/// Whose turn it is.
enum Next {
    /// An alarm changes its state.
    Alarms,
    Task(u64),
    Service(String),
}

impl Ecs {
    /// What happens next, and when. Of what happens in the same moment, tasks come before schedulers, old before new.
    fn next(&self) -> Option<(Timestamp, Next)> {
        let task = self.tasks.values().filter_map(|task| Some((task.due()?, task.sequence))).min();
        let service = self.services.values().filter_map(|service| Some((service.due?, &service.arn))).min();
        match (task, service) {
            (Some((moment, sequence)), Some((other, _))) if moment <= other => Some((moment, Next::Task(sequence))),
            (_, Some((moment, arn))) => Some((moment, Next::Service(arn.clone()))),
            (Some((moment, sequence)), None) => Some((moment, Next::Task(sequence))),
            (None, None) => None,
        }
    }
}

/// One page of a list, as `maxResults` and `nextToken` ask for it, and the token of the next page.
fn page<T>(items: Vec<T>, body: &Value, largest: usize) -> Result<(Vec<T>, Option<String>), Refusal> {
    let start: usize = match body["nextToken"].as_str() {
        None => 0,
        Some(token) => {
            token.parse().map_err(|_| Refusal::new("InvalidParameterException", "Invalid token in the request."))?
        }
    };
    let size = body["maxResults"].as_u64().and_then(|size| usize::try_from(size).ok()).unwrap_or(largest);
    let size = size.clamp(1, largest);
    let more = items.len() > start.saturating_add(size);
    Ok((items.into_iter().skip(start).take(size).collect(), more.then(|| (start + size).to_string())))
}

/// A JSON object without the members that are null: AWS leaves out what it does not know.
fn without_nulls(mut value: Value) -> Value {
    if let Some(members) = value.as_object_mut() {
        members.retain(|_, member| !member.is_null());
    }
    value
}

/// The failure that stands for something that a request names and that is not there. `parent` is what its ARN has
/// before the name.
fn missing(state: &State, parent: &str, name_or_arn: &str) -> Value {
    let is_arn = name_or_arn.starts_with("arn:");
    let arn = if is_arn { name_or_arn.to_owned() } else { state.ecs_arn(&format!("{parent}/{name_or_arn}")) };
    json!({ "arn": arn, "reason": "MISSING" })
}

/// The strings of a list in a request.
fn strings<'a>(body: &'a Value, member: &str) -> Vec<&'a str> {
    body[member].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}
