//! `cargo run -p rehearse`: a delivery, from a commit to healthy services and back, with no account anywhere.
//!
//! The five actions run as a runner would run them: real binaries, `INPUT_*` and `GITHUB_*`, outputs and summaries in files.
//! AWS, GitHub and the Docker engine are a simulated [`World`](world::World) on loopback. Every scene is compared with what
//! is true in that world afterwards, and the rehearsal fails if an action said anything else.

#![expect(clippy::disallowed_methods, reason = "a rehearsal starts processes and measures real time")]

mod binaries;
mod guest;
mod markdown;
mod pipeline;
mod repository;
mod runner;
mod scenes;

mod story;
mod theatre;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use clap::Parser;

use crate::binaries::Binaries;
use crate::story::Story;
use crate::theatre::Theatre;

/// Rehearses a delivery on a simulated AWS and GitHub: no account, no network, nothing is changed anywhere.
#[derive(Parser)]
struct Arguments {
    /// Rehearse the repository in this folder, with its own delivery.toml, instead of the sample. It is cloned, not touched.
    #[arg(long)]
    repo: Option<PathBuf>,
    /// The environment to rehearse; the first of delivery.toml if none is named. Only with `--repo`.
    #[arg(long, requires = "repo")]
    environment: Option<String>,
    /// Write every request that reached the simulated world, and its answer, to this file (JSON lines).
    #[arg(long)]
    transcript: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut story = Story::on_stdout();
    match rehearse(&arguments, &mut story) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            story.broken(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Plays every scene; answers whether each ended as it truly should.
fn rehearse(arguments: &Arguments, story: &mut Story) -> Result<bool> {
    let binaries = Binaries::build()?;
    let started = Instant::now();
    let theatre = Theatre::set(binaries)?;
    let scenes = match &arguments.repo {
        None => scenes::sample(&theatre)?,
        Some(path) => guest::scenes(&theatre, path, arguments.environment.as_deref())?,
    };
    let total = scenes.len();
    let mut true_scenes = 0;
    story.opening(&scenes);
    let mut last = None;
    for (number, scene) in scenes.iter().enumerate() {
        true_scenes += usize::from(scene.play(number + 1, &mut last, &theatre, story)?);
    }
    if let Some(path) = &arguments.transcript {
        std::fs::write(path, theatre.world.transcript())?;
    }
    story.closing(true_scenes, total, started.elapsed());
    Ok(true_scenes == total)
}
