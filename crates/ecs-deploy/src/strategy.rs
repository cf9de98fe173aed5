//! How traffic moves, as ECS writes it. Pure.
//! <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeploymentConfiguration.html>

use std::time::Duration;

use common::delivery::{Strategy, StrategyKind, TimeSpan};
use serde_json::{Value, json};

/// The service's `deploymentConfiguration` with this strategy in it; `None` if that is what it has already. Members that the
/// strategy does not speak of stay, those that are newer than this program included.
pub(crate) fn configuration(current: &Value, strategy: &Strategy) -> Option<Value> {
    let mut wanted = match current {
        Value::Object(_) => current.clone(),
        _ => json!({}),
    };
    let Strategy { kind, percent, step, bake, minimum_healthy_percent, maximum_percent, alarms } = strategy;
    wanted["strategy"] = json!(word(*kind));
    let shift = |percent_member: &str, bake_member: &str| {
        let mut shift = json!({ percent_member: percent });
        if let Some(minutes) = step.and_then(TimeSpan::whole_minutes) {
            shift[bake_member] = json!(minutes);
        }
        shift
    };
    match kind {
        StrategyKind::Canary => wanted["canaryConfiguration"] = shift("canaryPercent", "canaryBakeTimeInMinutes"),
        StrategyKind::Linear => wanted["linearConfiguration"] = shift("stepPercent", "stepBakeTimeInMinutes"),
        StrategyKind::Rolling | StrategyKind::BlueGreen => {}
    }
    // What belongs to another strategy is refused by ECS.
    if let Some(members) = wanted.as_object_mut() {
        let of_another = [("canaryConfiguration", StrategyKind::Canary), ("linearConfiguration", StrategyKind::Linear)];
        members.retain(|name, _| !of_another.iter().any(|(member, owner)| name == member && owner != kind));
    }
    for (member, value) in [
        ("bakeTimeInMinutes", bake.and_then(TimeSpan::whole_minutes).map(|minutes| json!(minutes))),
        ("minimumHealthyPercent", minimum_healthy_percent.map(|percent| json!(percent))),
        ("maximumPercent", maximum_percent.map(|percent| json!(percent))),
        ("alarms", (!alarms.is_empty()).then(|| json!({ "alarmNames": alarms, "enable": true, "rollback": true }))),
    ] {
        if let Some(value) = value {
            wanted[member] = value;
        }
    }
    (&wanted != current).then_some(wanted)
}

/// Whether ECS moves traffic by listener rules, for which a service with load balancers has to be wired.
pub(crate) fn shifts_traffic(kind: StrategyKind) -> bool {
    kind != StrategyKind::Rolling
}

/// ECS's word.
pub(crate) fn word(kind: StrategyKind) -> &'static str {
    match kind {
        StrategyKind::Rolling => "ROLLING",
        StrategyKind::BlueGreen => "BLUE_GREEN",
        StrategyKind::Linear => "LINEAR",
        StrategyKind::Canary => "CANARY",
    }
}

/// The time that a deployment takes by its strategy alone, steps and bake time: no timeout may count it as delay.
pub(crate) fn own_time(configuration: &Value) -> Duration {
    let minutes = |value: &Value| value.as_u64().unwrap_or(0);
    let bake = minutes(&configuration["bakeTimeInMinutes"]);
    let shift = match configuration["strategy"].as_str() {
        Some("CANARY") => configuration["canaryConfiguration"]["canaryBakeTimeInMinutes"].as_u64().unwrap_or(10),
        Some("LINEAR") => {
            let linear = &configuration["linearConfiguration"];
            let percent = linear["stepPercent"].as_f64().unwrap_or(10.0).clamp(3.0, 100.0);
            let steps = (1_u32..=34).find(|steps| f64::from(*steps) * percent >= 100.0).unwrap_or(34);
            u64::from(steps) * linear["stepBakeTimeInMinutes"].as_u64().unwrap_or(6)
        }
        _ => 0,
    };
    Duration::from_secs((bake + shift) * 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(current: Value, strategy: &str, expected: Value) {
        let strategy = Strategy::parse(strategy).unwrap();
        assert_eq!(configuration(&current, &strategy).unwrap_or(Value::Null), expected);
    }

    #[test]
    fn a_strategy_changes_what_it_speaks_of_and_nothing_else() {
        let breaker = json!({ "enable": true, "rollback": true });
        let current = json!({ "strategy": "ROLLING", "deploymentCircuitBreaker": breaker, "newerThanUs": 1 });
        check(
            current.clone(),
            r#"{ kind = "canary", percent = 10, step = "5m", bake = "3m" }"#,
            json!({
                "strategy": "CANARY", "deploymentCircuitBreaker": breaker, "newerThanUs": 1,
                "canaryConfiguration": { "canaryPercent": 10.0, "canaryBakeTimeInMinutes": 5 }, "bakeTimeInMinutes": 3,
            }),
        );
        check(current, "rolling", Value::Null);
        check(
            json!({ "strategy": "CANARY", "canaryConfiguration": { "canaryPercent": 10.0 } }),
            "blue-green",
            json!({ "strategy": "BLUE_GREEN" }),
        );
    }

    #[test]
    fn the_time_that_a_strategy_takes_by_itself() {
        let check = |configuration: Value, minutes: u64| {
            assert_eq!(own_time(&configuration), Duration::from_secs(minutes * 60), "{configuration}");
        };
        check(json!({ "strategy": "ROLLING" }), 0);
        check(json!({ "strategy": "BLUE_GREEN", "bakeTimeInMinutes": 5 }), 5);
        check(json!({ "strategy": "CANARY", "canaryConfiguration": {}, "bakeTimeInMinutes": 1 }), 11);
        check(
            json!({ "strategy": "LINEAR", "linearConfiguration": { "stepPercent": 10, "stepBakeTimeInMinutes": 1 } }),
            10,
        );
        check(
            json!({ "strategy": "LINEAR", "linearConfiguration": { "stepPercent": 33, "stepBakeTimeInMinutes": 2 } }),
            8,
        );
    }
}
