//! Looking, again and again, at several services side by side, and answering the hooks that wait for the verdict. Total:
//! whatever happens on the way is an [`Outcome`].

use std::time::Duration;

use common::aws::Aws;
use common::edges::Edges;
use common::failure::Failure;
use common::poll::{Ended, Judged, Pace, poll};
use futures_util::future::{join, join_all};
use tokio::time::Instant;

use crate::config::Config;
use crate::pause::{Answered, Pause, Reply};
use crate::plan::{Check, Gate, Plan};
use crate::state::Look;
use crate::tally::{Sample, Tally, Verdict, judge_all};

/// How long an answer to a hook is repeated that ECS throttles, or that does not reach it.
const PATIENCE: Pace = Pace { every: Duration::from_secs(2), limit: Duration::from_secs(90), patience: 45 };

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
    /// The hook that the deployment waited at when it was looked at last.
    pub(crate) pause: Option<Pause>,
    pub(crate) answered: Answered,
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
    let (mut pause, mut said) = (None, String::new());
    let look = async || {
        let Look { samples, pause: seen } = look(&gate, aws, edges).await;
        if hook(&seen) != hook(&pause) {
            // What was seen on the way says nothing about the place where the deployment waits now.
            tallies.fill(Tally::default());
        }
        pause = seen;
        for (tally, sample) in tallies.iter_mut().zip(samples) {
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
    // A run that is cancelled during its last look answers no hook.
    let is_cut_off = pause.is_some() && edges.stop.is_raised();
    let (verdict, is_cancelled) = match ended {
        Ok(Ended::Done(verdict)) if !is_cut_off => (verdict, false),
        Ok(Ended::Done(_) | Ended::Cancelled) => (concluded().max(Verdict::NoData), true),
        // Looks never fail: what could not be seen is a sample too.
        Ok(Ended::TimedOut) | Err(_) => (concluded(), false),
    };
    edges.runner.say(format!("{}: {}", gate.name, verdict.result()));
    let answered = match (aws, &pause, Reply::to(verdict).filter(|_| !is_cancelled)) {
        (Some(aws), Some(pause), Some(reply)) => answer(&gate, pause, reply, aws, edges).await,
        _ => Answered::Nothing,
    };
    GateOutcome { gate, tallies, verdict, is_cancelled, pause, answered }
}

fn hook(pause: &Option<Pause>) -> Option<&str> {
    pause.as_ref().map(|pause| pause.hook.id.as_str())
}

/// One look at everything: a sample for each check, in their order.
async fn look(gate: &Gate, aws: Option<&Aws>, edges: &Edges) -> Look {
    let state = async {
        match (&gate.state, aws) {
            (Some(state), Some(aws)) => state.look(aws).await,
            _ => Look::default(),
        }
    };
    let answers = async {
        match &gate.probe {
            Some(probe) => probe.look(&edges.http).await,
            None => Vec::new(),
        }
    };
    let (Look { mut samples, pause }, answers) = join(state, answers).await;
    // While a deployment goes on, the version before answers too: that is no fault of the new one.
    let is_on_its_way = samples.iter().any(|sample| matches!(sample, Sample::Unsettled(_)));
    // Where it waits with a part of the traffic, the version before answers the rest.
    let mut identities = gate.checks.iter().skip(samples.len()).zip(&answers).filter(|(check, _)| check.is_identity);
    let is_of_another =
        pause.as_ref().is_some_and(Pause::is_shared) && identities.any(|(_, answer)| matches!(answer, Sample::Bad(_)));
    samples.extend(answers.into_iter().map(|answer| match () {
        () if is_of_another => Sample::OfAnother(format!("{}, of the version before", answer.observed())),
        () if is_on_its_way => answer.or_unsettled(),
        () => answer,
    }));
    Look { samples, pause }
}

/// Answers a hook: one call, repeated while ECS throttles or cannot be reached.
async fn answer(gate: &Gate, pause: &Pause, reply: Reply, aws: &Aws, edges: &Edges) -> Answered {
    let (deployment, hook) = (&pause.deployment, &pause.hook.id);
    let mut is_repeated = false;
    let call = async || {
        // One whose answer was lost may have been carried out: it would be refused now.
        if std::mem::replace(&mut is_repeated, true) {
            let records = aws.ecs.describe_service_deployments(std::slice::from_ref(deployment)).await?;
            if records.iter().any(|record| pause.is_answered(reply, record)) {
                return Ok(Judged::Done(()));
            }
        }
        aws.ecs.continue_service_deployment(deployment, hook, reply == Reply::Continue).await.map(Judged::Done)
    };
    let failure = match poll(PATIENCE, &edges.stop, call).await {
        Ok(Ended::Done(())) => {
            edges.runner.say(format!("{}: hook {hook} is answered with {reply}", gate.name));
            return Answered::Given(reply);
        }
        Ok(Ended::Cancelled) => Failure::cancelled("the run was cancelled before ECS took the answer"),
        Ok(Ended::TimedOut) => Failure::remote("ECS did not take the answer in time"),
        Err(failure) => failure,
    };
    edges.runner.say(format!("{}: hook {hook} is not answered with {reply}: {:#}", gate.name, failure.error));
    Answered::Failed(reply, failure)
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
