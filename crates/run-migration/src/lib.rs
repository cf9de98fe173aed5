//! `run-migration`: runs a service's database migration as a one-off ECS task, follows its log, and says how it ended.
//!
//! `inputs` (what the caller wrote) → `config` (what they meant) → `facts` (what is true out there) → `plan` (what will be
//! done; refuses here, before any write) → `effects` (doing it: `ask`, `backup`, `start`, `watch`, `log`; `ending` judges) → `report`.

mod backup;
mod check;
mod class;
mod command;
mod config;
mod effects;
mod ending;
mod facts;
mod inputs;
mod known_errors;
mod lint;
mod pending;
mod plan;
mod post;
mod report;
mod restore;
mod runbook;
mod state;
mod summary;

use common::edges::Edges;
use common::failure::Failure;
use common::manifest::Action;
use common::preflight;
use common::report::Report;

pub use inputs::{Inputs, OnCancel, OperationName};
pub use post::post;

use config::Config;
use facts::Facts;

/// What the action says of itself.
pub const ACTION: Action = Action {
    name: "run-migration",
    description: "Runs database migrations as one-off tasks on Amazon ECS, from each service's own image and network, follows their logs and says how they ended.",
    icon: "database",
    color: "purple",
    results: &["applied", "skipped", "planned", "restored", "failed", "unknown"],
    failed: "failed",
    outputs: &[
        ("task", "The ARN of the migration's task. Of several migrations, the one that `result` speaks of."),
        ("exit-code", "The exit code of the migration's container. Blank if it has none."),
        (
            "class",
            "How it ended, in one word: `success`, `nothing-pending`, `app-exit`, `image-pull`, `secret-fetch`, `network`, `capacity`, `out-of-memory`, `timed-out`, …",
        ),
        ("snapshot", "The snapshot that was taken before, or restored. Blank if there is none."),
        (
            "rollback-safe",
            "`true` if the versions before can run on the databases afterwards, `false` if not, blank where nobody knows: by the pending SQL.",
        ),
        ("endpoint", "Where a restored database answers: `host:port`."),
    ],
    permissions: &[
        ("contents: read", "to check out delivery.toml and the task definition files"),
        ("id-token: write", "for `role-to-assume`"),
        ("pull-requests: write", "only for the comment on a pull request"),
    ],
    iam: &[
        ("ecs:DescribeServices", "to take network and launch type from the service"),
        ("ecs:DescribeTaskDefinition", "to make the migration's task from what the service runs"),
        ("ecs:RegisterTaskDefinition", "to register it with the commit's image"),
        ("ecs:TagResource", "only if task definitions carry tags"),
        ("iam:PassRole", "for the task role and the execution role of the task definition"),
        ("ecs:ListTasks", "to find a task that an earlier attempt of the same run started"),
        ("ecs:RunTask", "to start the migration"),
        ("ecs:DescribeTasks", "to know how it ended"),
        ("ecs:StopTask", "only for `on-cancel: stop`, and for a `status` command that hangs"),
        ("logs:GetLogEvents", "to follow its log"),
        ("ecr:DescribeImages", "to run the digest behind the commit's tag"),
        ("ecr:DescribeRepositories", "to know the repository's address"),
        ("ssm:GetParameters", "to see that the parameters exist which the task is given; no value is decrypted"),
        ("ssm:DescribeParameters", "to suggest a name in place of a misspelt one"),
        ("secretsmanager:DescribeSecret", "to see that the secrets exist which the task is given"),
        (
            "secretsmanager:GetSecretValue",
            "only for task definitions that name a key of a JSON secret, to see that it has it",
        ),
        ("iam:GetRole", "to see that the task role and the execution role exist"),
        ("iam:SimulatePrincipalPolicy", "to see that the execution role may read the secrets"),
        ("logs:DescribeLogGroups", "to see that the log groups exist"),
        ("ecr:BatchGetImage", "to see that the images exist"),
        ("ecr:GetDownloadUrlForLayer", "to see that the images are built for the task's processor"),
        ("rds:DescribeDBInstances", "only for backups, to see that the database is available"),
        ("rds:DescribeDBClusters", "the same of Aurora clusters"),
        ("rds:CreateDBSnapshot", "only for backups"),
        ("rds:CreateDBClusterSnapshot", "only for backups of Aurora clusters"),
        ("rds:AddTagsToResource", "only for backups, which are known by their tags"),
        ("rds:DescribeDBSnapshots", "only for backups, to wait for them"),
        ("rds:DescribeDBClusterSnapshots", "the same of Aurora clusters"),
        ("rds:DeleteDBSnapshot", "only for backups, to delete our old ones"),
        ("rds:DeleteDBClusterSnapshot", "the same of Aurora clusters"),
        ("rds:RestoreDBInstanceFromDBSnapshot", "only for `operation: restore`"),
        ("rds:RestoreDBClusterFromSnapshot", "only for `operation: restore` of Aurora clusters"),
        ("rds:CreateDBInstance", "the same: a restored cluster has no instance"),
        ("rds:ModifyDBInstance", "only for `swap-names`"),
        ("rds:ModifyDBCluster", "only for `swap-names` of Aurora clusters"),
        ("ssm:GetParameter", "to read what was migrated before, for a restore"),
        ("ssm:PutParameter", "to write down what was migrated, and from which snapshot it can be restored"),
        ("kms:Decrypt", "only for JSON secrets that are encrypted with a key of your own"),
    ],
    post: true,
};

/// Runs the action.
pub async fn run(inputs: Inputs, edges: &Edges) -> Result<Report, Failure> {
    inputs.check()?;
    match inputs.operation {
        OperationName::Migrate => migrate(inputs, edges).await,
        OperationName::Lint => check::check(inputs, edges),
        OperationName::Restore => restore::restore(inputs, edges).await,
    }
}

/// Migrates: the pipeline of the rooms.
async fn migrate(inputs: Inputs, edges: &Edges) -> Result<Report, Failure> {
    let config = Config::read(inputs, edges)?;
    if config.targets.is_empty() {
        return Ok(report::nothing_to_migrate(&config));
    }
    let aws = edges.aws(&config.place).await?;
    let facts = Facts::read(&config, &aws).await?;
    let plan = plan::plan(&config, facts)?;
    if plan.is_blocked() {
        edges.runner.group("Plan", plan.to_string());
        return Ok(report::refused(&config, &plan));
    }
    let findings = preflight::check(&aws, &plan.to_check()).await;
    let plan = plan.checked(findings)?;
    edges.runner.group("Plan", plan.to_string());
    if config.dry_run {
        return Ok(report::planned(&config, &plan));
    }
    let outcome = effects::apply(&config, &plan, &aws, edges).await;
    Ok(report::report(&config, &plan, &outcome))
}
