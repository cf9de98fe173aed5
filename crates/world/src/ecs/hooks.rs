//! Lifecycle hooks of a deployment, and ContinueServiceDeployment.
//!
//! <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-lifecycle-hooks.html>
//! <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/pause-lifecycle-hooks.html>

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::deployments::{self, ServiceDeployment};
use super::stages::Stage;
use super::{identifiers, scheduler};
use crate::state::State;
use crate::wire::Refusal;

/// A hook of a stage that a deployment came to.
#[derive(Clone, Debug)]
pub(super) struct Hook {
    pub(super) id: String,
    /// The function that is called. A pause calls none.
    pub(super) target: Option<String>,
    pub(super) stage: Stage,
    /// `AWAITING_ACTION`, `IN_PROGRESS`, `SUCCEEDED`, `FAILED` or `TIMED_OUT`.
    pub(super) status: &'static str,
    pub(super) expires_at: Timestamp,
    /// What happens when nobody answers until then: `ROLLBACK` or `CONTINUE`.
    pub(super) timeout_action: &'static str,
}

/// The hooks that a deployment configuration has for a stage.
pub(super) fn configured(configuration: &Value, stage: Stage) -> impl Iterator<Item = &Value> {
    let hooks = configuration["lifecycleHooks"].as_array().into_iter().flatten();
    hooks.filter(move |hook| {
        hook["lifecycleStages"].as_array().is_some_and(|stages| stages.iter().any(|one| one == stage.name()))
    })
}

/// A deployment has come to a stage: its hooks begin. A function succeeds at once, a pause waits for an answer.
pub(super) fn begin(state: &mut State, arn: &str, stage: Stage) {
    let now = state.now;
    let deployment = state.ecs.services.get(arn).and_then(|service| service.on_its_way());
    let hooks: Vec<Value> =
        deployment.iter().flat_map(|deployment| configured(&deployment.configuration, stage)).cloned().collect();
    for hook in hooks {
        let is_pause = hook["targetType"] == "PAUSE";
        let timeout = &hook["timeoutConfiguration"];
        let minutes = timeout["timeoutInMinutes"].as_u64().unwrap_or(1440);
        let begun = Hook {
            id: identifiers::hook_id(state, if is_pause { "pause" } else { "lambda" }),
            target: hook["hookTargetArn"].as_str().map(str::to_owned),
            stage,
            status: if is_pause { "AWAITING_ACTION" } else { "SUCCEEDED" },
            expires_at: now + Duration::from_secs(60 * minutes),
            timeout_action: if timeout["action"] == "CONTINUE" { "CONTINUE" } else { "ROLLBACK" },
        };
        if let Some(deployment) = state.ecs.services.get_mut(arn).and_then(|service| service.on_its_way_mut()) {
            deployment.hooks.push(begun);
        }
    }
}

/// When the first of the hooks that wait for an answer expires.
pub(super) fn pending(deployment: &ServiceDeployment) -> Option<Timestamp> {
    deployment.hooks.iter().filter(|hook| hook.is_pending()).map(|hook| hook.expires_at).min()
}

/// Does what is to be done about hooks that nobody answered in time.
pub(super) fn expire(state: &mut State, arn: &str) {
    let now = state.now;
    let Some(deployment) = state.ecs.services.get_mut(arn).and_then(|service| service.on_its_way_mut()) else { return };
    let mut gives_up = None;
    for hook in deployment.hooks.iter_mut().filter(|hook| hook.is_pending() && hook.expires_at <= now) {
        hook.status = "TIMED_OUT";
        if hook.timeout_action == "ROLLBACK" {
            gives_up = Some(hook.stage);
        }
    }
    if let Some(stage) = gives_up {
        go_back(deployment, &format!("{} pause hook timed out.", stage.name()), now);
    }
}

