//! The five actions as programs, built from this tree.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// The actions, in the order of a delivery.
pub(crate) const ACTIONS: [&str; 5] = ["build-affected", "ecr-push", "run-migration", "ecs-deploy", "health-gate"];

/// The folder that holds the five programs.
#[derive(Clone, Debug)]
pub(crate) struct Binaries(PathBuf);

impl Binaries {
    /// Builds them where cargo built this program.
    pub(crate) fn build() -> Result<Self> {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        // With this package among them, they share its features, and so its build of every dependency.
        cargo.args(["build", "--package", "rehearse"]).current_dir(tree());
        for action in ACTIONS {
            cargo.args(["--package", action]);
        }
        ensure!(cargo.status().context("start cargo")?.success(), "the five actions do not build");
        let own = std::env::current_exe().context("find this program")?;
        let folder = own.parent().context("this program has no folder")?.to_owned();
        Ok(Self(folder))
    }

    pub(crate) fn path(&self, action: &str) -> PathBuf {
        self.0.join(action)
    }
}

/// The root of the source tree.
pub(crate) fn tree() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
