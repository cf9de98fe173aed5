//! Deployments as a team would see them, on a simulated world with time paused.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a test's furniture has nobody to tell but the test")]

mod cancelling;
mod conflicts;
mod creating;
mod deployments;
mod failing;
mod fleet;
mod ledger;
mod operations;
mod preflight;
mod promotions;
mod recovery;
mod refusals;
mod releases;
mod rollbacks;
mod rotations;
mod shop;
mod strategies;
mod task_definitions;
