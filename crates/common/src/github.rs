//! GitHub's REST API, as far as the actions use it.
//!
//! Requests and answers are plain JSON: typed clients insist on members that GitHub Enterprise Server leaves out.
//! <https://docs.github.com/en/rest>

mod deployments;
mod runs;

use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::{Value, json};

pub use self::deployments::{Deployment, DeploymentState, DeploymentStatus, NewDeployment, environment_of};
pub use self::runs::{Run, Runs};

use crate::failure::Failure;
use crate::http::{Http, join};
use crate::names::{CommitSha, Secret};
use crate::poll::pause;
use crate::runner::Environment;
use crate::stop::Stop;

/// The longest that an answer may take.
const LIMIT: Duration = Duration::from_secs(20);

/// The most pages of a listing that are read: a pull request with more comments than 3,000 is not looked through.
const PAGES: usize = 30;

/// How often a request is made that GitHub asks to make again later, and the longest that is waited each time.
const ATTEMPTS: u32 = 3;
const PATIENCE: Duration = Duration::from_secs(30);

/// One repository on GitHub.
#[derive(Clone, Debug)]
pub struct GitHub {
    http: Http,
    /// The API's root and the repository: `https://api.github.com/repos/org/shop`.
    repository: String,
    api: String,
    token: Secret,
    stop: Stop,
}

