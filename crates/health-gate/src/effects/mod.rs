//! Looking, again and again, at several services side by side, and acting on the verdict where that was asked for. Total: whatever
//! happens on the way is an [`Outcome`].

mod act;
mod announce;
mod look;

use std::time::Duration;

use common::aws::Aws;
use common::duration::human;
use common::edges::Edges;
use common::failure::Failure;
use common::poll::{Ended, Judged, Pace, poll};
use futures_util::future::join_all;
use tokio::time::Instant;

use self::look::Watch;
use crate::check::Check;
use crate::config::Config;
use crate::pause::{Answered, Pause, Reply};
use crate::plan::{Gate, Plan};
use crate::smoke::Smoked;
use crate::tally::{Tally, Verdict, conclude_all, judge_all};

pub(crate) use self::act::RolledBack;

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
    /// What was watched over time.
    pub(crate) curves: Vec<Curve>,
    pub(crate) smoked: Option<Smoked>,
    pub(crate) verdict: Verdict,
    pub(crate) is_cancelled: bool,
    /// The hook that the deployment waited at when it was looked at last.
    pub(crate) pause: Option<Pause>,
    pub(crate) answered: Answered,
    pub(crate) rolled_back: RolledBack,
}

/// Values over time.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Curve {
    pub(crate) name: String,
    pub(crate) unit: &'static str,
    /// Oldest first.
    pub(crate) values: Vec<f64>,
    /// What was usual before the deployment.
    pub(crate) before: Option<f64>,
}

impl GateOutcome {
    /// Every check, what was seen of it, and what that makes of it.
    pub(crate) fn checks(&self) -> impl Iterator<Item = (&Check, &Tally, Verdict)> {
        let checks = self.gate.checks.iter().zip(&self.tallies);
        checks.map(|(check, tally)| (check, tally, tally.conclude(check.policy)))
    }
}

/// Watches all services of a plan until each is decided, the time is up, or the run is cancelled.
pub(crate) async fn watch(config: &Config, plan: Plan, aws: Option<&Aws>, edges: &Edges) -> Outcome {
    let began = Instant::now();
    let gates = plan.gates.into_iter().map(|gate| watch_one(config, gate, aws, edges));
    let gates = join_all(gates).await;
    announce::announce(config, &gates, edges).await;
    Outcome { gates, took: began.elapsed() }
}

async fn watch_one(config: &Config, gate: Gate, aws: Option<&Aws>, edges: &Edges) -> GateOutcome {
    let began = Instant::now();
    let mut watch = Watch::of(&gate);
    let mut bake = Bake { time: gate.bake, since: None };
    let mut said = String::new();
    let look = async || {
        // Nobody waits for the end of a look once the run is cancelled.
        let Some(()) = edges.stop.unless_raised(watch.look(&gate, aws, edges)).await else { return Ok(Judged::Wait) };
        let judged = bake.hold(judge_all(gate.checks.iter().zip(&watch.tallies)), Instant::now());
        let now = progress(&gate, &watch.tallies, &bake);
        if now != said {
            edges.runner.say(format!("{}: {now}", gate.name));
            said = now;
        }
        Ok::<_, Failure>(judged)
    };
    // A run that is cancelled by now has seen nothing.
    let ended = match edges.stop.is_raised() {
        true => Ok(Ended::Cancelled),
        false => poll(Pace { every: gate.interval, limit: config.timeout, patience: 0 }, &edges.stop, look).await,
    };
    let Watch { tallies, mut curves, pause, .. } = watch;
    let concluded = || conclude_all(gate.checks.iter().zip(&tallies));
    // A run that is cancelled during its last look acts on nothing.
    let is_cut_off = edges.stop.is_raised() && acts(config, pause.as_ref());
    let (mut verdict, mut is_cancelled) = match ended {
        Ok(Ended::Done(verdict)) if !is_cut_off => (verdict, false),
        Ok(Ended::Done(_) | Ended::Cancelled) => (concluded().max(Verdict::NoData), true),
        // Looks never fail: what could not be seen is a sample too. What has not held for long enough has not held.
        Ok(Ended::TimedOut) | Err(_) => (concluded().max(bake.verdict_in_time()), false),
    };
    let smoked = match (&gate.smoke, &gate.state, aws) {
        (Some(smoke), Some(state), Some(aws)) if verdict <= Verdict::Warn => {
            let limit = config.timeout.saturating_sub(began.elapsed());
            Some(smoke.run(&state.service, limit, aws, edges).await)
        }
        _ => None,
    };
    if let Some(smoked) = &smoked {
        verdict = verdict.max(smoked.verdict);
        is_cancelled |= edges.stop.is_raised();
    }
    edges.runner.say(format!("{}: {}", gate.name, verdict.result()));
    let answered = match (aws, &pause, Reply::to(verdict).filter(|_| !is_cancelled)) {
        (Some(aws), Some(pause), Some(reply)) => act::answer(&gate, pause, reply, aws, edges).await,
        _ => Answered::Nothing,
    };
    let is_ours_to_take_back = config.roll_back && verdict == Verdict::Fail && !is_cancelled;
    let rolled_back = match (aws, &answered) {
        (Some(aws), Answered::Nothing) if is_ours_to_take_back => act::roll_back(&gate, aws, edges).await,
        _ => RolledBack::Nothing,
    };
    if !is_cancelled {
        look::compare(&gate, &mut curves, aws, edges).await;
    }
    GateOutcome { gate, tallies, curves, smoked, verdict, is_cancelled, pause, answered, rolled_back }
}

