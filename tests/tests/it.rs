//! The repository's own contract.

mod bad_input;
mod generated;
mod invariants;
