//! What a change reaches, as a team would see it, in repositories that git itself made.

#![expect(clippy::unwrap_used, reason = "a test's furniture has nobody to tell but the test")]

mod bases;
mod building;
mod commenting;
mod comparing;
mod history;
mod refusals;
mod shop;
mod success;
mod truth;
