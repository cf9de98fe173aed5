//! `ecs-deploy`: deploys services to Amazon ECS, watches each deployment to its real end, and says why it ended so.
//!
//! `inputs` (what the caller wrote) → `config` (what they meant) → `facts` (what is true out there) → `plan` (what will be
//! done; refuses here, before any write) → `effects` (doing it) → `report` (what happened).

mod config;
mod diagnosis;
mod diff;
mod effects;
mod facts;
mod inputs;
mod plan;
mod report;
mod rollout;

use common::edges::Edges;
use common::failure::Failure;
use common::manifest::Action;
use common::report::Report;

pub use inputs::Inputs;

use config::Config;
use facts::Facts;

/// What the action says of itself.
pub const ACTION: Action = Action {
    name: "ecs-deploy",
    description: "Deploys services to Amazon ECS, watches each deployment to its real end and says why it ended so.",
    icon: "upload-cloud",
    color: "blue",
    results: &[
        "deployed",
        "unchanged",
        "planned",
        "rolled-back",
        "rollback-failed",
        "failed",
        "superseded",
        "timed-out",
        "cancelled",
        "refused",
    ],
    failed: "refused",
    outputs: &[
        ("task-definitions", "The task definition that each service was to run, as a JSON object by service."),
        ("services", "How it ended for each service, as a JSON object by service."),
    ],
    permissions: &[
        ("contents: read", "to check out delivery.toml and the task definition files"),
        ("id-token: write", "for `role-to-assume`"),
        ("pull-requests: write", "only for the comment on a pull request"),
    ],
    iam: &[
        ("ecs:DescribeServices", "to see what runs and to watch it change"),
        ("ecs:DescribeTaskDefinition", "to compare with what runs"),
        ("ecs:RegisterTaskDefinition", "to register a changed task definition"),
        ("ecs:TagResource", "only if task definitions carry tags"),
        ("iam:PassRole", "for the task role and the execution role of the task definitions"),
        ("ecs:UpdateService", "to deploy it"),
        ("ecs:ListServiceDeployments", "to follow the deployment that this run started, and no other"),
        ("ecs:DescribeServiceDeployments", "to know how that deployment ended"),
        ("ecs:DescribeServiceRevisions", "to know which deployment is this run's"),
        ("ecs:ListTasks", "to find the tasks that failed"),
        ("ecs:DescribeTasks", "to say why they stopped"),
        ("logs:GetLogEvents", "to show the last lines of the containers that failed"),
        ("ecr:DescribeImages", "to deploy the digest behind the commit's tag"),
        ("ecr:DescribeRepositories", "to know the repository's address"),
    ],
};

/// Runs the action: the pipeline of its rooms.
pub async fn run(inputs: Inputs, edges: &Edges) -> Result<Report, Failure> {
    let config = Config::read(inputs, edges)?;
    let aws = edges.aws(&config.place).await?;
    let facts = Facts::read(&config, &aws).await?;
    let plan = plan::plan(&config, facts)?;
    edges.runner.group("Plan", plan.to_string());
    if config.dry_run {
        return Ok(report::planned(&config, &plan));
    }
    let outcome = effects::apply(&config, plan, &aws, edges).await;
    Ok(report::report(&config, &outcome, &aws))
}
