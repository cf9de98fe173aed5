//! `run-migration`: runs a service's database migration as a one-off ECS task, follows its log, and says how it ended.
//!
//! `inputs` (what the caller wrote) → `config` (what they meant) → `facts` (what is true out there) → `plan` (what will be
//! done; refuses here, before any write) → `effects` (doing it; `follow` relays the log, `ending` judges) → `report`.

mod command;
mod config;
mod effects;
mod ending;
mod facts;
mod follow;
mod inputs;
mod known_errors;
mod plan;
mod report;
mod summary;

use common::edges::Edges;
use common::failure::Failure;
use common::manifest::Action;
use common::report::Report;

pub use inputs::Inputs;

use config::Config;
use facts::Facts;

/// What the action says of itself.
pub const ACTION: Action = Action {
    name: "run-migration",
    description: "Runs database migrations as one-off tasks on Amazon ECS, from each service's own image and network, follows their logs and says how they ended.",
    icon: "database",
    color: "purple",
    results: &["applied", "skipped", "planned", "failed", "unknown"],
    failed: "failed",
    outputs: &[
        ("task", "The ARN of the migration's task. Of several migrations, the one that `result` speaks of."),
        ("exit-code", "The exit code of the migration's container. Blank if it has none."),
        (
            "class",
            "How it ended, in one word: `success`, `app-exit`, `image-pull`, `secret-fetch`, `network`, `capacity`, `out-of-memory`, `timed-out`, …",
        ),
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
        ("logs:GetLogEvents", "to follow its log"),
        ("ecr:DescribeImages", "to run the digest behind the commit's tag"),
        ("ecr:DescribeRepositories", "to know the repository's address"),
    ],
    post: false,
};

/// Runs the action: the pipeline of its rooms.
pub async fn run(inputs: Inputs, edges: &Edges) -> Result<Report, Failure> {
    let config = Config::read(inputs, edges)?;
    if config.targets.is_empty() {
        return Ok(report::nothing_to_migrate(&config));
    }
    let aws = edges.aws(&config.place).await?;
    let facts = Facts::read(&config, &aws).await?;
    let plan = plan::plan(&config, facts)?;
    edges.runner.group("Plan", plan.to_string());
    if config.dry_run {
        return Ok(report::planned(&config, &plan));
    }
    let outcome = effects::apply(&config, plan, &aws, edges).await;
    Ok(report::report(&config, &outcome))
}
