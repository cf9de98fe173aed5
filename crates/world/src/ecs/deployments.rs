//! Deployments of a service, seen in the two ways that ECS shows them: `deployments` of the service, and service
//! deployments with their service revisions.
//!
//! <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-deployment.html>

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::alarms::{self, Alarms};
use super::hooks::Hook;
use super::services::{REVISION_MEMBERS, Service};
use super::stages::{self, Journey, Setting, Stage};
use super::{clusters, describe, identifiers, page, scheduler, services, strings, task_definitions, without_nulls};
use crate::state::State;
use crate::wire::{Refusal, epoch};

/// One of a service's `deployments`.
#[derive(Clone, Debug)]
pub(super) struct Deployment {
    /// `ecs-svc/…`, the `startedBy` of its tasks.
    pub(super) id: String,
    /// The ARN of its service revision.
    pub(super) revision: String,
    pub(super) task_definition: String,
    pub(super) created_at: Timestamp,
    pub(super) updated_at: Timestamp,
    pub(super) rollout: Rollout,
    pub(super) reason: String,
    /// Tasks in a row that never became healthy.
    pub(super) failed_tasks: u32,
    /// Launches that found no capacity, in a row.
    pub(super) unplaced: u32,
    /// After failures the scheduler lets time pass.
    pub(super) next_start: Option<Timestamp>,
    /// Its tasks are registered with the alternate target groups, and not with the others.
    pub(super) is_alternate: bool,
}

/// `rolloutState`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rollout {
    InProgress,
    Completed,
    Failed,
}

/// What a service was to be at one time.
#[derive(Clone, Debug)]
pub(super) struct Revision {
    pub(super) arn: String,
    pub(super) task_definition: String,
    pub(super) settings: Map<String, Value>,
    pub(super) images: Value,
    pub(super) created_at: Timestamp,
}

/// A service deployment: the whole way from one revision to the next, or back.
#[derive(Clone, Debug)]
pub(super) struct ServiceDeployment {
    pub(super) arn: String,
    /// The `ecs-svc/…` that it brings.
    pub(super) deployment: String,
    /// The ARNs of the revisions that ran when it began.
    pub(super) sources: Vec<String>,
    pub(super) target: String,
    pub(super) status: &'static str,
    pub(super) status_reason: Option<String>,
    pub(super) created_at: Timestamp,
    pub(super) updated_at: Timestamp,
    pub(super) started_at: Option<Timestamp>,
    pub(super) stopped_at: Option<Timestamp>,
    pub(super) finished_at: Option<Timestamp>,
    pub(super) rollback: Option<Rollback>,
    pub(super) breaker: Breaker,
    pub(super) alarms: Alarms,
    pub(super) hooks: Vec<Hook>,
    pub(super) journey: Journey,
    pub(super) configuration: Value,
}

/// Where a service deployment goes back to, and why.
#[derive(Clone, Debug)]
pub(super) struct Rollback {
    pub(super) reason: String,
    pub(super) started_at: Timestamp,
    pub(super) revision: String,
}

/// The deployment circuit breaker, as a service deployment reports it.
#[derive(Clone, Debug)]
pub(super) struct Breaker {
    /// `DISABLED`, `MONITORING`, `MONITORING_COMPLETE` or `TRIGGERED`.
    pub(super) status: &'static str,
    pub(super) failures: u32,
    pub(super) threshold: u32,
}

