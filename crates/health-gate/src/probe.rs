//! Asking a service what it has to say.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use common::delivery::Addresses;
use common::duration::human;
use common::http::{Exchange, Http, Unanswered};
use futures_util::future::join_all;
use http::{HeaderMap, Method, Request, Uri};
use tokio::time::Instant;

use crate::condition::{Answer, Condition, Subject};
use crate::tally::Sample;

/// A URL to ask, and what its answer has to be.
#[derive(Clone, Debug)]
pub(crate) struct Probe {
    pub(crate) url: Uri,
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) conditions: Vec<Condition>,
    /// How long an answer may take.
    pub(crate) limit: Duration,
    /// Whom to ask where the host has several addresses.
    pub(crate) addresses: Addresses,
    /// How many instances have to have answered, and what tells them apart.
    pub(crate) distinct: Option<Distinct>,
    /// Whether it is one of several URLs, and its checks say which.
    pub(crate) is_smoke: bool,
}

/// How many instances have to have answered with the right version, and what tells one from another.
#[derive(Clone, Debug)]
pub(crate) struct Distinct {
    pub(crate) count: usize,
    pub(crate) by: Subject,
}

/// What one look showed.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    /// A sample for each condition.
    pub(crate) samples: Vec<Sample>,
    /// How long the slowest answer took.
    pub(crate) latency: Option<Duration>,
    /// Which instances answered, and whether all was as expected of them.
    pub(crate) instances: Vec<(String, bool)>,
}

impl Probe {
    /// Asks once, or each address once: a sample for each condition. A service that does not answer in time is bad, as it is
    /// for a load balancer, and so is one whose certificate proves nothing; whether one that cannot be reached is, or the way
    /// to it, nobody can tell from here.
    pub(crate) async fn look(&self, http: &Http) -> Asked {
        let addresses = match self.addresses {
            Addresses::One => Vec::new(),
            Addresses::All => match http.addresses(&self.url, self.limit).await {
                Ok(addresses) => addresses,
                Err(unanswered) => return self.all(&unanswered_sample(&unanswered)),
            },
        };
        if addresses.len() < 2 {
            return self.judge(self.ask(http, addresses.first().copied()).await);
        }
        let asked = addresses.iter().map(|address| async {
            let asked = self.judge(self.ask(http, Some(*address)).await);
            (*address, asked)
        });
        self.of_all(join_all(asked).await)
    }

    async fn ask(&self, http: &Http, address: Option<IpAddr>) -> Result<Answer, Unanswered> {
        let mut request = Request::builder().method(&self.method).uri(&self.url);
        if let Some(headers) = request.headers_mut() {
            let usual = [
                ("accept", "application/json, */*;q=0.5"),
                // What a cache says is about the version before.
                ("cache-control", "no-cache"),
                ("user-agent", "health-gate"),
            ];
            for (name, value) in usual {
                headers.insert(name, http::HeaderValue::from_static(value));
            }
            headers.extend(self.headers.clone());
        }
        let request = request.body(self.body.clone()).map_err(|error| Unanswered::Unsendable(error.to_string()))?;
        let began = Instant::now();
        let probe = common::http::Probe { request, address, limit: self.limit };
        let Exchange { response, certificate_expires, .. } = http.probe(probe).await?;
        let (latency, now) = (began.elapsed(), http.now());
        let left = certificate_expires.map(|end| Duration::try_from(end.duration_since(now)).unwrap_or_default());
        let (parts, body) = response.into_parts();
        Ok(Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: String::from_utf8_lossy(&body).into_owned(),
            latency,
            certificate: left,
        })
    }

    fn judge(&self, answer: Result<Answer, Unanswered>) -> Asked {
        let answer = match answer {
            Ok(answer) => answer,
            Err(unanswered) => return self.all(&unanswered_sample(&unanswered)),
        };
        let samples: Vec<Sample> = self.conditions.iter().map(|condition| sample(condition, &answer)).collect();
        let is_good = samples.iter().all(|sample| matches!(sample, Sample::Good(_)));
        let instance = self.distinct.as_ref().and_then(|distinct| distinct.by.of(&answer).ok());
        Asked {
            samples,
            latency: Some(answer.latency),
            instances: instance.map(|instance| (instance.to_string(), is_good)).into_iter().collect(),
        }
    }

    /// What all addresses answered: as bad as the worst of them.
    fn of_all(&self, asked: Vec<(IpAddr, Asked)>) -> Asked {
        let count = asked.len();
        let worst = |index: usize| {
            let samples = asked.iter().filter_map(|(address, asked)| Some((address, asked.samples.get(index)?)));
            let worst = samples.max_by_key(|(_, sample)| sample.gravity());
            worst.map(|(address, sample)| match sample {
                Sample::Good(observed) => Sample::Good(format!("{observed} at {count} addresses")),
                other => other.clone().map(|observed| format!("{observed} at {address}, one of {count} addresses")),
            })
        };
        let samples = (0..self.conditions.len()).filter_map(worst).collect();
        let latency = asked.iter().filter_map(|(_, asked)| asked.latency).max();
        Asked { samples, latency, instances: asked.into_iter().flat_map(|(_, asked)| asked.instances).collect() }
    }

    fn all(&self, sample: &Sample) -> Asked {
        Asked { samples: vec![sample.clone(); self.conditions.len()], ..Asked::default() }
    }

    /// What the checks of this URL are called: where there are several, each says which.
    pub(crate) fn subject(&self, condition: &Condition) -> String {
        match self.is_smoke {
            true => format!("{} of {}", condition.subject(), self.url),
            false => condition.subject(),
        }
    }
}

