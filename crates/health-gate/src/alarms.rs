//! Alarms that must not go off. One that fired before the deployment is told, and not blamed on it.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use common::aws::{Alarm, Aws};
use common::failure::Failure;
use jiff::Timestamp;

use crate::check::Check;
use crate::state::unseen;
use crate::tally::{Policy, Sample};

/// Which alarms somebody means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Selector {
    /// The one of this name.
    Name(String),
    /// Those whose names begin so: `shop-*`.
    Prefix(String),
    /// Those that have this tag: `tag:service=auth`.
    Tag { key: String, value: String },
}

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
        // AWS's sentence goes on in ours.
        let reason = alarm.reason.trim_end_matches('.');
        match alarm.state.as_str() {
            "OK" => Sample::Good("OK".to_owned()),
            "ALARM" => match alarm.since.filter(|since| *since < self.since) {
                Some(since) => {
                    let since = since.strftime("%Y-%m-%d %H:%M UTC");
                    Sample::Warned(format!("ALARM since {since}, before the deployment: {reason}"))
                }
                // It has judged over its own periods: the first look at it is enough.
                None => Sample::Certain(format!("ALARM: {reason}")),
            },
            // INSUFFICIENT_DATA, and words that are newer than this program.
            other => Sample::Unsettled(format!("{other}: {reason}")),
        }
    }
}

impl Selector {
    /// The names of the alarms that are meant by each of these, as far as they are there.
    pub(crate) async fn find(selectors: &[Self], aws: &Aws) -> Result<Vec<(Self, BTreeSet<String>)>, Failure> {
        let mut meant = Vec::new();
        for selector in selectors {
            let names = match selector {
                Self::Name(name) => BTreeSet::from([name.clone()]),
                Self::Prefix(prefix) => names(aws.cloudwatch.describe_alarms_that_begin(prefix).await?),
                Self::Tag { key, value } => {
                    let arns = aws.tagging.get_resources("cloudwatch:alarm", key, value).await?;
                    arns.iter().filter_map(|arn| arn.split_once(":alarm:")).map(|(_, name)| name.to_owned()).collect()
                }
            };
            meant.push((selector.clone(), names));
        }
        // A name may be mistyped, and a tag may outlive its alarm by some minutes.
        let is_doubtful = |selector: &Self| !matches!(selector, Self::Prefix(_));
        let doubtful = meant.iter().filter(|(selector, _)| is_doubtful(selector)).flat_map(|(_, names)| names);
        let there = names(aws.cloudwatch.describe_alarms(&doubtful.cloned().collect()).await?);
        for (_, names) in meant.iter_mut().filter(|(selector, _)| is_doubtful(selector)) {
            names.retain(|name| there.contains(name));
        }
        Ok(meant)
    }
}

fn names(alarms: Vec<Alarm>) -> BTreeSet<String> {
    alarms.into_iter().map(|alarm| alarm.name).collect()
}

impl FromStr for Selector {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        match (text.strip_prefix("tag:"), text.strip_suffix('*')) {
            (Some(tag), _) => match tag.split_once('=') {
                Some((key, value)) if !key.is_empty() => Ok(Self::Tag { key: key.to_owned(), value: value.to_owned() }),
                _ => Err(Failure::input(format!("`{text}` names no tag")).hint("write it as `tag:service=auth`")),
            },
            (None, Some("")) => Err(Failure::input("`*` is every alarm of the region, whosever it is")
                .hint("say how the alarms' names begin, `shop-*`, or which tag they have, `tag:service=auth`")),
            (None, Some(prefix)) => Ok(Self::Prefix(prefix.to_owned())),
            (None, None) => Ok(Self::Name(text.to_owned())),
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(formatter, "`{name}`"),
            Self::Prefix(prefix) => write!(formatter, "whose name begins with `{prefix}`"),
            Self::Tag { key, value } => write!(formatter, "with the tag `{key}={value}`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alarms_are_meant_by_name_by_beginning_or_by_tag() {
        let tag = |key: &str, value: &str| Selector::Tag { key: key.into(), value: value.into() };
        for (text, expected) in [
            ("api-5xx", Selector::Name("api-5xx".into())),
            ("shop-*", Selector::Prefix("shop-".into())),
            ("tag:service=auth", tag("service", "auth")),
            ("tag:aws:cloudformation:stack-name=shop", tag("aws:cloudformation:stack-name", "shop")),
            ("tag:watched=", tag("watched", "")),
        ] {
            assert_eq!(text.parse::<Selector>().unwrap(), expected);
        }
        for text in ["*", "tag:service", "tag:=auth"] {
            text.parse::<Selector>().unwrap_err();
        }
    }

    #[test]
    fn an_alarm_that_fired_before_the_deployment_is_not_blamed_on_it() {
        let moment = |second| Timestamp::from_second(second).unwrap();
        let alarms = Alarms { names: BTreeSet::from(["api-5xx".to_owned()]), since: moment(1_000) };
        let sample = |state: &str, since| {
            let reason = "Threshold Crossed.".to_owned();
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
