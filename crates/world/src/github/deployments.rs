//! Deployments and their statuses.
//!
//! <https://docs.github.com/en/rest/deployments/deployments>

use bytes::Bytes;
use http::{Response, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Exchange, account, moment, not_found, refuse, unprocessable};
use crate::oci;
use crate::state::{State, World};
use crate::wire;

const STATES: [&str; 7] = ["error", "failure", "inactive", "in_progress", "queued", "pending", "success"];

/// A deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployment {
    /// GitHub's id.
    pub id: u64,
    /// What was asked to be deployed: a branch, a tag or a commit.
    pub reference: String,
    /// The environment's name.
    pub environment: String,
    /// The task, `deploy` unless it was named.
    pub task: String,
    /// What it is about.
    pub description: String,
    /// What the creator keeps with it.
    pub payload: Value,
    /// Its statuses, oldest first.
    pub statuses: Vec<DeploymentStatus>,
    creator: String,
    is_production: bool,
    is_transient: bool,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// One status of a deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeploymentStatus {
    /// GitHub's id.
    pub id: u64,
    /// `error`, `failure`, `inactive`, `in_progress`, `queued`, `pending` or `success`.
    pub state: String,
    /// Why.
    pub description: String,
    /// Where the log is.
    pub log_url: String,
    /// Where the environment is.
    pub environment_url: String,
    creator: String,
    created_at: Timestamp,
}

impl World {
    /// A repository's deployments, oldest first.
    pub fn deployments(&self, repository: &str) -> Vec<Deployment> {
        self.with(|state| state.github.repository(repository).deployments.clone())
    }
}

pub(super) fn answer(state: &mut State, exchange: &Exchange<'_>, repository: &str, path: &[&str]) -> Response<Bytes> {
    let id = |text: &str| text.parse::<u64>().unwrap_or(0);
    match (exchange.method.as_str(), path) {
        ("GET", ["deployments"]) => list(state, exchange, repository),
        ("POST", ["deployments"]) => create(state, exchange, repository),
        ("GET", ["deployments", number]) => match find(state, repository, id(number)) {
            Some(deployment) => wire::json_response(StatusCode::OK, &view(exchange, repository, deployment)),
            None => not_found(),
        },
        ("GET", ["deployments", number, "statuses"]) => match find(state, repository, id(number)) {
            Some(deployment) => {
                let statuses = deployment.statuses.iter().rev();
                let items = statuses.map(|status| view_status(exchange, repository, deployment, status)).collect();
                exchange.page(items, |_, items| json!(items))
            }
            None => not_found(),
        },
        ("POST", ["deployments", number, "statuses"]) => create_status(state, exchange, repository, id(number)),
        _ => not_found(),
    }
}

fn list(state: &mut State, exchange: &Exchange<'_>, repository: &str) -> Response<Bytes> {
    let is_wanted = |name: &str, value: &str| exchange.parameter(name).is_none_or(|wanted| wanted == value);
    let deployments = state.github.repository(repository).deployments.iter().rev();
    let items = deployments
        .filter(|deployment| {
            is_wanted("environment", &deployment.environment)
                && is_wanted("ref", &deployment.reference)
                && is_wanted("sha", &commit(&deployment.reference))
                && is_wanted("task", &deployment.task)
        })
        .map(|deployment| view(exchange, repository, deployment))
        .collect();
    exchange.page(items, |_, items| json!(items))
}

fn create(state: &mut State, exchange: &Exchange<'_>, repository: &str) -> Response<Bytes> {
    let text = |name: &str| exchange.body[name].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let Some(reference) = text("ref") else {
        let message = "Invalid request.\n\n\"ref\" wasn't supplied.";
        return refuse(StatusCode::UNPROCESSABLE_ENTITY, message, None);
    };
    let environment = text("environment").unwrap_or_else(|| "production".to_owned());
    let deployment = Deployment {
        id: state.github.next_id(),
        reference,
        task: text("task").unwrap_or_else(|| "deploy".to_owned()),
        description: text("description").unwrap_or_default(),
        payload: exchange.body.get("payload").cloned().unwrap_or_else(|| json!("")),
        statuses: Vec::new(),
        creator: exchange.author().to_owned(),
        is_production: exchange.body["production_environment"].as_bool().unwrap_or(environment == "production"),
        is_transient: exchange.body["transient_environment"].as_bool().unwrap_or(false),
        environment,
        created_at: state.now,
        updated_at: state.now,
    };
    let body = view(exchange, repository, &deployment);
    state.github.repository(repository).deployments.push(deployment);
    wire::json_response(StatusCode::CREATED, &body)
}

