//! `ecs-deploy`: deploys services to Amazon ECS, watches each deployment to its real end, puts back what failed, and says why.
//!
//! `inputs` (what the caller wrote) → `config` (what they meant) → `facts` (what is true out there) → `wanted` (what each
//! service is to run) → `plan` (what will be done; refuses here, before any write) → `turn` (the lock, and deployments that are
//! not ours) → `effects` (doing it, and undoing it) → `report` (what happened).
//!
//! The judgements are pure and have rooms of their own: `checks` (what speaks against deploying), `rollout` (how far a
//! deployment is), `crash` (whether it can still succeed), `unfinished` (where a release that was cut off goes back to),
//! `words` (what that is called).

mod checks;
mod config;
mod crash;
mod diagnosis;
mod diff;
mod effects;
mod explain;
mod facts;
mod inputs;
mod permissions;
mod plan;
mod post;
mod report;
mod rollout;
mod state;
mod strategy;
mod turn;
mod unfinished;
mod wanted;
mod words;

use common::aws::Aws;
use common::edges::Edges;
use common::failure::Failure;
use common::ledger::DEPLOYING;
use common::manifest::Action;
use common::preflight;
use common::report::Report;
use common::runner::{Annotation, Level};

pub use inputs::{Inputs, OnCancel, OnConflict, OnFirstFailure, OperationName};
pub use post::post;

use config::{Config, Operation};
use facts::Facts;
use plan::Plan;
use turn::Turn;

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
        "paused",
        "timed-out",
        "cancelled",
        "refused",
    ],
    failed: "refused",
    outputs: &[
        ("release", "The number of the release in the environment's ledger; blank where there is no ledger."),
        ("task-definitions", "The task definition that each service was to run, as a JSON object by service."),
        ("services", "How it ended for each service, as a JSON object by service."),
    ],
    permissions: &[
        (
            "contents: read",
            "to check out delivery.toml and the task definition files, and to see which of two commits is older",
        ),
        ("id-token: write", "for `role-to-assume`"),
        ("deployments: write", "only to show the deployment on GitHub"),
        ("pull-requests: write", "only for the comment on a pull request"),
    ],
    iam: &[
        ("ecs:DescribeServices", "to see what runs and to watch it change"),
        ("ecs:DescribeTaskDefinition", "to compare with what runs"),
        ("ecs:RegisterTaskDefinition", "to register a changed task definition"),
        ("ecs:TagResource", "only if task definitions carry tags"),
        ("iam:PassRole", "for the task role and the execution role of the task definitions"),
        ("ecs:UpdateService", "to deploy it, and to put back what ran before"),
        ("ecs:CreateService", "only for `create: true`"),
        ("ecs:ListServiceDeployments", "to follow the deployment that this run started, and no other"),
        ("ecs:DescribeServiceDeployments", "to know how that deployment ended"),
        ("ecs:DescribeServiceRevisions", "to know which deployment is this run's"),
        ("ecs:StopServiceDeployment", "to take back a deployment that fails"),
        ("ecs:ListTasks", "to find the tasks that failed"),
        ("ecs:DescribeTasks", "to say why they stopped"),
        ("logs:GetLogEvents", "to show the last lines of the containers that failed"),
        ("elasticloadbalancing:DescribeTargetHealth", "to say why targets are unhealthy"),
        ("cloudwatch:DescribeAlarms", "to say which alarms fire already"),
        ("ecr:DescribeImages", "to deploy the digest behind the commit's tag"),
        ("ecr:DescribeRepositories", "to know the repository's address"),
        ("ssm:GetParameter", "to read the release ledger"),
        ("ssm:GetParameterHistory", "to read the releases before, and who holds the lock"),
        ("ssm:PutParameter", "to write ledger and lock, and for `operation: rotate`"),
        ("ssm:DeleteParameter", "to give the lock back"),
        ("ssm:GetParameters", "to see that the parameters exist which tasks are given; no value is decrypted"),
        ("ssm:DescribeParameters", "to suggest a name in place of a misspelt one, and for `operation: rotate`"),
        ("secretsmanager:DescribeSecret", "to see that the secrets exist which tasks are given"),
        (
            "secretsmanager:GetSecretValue",
            "only for task definitions that name a key of a JSON secret, to see that it has it",
        ),
        ("secretsmanager:PutSecretValue", "only for `operation: rotate`"),
        ("secretsmanager:UpdateSecretVersionStage", "only for `operation: rotate`, to bring an old value back"),
        ("iam:GetRole", "to see that the task role and the execution role exist"),
        (
            "iam:SimulatePrincipalPolicy",
            "to see that the execution role may read the secrets; for `operation: preflight`, that this role may deploy",
        ),
        ("logs:DescribeLogGroups", "to see that the log groups exist"),
        ("ecr:BatchGetImage", "to see that the images exist"),
        ("ecr:GetDownloadUrlForLayer", "to see that the images are built for the tasks' processor"),
        ("kms:Decrypt", "only for secrets that are encrypted with a key of your own"),
    ],
    post: true,
};

