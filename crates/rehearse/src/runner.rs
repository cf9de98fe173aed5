//! A runner: starts an action the way GitHub's does, and reads what it left behind.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::binaries::{Binaries, tree};

/// What started the workflow.
#[derive(Clone, Debug)]
pub(crate) struct Push {
    pub(crate) commit: String,
    /// The branch's commit before; `None` for its first.
    pub(crate) before: Option<String>,
    pub(crate) branch: String,
    /// The run's number, and how often it was tried.
    pub(crate) run: usize,
    pub(crate) attempt: usize,
}

/// One finished step of a job.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) action: &'static str,
    pub(crate) exit_code: i32,
    pub(crate) outputs: BTreeMap<String, String>,
    pub(crate) summary: String,
    pub(crate) log: String,
    pub(crate) took: Duration,
}

impl Step {
    /// An output; blank if it was not written.
    pub(crate) fn output(&self, name: &str) -> &str {
        self.outputs.get(name).map_or("", String::as_str)
    }

    /// The cause that the step's annotation gives; blank if it has none.
    pub(crate) fn cause(&self) -> String {
        let annotation = self.log.lines().find_map(|line| line.strip_prefix("::error ")?.split_once("::"));
        let message = annotation.map(|(_, message)| message).unwrap_or_default();
        message.split("%0Ahint:").next().unwrap_or_default().replace("%0A", " ").replace("%25", "%")
    }
}

/// A runner with its folders.
#[derive(Debug)]
pub(crate) struct Runner {
    pub(crate) binaries: Binaries,
    /// Where the runner keeps its files.
    pub(crate) folder: PathBuf,
    /// The simulated AWS and GitHub.
    pub(crate) url: String,
    /// The simulated Docker engine's socket.
    pub(crate) docker: PathBuf,
}

impl Runner {
    /// Runs one step in this checkout.
    pub(crate) fn run(
        &self,
        action: &'static str,
        push: &Push,
        workspace: &Path,
        inputs: &[(&str, &str)],
    ) -> Result<Step> {
        let files = tempfile::TempDir::new_in(&self.folder)?;
        let file = |name: &str| files.path().join(name);
        let event = json!({ "before": push.before.clone().unwrap_or_else(|| "0".repeat(40)), "after": push.commit });
        fs::write(file("event.json"), event.to_string())?;
        let mut command = Command::new(self.binaries.path(action));
        // A container sees what it is given, and nothing else.
        command.env_clear().current_dir(workspace).envs(declared_inputs(action)?);
        command.envs(inputs.iter().map(|(name, value)| (format!("INPUT_{}", name.to_uppercase()), value)));
        for (name, value) in [
            ("GITHUB_OUTPUT", file("output").display().to_string()),
            ("GITHUB_STATE", file("state").display().to_string()),
            ("GITHUB_STEP_SUMMARY", file("summary").display().to_string()),
            ("GITHUB_EVENT_PATH", file("event.json").display().to_string()),
            ("GITHUB_EVENT_NAME", "push".to_owned()),
            ("GITHUB_WORKSPACE", workspace.display().to_string()),
            ("GITHUB_REPOSITORY", "org/shop".to_owned()),
            ("GITHUB_SHA", push.commit.clone()),
            ("GITHUB_REF_NAME", push.branch.clone()),
            ("GITHUB_REF_TYPE", "branch".to_owned()),
            ("GITHUB_RUN_ID", push.run.to_string()),
            ("GITHUB_RUN_ATTEMPT", push.attempt.to_string()),
            ("GITHUB_SERVER_URL", self.url.clone()),
            ("GITHUB_API_URL", format!("{}/api/v3", self.url)),
            ("AWS_ENDPOINT_URL", self.url.clone()),
            ("AWS_REGION", "eu-west-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned()),
            ("ACTIONS_ID_TOKEN_REQUEST_URL", format!("{}/_oidc/token?api-version=2.0", self.url)),
            ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "rehearsal".to_owned()),
            ("DOCKER_HOST", format!("unix://{}", self.docker.display())),
        ] {
            command.env(name, value);
        }
        let started = Instant::now();
        let output = command.output().with_context(|| format!("start {action}"))?;
        let took = started.elapsed();
        let text = |name: &str| fs::read_to_string(file(name)).unwrap_or_default();
        Ok(Step {
            action,
            exit_code: output.status.code().with_context(|| format!("{action} was killed"))?,
            outputs: stage::entries(&text("output")),
            summary: text("summary"),
            log: String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr),
            took,
        })
    }
}

/// Every declared input with its default, as the runner passes them: blank where there is none.
fn declared_inputs(action: &str) -> Result<BTreeMap<String, String>> {
    let path = tree().join(format!("actions/{action}/action.yml"));
    let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    let mut inputs = BTreeMap::new();
    let mut current = String::new();
    // The file is printed by us, one key a line: its shape is known.
    for line in text.lines().skip_while(|line| *line != "inputs:").take_while(|line| *line != "outputs:") {
        match line.strip_prefix("    default: ") {
            Some(default) => {
                let default: Value = serde_json::from_str(default)?;
                let default = default.as_str().unwrap_or_default().replace("${{ github.token }}", "ghs_rehearsal");
                inputs.insert(current.clone(), default);
            }
            None if line.starts_with("  ") && !line.starts_with("   ") => {
                current = format!("INPUT_{}", line.trim().trim_end_matches(':').to_uppercase());
                inputs.insert(current.clone(), String::new());
            }
            None => {}
        }
    }
    Ok(inputs)
}
