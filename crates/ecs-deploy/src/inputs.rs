//! What the caller wrote.

use clap::{ArgAction, Parser};
use common::inputs::{CommonInputs, boolean};
use common::names::{ClusterName, ContainerName, ServiceName};

/// The inputs of `ecs-deploy`. Their comments are the descriptions in `action.yml`.
#[derive(Debug, Parser)]
#[command(name = "ecs-deploy", disable_help_flag = true)]
pub struct Inputs {
    /// The inputs of every action.
    #[command(flatten)]
    pub common: CommonInputs,
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
    /// Start a new deployment even if nothing changed.
    #[arg(long, action = ArgAction::Set, value_parser = boolean, default_value = "false")]
    pub force: bool,
}

impl AsRef<CommonInputs> for Inputs {
    fn as_ref(&self) -> &CommonInputs {
        &self.common
    }
}
