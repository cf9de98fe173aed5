//! A program that serves something for as long as a test needs it.

use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::poll;
use crate::process::{create, program, say, target};

/// A server, stopped when dropped.
pub(crate) struct Server {
    name: &'static str,
    process: Child,
}

impl Server {
    /// Starts a program and waits until it is ready. What it says goes to a log of its name.
    pub(crate) fn start(
        name: &'static str,
        command: &mut Command,
        mut is_ready: impl FnMut() -> Result<()>,
    ) -> Result<Self> {
        if is_ready().is_ok() {
            bail!("{name} answers before it was started: stop what an earlier run has left, and start again");
        }
        let log = Self::log(name);
        let stdout = create(&log)?;
        let stderr = stdout.try_clone()?;
        let process = command.stdout(stdout).stderr(stderr).spawn();
        let mut server = Self { name, process: process.with_context(|| format!("cannot start {name}"))? };
        poll::until(name, Duration::from_secs(60), || {
            if let Some(status) = server.process.try_wait()? {
                let said = std::fs::read_to_string(&log)?;
                bail!("{name} ended with {status}; something else may have its port:\n{said}");
            }
            is_ready()
        })?;
        Ok(server)
    }

    /// Where a server's log is.
    pub(crate) fn log(name: &str) -> PathBuf {
        target().join(format!("e2e/{name}.log"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = self.process.kill().and_then(|()| self.process.wait()) {
            say(format!("{}, process {}, could not be stopped: {error}", self.name, self.process.id()));
        }
    }
}

/// A program that the kernel stops with this task, however this task ends, by way of `setpriv` (util-linux).
pub(crate) fn tied(name: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = program("setpriv");
    command.args(["--pdeathsig", "TERM"]).arg(name);
    command
}
