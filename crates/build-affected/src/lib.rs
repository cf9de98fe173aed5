//! `build-affected`: says which services a change reaches and why, and builds their images.
//!
//! `inputs` (what the caller wrote) → `config` (what they meant) → `facts` (what the commits hold: `history`, `deployed` and
//! `registry` find what to compare with, the crate `monorepo` tells what an image is made of) → `plan` (which services are
//! reached, `reason` why) → `effects` (tagging and building) → `report`.

mod config;
mod deployed;
mod effects;
mod facts;
mod history;
mod inputs;
mod plan;
mod reason;
mod registry;
mod report;

use common::edges::Edges;
use common::failure::Failure;
use common::manifest::Action;
use common::report::Report;

pub use inputs::Inputs;

use config::Config;
use facts::Facts;

/// What the action says of itself.
pub const ACTION: Action = Action {
    name: "build-affected",
    description: "Says which services a change reaches and why, and builds their images. Reads what an image is made of from git alone: nothing is installed.",
    icon: "git-branch",
    color: "blue",
    results: &["affected", "none", "failed"],
    failed: "failed",
    outputs: &[
        (
            "services",
            "The affected services, as a JSON list: the input `services` of the other actions takes it as it is.",
        ),
        (
            "matrix",
            "For `strategy.matrix`: `{\"include\": [{service, path, dockerfile, context, repository, key, wave}]}`. GitHub refuses an empty matrix: guard the job by `has-changes`. It takes 256 jobs at most: of more services, those are in `shards` alone.",
        ),
        (
            "shards",
            "The same for any number: `{\"include\": [{shard, services}]}`, each with up to 256 services as a JSON list, for a reusable workflow that is called once for each.",
        ),
        (
            "projects",
            "The affected projects of the workspace, as a JSON list of `{project, root, targets}`: `targets` are what can be run of it (`lint`, `test`, `build`, …).",
        ),
        (
            "checks",
            "What the affected projects are checked by, as a JSON list of `{target, projects, filters}` for `strategy.matrix`: `projects` are those that have the target, as `nx run-many --projects` takes them, `filters` the same as `pnpm run` and `turbo run` take them. `[]` if there is none: guard the job.",
        ),
        ("removed", "The services that the base had and the commit has no more, as a JSON list."),
        ("has-changes", "`true` if a service is affected, else `false`."),
        ("base", "The commit that was compared with; blank if there was none, and every service is affected."),
        ("head", "The commit whose services these are."),
        (
            "history",
            "How the base was found. `input`: named by the caller. `merge-base`: where the commit left the pull request's base, or the default branch. `before`: the branch's commit before the push. `forced-push`: the same, where the push took it away. `merge-group`: what the merge queue built on. `tag`: the tag before this one. `parent`: the commit's parent. `last-success`: the nearest commit with a successful run. `deployed`, `registry`: per service. If there is none, every service is affected: `first-run` if there was nothing before, else `unknown`.",
        ),
        (
            "images",
            "The images that were built, as a JSON object by service: `image` (the local name), `id` and `size`.",
        ),
    ],
    permissions: &[
        ("contents: read", "to check out the repository, with `fetch-depth: 0`"),
        ("pull-requests: write", "only for the comment on a pull request"),
        ("actions: read", "only for `base-from: last-success`"),
        (
            "id-token: write",
            "only for `base-from: registry`, `base-from: deployed` and a `cache` in the registry, unless another step configured AWS credentials",
        ),
    ],
    iam: &[
        (
            "ecr:BatchGetImage",
            "`base-from: registry`: which images there are, and to tag one that has not changed; `base-from: deployed`: the image's label",
        ),
        ("ecr:PutImage", "`base-from: registry`: to give an image that has not changed the new commit's tag"),
        ("ecr:DescribeImages", "`base-from: deployed`: the commits that an image was pushed for"),
        (
            "ecr:GetDownloadUrlForLayer",
            "`base-from: deployed`: the label of an image without a commit's tag; `build` with a `cache` in the registry",
        ),
        ("ecs:DescribeServices", "`base-from: deployed`"),
        ("ecs:DescribeTaskDefinition", "`base-from: deployed`"),
        ("ecs:ListTasks", "`base-from: deployed`, where a task definition names its image by a tag that moves"),
        ("ecs:DescribeTasks", "`base-from: deployed`, where a task definition names its image by a tag that moves"),
    ],
    post: false,
};

/// Runs the action: the pipeline of its rooms.
pub async fn run(inputs: Inputs, edges: &Edges) -> Result<Report, Failure> {
    let config = Config::read(inputs, edges)?;
    let facts = Facts::read(&config, edges).await?;
    let plan = plan::plan(&config, facts)?;
    edges.runner.group("Affected", plan.to_string());
    if !config.dry_run && !plan.held.is_empty() {
        registry::retag(&edges.aws(&config.place).await?.ecr, &plan.held, &plan.head).await?;
    }
    if !config.build || config.dry_run {
        return Ok(report::found(&plan));
    }
    let recipes = effects::recipes(&config, &plan, edges, &effects::cache(&config, &plan, edges).await)?;
    let docker = edges.docker().await?;
    let outcome = effects::apply(&config, &plan, &recipes, &docker, edges).await;
    Ok(report::built(&config, &plan, &outcome))
}
