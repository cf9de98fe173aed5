//! Looking, again and again, at several services side by side. Total: whatever happens on the way is an [`Outcome`].

use std::time::Duration;

use common::aws::Aws;
use common::edges::Edges;
use common::failure::Failure;
use common::poll::{Ended, Judged, Pace, poll};
use futures_util::future::{join, join_all};
use tokio::time::Instant;

use crate::config::Config;
use crate::plan::{Check, Gate, Plan};
use crate::tally::{Sample, Tally, Verdict, judge_all};

/// What came of watching.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) gates: Vec<GateOutcome>,
    pub(crate) took: Duration,
}

/// What came of watching one service.
#[derive(Debug)]
pub(crate) struct GateOutcome {
    pub(crate) gate: Gate,
    /// One for each check.
    pub(crate) tallies: Vec<Tally>,
    pub(crate) verdict: Verdict,
    pub(crate) is_cancelled: bool,
}

impl GateOutcome {
    /// Every check, what was seen of it, and what that makes of it.
    pub(crate) fn checks(&self) -> impl Iterator<Item = (&Check, &Tally, Verdict)> {
        let checks = self.gate.checks.iter().zip(&self.tallies);
        checks.map(|(check, tally)| (check, tally, tally.conclude(self.gate.policy)))
    }
}

/// Watches all services of a plan until each is decided, the time is up, or the run is cancelled.
pub(crate) async fn watch(config: &Config, plan: Plan, aws: Option<&Aws>, edges: &Edges) -> Outcome {
    let began = Instant::now();
    let gates = plan.gates.into_iter().map(|gate| watch_one(config.timeout, gate, aws, edges));
    let gates = join_all(gates).await;
    Outcome { gates, took: began.elapsed() }
}

async fn watch_one(limit: Duration, gate: Gate, aws: Option<&Aws>, edges: &Edges) -> GateOutcome {
    let mut tallies = vec![Tally::default(); gate.checks.len()];
    let mut said = String::new();
    let look = async || {
        for (tally, sample) in tallies.iter_mut().zip(look(&gate, aws, edges).await) {
            tally.add(sample);
        }
        let now = progress(&gate, &tallies);
        if now != said {
            edges.runner.say(format!("{}: {now}", gate.name));
            said = now;
        }
        Ok::<_, Failure>(judge_all(&tallies, gate.policy))
    };
    // A run that is cancelled by now has seen nothing.
    let ended = match edges.stop.is_raised() {
        true => Ok(Ended::Cancelled),
        false => poll(Pace { every: gate.interval, limit, patience: 0 }, &edges.stop, look).await,
    };
    let concluded = || tallies.iter().map(|tally| tally.conclude(gate.policy)).max().unwrap_or(Verdict::NoData);
    let (verdict, is_cancelled) = match ended {
        Ok(Ended::Done(verdict)) => (verdict, false),
        Ok(Ended::Cancelled) => (concluded().max(Verdict::NoData), true),
        // Looks never fail: what could not be seen is a sample too.
        Ok(Ended::TimedOut) | Err(_) => (concluded(), false),
    };
    edges.runner.say(format!("{}: {}", gate.name, verdict.result()));
    GateOutcome { gate, tallies, verdict, is_cancelled }
}

/// One look at everything: a sample for each check, in their order.
async fn look(gate: &Gate, aws: Option<&Aws>, edges: &Edges) -> Vec<Sample> {
    let state = async {
        match (&gate.state, aws) {
            (Some(state), Some(aws)) => state.look(aws).await,
            _ => Vec::new(),
        }
    };
    let answers = async {
        match &gate.probe {
            Some(probe) => probe.look(&edges.http).await,
            None => Vec::new(),
        }
    };
    let (mut samples, answers) = join(state, answers).await;
    // While a deployment goes on, the version before answers too: that is no fault of the new one.
    let is_on_its_way = samples.iter().any(|sample| matches!(sample, Sample::Unsettled(_)));
    samples.extend(answers.into_iter().map(|answer| if is_on_its_way { answer.or_unsettled() } else { answer }));
    samples
}

/// One line on how far it is: what does not hold yet, or how often all of it held.
fn progress(gate: &Gate, tallies: &[Tally]) -> String {
    let open: Vec<String> = gate
        .checks
        .iter()
        .zip(tallies)
        .filter(|(_, tally)| !tally.is_good())
        .map(|(Check { subject, expected, .. }, tally)| format!("{subject}: {}, expected {expected}", tally.observed))
        .collect();
    let least = tallies.iter().filter(|tally| tally.judge(gate.policy) == Judged::Wait).count();
    match (open.as_slice(), least) {
        ([], 0) => "all checks hold".to_owned(),
        ([], _) => "all checks hold, looking again".to_owned(),
        (open, _) => open.join("; "),
    }
}
