//! A release of the suite itself, to a repository on this machine: what `.ci/publish` does on GitHub, but for GitHub's own
//! program, which only tells that it was called.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::open;
use crate::process::{Run, program, root, say, target};

pub(super) fn play(image: &str) -> Result<()> {
    open("releases of the suite");
    let press = Press::set_up()?;
    press.publish(image, "v1.0.0").run()?;
    press.publish(image, "v1.0.1").run()?;
    let [first, second, major] = ["v1.0.0", "v1.0.1", "v1"].map(|tag| press.git(&["rev-parse", tag]));
    let (first, second, major) = (first?, second?, major?);
    if major != second || first == second || press.git(&["rev-parse", "releases^"])? != first {
        bail!("v1 is {major}, v1.0.0 is {first}, v1.0.1 is {second}");
    }
    let action = press.git(&["show", "v1:ecs-deploy/action.yml"])?;
    if !action.contains(&format!("image: docker://{image}\n")) {
        bail!("the release does not pin the image:\n{action}");
    }
    // What is released stays.
    if press.publish(image, "v1.0.1").read().is_ok() {
        bail!("v1.0.1 could be published twice");
    }
    if press.git(&["rev-parse", "v1"])? != second {
        bail!("a release that was refused moved v1");
    }
    say("  v1.0.0, then v1.0.1 and v1 with it; a second v1.0.1 is refused");
    Ok(())
}

/// A repository to release to.
struct Press {
    remote: PathBuf,
    programs: PathBuf,
}

impl Press {
    fn set_up() -> Result<Self> {
        let folder = target().join("e2e/releases");
        if folder.exists() {
            std::fs::remove_dir_all(&folder).with_context(|| format!("cannot clear {}", folder.display()))?;
        }
        let press = Self { remote: folder.join("remote.git"), programs: folder.join("bin") };
        std::fs::create_dir_all(&press.programs)?;
        program("git").args(["init", "--quiet", "--bare"]).arg(&press.remote).read()?;
        let gh = press.programs.join("gh");
        std::fs::write(&gh, "#!/bin/sh\necho \"gh $*\"\n")?;
        std::fs::set_permissions(&gh, PermissionsExt::from_mode(0o755))?;
        Ok(press)
    }

    fn publish(&self, image: &str, version: &str) -> std::process::Command {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths([self.programs.clone()].into_iter().chain(std::env::split_paths(&path)));
        let mut publish = program("bash");
        publish.arg(root().join(".ci/publish")).args([image, version]);
        publish
            .env("PATH", path.unwrap_or_default())
            .env("REMOTE", &self.remote)
            .env("GITHUB_REPOSITORY", "org/actions");
        // The clone may belong to another user than the one who plays this.
        publish.envs([("GIT_CONFIG_COUNT", "1"), ("GIT_CONFIG_KEY_0", "safe.directory"), ("GIT_CONFIG_VALUE_0", "*")]);
        publish
    }

    fn git(&self, arguments: &[&str]) -> Result<String> {
        program("git").arg("--git-dir").arg::<&Path>(&self.remote).args(arguments).read()
    }
}
