//! What the main step leaves for `post-entrypoint`: enough to tidy up after a run that was killed.

use common::edges::Edges;
use common::failure::Failure;
use common::lock::Claim;
use common::names::ServiceKey;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

const LOCK: &str = "lock";
const ANNOUNCED: &str = "deployments";
const RELEASE: &str = "release";
const ENDED: &str = "ended";
const RELEASED: &str = "released";

/// A deployment that GitHub shows as going on.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Announced {
    pub(crate) service: ServiceKey,
    /// GitHub's id; `None` as long as it has not answered.
    pub(crate) id: Option<u64>,
    pub(crate) url: Option<String>,
}

/// What a main step left behind.
#[derive(Debug, Default)]
pub(crate) struct Left {
    /// The lock, if it was not given back.
    pub(crate) lock: Option<Claim>,
    pub(crate) announced: Vec<Announced>,
    /// The release that it began to write down.
    pub(crate) release: Option<u64>,
    /// Whether it wrote down how it ended, everywhere.
    pub(crate) has_ended: bool,
}

/// Keeps a claim to the lock, before it is made.
pub(crate) fn claim(edges: &Edges, claim: &Claim) -> Result<(), Failure> {
    edges.runner.state(LOCK, &claim.to_state()?)
}

/// What tells this run's deployments on GitHub from those of others.
pub(crate) fn mark(edges: &Edges) -> Value {
    let variable = |name| edges.runner.environment().get(name);
    json!({ "run": variable("GITHUB_RUN_ID"), "attempt": variable("GITHUB_RUN_ATTEMPT") })
}

/// Keeps what GitHub is told, before it is told.
pub(crate) fn announced(edges: &Edges, announced: &[Announced]) -> Result<(), Failure> {
    edges.runner.state(ANNOUNCED, &serde_json::to_string(announced).map_err(Failure::bug)?)
}

/// Keeps the number of the release that is written down as going on.
pub(crate) fn release(edges: &Edges, number: u64) -> Result<(), Failure> {
    edges.runner.state(RELEASE, &number.to_string())
}

/// Notes that the lock was given back.
pub(crate) fn released(edges: &Edges) -> Result<(), Failure> {
    edges.runner.state(RELEASED, "true")
}

/// Notes that ledger and GitHub know how it ended.
pub(crate) fn ended(edges: &Edges) -> Result<(), Failure> {
    edges.runner.state(ENDED, "true")
}

/// What the main step left behind.
pub(crate) fn left(edges: &Edges) -> Result<Left, Failure> {
    let foreign = |error: serde_json::Error| Failure::bug(error).context("read the state of the main step");
    Ok(Left {
        lock: match edges.runner.saved(RELEASED) {
            Some(_) => None,
            None => edges.runner.saved(LOCK).map(Claim::from_state).transpose()?,
        },
        announced: edges
            .runner
            .saved(ANNOUNCED)
            .map(serde_json::from_str)
            .transpose()
            .map_err(foreign)?
            .unwrap_or_default(),
        release: edges.runner.saved(RELEASE).and_then(|number| number.parse().ok()),
        has_ended: edges.runner.saved(ENDED).is_some(),
    })
}
