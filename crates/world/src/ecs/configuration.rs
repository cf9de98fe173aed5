//! `deploymentConfiguration`: what a request may say in it.
//!
//! <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeploymentConfiguration.html>

use serde_json::{Map, Value, json};

use super::{hooks, stages};
use crate::wire::Refusal;

/// What a service has whose requests never mentioned any of it.
pub(super) fn default(settings: &Map<String, Value>) -> Value {
    let is_daemon = settings.get("schedulingStrategy").is_some_and(|strategy| strategy == "DAEMON");
    json!({
        "deploymentCircuitBreaker": { "enable": false, "rollback": false },
        "maximumPercent": if is_daemon { 100 } else { 200 },
        "minimumHealthyPercent": if is_daemon { 0 } else { 100 },
        "strategy": "ROLLING",
    })
}

/// A configuration with what a request says about it.
pub(super) fn merged(old: &Value, new: &Value) -> Value {
    let mut merged = old.clone();
    for (member, value) in new.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null()) {
        merged[member] = value.clone();
    }
    merged
}

/// Refuses a configuration that ECS refuses for a service with these load balancers.
/// <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/troubleshooting-blue-green.html>
pub(super) fn check(configuration: &Value, load_balancers: &Value) -> Result<(), Refusal> {
    let invalid = |message: &str| Err(Refusal::new("InvalidParameterException", message));
    if !matches!(configuration["strategy"].as_str(), None | Some("ROLLING" | "BLUE_GREEN" | "LINEAR" | "CANARY")) {
        return invalid("Invalid strategy. Valid values are: ROLLING, BLUE_GREEN, LINEAR, CANARY");
    }
    let is_within = |value: &Value, least: f64, most: f64| {
        value.is_null() || value.as_f64().is_some_and(|value| (least..=most).contains(&value))
    };
    let (canary, linear) = (&configuration["canaryConfiguration"], &configuration["linearConfiguration"]);
    for (name, value, least, most) in [
        ("bakeTimeInMinutes", &configuration["bakeTimeInMinutes"], 0.0, 1440.0),
        ("canaryPercent", &canary["canaryPercent"], 0.1, 100.0),
        ("canaryBakeTimeInMinutes", &canary["canaryBakeTimeInMinutes"], 0.0, 1440.0),
        ("stepPercent", &linear["stepPercent"], 3.0, 100.0),
        ("stepBakeTimeInMinutes", &linear["stepBakeTimeInMinutes"], 0.0, 1440.0),
    ] {
        if !is_within(value, least, most) {
            return invalid(&format!("Invalid {name}. Valid values are {least} to {most}."));
        }
    }
    let mut load_balancers = load_balancers.as_array().into_iter().flatten();
    if stages::shifts(configuration) && load_balancers.any(|one| one["advancedConfiguration"].is_null()) {
        return invalid(
            "advancedConfiguration field is required for all loadBalancers when using a non-ROLLING deployment strategy",
        );
    }
    hooks::check(configuration)
}
