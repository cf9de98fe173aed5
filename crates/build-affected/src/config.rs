//! What the caller meant: every string is checked here, and nothing but the delivery file and the event is read.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use common::aws::Place;
use common::delivery::{Delivery, ImagePolicy};
use common::edges::Edges;
use common::failure::Failure;
use common::names::{ClusterName, CommitSha, Secret, ServiceKey};
use common::runner::{Environment, Event};
use common::scope::Scope;

use crate::inputs::{BaseFrom, Cache, Inputs, Output, Parallel};

/// A comparison, as the caller meant it.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) workspace: PathBuf,
    /// The delivery file's path in the workspace, and so in a commit.
    pub(crate) delivery_file: String,
    /// The delivery file; without one, every project with a Dockerfile is a service.
    pub(crate) delivery: Option<Delivery>,
    /// The services to speak of; `None` is all.
    pub(crate) asked: Option<Vec<ServiceKey>>,
    /// The commit whose services are meant; `None` is what is checked out.
    pub(crate) head: Option<CommitSha>,
    /// The same by another name, which stands for a commit in the clone alone.
    pub(crate) head_name: Option<String>,
    /// What to compare with, if the caller said so.
    pub(crate) base: Option<String>,
    pub(crate) base_from: BaseFrom,
    /// The task of Nx or Turborepo that makes what an image holds.
    pub(crate) task: String,
    /// The targets that a pull request is checked by.
    pub(crate) checks: Vec<String>,
    /// The service that it is asked of why it is not affected.
    pub(crate) why: Option<ServiceKey>,
    /// The workflow run that this is a step of.
    pub(crate) run: WorkflowRun,
    pub(crate) github_token: Secret,
    /// Where in AWS to look for what runs and what is pushed.
    pub(crate) place: Place,
    /// Where it runs, if that is what is compared with.
    pub(crate) cluster: Option<ClusterName>,
    pub(crate) event: Event,
    pub(crate) is_tag: bool,
    /// Where the repository is on the web: a label of the images.
    pub(crate) source: Option<String>,
    pub(crate) policy: ImagePolicy,
    /// What `${NAME}` stands for in each service's table.
    pub(crate) variables: BTreeMap<ServiceKey, BTreeMap<String, String>>,
    pub(crate) build: bool,
    pub(crate) parallel: Parallel,
    pub(crate) cache: Cache,
    pub(crate) output: Output,
    pub(crate) dry_run: bool,
    pub(crate) timeout: Duration,
}

/// A run of a workflow, as far as its runner tells.
#[derive(Debug, Default)]
pub(crate) struct WorkflowRun {
    pub(crate) id: Option<u64>,
    /// The workflow's file: `deliver.yml`.
    pub(crate) workflow: Option<String>,
    /// The branch or the tag.
    pub(crate) reference: Option<String>,
    /// `org/shop`.
    pub(crate) repository: Option<String>,
}

impl Config {
    pub(crate) fn read(inputs: Inputs, edges: &Edges) -> Result<Self, Failure> {
        let Inputs { common, base, base_from, head, target, checks, why, build, parallel, cache, output } = inputs;
        let scope = Scope::resolve(&common, edges)?;
        let twice = |one: &str, other: &str| {
            Failure::input(format!("the inputs `{one}` and `{other}` say the same thing twice"))
                .hint("leave out one of them")
        };
        if base.is_some() && base_from.is_some() {
            return Err(twice("base", "base-from"));
        }
        if head.is_some() && common.commit.is_some() {
            return Err(twice("head", "commit"));
        }
        let base_from = base_from.unwrap_or(BaseFrom::Event);
        let cluster = (base_from == BaseFrom::Deployed).then(|| scope.cluster(None)).transpose()?;
        let environment = edges.runner.environment();
        let source = environment.get("GITHUB_SERVER_URL").zip(environment.get("GITHUB_REPOSITORY"));
        let keys = scope.delivery.iter().flat_map(|delivery| delivery.services.keys());
        let variables = keys.map(|key| (key.clone(), scope.variables(key))).collect();
        Ok(Self {
            variables,
            parallel,
            cache,
            output,
            workspace: scope.workspace,
            delivery_file: common.config.trim_start_matches("./").to_owned(),
            asked: common.services.map(|list| list.0),
            policy: scope.delivery.as_ref().map(|delivery| delivery.image_policy.clone()).unwrap_or_default(),
            delivery: scope.delivery,
            head: scope.commit,
            head_name: head,
            base,
            base_from,
            task: target,
            checks: checks.0,
            why,
            run: WorkflowRun::of(environment),
            github_token: common.github_token,
            place: scope.place,
            cluster,
            event: edges.event()?,
            is_tag: environment.get("GITHUB_REF_TYPE") == Some("tag"),
            source: source.map(|(server, repository)| format!("{server}/{repository}")),
            build,
            dry_run: common.dry_run,
            timeout: common.timeout,
        })
    }
}

impl Config {
    /// The word of the output `history` where each service has a base of its own.
    pub(crate) fn history(&self) -> Option<&'static str> {
        match self.base_from {
            _ if self.base.is_some() => None,
            BaseFrom::Registry => Some("registry"),
            BaseFrom::Deployed => Some("deployed"),
            BaseFrom::Event | BaseFrom::MergeBase | BaseFrom::LastSuccess => None,
        }
    }
}

impl WorkflowRun {
    fn of(environment: &Environment) -> Self {
        let text = |name: &str| environment.get(name).map(str::to_owned);
        // `org/shop/.github/workflows/deliver.yml@refs/heads/main`; a branch's name may have more of both signs.
        let workflow =
            environment.get("GITHUB_WORKFLOW_REF").and_then(|path| path.split('@').next()?.rsplit('/').next());
        Self {
            id: environment.get("GITHUB_RUN_ID").and_then(|id| id.parse().ok()),
            workflow: workflow.map(str::to_owned),
            reference: text("GITHUB_REF_NAME"),
            repository: text("GITHUB_REPOSITORY"),
        }
    }
}
