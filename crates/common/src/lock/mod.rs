//! The lock of an environment: one delivery at a time, across workflows and repositories, as one parameter.
//!
//! It is made with `Overwrite=false`, which is atomic, renewed while the work goes on, and deleted at its end. One that its
//! holder left behind runs out, and is taken over; who holds it is told by its versions in order (`log.rs`), never by who
//! wrote last. Whoever lost it notices before the next change ([`Lock::confirm`]).

mod log;
mod take;

use std::fmt;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use self::log::{Log, Standing, Word};
use crate::aws::Ssm;
use crate::edges::Edges;
use crate::failure::Failure;
use crate::names::{DeliveryName, EnvironmentName};
use crate::poll::pause;
use crate::runner::{Environment, unique};

/// How long a lock lasts without being renewed: what a run that was killed keeps others waiting.
pub const LASTS: Duration = Duration::from_secs(120);

/// How often it is renewed: three times may fail.
const RENEWAL: Duration = Duration::from_secs(30);

/// Who wants which lock. Kept as the action's state before anything is written, it lets the post step release the lock.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Claim {
    /// The lock's parameter.
    pub path: String,
    /// Who wants it.
    pub holder: Holder,
}

/// Who holds a lock.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Holder {
    /// A word that no two runs share.
    #[serde(rename = "holder")]
    pub id: String,
    /// The page of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// Who started the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// A lock as others see it. Reads as ``octocat (<https://…>) since 09:00:12 UTC``.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Who holds it.
    pub holder: Holder,
    /// Since when, by AWS's clock, as far back as its versions are kept.
    pub since: Option<Timestamp>,
    /// When it was renewed last, by AWS's clock.
    pub renewed: Option<Timestamp>,
}

/// What to do about a lock that another holds. One that ran out is always taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnHeld {
    /// Wait until it is released, for so long.
    Wait(Duration),
    /// Leave it.
    Refuse,
    /// Take it: the holder notices before its next change.
    TakeOver,
}

/// What became of taking a lock.
#[derive(Debug)]
pub enum Taking {
    /// It was free.
    Taken(Lock),
    /// It was another's, and ran out or was to be taken over.
    TakenOver {
        /// The lock.
        lock: Lock,
        /// Whose it was.
        from: Held,
    },
    /// Another holds it.
    Refused(Held),
    /// Another held it until the end.
    TimedOut(Option<Held>),
    /// The run was cancelled before the lock was free.
    Cancelled(Option<Held>),
}

/// How a lock was lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lost {
    /// To another, who took it over.
    To(Held),
    /// Somebody deleted it.
    Deleted,
}

/// What became of releasing a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Released {
    /// It is free.
    Released,
    /// It was gone already.
    Gone,
    /// Another holds it, and keeps it.
    Another(Held),
}

/// A lock that this run holds, until it notices that it does not.
#[derive(Debug)]
pub struct Lock {
    ssm: Ssm,
    claim: Claim,
    grip: Mutex<Grip>,
}

#[derive(Debug)]
struct Grip {
    /// The last version of which is known that it holds the lock.
    version: i64,
    lost: Option<Lost>,
}

impl Claim {
    /// This run's claim to the lock of an environment.
    pub fn new(name: &DeliveryName, environment: &EnvironmentName, runner: &Environment) -> Self {
        Self { path: format!("/delivery/{name}/{environment}/lock"), holder: Holder::of_run(runner) }
    }

    /// The claim as a text, for [`Runner::state`](crate::runner::Runner::state).
    pub fn to_state(&self) -> Result<String, Failure> {
        serde_json::to_string(self).map_err(Failure::bug)
    }

    /// The claim that the main step kept.
    pub fn from_state(text: &str) -> Result<Self, Failure> {
        serde_json::from_str(text).map_err(|error| Failure::bug(error).context("read the state of the main step"))
    }
}

impl Holder {
    fn of_run(runner: &Environment) -> Self {
        let told = ["GITHUB_RUN_ID", "GITHUB_RUN_ATTEMPT", "GITHUB_JOB"].iter().filter_map(|name| runner.get(name));
        // The jobs of a matrix share all of these.
        let id: Vec<&str> = told.collect();
        let id = format!("{}.{}", id.join("."), &unique()[..8]);
        Self { id, run: runner.run_url(), by: runner.get("GITHUB_ACTOR").map(str::to_owned) }
    }
}

impl fmt::Display for Held {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Holder { id, run, by } = &self.holder;
        match (by, run) {
            (Some(by), Some(run)) => write!(formatter, "{by} ({run})")?,
            (None, Some(run)) => formatter.write_str(run)?,
            (by, None) => formatter.write_str(by.as_ref().unwrap_or(id))?,
        }
        match self.since {
            Some(since) => write!(formatter, " since {}", since.strftime("%Y-%m-%d %H:%M:%S UTC")),
            None => Ok(()),
        }
    }
}

