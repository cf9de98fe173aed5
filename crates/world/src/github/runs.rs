//! Workflow runs.
//!
//! <https://docs.github.com/en/rest/actions/workflow-runs>

use bytes::Bytes;
use http::{Method, Response};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Exchange, account, forbidden, moment, not_found};
use crate::state::{State, World};

/// The most runs of one search.
const SEARCHED: usize = 1000;

/// A workflow run that was.
#[derive(Clone, Debug, Default)]
pub struct RunSeed {
    /// The workflow's file, `deliver.yml`.
    pub workflow: String,
    /// The branch.
    pub branch: String,
    /// The event, `push`.
    pub event: String,
    /// The commit.
    pub head_sha: String,
    /// `success`, `failure`, `cancelled`…; `None` while it is in progress.
    pub conclusion: Option<String>,
    /// The repository that the commit is from; blank for the workflow's own.
    pub head_repository: String,
    /// When it was started; now, if nothing is said.
    pub created_at: Option<Timestamp>,
}

#[derive(Clone, Debug)]
pub(super) struct Run {
    id: u64,
    seed: RunSeed,
    created_at: Timestamp,
}

impl World {
    /// Lets a workflow have run, after those before it, and answers the run's id.
    pub fn workflow_run(&self, repository: &str, seed: RunSeed) -> u64 {
        self.with(|state| {
            let created_at = seed.created_at.unwrap_or(state.now);
            let run = Run { id: state.github.next_id(), seed, created_at };
            let id = run.id;
            state.github.repository(repository).runs.push(run);
            id
        })
    }
}

pub(super) fn answer(state: &mut State, exchange: &Exchange<'_>, repository: &str, path: &[&str]) -> Response<Bytes> {
    let workflow = match path {
        ["actions", "runs"] => None,
        ["actions", "workflows", workflow, "runs"] => Some(*workflow),
        _ => return not_found(),
    };
    if exchange.method != Method::GET {
        return not_found();
    }
    if state.github.forbids_actions {
        return forbidden();
    }
    let is_wanted = |name: &str, value: &str| exchange.parameter(name).is_none_or(|wanted| wanted == value);
    let runs = state.github.repository(repository).runs.iter().rev();
    let items = runs
        .filter(|run| {
            workflow.is_none_or(|workflow| workflow == run.seed.workflow || workflow == workflow_id(run).to_string())
        })
        .filter(|run| is_wanted("branch", &run.seed.branch) && is_wanted("event", &run.seed.event))
        .filter(|run| is_wanted("head_sha", &run.seed.head_sha) && has_status(run, exchange.parameter("status")))
        .take(SEARCHED)
        .map(|run| view(exchange, repository, run))
        .collect();
    exchange.page(items, |total, items| json!({ "total_count": total, "workflow_runs": items }))
}

/// The filter `status` takes a status or a conclusion.
fn has_status(run: &Run, wanted: Option<&str>) -> bool {
    wanted.is_none_or(|wanted| wanted == status(run) || run.seed.conclusion.as_deref() == Some(wanted))
}

fn status(run: &Run) -> &'static str {
    if run.seed.conclusion.is_some() { "completed" } else { "in_progress" }
}

/// A number for a workflow that is the same for all of its runs.
fn workflow_id(run: &Run) -> u64 {
    run.seed.workflow.bytes().fold(7, |id: u64, byte| id.wrapping_mul(31).wrapping_add(byte.into())) % 100_000_000
}

fn view(exchange: &Exchange<'_>, repository: &str, run: &Run) -> Value {
    let RunSeed { workflow, branch, event, head_sha, conclusion, head_repository, .. } = &run.seed;
    let head_repository = if head_repository.is_empty() { repository } else { head_repository };
    json!({
        "id": run.id,
        "name": workflow.trim_end_matches(".yml"),
        "node_id": format!("WFR_{}", run.id),
        "head_branch": branch,
        "head_sha": head_sha,
        "path": format!(".github/workflows/{workflow}"),
        "run_number": run.id,
        "run_attempt": 1,
        "event": event,
        "status": status(run),
        "conclusion": conclusion,
        "workflow_id": workflow_id(run),
        "url": format!("{}/repos/{repository}/actions/runs/{}", exchange.root, run.id),
        "html_url": format!("https://github.com/{repository}/actions/runs/{}", run.id),
        "created_at": moment(run.created_at),
        "updated_at": moment(run.created_at),
        "run_started_at": moment(run.created_at),
        "actor": account("octocat"),
        "repository": { "full_name": repository },
        "head_repository": { "full_name": head_repository },
    })
}
