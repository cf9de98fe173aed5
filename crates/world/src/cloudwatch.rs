//! CloudWatch: the states of alarms that tests give them, now and later, and what was measured.
//!
//! API: <https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarms.html>

mod metrics;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::state::{State, World};
use crate::wire::{self, Refusal};

/// AWS documents no default for `MaxRecords`; a page that is not the largest shows who forgets to page.
const PAGE: usize = 50;

const STATES: [&str; 3] = ["OK", "ALARM", "INSUFFICIENT_DATA"];

/// Every alarm, by name, and every metric.
#[derive(Debug, Default)]
pub(crate) struct CloudWatch {
    alarms: BTreeMap<String, Alarm>,
    metrics: metrics::Metrics,
}

#[derive(Debug)]
struct Alarm {
    is_composite: bool,
    created_at: Timestamp,
    /// The states by the moment from which each holds; some lie in the future.
    states: BTreeMap<Timestamp, &'static str>,
    tags: BTreeMap<String, String>,
}

impl World {
    /// Gives a metric alarm a state (`OK`, `ALARM` or `INSUFFICIENT_DATA`); the alarm is made if it is not there.
    ///
    /// # Panics
    /// If CloudWatch knows no such state.
    pub fn set_alarm(&self, name: &str, state: &str) {
        self.set_alarm_after(name, state, Duration::ZERO);
    }

    /// Gives a metric alarm a state that it has from some time on. An alarm that is not there yet is made, and is `OK` until
    /// then.
    ///
    /// # Panics
    /// If CloudWatch knows no such state.
    pub fn set_alarm_after(&self, name: &str, state: &str, after: Duration) {
        self.with(|world| set(world, name, false, state, after));
    }

    /// Gives a composite alarm a state; the alarm is made if it is not there.
    ///
    /// # Panics
    /// If CloudWatch knows no such state.
    pub fn set_composite_alarm(&self, name: &str, state: &str) {
        self.with(|world| set(world, name, true, state, Duration::ZERO));
    }

    /// Gives an alarm that is there a tag.
    pub fn tag_alarm(&self, name: &str, key: &str, value: &str) {
        self.with(|state| {
            let tags = state.cloudwatch.alarms.get_mut(name).map(|alarm| &mut alarm.tags);
            tags.and_then(|tags| tags.insert(key.to_owned(), value.to_owned()));
        });
    }
}

/// An alarm's state at `state.now`.
pub(crate) fn alarm_state(state: &State, name: &str) -> Option<&'static str> {
    state.cloudwatch.alarms.get(name).map(|alarm| alarm.at(state.now).1)
}

/// The ARNs of the alarms that have tags, and these, in the order of their names.
pub(crate) fn tagged(state: &State) -> impl Iterator<Item = (String, &BTreeMap<String, String>)> {
    let tagged = state.cloudwatch.alarms.iter().filter(|(_, alarm)| !alarm.tags.is_empty());
    tagged.map(|(name, alarm)| (arn(state, name), &alarm.tags))
}

/// The moment of the next change of any alarm that is later than `state.now`.
pub(crate) fn next_change(state: &State) -> Option<Timestamp> {
    let alarms = state.cloudwatch.alarms.values();
    alarms.filter_map(|alarm| alarm.states.keys().find(|moment| **moment > state.now)).min().copied()
}

/// Answers an operation of CloudWatch's API.
pub(crate) fn answer(state: &State, operation: &str, body: &Value) -> Result<Value, Refusal> {
    match operation {
        "DescribeAlarms" => describe_alarms(state, body),
        "GetMetricData" => metrics::get_metric_data(state, body),
        _ => {
            let message = format!("CloudWatch has no operation {operation} in this world");
            Err(Refusal::new("UnknownOperationException", message))
        }
    }
}

fn set(state: &mut State, name: &str, is_composite: bool, value: &str, after: Duration) {
    let Some(value) = STATES.into_iter().find(|known| *known == value) else {
        panic!("CloudWatch knows no alarm state {value}");
    };
    let now = state.now;
    let new = || Alarm { is_composite, created_at: now, states: BTreeMap::from([(now, "OK")]), tags: BTreeMap::new() };
    let alarm = state.cloudwatch.alarms.entry(name.to_owned()).or_insert_with(new);
    alarm.states.insert(now + after, value);
}

