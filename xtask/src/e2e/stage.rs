//! Where the scenes play: the emulator, the services that already run, the monorepo, and the steps of a workflow.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::ministack::{ACCOUNT, Ministack, REGION, URL};
use super::monorepo::{ENVIRONMENT, Monorepo};
use super::registry_name::RegistryName;
use super::runner::{self, Completed, Job};
use super::{infrastructure, registry_name};
use crate::process::{say, target};
use crate::{docker, image, poll};

/// Words that end a step with exit code 0. <https://docs.github.com/en/actions/how-tos/create-and-publish-actions/set-exit-codes>
const GOOD: [&str; 9] =
    ["affected", "none", "planned", "pushed", "unchanged", "applied", "skipped", "deployed", "healthy"];

/// Everything that a scene needs. Fields are dropped in order: the emulator before the name that it serves.
pub(crate) struct Stage {
    pub(crate) repository: Monorepo,
    folder: PathBuf,
    aws: Ministack,
    registry: RegistryName,
}

impl Stage {
    /// Sets the stage, with nothing left from the run before.
    pub(crate) fn set(binary: &std::path::Path) -> Result<Self> {
        // First: it keeps a second run from the folders and images of this one.
        let registry = RegistryName::claim()?;
        let folder = target().join("e2e/run");
        if folder.exists() {
            std::fs::remove_dir_all(&folder).with_context(|| format!("cannot clear {}", folder.display()))?;
        }
        forget_local_images("*")?;
        let aws = Ministack::start(&registry)?;
        infrastructure::create(&aws, binary, &folder)?;
        let repository = Monorepo::create(folder.join("work/payments/payments"), binary)?;
        Ok(Self { repository, folder, aws, registry })
    }

    /// One run of the workflow for a push: `before` is the branch's commit before it.
    pub(crate) fn push(&self, commit: &str, before: &str) -> Result<Workflow> {
        let temp = self.folder.join("work/_temp");
        let event = json!({
            "ref": "refs/heads/main",
            "before": before,
            "after": commit,
            "repository": { "full_name": "payments/payments", "default_branch": "main" },
        });
        runner::temporary_folder(&temp, &event.to_string())?;
        std::fs::copy(self.registry.certificate(), temp.join("registry.pem"))?;
        let environment = self.environment(commit, &temp.join("registry.pem").display().to_string());
        let job = Job {
            image: image::TAG.into(),
            workspace: self.repository.path.clone(),
            temp,
            environment,
            // No GitHub is at hand, and a token that is blank is how the suite is told so.
            token: String::new(),
        };
        Ok(Workflow { job })
    }

    /// The version that a service answers with through its load balancer.
    pub(crate) fn version(&self, service: &str) -> Result<String> {
        let mut response = ureq::get(format!("{URL}/_alb/{service}/health")).call()?;
        let body: Value = response.body_mut().read_json()?;
        let version = body.get("version").and_then(Value::as_str);
        Ok(version.with_context(|| format!("{service} answered without a version: {body}"))?.to_owned())
    }

    /// Every one of some requests in a row is answered by this version, from whichever task it reaches.
    pub(crate) fn expect_version(&self, service: &str, version: &str) -> Result<()> {
        for _ in 0..6 {
            let answered = self.version(service)?;
            if answered != version {
                bail!("{service} answered with version {answered}, expected {version}");
            }
        }
        say(format!("  {service} answers: {}", short(version)));
        Ok(())
    }

    /// Waits until a service that was just created answers.
    pub(crate) fn wait_for(&self, service: &str) -> Result<()> {
        poll::until(&format!("an answer from {service}"), Duration::from_secs(60), || self.version(service)).map(drop)
    }

    /// The task definition that a service is told to run.
    pub(crate) fn task_definition(&self, service: &str) -> Result<String> {
        let request = json!({ "cluster": infrastructure::cluster(), "services": [service] });
        let described = self.aws.ecs("DescribeServices", &request)?;
        let arn = described.pointer("/services/0/taskDefinition").and_then(Value::as_str);
        Ok(arn.with_context(|| format!("{service} is not there: {described}"))?.to_owned())
    }

