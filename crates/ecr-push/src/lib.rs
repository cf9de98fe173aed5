//! `ecr-push`: pushes images to Amazon ECR, each once per commit, and says their digests. The registry is the hand-over to
//! the jobs that come after: they find an image by its commit.
//!
//! `inputs` (what the caller wrote) → `config` (what they meant) → `facts` (what the registry and the engine have) → `plan`
//! (what will be pushed; refuses here, before any write) → `effects` (pushing) → `report` (what happened). What `plan` asks:
//! `existing` (the commit's tag is there), `gate` (does the image pass), `upkeep` and `settings` (the repository); what
//! `effects` ask: `scan` (is ECR's scan over).

mod attachments;
mod config;
mod effects;
mod existing;
mod facts;
mod gate;
mod inputs;
mod plan;
mod report;
mod scan;
mod send;
mod settings;
mod upkeep;

use common::edges::Edges;
use common::failure::Failure;
use common::manifest::Action;
use common::report::Report;

pub use inputs::{Gate, Inputs, OnExisting};

use config::Config;
use facts::Facts;

/// What the action says of itself.
pub const ACTION: Action = Action {
    name: "ecr-push",
    description: "Pushes images to Amazon ECR, checked, once per commit, and says their digests.",
    icon: "package",
    color: "blue",
    results: &["pushed", "unchanged", "planned", "blocked", "failed"],
    failed: "failed",
    outputs: &[
        ("digest", "The digest of the image in the registry; blank if there are several services."),
        ("repository", "Its repository's name; blank if there are several services."),
        ("registry", "The registry's host; blank if the services have several."),
        ("tags", "The tags that every image of this run has now, one a line: the commit first."),
        (
            "images",
            "All images, as a JSON object by service: `image` (by digest, as a task definition takes it), `digest`, `repository`, `registry`, `size`, `scans`, `signed-by` and `result`.",
        ),
    ],
    permissions: &[
        ("contents: read", "to check out delivery.toml"),
        ("id-token: write", "for `role-to-assume`"),
        ("pull-requests: write", "only for the comment on a pull request"),
    ],
    iam: &[
        ("ecr:DescribeRepositories", "to know the repository's address and settings"),
        ("ecr:BatchGetImage", "to see whether the commit's image is there, and to give images tags"),
        ("ecr:DescribeImages", "to say when another image of the commit was pushed, and how big an index is"),
        ("ecr:GetLifecyclePolicy", "to compare the repository's with what is wanted"),
        ("ecr:GetRegistryScanningConfiguration", "to know whether the registry decides about scanning"),
        ("ecr:GetAuthorizationToken", "to log in to the registry"),
        (
            "ecr:GetDownloadUrlForLayer",
            "to know the layers of the newest image, which are then neither compressed nor sent",
        ),
        ("ecr:BatchCheckLayerAvailability", "to leave out layers that are there"),
        ("ecr:InitiateLayerUpload", "to push layers"),
        ("ecr:UploadLayerPart", "to push layers"),
        ("ecr:CompleteLayerUpload", "to push layers"),
        ("ecr:PutImage", "to push the image, to tag it by its contents, and to move tags"),
        ("ecr:CreateRepository", "only if a repository may be missing"),
        ("ecr:PutLifecyclePolicy", "only if a repository may be missing, and for `reconcile: enforce`"),
        ("ecr:PutImageTagMutability", "only for `reconcile: enforce`"),
        ("ecr:PutImageScanningConfiguration", "only for `reconcile: enforce`"),
        ("ecr:DescribeImageScanFindings", "only for `gate: ecr`"),
        ("ecr:StartImageScan", "only for `gate: ecr`, where images are not scanned when they are pushed"),
        ("ecr:DescribeImageSigningStatus", "only for `signed = true`"),
    ],
    post: false,
};

/// Runs the action: the pipeline of its rooms.
pub async fn run(inputs: Inputs, edges: &Edges) -> Result<Report, Failure> {
    let config = Config::read(inputs, edges)?;
    let aws = edges.aws(&config.place).await?;
    let facts = Facts::read(&config, &aws, edges).await?;
    let plan = plan::plan(&config, facts)?;
    edges.runner.group("Plan", plan.to_string());
    if config.dry_run || plan.is_blocked() {
        return Ok(report::planned(&config, &plan));
    }
    let outcome = effects::apply(&config, plan, &aws, edges).await;
    Ok(report::report(&config, &outcome))
}
