//! CloudWatch: what was measured.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_cloudwatch::types::{Dimension, Metric, MetricDataQuery, MetricStat, ScanBy};
use aws_smithy_types::DateTime;
use jiff::Timestamp;

use super::CloudWatch;
use crate::aws::moment;
use crate::aws::refusal::failure;
use crate::failure::Failure;

/// How many queries GetMetricData takes
/// (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html>).
const QUERIES_PER_CALL: usize = 500;

/// One series to ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricQuery {
    /// What it is made of.
    pub source: MetricSource,
    /// The time that one point stands for; whole minutes for all but high-resolution metrics.
    pub period: Duration,
}

/// What a series is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetricSource {
    /// A statistic of one metric.
    Statistic {
        /// `AWS/ECS`, `AWS/ApplicationELB`, …
        namespace: String,
        /// `CPUUtilization`, …
        metric: String,
        /// What tells it from others of its name.
        dimensions: BTreeMap<String, String>,
        /// `Average`, `Sum`, `Maximum`, `p95`, …
        statistic: String,
    },
    /// Metric math, a search, or a Metrics Insights query that comes to one series.
    Expression(String),
}

/// What was measured.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MetricSeries {
    /// By the beginning of the period that each point stands for.
    pub points: BTreeMap<Timestamp, f64>,
    /// AWS's word: `Complete`, or `PartialData` and `InternalError` where another try may show more.
    pub status: String,
}

impl CloudWatch {
    /// `cloudwatch:GetMetricData`: a series for each query, in their order, of the periods that begin at or after `from` and
    /// before `to`.
    pub async fn get_metric_data(
        &self,
        queries: &[MetricQuery],
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<MetricSeries>, Failure> {
        let mut series = vec![MetricSeries::default(); queries.len()];
        for (chunk, first) in queries.chunks(QUERIES_PER_CALL).zip((0..).step_by(QUERIES_PER_CALL)) {
            let asked = (first..).zip(chunk).map(|(index, query)| query.to_sdk(index)).collect();
            let request = self.0.get_metric_data().set_metric_data_queries(Some(asked));
            let request = request.start_time(DateTime::from_secs(from.as_second()));
            let request = request.end_time(DateTime::from_secs(to.as_second()));
            let mut pages = request.scan_by(ScanBy::TimestampAscending).into_paginator().send();
            while let Some(page) = pages.next().await {
                let page = page.map_err(|error| failure("cloudwatch:GetMetricData", "read the metrics", error))?;
                for result in page.metric_data_results() {
                    let index = result.id().and_then(|id| id.strip_prefix('q')?.parse::<usize>().ok());
                    let Some(series) = index.and_then(|index| series.get_mut(index)) else { continue };
                    let points = result.timestamps().iter().zip(result.values());
                    series.points.extend(points.filter_map(|(at, value)| Some((moment(at)?, *value))));
                    series.status = result.status_code().map_or("", |status| status.as_str()).to_owned();
                }
            }
        }
        if series.iter().any(|series| series.status == "Forbidden") {
            return Err(Failure::denied("CloudWatch answered `Forbidden` for one of the metrics")
                .hint("the role may not read a metric of another account: name its own account's"));
        }
        Ok(series)
    }
}

impl MetricQuery {
    fn to_sdk(&self, index: usize) -> MetricDataQuery {
        let period = i32::try_from(self.period.as_secs()).unwrap_or(i32::MAX);
        let query = MetricDataQuery::builder().id(format!("q{index}"));
        match &self.source {
            MetricSource::Expression(expression) => query.expression(expression).period(period).build(),
            MetricSource::Statistic { namespace, metric, dimensions, statistic } => {
                let dimension =
                    |(name, value): (&String, &String)| Dimension::builder().name(name).value(value).build();
                let dimensions = dimensions.iter().map(dimension).collect();
                let metric = Metric::builder().namespace(namespace).metric_name(metric);
                let metric = metric.set_dimensions(Some(dimensions)).build();
                query.metric_stat(MetricStat::builder().metric(metric).period(period).stat(statistic).build()).build()
            }
        }
    }
}
