//! The service scheduler: brings what runs to what is wanted, within the limits of the rolling update.
//!
//! <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-type-ecs.html>

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::deployments::Rollout;
use super::launch::{self, Launch};
use super::services::{Service, announce};
use super::tasks::{Health, Stop, Task};
use super::{alarms, hooks, lifecycle, rollback, stages, task_definitions};
use crate::state::State;

/// Lets the scheduler notice a change of the service, a little later.
pub(super) fn wake(state: &mut State, arn: &str) {
    let at = state.now + state.timing.schedule;
    if let Some(service) = state.ecs.services.get_mut(arn) {
        service.acts_at = at;
        service.due = Some(at);
        service.steady_at = None;
    }
}

/// Has the scheduler look again at that moment, if it does not before.
pub(super) fn look_again(state: &mut State, arn: &str, at: Timestamp) {
    if let Some(service) = state.ecs.services.get_mut(arn) {
        service.due = Some(service.due.map_or(at, |due| due.min(at)));
    }
}

/// Does whatever is to be done for the service at this moment. Doing it twice changes nothing.
pub(super) fn reconcile(state: &mut State, arn: &str) {
    let Some(service) = state.ecs.services.get_mut(arn) else { return };
    if state.now < service.acts_at {
        service.due = Some(service.acts_at);
        return;
    }
    service.due = None;
    rollback::advance(state, arn);
    hooks::expire(state, arn);
    alarms::watch(state, arn);
    rollback::trip(state, arn);
    if state.ecs.services.get(arn).is_some_and(|service| service.acts_at > state.now) {
        // It has failed: that is acted upon as late as any other change.
        return;
    }
    stages::advance(state, arn);
    stop_surplus(state, arn);
    start_missing(state, arn);
    settle(state, arn);
}

/// Whether the service's deployments have a circuit breaker, and after how many failures it trips.
/// <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-circuit-breaker.html>
pub(super) fn breaker(service: &Service) -> (bool, u32) {
    let breaker = &service.configuration()["deploymentCircuitBreaker"];
    let threshold = &breaker["thresholdConfiguration"];
    let value = threshold["value"].as_u64().and_then(|value| u32::try_from(value).ok()).unwrap_or(50);
    let share = (u64::from(value) * u64::from(service.desired_count)).div_ceil(100);
    let share = u32::try_from(share).unwrap_or(u32::MAX);
    let threshold = match threshold["type"].as_str() {
        Some("COUNT") => value,
        Some("UNBOUNDED_PERCENT") => share.max(1),
        _ => share.clamp(3, 200),
    };
    (breaker["enable"] == true, threshold)
}

/// The tasks of a deployment that run, and those that are on their way.
pub(super) fn count(state: &State, service: &str, deployment: &str) -> (u32, u32) {
    tasks(state, service).filter(|task| task.deployment.as_deref() == Some(deployment)).fold(
        (0, 0),
        |(running, pending), task| match task.count_status() {
            "RUNNING" => (running + 1, pending),
            "PENDING" => (running, pending + 1),
            _ => (running, pending),
        },
    )
}

/// The service's tasks, stopped ones too.
pub(super) fn tasks<'a>(state: &'a State, service: &'a str) -> impl Iterator<Item = &'a Task> {
    state.ecs.tasks.values().filter(move |task| task.service.as_deref() == Some(service))
}

pub(super) fn service_of(state: &State, sequence: u64) -> Option<&Service> {
    state.ecs.services.get(state.ecs.tasks.get(&sequence)?.service.as_deref()?)
}

