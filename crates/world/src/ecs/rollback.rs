//! How a deployment is given up: the circuit breaker, StopServiceDeployment, and the way back.
//!
//! <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-circuit-breaker.html>
//! <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stop-service-deployment.html>

use jiff::Timestamp;
use serde_json::{Value, json};

use super::deployments::{self, Deployment, Rollback, Rollout};
use super::scheduler;
use super::services::{Service, announce};
use crate::state::State;
use crate::wire::Refusal;

const STOPPED: &str = "StopServiceDeployment was called.";

/// StopServiceDeployment. Of its two ways only ROLLBACK may be asked for.
pub(super) fn stop_service_deployment(state: &mut State, body: &Value) -> Result<Value, Refusal> {
    let arn = body["serviceDeploymentArn"].as_str().unwrap_or_default().to_owned();
    if body["stopType"].as_str().is_some_and(|kind| kind != "ROLLBACK") {
        return Err(Refusal::new("InvalidParameterException", "The only valid stopType is ROLLBACK."));
    }
    let Some((service, deployment)) = deployments::find(state, &arn) else {
        return Err(Refusal::new("ServiceDeploymentNotFoundException", "Service deployment not found."));
    };
    let (service, now) = (service.arn.clone(), state.now);
    if deployment.is_over() {
        let message = format!("The service deployment is {} and can not be stopped.", deployment.status);
        return Err(Refusal::new("ConflictException", message));
    }
    let stoppable = ["PENDING", "IN_PROGRESS"].contains(&deployment.status);
    let deployments = state.ecs.services.get_mut(&service).map(|service| &mut service.service_deployments);
    let found = deployments.into_iter().flatten().find(|deployment| deployment.arn == arn && stoppable);
    if let Some(deployment) = found {
        deployment.status_reason = Some(format!("Service deployment rolled back because {STOPPED}"));
        deployment.becomes("ROLLBACK_REQUESTED", now);
        scheduler::wake(state, &service);
    }
    Ok(json!({ "serviceDeploymentArn": arn }))
}

/// What was requested begins to happen.
pub(super) fn advance(state: &mut State, arn: &str) {
    let now = state.now;
    let Some(service) = state.ecs.services.get_mut(arn) else { return };
    let mut goes_back = None;
    for (index, deployment) in service.service_deployments.iter_mut().enumerate() {
        match deployment.status {
            "PENDING" => deployment.becomes("IN_PROGRESS", now),
            "STOP_REQUESTED" => deployment.becomes("STOPPED", now),
            "ROLLBACK_REQUESTED" => goes_back = Some(index),
            _ => {}
        }
    }
    if let Some(index) = goes_back {
        go_back(state, arn, index);
    }
}

/// Why a deployment has failed, in ECS's words, and whether it is rolled back.
#[derive(Debug)]
pub(super) struct Defeat {
    /// As its events say it: `deployment failed: …`.
    pub(super) event: &'static str,
    /// `rolloutStateReason`.
    pub(super) rollout: &'static str,
    /// As its `statusReason` says it: `Service deployment rolled back because …`.
    pub(super) because: &'static str,
    pub(super) may_go_back: bool,
}

/// Gives the deployment up once as many tasks have failed as the circuit breaker allows.
pub(super) fn trip(state: &mut State, arn: &str) {
    let Some(service) = state.ecs.services.get_mut(arn) else { return };
    let (enabled, threshold) = scheduler::breaker(service);
    let may_go_back = service.configuration()["deploymentCircuitBreaker"]["rollback"] == true;
    let tripped = |one: &&Deployment| enabled && one.rollout == Rollout::InProgress && one.failed_tasks >= threshold;
    if service.primary().filter(tripped).is_none() {
        return;
    }
    if let Some(deployment) = service.on_its_way_mut() {
        deployment.breaker.status = "TRIGGERED";
    }
    let defeat = Defeat {
        event: "tasks failed to start.",
        rollout: "ECS deployment circuit breaker: tasks failed to start.",
        because: "the circuit breaker threshold was exceeded.",
        may_go_back,
    };
    give_up(state, arn, &defeat);
}

/// Fails the primary deployment.
pub(super) fn give_up(state: &mut State, arn: &str, defeat: &Defeat) {
    let now = state.now;
    let Some(service) = state.ecs.services.get_mut(arn) else { return };
    let candidate = candidate(service).is_some();
    let Some(deployment) = service.primary_mut() else { return };
    fail(deployment, defeat.rollout, now);
    let id = deployment.id.clone();
    for one in &mut service.service_deployments {
        match one.status {
            "ROLLBACK_IN_PROGRESS" => {
                one.status_reason = Some(format!("Rollback failed: {}", defeat.event));
                one.becomes("ROLLBACK_FAILED", now);
            }
            "IN_PROGRESS" if one.deployment == id => {
                if !defeat.may_go_back {
                    one.status_reason = Some(format!("Service deployment stopped because {}", defeat.because));
                    one.becomes("STOP_REQUESTED", now);
                } else if candidate {
                    one.status_reason = Some(format!("Service deployment rolled back because {}", defeat.because));
                    one.becomes("ROLLBACK_REQUESTED", now);
                }
                // With nothing to go back to the deployment stalls: it launches nothing, and never ends.
            }
            _ => {}
        }
    }
    announce(state, arn, &format!("(deployment {id}) deployment failed: {}", defeat.event));
    scheduler::wake(state, arn);
}

/// Makes the last completed deployment the primary one again.
fn go_back(state: &mut State, arn: &str, index: usize) {
    let now = state.now;
    let Some(service) = state.ecs.services.get_mut(arn) else { return };
    if let Some(deployment) = service.primary_mut().filter(|one| one.rollout == Rollout::InProgress) {
        fail(deployment, "ECS deployment stopped.", now);
    }
    let Some((id, revision)) = candidate(service).map(|one| (one.id.clone(), one.revision.clone())) else {
        if let Some(deployment) = service.service_deployments.get_mut(index) {
            deployment.status_reason = Some("No rollback candidate was found to run the rollback.".to_owned());
            deployment.becomes("ROLLBACK_FAILED", now);
        }
        return;
    };
    if let Some(deployment) = service.service_deployments.get_mut(index) {
        let reason = deployment.status_reason.clone().unwrap_or_default();
        deployment.rollback = Some(Rollback { reason, started_at: now, revision: revision.clone() });
        // The old tasks still run: the traffic is theirs again at once.
        deployment.journey.end(0.0);
        deployment.becomes("ROLLBACK_IN_PROGRESS", now);
    }
    let settings = service.revisions.iter().find(|one| one.arn == revision).map(|one| one.settings.clone());
    service.settings.extend(settings.into_iter().flatten());
    service.primary.clone_from(&id);
    if let Some(deployment) = service.primary_mut() {
        deployment.rollout = Rollout::InProgress;
        deployment.reason = format!("ECS deployment circuit breaker: rolling back to deploymentId {id}.");
        deployment.updated_at = now;
        deployment.failed_tasks = 0;
        deployment.next_start = None;
    }
    announce(state, arn, &format!("rolling back to deployment {id}."));
}

/// What the service can go back to: its last deployment that completed. One that is itself a rollback in flight is none.
fn candidate(service: &Service) -> Option<&Deployment> {
    let completed = |deployment: &&Deployment| deployment.rollout == Rollout::Completed;
    service.deployments.iter().rev().find(|deployment| completed(deployment) && deployment.id != service.primary)
}

fn fail(deployment: &mut Deployment, reason: &str, now: Timestamp) {
    deployment.rollout = Rollout::Failed;
    deployment.reason = reason.to_owned();
    deployment.updated_at = now;
}
