//! Doing it: register, then update and watch, wave by wave; and back again, all of it, when one of them fails. Total: whatever
//! happens on the way is an [`Outcome`], never a `?`.

mod flight;
mod record;
mod revert;
mod rotation;
mod start;
mod watch;

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use common::aws::Aws;
use common::edges::Edges;
use common::failure::Failure;
use common::lock::Lock;
use common::poll::within;
use tokio::time::Instant;

pub(crate) use flight::{Back, DEPLOYED, Fate, Flight};

use crate::config::Config;
use crate::facts::Facts;
use crate::inputs::OnCancel;
use crate::plan::Plan;
use record::Record;
use rotation::Rotation;
use start::Bucket;

/// The runner kills a cancelled step after ten seconds, and this one is gone after five: half of them for the request that
/// matters, the rest for writing down how it ended and for giving the lock back.
const LAST_CALL: Duration = Duration::from_millis(2500);
pub(crate) const LAST_WORD: Duration = Duration::from_millis(1200);

/// What came of a plan.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) flights: Vec<Flight>,
    /// What it was all for, where that is not the event's commit.
    pub(crate) goal: Option<String>,
    /// The number of the release in the ledger; `None` where there is no ledger.
    pub(crate) release: Option<u64>,
    pub(crate) took: Duration,
}

/// What every service of a release shares.
pub(crate) struct Release<'a> {
    config: &'a Config,
    aws: &'a Aws,
    edges: &'a Edges,
    lock: Option<&'a Lock>,
    registrations: Bucket,
    /// AWS's records of deployments may not be read: nobody asks for them a second time.
    goes_without_records: AtomicBool,
    began: Instant,
}

/// Applies a plan. A wave begins when every service of the waves before runs what it should; when one fails, all that this
/// release updated goes back, the last wave first.
pub(crate) async fn apply(
    config: &Config,
    facts: &Facts,
    plan: Plan,
    lock: Option<&Lock>,
    aws: &Aws,
    edges: &Edges,
) -> Outcome {
    let began = Instant::now();
    let (registrations, goes_without_records) = (Bucket::full(), AtomicBool::new(false));
    let release = Release { config, aws, edges, lock, registrations, goes_without_records, began };
    let mut record = Record::begin(config, facts, &plan, aws, edges).await;
    let mut rotation = Rotation::Nothing;
    let (waves, goal) = (plan.waves.len(), plan.goal);
    let flights = plan.waves.into_iter().enumerate();
    let mut flights: Vec<Flight> =
        flights.flat_map(|(wave, changes)| changes.into_iter().map(move |change| Flight::of(change, wave))).collect();
    match Rotation::write(config, facts, aws, edges).await {
        Ok(written) => rotation = written,
        Err(failure) => flights.iter_mut().take(1).for_each(|flight| flight.fate = Fate::Broken(failure.again())),
    }
    if flights.iter().all(|flight| !flight.holds_up()) {
        release.register_all(&mut flights).await;
    }
    for wave in 0..waves {
        if edges.stop.is_raised() || flights.iter().any(Flight::holds_up) {
            break;
        }
        release.fly(wave, &mut flights, &mut record).await;
    }
    release.settle(&mut flights, rotation).await;
    let number = record.release();
    match edges.stop.is_raised() {
        // What is not written down in time is `post-entrypoint`'s to write.
        true => drop(within(LAST_WORD, record.end(&flights)).await),
        false => record.end(&flights).await,
    }
    Outcome { flights, goal, release: number, took: began.elapsed() }
}

impl Release<'_> {
    /// Takes one wave to its end, or to the moment in which it is certain to fail.
    async fn fly(&self, wave: usize, flights: &mut [Flight], record: &mut Record<'_>) {
        if let Err(failure) = self.confirm_lock().await {
            let first = flights.iter_mut().find(|flight| flight.wave == wave);
            first.into_iter().for_each(|flight| flight.fate = Fate::Broken(failure.again()));
            return;
        }
        let in_wave: Vec<&mut Flight> = flights.iter_mut().filter(|flight| flight.wave == wave).collect();
        self.start_all(in_wave, record).await;
        if !flights.iter().any(|flight| matches!(flight.fate, Fate::Broken(_))) {
            self.watch(flights).await;
        }
    }

    /// Whatever did not go well is put back, and watched to its end.
    async fn settle(&self, flights: &mut [Flight], rotation: Rotation) {
        let is_cancelled = self.edges.stop.is_raised();
        let is_over = flights.iter().all(|flight| matches!(flight.fate, Fate::Unchanged | Fate::Deployed));
        let has_failed = flights.iter().any(|flight| flight.holds_up() && !matches!(flight.fate, Fate::Paused { .. }));
        let goes_back = match (is_cancelled && !is_over, self.config.policy.on_cancel) {
            (true, on_cancel) => on_cancel == OnCancel::Rollback,
            (false, _) => has_failed,
        };
        if goes_back && self.config.policy.goes_back {
            // First of all: whatever ECS starts on the way back is given the secret that worked.
            rotation.restore(self.aws, self.edges).await;
            match is_cancelled {
                true => self.recall(flights).await,
                false => self.go_back(flights).await,
            }
        }
        let now = self.began.elapsed();
        for flight in flights.iter_mut().filter(|flight| flight.is_touched() && flight.ended.is_zero()) {
            flight.ended = now;
        }
    }

    /// A lock that was lost has to be noticed before the next write.
    async fn confirm_lock(&self) -> Result<(), Failure> {
        let Some(lock) = self.lock else { return Ok(()) };
        match lock.confirm().await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Failure::refused("another run took over the lock of this environment")
                .hint("look at the run that holds it: it decides what is deployed now")),
            // That it cannot be read does not mean that it is lost: renewals are checked as well.
            Err(failure) => {
                self.edges.runner.say(format!("the lock cannot be looked at: {failure}"));
                Ok(())
            }
        }
    }
}
