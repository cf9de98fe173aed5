//! What tells that a service is healthy.

use std::num::NonZeroU32;

use clap::ValueEnum;
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Serialize;

use super::read::read_word;
use super::section::{Section, read_section};
use super::template::Template;
use super::time_span::TimeSpan;

/// What tells that a service is healthy, beside the state of its tasks and targets.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Health {
    /// The URL to ask. Without it, the state of tasks and targets alone decides.
    pub url: Option<Template>,
    /// What each answer has to be, as in `status == 200` and `json(/version) == '${COMMIT}'`.
    pub expect: Vec<Template>,
    /// How to ask: `GET`, `HEAD`, `POST`, …
    pub method: Option<String>,
    /// What to send beside the request, by the header's name.
    pub headers: IndexMap<String, Template>,
    /// What to send as the request's body.
    pub body: Option<Template>,
    /// Whom to ask where the URL's host has several addresses.
    pub addresses: Addresses,
    /// How many different instances have to have answered with the right version.
    pub distinct: Option<NonZeroU32>,
    /// What of an answer tells one instance from another: `json(/task)` or `header(x-instance)`.
    pub distinct_by: Option<Template>,
    /// Further URLs, each of which has to answer with a status below 400.
    pub smoke: Vec<Template>,
    /// A command to run once in a task of the service's own image and network when everything else holds.
    pub smoke_command: Vec<String>,
    /// The time from one request to the next.
    pub interval: TimeSpan,
    /// The time that an answer may take.
    pub timeout: TimeSpan,
    /// The good answers in a row that make the service healthy.
    pub passes: NonZeroU32,
    /// The bad answers in a row that make it unhealthy.
    pub failures: NonZeroU32,
    /// How long everything has to hold once it does.
    pub bake: TimeSpan,
    /// How long after the deployment metrics begin to count.
    pub settle: TimeSpan,
    /// CloudWatch alarms that must not be in ALARM, by name; `shop-*` for all that begin so, `tag:service=${SERVICE}` for all with this tag.
    pub alarms: Vec<Template>,
    /// What is measured, by name: a preset's, or one of your own with a source.
    pub metrics: IndexMap<String, Metric>,
    /// The Prometheus server that is asked for metrics with a `prometheus` query.
    pub prometheus: Option<Template>,
    /// Checks that can make the service degraded, and not unhealthy: as the summary names them, or a whole condition.
    pub optional: Vec<Template>,
    /// Checks that are shown and never counted.
    pub observe: Vec<Template>,
}

/// Whom to ask where a name has several addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Addresses {
    /// The first that answers.
    #[default]
    One,
    /// Every one of them: each has to answer as expected.
    All,
}

read_word!(Addresses or One);

/// Something measured, and its limits. Of a preset, all but what is said otherwise is known.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Metric {
    /// The namespace of a CloudWatch metric: `AWS/SQS`.
    pub namespace: Option<String>,
    /// The name of a CloudWatch metric.
    pub metric: Option<String>,
    /// The dimensions of a CloudWatch metric.
    pub dimensions: IndexMap<String, Template>,
    /// `Average`, `Sum`, `Maximum`, `p95`, …
    pub statistic: Option<String>,
    /// Metric math, or a Metrics Insights query, that comes to one series.
    pub expression: Option<Template>,
    /// A Prometheus query that comes to one series.
    pub prometheus: Option<Template>,
    /// The limit at which the service is degraded.
    pub warn: Option<f64>,
    /// The limit at which it is unhealthy.
    pub fail: Option<f64>,
    /// On which side of its limits a value is bad.
    pub bad: Option<Side>,
    /// The time that one point stands for.
    pub period: Option<TimeSpan>,
    /// How many of the last points decide …
    pub points: Option<NonZeroU32>,
    /// … and how many of them have to be beyond a limit.
    pub sustained: Option<NonZeroU32>,
    /// How many requests are too few to judge by.
    pub minimum_samples: Option<u32>,
    /// What a point that is missing stands for.
    pub missing: Option<f64>,
}

