//! What the five actions share: the one owner of every outside world.
//!
//! In reading order: what things are called ([`names`]) and how work fails ([`failure`]); what a caller wrote ([`inputs`],
//! [`delivery`], [`scope`]); the worlds outside ([`runner`], [`http`], [`aws`], [`github`], [`docker`], [`registry`], [`git`]) and the
//! door to them all ([`edges`]); what is delivered ([`image`], [`image_source`], [`push`], [`task_definition`]) and what that needs
//! ([`preflight`]); why it stopped ([`stopped`]); what outlives a run ([`ledger`], [`lock`]); time ([`poll`], [`stop`]); and what a run says at its end ([`report`], [`entry`](entry())).
//!
//! # Invariants
//! - An outside world has one home here. Actions see our types, never an SDK's.
//! - `std::env`, standard output, the clock and sleeping have one home each; `clippy.toml` holds them there.
//! - Nothing here knows of any one action.

pub mod aws;
pub mod calendar;
mod comment;
pub mod delivery;
mod digest;
pub mod docker;
pub mod duration;
pub mod edges;
mod entry;
pub mod extent;
pub mod failure;
pub mod git;
pub mod github;
pub mod http;
pub mod image;
pub mod image_source;
pub mod inputs;
pub mod ledger;
pub mod lock;
pub mod manifest;
pub mod markdown;
pub mod names;
pub mod policy;
pub mod poll;
pub mod preflight;
pub mod push;
pub mod registry;
pub mod report;
pub mod runner;
pub mod scope;
pub mod stop;
pub mod stopped;
pub mod task_definition;

pub use entry::{entry, entry_post, perform, perform_post, refuse};