/// Runs the action: the pipeline of its rooms.
pub async fn run(inputs: Inputs, edges: &Edges) -> Result<Report, Failure> {
    let config = Config::read(inputs, edges)?;
    if let Operation::Rotate { value: Some(value), .. } = &config.operation {
        edges.runner.mask(value);
    }
    let aws = edges.aws(&config.place).await?;
    if let Operation::Explain = config.operation {
        return explain::explain(&config, &aws).await;
    }
    let Some(prepared) = edges.stop.unless_raised(prepare(&config, &aws, edges)).await else {
        return Err(
            Failure::cancelled("the run was cancelled before anything was touched").hint("run the action again")
        );
    };
    let (facts, plan) = prepared?;
    warn_of(&plan, edges);
    if let Operation::Preflight = config.operation {
        return Ok(report::ready(&config, &plan));
    }
    if config.dry_run {
        return Ok(report::planned(&config, &plan));
    }
    if plan.is_empty() && facts.latest.as_ref().is_none_or(|latest| latest.outcome != DEPLOYING) {
        return Ok(report::unchanged(&config, &plan));
    }
    let lock = match turn::take(&config, &plan, &aws, edges).await? {
        Turn::Ours(lock) => lock,
        Turn::NotOurs(report) => return Ok(report),
    };
    let work = async {
        let is_stale = turn::is_stale(&config, &facts, &plan, &aws).await?;
        let (facts, plan) = if is_stale { prepare(&config, &aws, edges).await? } else { (facts, plan) };
        let outcome = effects::apply(&config, &facts, plan, lock.as_ref(), &aws, edges).await;
        Ok(report::report(&config, &outcome, &aws))
    };
    let done = match &lock {
        Some(lock) => lock.keep(edges, work).await,
        None => work.await,
    };
    turn::give_back(lock, edges).await;
    done
}

/// What could not be found out is one warning: each of its reasons names the permission that is missing.
fn warn_of(plan: &Plan, edges: &Edges) {
    if !plan.remarks.is_empty() {
        let message = plan.remarks.join("\n");
        edges.runner.annotate(&Annotation { level: Level::Warning, title: ACTION.name, message: &message });
    }
}

/// Everything that comes before the first write: facts, what each service is to run, what speaks against it, the plan.
async fn prepare(config: &Config, aws: &Aws, edges: &Edges) -> Result<(Facts, Plan), Failure> {
    let facts = Facts::read(config, aws, edges).await?;
    let wanted = wanted::render(config, &facts);
    let definitions = wanted::to_check(&wanted);
    let mut findings = match config.operation {
        Operation::Scale { .. } => Vec::new(),
        _ => preflight::check(aws, &definitions).await,
    };
    if let Operation::Preflight = config.operation {
        findings.extend(permissions::check(config, aws, &definitions).await);
    }
    let plan = plan::plan(config, &facts, wanted, findings)?;
    if !matches!(config.operation, Operation::Preflight) {
        edges.runner.group("Plan", plan.to_string());
    }
    Ok((facts, plan))
}
