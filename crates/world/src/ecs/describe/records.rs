//! How service deployments, ECS's records of what was deployed, and their revisions are written in answers.

use std::iter;

use serde_json::{Value, json};

use super::{PLATFORM_VERSION, cluster_of, is_fargate, moment};
use crate::ecs::deployments::{self, Revision, ServiceDeployment};
use crate::ecs::hooks::Hook;
use crate::ecs::services::Service;
use crate::ecs::stages::Traffic;
use crate::ecs::without_nulls;
use crate::state::State;
use crate::wire::epoch;

/// A service deployment in a list.
pub(in crate::ecs) fn service_deployment_brief(service: &Service, deployment: &ServiceDeployment) -> Value {
    without_nulls(json!({
        "serviceDeploymentArn": deployment.arn,
        "serviceArn": service.arn,
        "clusterArn": cluster_of(service),
        "startedAt": moment(deployment.started_at),
        "createdAt": epoch(deployment.created_at),
        "finishedAt": moment(deployment.finished_at),
        "targetServiceRevisionArn": deployment.target,
        "status": deployment.status,
        "statusReason": deployment.status_reason,
    }))
}

/// A service deployment in full.
pub(in crate::ecs) fn service_deployment(state: &State, service: &Service, deployment: &ServiceDeployment) -> Value {
    let running = deployments::running_revisions(state, &service.arn);
    let summary = |arn: &String, traffic: Option<Traffic>| {
        let (_, requested, running, pending) =
            running.iter().find(|(revision, ..)| revision == arn).cloned().unwrap_or_default();
        without_nulls(json!({
            "arn": arn,
            "requestedTaskCount": requested,
            "runningTaskCount": running,
            "pendingTaskCount": pending,
            "requestedProductionTrafficWeight": traffic.map(|traffic| traffic.production),
            "requestedTestTrafficWeight": traffic.map(|traffic| traffic.test),
        }))
    };
    // The first source is what ran before; the others never got so far, and get nothing.
    let traffic = deployment.journey.traffic;
    let rest = traffic.map(|to| Traffic { production: 100.0 - to.production, test: 0.0 });
    let nothing = traffic.map(|_| Traffic::default());
    let sources = deployment.sources.iter().zip(iter::once(rest).chain(iter::repeat(nothing)));
    let rollback = deployment.rollback.as_ref().map(|rollback| {
        json!({
            "reason": rollback.reason,
            "startedAt": epoch(rollback.started_at),
            "serviceRevisionArn": rollback.revision,
        })
    });
    without_nulls(json!({
        "serviceDeploymentArn": deployment.arn,
        "serviceArn": service.arn,
        "clusterArn": cluster_of(service),
        "createdAt": epoch(deployment.created_at),
        "startedAt": moment(deployment.started_at),
        "finishedAt": moment(deployment.finished_at),
        "stoppedAt": moment(deployment.stopped_at),
        "updatedAt": epoch(deployment.updated_at),
        "sourceServiceRevisions": sources.map(|(arn, traffic)| summary(arn, traffic)).collect::<Vec<_>>(),
        "targetServiceRevision": summary(&deployment.target, traffic),
        "status": deployment.status,
        "statusReason": deployment.status_reason,
        "lifecycleStage": deployment.stage(),
        "lifecycleHookDetails": deployment.hooks.iter().map(hook).collect::<Vec<_>>(),
        "deploymentConfiguration": deployment.configuration,
        "rollback": rollback,
        "deploymentCircuitBreaker": {
            "status": deployment.breaker.status,
            "failureCount": deployment.breaker.failures,
            "threshold": deployment.breaker.threshold,
        },
        "alarms": {
            "status": deployment.alarms.status,
            "alarmNames": deployment.alarms.names,
            "triggeredAlarmNames": deployment.alarms.triggered,
        },
    }))
}

fn hook(hook: &Hook) -> Value {
    without_nulls(json!({
        "hookId": hook.id,
        "targetType": hook.kind(),
        "targetArn": hook.target,
        "status": hook.status,
        "expiresAt": epoch(hook.expires_at),
        "timeoutAction": hook.timeout_action,
    }))
}

/// A service revision.
pub(in crate::ecs) fn revision(state: &State, service: &Service, revision: &Revision) -> Value {
    let fargate = is_fargate(&revision.settings);
    let mut description = revision.settings.clone();
    for (member, value) in [
        ("serviceRevisionArn", json!(revision.arn)),
        ("serviceArn", json!(service.arn)),
        ("clusterArn", json!(state.ecs_arn(&format!("cluster/{}", service.cluster)))),
        ("taskDefinition", json!(revision.task_definition)),
        ("platformVersion", json!(fargate.then_some(PLATFORM_VERSION))),
        ("platformFamily", json!(fargate.then_some("Linux"))),
        ("containerImages", revision.images.clone()),
        ("guardDutyEnabled", json!(false)),
        ("createdAt", epoch(revision.created_at)),
    ] {
        description.insert(member.to_owned(), value);
    }
    without_nulls(Value::Object(description))
}
