//! What a rehearsal plays on: a world on loopback, a runner, a temporary folder.

use std::path::PathBuf;

use anyhow::{Context, Result};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use world::{Served, ServedDocker, Timing, World};

use crate::binaries::Binaries;
use crate::runner::Runner;

/// A world on loopback and a runner that is aimed at it.
pub(crate) struct Theatre {
    pub(crate) world: World,
    pub(crate) runner: Runner,
    folder: TempDir,
    _served: Served,
    _docker: ServedDocker,
    _runtime: Runtime,
}

impl Theatre {
    /// Sets the stage: an empty world, a Docker engine without images.
    pub(crate) fn set(binaries: Binaries) -> Result<Self> {
        let folder = TempDir::with_prefix("rehearsal-").context("make a temporary folder")?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let docker = folder.path().join("docker.sock");
        let world = runtime.block_on(async { World::starting_at(common::calendar::now(), Timing::BRISK) });
        let served = runtime.block_on(async { world.serve() })?;
        let engine = runtime.block_on(async { world.serve_docker(&docker) })?;
        let runner = Runner { binaries, folder: folder.path().to_owned(), url: served.url().to_owned(), docker };
        Ok(Self { world, runner, folder, _served: served, _docker: engine, _runtime: runtime })
    }

    /// A folder to work in.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}
