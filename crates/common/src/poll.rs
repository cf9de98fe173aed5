//! Waiting, in one place: look, judge, and look again until the judgement is final, the time is up, or the run is cancelled.

use std::time::Duration;

use tokio::time::Instant;

use crate::failure::{Failure, Kind};
use crate::stop::Stop;

/// What one look came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judged<T> {
    /// Not decided yet: look again.
    Wait,
    /// Decided.
    Done(T),
}

/// How a wait ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended<T> {
    /// With a decision.
    Done(T),
    /// Without one, by the deadline.
    TimedOut,
    /// Without one, by a signal.
    Cancelled,
}

/// How often to look, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// From one look to the next.
    pub every: Duration,
    /// From the first look to the last.
    pub limit: Duration,
    /// How many looks in a row may fail before the wait does. Throttling and 5xx answers pass; a denial never does.
    pub patience: u32,
}

impl Pace {
    /// A look every two seconds, which 30 services side by side keep well below ECS's 20 describes a second
    /// (<https://docs.aws.amazon.com/AmazonECS/latest/APIReference/request-throttling.html>), and ten failures in a row.
    pub const fn until(limit: Duration) -> Self {
        Self { every: Duration::from_secs(2), limit, patience: 10 }
    }
}

/// Looks until the judgement is final. A look that fails for a remote reason is forgiven up to the pace's patience.
pub async fn poll<T>(
    pace: Pace,
    stop: &Stop,
    mut look: impl AsyncFnMut() -> Result<Judged<T>, Failure>,
) -> Result<Ended<T>, Failure> {
    let deadline = Instant::now() + pace.limit;
    let mut failed = 0;
    loop {
        match look().await {
            Ok(Judged::Done(judgement)) => return Ok(Ended::Done(judgement)),
            Ok(Judged::Wait) => failed = 0,
            Err(failure) if failure.kind == Kind::Remote && failed < pace.patience => failed += 1,
            Err(failure) => return Err(failure),
        }
        if Instant::now() + pace.every > deadline {
            return Ok(Ended::TimedOut);
        }
        if !pause(pace.every, stop).await {
            return Ok(Ended::Cancelled);
        }
    }
}

/// Does work for which there is this much time and no more; `None` if it took longer, and was left undone.
#[expect(clippy::disallowed_methods, reason = "the one home of limits")]
pub async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(limit, work).await.ok()
}

/// Lets time pass; `false` if the run was cancelled meanwhile.
#[expect(clippy::disallowed_methods, reason = "the one home of sleeping")]
pub async fn pause(time: Duration, stop: &Stop) -> bool {
    tokio::select! {
        biased;
        () = stop.raised() => false,
        () = tokio::time::sleep(time) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace = Pace { every: Duration::from_secs(2), limit: Duration::from_secs(60), patience: 2 };

    async fn waited(pace: Pace, looks: &[Result<Judged<u8>, Kind>]) -> (Result<Ended<u8>, Kind>, Duration) {
        let (_stopper, stop) = Stop::new();
        let started = Instant::now();
        let mut looks = looks.iter().cycle();
        let ended = poll(pace, &stop, async || {
            looks.next().unwrap().clone().map_err(|kind| Failure::new(kind, anyhow::anyhow!("no")))
        })
        .await;
        (ended.map_err(|failure| failure.kind), started.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn ends_with_the_decision_the_deadline_or_the_failure() {
        use Judged::{Done, Wait};

        let seconds = Duration::from_secs;
        let (remote, denied) = (Err(Kind::Remote), Err(Kind::Denied));
        for (looks, expected) in [
            (vec![Ok(Wait), Ok(Wait), Ok(Done(1))], (Ok(Ended::Done(1)), seconds(4))),
            (vec![Ok(Wait)], (Ok(Ended::TimedOut), seconds(60))),
            (vec![remote.clone(), remote.clone(), Ok(Done(1))], (Ok(Ended::Done(1)), seconds(4))),
            (vec![remote.clone()], (Err(Kind::Remote), seconds(4))),
            (vec![Ok(Wait), denied], (Err(Kind::Denied), seconds(2))),
        ] {
            assert_eq!(waited(PACE, &looks).await, expected, "{looks:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_signal_ends_a_wait_at_once() {
        let (stopper, stop) = Stop::new();
        stopper.raise();
        let started = Instant::now();
        let ended = poll(PACE, &stop, async || Ok(Judged::<()>::Wait)).await.unwrap();
        assert_eq!((ended, started.elapsed()), (Ended::Cancelled, Duration::ZERO));
    }
}
