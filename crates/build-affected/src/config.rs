//! What the caller meant: every string is checked here, and nothing but the delivery file and the event is read.

use std::path::PathBuf;
use std::time::Duration;

use common::delivery::{Delivery, ImagePolicy};
use common::edges::Edges;
use common::failure::Failure;
use common::names::{CommitSha, ServiceKey};
use common::runner::Event;
use common::scope::Scope;

use crate::inputs::Inputs;

/// A comparison, as the caller meant it.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) workspace: PathBuf,
    /// The delivery file's path in the workspace, and so in a commit.
    pub(crate) delivery_file: String,
    /// The delivery file; without one, every project with a Dockerfile is a service.
    pub(crate) delivery: Option<Delivery>,
    /// The services to speak of; `None` is all.
    pub(crate) asked: Option<Vec<ServiceKey>>,
    /// The commit whose services are meant; `None` is what is checked out.
    pub(crate) head: Option<CommitSha>,
    /// What to compare with, if the caller said so.
    pub(crate) base: Option<String>,
    pub(crate) event: Event,
    pub(crate) is_tag: bool,
    /// Where the repository is on the web: a label of the images.
    pub(crate) source: Option<String>,
    pub(crate) policy: ImagePolicy,
    pub(crate) build: bool,
    pub(crate) dry_run: bool,
    pub(crate) timeout: Duration,
}

impl Config {
    pub(crate) fn read(inputs: Inputs, edges: &Edges) -> Result<Self, Failure> {
        let Inputs { common, base, build } = inputs;
        let scope = Scope::resolve(&common, edges)?;
        let environment = edges.runner.environment();
        let source = environment.get("GITHUB_SERVER_URL").zip(environment.get("GITHUB_REPOSITORY"));
        Ok(Self {
            workspace: scope.workspace,
            delivery_file: common.config.trim_start_matches("./").to_owned(),
            asked: common.services.map(|list| list.0),
            policy: scope.delivery.as_ref().map(|delivery| delivery.image_policy.clone()).unwrap_or_default(),
            delivery: scope.delivery,
            head: scope.commit,
            base,
            event: edges.event()?,
            is_tag: environment.get("GITHUB_REF_TYPE") == Some("tag"),
            source: source.map(|(server, repository)| format!("{server}/{repository}")),
            build,
            dry_run: common.dry_run,
            timeout: common.timeout,
        })
    }
}
