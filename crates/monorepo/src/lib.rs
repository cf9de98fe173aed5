//! What a service's image is made of, as the files of one commit tell: read from the commit alone, offline, with nothing
//! installed and nothing run.
//!
//! [`files`] (a commit's files) → [`workspace`] (projects, what they say they depend on, which of their files count), [`imports`]
//! (what their sources import), [`lockfile`] (what is installed for them), [`dockerfile`] (what the image copies) →
//! [`snapshot`] (all of it for one commit) → [`collect`] and [`inputs`] (what one image is made of, and its content key) →
//! [`compare`] (what differs between two commits, and why that reaches a service).

pub mod collect;
pub mod compare;
pub mod digest;
pub mod dockerfile;
pub mod exclude;
pub mod files;
mod graph;
pub mod ignore;
pub mod imports;
pub mod inputs;
mod listing;
pub mod lockfile;
pub mod parallel;
mod path;
pub mod problem;
pub mod service;
pub mod setting;
mod shape;
pub mod snapshot;
mod view;
pub mod workspace;
