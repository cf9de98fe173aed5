//! Prometheus as a source: one range query, one series.
//! <https://prometheus.io/docs/prometheus/latest/querying/api/#range-queries>

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use common::http::{Http, join};
use http::{Request, StatusCode, Uri};
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
    read(status, &json, step)
}

fn read(status: StatusCode, answer: &Value, step: i64) -> Result<Points, Sample> {
    if answer["status"] != "success" {
        let error = answer["error"].as_str().unwrap_or("no reason given");
        return Err(Sample::Unseen(format!("Prometheus answered {status}: {error}")));
    }
    let series = match (answer["data"]["resultType"].as_str(), answer["data"]["result"].as_array().map(Vec::as_slice)) {
        (Some("matrix"), Some([])) => return Ok(BTreeMap::new()),
        (Some("matrix"), Some([series])) => series,
        (Some("matrix"), Some(several)) => {
            let count = several.len();
            return Err(Sample::Unseen(format!("the query comes to {count} series: wrap it in `sum(…)` or the like")));
        }
        (shape, _) => {
            let shape = shape.unwrap_or("nothing");
            return Err(Sample::Unseen(format!("Prometheus answered {shape} where a matrix was asked for")));
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
    use common::runner::Environment;
    use serde_json::json;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// Asks a server on loopback that gives this answer to anybody; answers what the request was, too.
    async fn asked(status: &str, body: impl ToString) -> (Result<Points, Sample>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        // As behind a proxy: its API need not be at the root.
        let server = format!("http://{}/prometheus/", listener.local_addr().unwrap()).parse().unwrap();
        let body = body.to_string();
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (mut request, mut piece) = (String::new(), [0; 4096]);
            while !request.contains("step=") {
                let read = stream.read(&mut piece).await.unwrap();
                assert!(read > 0, "the request ends before its last parameter: {request}");
                request += std::str::from_utf8(&piece[..read]).unwrap();
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
            request
        };
        let http = Http::connect(&Environment::default()).unwrap();
        let second = |second| Timestamp::from_second(second).unwrap();
        let (window, period) = ((second(960), second(1200)), Duration::from_mins(1));
        tokio::join!(query_range(&http, &server, r#"rate(http_requests_total{job="auth"}[1m])"#, window, period), serve)
    }

    fn matrix(series: Value) -> Value {
        json!({ "status": "success", "data": { "resultType": "matrix", "result": series } })
    }

    #[tokio::test]
    async fn one_series_is_read_and_what_is_no_number_is_no_point() {
        let values = json!([[1020, "0.25"], [1080, "NaN"], [1140, "+Inf"], [1200.5, "3"]]);
        let (points, request) = asked("200 OK", matrix(json!([{ "metric": {}, "values": values }]))).await;
        let points: Vec<(i64, f64)> = points.unwrap().iter().map(|(at, value)| (at.as_second(), *value)).collect();
        assert_eq!(points, [(960, 0.25), (1140, 3.0)], "each at the beginning of its period");
        assert!(request.starts_with("POST /prometheus/api/v1/query_range HTTP/1.1\r\n"), "{request}");
        let form = "query=rate%28http_requests_total%7Bjob%3D%22auth%22%7D%5B1m%5D%29&start=1020&end=1200&step=60";
        assert!(request.ends_with(form), "{request}");
    }

    #[tokio::test]
    async fn what_is_not_one_series_is_said() {
        assert_eq!(asked("200 OK", matrix(json!([]))).await.0, Ok(Points::new()), "no data is no refusal");
        let error =
            |kind: &str, error: &str| json!({ "status": "error", "errorType": kind, "error": error }).to_string();
        let vector = json!({ "status": "success", "data": { "resultType": "vector", "result": [] } }).to_string();
        for (status, answer, told) in [
            (
                "200 OK",
                matrix(json!([{ "values": [] }, { "values": [] }])).to_string(),
                "the query comes to 2 series: wrap it in `sum(…)` or the like",
            ),
            ("200 OK", vector, "Prometheus answered vector where a matrix was asked for"),
            (
                "400 Bad Request",
                error("bad_data", "parse error: unexpected end of input"),
                "Prometheus answered 400 Bad Request: parse error: unexpected end of input",
            ),
            (
                "422 Unprocessable Entity",
                error("execution", "many-to-many matching not allowed"),
                "Prometheus answered 422 Unprocessable Entity: many-to-many matching not allowed",
            ),
            (
                "503 Service Unavailable",
                error("timeout", "query timed out in expression evaluation"),
                "Prometheus answered 503 Service Unavailable: query timed out in expression evaluation",
            ),
            (
                "503 Service Unavailable",
                "Service Unavailable".to_owned(),
                "Prometheus answered 503 Service Unavailable, and no JSON",
            ),
        ] {
            assert_eq!(asked(status, answer).await.0, Err(Sample::Unseen(told.into())));
        }
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_decides_nothing() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server: Uri = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        drop(listener);
        let http = Http::connect(&Environment::default()).unwrap();
        let window = (Timestamp::UNIX_EPOCH, Timestamp::from_second(60).unwrap());
        let answer = query_range(&http, &server, "up", window, Duration::from_mins(1)).await;
        assert!(
            matches!(&answer, Err(Sample::Unseen(told)) if told.starts_with("Prometheus is not reached: ")),
            "{answer:?}"
        );
    }
}
