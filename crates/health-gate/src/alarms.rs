//! Alarms that must not go off. One that fired before the deployment is told, and not blamed on it.

use std::collections::BTreeSet;

use common::aws::{Alarm, Aws};
use jiff::Timestamp;

use crate::check::Check;
use crate::state::unseen;
use crate::tally::{Policy, Sample};

/// The alarms to look at.
#[derive(Clone, Debug)]
pub(crate) struct Alarms {
    pub(crate) names: BTreeSet<String>,
    /// When the deployment began, or the watch where there is none.
    pub(crate) since: Timestamp,
}

impl Alarms {
    /// What has to hold, in the order of a look's samples.
    pub(crate) fn checks(&self, policy: Policy) -> Vec<Check> {
        self.names.iter().map(|name| Check::new(format!("alarm {name}"), "not in ALARM", policy)).collect()
    }

    /// Looks once: a sample for each alarm.
    pub(crate) async fn look(&self, aws: &Aws) -> Vec<Sample> {
        match aws.cloudwatch.describe_alarms(&self.names).await {
            Ok(alarms) => self.names.iter().map(|name| self.sample(&alarms, name)).collect(),
            Err(failure) => vec![unseen(&failure); self.names.len()],
        }
    }

    fn sample(&self, alarms: &[Alarm], name: &str) -> Sample {
        let Some(alarm) = alarms.iter().find(|alarm| alarm.name == name) else {
            return Sample::Unsettled("there is no such alarm any more".to_owned());
        };
        match alarm.state.as_str() {
            "OK" => Sample::Good("OK".to_owned()),
            "ALARM" => match alarm.since.filter(|since| *since < self.since) {
                Some(since) => {
                    let since = since.strftime("%Y-%m-%d %H:%M UTC");
                    Sample::Warned(format!("ALARM since {since}, before the deployment: {}", alarm.reason))
                }
                // It has judged over its own periods: the first look at it is enough.
                None => Sample::Certain(format!("ALARM: {}", alarm.reason)),
            },
            // INSUFFICIENT_DATA, and words that are newer than this program.
            other => Sample::Unsettled(format!("{other}: {}", alarm.reason)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_that_fired_before_the_deployment_is_not_blamed_on_it() {
        let moment = |second| Timestamp::from_second(second).unwrap();
        let alarms = Alarms { names: BTreeSet::from(["api-5xx".to_owned()]), since: moment(1_000) };
        let sample = |state: &str, since| {
            let reason = "Threshold Crossed".to_owned();
            let alarm = Alarm { name: "api-5xx".into(), state: state.into(), reason, since: Some(moment(since)) };
            alarms.sample(&[alarm], "api-5xx")
        };
        assert_eq!(sample("OK", 1_500), Sample::Good("OK".into()));
        assert_eq!(sample("ALARM", 1_500), Sample::Certain("ALARM: Threshold Crossed".into()));
        let before = "ALARM since 1970-01-01 00:15 UTC, before the deployment: Threshold Crossed";
        assert_eq!(sample("ALARM", 900), Sample::Warned(before.into()));
        let unknown = "INSUFFICIENT_DATA: Threshold Crossed";
        assert_eq!(sample("INSUFFICIENT_DATA", 900), Sample::Unsettled(unknown.into()));
        assert_eq!(alarms.sample(&[], "api-5xx"), Sample::Unsettled("there is no such alarm any more".into()));
    }
}
