//! Migrations on a simulated account, with time paused: what a person and the next job get to see.

#![expect(clippy::unwrap_used, reason = "a test's furniture has nobody to tell but the test")]

mod again;
mod backups;
mod cancelling;
mod migrating;
mod pending;
mod preflight;
mod refusals;
mod restoring;
mod shop;
mod status;
