//! `cargo xtask e2e`: a delivery with nothing simulated by us. The container image of the suite, run as GitHub's runner runs
//! it, against a real Docker engine and ministack as AWS.

mod aws_api;
mod certificate;
mod cut;
mod github;
mod infrastructure;
mod ministack;
mod models;
mod monorepo;
mod moto;
mod nginx;
mod postgres;
mod prometheus;
mod registry_name;
mod runner;
mod scenes;
mod server;
mod stage;
mod users;
mod workflow;

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::Result;

use self::ministack::Ministack;
pub(crate) use self::models::requests;
use self::monorepo::Monorepo;
use self::registry_name::RegistryName;
pub(crate) use self::scenes::Part;
use self::stage::Stage;
use crate::image::Build;
use crate::process::{say, target};
use crate::{docker, image};

/// An emulated AWS and a monorepo that delivers to it, for a benchmark that runs the binaries by themselves.
pub(crate) struct Emulated {
    repository: Monorepo,
    commit: String,
    _aws: Ministack,
    _registry: RegistryName,
}

impl Emulated {
    pub(crate) fn start() -> Result<Self> {
        let registry = RegistryName::claim()?;
        let aws = Ministack::start(&registry)?;
        let binary = image::compile(&["sample-service"])?.join("sample-service");
        let path = target().join("e2e/bench");
        if path.exists() {
            std::fs::remove_dir_all(&path)?;
        }
        let repository = Monorepo::create(path, &binary)?;
        let commit = repository.commit("The first version")?;
        Ok(Self { repository, commit, _aws: aws, _registry: registry })
    }

    /// What a step finds in its environment.
    pub(crate) fn environment(&self) -> BTreeMap<String, String> {
        let workspace = self.repository.path.display().to_string();
        let checkout = [("GITHUB_WORKSPACE".to_owned(), workspace), ("GITHUB_SHA".to_owned(), self.commit.clone())];
        stage::credentials().into_iter().chain(checkout).collect()
    }
}

/// Delivers a sample monorepo for real, and fails if any outcome was not the true one.
pub(crate) fn run(build: Build, parts: &[Part]) -> Result<()> {
    docker::require()?;
    image::image(build)?;
    let binary = image::compile(&["sample-service"])?.join("sample-service");
    let started = Instant::now();
    let stage = Stage::set(&binary)?;
    let played = scenes::play(&stage, parts);
    drop(stage);
    let cleaned = stage::forget_local_images("*");
    played.and(cleaned)?;
    say(format!("\nevery outcome was the true one ({:.0} s)\n", started.elapsed().as_secs_f64()));
    models::check()
}
