//! Pull requests.
//!
//! <https://docs.github.com/en/rest/pulls/pulls>

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use serde_json::{Value, json};

use super::{Exchange, account, not_found};
use crate::oci;
use crate::state::{State, World};
use crate::wire;

#[derive(Clone, Debug)]
pub(super) struct PullRequest {
    pub(super) number: u64,
    head: String,
}

impl World {
    /// Opens a pull request, or moves its head to another commit.
    pub fn pull_request(&self, repository: &str, number: u64, head: &str) {
        self.with(|state| {
            let requests = &mut state.github.repository(repository).pull_requests;
            requests.retain(|request| request.number != number);
            requests.push(PullRequest { number, head: head.to_owned() });
        });
    }
}

pub(super) fn answer(state: &mut State, exchange: &Exchange<'_>, repository: &str, path: &[&str]) -> Response<Bytes> {
    if exchange.method != Method::GET {
        return not_found();
    }
    let requests = &state.github.repository(repository).pull_requests;
    let show = |request: &PullRequest| view(exchange, repository, request);
    match path {
        ["pulls"] => exchange.page(requests.iter().map(show).collect(), |_, items| json!(items)),
        ["pulls", number] => match requests.iter().find(|request| request.number.to_string() == *number) {
            Some(request) => wire::json_response(StatusCode::OK, &show(request)),
            None => not_found(),
        },
        ["commits", commit, "pulls"] => {
            let items = requests.iter().filter(|request| request.head == *commit).map(show).collect();
            exchange.page(items, |_, items| json!(items))
        }
        _ => not_found(),
    }
}

fn view(exchange: &Exchange<'_>, repository: &str, request: &PullRequest) -> Value {
    let PullRequest { number, head } = request;
    let owner = repository.split('/').next().unwrap_or_default();
    let side = |reference: &str, sha: &str| {
        json!({
            "label": format!("{owner}:{reference}"),
            "ref": reference,
            "sha": sha,
            "repo": { "full_name": repository, "fork": false },
        })
    };
    json!({
        "url": format!("{}/repos/{repository}/pulls/{number}", exchange.root),
        "html_url": format!("https://github.com/{repository}/pull/{number}"),
        "id": number,
        "number": number,
        "state": "open",
        "draft": false,
        "title": format!("Change {number}"),
        "user": account("octocat"),
        "body": null,
        "merged_at": null,
        "head": side(&format!("change-{number}"), head),
        "base": side("main", &oci::hexadecimal("main")[..40]),
    })
}
