//! `health-gate`: watches services until they are proven healthy, or not. No data is no health.
//!
//! `inputs` (what the caller wrote) → `config` (what they meant; `condition` is the little language of `expect`) → `facts`
//! (what is true out there) → `plan` (what will be checked: `check` by check) → `effects` (looking: `probe` asks the service, `state`
//! ECS and the load balancer, `alarms` and `metric` what is measured; `tally` judges; `smoke` runs once at the end; `pause` is a hook
//! that a deployment waits at, and the verdict's answer to it) → `report`.

mod alarms;
mod check;
pub mod condition;
mod config;
mod effects;
mod facts;
mod inputs;
mod metric;
mod pause;
mod plan;
mod probe;
mod report;
mod smoke;
mod sparkline;
mod state;
mod tally;
mod words;

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
    outputs: &[
        ("verdicts", "The verdict on each service, as a JSON object by service."),
        (
            "rollback",
            "With `on-unhealthy: rollback`: `requested`, ECS takes back a deployment that was on its way; `needed`, one that has arrived is ecs-deploy's to roll back; `none`.",
        ),
    ],
    permissions: &[
        ("contents: read", "to check out delivery.toml"),
        ("id-token: write", "for `role-to-assume`"),
        ("deployments: write", "only for `deployment-status`"),
        ("pull-requests: write", "only for the comment on a pull request"),
    ],
    iam: &[
        ("ecs:DescribeServices", "to see whether the deployment is complete and all tasks run"),
        ("ecs:DescribeTaskDefinition", "to see which image runs"),
        ("ecs:ListTasks", "to find the tasks of the deployment"),
        ("ecs:DescribeTasks", "to see their health, their addresses, and why others stopped"),
        (
            "ecs:ListServiceDeployments",
            "only for `answer-pause` and `on-unhealthy: rollback`: to find the deployment that waits, or is on its way",
        ),
        (
            "ecs:DescribeServiceDeployments",
            "only for `answer-pause` and `on-unhealthy: rollback`: to see what it waits at",
        ),
        ("ecs:ContinueServiceDeployment", "only for `answer-pause`: to answer the hook"),
        ("ecs:StopServiceDeployment", "only for `on-unhealthy: rollback`"),
        ("ecs:RunTask", "only for `smoke-command`"),
        ("ecs:StopTask", "only for `smoke-command`: to end one that takes too long"),
        ("iam:PassRole", "only for `smoke-command`: the task definition's own roles"),
        ("ecr:DescribeImages", "to know the digest behind the commit's tag"),
        ("ecr:DescribeRepositories", "to know the repository's address"),
        ("elasticloadbalancing:DescribeTargetHealth", "to see whether the load balancer finds the tasks healthy"),
        ("elasticloadbalancing:DescribeTargetGroups", "only for the metrics of a load balancer: to know its name"),
        ("cloudwatch:DescribeAlarms", "only for `alarms`"),
        ("tag:GetResources", "only for `alarms` by tag: to find them"),
        ("cloudwatch:GetMetricData", "only for `metrics`"),
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
    let plan = plan::plan(&config, facts, edges.now())?;
    edges.runner.group("Plan", plan.to_string());
    if config.dry_run {
        return Ok(report::planned(&config, &plan));
    }
    let outcome = effects::watch(&config, plan, aws.as_ref(), edges).await;
    Ok(report::report(&config, &outcome))
}
