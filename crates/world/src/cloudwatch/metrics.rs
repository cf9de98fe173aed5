//! What CloudWatch measured: what tests say that it did, minute by minute.
//!
//! API: <https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html>

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::state::{State, World};
use crate::wire::{self, Refusal};

/// AWS pages by the number of points; a small page shows who forgets to page.
const POINTS_PER_PAGE: usize = 50;

/// What is measured, by namespace, name and statistic; for an expression, by its text alone.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    levels: BTreeMap<[String; 3], Levels>,
    /// Until when CloudWatch has not collected it all.
    partial_until: Option<Timestamp>,
}

/// The value of a minute by the moment from which it holds; `None` is a time without data.
type Levels = BTreeMap<Timestamp, Option<f64>>;

impl World {
    /// Has a statistic of a metric, whatever its dimensions, be this in each minute that begins after some time from now;
    /// `None` is no data. Over a longer period it is the average, a `Sum` and a `SampleCount` the sum.
    pub fn measure(&self, namespace: &str, metric: &str, statistic: &str, value: Option<f64>, after: Duration) {
        self.with(|state| {
            let key = [namespace, metric, statistic].map(str::to_owned);
            state.cloudwatch.metrics.levels.entry(key).or_default().insert(state.now + after, value);
        });
    }

    /// For some time from now on CloudWatch answers with what it has collected so far, and calls it `PartialData`: all but the
    /// newest point of each series.
    pub fn answer_partially_for(&self, time: Duration) {
        self.with(|state| state.cloudwatch.metrics.partial_until = Some(state.now + time));
    }
}

pub(super) fn get_metric_data(state: &State, body: &Value) -> Result<Value, Refusal> {
    let (from, to) = (moment(&body["StartTime"])?, moment(&body["EndTime"])?);
    if from >= to {
        let message = "The parameter StartTime must be less than the parameter EndTime.";
        return Err(Refusal::new("ValidationError", message));
    }
    let queries = body["MetricDataQueries"].as_array().map(Vec::as_slice).unwrap_or_default();
    if queries.is_empty() || queries.len() > 500 {
        return Err(Refusal::new("ValidationError", "MetricDataQueries must have between 1 and 500 queries"));
    }
    let is_partial = state.cloudwatch.metrics.partial_until.is_some_and(|until| state.now < until);
    let mut points = Vec::new();
    for query in queries {
        let (key, period) = asked(query)?;
        let empty = Levels::new();
        let levels = state.cloudwatch.metrics.levels.get(&key).unwrap_or(&empty);
        let begun = periods(from, to, period).take_while(|begin| *begin <= state.now);
        let mut series: Vec<Value> = begun
            .filter_map(|begin| Some((begin, value(levels, &key[2], begin, period, state.now)?)))
            .map(|(begin, value)| json!({ "id": query["Id"], "at": wire::epoch(begin), "value": value }))
            .collect();
        if is_partial {
            series.pop();
        }
        points.extend(series);
    }
    let (page, next) = wire::page(points, POINTS_PER_PAGE, body["NextToken"].as_str())
        .ok_or_else(|| Refusal::new("InvalidNextToken", "The next token specified is invalid."))?;
    let of = |query: &Value, member: &str| -> Vec<Value> {
        page.iter().filter(|point| point["id"] == query["Id"]).map(|point| point[member].clone()).collect()
    };
    let status = if next.is_some() || is_partial { "PartialData" } else { "Complete" };
    let results: Vec<Value> = queries
        .iter()
        .map(|query| {
            let label = query["MetricStat"]["Metric"]["MetricName"].as_str().unwrap_or("expression");
            json!({
                "Id": query["Id"], "Label": label, "Timestamps": of(query, "at"), "Values": of(query, "value"), "StatusCode": status,
            })
        })
        .collect();
    let mut answer = json!({ "MetricDataResults": results, "Messages": [] });
    if let Some(next) = next {
        answer["NextToken"] = json!(next);
    }
    Ok(answer)
}

