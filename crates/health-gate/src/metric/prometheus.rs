//! Prometheus as a source: one range query, one series.
//! <https://prometheus.io/docs/prometheus/latest/querying/api/#range-queries>

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use common::http::{Http, join};
use http::{Request, Uri};
use jiff::Timestamp;
use serde_json::Value;

use super::judge::Points;
use crate::tally::Sample;

/// How long Prometheus may take to answer; its own limit for a query is two minutes, which is longer than anybody watches for.
const LIMIT: Duration = Duration::from_secs(10);

/// The series that a query comes to, one point a period.
pub(super) async fn query_range(
    http: &Http,
    server: &Uri,
    query: &str,
    (from, to): (Timestamp, Timestamp),
    period: Duration,
) -> Result<Points, Sample> {
    let step = i64::try_from(period.as_secs()).unwrap_or(i64::MAX);
    // A point of Prometheus's looks back from its moment, one of CloudWatch's ahead: that of a period is at its end.
    let [start, end, period] = [from.as_second() + step, to.as_second(), step].map(|seconds| seconds.to_string());
    let form = form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("query", query), ("start", start.as_str()), ("end", end.as_str()), ("step", period.as_str())])
        .finish();
    let request = Request::post(join(&server.to_string(), "api/v1/query_range"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Bytes::from(form))
        .map_err(|error| Sample::Unseen(format!("Prometheus cannot be asked: {error}")))?;
    let answer = http.send(request, LIMIT).await;
    let answer = answer.map_err(|unanswered| Sample::Unseen(format!("Prometheus is not reached: {unanswered}")))?;
    let status = answer.status();
    let json: Value = serde_json::from_slice(answer.body())
        .map_err(|_| Sample::Unseen(format!("Prometheus answered {status}, and no JSON")))?;
    read(&json, step)
}

fn read(answer: &Value, step: i64) -> Result<Points, Sample> {
    if answer["status"] != "success" {
        let error = answer["error"].as_str().unwrap_or("no reason given");
        return Err(Sample::Unseen(format!("Prometheus refused the query: {error}")));
    }
    let series = match answer["data"]["result"].as_array().map(Vec::as_slice) {
        Some([]) | None => return Ok(BTreeMap::new()),
        Some([series]) => series,
        Some(several) => {
            let count = several.len();
            return Err(Sample::Unseen(format!("the query comes to {count} series: wrap it in `sum(…)` or the like")));
        }
    };
    let points = series["values"].as_array().into_iter().flatten().filter_map(|point| {
        #[expect(clippy::cast_possible_truncation, reason = "a moment of this century in whole seconds")]
        let at = point[0].as_f64()? as i64 - step;
        let value: f64 = point[1].as_str()?.parse().ok()?;
        // 0/0 is no requests: nothing was measured.
        value.is_finite().then_some((Timestamp::from_second(at).ok()?, value))
    });
    Ok(points.collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn one_series_is_read_and_what_is_no_number_is_no_point() {
        let series = json!({ "metric": {}, "values": [[1060, "0.25"], [1120, "NaN"], [1180, "+Inf"], [1240.5, "3"]] });
        let answer = json!({ "status": "success", "data": { "resultType": "matrix", "result": [series] } });
        let points = read(&answer, 60).unwrap();
        let points: Vec<(i64, f64)> = points.iter().map(|(at, value)| (at.as_second(), *value)).collect();
        assert_eq!(points, [(1000, 0.25), (1180, 3.0)]);
    }

    #[test]
    fn what_is_not_one_series_is_said() {
        let of = |result: Value| read(&json!({ "status": "success", "data": { "result": result } }), 60);
        assert_eq!(of(json!([])), Ok(Points::new()));
        let two = "the query comes to 2 series: wrap it in `sum(…)` or the like";
        assert_eq!(of(json!([{}, {}])), Err(Sample::Unseen(two.into())));
        let refused =
            json!({ "status": "error", "errorType": "bad_data", "error": "parse error: unexpected end of input" });
        let told = "Prometheus refused the query: parse error: unexpected end of input";
        assert_eq!(read(&refused, 60), Err(Sample::Unseen(told.into())));
    }
}