/// ContinueServiceDeployment: goes on, unless it is told to go back.
pub(super) fn continue_service_deployment(state: &mut State, body: &Value) -> Result<Value, Refusal> {
    let invalid = |message: &str| Err(Refusal::new("InvalidParameterException", message));
    let arn = body["serviceDeploymentArn"].as_str().unwrap_or_default();
    let id = body["hookId"].as_str().unwrap_or_default();
    let goes_back = match body["action"].as_str() {
        None | Some("CONTINUE") => false,
        Some("ROLLBACK") => true,
        Some(_) => return invalid("Invalid action. Valid values are: CONTINUE, ROLLBACK"),
    };
    if id.strip_prefix("ecs-").and_then(|rest| rest.split_once('-')).is_none() {
        return invalid("Invalid hookId: hookId must follow the format: ecs-{hookType}-{id}");
    }
    let Some((service, deployment)) = deployments::find(state, arn) else {
        return Err(Refusal::new("ServiceDeploymentNotFoundException", "The service deployment does not exist."));
    };
    if deployment.is_over() {
        return invalid("Continuing a service deployment is not allowed for service deployment in terminal states.");
    }
    let (service, now) = (service.arn.clone(), state.now);
    let deployment = state.ecs.services.get_mut(&service).and_then(|service| service.on_its_way_mut());
    let deployment = deployment.filter(|deployment| deployment.arn == arn);
    let answered = deployment.and_then(|deployment| {
        let hook = deployment.hooks.iter_mut().find(|hook| hook.id == id && hook.is_pending())?;
        hook.status = if goes_back { "FAILED" } else { "SUCCEEDED" };
        let stage = hook.stage.name();
        deployment.updated_at = now;
        if goes_back {
            go_back(deployment, &format!("{stage} pause hook was answered with ROLLBACK."), now);
        }
        Some(())
    });
    if answered.is_none() {
        return invalid(
            "Provided hookId is either completed, unavailable, or not associated with the given Resource ARN",
        );
    }
    scheduler::wake(state, &service);
    Ok(json!({ "serviceDeploymentArn": arn }))
}

fn go_back(deployment: &mut ServiceDeployment, because: &str, now: Timestamp) {
    deployment.status_reason = Some(format!("Service deployment rolled back because {because}"));
    deployment.becomes("ROLLBACK_REQUESTED", now);
}

/// Refuses what ECS refuses of `lifecycleHooks`.
/// <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/troubleshooting-blue-green.html>
pub(super) fn check(configuration: &Value) -> Result<(), Refusal> {
    const PAUSES: [&str; 6] = [
        "RECONCILE_SERVICE",
        "PRE_SCALE_UP",
        "POST_SCALE_UP",
        "POST_TEST_TRAFFIC_SHIFT",
        "PRE_PRODUCTION_TRAFFIC_SHIFT",
        "POST_PRODUCTION_TRAFFIC_SHIFT",
    ];
    let invalid = |message: &str| Err(Refusal::new("InvalidParameterException", message));
    for hook in configuration["lifecycleHooks"].as_array().into_iter().flatten() {
        let stages = super::strings(hook, "lifecycleStages");
        let minutes = hook["timeoutConfiguration"]["timeoutInMinutes"].as_u64().unwrap_or(1440);
        match hook["targetType"].as_str() {
            _ if stages.is_empty() => return invalid("lifecycleStages can not be empty."),
            _ if !(1..=20_160).contains(&minutes) => return invalid("timeoutInMinutes must be between 1 and 20160."),
            Some("PAUSE") if stages.iter().any(|stage| !PAUSES.contains(stage)) => {
                return invalid("Invalid lifecycle stage provided for Pause Hook");
            }
            Some("PAUSE") => {}
            None | Some("AWS_LAMBDA") if hook["hookTargetArn"].is_null() => {
                return invalid("hookTargetArn can not be empty.");
            }
            None | Some("AWS_LAMBDA") => {}
            Some(_) => return invalid("Invalid targetType. Valid values are: AWS_LAMBDA, PAUSE"),
        }
    }
    Ok(())
}

impl Hook {
    pub(super) fn is_pending(&self) -> bool {
        self.status == "AWAITING_ACTION"
    }

    /// `targetType`.
    pub(super) fn kind(&self) -> &'static str {
        if self.id.starts_with("ecs-pause-") { "PAUSE" } else { "AWS_LAMBDA" }
    }
}
