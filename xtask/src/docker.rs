//! The Docker engine: found, or installed and started.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::poll;
use crate::process::{Run, create, is_installed, program, require_root, say, target};
use crate::tools;

/// A Docker engine answers when this returns. One that was started here is left running for the next time.
pub(crate) fn require() -> Result<()> {
    if let Ok(version) = version() {
        say(format!("Docker engine {version} answers"));
        return Ok(());
    }
    if !is_installed("dockerd") {
        install()?;
    }
    start()
}

/// Removes containers by a filter of `docker ps`, running or not.
pub(crate) fn remove_containers(filter: &str) -> Result<()> {
    let found = program("docker").args(["ps", "--all", "--quiet", "--filter", filter]).read()?;
    let containers: Vec<&str> = found.split_whitespace().collect();
    if !containers.is_empty() {
        program("docker").args(["rm", "--force", "--volumes"]).args(containers).read()?;
    }
    Ok(())
}

/// Removes local images by patterns of their references, under all their names.
pub(crate) fn remove_images(patterns: &[String]) -> Result<()> {
    let filters = patterns.iter().map(|pattern| format!("--filter=reference={pattern}"));
    let found = program("docker").args(["images", "--quiet"]).args(filters).read()?;
    let mut images: Vec<&str> = found.split_whitespace().collect();
    images.sort_unstable();
    images.dedup();
    if !images.is_empty() {
        program("docker").args(["rmi", "--force"]).args(images).read()?;
    }
    Ok(())
}

fn version() -> Result<String> {
    Ok(program("docker").args(["version", "--format", "{{.Server.Version}}"]).read()?.trim().to_owned())
}

fn install() -> Result<()> {
    let remedy = "no Docker engine answers and `dockerd` is not installed; install Docker (https://docs.docker.com/engine/install/), start it, \
                  and allow this user to use it";
    if !is_installed("apt-get") {
        bail!("{remedy}. It cannot be installed from here: there is no apt-get");
    }
    require_root("installing Docker").context(remedy)?;
    say("installs Docker with apt-get (docker.io)");
    tools::debian_package("docker.io")
}

/// Whether the engine has an image of this name.
pub(crate) fn has_image(name: &str) -> Result<bool> {
    Ok(!program("docker").args(["images", "--quiet", name]).read()?.trim().is_empty())
}

/// Starts the engine itself where no service manager does, as in a container.
fn start() -> Result<()> {
    require_root("no Docker engine answers; starting `dockerd`")?;
    let log = target().join("e2e/dockerd.log");
    let stdout = create(&log)?;
    let stderr = stdout.try_clone()?;
    // In a process group of its own, so that Ctrl-C here does not stop the engine under other people's containers.
    let mut engine = program("dockerd").stdout(stdout).stderr(stderr).process_group(0).spawn()?;
    say(format!("starts dockerd, process {}; its log is {}", engine.id(), log.display()));
    let version = poll::until("a Docker engine that answers", Duration::from_secs(60), || {
        if let Some(status) = engine.try_wait()? {
            bail!("dockerd ended with {status}");
        }
        version()
    });
    say(format!("Docker engine {} answers", version.with_context(|| last_words(&log))?));
    Ok(())
}

fn last_words(log: &Path) -> String {
    let said = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = said.lines().collect();
    format!(
        "the Docker engine cannot be started here; it said last:\n{}",
        lines[lines.len().saturating_sub(5)..].join("\n")
    )
}
