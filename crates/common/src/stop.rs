//! The wish to stop: a signal raises a flag that every wait watches.
//!
//! The runner cancels a container action by SIGINT, 7.5 s later SIGTERM, 2.5 s later a kill (actions/runner,
//! `ProcessInvoker.cs`). A process with PID 1 ignores a signal that it has no handler for.

use tokio::sync::watch;

use crate::failure::Failure;

/// A flag that is raised once, and seen by everyone who waits.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<bool>);

/// Raises the flag of a [`Stop`].
#[derive(Clone, Debug)]
pub struct Stopper(watch::Sender<bool>);

impl Stop {
    /// A flag, and what raises it.
    pub fn new() -> (Stopper, Self) {
        let (sender, receiver) = watch::channel(false);
        (Stopper(sender), Self(receiver))
    }

    /// A flag that SIGINT, SIGTERM and SIGHUP raise.
    pub fn on_signals() -> Result<Self, Failure> {
        use tokio::signal::unix::{SignalKind, signal};

        let (stopper, stop) = Self::new();
        for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
            let mut signals = signal(kind).map_err(|error| Failure::bug(format!("listen for signals: {error}")))?;
            let stopper = stopper.clone();
            tokio::spawn(async move {
                while signals.recv().await.is_some() {
                    stopper.raise();
                }
            });
        }
        Ok(stop)
    }

    /// Whether the flag is up.
    pub fn is_raised(&self) -> bool {
        *self.0.borrow()
    }

    /// Does work that may be left undone at any moment; `None` if the flag went up before it was done.
    pub async fn unless_raised<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.raised() => None,
            done = work => Some(done),
        }
    }

    /// Waits until the flag is up; for ever, if nobody is left to raise it.
    pub async fn raised(&self) {
        let mut receiver = self.0.clone();
        if receiver.wait_for(|raised| *raised).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Stopper {
    /// Raises the flag.
    pub fn raise(&self) {
        self.0.send_replace(true);
    }
}
