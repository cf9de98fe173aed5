//! `health-gate`: watches services until they are proven healthy, or not. No data is no health.
//!
//! `inputs` (what the caller wrote) → `config` (what they meant; `condition` is the little language of `expect`) → `facts`
//! (what is true out there) → `plan` (what will be checked) → `effects` (looking: `probe` asks the service, `state` asks AWS;
//! `tally` judges; `pause` is a hook that a deployment waits at, and the verdict's answer to it) → `report`.

mod condition;
mod config;
mod effects;
mod facts;
mod inputs;
mod pause;
mod plan;
mod probe;
mod report;
mod state;
mod tally;

use common::edges::Edges;
use common::failure::Failure;
use common::manifest::Action;
use common::report::Report;

pub use inputs::Inputs;

use config::Config;
use facts::Facts;

/// What the action says of itself.
pub const ACTION: Action = Action {
    name: "health-gate",
    description: "Watches services after a deployment until they are proven healthy, or not: their ECS state, their targets, what they answer, and which version it is that answers.",
    icon: "activity",
    color: "green",
    results: &["healthy", "degraded", "planned", "unhealthy", "undecided"],
    failed: "undecided",
    outputs: &[("verdicts", "The verdict on each service, as a JSON object by service.")],
    permissions: &[
        ("contents: read", "to check out delivery.toml"),
        ("id-token: write", "for `role-to-assume`"),
        ("pull-requests: write", "only for the comment on a pull request"),
    ],
    iam: &[
        ("ecs:DescribeServices", "to see whether the deployment is complete and all tasks run"),
        ("ecs:DescribeTaskDefinition", "to see which image runs"),
        ("ecs:ListServiceDeployments", "only for `answer-pause`: to find the deployment that waits"),
        ("ecs:DescribeServiceDeployments", "only for `answer-pause`: to see the hook that it waits at"),
        ("ecs:ContinueServiceDeployment", "only for `answer-pause`: to answer the hook"),
        ("ecr:DescribeImages", "to know the digest behind the commit's tag"),
        ("ecr:DescribeRepositories", "to know the repository's address"),
        ("elasticloadbalancing:DescribeTargetHealth", "to see whether the load balancer finds the tasks healthy"),
    ],
    post: false,
};

/// Runs the action: the pipeline of its rooms.
pub async fn run(inputs: Inputs, edges: &Edges) -> Result<Report, Failure> {
    let config = Config::read(inputs, edges)?;
    let aws = match config.cluster {
        Some(_) => Some(edges.aws(&config.place).await?),
        None => None,
    };
    let facts = Facts::read(&config, aws.as_ref()).await?;
    let plan = plan::plan(&config, facts)?;
    edges.runner.group("Plan", plan.to_string());
    if config.dry_run {
        return Ok(report::planned(&config, &plan));
    }
    let outcome = effects::watch(&config, plan, aws.as_ref(), edges).await;
    Ok(report::report(&config, &outcome))
}
