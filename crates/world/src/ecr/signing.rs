//! Managed signing: the signatures that ECR adds to what is pushed.
//! <https://docs.aws.amazon.com/AmazonECR/latest/userguide/managed-signing.html>

use std::time::Duration;

use serde_json::{Value, json};

use super::images::{find, not_found};
use super::named;
use crate::state::{State, World};
use crate::wire::Refusal;

impl World {
    /// Has ECR sign what is pushed to a repository: the status from so many seconds after the push on.
    pub fn sign_images(&self, repository: &str, stages: &[(u64, &str)]) {
        self.create_repository(repository);
        let stages = stages.iter().map(|(seconds, status)| (Duration::from_secs(*seconds), (*status).to_owned()));
        self.with(|state| {
            if let Some(repository) = state.ecr.repository_mut(repository) {
                repository.signatures = stages.collect();
            }
        });
    }
}

pub(super) fn describe_status(state: &State, body: &Value) -> Result<Value, Refusal> {
    let (repository, name) = named(state, body)?;
    let id = &body["imageId"];
    let (digest, manifest) = find(repository, id).ok_or_else(|| not_found(state, &name, id))?;
    let since = Duration::try_from(state.now.duration_since(manifest.pushed_at)).unwrap_or_default();
    let stage = repository.signatures.iter().rev().find(|(after, _)| *after <= since);
    let status = |(_, status): &(Duration, String)| {
        let profile = format!("arn:aws:signer:{}:{}:/signing-profiles/delivery", state.region, state.account);
        let mut signing = json!({ "signingProfileArn": profile, "status": status });
        if status == "FAILED" {
            signing["failureCode"] = json!("AccessDenied");
            signing["failureReason"] = json!("The principal is not authorized to perform signer:SignPayload.");
        }
        signing
    };
    let statuses: Vec<Value> = stage.map(status).into_iter().collect();
    Ok(json!({
        "registryId": state.account,
        "repositoryName": name,
        "imageId": { "imageDigest": digest },
        "signingStatuses": statuses,
    }))
}
