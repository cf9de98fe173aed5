//! The repository's own contract.

mod generated;
mod invariants;