/// How one commit lies to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// The head comes after the base.
    Ahead,
    /// The head comes before the base.
    Behind,
    /// They are one.
    Identical,
    /// Neither comes after the other.
    Diverged,
    /// GitHub does not say: it does not know both, or shows them to nobody with this token.
    Unknown,
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
    pub fn connect(environment: &Environment, http: &Http, token: &Secret, stop: &Stop) -> Option<Self> {
        let api = environment.get("GITHUB_API_URL")?;
        let repository = environment.get("GITHUB_REPOSITORY")?;
        // The input's default is an expression: unevaluated, it says that no workflow evaluated it.
        let has_token = !token.expose().is_empty() && !token.expose().starts_with("${{");
        has_token.then(|| Self {
            http: http.clone(),
            repository: join(api, format!("repos/{repository}")),
            api: api.to_owned(),
            token: token.clone(),
            stop: stop.clone(),
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

    /// How `head` lies to `base`.
    pub async fn compare(&self, base: &CommitSha, head: &CommitSha) -> Result<Comparison, Refused> {
        // One commit a page: it is the relation that is asked for.
        let url = join(&self.repository, format!("compare/{base}...{head}?per_page=1"));
        let response = self.send(Method::GET, &url, None).await?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(Comparison::Unknown);
        }
        let (_, answer) = read(&response, "contents: read", &format!("GET {url}"))?;
        Ok(match answer["status"].as_str() {
            Some("ahead") => Comparison::Ahead,
            Some("behind") => Comparison::Behind,
            Some("identical") => Comparison::Identical,
            Some("diverged") => Comparison::Diverged,
            _ => Comparison::Unknown,
        })
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
        let response = self.send(method, url, body).await?;
        read(&response, scope, &doing)
    }

    /// Sends a request, and sends it again a little later where GitHub asks for that.
    async fn send(&self, method: Method, url: &str, body: Option<Value>) -> Result<http::Response<Bytes>, Refused> {
        let body = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let mut attempt = 1;
        loop {
            let request = http::Request::builder()
                .method(&method)
                .uri(url)
                .header("accept", "application/vnd.github+json")
                .header("authorization", format!("Bearer {}", self.token.expose()))
                .header("content-type", "application/json")
                .header("user-agent", concat!("delivery-actions/", env!("CARGO_PKG_VERSION")))
                .header("x-github-api-version", "2022-11-28")
                .body(body.clone())
                .map_err(|error| Refused::Failed(Failure::bug(error)))?;
            let response = self.http.send(request, LIMIT).await.map_err(|error| {
                let failure = Failure::remote(error).context(format!("{method} {url}"));
                Refused::Failed(failure.hint("check that `GITHUB_API_URL` can be reached"))
            })?;
            match retry_after(&response).filter(|wait| attempt < ATTEMPTS && *wait <= PATIENCE) {
                Some(wait) if pause(wait, &self.stop).await => attempt += 1,
                _ => return Ok(response),
            }
        }
    }
}

/// The `rel="next"` link, if any, and the body; or why GitHub said no.
fn read(response: &http::Response<Bytes>, scope: &str, doing: &str) -> Result<(Option<String>, Value), Refused> {
    let link = response.headers().get("link").and_then(|link| next_page(link.to_str().ok()?));
    let value: Value = serde_json::from_slice(response.body()).unwrap_or(Value::Null);
    match response.status() {
        status if status.is_success() => Ok((link, value)),
        _ if is_limited(response, &value) => Err(limited(response, &value, doing)),
        status => Err(refusal(status, &value, scope, doing)),
    }
}

/// Whether GitHub refuses for the number of requests and not for what they ask.
/// <https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api#exceeding-the-rate-limit>
fn is_limited(response: &http::Response<Bytes>, answer: &Value) -> bool {
    let is_spent = response.headers().get("x-ratelimit-remaining").is_some_and(|left| left == "0");
    let is_said = answer["message"].as_str().is_some_and(|message| message.to_lowercase().contains("rate limit"));
    match response.status() {
        StatusCode::TOO_MANY_REQUESTS => true,
        StatusCode::FORBIDDEN => is_spent || is_said || response.headers().contains_key("retry-after"),
        _ => false,
    }
}

/// How long GitHub asks to wait, where it refuses for the number of requests.
fn retry_after(response: &http::Response<Bytes>) -> Option<Duration> {
    if !matches!(response.status(), StatusCode::TOO_MANY_REQUESTS | StatusCode::FORBIDDEN) {
        return None;
    }
    response.headers().get("retry-after")?.to_str().ok()?.parse().map(Duration::from_secs).ok()
}

fn limited(response: &http::Response<Bytes>, answer: &Value, doing: &str) -> Refused {
    let said = answer["message"].as_str().unwrap_or("no reason given");
    let failure = Failure::remote(format!("GitHub answered {}: {said}", response.status())).context(doing);
    Refused::Failed(match retry_after(response) {
        Some(wait) => failure.hint(format!("GitHub asks to wait {}", crate::duration::human(wait))),
        None => failure.hint("GitHub limits the requests of this token: run again in some minutes"),
    })
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
    fn too_many_requests_are_no_missing_permission() {
        for (status, header, message, wait, is_forbidden) in [
            (403, ("retry-after", "5"), "You have exceeded a secondary rate limit", Some(5), false),
            (429, ("retry-after", "soon"), "Too many requests", None, false),
            (403, ("x-ratelimit-remaining", "0"), "API rate limit exceeded for installation", None, false),
            (403, ("x-ratelimit-remaining", "4999"), "Resource not accessible by integration", None, true),
            (404, ("retry-after", "5"), "Not Found", None, true),
        ] {
            let body = Bytes::from(json!({ "message": message }).to_string());
            let response = http::Response::builder().status(status).header(header.0, header.1).body(body).unwrap();
            assert_eq!(retry_after(&response), wait.map(Duration::from_secs), "{message}");
            let refused = read(&response, "deployments: write", "POST /deployments").unwrap_err();
            assert_eq!(matches!(refused, Refused::Forbidden(_)), is_forbidden, "{message}");
        }
    }

    #[test]
    fn the_next_page_is_read_from_the_link() {
        let link = r#"<https://x/a?page=1>; rel="prev", <https://x/a?page=3>; rel="next""#;
        assert_eq!(next_page(link).as_deref(), Some("https://x/a?page=3"));
        assert_eq!(next_page(r#"<https://x/a?page=1>; rel="first""#), None);
    }
}