fn create_status(state: &mut State, exchange: &Exchange<'_>, repository: &str, id: u64) -> Response<Bytes> {
    if find(state, repository, id).is_none() {
        return not_found();
    }
    let text = |name: &str| exchange.body[name].as_str().unwrap_or_default().to_owned();
    let resource = "DeploymentStatus";
    if !STATES.contains(&text("state").as_str()) {
        return unprocessable(resource, "custom", "state", Some("state is not included in the list"));
    }
    if text("description").chars().count() > 140 {
        let message = "description is too long (maximum is 140 characters)";
        return unprocessable(resource, "custom", "description", Some(message));
    }
    let status = DeploymentStatus {
        id: state.github.next_id(),
        state: text("state"),
        description: text("description"),
        log_url: text("log_url"),
        environment_url: text("environment_url"),
        creator: exchange.author().to_owned(),
        created_at: state.now,
    };
    if status.state == "success" && exchange.body["auto_inactive"].as_bool() != Some(false) {
        retire_others(state, repository, id, &status);
    }
    let Some(deployment) = find(state, repository, id) else { return not_found() };
    deployment.updated_at = status.created_at;
    deployment.statuses.push(status.clone());
    wire::json_response(StatusCode::CREATED, &view_status(exchange, repository, deployment, &status))
}

/// A success makes the environment's earlier deployments inactive that had succeeded, unless they are transient or in
/// production.
/// <https://docs.github.com/en/rest/deployments/statuses#create-a-deployment-status>
fn retire_others(state: &mut State, repository: &str, id: u64, status: &DeploymentStatus) {
    let retired = DeploymentStatus { state: "inactive".to_owned(), description: String::new(), ..status.clone() };
    let environment = find(state, repository, id).map(|deployment| deployment.environment.clone());
    let ids: Vec<u64> = state
        .github
        .repository(repository)
        .deployments
        .iter()
        .filter(|other| other.id < id && Some(&other.environment) == environment.as_ref())
        .filter(|other| !other.is_transient && !other.is_production)
        .filter(|other| other.statuses.last().is_some_and(|last| last.state == "success"))
        .map(|other| other.id)
        .collect();
    for other in ids {
        let id = state.github.next_id();
        if let Some(deployment) = find(state, repository, other) {
            deployment.statuses.push(DeploymentStatus { id, ..retired.clone() });
        }
    }
}

fn find<'a>(state: &'a mut State, repository: &str, id: u64) -> Option<&'a mut Deployment> {
    state.github.repository(repository).deployments.iter_mut().find(|deployment| deployment.id == id)
}

/// The commit of a reference: itself if it is one, else one that is made up for it.
fn commit(reference: &str) -> String {
    let is_commit = reference.len() == 40 && reference.chars().all(|digit| digit.is_ascii_hexdigit());
    if is_commit { reference.to_owned() } else { oci::hexadecimal(reference)[..40].to_owned() }
}

fn view(exchange: &Exchange<'_>, repository: &str, deployment: &Deployment) -> Value {
    let url = format!("{}/repos/{repository}/deployments/{}", exchange.root, deployment.id);
    json!({
        "url": url,
        "id": deployment.id,
        "node_id": format!("DE_{}", deployment.id),
        "sha": commit(&deployment.reference),
        "ref": deployment.reference,
        "task": deployment.task,
        "payload": deployment.payload,
        "original_environment": deployment.environment,
        "environment": deployment.environment,
        "description": deployment.description,
        "creator": account(&deployment.creator),
        "created_at": moment(deployment.created_at),
        "updated_at": moment(deployment.updated_at),
        "statuses_url": format!("{url}/statuses"),
        "repository_url": format!("{}/repos/{repository}", exchange.root),
        "transient_environment": deployment.is_transient,
        "production_environment": deployment.is_production,
    })
}

fn view_status(exchange: &Exchange<'_>, repository: &str, deployment: &Deployment, status: &DeploymentStatus) -> Value {
    let url = format!("{}/repos/{repository}/deployments/{}", exchange.root, deployment.id);
    json!({
        "url": format!("{url}/statuses/{}", status.id),
        "id": status.id,
        "node_id": format!("DES_{}", status.id),
        "state": status.state,
        "creator": account(&status.creator),
        "description": status.description,
        "environment": deployment.environment,
        "target_url": status.log_url,
        "log_url": status.log_url,
        "environment_url": status.environment_url,
        "created_at": moment(status.created_at),
        "updated_at": moment(status.created_at),
        "deployment_url": url,
        "repository_url": format!("{}/repos/{repository}", exchange.root),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_has_a_commit() {
        let sha = "0123456789abcdef0123456789abcdef01234567";
        assert_eq!(commit(sha), sha);
        assert_eq!(commit("main").len(), 40);
    }
}
