//! GitHub's runner, as far as a container action can see it: mounts, environment, inputs, and the files it reads back.
//!
//! One thing differs on purpose: `--network host`, so that what listens on 127.0.0.1 is reachable from the action.
//! <https://github.com/actions/runner/blob/main/src/Runner.Worker/Handlers/ContainerActionHandler.cs>
//! <https://github.com/actions/runner/blob/main/src/Runner.Worker/Container/DockerCommandManager.cs>

mod action;
mod attend;
mod file_commands;
mod log;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use self::action::Action;
use self::attend::{Ended, attend};
pub(crate) use self::log::errors;
use super::users::Credentials;
use crate::process::{program, root};

/// Host folders and where the container sees them.
const MOUNTS: [(&str, &str); 4] = [
    ("_github_home", "/github/home"),
    ("_github_workflow", "/github/workflow"),
    ("_runner_file_commands", "/github/file_commands"),
    ("", "/github/runner_temp"),
];

/// Files that a step may write, by the variable that names them.
const FILES: [(&str, &str); 5] = [
    ("GITHUB_OUTPUT", "set_output_"),
    ("GITHUB_STATE", "save_state_"),
    ("GITHUB_STEP_SUMMARY", "step_summary_"),
    ("GITHUB_ENV", "set_env_"),
    ("GITHUB_PATH", "add_path_"),
];

/// One job on a runner: a workspace, a temporary folder and the environment of its steps.
pub(crate) struct Job {
    /// The image of the suite, where a release's `action.yml` names it by digest.
    pub(crate) image: String,
    pub(crate) workspace: PathBuf,
    pub(crate) temp: PathBuf,
    /// The `env` of the job, and the `GITHUB_*` and `RUNNER_*` variables of the event.
    pub(crate) environment: BTreeMap<String, String>,
    /// Whom each action acts as, as `aws-actions/configure-aws-credentials` leaves it before its step.
    pub(crate) users: BTreeMap<String, Credentials>,
    /// What `${{ github.token }}` evaluates to.
    pub(crate) token: String,
}