    fn environment(&self, commit: &str, certificate: &str) -> BTreeMap<String, String> {
        let workspace = self.repository.path.parent().unwrap_or(&self.folder).display().to_string();
        let variables = [
            ("AWS_CA_BUNDLE", certificate),
            ("GITHUB_ACTOR", "octocat"),
            ("GITHUB_API_URL", "https://api.github.com"),
            ("GITHUB_BASE_REF", ""),
            ("GITHUB_EVENT_NAME", "push"),
            ("GITHUB_EVENT_PATH", "/github/workflow/event.json"),
            ("GITHUB_GRAPHQL_URL", "https://api.github.com/graphql"),
            ("GITHUB_HEAD_REF", ""),
            ("GITHUB_JOB", "deliver"),
            ("GITHUB_REF", "refs/heads/main"),
            ("GITHUB_REF_NAME", "main"),
            ("GITHUB_REF_PROTECTED", "true"),
            ("GITHUB_REF_TYPE", "branch"),
            ("GITHUB_REPOSITORY", "payments/payments"),
            ("GITHUB_REPOSITORY_OWNER", "payments"),
            ("GITHUB_RETENTION_DAYS", "90"),
            ("GITHUB_RUN_ATTEMPT", "1"),
            ("GITHUB_RUN_ID", "1"),
            ("GITHUB_RUN_NUMBER", "1"),
            ("GITHUB_SERVER_URL", "https://github.com"),
            ("GITHUB_SHA", commit),
            ("GITHUB_TRIGGERING_ACTOR", "octocat"),
            ("GITHUB_WORKFLOW", "deliver"),
            ("GITHUB_WORKFLOW_REF", "payments/payments/.github/workflows/deliver.yml@refs/heads/main"),
            ("GITHUB_WORKFLOW_SHA", commit),
            ("RUNNER_ARCH", if std::env::consts::ARCH == "aarch64" { "ARM64" } else { "X64" }),
            ("RUNNER_ENVIRONMENT", "github-hosted"),
            ("RUNNER_NAME", "end-to-end"),
            ("RUNNER_OS", "Linux"),
            ("RUNNER_TOOL_CACHE", "/opt/hostedtoolcache"),
            ("RUNNER_WORKSPACE", workspace.as_str()),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        credentials().into_iter().chain(variables).collect()
    }
}

/// The job's `env`, as a step that fetched credentials leaves it.
pub(crate) fn credentials() -> [(String, String); 4] {
    [
        ("AWS_ACCESS_KEY_ID", ACCOUNT),
        ("AWS_SECRET_ACCESS_KEY", "not-checked"),
        ("AWS_REGION", REGION),
        ("AWS_ENDPOINT_URL", URL),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
}

/// A run of the workflow: its steps, in one job.
pub(crate) struct Workflow {
    job: Job,
}

impl Workflow {
    /// Runs a step and holds it to the result that it must have, and to what follows from that word: the exit code, one
    /// annotation for a failure and none for a success, a summary.
    pub(crate) fn step(&self, action: &str, with: &[(&str, &str)], result: &str) -> Result<Completed> {
        let inputs: Vec<(&str, &str)> = [("environment", ENVIRONMENT)].iter().chain(with).copied().collect();
        let completed = self.job.run(action, &inputs)?;
        judge(&completed, result).with_context(|| told(action, &completed))?;
        say(format!("  {action:<16} {result:<12} {:5.1} s", completed.duration.as_secs_f64()));
        Ok(completed)
    }
}

fn judge(completed: &Completed, result: &str) -> Result<()> {
    let answered = completed.outputs.get("result").map_or("", String::as_str);
    if answered != result {
        bail!("the result is `{answered}`, expected `{result}`");
    }
    let exit_code = i32::from(!GOOD.contains(&result));
    if completed.exit_code != exit_code {
        bail!("`{result}` ended with exit code {}, expected {exit_code}", completed.exit_code);
    }
    let errors = runner::errors(&completed.log);
    if i32::try_from(errors.len())? != exit_code {
        bail!("`{result}` was annotated with {} errors, expected {exit_code}: {errors:#?}", errors.len());
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

/// The registry is the only hand-over between jobs, which run on machines of their own: what was built here under a tag (`*`
/// is any) is forgotten, by its local name and by the registry's.
pub(crate) fn forget_local_images(tag: &str) -> Result<()> {
    docker::remove_images(&[format!("payments/*:{tag}"), format!("{}/payments/*:{tag}", registry_name::host())])
}

/// A version for people to read.
pub(crate) fn short(version: &str) -> &str {
    version.get(..7).filter(|_| version.len() == 40).unwrap_or(version)
}
