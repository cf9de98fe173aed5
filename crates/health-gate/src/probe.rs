//! Asking a service what it has to say.

use std::time::Duration;

use bytes::Bytes;
use common::duration::human;
use common::http::{Http, Unanswered};
use http::{Request, Uri};
use tokio::time::Instant;

use crate::condition::{Answer, Condition};
use crate::tally::Sample;

/// A URL to ask, and what its answer has to be.
#[derive(Clone, Debug)]
pub(crate) struct Probe {
    pub(crate) url: Uri,
    pub(crate) conditions: Vec<Condition>,
    /// How long an answer may take.
    pub(crate) limit: Duration,
}

impl Probe {
    /// Asks once: a sample for each condition. A service that does not answer in time is bad, as it is for a load balancer;
    /// whether one that cannot be reached is, or the way to it, nobody can tell from here.
    pub(crate) async fn look(&self, http: &Http) -> Vec<Sample> {
        match self.ask(http).await {
            Ok(answer) => self.conditions.iter().map(|condition| sample(condition, &answer)).collect(),
            Err(Unanswered::TimedOut(limit)) => self.all(Sample::Bad(format!("no answer within {}", human(limit)))),
            Err(unanswered) => self.all(Sample::Unseen(format!("not reached: {unanswered}"))),
        }
    }

    async fn ask(&self, http: &Http) -> Result<Answer, Unanswered> {
        let request = Request::get(&self.url)
            .header("accept", "application/json, */*;q=0.5")
            // What a cache says is about the version before.
            .header("cache-control", "no-cache")
            .header("user-agent", "health-gate")
            .body(Bytes::new())
            .map_err(|error| Unanswered::Unsendable(error.to_string()))?;
        let began = Instant::now();
        let (parts, body) = http.send(request, self.limit).await?.into_parts();
        Ok(Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: String::from_utf8_lossy(&body).into_owned(),
            latency: began.elapsed(),
        })
    }

    fn all(&self, sample: Sample) -> Vec<Sample> {
        vec![sample; self.conditions.len()]
    }
}

fn sample(condition: &Condition, answer: &Answer) -> Sample {
    let evaluation = condition.evaluate(answer);
    if evaluation.holds { Sample::Good(evaluation.observed) } else { Sample::Bad(evaluation.observed) }
}