impl fmt::Display for Probe {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.method != Method::GET {
            write!(formatter, "{} ", self.method)?;
        }
        write!(formatter, "{}", self.url)?;
        match self.addresses {
            Addresses::One => Ok(()),
            Addresses::All => formatter.write_str(", at each of its addresses"),
        }
    }
}

fn unanswered_sample(unanswered: &Unanswered) -> Sample {
    match unanswered {
        Unanswered::TimedOut(limit) => Sample::Bad(format!("no answer within {}", human(*limit))),
        Unanswered::Distrusted(_) => Sample::Bad(unanswered.to_string()),
        Unanswered::Unsendable(_) | Unanswered::Disconnected(_) => Sample::Unseen(format!("not reached: {unanswered}")),
    }
}

fn sample(condition: &Condition, answer: &Answer) -> Sample {
    let evaluation = condition.evaluate(answer);
    if evaluation.holds { Sample::Good(evaluation.observed) } else { Sample::Bad(evaluation.observed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe() -> Probe {
        Probe {
            url: Uri::from_static("https://shop.example.com/health"),
            method: Method::GET,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            conditions: vec!["status == 200".parse().unwrap(), "json(/version) == 'new'".parse().unwrap()],
            limit: Duration::from_secs(5),
            addresses: Addresses::All,
            distinct: Some(Distinct { count: 3, by: "json(/task)".parse().unwrap() }),
            is_smoke: false,
        }
    }

    /// What each address answered: the status, the version and the task, in so many milliseconds; `None` is no answer in time.
    fn asked(answers: [Option<(u16, &str, &str, u64)>; 3]) -> Asked {
        let probe = probe();
        let answers = answers.map(|answer| {
            let (status, version, task, milliseconds) = answer.ok_or(Unanswered::TimedOut(probe.limit))?;
            Ok(Answer {
                status,
                headers: HeaderMap::new(),
                body: format!(r#"{{"version": "{version}", "task": "{task}"}}"#),
                latency: Duration::from_millis(milliseconds),
                certificate: None,
            })
        });
        let addresses = (1..).map(|last| IpAddr::from([192, 0, 2, last]));
        probe.of_all(addresses.zip(answers.map(|answer| probe.judge(answer))).collect())
    }

    #[test]
    fn where_all_addresses_are_asked_the_worst_of_them_decides() {
        let good = |task| Some((200, "new", task, 20));
        let all = asked([good("a"), Some((200, "new", "b", 70)), good("c")]);
        let at_all = |observed: &str| Sample::Good(format!("{observed} at 3 addresses"));
        assert_eq!(all.samples, [at_all("200"), at_all("'new'")]);
        assert_eq!(all.latency, Some(Duration::from_millis(70)), "the slowest");
        assert_eq!(all.instances, ["a", "b", "c"].map(|task| (format!("'{task}'"), true)));

        let old = asked([good("a"), Some((200, "old", "b", 20)), good("c")]);
        let at = |address: &str, observed: &str| Sample::Bad(format!("{observed} at {address}, one of 3 addresses"));
        assert_eq!(old.samples, [at_all("200"), at("192.0.2.2", "'old'")]);
        assert_eq!(old.instances[1], ("'b'".to_owned(), false));

        let silent = asked([good("a"), good("b"), None]);
        assert_eq!(
            silent.samples,
            [at("192.0.2.3", "no answer within 5.0 s"), at("192.0.2.3", "no answer within 5.0 s")]
        );
        assert_eq!(silent.instances.len(), 2);
    }
}
