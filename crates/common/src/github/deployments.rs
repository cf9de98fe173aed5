//! Deployments and their statuses: what GitHub shows of an environment.
//!
//! <https://docs.github.com/en/rest/deployments/deployments>

use http::Method;
use serde_json::{Value, json};

use super::{GitHub, Refused};
use crate::failure::Failure;
use crate::http::join;
use crate::names::{CommitSha, EnvironmentName, ServiceKey};

/// The scope that deployments need.
const SCOPE: &str = "deployments: write";

/// The longest description that GitHub takes.
const DESCRIPTION: usize = 140;

/// A deployment to be made.
#[derive(Clone, Debug)]
pub struct NewDeployment<'a> {
    /// The commit that is deployed.
    pub reference: &'a CommitSha,
    /// Where to: see [`environment_of`].
    pub environment: &'a str,
    /// What is done: `deploy`, `rollback`, …
    pub task: &'a str,
    /// For people.
    pub description: &'a str,
    /// Whether users are served by this environment.
    pub production: bool,
    /// What is kept with it.
    pub payload: Value,
}

/// A deployment that GitHub knows.
#[derive(Clone, Debug, PartialEq)]
pub struct Deployment {
    /// GitHub's id.
    pub id: u64,
    /// The commit that is deployed.
    pub commit: String,
    /// What is kept with it.
    pub payload: Value,
}

/// What GitHub calls the place of one service in an environment: because of several deployments to one environment it shows the
/// newest alone as active (<https://github.com/actions/runner/issues/1001>), each service has one of its own.
pub fn environment_of(environment: &EnvironmentName, service: &ServiceKey) -> String {
    format!("{environment}/{service}")
}

/// How a deployment stands, in GitHub's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeploymentState {
    /// It waits for its turn.
    Queued,
    /// It goes on.
    InProgress,
    /// It runs.
    Success,
    /// It does not, because of what was deployed.
    Failure,
    /// It does not, and how it stands is not known.
    Error,
    /// Something else runs in its place.
    Inactive,
}

/// A deployment's next status.
#[derive(Clone, Copy, Debug)]
pub struct DeploymentStatus<'a> {
    /// How it stands.
    pub state: DeploymentState,
    /// Why; cut where GitHub takes no more.
    pub description: &'a str,
    /// Where to read more.
    pub log_url: Option<&'a str>,
    /// Where people reach what was deployed.
    pub environment_url: Option<&'a str>,
}

impl DeploymentState {
    /// GitHub's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::InProgress => "in_progress",
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Error => "error",
            Self::Inactive => "inactive",
        }
    }
}

impl GitHub {
    /// Makes a deployment; answers its id. The commit is deployed as it is: nothing is merged, no check is waited for.
    pub async fn create_deployment(&self, deployment: &NewDeployment<'_>) -> Result<u64, Refused> {
        let url = join(&self.repository, "deployments");
        let body = json!({
            "ref": deployment.reference,
            "environment": deployment.environment,
            "task": deployment.task,
            "description": cut(deployment.description),
            "production_environment": deployment.production,
            "payload": deployment.payload,
            "auto_merge": false,
            "required_contexts": [],
        });
        let (_, answer) = self.request(Method::POST, &url, Some(body), SCOPE).await?;
        answer["id"].as_u64().ok_or_else(|| {
            let failure = Failure::remote("GitHub answered without the deployment's id").context(format!("POST {url}"));
            Refused::Failed(failure.hint("see <https://www.githubstatus.com>"))
        })
    }

    /// The newest deployments to an environment, newest first.
    pub async fn deployments(&self, environment: &str) -> Result<Vec<Deployment>, Refused> {
        // Of the names that a delivery has, this is the only character that means something in a URL.
        let environment = environment.replace('/', "%2F");
        let url = join(&self.repository, format!("deployments?environment={environment}&per_page=30"));
        let (_, answer) = self.request(Method::GET, &url, None, SCOPE).await?;
        let deployment = |item: &Value| {
            let commit = item["sha"].as_str().unwrap_or_default().to_owned();
            Some(Deployment { id: item["id"].as_u64()?, commit, payload: item["payload"].clone() })
        };
        Ok(answer.as_array().into_iter().flatten().filter_map(deployment).collect())
    }

    /// Says how a deployment stands.
    pub async fn create_deployment_status(&self, id: u64, status: DeploymentStatus<'_>) -> Result<(), Refused> {
        let url = join(&self.repository, format!("deployments/{id}/statuses"));
        let mut body = json!({ "state": status.state.as_str(), "description": cut(status.description) });
        for (name, value) in [("log_url", status.log_url), ("environment_url", status.environment_url)] {
            if let Some(value) = value {
                body[name] = json!(value);
            }
        }
        self.request(Method::POST, &url, Some(body), SCOPE).await.map(|_| ())
    }
}

/// As much of a text as GitHub takes, which counts characters.
fn cut(text: &str) -> String {
    match text.char_indices().nth(DESCRIPTION) {
        None => text.to_owned(),
        Some(_) => text.chars().take(DESCRIPTION - 1).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_is_cut_between_characters() {
        assert_eq!(cut("deployed"), "deployed");
        assert_eq!(cut(&"é".repeat(140)), "é".repeat(140));
        assert_eq!(cut(&"é".repeat(141)), "é".repeat(139) + "…");
    }
}