/// A task has failed: it ended, or could not start, and nobody had asked for that.
pub(super) fn failed(state: &mut State, sequence: u64, reason: Option<&str>) {
    const INCONSISTENT: &str = "is unable to consistently start tasks successfully. For more information, see the \
                                Troubleshooting section of the Amazon ECS Developer Guide.";
    let Some(service) = service_of(state, sequence) else { return };
    let (arn, (enabled, _)) = (service.arn.clone(), breaker(service));
    let task = &state.ecs.tasks[&sequence];
    let (deployment, was_healthy) = (task.deployment.clone(), task.health == Health::Healthy);
    if let Some(reason) = reason {
        announce(state, &arn, &format!("was unable to place a task. Reason: {reason}."));
    }
    let (now, pause) = (state.now, state.timing.provision);
    let Some(service) = state.ecs.services.get_mut(&arn).filter(|_| !was_healthy) else { return };
    let Some(deployment) = service.deployments.iter_mut().find(|one| Some(&one.id) == deployment.as_ref()) else {
        return;
    };
    deployment.failed_tasks += 1;
    deployment.updated_at = now;
    // Whoever has a breaker is stopped by it; everybody else is slowed down, more and more.
    let slowed = deployment.failed_tasks >= 3 && !(enabled && deployment.rollout == Rollout::InProgress);
    if slowed {
        deployment.next_start = Some(now + backoff(pause, deployment.failed_tasks - 3));
    }
    let (id, failures) = (deployment.id.clone(), deployment.failed_tasks);
    for one in service.service_deployments.iter_mut().filter(|one| one.deployment == id && one.status == "IN_PROGRESS")
    {
        one.breaker.failures = failures;
        one.updated_at = now;
    }
    if slowed {
        announce(state, &arn, INCONSISTENT);
    }
}

/// A task has passed its health checks.
pub(super) fn passed(state: &mut State, sequence: u64) {
    let Some(task) = state.ecs.tasks.get(&sequence) else { return };
    let (service, deployment) = (task.service.clone(), task.deployment.clone());
    let Some(service) = service.and_then(|arn| state.ecs.services.get_mut(&arn)) else { return };
    if service.configuration()["deploymentCircuitBreaker"]["resetOnHealthyTask"] == false {
        return;
    }
    if let Some(deployment) = service.deployments.iter_mut().find(|one| Some(&one.id) == deployment.as_ref()) {
        deployment.failed_tasks = 0;
        deployment.next_start = None;
        let id = deployment.id.clone();
        let deployments = service.service_deployments.iter_mut();
        deployments.filter(|one| one.deployment == id && !one.is_over()).for_each(|one| one.breaker.failures = 0);
    }
}

/// A task runs and is registered with the target groups.
pub(super) fn registered(state: &mut State, sequence: u64) {
    let Some(service) = service_of(state, sequence) else { return };
    let (arn, task) = (service.arn.clone(), &state.ecs.tasks[&sequence]);
    let groups: Vec<String> = service.target_groups_of(task).map(str::to_owned).collect();
    for group in groups {
        announce(state, &arn, &format!("registered 1 targets in (target-group {group})"));
    }
}

/// A task has failed its health checks.
pub(super) fn unhealthy(state: &mut State, sequence: u64) {
    let Some(service) = service_of(state, sequence) else { return };
    let task = &state.ecs.tasks[&sequence];
    let (arn, group) = (service.arn.clone(), service.target_groups_of(task).next().map(str::to_owned));
    let (id, port) = (task.id.clone(), task.port().map_or(80, |(_, port)| port));
    if let Some(group) = group {
        let what = format!(
            "(task {id}) (port {port}) is unhealthy in (target-group {group}) due to (reason Health checks failed with \
             these codes: [503])."
        );
        announce(state, &arn, &what);
    }
}

/// Stops the tasks that are no longer wanted, as many as `minimumHealthyPercent` lets go.
fn stop_surplus(state: &mut State, arn: &str) {
    let Some(service) = state.ecs.services.get(arn) else { return };
    let surplus = surplus(state, service);
    if surplus.is_empty() {
        return;
    }
    let old = surplus.first().map(|sequence| &state.ecs.tasks[sequence]);
    let groups: Vec<String> =
        old.into_iter().flat_map(|task| service.target_groups_of(task)).map(str::to_owned).collect();
    let reason = format!("Scaling activity initiated by (deployment {})", service.primary);
    let ids: Vec<String> = surplus.iter().map(|sequence| format!("(task {})", state.ecs.tasks[sequence].id)).collect();
    for sequence in &surplus {
        lifecycle::ask_to_stop(state, *sequence, Stop { code: "ServiceSchedulerInitiated", reason: reason.clone() });
    }
    for group in groups {
        announce(state, arn, &format!("deregistered {} targets in (target-group {group})", surplus.len()));
        announce(state, arn, &format!("has begun draining connections on {} tasks.", surplus.len()));
    }
    announce(state, arn, &format!("has stopped {} running tasks: {}.", surplus.len(), ids.join(" ")));
}

