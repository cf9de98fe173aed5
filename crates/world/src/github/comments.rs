//! Comments of issues and pull requests.
//!
//! <https://docs.github.com/en/rest/issues/comments>

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Exchange, account, moment, not_found, unprocessable};
use crate::state::{State, World};
use crate::wire;

/// GitHub refuses longer comments.
const LONGEST: usize = 65_536;

/// A comment of an issue or a pull request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comment {
    /// GitHub's id.
    pub id: u64,
    /// The number of the issue or pull request.
    pub number: u64,
    /// Who wrote it.
    pub author: String,
    /// Its Markdown.
    pub body: String,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl World {
    /// The comments of a pull request, oldest first.
    pub fn comments(&self, repository: &str, number: u64) -> Vec<Comment> {
        self.with(|state| of(state, repository, number))
    }

    /// Lets somebody comment on a pull request, and answers the comment's id.
    pub fn comment(&self, repository: &str, number: u64, author: &str, body: &str) -> u64 {
        self.with(|state| create(state, repository, number, author, body).id)
    }
}

pub(super) fn answer(state: &mut State, exchange: &Exchange<'_>, repository: &str, path: &[&str]) -> Response<Bytes> {
    match path {
        ["issues", "comments", id] => {
            id.parse().map_or_else(|_| not_found(), |id| one(state, exchange, repository, id))
        }
        ["issues", number, "comments"] => {
            number.parse().map_or_else(|_| not_found(), |number| all(state, exchange, repository, number))
        }
        _ => not_found(),
    }
}

fn all(state: &mut State, exchange: &Exchange<'_>, repository: &str, number: u64) -> Response<Bytes> {
    let requests = &state.github.repository(repository).pull_requests;
    if !requests.iter().any(|request| request.number == number) {
        return not_found();
    }
    match exchange.method {
        Method::GET => {
            let items =
                of(state, repository, number).iter().map(|comment| view(exchange, repository, comment)).collect();
            exchange.page(items, |_, items| json!(items))
        }
        Method::POST => match body(exchange) {
            Ok(body) => {
                let comment = create(state, repository, number, exchange.author(), body);
                wire::json_response(StatusCode::CREATED, &view(exchange, repository, &comment))
            }
            Err(refused) => *refused,
        },
        _ => not_found(),
    }
}

fn one(state: &mut State, exchange: &Exchange<'_>, repository: &str, id: u64) -> Response<Bytes> {
    let now = state.now;
    let comments = &mut state.github.repository(repository).comments;
    let Some(index) = comments.iter().position(|comment| comment.id == id) else { return not_found() };
    match exchange.method {
        Method::GET => wire::json_response(StatusCode::OK, &view(exchange, repository, &comments[index])),
        Method::PATCH => match body(exchange) {
            Ok(body) => {
                body.clone_into(&mut comments[index].body);
                comments[index].updated_at = now;
                wire::json_response(StatusCode::OK, &view(exchange, repository, &comments[index]))
            }
            Err(refused) => *refused,
        },
        Method::DELETE => {
            comments.remove(index);
            let mut response = Response::new(Bytes::new());
            *response.status_mut() = StatusCode::NO_CONTENT;
            response
        }
        _ => not_found(),
    }
}

fn body<'a>(exchange: &'a Exchange<'_>) -> Result<&'a str, Box<Response<Bytes>>> {
    match exchange.body["body"].as_str() {
        None => Err(Box::new(unprocessable("IssueComment", "missing_field", "body", None))),
        Some(body) if body.trim().is_empty() => {
            Err(Box::new(unprocessable("IssueComment", "custom", "body", Some("body can't be blank"))))
        }
        Some(body) if body.chars().count() > LONGEST => {
            let message = format!("body is too long (maximum is {LONGEST} characters)");
            Err(Box::new(unprocessable("IssueComment", "custom", "body", Some(&message))))
        }
        Some(body) => Ok(body),
    }
}

fn of(state: &mut State, repository: &str, number: u64) -> Vec<Comment> {
    let comments = &state.github.repository(repository).comments;
    comments.iter().filter(|comment| comment.number == number).cloned().collect()
}

fn create(state: &mut State, repository: &str, number: u64, author: &str, body: &str) -> Comment {
    let comment = Comment {
        id: state.github.next_id(),
        number,
        author: author.to_owned(),
        body: body.to_owned(),
        created_at: state.now,
        updated_at: state.now,
    };
    state.github.repository(repository).comments.push(comment.clone());
    comment
}

fn view(exchange: &Exchange<'_>, repository: &str, comment: &Comment) -> Value {
    let Comment { id, number, author, body, created_at, updated_at } = comment;
    json!({
        "id": id,
        "node_id": format!("IC_{id}"),
        "url": format!("{}/repos/{repository}/issues/comments/{id}", exchange.root),
        "html_url": format!("https://github.com/{repository}/pull/{number}#issuecomment-{id}"),
        "issue_url": format!("{}/repos/{repository}/issues/{number}", exchange.root),
        "body": body,
        "user": account(author),
        "author_association": "NONE",
        "created_at": moment(*created_at),
        "updated_at": moment(*updated_at),
    })
}
