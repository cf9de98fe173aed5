//! What the caller wrote.

use clap::{ArgAction, Parser, ValueEnum};
use common::inputs::{CommonInputs, boolean};
use common::ledger::Target as Release;
use common::names::{ClusterName, ContainerName, EnvironmentName, Secret, ServiceName};

/// The inputs of `ecs-deploy`. Their comments are the descriptions in `action.yml`.
#[derive(Debug, Parser)]
#[command(name = "ecs-deploy", disable_help_flag = true)]
pub struct Inputs {
    /// The inputs of every action.
    #[command(flatten)]
    pub common: CommonInputs,
    /// What to do with the services: deploy the commit, roll back to an earlier release, restart, scale, rotate a secret, promote the release of another environment, explain how the last deployment ended, or look whether everything that a deployment needs is there (preflight).
    #[arg(long, value_enum, default_value = "deploy")]
    pub operation: OperationName,
    /// The ECS cluster. Blank: the environment's.
    #[arg(long)]
    pub cluster: Option<ClusterName>,
    /// The one ECS service to deploy, for use without a delivery file, or another name for the one in `services`.
    #[arg(long)]
    pub service: Option<ServiceName>,
    /// What to deploy: a task definition file (JSON with `${VARIABLE}`s), or `family:revision` or an ARN that exists already. Blank: the delivery file's, else what the service runs now.
    #[arg(long)]
    pub task_definition: Option<String>,
    /// The container that gets the image. Blank: the delivery file's, else the only container.
    #[arg(long)]
    pub container: Option<ContainerName>,
    /// The image to deploy, by digest (`…/shop/auth@sha256:…`). Blank: the one that is tagged with the commit in the service's repository.
    #[arg(long)]
    pub image: Option<String>,
    /// How traffic moves to the new version: `rolling`, `blue-green`, or a table as in the delivery file: `{ kind = "canary", percent = 10, step = "5m" }`. Blank: the environment's, else what the service is set to.
    #[arg(long)]
    pub strategy: Option<String>,
    /// How many tasks the service is to have (`operation: scale`). Autoscaling may change it again.
    #[arg(long)]
    pub desired_count: Option<u32>,
    /// `operation: rollback`: the release to go back to. A release number, a commit, or `previous`: the last that succeeded before the present one.
    #[arg(long)]
    pub to: Option<Release>,
    /// `operation: promote`: the environment whose release is deployed to this one, image by image.
    #[arg(long)]
    pub from: Option<EnvironmentName>,
    /// `operation: rotate`: the name or ARN of the parameter (Parameter Store) or secret (Secrets Manager).
    #[arg(long)]
    pub secret: Option<String>,
    /// `operation: rotate`: its new value. Blank: it was written already, and what uses it is only restarted.
    #[arg(long)]
    pub secret_value: Option<Secret>,
    /// Start a new deployment even if nothing changed.
    #[arg(long, action = ArgAction::Set, value_parser = boolean, default_value = "false")]
    pub force: bool,
    /// Create a service that does not exist yet, from the delivery file's `service-definition`.
    #[arg(long, action = ArgAction::Set, value_parser = boolean, default_value = "false")]
    pub create: bool,
    /// Deploy a commit even if it is older than the one that runs.
    #[arg(long, action = ArgAction::Set, value_parser = boolean, default_value = "false")]
    pub allow_older: bool,
    /// What to do when another run holds the environment's lock, or a deployment that is not ours is on its way: wait for it, take its place, or refuse.
    #[arg(long, value_enum, default_value = "wait")]
    pub on_conflict: OnConflict,
    /// What to do with the deployments that this run started when it is cancelled: take them back, or let ECS go on.
    #[arg(long, value_enum, default_value = "rollback")]
    pub on_cancel: OnCancel,
    /// What to do with a service whose first deployment fails, so that there is nothing to go back to.
    #[arg(long, value_enum, default_value = "leave")]
    pub on_first_failure: OnFirstFailure,
    /// Whether what runs now can run on the databases as they are: run-migration's output of the same name. `false`: a release that fails is not put back by this run. Blank: nobody knows, and it is put back.
    #[arg(long, action = ArgAction::Set, value_parser = boolean)]
    pub rollback_safe: Option<bool>,
}

/// The words of `operation`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[expect(missing_docs, reason = "the words are explained where they are read")]
pub enum OperationName {
    Deploy,
    Rollback,
    Restart,
    Scale,
    Rotate,
    Promote,
    Explain,
    Preflight,
}

/// The words of `on-conflict`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OnConflict {
    /// Wait until the other one is over.
    Wait,
    /// Take its place.
    Supersede,
    /// Do nothing, and say so.
    Refuse,
}

/// The words of `on-cancel`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OnCancel {
    /// Take back what this run updated: one request a service.
    Rollback,
    /// Let ECS go on.
    Detach,
}

/// The words of `on-first-failure`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OnFirstFailure {
    /// Leave it as it is.
    Leave,
    /// Stop its tasks: the desired count becomes 0.
    ScaleToZero,
}

impl OperationName {
    /// The word as the caller writes it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Deploy => "deploy",
            Self::Rollback => "rollback",
            Self::Restart => "restart",
            Self::Scale => "scale",
            Self::Rotate => "rotate",
            Self::Promote => "promote",
            Self::Explain => "explain",
            Self::Preflight => "preflight",
        }
    }
}

impl AsRef<CommonInputs> for Inputs {
    fn as_ref(&self) -> &CommonInputs {
        &self.common
    }
}
