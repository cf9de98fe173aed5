//! Where the scenes play: the emulator, the services that already run, the monorepo, and the steps of a workflow.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::aws_api::{ACCOUNT, AwsApi, REGION};
use super::ministack::{Ministack, URL};
use super::monorepo::{ENVIRONMENT, Monorepo};
use super::registry_name::RegistryName;
use super::runner::{self, Job};
use super::users::{self, Credentials};
use super::workflow::Workflow;
use super::{infrastructure, registry_name};
use crate::process::{Run, program, say, target};
use crate::{docker, image, poll};

/// Everything that a scene needs. Fields are dropped in order: the emulator before the name that it serves.
pub(crate) struct Stage {
    pub(crate) repository: Monorepo,
    folder: PathBuf,
    /// How many runs of the workflow there have been.
    runs: AtomicU32,
    users: BTreeMap<String, Credentials>,
    aws: Ministack,
    registry: RegistryName,
}

impl Stage {
    /// Sets the stage, with nothing left from the run before.
    pub(crate) fn set(binary: &Path) -> Result<Self> {
        // First: it keeps a second run from the folders and images of this one.
        let registry = RegistryName::claim()?;
        let folder = target().join("e2e/run");
        if folder.exists() {
            std::fs::remove_dir_all(&folder).with_context(|| format!("cannot clear {}", folder.display()))?;
        }
        // A run that was killed left its tasks running, and their images in use.
        docker::remove_containers("name=ministack-ecs-")?;
        forget_local_images("*")?;
        let aws = Ministack::start(&registry)?;
        infrastructure::create(aws.api, binary, &folder)?;
        let users = users::create(aws.api)?;
        let repository = Monorepo::create(folder.join("work/payments/payments"), binary)?;
        Ok(Self { repository, folder, runs: AtomicU32::new(0), users, aws, registry })
    }

    /// One run of the workflow for a push: `before` is the branch's commit before it.
    pub(crate) fn push(&self, commit: &str, before: &str) -> Result<Workflow> {
        self.push_to(&self.repository, commit, before, &[])
    }

    /// The same in another repository, with more in the job's `env`.
    pub(crate) fn push_to(
        &self,
        repository: &Monorepo,
        commit: &str,
        before: &str,
        more: &[(&str, &str)],
    ) -> Result<Workflow> {
        let event = json!({
            "ref": "refs/heads/main",
            "before": before,
            "after": commit,
            "repository": { "full_name": "payments/payments", "default_branch": "main" },
        });
        self.run_for(repository, commit, &event, more)
    }

    /// One run of the workflow for another event: `more` says of which kind.
    pub(crate) fn run_for(
        &self,
        repository: &Monorepo,
        commit: &str,
        event: &Value,
        more: &[(&str, &str)],
    ) -> Result<Workflow> {
        // Each run has a runner of its own.
        let run = self.runs.fetch_add(1, Ordering::Relaxed);
        let temp = self.folder.join(format!("work/_temp-{run}"));
        runner::temporary_folder(&temp, &event.to_string())?;
        std::fs::copy(self.registry.certificate(), temp.join("registry.pem"))?;
        let mut environment = self.environment(commit, &temp.join("registry.pem").display().to_string());
        environment.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let job = Job {
            image: image::TAG.into(),
            workspace: repository.path.clone(),
            temp,
            environment,
            users: self.users.clone(),
            // No GitHub is at hand, and a token that is blank is how the suite is told so.
            token: String::new(),
        };
        Ok(Workflow::of(job))
    }

    /// The emulated AWS.
    pub(crate) fn aws(&self) -> AwsApi {
        self.aws.api
    }

    /// The certificate of the registry.
    pub(crate) fn certificate(&self) -> &Path {
        self.registry.certificate()
    }

    /// Pushes the suite's image into the registry, as a release does. Answers it by digest.
    pub(crate) fn push_suite(&self, version: &str) -> Result<String> {
        let image = format!("{}/delivery/suite:{version}", registry_name::host());
        infrastructure::create_repository(self.aws.api, "delivery/suite")?;
        program("docker").args(["tag", image::TAG, &image]).read()?;
        infrastructure::push(&image, &self.folder)?;
        let digest =
            program("docker").args(["image", "inspect", "--format", "{{index .RepoDigests 0}}", &image]).read()?;
        Ok(digest.trim().to_owned())
    }

    /// Where another repository may lie.
    pub(crate) fn place(&self, name: &str) -> PathBuf {
        self.folder.join("work").join(name).join(name)
    }

    /// Makes a repository for images.
    pub(crate) fn create_repository(&self, name: &str) -> Result<()> {
        infrastructure::create_repository(self.aws.api, name)
    }

    /// Makes an environment whose services run the bootstrap image.
    pub(crate) fn create_environment(&self, environment: &str) -> Result<()> {
        infrastructure::create_environment(self.aws.api, environment)
    }

