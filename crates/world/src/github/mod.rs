//! GitHub's REST API, as far as a delivery uses it.
//!
//! Every repository exists that somebody asks for; pull requests, comments, deployments and runs exist once they were made.
//! <https://docs.github.com/en/rest>

mod comments;
mod commits;
mod deployments;
mod pull_requests;
mod runs;

use std::collections::BTreeMap;

use bytes::Bytes;
use http::header::{AUTHORIZATION, HeaderValue, LINK};
use http::{Method, Request, Response, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};

pub use comments::Comment;
pub use deployments::{Deployment, DeploymentStatus};
pub use runs::RunSeed;

use crate::state::{State, World};
use crate::wire;

/// Where the API lies, as on GitHub Enterprise Server.
pub(crate) const PREFIX: &str = "/api/v3";

const DOCUMENTATION: &str = "https://docs.github.com/rest";

/// What GitHub knows.
#[derive(Debug, Default)]
pub(crate) struct GitHub {
    repositories: BTreeMap<String, Repository>,
    is_read_only: bool,
    forbids_deployments: bool,
    forbids_actions: bool,
    /// The last id that was given: ids are unique over all things.
    last_id: u64,
}

#[derive(Debug, Default)]
struct Repository {
    pull_requests: Vec<pull_requests::PullRequest>,
    comments: Vec<Comment>,
    deployments: Vec<Deployment>,
    runs: Vec<runs::Run>,
    history: commits::History,
}

impl World {
    /// From now on the token may only read, as that of a pull request from a fork.
    pub fn read_only_token(&self) {
        self.with(|state| state.github.is_read_only = true);
    }

    /// From now on the token lacks `deployments: write`.
    pub fn forbid_deployments(&self) {
        self.with(|state| state.github.forbids_deployments = true);
    }

    /// From now on the token lacks `actions: read`.
    pub fn forbid_actions(&self) {
        self.with(|state| state.github.forbids_actions = true);
    }
}

impl GitHub {
    fn repository(&mut self, name: &str) -> &mut Repository {
        self.repositories.entry(name.to_owned()).or_default()
    }

    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        1_000_000 + self.last_id
    }
}

/// Answers a request under [`PREFIX`].
pub(crate) fn answer(state: &mut State, request: &Request<Bytes>) -> Response<Bytes> {
    let exchange = match Exchange::of(request) {
        Ok(exchange) => exchange,
        Err(refused) => return *refused,
    };
    if state.github.is_read_only && exchange.method != Method::GET {
        return forbidden();
    }
    let path = request.uri().path().trim_start_matches(PREFIX).trim_matches('/');
    let parts: Vec<&str> = path.split('/').collect();
    match parts.as_slice() {
        ["user"] => user(&exchange),
        ["repos", owner, name, rest @ ..] => {
            let repository = format!("{owner}/{name}");
            match rest {
                ["deployments", ..] if state.github.forbids_deployments && exchange.method != Method::GET => {
                    forbidden()
                }
                ["deployments", ..] => deployments::answer(state, &exchange, &repository, rest),
                ["issues", "comments", ..] | ["issues", _, "comments"] => {
                    comments::answer(state, &exchange, &repository, rest)
                }
                ["compare", range] => commits::compare(state, &exchange, &repository, range),
                ["pulls", ..] | ["commits", _, "pulls"] => pull_requests::answer(state, &exchange, &repository, rest),
                ["actions", "runs" | "workflows", ..] => runs::answer(state, &exchange, &repository, rest),
                _ => not_found(),
            }
        }
        _ => not_found(),
    }
}

/// A request, read; and who makes it.
struct Exchange<'a> {
    method: Method,
    /// The API's root, for the URLs in answers.
    root: String,
    url: String,
    query: BTreeMap<String, String>,
    body: Value,
    token: &'a str,
}

