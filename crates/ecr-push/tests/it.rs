//! Pushes as a team would see them, between a simulated engine and a simulated registry.

#![expect(clippy::unwrap_used, reason = "a test's furniture has nobody to tell but the test")]

mod ecr_scans;
mod gates;
mod pushes;
mod refusals;
mod repositories;
mod reruns;
mod shop;
mod sources;