/// The tasks that may be stopped now.
fn surplus<'a>(state: &'a State, service: &'a Service) -> Vec<u64> {
    let mut wanted: Vec<&'a Task> = tasks(state, &service.arn).filter(|task| task.is_wanted()).collect();
    let failed = service.primary().is_none_or(|deployment| deployment.rollout == Rollout::Failed);
    if failed && service.desired_count > 0 {
        // A failed deployment that cannot go back leaves everything where it is.
        return Vec::new();
    }
    wanted.sort_by_key(|task| task.health == Health::Healthy);
    let healthy = wanted.iter().filter(|task| task.health == Health::Healthy).count();
    let percent = service.percent("minimumHealthyPercent", 100);
    let minimum = (u64::from(service.desired_count) * u64::from(percent)).div_ceil(100);
    let mut spare = healthy.saturating_sub(usize::try_from(minimum).unwrap_or(usize::MAX));
    let (primary, others): (Vec<&Task>, Vec<&Task>) =
        wanted.into_iter().partition(|task| task.deployment.as_deref() == Some(&service.primary));
    let (kept, others): (Vec<&Task>, Vec<&Task>) = others
        .into_iter()
        .partition(|task| stages::kept(service).is_some_and(|kept| task.deployment.as_deref() == Some(kept)));
    let desired = usize::try_from(service.desired_count).unwrap_or(usize::MAX);
    let too_many = |tasks: Vec<&'a Task>| {
        let too_many = tasks.len().saturating_sub(desired);
        tasks.into_iter().take(too_many)
    };
    let mut surplus: Vec<u64> = Vec::new();
    for task in others.into_iter().chain(too_many(kept)).chain(too_many(primary)) {
        let is_healthy = task.health == Health::Healthy;
        if !is_healthy || spare > 0 {
            surplus.push(task.sequence);
            spare -= usize::from(is_healthy);
        }
    }
    surplus
}

/// Launches what is missing of the primary deployment, and of the one that is kept beside it.
fn start_missing(state: &mut State, arn: &str) {
    let Some(service) = state.ecs.services.get(arn) else { return };
    let primary = stages::starts_tasks(service).map(|beside| (service.primary.clone(), beside));
    let kept = stages::kept(service).map(|kept| (kept.to_owned(), true));
    for (deployment, beside) in primary.into_iter().chain(kept) {
        start_missing_of(state, arn, &deployment, beside);
    }
}

/// Launches what is missing of a deployment: everything at once beside the others, or as much as `maximumPercent` allows.
fn start_missing_of(state: &mut State, arn: &str, deployment: &str, beside: bool) {
    let Some(service) = state.ecs.services.get(arn) else { return };
    let deployment = service.deployments.iter().find(|one| one.id == deployment && one.rollout != Rollout::Failed);
    let Some(deployment) = deployment.cloned() else { return };
    if let Some(later) = deployment.next_start.filter(|later| *later > state.now) {
        return look_again(state, arn, later);
    }
    let missing = missing(state, service, &deployment.id, beside);
    let Some(definition) = task_definitions::find(state, &deployment.task_definition).filter(|_| missing > 0).cloned()
    else {
        return;
    };
    if launch::lacks_capacity(state, &definition, Some(arn)) {
        return not_placed(state, arn, &deployment.id);
    }
    let revision = service.revisions.iter().find(|revision| revision.arn == deployment.revision);
    let launch = Launch {
        cluster: service.cluster.clone(),
        group: format!("service:{}", service.name),
        started_by: Some(deployment.id.clone()),
        service: Some(arn.to_owned()),
        deployment: Some(deployment.id),
        overrides: json!({ "containerOverrides": [] }),
        settings: revision.map(|revision| revision.settings.clone()).unwrap_or_default(),
        definition,
    };
    let launched: Vec<u64> = (0..missing).map(|_| launch::launch(state, &launch)).collect();
    let ids: Vec<String> = launched.iter().map(|sequence| format!("(task {})", state.ecs.tasks[sequence].id)).collect();
    announce(state, arn, &format!("has started {missing} tasks: {}.", ids.join(" ")));
}