/// Begins a new deployment. What was under way is replaced by it.
pub(super) fn start(state: &mut State, service: &str, task_definition: &str) {
    let id = identifiers::deployment_id(state);
    let revision = new_revision(state, service, task_definition);
    let configuration = state.ecs.services.get(service).map_or(Value::Null, |service| service.configuration().clone());
    let (alarms, timing) = (alarms::of(state, &configuration), state.timing);
    let mut deployment = Deployment {
        reason: format!("ECS deployment {id} in progress."),
        id: id.clone(),
        revision: revision.arn.clone(),
        task_definition: task_definition.to_owned(),
        created_at: state.now,
        updated_at: state.now,
        rollout: Rollout::InProgress,
        failed_tasks: 0,
        unplaced: 0,
        next_start: None,
        is_alternate: false,
    };
    let unique = identifiers::service_deployment_id(state);
    let (now, arn) = (state.now, service.replacen(":service/", ":service-deployment/", 1));
    let sources: Vec<String> = running_revisions(state, service).into_iter().map(|(revision, ..)| revision).collect();
    let Some(service) = state.ecs.services.get_mut(service) else { return };
    for earlier in service.service_deployments.iter_mut().filter(|earlier| !earlier.is_over()) {
        earlier.status_reason = Some("Replaced by a new service deployment".to_owned());
        earlier.becomes("STOP_REQUESTED", now);
    }
    let setting = setting(service, sources.len() > 1);
    let before = service.deployments.iter().rev().find(|one| one.rollout == Rollout::Completed);
    deployment.is_alternate =
        before.is_some_and(|before| before.is_alternate != (stages::shifts(&configuration) && setting.manages_traffic));
    let (enabled, threshold) = scheduler::breaker(service);
    service.service_deployments.push(ServiceDeployment {
        arn: format!("{arn}/{unique}"),
        deployment: id.clone(),
        sources,
        target: revision.arn.clone(),
        status: "PENDING",
        status_reason: None,
        created_at: now,
        updated_at: now,
        started_at: None,
        stopped_at: None,
        finished_at: None,
        rollback: None,
        breaker: Breaker { status: if enabled { "MONITORING" } else { "DISABLED" }, failures: 0, threshold },
        alarms,
        hooks: Vec::new(),
        journey: Journey::new(&configuration, &setting, &timing),
        configuration,
    });
    service.primary = id;
    service.deployments.push(deployment);
    service.revisions.push(revision);
    let arn = service.arn.clone();
    scheduler::wake(state, &arn);
}

fn setting(service: &Service, reconciles: bool) -> Setting {
    let load_balancers = service.load_balancers();
    let advanced = || load_balancers.iter().map(|one| &one["advancedConfiguration"]);
    Setting {
        manages_traffic: advanced().any(|one| !one.is_null()),
        tests_traffic: advanced().any(|one| !one["testListenerRule"].is_null()),
        reconciles,
    }
}

/// ListServiceDeployments.
pub(super) fn list(state: &State, body: &Value) -> Result<Value, Refusal> {
    let cluster = clusters::named(state, body)?;
    let service = services::existing(state, &cluster, body["service"].as_str().unwrap_or_default())?;
    let statuses = strings(body, "status");
    let seconds = |moment: Timestamp| epoch(moment).as_f64().unwrap_or_default();
    let (after, before) = (body["createdAt"]["after"].as_f64(), body["createdAt"]["before"].as_f64());
    let briefs: Vec<Value> = (service.service_deployments.iter().rev())
        .filter(|one| statuses.is_empty() || statuses.contains(&one.status))
        .filter(|one| after.is_none_or(|after| seconds(one.created_at) >= after))
        .filter(|one| before.is_none_or(|before| seconds(one.created_at) <= before))
        .map(|one| describe::service_deployment_brief(service, one))
        .collect();
    let largest = if body["maxResults"].is_null() { 20 } else { 100 };
    let (briefs, next) = page(briefs, body, largest)?;
    Ok(without_nulls(json!({ "serviceDeployments": briefs, "nextToken": next })))
}

/// DescribeServiceDeployments.
pub(super) fn describe(state: &State, body: &Value) -> Result<Value, Refusal> {
    let found = |arn: &str| {
        let (service, deployment) = find(state, arn)?;
        Some(describe::service_deployment(state, service, deployment))
    };
    let (deployments, failures) = each(body, "serviceDeploymentArns", found)?;
    Ok(json!({ "serviceDeployments": deployments, "failures": failures }))
}

/// DescribeServiceRevisions.
pub(super) fn describe_revisions(state: &State, body: &Value) -> Result<Value, Refusal> {
    let found = |arn: &str| {
        let mut all =
            state.ecs.services.values().flat_map(|service| service.revisions.iter().map(move |one| (service, one)));
        let (service, revision) = all.find(|(_, revision)| revision.arn == arn)?;
        Some(describe::revision(state, service, revision))
    };
    let (revisions, failures) = each(body, "serviceRevisionArns", found)?;
    Ok(json!({ "serviceRevisions": revisions, "failures": failures }))
}