/// The series that a query asks for, and its period in seconds.
fn asked(query: &Value) -> Result<([String; 3], i64), Refusal> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let id = text(&query["Id"]);
    if !id.starts_with(|first: char| first.is_ascii_lowercase()) {
        let message = format!(
            "The value {id} for parameter MetricDataQueries.member.1.Id is not matching the expected pattern ^[a-z][a-zA-Z0-9_]*$"
        );
        return Err(Refusal::new("ValidationError", message));
    }
    let statistic = &query["MetricStat"];
    let period = if statistic.is_null() { &query["Period"] } else { &statistic["Period"] };
    let period = period.as_i64().filter(|period| *period > 0 && period % 60 == 0).ok_or_else(|| {
        Refusal::new(
            "ValidationError",
            "The parameter MetricDataQueries.member.1.MetricStat.Period must be a multiple of 60.",
        )
    })?;
    let key = match query["Expression"].as_str() {
        Some(expression) => [expression.to_owned(), String::new(), String::new()],
        None => [
            text(&statistic["Metric"]["Namespace"]),
            text(&statistic["Metric"]["MetricName"]),
            text(&statistic["Stat"]),
        ],
    };
    Ok((key, period))
}

/// The beginnings of the periods, which begin at whole ones, from the first that is not before `from`.
fn periods(from: Timestamp, to: Timestamp, period: i64) -> impl Iterator<Item = Timestamp> {
    let first = (from.as_second() + period - 1).div_euclid(period) * period;
    (0..).map_while(move |index| Timestamp::from_second(first + index * period).ok().filter(|begin| *begin < to))
}

/// What a period comes to by now: its minutes that have data and have begun. A minute that goes on counts for what it has.
fn value(levels: &Levels, statistic: &str, begin: Timestamp, period: i64, now: Timestamp) -> Option<f64> {
    let minutes = (0..period / 60).filter_map(|minute| {
        let at = Timestamp::from_second(begin.as_second() + minute * 60).ok().filter(|at| *at <= now)?;
        let (_, level) = levels.range(..=at).next_back()?;
        let is_summed = matches!(statistic, "Sum" | "SampleCount");
        let elapsed = if is_summed { ((now.as_second() - at.as_second()).min(60)) as i32 } else { 60 };
        level.map(|level| level * f64::from(elapsed) / 60.0)
    });
    let minutes: Vec<f64> = minutes.collect();
    let sum: f64 = minutes.iter().sum();
    match (statistic, minutes.len()) {
        (_, 0) => None,
        ("Sum" | "SampleCount", _) => Some(sum),
        (_, count) => Some(sum / f64::from(u32::try_from(count).ok()?)),
    }
}

fn moment(value: &Value) -> Result<Timestamp, Refusal> {
    let seconds =
        value.as_f64().ok_or_else(|| Refusal::new("ValidationError", "StartTime and EndTime are required"))?;
    #[expect(clippy::cast_possible_truncation, reason = "a moment of this century in whole seconds")]
    Timestamp::from_second(seconds as i64).map_err(|error| Refusal::new("ValidationError", error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_series_has_a_point_for_each_period_that_has_begun_and_has_data() {
        let world = World::new();
        let start = world.now();
        world.measure("AWS/ApplicationELB", "RequestCount", "Sum", Some(60.0), Duration::ZERO);
        world.measure("AWS/ApplicationELB", "RequestCount", "Sum", None, Duration::from_mins(3));
        tokio::time::advance(Duration::from_secs(150)).await;
        let ask = |period: i64| {
            let metric = json!({ "Namespace": "AWS/ApplicationELB", "MetricName": "RequestCount", "Dimensions": [] });
            let body = json!({
                "StartTime": start.as_second(), "EndTime": start.as_second() + 600,
                "MetricDataQueries": [{ "Id": "q0", "MetricStat": { "Metric": metric, "Period": period, "Stat": "Sum" } }],
            });
            world.with(|state| get_metric_data(state, &body))
        };
        let values = |period: i64| ask(period).unwrap()["MetricDataResults"][0]["Values"].clone();
        assert_eq!(values(60), json!([60.0, 60.0, 30.0]), "the third minute goes on");
        tokio::time::advance(Duration::from_secs(300)).await;
        assert_eq!((values(60), values(300)), (json!([60.0, 60.0, 60.0]), json!([180.0])));
        assert_eq!(ask(30).unwrap_err().code, "ValidationError");
    }
}
