//! The steps of a workflow, each held to the end that it must have.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::monorepo::ENVIRONMENT;
use super::runner::{self, Completed, Fate, Job, Main};
use crate::process::say;

/// Words that end a step with exit code 0. <https://docs.github.com/en/actions/how-tos/create-and-publish-actions/set-exit-codes>
const GOOD: [&str; 10] =
    ["affected", "none", "planned", "pushed", "unchanged", "applied", "skipped", "restored", "deployed", "healthy"];

/// The exit code of a step that was cancelled: what a shell says of SIGINT.
const CANCELLED: i32 = 130;
/// What Docker says of SIGKILL.
const KILLED: i32 = 137;
/// When the runner sends SIGTERM to a step that it has cancelled.
const TERMINATION: Duration = Duration::from_millis(7500);

/// A run of the workflow: its steps, in one job.
pub(crate) struct Workflow {
    job: Job,
}

impl Workflow {
    pub(crate) fn of(job: Job) -> Self {
        Self { job }
    }

    /// Copies a file to where the steps find it. Answers its path in the job's `env`.
    pub(crate) fn file(&self, name: &str, from: &Path) -> Result<String> {
        let file = self.job.temp.join(name);
        std::fs::copy(from, &file).with_context(|| format!("cannot copy {}", from.display()))?;
        Ok(file.display().to_string())
    }

    /// With a token that `${{ github.token }}` evaluates to.
    pub(crate) fn with_token(mut self, token: &str) -> Self {
        self.job.token = token.to_owned();
        self
    }

    /// With one variable more in the job's `env`.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.job.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Runs a step and holds it to the result that it must have, and to what follows from that word: the exit code, one
    /// annotation for a failure and none for a success, a summary.
    pub(crate) fn step(&self, action: &str, with: &[(&str, &str)], result: &str) -> Result<Completed> {
        let inputs: Vec<(&str, &str)> = [("environment", ENVIRONMENT)].iter().chain(with).copied().collect();
        let completed = self.job.run(action, &inputs, Fate::Undisturbed)?;
        judge(&completed, result).with_context(|| told(action, &completed))?;
        say(format!("  {action:<16} {result:<12} {:5.1} s", completed.duration.as_secs_f64()));
        Ok(completed)
    }

    /// Runs a step that is cancelled as soon as it says these words, and holds it to an end in good order, in time.
    pub(crate) fn cancel(&self, action: &str, with: &[(&str, &str)], when: &str) -> Result<Completed> {
        let inputs: Vec<(&str, &str)> = [("environment", ENVIRONMENT)].iter().chain(with).copied().collect();
        let completed = self.job.run(action, &inputs, Fate::Cancelled { when })?;
        judge(&completed, "cancelled").with_context(|| told(action, &completed))?;
        let lingered = completed.lingered.unwrap_or_default();
        if lingered >= TERMINATION {
            bail!("{action} went on for {lingered:?} after it was cancelled\n{}", told(action, &completed));
        }
        say(format!("  {action:<16} {:<12} {:5.1} s after SIGINT", "cancelled", lingered.as_secs_f64()));
        Ok(completed)
    }

    /// Runs the main step of an action, which is killed as soon as it says these words.
    pub(crate) fn kill(&self, action: &str, with: &[(&str, &str)], when: &str) -> Result<Main> {
        let inputs: Vec<(&str, &str)> = [("environment", ENVIRONMENT)].iter().chain(with).copied().collect();
        let main = self.job.main(action, &inputs, Fate::Killed { when })?;
        if main.completed.exit_code != KILLED {
            bail!("{action} was killed and ended otherwise\n{}", told(action, &main.completed));
        }
        say(format!("  {action:<16} {:<12}", "killed"));
        Ok(main)
    }

    /// Runs the post step after a main step.
    pub(crate) fn post(&self, main: &Main) -> Result<Completed> {
        let post = self.job.post(main)?.context("the action has no post step")?;
        say(format!("  {:<16} {:<12} {:5.1} s", "post step", "", post.duration.as_secs_f64()));
        Ok(post)
    }
}

fn judge(completed: &Completed, result: &str) -> Result<()> {
    let answered = completed.outputs.get("result").map_or("", String::as_str);
    if answered != result {
        bail!("the result is `{answered}`, expected `{result}`");
    }
    let exit_code = match result {
        "cancelled" => CANCELLED,
        _ => i32::from(!GOOD.contains(&result)),
    };
    if completed.exit_code != exit_code {
        bail!("`{result}` ended with exit code {}, expected {exit_code}", completed.exit_code);
    }
    let errors = runner::errors(&completed.log);
    let expected = usize::from(exit_code != 0);
    if errors.len() != expected {
        bail!("`{result}` was annotated with {} errors, expected {expected}: {errors:#?}", errors.len());
    }
    if completed.summary.trim().is_empty() {
        bail!("the job summary is empty");
    }
    let json = completed.outputs.get("json").context("there is no output `json`")?;
    let report: Value = serde_json::from_str(json).context("the output `json` is not JSON")?;
    if report.is_object() { Ok(()) } else { bail!("the output `json` is not an object: {json}") }
}

/// What a person needs to understand a step that went wrong.
fn told(action: &str, completed: &Completed) -> String {
    let Completed { exit_code, outputs, summary, log, .. } = completed;
    format!("{action} (exit code {exit_code})\n--- log\n{log}\n--- summary\n{summary}\n--- outputs\n{outputs:#?}\n---")
}
