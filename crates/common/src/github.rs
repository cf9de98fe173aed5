//! GitHub's REST API, as far as the actions use it.
//!
//! Requests and answers are plain JSON: typed clients insist on members that GitHub Enterprise Server leaves out.
//! <https://docs.github.com/en/rest>

use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::http::{Http, join};
use crate::names::Secret;
use crate::runner::Environment;

/// The longest that an answer may take.
const LIMIT: Duration = Duration::from_secs(20);

/// The most pages of a listing that are read: a pull request with more comments than 3,000 is not looked through.
const PAGES: usize = 30;

/// One repository on GitHub.
#[derive(Clone, Debug)]
pub struct GitHub {
    http: Http,
    /// The API's root and the repository: `https://api.github.com/repos/org/shop`.
    repository: String,
    api: String,
    token: Secret,
}

/// A comment on an issue or a pull request.
#[derive(Clone, Debug)]
pub struct Comment {
    /// GitHub's id.
    pub id: u64,
    /// Who wrote it.
    pub author: String,
    /// Its Markdown.
    pub body: String,
}

/// Why GitHub said no, for callers that go on without it.
#[derive(Debug)]
pub enum Refused {
    /// The token may not do this: HTTP 401, 403 or 404 on a write.
    Forbidden(Failure),
    /// Anything else.
    Failed(Failure),
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Forbidden(failure) | Refused::Failed(failure) => failure,
        }
    }
}

impl GitHub {
    /// The repository that the workflow runs in. `None` outside of a workflow, or without a token.
    pub fn connect(environment: &Environment, http: &Http, token: &Secret) -> Option<Self> {
        let api = environment.get("GITHUB_API_URL")?;
        let repository = environment.get("GITHUB_REPOSITORY")?;
        // The input's default is an expression: unevaluated, it says that no workflow evaluated it.
        let has_token = !token.expose().is_empty() && !token.expose().starts_with("${{");
        has_token.then(|| Self {
            http: http.clone(),
            repository: join(api, format!("repos/{repository}")),
            api: api.to_owned(),
            token: token.clone(),
        })
    }

    /// Who the token speaks for. An installation's token, which every job has, may not ask, and is `github-actions[bot]`.
    pub async fn login(&self) -> Result<String, Refused> {
        let url = join(&self.api, "user");
        match self.request(Method::GET, &url, None, "metadata: read").await {
            Ok((_, user)) => Ok(user["login"].as_str().unwrap_or_default().to_owned()),
            Err(Refused::Forbidden(_)) => Ok("github-actions[bot]".to_owned()),
            Err(refused) => Err(refused),
        }
    }

    /// All comments of a pull request, oldest first.
    pub async fn comments(&self, pull_request: u64) -> Result<Vec<Comment>, Refused> {
        let mut next = Some(join(&self.repository, format!("issues/{pull_request}/comments?per_page=100")));
        let mut comments = Vec::new();
        for _ in 0..PAGES {
            let Some(url) = next else { break };
            let (link, page) = self.request(Method::GET, &url, None, "pull-requests: read").await?;
            comments.extend(page.as_array().into_iter().flatten().map(|comment| Comment {
                id: comment["id"].as_u64().unwrap_or_default(),
                author: comment["user"]["login"].as_str().unwrap_or_default().to_owned(),
                body: comment["body"].as_str().unwrap_or_default().to_owned(),
            }));
            next = link;
        }
        Ok(comments)
    }

    /// Writes a new comment on a pull request.
    pub async fn create_comment(&self, pull_request: u64, body: &str) -> Result<(), Refused> {
        let url = join(&self.repository, format!("issues/{pull_request}/comments"));
        self.request(Method::POST, &url, Some(json!({ "body": body })), "pull-requests: write").await.map(|_| ())
    }

    /// Replaces a comment's text.
    pub async fn update_comment(&self, id: u64, body: &str) -> Result<(), Refused> {
        let url = join(&self.repository, format!("issues/comments/{id}"));
        self.request(Method::PATCH, &url, Some(json!({ "body": body })), "pull-requests: write").await.map(|_| ())
    }

    /// Sends a request; answers the `rel="next"` link, if any, and the body.
    async fn request(
        &self,
        method: Method,
        url: &str,
        body: Option<Value>,
        scope: &str,
    ) -> Result<(Option<String>, Value), Refused> {
        let doing = format!("{method} {url}");
        let request = http::Request::builder()
            .method(method)
            .uri(url)
            .header("accept", "application/vnd.github+json")
            .header("authorization", format!("Bearer {}", self.token.expose()))
            .header("content-type", "application/json")
            .header("user-agent", concat!("delivery-actions/", env!("CARGO_PKG_VERSION")))
            .header("x-github-api-version", "2022-11-28")
            .body(body.map(|body| Bytes::from(body.to_string())).unwrap_or_default())
            .map_err(|error| Refused::Failed(Failure::bug(error)))?;
        let response = self.http.send(request, LIMIT).await.map_err(|error| {
            Refused::Failed(Failure::remote(error).context(&doing).hint("check that `GITHUB_API_URL` can be reached"))
        })?;
        let link = response.headers().get("link").and_then(|link| next_page(link.to_str().ok()?));
        let value: Value = serde_json::from_slice(response.body()).unwrap_or(Value::Null);
        match response.status() {
            status if status.is_success() => Ok((link, value)),
            status => Err(refusal(status, &value, scope, &doing)),
        }
    }
}

fn refusal(status: StatusCode, answer: &Value, scope: &str, doing: &str) -> Refused {
    let said = answer["message"].as_str().unwrap_or("no reason given");
    let text = format!("GitHub answered {status}: {said}");
    // GitHub hides from a token what it may not see: 404 is its other 403.
    if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND) {
        let failure = Failure::denied(text).context(doing);
        Refused::Forbidden(failure.hint(format!("give the job `permissions: {{ {scope} }}`")))
    } else {
        Refused::Failed(Failure::remote(text).context(doing).hint("see <https://www.githubstatus.com>, then run again"))
    }
}

/// The target of `rel="next"` in a `Link` header (RFC 8288).
fn next_page(link: &str) -> Option<String> {
    link.split(',').find_map(|part| {
        let (target, parameters) = part.split_once(';')?;
        parameters
            .contains("rel=\"next\"")
            .then(|| target.trim().trim_start_matches('<').trim_end_matches('>').to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_read_from_the_link() {
        let link = r#"<https://x/a?page=1>; rel="prev", <https://x/a?page=3>; rel="next""#;
        assert_eq!(next_page(link).as_deref(), Some("https://x/a?page=3"));
        assert_eq!(next_page(r#"<https://x/a?page=1>; rel="first""#), None);
    }
}
