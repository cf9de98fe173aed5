//! What the main step leaves for `post-entrypoint`: enough to find a task that nobody follows any more.

use common::edges::Edges;
use common::failure::Failure;
use common::names::{ClusterName, ServiceKey};
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::plan::{Plan, Start};

const TASKS: &str = "tasks";
const ENDED: &str = "ended";

/// A task that the main step was about to start.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Intended {
    pub(crate) service: ServiceKey,
    pub(crate) cluster: ClusterName,
    pub(crate) family: String,
    /// What it is found by, whether its id was ever known or not.
    pub(crate) started_by: String,
}

/// Keeps what is going to be started, before it is.
pub(crate) fn begun(edges: &Edges, config: &Config, plan: &Plan) -> Result<(), Failure> {
    let ours = plan.migrations.iter().filter(|migration| !matches!(migration.start, Start::Blocked(_)));
    let intended = ours.map(|migration| Intended {
        service: migration.key.clone(),
        cluster: config.cluster.clone(),
        family: migration.family.clone(),
        started_by: migration.started_by.clone(),
    });
    let intended: Vec<Intended> = intended.collect();
    edges.runner.state(TASKS, &serde_json::to_string(&intended).map_err(Failure::bug)?)
}

/// Notes that the report tells of every task.
pub(crate) fn ended(edges: &Edges) -> Result<(), Failure> {
    edges.runner.state(ENDED, "true")
}

/// The tasks that the main step did not tell of.
pub(crate) fn left(edges: &Edges) -> Result<Vec<Intended>, Failure> {
    match (edges.runner.saved(ENDED), edges.runner.saved(TASKS)) {
        (None, Some(intended)) => serde_json::from_str(intended)
            .map_err(|error| Failure::bug(error).context("read the state of the main step")),
        _ => Ok(Vec::new()),
    }
}