fn missing(state: &State, service: &Service, deployment: &str, beside: bool) -> u32 {
    let (running, pending) = count(state, &service.arn, deployment);
    let missing = service.desired_count.saturating_sub(running + pending);
    if beside {
        return missing;
    }
    let wanted = tasks(state, &service.arn).filter(|task| task.is_wanted()).count();
    let maximum = u64::from(service.desired_count) * u64::from(service.percent("maximumPercent", 200)) / 100;
    let room = u32::try_from(maximum).unwrap_or(u32::MAX).saturating_sub(u32::try_from(wanted).unwrap_or(u32::MAX));
    missing.min(room)
}

fn not_placed(state: &mut State, arn: &str, deployment: &str) {
    announce(state, arn, &format!("was unable to place a task. Reason: {}.", launch::NO_CAPACITY));
    let (now, pause) = (state.now, state.timing.provision);
    let Some(service) = state.ecs.services.get_mut(arn) else { return };
    let Some(deployment) = service.deployments.iter_mut().find(|one| one.id == deployment) else { return };
    let later = now + backoff(pause, deployment.unplaced);
    deployment.unplaced += 1;
    deployment.next_start = Some(later);
    look_again(state, arn, later);
}

/// Twice as long each time, up to 64 times.
fn backoff(pause: Duration, times: u32) -> Duration {
    pause * 2_u32.pow(times.min(6))
}

/// Once everything wanted is healthy, and nothing else is left, and that has been so for a while: steady state.
fn settle(state: &mut State, arn: &str) {
    let left = tasks(state, arn).filter(|task| task.stopped_at.is_none()).count();
    let Some(service) = state.ecs.services.get(arn) else { return };
    let healthy = tasks(state, arn).filter(|task| {
        task.is_wanted() && task.health == Health::Healthy && task.deployment.as_deref() == Some(&service.primary)
    });
    let desired = usize::try_from(service.desired_count).unwrap_or(usize::MAX);
    let calm = healthy.count() == desired && left == desired;
    let failed = service.primary().is_none_or(|deployment| deployment.rollout == Rollout::Failed);
    let (now, settle) = (state.now, state.timing.settle);
    let Some(service) = state.ecs.services.get_mut(arn) else { return };
    if !calm || failed {
        service.steady = false;
        service.steady_at = None;
        if service.status == "DRAINING" && left == 0 {
            service.status = "INACTIVE";
        }
        return;
    }
    let steady_at = *service.steady_at.get_or_insert(now + settle);
    if now < steady_at {
        return look_again(state, arn, steady_at);
    }
    if service.status == "DRAINING" {
        service.status = "INACTIVE";
        return;
    }
    if stages::goes_on(state, arn) {
        return;
    }
    complete(state, arn);
    let service = state.ecs.services.get_mut(arn);
    if service.is_some_and(|service| !std::mem::replace(&mut service.steady, true)) {
        announce(state, arn, "has reached a steady state.");
    }
}

/// The deployment has come to its good end. What went before it is over.
pub(super) fn complete(state: &mut State, arn: &str) {
    let now = state.now;
    let Some(service) = state.ecs.services.get_mut(arn) else { return };
    let Some(deployment) = service.primary_mut().filter(|one| one.rollout == Rollout::InProgress) else { return };
    deployment.rollout = Rollout::Completed;
    deployment.reason = format!("ECS deployment {} completed.", deployment.id);
    deployment.updated_at = now;
    let id = deployment.id.clone();
    service.deployments.retain(|deployment| deployment.id == id);
    for one in &mut service.service_deployments {
        match one.status {
            "IN_PROGRESS" if one.deployment == id => {
                one.journey.end(100.0);
                one.becomes("SUCCESSFUL", now);
            }
            "ROLLBACK_IN_PROGRESS" => one.becomes("ROLLBACK_SUCCESSFUL", now),
            _ => {}
        }
    }
    service.steady = false;
    announce(state, arn, &format!("(deployment {id}) deployment completed."));
}

/// A member of the service's settings.
pub(super) fn setting<'a>(service: &'a Service, member: &str) -> Option<&'a Value> {
    service.settings.get(member).filter(|value| !value.is_null())
}
