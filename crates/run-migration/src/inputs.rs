//! What the caller wrote.

use clap::{ArgAction, Parser, ValueEnum};
use common::delivery::BackupWhen;
use common::failure::Failure;
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
    /// What to do: run the migrations, only look at the pending SQL (as for a pull request; nothing is asked of AWS then), or restore a snapshot to a new database.
    #[arg(long, value_enum, default_value = "migrate")]
    pub operation: OperationName,
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
    /// A command that exits with 0 only if no migration is pending, written as `command`. It is asked first: then nothing is backed up, and nothing run. Blank: the delivery file's.
    #[arg(long)]
    pub status: Option<CommandLine>,
    /// The subnets to run in, one a line or separated by commas. Blank: the service's.
    #[arg(long)]
    pub subnets: Option<List<SubnetId>>,
    /// The security groups of the task, one a line or separated by commas. Blank: the service's.
    #[arg(long)]
    pub security_groups: Option<List<SecurityGroupId>>,
    /// Whether the task gets a public address, which it needs in a public subnet to pull its image. Blank: as the service's tasks.
    #[arg(long, action = ArgAction::Set, value_parser = boolean)]
    pub assign_public_ip: Option<bool>,
    /// The commit, branch or tag that migrations are pending since. Blank: where the pull request parted from its base, else the commit that the service runs.
    #[arg(long)]
    pub base: Option<String>,
    /// When to take a snapshot of the database first. Blank: the delivery file's.
    #[arg(long, value_enum)]
    pub backup: Option<BackupWhen>,
    /// The RDS instance of the one service in `service` or `services`. Blank: the delivery file's.
    #[arg(long)]
    pub rds_instance: Option<String>,
    /// The Aurora cluster of the one service in `service` or `services`. Blank: the delivery file's.
    #[arg(long)]
    pub rds_cluster: Option<String>,
    /// For `operation: restore`: the snapshot to restore. Blank: the one that was taken before the service's last migration.
    #[arg(long)]
    pub snapshot: Option<String>,
    /// For `operation: restore`: what the new database is to be called. Blank: the old one's name and `-restored-`, the day and the time.
    #[arg(long)]
    pub restore_to: Option<String>,
    /// For `operation: restore`: the name of the database whose snapshot is restored, typed in by whoever wants that.
    #[arg(long)]
    pub confirm: Option<String>,
    /// For `operation: restore`: have the new database take over the old one's name, and with it its address. The old one is kept under another name. What was written since the snapshot is not in the new one.
    #[arg(long, action = ArgAction::Set, value_parser = boolean, default_value = "false")]
    pub swap_names: bool,
    /// What to do with a task that runs still when the run is cancelled or its time is up: let it go on, for a re-run to follow, or stop it. A migration that is killed half-way may need a person.
    #[arg(long, value_enum, default_value = "detach")]
    pub on_cancel: OnCancel,
}

/// The words of `operation`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[expect(missing_docs, reason = "the words are explained where they are read")]
pub enum OperationName {
    Migrate,
    Lint,
    Restore,
}

/// The words of `on-cancel`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OnCancel {
    /// Let it go on.
    Detach,
    /// Stop it.
    Stop,
}

impl Inputs {
    /// Refuses inputs that are another operation's.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let of_restore = [
            ("snapshot", self.snapshot.is_some()),
            ("restore-to", self.restore_to.is_some()),
            ("confirm", self.confirm.is_some()),
            ("swap-names", self.swap_names),
        ];
        match of_restore.into_iter().find(|(_, is_given)| *is_given) {
            Some((input, _)) if self.operation != OperationName::Restore => {
                Err(Failure::input(format!("input `{input}` is for `operation: restore`"))
                    .hint("set `operation: restore`, or leave it blank"))
            }
            _ => Ok(()),
        }
    }
}

impl AsRef<CommonInputs> for Inputs {
    fn as_ref(&self) -> &CommonInputs {
        &self.common
    }
}