/// What befalls a step while it runs.
#[derive(Clone, Copy)]
pub(crate) enum Fate<'a> {
    /// It runs to its own end.
    Undisturbed,
    /// Somebody cancels the run when the step says this.
    Cancelled { when: &'a str },
    /// The step is killed without a warning when it says this, as a machine does that has no memory left.
    Killed { when: &'a str },
}

/// How a step ended.
pub(crate) struct Completed {
    pub(crate) exit_code: i32,
    pub(crate) outputs: BTreeMap<String, String>,
    pub(crate) summary: String,
    /// Everything that it printed.
    pub(crate) log: String,
    pub(crate) duration: Duration,
    /// How long it went on after its fate befell it.
    pub(crate) lingered: Option<Duration>,
}

/// A main step that has ended, and what its post step gets of it.
pub(crate) struct Main {
    pub(crate) completed: Completed,
    name: String,
    post_entrypoint: Option<String>,
    variables: Vec<(String, String)>,
}

impl Job {
    /// Runs an action of the tree as `uses: ./actions/<name>` with these inputs, its post step included.
    pub(crate) fn run(&self, name: &str, with: &[(&str, &str)], fate: Fate<'_>) -> Result<Completed> {
        let main = self.main(name, with, fate)?;
        let post = self.post(&main)?;
        let mut completed = main.completed;
        completed.log.push_str(&post.map(|post| post.log).unwrap_or_default());
        Ok(completed)
    }

    /// Runs the main step of an action alone.
    pub(crate) fn main(&self, name: &str, with: &[(&str, &str)], fate: Fate<'_>) -> Result<Main> {
        let action = Action::read(&root().join("actions").join(name).join("action.yml"))?;
        let mut inputs = action.input_variables(with, &self.token).with_context(|| format!("the step `{name}`"))?;
        inputs.extend(self.users.get(name).cloned().into_iter().flatten());
        let (completed, state) = self.container(name, &action.entrypoint, &inputs, fate)?;
        let state = state.into_iter().map(|(name, value)| (format!("STATE_{name}"), value));
        let variables = inputs.into_iter().chain(state).collect();
        Ok(Main { completed, name: name.to_owned(), post_entrypoint: action.post_entrypoint, variables })
    }

    /// Runs the post step that follows a main step when the job ends, in a container of its own. `None` if there is none.
    pub(crate) fn post(&self, main: &Main) -> Result<Option<Completed>> {
        let Some(entrypoint) = &main.post_entrypoint else { return Ok(None) };
        let step = format!("{}-post", main.name);
        let (post, _) = self.container(&step, entrypoint, &main.variables, Fate::Undisturbed)?;
        if post.exit_code != 0 {
            bail!("the post step of {} ended with {}:\n{}", main.name, post.exit_code, post.log);
        }
        Ok(Some(post))
    }

    /// One `docker run`, in the runner's own order of options.
    fn container(
        &self,
        step: &str,
        entrypoint: &str,
        variables: &[(String, String)],
        fate: Fate<'_>,
    ) -> Result<(Completed, BTreeMap<String, String>)> {
        let files = self.files(step)?;
        let name = container_name(step);
        let mut docker = self.docker_run(&name, entrypoint, variables, &files);
        let started = Instant::now();
        let Ended { exit_code, log, lingered } = attend(docker.arg(&self.image), &name, fate)?;
        let completed = Completed {
            exit_code,
            outputs: read(&files, "GITHUB_OUTPUT").and_then(|text| file_commands::parse(&text))?,
            summary: read(&files, "GITHUB_STEP_SUMMARY")?,
            log,
            duration: started.elapsed(),
            lingered,
        };
        // Docker's own words for "could not run this at all". https://docs.docker.com/engine/containers/run/#exit-status
        if matches!(completed.exit_code, 125..=127) {
            bail!("docker could not run {step}: {}", completed.log.trim());
        }
        let state = read(&files, "GITHUB_STATE").and_then(|text| file_commands::parse(&text))?;
        Ok((completed, state))
    }

    fn docker_run(
        &self,
        container: &str,
        entrypoint: &str,
        variables: &[(String, String)],
        files: &[(&'static str, PathBuf)],
    ) -> Command {
        let mut environment = self.environment.clone();
        environment.extend(variables.iter().cloned());
        environment.insert("GITHUB_ACTION".into(), "__self".into());
        environment.insert("GITHUB_WORKSPACE".into(), self.workspace.display().to_string());
        environment.insert("RUNNER_TEMP".into(), self.temp.display().to_string());
        environment.insert("HOME".into(), self.temp.join("_github_home").display().to_string());
        environment.extend(files.iter().map(|(name, path)| ((*name).to_owned(), path.display().to_string())));

        let mut docker = program("docker");
        docker.args(["run", "--name", container, "--label", "delivery-suite-e2e"]);
        docker.args(["--workdir", "/github/workspace", "--rm"]);
        for (name, value) in &environment {
            // By name alone: the value comes from the client's own environment, so that no secret stands in a command line.
            docker.args(["-e", name]).env(name, self.translate(value));
        }
        docker.args(["-e", "GITHUB_ACTIONS=true", "-e", "CI=true", "--entrypoint", entrypoint, "--network", "host"]);
        for (host, container) in self.mounts() {
            docker.args(["-v", &format!("{}:{container}", host.display())]);
        }
        docker
    }

    /// The files of a step, empty.
    fn files(&self, step: &str) -> Result<Vec<(&'static str, PathBuf)>> {
        let folder = self.temp.join("_runner_file_commands");
        FILES
            .iter()
            .map(|(variable, prefix)| {
                let file = folder.join(format!("{prefix}{step}"));
                std::fs::write(&file, "").with_context(|| format!("cannot create {}", file.display()))?;
                Ok((*variable, file))
            })
            .collect()
    }

    fn mounts(&self) -> Vec<(PathBuf, &'static str)> {
        let mut mounts = vec![(PathBuf::from("/var/run/docker.sock"), "/var/run/docker.sock")];
        mounts.extend(MOUNTS.iter().map(|(folder, container)| (self.temp.join(folder), *container)));
        mounts.push((self.workspace.clone(), "/github/workspace"));
        mounts
    }

    /// A value that is, or begins with, a mounted host path is rewritten to the container's; nothing inside a value is.
    /// <https://github.com/actions/runner/blob/main/src/Runner.Worker/Container/ContainerInfo.cs>
    fn translate(&self, value: &str) -> String {
        let mounts = self.mounts();
        let longest_first = {
            let mut mounts: Vec<_> = mounts.iter().collect();
            mounts.sort_by_key(|(host, _)| std::cmp::Reverse(host.as_os_str().len()));
            mounts
        };
        for (host, container) in longest_first {
            if let Ok(rest) = Path::new(value).strip_prefix(host) {
                return Path::new(container).join(rest).display().to_string().trim_end_matches('/').to_owned();
            }
        }
        value.to_owned()
    }
}

/// Makes the folders of a runner's temporary directory.
pub(crate) fn temporary_folder(path: &Path, event: &str) -> Result<()> {
    for (folder, _) in MOUNTS {
        std::fs::create_dir_all(path.join(folder))?;
    }
    std::fs::write(path.join("_github_workflow/event.json"), event).context("cannot write the event")
}

fn container_name(step: &str) -> String {
    let moment = std::time::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos();
    format!("delivery-suite-e2e-{step}-{moment}")
}

fn read(files: &[(&str, PathBuf)], variable: &str) -> Result<String> {
    let (_, file) = files.iter().find(|(name, _)| *name == variable).context("no such file command")?;
    std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_values_that_begin_with_a_mounted_path_are_translated() {
        let job = Job {
            image: String::new(),
            workspace: "/work/shop/shop".into(),
            temp: "/work/_temp".into(),
            environment: BTreeMap::new(),
            users: BTreeMap::new(),
            token: String::new(),
        };
        for (value, expected) in [
            ("/work/shop/shop", "/github/workspace"),
            ("/work/shop/shop/delivery.toml", "/github/workspace/delivery.toml"),
            ("/work/shop/shop-2", "/work/shop/shop-2"),
            ("file=/work/shop/shop", "file=/work/shop/shop"),
            ("/work/_temp/_github_home", "/github/home"),
            ("/work/_temp/ca.pem", "/github/runner_temp/ca.pem"),
            ("/work/_temp", "/github/runner_temp"),
            ("", ""),
        ] {
            assert_eq!(job.translate(value), expected, "{value}");
        }
    }
}