fn acts(config: &Config, pause: Option<&Pause>) -> bool {
    pause.is_some() || config.roll_back
}

/// How long everything has to hold once it does.
#[derive(Clone, Copy, Debug)]
struct Bake {
    time: Duration,
    /// When everything held for the first time.
    since: Option<Instant>,
}

impl Bake {
    /// Lets a pass wait until its time has come. A failure does not wait.
    fn hold(&mut self, judged: Judged<Verdict>, now: Instant) -> Judged<Verdict> {
        match judged {
            Judged::Done(Verdict::Pass | Verdict::Warn) if now - *self.since.get_or_insert(now) < self.time => {
                Judged::Wait
            }
            judged => judged,
        }
    }

    /// The best that can be said when the time of the whole watch is up.
    fn verdict_in_time(&self) -> Verdict {
        if self.time.is_zero() { Verdict::Pass } else { Verdict::NoData }
    }
}

/// One line on how far it is: what does not hold yet, or how often all of it held.
fn progress(gate: &Gate, tallies: &[Tally], bake: &Bake) -> String {
    let open: Vec<String> = gate
        .checks
        .iter()
        .zip(tallies)
        .filter(|(_, tally)| !tally.is_good())
        .map(|(Check { subject, expected, .. }, tally)| format!("{subject}: {}, expected {expected}", tally.observed))
        .collect();
    let least =
        gate.checks.iter().zip(tallies).filter(|(check, tally)| tally.judge(check.policy) == Judged::Wait).count();
    match (open.as_slice(), least, bake.since) {
        ([], 0, Some(_)) if !bake.time.is_zero() => format!("all checks hold, and have to for {}", human(bake.time)),
        ([], 0, _) => "all checks hold".to_owned(),
        ([], _, _) => "all checks hold, looking again".to_owned(),
        (open, _, _) => open.join("; "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_waits_for_the_end_of_the_bake_and_a_failure_does_not() {
        let start = Instant::now();
        let mut bake = Bake { time: Duration::from_secs(60), since: None };
        let minute = Duration::from_secs(60);
        assert_eq!(bake.hold(Judged::Wait, start), Judged::Wait);
        assert_eq!(bake.hold(Judged::Done(Verdict::Pass), start + minute), Judged::Wait);
        assert_eq!(bake.hold(Judged::Done(Verdict::Fail), start + minute), Judged::Done(Verdict::Fail));
        assert_eq!(bake.hold(Judged::Done(Verdict::Warn), start + 2 * minute), Judged::Done(Verdict::Warn));
    }
}