impl<'a> Exchange<'a> {
    fn of(request: &'a Request<Bytes>) -> Result<Self, Box<Response<Bytes>>> {
        let authorization = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let Some(authorization) = authorization else {
            return Err(Box::new(refuse(StatusCode::UNAUTHORIZED, "Requires authentication", None)));
        };
        let token = authorization.split_once(' ').map_or("", |(_, token)| token.trim());
        if token.is_empty() {
            return Err(Box::new(refuse(StatusCode::UNAUTHORIZED, "Bad credentials", None)));
        }
        let body = match request.body() {
            body if body.is_empty() => json!({}),
            body => serde_json::from_slice(body)
                .map_err(|_| Box::new(refuse(StatusCode::BAD_REQUEST, "Problems parsing JSON", None)))?,
        };
        let base = wire::base(request);
        Ok(Self {
            method: request.method().clone(),
            root: format!("{base}{PREFIX}"),
            url: format!("{base}{}", request.uri().path()),
            query: wire::query(request).into_iter().collect(),
            body,
            token,
        })
    }

    /// A personal token speaks for its owner; every other is an installation's, as that of a job is.
    fn author(&self) -> &'static str {
        if self.is_personal() { "octocat" } else { "github-actions[bot]" }
    }

    fn is_personal(&self) -> bool {
        self.token.starts_with("ghp_") || self.token.starts_with("github_pat_")
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }

    /// One page of a listing, with the links to the others; `wrap` makes the body of the page's items.
    fn page(&self, items: Vec<Value>, wrap: impl FnOnce(usize, Vec<Value>) -> Value) -> Response<Bytes> {
        let number = |name: &str| self.parameter(name).and_then(|text| text.parse::<usize>().ok());
        let size = number("per_page").filter(|size| *size > 0).unwrap_or(30).min(100);
        let page = number("page").filter(|page| *page > 0).unwrap_or(1);
        let total = items.len();
        let last = total.div_ceil(size).max(1);
        let body = wrap(total, items.into_iter().skip((page - 1) * size).take(size).collect());
        let mut response = wire::json_response(StatusCode::OK, &body);
        let mut links = Vec::new();
        if page > 1 {
            links.push(self.link(page - 1, "prev"));
            links.push(self.link(1, "first"));
        }
        if page < last {
            links.push(self.link(page + 1, "next"));
            links.push(self.link(last, "last"));
        }
        if let Ok(link) = HeaderValue::from_str(&links.join(", "))
            && !links.is_empty()
        {
            response.headers_mut().insert(LINK, link);
        }
        response
    }

    fn link(&self, page: usize, relation: &str) -> String {
        let others = self.query.iter().filter(|(name, _)| *name != "page");
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(others)
            .append_pair("page", &page.to_string())
            .finish();
        format!("<{}?{query}>; rel=\"{relation}\"", self.url)
    }
}

fn user(exchange: &Exchange<'_>) -> Response<Bytes> {
    if exchange.method != Method::GET {
        return not_found();
    }
    if !exchange.is_personal() {
        return forbidden();
    }
    wire::json_response(StatusCode::OK, &account(exchange.author()))
}

/// A user, or a bot, as GitHub shows one.
fn account(login: &str) -> Value {
    let kind = if login.ends_with("[bot]") { "Bot" } else { "User" };
    json!({ "login": login, "id": 41_898_282, "node_id": "MDM6Qm90NDE4OTgyODI=", "type": kind, "site_admin": false })
}

/// A moment as GitHub writes it.
fn moment(moment: Timestamp) -> String {
    moment.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn refuse(status: StatusCode, message: &str, errors: Option<Value>) -> Response<Bytes> {
    let mut body = json!({ "message": message });
    if let Some(errors) = errors {
        body["errors"] = errors;
    }
    body["documentation_url"] = json!(DOCUMENTATION);
    body["status"] = json!(status.as_str());
    wire::json_response(status, &body)
}

fn not_found() -> Response<Bytes> {
    refuse(StatusCode::NOT_FOUND, "Not Found", None)
}

fn forbidden() -> Response<Bytes> {
    refuse(StatusCode::FORBIDDEN, "Resource not accessible by integration", None)
}

/// GitHub's 422 about one field of a resource.
fn unprocessable(resource: &str, code: &str, field: &str, message: Option<&str>) -> Response<Bytes> {
    let mut error = json!({ "resource": resource, "code": code, "field": field });
    if let Some(message) = message {
        error["message"] = json!(message);
    }
    refuse(StatusCode::UNPROCESSABLE_ENTITY, "Validation Failed", Some(json!([error])))
}

#[cfg(test)]
mod tests;