    /// Makes a service without tasks.
    pub(crate) fn create_idle_service(&self, name: &str) -> Result<()> {
        infrastructure::create_idle_service(self.aws.api, name)
    }

    /// A folder of a scene's own.
    pub(crate) fn folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.folder.join(name);
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(folder)
    }

    /// The version that a service answers with through its load balancer.
    pub(crate) fn version(&self, service: &str) -> Result<String> {
        self.version_in(ENVIRONMENT, service)
    }

    /// The same in another environment.
    pub(crate) fn version_in(&self, environment: &str, service: &str) -> Result<String> {
        let mut response =
            ureq::get(format!("{URL}/_alb/{}/health", infrastructure::load_balancer(environment, service))).call()?;
        let body: Value = response.body_mut().read_json()?;
        let version = body.get("version").and_then(Value::as_str);
        Ok(version.with_context(|| format!("{service} answered without a version: {body}"))?.to_owned())
    }

    /// Every one of some requests in a row is answered by this version, from whichever task it reaches.
    pub(crate) fn expect_version(&self, service: &str, version: &str) -> Result<()> {
        (0..6).try_for_each(|_| self.expect(service, version))?;
        say(format!("  {service} answers: {}", short(version)));
        Ok(())
    }

    /// Waits until a service that was just created answers.
    pub(crate) fn wait_for(&self, service: &str) -> Result<()> {
        poll::until(&format!("an answer from {service}"), Duration::from_secs(60), || self.version(service)).map(drop)
    }

    /// Waits until every task of a service runs this version and ECS is done with it.
    pub(crate) fn wait_for_version(&self, service: &str, version: &str) -> Result<()> {
        poll::until(&format!("version {} of {service}", short(version)), Duration::from_secs(60), || {
            let found = self.service(service)?;
            let primary = primary(&found);
            if primary.and_then(|primary| primary.get("rolloutState")?.as_str()) != Some("COMPLETED") {
                bail!("ECS still works on it: {found}");
            }
            (0..6).try_for_each(|_| self.expect(service, version))
        })?;
        say(format!("  {service} answers: {}", short(version)));
        Ok(())
    }

    /// The task definition that a service is told to run.
    pub(crate) fn task_definition(&self, service: &str) -> Result<String> {
        let found = self.service(service)?;
        let arn = found.get("taskDefinition").and_then(Value::as_str);
        Ok(arn.with_context(|| format!("{service} has no task definition: {found}"))?.to_owned())
    }

    /// The tasks of a service that run, by ARN, in order.
    pub(crate) fn tasks(&self, service: &str) -> Result<Vec<String>> {
        let request = json!({ "cluster": infrastructure::cluster(ENVIRONMENT), "serviceName": service, "desiredStatus": "RUNNING" });
        let listed = self.aws.api.ecs("ListTasks", &request)?;
        let arns = listed.get("taskArns").cloned().with_context(|| format!("no tasks are listed: {listed}"))?;
        let mut arns: Vec<String> = serde_json::from_value(arns)?;
        arns.sort_unstable();
        Ok(arns)
    }

    /// What the environment's ledger says last, in its own short words: `r` is the release, `s` how it ended.
    pub(crate) fn ledger(&self) -> Result<Value> {
        let text = self.parameter("release")?.context("the environment has no ledger")?;
        serde_json::from_str(&text).with_context(|| format!("the ledger is not JSON: {text}"))
    }

    /// Whether somebody holds the environment's lock.
    pub(crate) fn is_locked(&self) -> Result<bool> {
        Ok(self.parameter("lock")?.is_some())
    }

    /// A parameter of the environment; `None` if there is none of this name.
    fn parameter(&self, name: &str) -> Result<Option<String>> {
        let request = json!({ "Names": [format!("/delivery/payments/{ENVIRONMENT}/{name}")] });
        let answer = self.aws.api.ssm("GetParameters", &request)?;
        Ok(answer.pointer("/Parameters/0/Value").and_then(Value::as_str).map(str::to_owned))
    }

    /// A service as ECS describes it.
    fn service(&self, service: &str) -> Result<Value> {
        let request = json!({ "cluster": infrastructure::cluster(ENVIRONMENT), "services": [service] });
        let described = self.aws.api.ecs("DescribeServices", &request)?;
        described.pointer("/services/0").cloned().with_context(|| format!("{service} is not there: {described}"))
    }

    fn expect(&self, service: &str, version: &str) -> Result<()> {
        let answered = self.version(service)?;
        if answered != version {
            bail!("{service} answered with version {answered}, expected {version}");
        }
        Ok(())
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

/// The deployment that ECS works towards.
fn primary(service: &Value) -> Option<&Value> {
    let deployments = service.get("deployments")?.as_array()?;
    deployments.iter().find(|deployment| deployment.get("status").and_then(Value::as_str) == Some("PRIMARY"))
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
