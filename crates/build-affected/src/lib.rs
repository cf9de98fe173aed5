//! `build-affected`: says which services a change reaches and why, and builds their images.
//!
//! `inputs` (what the caller wrote) → `config` (what they meant) → `facts` (what the two commits hold: `history` finds the
//! base, `graph` the projects) → `plan` (which services are reached, `reason` why) → `effects` (building) → `report`.

mod config;
mod effects;
mod facts;
mod graph;
mod history;
mod inputs;
mod manifests;
mod plan;
mod reason;
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
    description: "Says which services a change reaches and why, and builds their images. Reads git alone: nothing is installed, nothing leaves the runner.",
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
            "For `strategy.matrix`: `{\"include\": [{service, path, dockerfile, context, repository, wave}]}`. GitHub refuses an empty matrix: guard the job by `has-changes`.",
        ),
        ("projects", "The affected projects of the workspace, as a JSON list."),
        ("removed", "The services that the base had and the commit has no more, as a JSON list."),
        ("has-changes", "`true` if a service is affected, else `false`."),
        ("base", "The commit that was compared with; blank if there was none, and every service is affected."),
        ("head", "The commit whose services these are."),
        (
            "history",
            "How the base was found: `input`, `merge-base`, `before` (the push's), `merge-group` or `parent`; `unknown` if it was not, and every service is affected.",
        ),
        (
            "images",
            "The images that were built, as a JSON object by service: `image` (the local name), `id` and `size`.",
        ),
    ],
    permissions: &[
        ("contents: read", "to check out the repository, with `fetch-depth: 0`"),
        ("pull-requests: write", "only for the comment on a pull request"),
    ],
    iam: &[],
    post: false,
};

/// Runs the action: the pipeline of its rooms.
pub async fn run(inputs: Inputs, edges: &Edges) -> Result<Report, Failure> {
    let config = Config::read(inputs, edges)?;
    let facts = Facts::read(&config)?;
    let plan = plan::plan(&config, facts)?;
    edges.runner.group("Affected", plan.to_string());
    if !config.build || config.dry_run {
        return Ok(report::found(&plan));
    }
    let docker = edges.docker().await?;
    let outcome = effects::apply(&config, &plan, &docker, edges).await;
    Ok(report::built(&config, &plan, &outcome))
}