impl Lock {
    fn new(ssm: &Ssm, claim: Claim, version: i64) -> Self {
        Self { ssm: ssm.clone(), claim, grip: Mutex::new(Grip { version, lost: None }) }
    }

    /// Whose lock it is, and where it lies.
    pub fn claim(&self) -> &Claim {
        &self.claim
    }

    /// How it was lost, as far as that was noticed.
    pub fn lost(&self) -> Option<Lost> {
        self.grip().lost.clone()
    }

    /// Renews the lock while this work goes on. The work goes on without the lock, too: it asks [`Lock::confirm`] before
    /// every change that it makes.
    pub async fn keep<T>(&self, edges: &Edges, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                goes_on = pause(RENEWAL, &edges.stop) => if !goes_on {
                    return work.await;
                },
            }
            let mut renewal = pin!(self.renew(edges));
            let goes_on = tokio::select! {
                biased;
                done = &mut work => {
                    // A write that is on its way would bring back a lock that is released meanwhile.
                    renewal.await;
                    return done;
                }
                goes_on = &mut renewal => goes_on,
            };
            if !goes_on {
                return work.await;
            }
        }
    }

    /// Whether the lock is still this run's. To be asked before every change that it guards.
    pub async fn confirm(&self) -> Result<bool, Failure> {
        self.check(LASTS / 2).await
    }

    /// Releases the lock, if it is still this run's.
    pub async fn release(self) -> Result<Released, Failure> {
        Self::release_left_behind(&self.ssm, &self.claim).await
    }

    /// Releases the lock that a run left behind, if it is still that run's.
    pub async fn release_left_behind(ssm: &Ssm, claim: &Claim) -> Result<Released, Failure> {
        let log = Log::read(&claim.path, &ssm.parameter_history(&claim.path).await?)?;
        match log.standing() {
            None => Ok(Released::Gone),
            Some(standing) if standing.held.holder.id != claim.holder.id => Ok(Released::Another(standing.held)),
            Some(_) if ssm.delete_parameter(&claim.path).await? => Ok(Released::Released),
            Some(_) => Ok(Released::Gone),
        }
    }

    /// Renews the lock once; whether there is a lock left to renew.
    async fn renew(&self, edges: &Edges) -> bool {
        match self.check(Duration::ZERO).await {
            Ok(is_held) => {
                if let Some(lost) = self.lost() {
                    edges.runner.say(format!("The lock `{}` {lost}.", self.claim.path));
                }
                is_held
            }
            Err(failure) => {
                edges.runner.say(format!("The lock `{}` could not be renewed: {failure}", self.claim.path));
                true
            }
        }
    }

    /// Whether the lock is still this run's. One that was renewed at least this long ago is renewed.
    async fn check(&self, tired: Duration) -> Result<bool, Failure> {
        if self.lost().is_some() {
            return Ok(false);
        }
        let Some(found) = self.ssm.get_parameter(&self.claim.path).await? else {
            self.lose(Lost::Deleted);
            return Ok(false);
        };
        let is_ours = Word::read(&found).is_some_and(|word| word.holder.id == self.claim.holder.id);
        let renewed = if is_ours && found.version == self.grip().version {
            found.modified_at
        } else {
            // Whoever wrote last need not hold it.
            let Some(standing) = self.standing().await? else { return Ok(false) };
            standing.held.renewed
        };
        let age = self.ssm.now().zip(renewed).map(|(now, renewed)| now.duration_since(renewed));
        // Where AWS's clock is not told, every lock may be about to run out.
        if age.is_some_and(|age| Duration::try_from(age).unwrap_or_default() < tired) {
            return Ok(true);
        }
        let word = Word { holder: self.claim.holder.clone(), seconds: LASTS.as_secs(), over: None };
        self.ssm.put_parameter(&self.claim.path, &word.text()?).await?;
        Ok(self.standing().await?.is_some())
    }

    /// How this run holds the lock by all that was written to it; `None` if it does not.
    async fn standing(&self) -> Result<Option<Standing>, Failure> {
        let log = Log::read(&self.claim.path, &self.ssm.parameter_history(&self.claim.path).await?)?;
        let holder = &self.claim.holder.id;
        let known = self.grip().version;
        match log.standing() {
            Some(standing) if standing.held.holder.id != *holder => self.lose(Lost::To(standing.held)),
            Some(standing) if log.has(known, holder) => {
                self.grip().version = standing.version;
                return Ok(Some(standing));
            }
            standing => {
                // It was deleted, and a renewal that was on its way has made another, which nobody knows of.
                if standing.is_some() && log.is_all_of(holder) {
                    self.ssm.delete_parameter(&self.claim.path).await?;
                }
                self.lose(Lost::Deleted);
            }
        }
        Ok(None)
    }

    fn lose(&self, lost: Lost) {
        self.grip().lost = Some(lost);
    }

    fn grip(&self) -> MutexGuard<'_, Grip> {
        self.grip.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::To(held) => write!(formatter, "was taken over by {held}"),
            Self::Deleted => formatter.write_str("was deleted by somebody"),
        }
    }
}
