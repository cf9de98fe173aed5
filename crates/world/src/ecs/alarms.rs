//! The CloudWatch alarms that watch over a deployment.
//!
//! <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-alarm-failure.html>

use serde_json::Value;

use super::rollback::{self, Defeat};
use super::strings;
use crate::cloudwatch::alarm_state;
use crate::state::State;

/// The alarms, as a service deployment reports them.
#[derive(Clone, Debug)]
pub(super) struct Alarms {
    /// `DISABLED`, `MONITORING`, `MONITORING_COMPLETE` or `TRIGGERED`.
    pub(super) status: &'static str,
    pub(super) names: Vec<String>,
    pub(super) triggered: Vec<String>,
}

/// The alarms of a deployment that begins. One that is in ALARM already has all of them ignored: the deployment may be the
/// one that mends what raised it.
pub(super) fn of(state: &State, configuration: &Value) -> Alarms {
    let alarms = &configuration["alarms"];
    let names: Vec<String> = strings(alarms, "alarmNames").into_iter().map(str::to_owned).collect();
    let watched = alarms["enable"] == true && !names.iter().any(|name| is_raised(state, name));
    Alarms { status: if watched { "MONITORING" } else { "DISABLED" }, names, triggered: Vec::new() }
}

/// The services whose deployments are watched.
pub(super) fn watched(state: &State) -> Vec<String> {
    let services = state.ecs.services.values();
    let watched = services.filter(|one| one.on_its_way().is_some_and(|one| one.alarms.status == "MONITORING"));
    watched.map(|service| service.arn.clone()).collect()
}

/// Gives the deployment up if one of its alarms has gone off.
pub(super) fn watch(state: &mut State, arn: &str) {
    let Some(deployment) = state.ecs.services.get(arn).and_then(|service| service.on_its_way()) else { return };
    let raised = deployment.alarms.names.iter().filter(|name| is_raised(state, name));
    let raised: Vec<String> = raised.cloned().collect();
    if raised.is_empty() || deployment.alarms.status != "MONITORING" {
        return;
    }
    let may_go_back = deployment.configuration["alarms"]["rollback"] == true;
    if let Some(deployment) = state.ecs.services.get_mut(arn).and_then(|service| service.on_its_way_mut()) {
        deployment.alarms.status = "TRIGGERED";
        deployment.alarms.triggered = raised;
    }
    let defeat = Defeat {
        event: "alarm detected.",
        rollout: "ECS deployment alarms: alarm detected.",
        because: "one or more of the CloudWatch alarms were in the ALARM state.",
        may_go_back,
    };
    rollback::give_up(state, arn, &defeat);
}

fn is_raised(state: &State, name: &str) -> bool {
    alarm_state(state, name) == Some("ALARM")
}