impl Alarm {
    /// The state at a moment, and since when.
    fn at(&self, moment: Timestamp) -> (Timestamp, &'static str) {
        let (since, state) = self.states.range(..=moment).next_back().unwrap_or((&self.created_at, &"OK"));
        (*since, state)
    }
}

fn describe_alarms(state: &State, body: &Value) -> Result<Value, Refusal> {
    let names: Option<Vec<&str>> =
        body["AlarmNames"].as_array().map(|names| names.iter().filter_map(Value::as_str).collect());
    let prefix = body["AlarmNamePrefix"].as_str();
    if names.as_ref().is_some_and(|names| names.len() > 100) {
        return Err(Refusal::new("ValidationError", "AlarmNames can have at most 100 names"));
    }
    if names.is_some() && prefix.is_some() {
        return Err(Refusal::new("ValidationError", "AlarmNames and AlarmNamePrefix exclude each other"));
    }
    // Who names no type is shown metric alarms alone, even where composite alarms were named.
    let is_wanted = |kind: &str| match body["AlarmTypes"].as_array() {
        Some(kinds) => kinds.iter().any(|wanted| wanted == kind),
        None => kind == "MetricAlarm",
    };
    let found = (state.cloudwatch.alarms.iter())
        .filter(|(_, alarm)| is_wanted(if alarm.is_composite { "CompositeAlarm" } else { "MetricAlarm" }))
        .filter(|(name, _)| names.as_ref().is_none_or(|names| names.contains(&name.as_str())))
        .filter(|(name, _)| prefix.is_none_or(|prefix| name.starts_with(prefix)))
        .filter(|(_, alarm)| body["StateValue"].as_str().is_none_or(|wanted| wanted == alarm.at(state.now).1))
        .map(|(name, alarm)| view(state, name, alarm));
    let size = body["MaxRecords"].as_u64().and_then(|size| usize::try_from(size).ok()).unwrap_or(PAGE).min(100);
    let (page, next) = wire::page(found.collect(), size, body["NextToken"].as_str())
        .ok_or_else(|| Refusal::new("InvalidNextToken", "The next token specified is invalid."))?;
    let (composite, metric): (Vec<Value>, Vec<Value>) =
        page.into_iter().partition(|alarm| alarm.get("AlarmRule").is_some());
    let mut answer = json!({ "CompositeAlarms": composite, "MetricAlarms": metric });
    if let Some(next) = next {
        answer["NextToken"] = json!(next);
    }
    Ok(answer)
}

fn arn(state: &State, name: &str) -> String {
    format!("arn:aws:cloudwatch:{}:{}:alarm:{name}", state.region, state.account)
}

fn view(state: &State, name: &str, alarm: &Alarm) -> Value {
    let (since, value) = alarm.at(state.now);
    let mut view = json!({
        "AlarmName": name,
        "AlarmArn": arn(state, name),
        "AlarmConfigurationUpdatedTimestamp": wire::epoch(alarm.created_at),
        "ActionsEnabled": true,
        "OKActions": [],
        "AlarmActions": [],
        "InsufficientDataActions": [],
        "StateValue": value,
        "StateReason": reason(alarm, value),
        "StateUpdatedTimestamp": wire::epoch(since),
        "StateTransitionedTimestamp": wire::epoch(since),
    });
    let of_kind = if alarm.is_composite {
        json!({ "AlarmRule": "ALARM(\"errors\") OR ALARM(\"latency\")" })
    } else {
        json!({
            "MetricName": "HTTPCode_Target_5XX_Count",
            "Namespace": "AWS/ApplicationELB",
            "Statistic": "Sum",
            "Dimensions": [],
            "Period": 60,
            "EvaluationPeriods": 1,
            "DatapointsToAlarm": 1,
            "Threshold": 5.0,
            "ComparisonOperator": "GreaterThanThreshold",
            "TreatMissingData": "missing",
        })
    };
    if let (Some(view), Value::Object(of_kind)) = (view.as_object_mut(), of_kind) {
        view.extend(of_kind);
    }
    view
}

