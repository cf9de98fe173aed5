//! What `common` does to the outside worlds, on a simulated world with time paused.

#![expect(clippy::unwrap_used, reason = "a test's furniture has nobody to tell but the test")]

mod aws;
mod deployments;
mod ledger;
mod lock;
mod lost_locks;
mod place;
mod post;
mod preflight;
mod pushing;
