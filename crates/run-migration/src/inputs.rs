//! What the caller wrote.

use clap::{ArgAction, Parser};
use common::inputs::{CommonInputs, List, boolean};
use common::names::{ClusterName, ContainerName, SecurityGroupId, ServiceName, SubnetId};

use crate::command::CommandLine;

/// The inputs of `run-migration`. Their comments are the descriptions in `action.yml`.
#[derive(Debug, Parser)]
#[command(name = "run-migration", disable_help_flag = true)]
pub struct Inputs {
    /// The inputs of every action.
    #[command(flatten)]
    pub common: CommonInputs,
    /// The ECS cluster. Blank: the environment's.
    #[arg(long)]
    pub cluster: Option<ClusterName>,
    /// The one ECS service to migrate for, for use without a delivery file, or another name for the one in `services`. Task definition, network and launch type are taken from it.
    #[arg(long)]
    pub service: Option<ServiceName>,
    /// What the migration's task is made from: a task definition file (JSON with `${VARIABLE}`s), or `family:revision` or an ARN, which is run as it is. Blank: the delivery file's, else what the service runs now.
    #[arg(long)]
    pub task_definition: Option<String>,
    /// The container that runs the command, and whose exit code is the verdict. Blank: the delivery file's, else the only container.
    #[arg(long)]
    pub container: Option<ContainerName>,
    /// The image to run, by digest (`…/shop/auth@sha256:…`). Blank: the one that is tagged with the commit in the service's repository.
    #[arg(long)]
    pub image: Option<String>,
    /// The command, as words (`npx prisma migrate deploy`) or as a JSON list where one needs quotes or a shell. Blank: the delivery file's.
    #[arg(long)]
    pub command: Option<CommandLine>,
    /// The subnets to run in, one a line or separated by commas. Blank: the service's.
    #[arg(long)]
    pub subnets: Option<List<SubnetId>>,
    /// The security groups of the task, one a line or separated by commas. Blank: the service's.
    #[arg(long)]
    pub security_groups: Option<List<SecurityGroupId>>,
    /// Whether the task gets a public address, which it needs in a public subnet to pull its image. Blank: as the service's tasks.
    #[arg(long, action = ArgAction::Set, value_parser = boolean)]
    pub assign_public_ip: Option<bool>,
}

impl AsRef<CommonInputs> for Inputs {
    fn as_ref(&self) -> &CommonInputs {
        &self.common
    }
}
