//! The repository's own contract.

#![expect(clippy::unwrap_used, reason = "a test has nobody to tell but itself")]

mod bad_input;
mod examples;
mod generated;
mod invariants;
