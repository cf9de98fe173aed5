//! What is measured while the gate watches: from where, by which limits, and over which window.
//!
//! A window begins once the deployment has arrived and had time to settle, so that nothing of the version before is in it, and
//! ends with the last period that is over.

mod baseline;
mod judge;
mod preset;
mod prometheus;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use common::aws::{Aws, MetricQuery, MetricSeries, MetricSource};
use common::delivery::Side;
use common::duration::human;
use common::http::Http;
use http::Uri;
use jiff::Timestamp;

pub(crate) use self::judge::Points;
pub(crate) use self::preset::{PRESETS, Preset, Surroundings};

use crate::check::Check;
use crate::state::unseen;
use crate::tally::{Policy, Sample};

/// Something measured, and its limits.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Metric {
    pub(crate) name: String,
    pub(crate) source: Source,
    pub(crate) rule: Rule,
}

/// Where the points come from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Source {
    /// One series of CloudWatch's.
    One(MetricSource),
    /// How many percent of one another one is. Where there is nothing of the whole, there is no point.
    Percent { part: MetricSource, whole: MetricSource },
    /// A percentile, the plain average for when there are too few samples for it, and the number of samples.
    Percentile { percentile: MetricSource, average: MetricSource, samples: MetricSource },
    /// One series of this server's.
    Prometheus { server: Uri, query: String },
}

/// How points are judged.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rule {
    /// The limit at which the service is degraded.
    pub(crate) warn: Option<f64>,
    /// The limit at which it is unhealthy.
    pub(crate) fail: Option<f64>,
    /// On which side of its limits a value is bad.
    pub(crate) bad: Side,
    /// The time that one point stands for.
    pub(crate) period: Duration,
    /// How many of the last points decide.
    pub(crate) points: u32,
    /// How many of them have to be beyond a limit.
    pub(crate) sustained: u32,
    /// How many samples are too few to judge by.
    pub(crate) minimum_samples: u32,
    /// What a point that is missing stands for.
    pub(crate) missing: Option<f64>,
    /// What is written behind a value: ` s`, ` %`.
    pub(crate) unit: &'static str,
}

/// What one look at one metric showed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Measured {
    pub(crate) sample: Sample,
    /// The values of the window, oldest first.
    pub(crate) curve: Vec<f64>,
}

impl Metric {
    /// What has to hold.
    pub(crate) fn check(&self, policy: Policy) -> Check {
        let check = Check::new(&self.name, self.rule.to_string(), policy).judged_elsewhere();
        let has_limit = self.rule.warn.is_some() || self.rule.fail.is_some();
        let importance = if has_limit { check.importance } else { crate::check::Importance::Observed };
        Check { importance, ..check }
    }

    /// Looks once at what was measured since `from`.
    pub(crate) async fn look(&self, from: Timestamp, now: Timestamp, aws: Option<&Aws>, http: &Http) -> Measured {
        let unseen = |sample| Measured { sample, curve: Vec::new() };
        let Some(window) = judge::window(&self.rule, from, now) else {
            let begins = from.strftime("%H:%M:%S UTC");
            return unseen(Sample::Unsettled(format!("no period is over since {begins}")));
        };
        match self.read(window, aws, http).await {
            Ok(series) => judge::judge(&self.source, &self.rule, &series, window, now),
            Err(sample) => unseen(sample),
        }
    }

    /// What was usual in a window of the same length that ended when the deployment began: the median, if there is one.
    pub(crate) async fn before(&self, deployed: Timestamp, aws: Option<&Aws>, http: &Http) -> Option<f64> {
        let rule = &self.rule;
        let window = judge::window(rule, deployed.checked_sub(rule.period * rule.points).ok()?, deployed)?;
        let series = self.read(window, aws, http).await.ok()?;
        baseline::median(&judge::judge(&self.source, rule, &series, window, deployed).curve)
    }

    /// Every series of the source, in the order of its fields.
    async fn read(
        &self,
        (from, to): (Timestamp, Timestamp),
        aws: Option<&Aws>,
        http: &Http,
    ) -> Result<Vec<Points>, Sample> {
        let sources: Vec<&MetricSource> = match &self.source {
            Source::One(source) => vec![source],
            Source::Percent { part, whole } => vec![part, whole],
            Source::Percentile { percentile, average, samples } => vec![percentile, average, samples],
            Source::Prometheus { server, query } => {
                let points = prometheus::query_range(http, server, query, (from, to), self.rule.period).await?;
                return Ok(vec![points]);
            }
        };
        let Some(aws) = aws else { return Err(Sample::Unseen("there is no account to ask".to_owned())) };
        let query = |source: &MetricSource| MetricQuery { source: source.clone(), period: self.rule.period };
        let queries: Vec<MetricQuery> = sources.into_iter().map(query).collect();
        let series = aws.cloudwatch.get_metric_data(&queries, from, to).await.map_err(|failure| unseen(&failure))?;
        if let Some(series) = series.iter().find(|series| !matches!(series.status.as_str(), "Complete" | "")) {
            // AWS says itself that more will come: ask again.
            return Err(Sample::Unsettled(format!("CloudWatch answered `{}`", series.status)));
        }
        Ok(series.into_iter().map(|MetricSeries { points, .. }| points).collect())
    }
}

/// `≤ 1 s (warn), ≤ 3 s, but for fewer than 2 of 3 points of 1 m`.
impl fmt::Display for Rule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.bad == Side::Above { "≤" } else { "≥" };
        let limit =
            |word: &str, limit: Option<f64>| limit.map(|limit| format!("{sign} {}{}{word}", number(limit), self.unit));
        let limits: Vec<String> = [limit(" (warn)", self.warn), limit("", self.fail)].into_iter().flatten().collect();
        match limits.as_slice() {
            [] => return formatter.write_str("no limit"),
            limits => formatter.write_str(&limits.join(", "))?,
        }
        let (points, period) = (self.points, human(self.period));
        match self.sustained {
            1 if points == 1 => write!(formatter, " in the last {period}"),
            1 => write!(formatter, " in each of {points} points of {period}"),
            sustained => write!(formatter, ", but for fewer than {sustained} of {points} points of {period}"),
        }
    }
}

/// A value with as many digits as say something: `0.25`, `3.4`, `120`.
pub(crate) fn number(value: f64) -> String {
    let digits = match value.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        _ => 3,
    };
    let text = format!("{value:.digits$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// A statistic of one metric.
pub(crate) fn statistic(
    namespace: &str,
    metric: &str,
    statistic: &str,
    dimensions: &BTreeMap<String, String>,
) -> MetricSource {
    MetricSource::Statistic {
        namespace: namespace.to_owned(),
        metric: metric.to_owned(),
        dimensions: dimensions.clone(),
        statistic: statistic.to_owned(),
    }
}