/// On which side of its limits a value is bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// Above them.
    Above,
    /// Below them.
    Below,
}

read_word!(Side);

read_section!(Metric or default {
    namespace, metric, dimensions, statistic, expression, prometheus, warn, fail, bad, period, points, sustained, minimum_samples, missing,
} check Metric::check);

impl Metric {
    fn check(section: &Section<'_>) {
        if section.has("metric") != section.has("namespace") {
            section.problem("metric", "a CloudWatch metric has a `namespace` and a `metric`: write both");
        }
        let sources: Vec<&str> =
            ["metric", "expression", "prometheus"].into_iter().filter(|key| section.has(key)).collect();
        if let [_, second, ..] = sources.as_slice() {
            section.problem(second, &format!("there is `{}` already: a metric has one source", sources[0]));
        }
        let number = |key: &str| section.peek::<NonZeroU32>(key).map(NonZeroU32::get);
        if let (Some(points), Some(sustained)) = (number("points"), number("sustained"))
            && sustained > points
        {
            section.problem("sustained", &format!("{sustained} of {points} points is more than there are"));
        }
        if let Some(period) = section.peek::<TimeSpan>("period")
            && (period.whole_minutes().is_none() || period.get().is_zero())
        {
            section.problem("period", "it must be whole minutes: that is how AWS measures its services");
        }
    }
}

impl Default for Health {
    fn default() -> Self {
        Self {
            url: None,
            expect: vec![Template::from("status == 200")],
            method: None,
            headers: IndexMap::new(),
            body: None,
            addresses: Addresses::One,
            distinct: None,
            distinct_by: None,
            smoke: Vec::new(),
            smoke_command: Vec::new(),
            interval: TimeSpan::from_seconds(30),
            timeout: TimeSpan::from_seconds(5),
            passes: NonZeroU32::MIN.saturating_add(1),
            failures: NonZeroU32::MIN.saturating_add(2),
            bake: TimeSpan::from_seconds(0),
            settle: TimeSpan::from_seconds(60),
            alarms: Vec::new(),
            metrics: IndexMap::new(),
            prometheus: None,
            optional: Vec::new(),
            observe: Vec::new(),
        }
    }
}

read_section!(Health or default {
    url, expect, method, headers, body, addresses, distinct, distinct_by, smoke, smoke_command, interval, timeout, passes, failures, bake, settle, alarms, metrics, prometheus, optional, observe,
} check Health::check);

impl Health {
    fn check(section: &Section<'_>) {
        match section.peek::<Template>("url") {
            Some(url) if !is_url(&url) => {
                section.problem("url", &format!("`{}` is not a URL: start it with `https://`", url.as_str()));
            }
            None if !section.has("url") => {
                for key in ["expect", "method", "headers", "body", "distinct", "addresses"] {
                    if section.has(key) {
                        section.problem(key, "there is no `url` whose answer could be as expected");
                    }
                }
            }
            _ => {}
        }
        if let Some(server) = section.peek::<Template>("prometheus")
            && !is_url(&server)
        {
            let rule = format!("`{}` is not a URL: start it with `https://`", server.as_str());
            section.problem("prometheus", &rule);
        }
        if section.has("distinct") != section.has("distinct-by") {
            let rule = "say how many instances, and what tells them apart: write `distinct` and `distinct-by`";
            section.problem("distinct", rule);
        }
        if section.peek::<Vec<Template>>("expect").is_some_and(|expect| expect.is_empty()) {
            section.problem("expect", "it is empty, and any answer would do: leave it out to expect `status == 200`");
        }
        for key in ["interval", "timeout"] {
            if section.peek::<TimeSpan>(key).is_some_and(|span| span.get().is_zero()) {
                section.problem(key, "it must be more than nothing");
            }
        }
    }
}

fn is_url(text: &Template) -> bool {
    ["https://", "http://"].iter().any(|scheme| text.as_str().starts_with(scheme))
}
