//! CloudWatch: the state of alarms, and what was measured.

mod metrics;

use std::collections::BTreeSet;

use aws_config::SdkConfig;
use aws_sdk_cloudwatch::operation::describe_alarms::builders::DescribeAlarmsFluentBuilder;
use aws_sdk_cloudwatch::types::{AlarmType, StateValue};
use aws_smithy_types::DateTime;
use jiff::Timestamp;

pub use self::metrics::{MetricQuery, MetricSeries, MetricSource};
use super::moment;
use super::refusal::failure;
use crate::failure::Failure;

/// The CloudWatch API.
#[derive(Clone, Debug)]
pub struct CloudWatch(aws_sdk_cloudwatch::Client);

/// An alarm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// Its name.
    pub name: String,
    /// AWS's word: `OK`, `ALARM` or `INSUFFICIENT_DATA`.
    pub state: String,
    /// Why it is in this state, in AWS's words.
    pub reason: String,
    /// Since when, by AWS's clock.
    pub since: Option<Timestamp>,
}

/// How many alarms DescribeAlarms takes and answers
/// (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarms.html>).
const NAMES_PER_CALL: usize = 100;

impl CloudWatch {
    pub(super) fn new(config: &SdkConfig) -> Self {
        Self(aws_sdk_cloudwatch::Client::new(config))
    }

    /// `cloudwatch:DescribeAlarms`: the metric and composite alarms with these names, in the order of their names. One that
    /// does not exist is left out.
    pub async fn describe_alarms(&self, names: &BTreeSet<String>) -> Result<Vec<Alarm>, Failure> {
        let mut alarms = Vec::new();
        for names in names.iter().cloned().collect::<Vec<_>>().chunks(NAMES_PER_CALL) {
            let doing = format!("look at the alarms `{}`", names.join("`, `"));
            let request = self.0.describe_alarms().set_alarm_names(Some(names.to_vec()));
            alarms.extend(described(request, &doing).await?);
        }
        alarms.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(alarms)
    }

    /// `cloudwatch:DescribeAlarms`: the metric and composite alarms whose names begin so, in the order of their names.
    pub async fn describe_alarms_that_begin(&self, prefix: &str) -> Result<Vec<Alarm>, Failure> {
        let request = self.0.describe_alarms().alarm_name_prefix(prefix);
        let mut alarms = described(request, &format!("look at the alarms `{prefix}*`")).await?;
        alarms.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(alarms)
    }
}

/// Every page of a description.
async fn described(request: DescribeAlarmsFluentBuilder, doing: &str) -> Result<Vec<Alarm>, Failure> {
    // Without types, only metric alarms are answered.
    let request = request.alarm_types(AlarmType::MetricAlarm).alarm_types(AlarmType::CompositeAlarm);
    let mut pages = request.max_records(100).into_paginator().send();
    let mut alarms = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| failure("cloudwatch:DescribeAlarms", doing, error))?;
        let metric = page.metric_alarms().iter().map(|found| {
            let since = found.state_transitioned_timestamp().or(found.state_updated_timestamp());
            alarm(found.alarm_name(), found.state_value(), found.state_reason(), since)
        });
        let composite = page.composite_alarms().iter().map(|found| {
            let since = found.state_transitioned_timestamp().or(found.state_updated_timestamp());
            alarm(found.alarm_name(), found.state_value(), found.state_reason(), since)
        });
        alarms.extend(metric.chain(composite).flatten());
    }
    Ok(alarms)
}

fn alarm(
    name: Option<&str>,
    state: Option<&StateValue>,
    reason: Option<&str>,
    since: Option<&DateTime>,
) -> Option<Alarm> {
    Some(Alarm {
        name: name?.to_owned(),
        state: state.map_or("unknown", |state| state.as_str()).to_owned(),
        reason: reason.unwrap_or_default().to_owned(),
        since: since.and_then(moment),
    })
}