/// The service deployment of that ARN, with its service.
pub(super) fn find<'a>(state: &'a State, arn: &str) -> Option<(&'a services::Service, &'a ServiceDeployment)> {
    let services = state.ecs.services.values();
    services
        .flat_map(|service| service.service_deployments.iter().map(move |one| (service, one)))
        .find(|(_, one)| one.arn == arn)
}

/// The revisions that tasks of a service run, each with the tasks requested, running and pending.
pub(super) fn running_revisions(state: &State, service: &str) -> Vec<(String, u32, u32, u32)> {
    let Some(service) = state.ecs.services.get(service) else { return Vec::new() };
    let counted = service.deployments.iter().map(|deployment| {
        let (running, pending) = scheduler::count(state, &service.arn, &deployment.id);
        let is_wanted = deployment.id == service.primary || stages::kept(service) == Some(&deployment.id);
        let requested = if is_wanted { service.desired_count } else { running + pending };
        (deployment.revision.clone(), requested, running, pending)
    });
    counted.filter(|(_, requested, running, pending)| requested + running + pending > 0).collect()
}

impl ServiceDeployment {
    /// Nothing more will happen to it.
    pub(super) fn is_over(&self) -> bool {
        ["SUCCESSFUL", "STOPPED", "ROLLBACK_SUCCESSFUL", "ROLLBACK_FAILED"].contains(&self.status)
    }

    /// `lifecycleStage`, while there is one.
    pub(super) fn stage(&self) -> Option<&'static str> {
        self.journey.stage().filter(|_| !self.is_over()).map(Stage::name)
    }

    /// Moves on, at a moment.
    pub(super) fn becomes(&mut self, status: &'static str, now: Timestamp) {
        self.status = status;
        self.updated_at = now;
        match status {
            "IN_PROGRESS" => self.started_at = Some(now),
            "STOPPED" => self.stopped_at = Some(now),
            _ => {}
        }
        if status != "IN_PROGRESS" {
            // Nobody can answer them any more.
            self.hooks.iter_mut().filter(|hook| hook.is_pending()).for_each(|hook| hook.status = "FAILED");
        }
        if self.is_over() {
            self.finished_at = Some(now);
            for watcher in [&mut self.breaker.status, &mut self.alarms.status] {
                if *watcher == "MONITORING" {
                    *watcher = "MONITORING_COMPLETE";
                }
            }
        }
    }
}

fn new_revision(state: &mut State, service: &str, task_definition: &str) -> Revision {
    let number = identifiers::digits(state);
    let settings = state.ecs.services.get(service).map(|service| &service.settings);
    let members = settings
        .into_iter()
        .flatten()
        .filter(|(member, _)| REVISION_MEMBERS.contains(&member.as_str()) || member.as_str() == "launchType");
    let containers =
        task_definitions::find(state, task_definition).map_or(&[][..], |definition| definition.containers());
    let images = containers.iter().map(|container| {
        let image = container["image"].as_str().unwrap_or_default();
        let digest = crate::ecr::image(state, image).map(|image| image.digest).filter(|digest| !digest.is_empty());
        without_nulls(json!({ "containerName": container["name"], "image": image, "imageDigest": digest }))
    });
    Revision {
        arn: format!("{}/{number}", service.replacen(":service/", ":service-revision/", 1)),
        task_definition: task_definition.to_owned(),
        settings: members.map(|(member, value)| (member.clone(), value.clone())).collect(),
        images: images.collect(),
        created_at: state.now,
    }
}

/// Finds each of the ARNs that a request names, twenty at most.
fn each(
    body: &Value,
    member: &str,
    found: impl Fn(&str) -> Option<Value>,
) -> Result<(Vec<Value>, Vec<Value>), Refusal> {
    let arns = strings(body, member);
    if arns.is_empty() || arns.len() > 20 {
        return Err(Refusal::new("InvalidParameterException", format!("{member} must hold between 1 and 20 items.")));
    }
    let (mut all, mut failures) = (Vec::new(), Vec::new());
    for arn in arns {
        match found(arn) {
            Some(value) => all.push(value),
            None => failures.push(json!({ "arn": arn, "reason": "MISSING" })),
        }
    }
    Ok((all, failures))
}
