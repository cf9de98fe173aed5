//! `cargo xtask e2e`: a delivery with nothing simulated by us. The container image of the suite, run as GitHub's runner runs
//! it, against a real Docker engine and ministack as AWS.

mod infrastructure;
mod ministack;
mod models;
mod monorepo;
mod registry_name;
mod runner;
mod scenes;
mod stage;

use std::time::Instant;

use anyhow::Result;

use self::stage::Stage;
use crate::process::say;
use crate::{docker, image};

/// Delivers a sample monorepo for real, and fails if any outcome was not the true one.
pub(crate) fn run() -> Result<()> {
    docker::require()?;
    //image::image()?;
    let binary = image::compile(&["sample-service"])?.join("sample-service");
    let started = Instant::now();
    let stage = Stage::set(&binary)?;
    let played = scenes::play(&stage);
    drop(stage);
    let cleaned = stage::forget_local_images();
    played.and(cleaned)?;
    say(format!("\nevery outcome was the true one ({:.0} s)\n", started.elapsed().as_secs_f64()));
    models::check()
}