fn reason(alarm: &Alarm, value: &str) -> &'static str {
    match (value, alarm.is_composite) {
        ("ALARM", false) => "Threshold Crossed: 1 datapoint [9.0] was greater than the threshold (5.0).",
        ("OK", false) => "Threshold Crossed: 1 datapoint [1.0] was not greater than the threshold (5.0).",
        (_, false) => "Insufficient Data: 1 datapoint was unknown.",
        (_, true) => "an alarm of the rule changed its state",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn describe(world: &World, body: Value) -> Value {
        world.with(|state| answer(state, "DescribeAlarms", &body)).expect("described")
    }

    fn names(alarms: &Value) -> Vec<&str> {
        alarms.as_array().into_iter().flatten().filter_map(|alarm| alarm["AlarmName"].as_str()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn an_alarm_changes_when_its_time_has_come() {
        let world = World::new();
        world.set_alarm_after("errors", "ALARM", Duration::from_secs(60));
        world.set_alarm_after("errors", "OK", Duration::from_secs(90));
        let seen = |world: &World| world.with(|state| (alarm_state(state, "errors"), next_change(state)));
        let start = world.with(|state| state.now);
        assert_eq!(seen(&world), (Some("OK"), Some(start + Duration::from_secs(60))));
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(seen(&world), (Some("ALARM"), Some(start + Duration::from_secs(90))));
        let described = describe(&world, json!({ "AlarmNames": ["errors"] }));
        assert_eq!(described["MetricAlarms"][0]["StateUpdatedTimestamp"], wire::epoch(start + Duration::from_secs(60)));
        tokio::time::advance(Duration::from_secs(30)).await;
        assert_eq!(seen(&world), (Some("OK"), None));
        world.set_alarm("errors", "INSUFFICIENT_DATA");
        assert_eq!(seen(&world), (Some("INSUFFICIENT_DATA"), None));
        assert_eq!(world.with(|state| alarm_state(state, "nope")), None);
    }

    #[test]
    fn alarms_are_found_by_name_prefix_state_and_type() {
        let world = World::new();
        world.set_alarm("shop-errors", "ALARM");
        world.set_alarm("shop-latency", "OK");
        world.set_composite_alarm("shop", "ALARM");
        let check = |body: Value, metric: &[&str], composite: &[&str]| {
            let answer = describe(&world, body.clone());
            assert_eq!(
                (names(&answer["MetricAlarms"]).as_slice(), names(&answer["CompositeAlarms"]).as_slice()),
                (metric, composite),
                "{body}"
            );
        };
        check(json!({}), &["shop-errors", "shop-latency"], &[]);
        check(json!({ "AlarmNames": ["shop-latency", "nope", "shop"] }), &["shop-latency"], &[]);
        check(json!({ "AlarmNamePrefix": "shop-l" }), &["shop-latency"], &[]);
        check(json!({ "StateValue": "ALARM" }), &["shop-errors"], &[]);
        check(json!({ "AlarmTypes": ["CompositeAlarm"] }), &[], &["shop"]);
        check(
            json!({ "AlarmTypes": ["CompositeAlarm", "MetricAlarm"], "StateValue": "ALARM" }),
            &["shop-errors"],
            &["shop"],
        );
    }

    #[test]
    fn a_listing_is_paged() {
        let world = World::new();
        for number in 0..51 {
            world.set_alarm(&format!("alarm-{number:02}"), "OK");
        }
        let first = describe(&world, json!({}));
        assert_eq!(names(&first["MetricAlarms"]).len(), 50);
        let rest = describe(&world, json!({ "NextToken": first["NextToken"] }));
        assert_eq!((names(&rest["MetricAlarms"]), rest.get("NextToken")), (vec!["alarm-50"], None));
        let refused = world.with(|state| answer(state, "DescribeAlarms", &json!({ "NextToken": "x" }))).unwrap_err();
        assert_eq!(refused.code, "InvalidNextToken");
    }
}
