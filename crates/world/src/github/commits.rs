//! Commits, and how two of them stand to each other.
//!
//! <https://docs.github.com/en/rest/commits/commits#compare-two-commits>

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::{Exchange, not_found, refuse};
use crate::state::{State, World};
use crate::wire;

/// Every commit's parent; `None` for the first of a line.
#[derive(Clone, Debug, Default)]
pub(super) struct History(BTreeMap<String, Option<String>>);

impl World {
    /// Lets a repository have a line of commits, oldest first. A line that begins with a commit that is there branches off
    /// from it.
    pub fn commits(&self, repository: &str, line: &[&str]) {
        self.with(|state| {
            let History(parents) = &mut state.github.repository(repository).history;
            let mut parent: Option<String> = None;
            for commit in line {
                let own = parent.replace((*commit).to_owned());
                parents.entry((*commit).to_owned()).or_insert(own);
            }
        });
    }
}

pub(super) fn compare(state: &mut State, exchange: &Exchange<'_>, repository: &str, range: &str) -> Response<Bytes> {
    let range = percent_decode_str(range).decode_utf8_lossy();
    let history = &state.github.repository(repository).history;
    let Some((base, head)) = range.split_once("...").filter(|_| exchange.method == Method::GET) else {
        return not_found();
    };
    let (Some(base), Some(head)) = (history.find(base), history.find(head)) else { return not_found() };
    let (of_base, of_head) = (history.line(base), history.line(head));
    let Some(merge_base) = of_head.iter().copied().find(|commit| of_base.contains(commit)) else {
        let message = format!("No common ancestor between {base} and {head}.");
        return refuse(StatusCode::NOT_FOUND, &message, None);
    };
    let until = |line: &[&str]| line.iter().position(|commit| *commit == merge_base).unwrap_or(0);
    let (ahead, behind) = (until(&of_head), until(&of_base));
    let status = match (ahead, behind) {
        (0, 0) => "identical",
        (_, 0) => "ahead",
        (0, _) => "behind",
        _ => "diverged",
    };
    let show = |commit: &str| view(exchange, repository, commit);
    // The commits of the head that the base lacks, oldest first.
    let commits: Vec<Value> = of_head[..ahead].iter().rev().map(|commit| show(commit)).collect();
    let body = json!({
        "url": format!("{}/repos/{repository}/compare/{base}...{head}", exchange.root),
        "html_url": format!("https://github.com/{repository}/compare/{base}...{head}"),
        "base_commit": show(base),
        "merge_base_commit": show(merge_base),
        "status": status,
        "ahead_by": ahead,
        "behind_by": behind,
        "total_commits": ahead,
        "commits": commits,
        "files": [],
    });
    wire::json_response(StatusCode::OK, &body)
}

impl History {
    /// A commit by its SHA, or by the beginning of it if no other begins so.
    fn find(&self, sha: &str) -> Option<&str> {
        let mut found = self.0.keys().filter(|commit| sha.len() >= 7 && commit.starts_with(sha));
        let first = found.next()?;
        found.next().is_none().then_some(first)
    }

    /// A commit and what came before it, newest first.
    fn line<'a>(&'a self, commit: &'a str) -> Vec<&'a str> {
        std::iter::successors(Some(commit), |commit| self.0.get(*commit)?.as_deref()).collect()
    }
}

fn view(exchange: &Exchange<'_>, repository: &str, commit: &str) -> Value {
    json!({
        "sha": commit,
        "url": format!("{}/repos/{repository}/commits/{commit}", exchange.root),
        "html_url": format!("https://github.com/{repository}/commit/{commit}"),
    })
}
