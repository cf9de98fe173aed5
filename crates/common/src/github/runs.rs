//! Workflow runs.
//!
//! <https://docs.github.com/en/rest/actions/workflow-runs>

use http::Method;
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::{GitHub, Refused};
use crate::failure::Failure;
use crate::http::join;
use crate::names::CommitSha;

/// The most pages that are read: GitHub lists no more than a thousand runs of one search.
const PAGES: usize = 10;

/// What is written otherwise in a URL: all but RFC 3986's unreserved characters. A branch may be called `x&status=failure`.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// One run of a workflow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// GitHub's id: the `GITHUB_RUN_ID` of its jobs.
    pub id: u64,
    /// What started it.
    pub event: String,
    /// The branch, or the tag, that it ran for.
    pub branch: String,
    /// The commit.
    pub commit: CommitSha,
    /// The repository that the commit is from: another one for a fork's pull request.
    pub repository: String,
    /// When it was started first.
    pub created_at: Timestamp,
}

/// The successful runs of a workflow, page by page, newest first as far as GitHub's listing is in order.
#[derive(Debug)]
pub struct Runs<'a> {
    github: &'a GitHub,
    next: Option<String>,
    pages: usize,
}

impl GitHub {
    /// The successful runs of a workflow's file (`deliver.yml`), for a branch or for all.
    pub fn successful_runs(&self, workflow: &str, branch: Option<&str>) -> Runs<'_> {
        let branch = branch.map(|branch| format!("&branch={}", utf8_percent_encode(branch, RESERVED)));
        let path = format!(
            "actions/workflows/{}/runs?status=success&per_page=100{}",
            utf8_percent_encode(workflow, RESERVED),
            branch.unwrap_or_default()
        );
        Runs { github: self, next: Some(join(&self.repository, path)), pages: 0 }
    }
}

impl Runs<'_> {
    /// The next page; `None` after the last.
    pub async fn next(&mut self) -> Result<Option<Vec<Run>>, Refused> {
        let Some(url) = self.next.take().filter(|_| self.pages < PAGES) else { return Ok(None) };
        self.pages += 1;
        let (next, page) = self.github.request(Method::GET, &url, None, "actions: read").await?;
        self.next = next;
        let runs = page["workflow_runs"].as_array();
        let runs = runs.ok_or_else(|| Refused::Failed(Failure::remote("the answer lists no runs").context(url)))?;
        // What cannot be read is no proof of success.
        Ok(Some(runs.iter().filter_map(run).collect()))
    }
}

fn run(run: &Value) -> Option<Run> {
    let text = |pointer: &str| run.pointer(pointer).and_then(Value::as_str);
    Some(Run {
        id: run["id"].as_u64()?,
        event: text("/event")?.to_owned(),
        branch: text("/head_branch").unwrap_or_default().to_owned(),
        commit: text("/head_sha")?.parse().ok()?,
        repository: text("/head_repository/full_name").unwrap_or_default().to_owned(),
        created_at: text("/created_at")?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_run_that_cannot_be_read_is_none() {
        let commit = "0123456789abcdef0123456789abcdef01234567";
        let whole = json!({ "id": 7, "event": "push", "head_branch": null, "head_sha": commit, "created_at": "2026-01-02T03:04:05Z" });
        assert_eq!(run(&whole).map(|run| (run.id, run.branch)), Some((7, String::new())));
        for member in ["id", "event", "head_sha", "created_at"] {
            let mut broken = whole.clone();
            broken[member] = Value::Null;
            assert_eq!(run(&broken), None, "{member}");
        }
    }
}
