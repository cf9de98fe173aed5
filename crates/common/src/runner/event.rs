//! The event that started the workflow, as far as the actions ask about it.

use std::fs;

use serde_json::Value;

use super::Environment;
use crate::failure::Failure;

/// The event that started the workflow (`GITHUB_EVENT_NAME` and its payload).
/// <https://docs.github.com/en/actions/reference/workflows-and-actions/events-that-trigger-workflows>
#[derive(Clone, Debug, Default)]
pub struct Event {
    /// `push`, `pull_request`, `workflow_dispatch`, …; blank outside of a workflow.
    pub name: String,
    payload: Value,
}

impl Event {
    /// Reads the event's payload from the file that the runner names.
    pub fn read(environment: &Environment) -> Result<Self, Failure> {
        let name = environment.get("GITHUB_EVENT_NAME").unwrap_or_default().to_owned();
        let Some(path) = environment.get("GITHUB_EVENT_PATH") else { return Ok(Self { name, payload: Value::Null }) };
        let reading = |error: anyhow::Error| {
            Failure::input(format!("{error:#}"))
                .context(format!("read the event's payload `{path}`"))
                .hint("the runner writes this file: check that the step runs in the job's own workspace")
        };
        let text = fs::read_to_string(path).map_err(|error| reading(error.into()))?;
        let payload = serde_json::from_str(&text).map_err(|error| reading(error.into()))?;
        Ok(Self { name, payload })
    }

    /// The pull request's number.
    pub fn pull_request(&self) -> Option<u64> {
        self.payload.pointer("/pull_request/number")?.as_u64()
    }

    /// The tip of the pull request's branch. `GITHUB_SHA` is the merge commit there, which is gone after the next push.
    pub fn pull_request_head(&self) -> Option<&str> {
        self.payload.pointer("/pull_request/head/sha")?.as_str()
    }

    /// The tip of the branch that the pull request goes into.
    pub fn pull_request_base(&self) -> Option<&str> {
        self.payload.pointer("/pull_request/base/sha")?.as_str()
    }

    /// The branch that the pull request goes into.
    pub fn pull_request_base_branch(&self) -> Option<&str> {
        self.payload.pointer("/pull_request/base/ref")?.as_str()
    }

    /// Whether the pull request comes from another repository, whose token may only read.
    pub fn is_from_fork(&self) -> bool {
        let repository =
            |side| self.payload.pointer(&format!("/pull_request/{side}/repo/full_name")).and_then(Value::as_str);
        self.pull_request().is_some() && repository("head") != repository("base")
    }

    /// The commit that a merge queue puts its pull requests on.
    pub fn merge_group_base(&self) -> Option<&str> {
        self.payload.pointer("/merge_group/base_sha")?.as_str()
    }

    /// The branch that the repository shows first.
    pub fn default_branch(&self) -> Option<&str> {
        self.payload.pointer("/repository/default_branch")?.as_str()
    }

    /// The branch's commit before this push. `None` for a new branch, which GitHub writes as forty zeros.
    pub fn before(&self) -> Option<&str> {
        self.payload.get("before")?.as_str().filter(|sha| sha.bytes().any(|byte| byte != b'0'))
    }

    /// Whether this push took away what the branch had.
    pub fn is_forced(&self) -> bool {
        self.payload.get("forced").and_then(Value::as_bool).unwrap_or(false)
    }
}
