//! Taking a lock: who holds it decides, and what the caller wants of whom.

use std::time::Duration;

use tokio::time::Instant;

use super::log::{Log, Over, Standing, Word};
use super::{Claim, Held, LASTS, Lock, OnHeld, Taking};
use crate::aws::Ssm;
use crate::duration::human;
use crate::edges::Edges;
use crate::failure::Failure;
use crate::poll::{Ended, Judged, Pace, poll};

/// How often to look at a lock that another holds.
const EVERY: Duration = Duration::from_secs(5);

/// How long to try where there is nothing to wait for: two who are after the same lock may get in each other's way.
const RETRIES: Duration = Duration::from_secs(30);

impl Lock {
    /// Takes the lock, or says who has it. What goes on is said to whoever reads the log.
    pub async fn take(ssm: &Ssm, claim: Claim, on_held: OnHeld, edges: &Edges) -> Result<Taking, Failure> {
        if edges.stop.is_raised() {
            return Ok(Taking::Cancelled(None));
        }
        let limit = match on_held {
            OnHeld::Wait(limit) => limit,
            OnHeld::Refuse | OnHeld::TakeOver => RETRIES,
        };
        let mut taker = Taker { ssm, claim: &claim, on_held, edges, standing: None, seen: None, told: None };
        let pace = Pace { every: EVERY, limit, patience: 10 };
        let ended = poll(pace, &edges.stop, async || taker.look().await).await?;
        let held = taker.standing.map(|standing| standing.held);
        Ok(match ended {
            Ended::Done(Found::Free { version }) => Taking::Taken(Self::new(ssm, claim, version)),
            Ended::Done(Found::TakenOver { version, from }) => {
                Taking::TakenOver { lock: Self::new(ssm, claim, version), from }
            }
            Ended::Done(Found::Held(held)) => Taking::Refused(held),
            Ended::TimedOut => Taking::TimedOut(held),
            Ended::Cancelled => Taking::Cancelled(held),
        })
    }
}

/// What a look came to.
enum Found {
    Free { version: i64 },
    TakenOver { version: i64, from: Held },
    Held(Held),
}

struct Taker<'a> {
    ssm: &'a Ssm,
    claim: &'a Claim,
    on_held: OnHeld,
    edges: &'a Edges,
    /// Who held it at the last look.
    standing: Option<Standing>,
    /// The holder's last version, and when it was first seen.
    seen: Option<(String, i64, Instant)>,
    /// Of whom was told that the lock is theirs.
    told: Option<String>,
}

impl Taker<'_> {
    async fn look(&mut self) -> Result<Judged<Found>, Failure> {
        if self.standing.is_none()
            && let Some(version) = self.create().await?
        {
            return Ok(Judged::Done(Found::Free { version }));
        }
        self.standing = self.read().await?;
        let Some(standing) = self.standing.clone() else {
            // It was released since the last look.
            let version = self.create().await?;
            return Ok(version.map_or(Judged::Wait, |version| Judged::Done(Found::Free { version })));
        };
        // The answer to an earlier write was lost, and the write was not.
        if standing.held.holder.id == self.claim.holder.id {
            return Ok(Judged::Done(Found::Free { version: standing.version }));
        }
        if self.has_run_out(&standing) {
            return self.take_over(&standing, false).await;
        }
        match self.on_held {
            OnHeld::TakeOver => self.take_over(&standing, true).await,
            OnHeld::Refuse => Ok(Judged::Done(Found::Held(standing.held))),
            OnHeld::Wait(limit) => {
                self.tell(&standing.held, limit);
                Ok(Judged::Wait)
            }
        }
    }

    /// Makes the lock. Of two who do so at once, one gets `None`.
    async fn create(&self) -> Result<Option<i64>, Failure> {
        let text = self.word(None).text()?;
        let description = "Held while a delivery to this environment goes on. Delete it to break the lock.";
        self.ssm.create_parameter(&self.claim.path, &text, description).await
    }

    async fn read(&self) -> Result<Option<Standing>, Failure> {
        let history = self.ssm.parameter_history(&self.claim.path).await?;
        Ok(Log::read(&self.claim.path, &history)?.standing())
    }

    async fn take_over(&mut self, standing: &Standing, forced: bool) -> Result<Judged<Found>, Failure> {
        let over = Over { holder: standing.held.holder.id.clone(), version: standing.version, forced };
        self.ssm.put_parameter(&self.claim.path, &self.word(Some(over)).text()?).await?;
        self.standing = self.read().await?;
        match &self.standing {
            Some(now) if now.held.holder.id == self.claim.holder.id => {
                let from = standing.held.clone();
                let why = if forced { "was asked to be taken over" } else { "was left behind" };
                self.edges.runner.say(format!("The lock `{}`, held by {from}, {why}: taken over.", self.claim.path));
                Ok(Judged::Done(Found::TakenOver { version: now.version, from }))
            }
            // Another was faster, or the holder renewed it just now.
            _ => Ok(Judged::Wait),
        }
    }

    /// Whether the holder has not renewed the lock in time: by AWS's clock where its answers tell it, else by having watched
    /// for that long. It is the dates of the versions that decide in the end (`log.rs`).
    fn has_run_out(&mut self, standing: &Standing) -> bool {
        if let Some(now) = self.ssm.now() {
            return standing.is_stale(now);
        }
        let holder = &standing.held.holder.id;
        match &self.seen {
            Some((seen, version, since)) if seen == holder && *version == standing.version => {
                since.elapsed() > standing.lasts()
            }
            _ => {
                self.seen = Some((holder.clone(), standing.version, Instant::now()));
                false
            }
        }
    }

    fn tell(&mut self, held: &Held, limit: Duration) {
        if self.told.as_ref() != Some(&held.holder.id) {
            self.told = Some(held.holder.id.clone());
            let text =
                format!("The lock `{}` is held by {held}. Waiting for it, at most {}.", self.claim.path, human(limit));
            self.edges.runner.say(text);
        }
    }

    fn word(&self, over: Option<Over>) -> Word {
        Word { holder: self.claim.holder.clone(), seconds: LASTS.as_secs(), over }
    }
}
