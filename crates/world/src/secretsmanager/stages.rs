//! Stages: names that move from version to version.
//!
//! <https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_UpdateSecretVersionStage.html>

use serde_json::{Value, json};

use super::{CURRENT, find_mut, secret_id};
use crate::state::State;
use crate::wire::Refusal;

pub(super) fn update(state: &mut State, body: &Value) -> Result<Value, Refusal> {
    let now = state.now;
    let secret = find_mut(state, secret_id(body)?)?;
    let Some(stage) = body["VersionStage"].as_str() else {
        return Err(invalid("You must provide VersionStage.".to_owned()));
    };
    let (remove_from, move_to) = (body["RemoveFromVersionId"].as_str(), body["MoveToVersionId"].as_str());
    let attached = secret.staged(stage).map(|version| version.id.clone());
    if let Some(id) = move_to {
        secret.version(Some(id), None)?;
    }
    match (&attached, remove_from) {
        (Some(attached), None) if move_to != Some(attached) => {
            return Err(invalid(format!(
                "The parameter RemoveFromVersionId can't be empty. Staging label {stage} is currently attached to version \
                 {attached}, so you must explicitly reference that version in RemoveFromVersionId."
            )));
        }
        (attached, Some(asked)) if attached.as_deref() != Some(asked) => {
            return Err(invalid(format!("Staging label {stage} is not attached to version {asked}.")));
        }
        _ => {}
    }
    match (move_to, remove_from) {
        (Some(id), _) => secret.attach(stage, id),
        (None, Some(_)) if stage == CURRENT => {
            return Err(invalid("You can't remove AWSCURRENT from a version without moving it to another.".to_owned()));
        }
        (None, Some(_)) => secret.versions.iter_mut().for_each(|version| {
            version.stages.remove(stage);
        }),
        (None, None) => return Err(invalid("You must say where the staging label is to move.".to_owned())),
    }
    secret.changed_at = now;
    Ok(json!({ "ARN": secret.arn, "Name": secret.name() }))
}

fn invalid(message: String) -> Refusal {
    Refusal::new("InvalidParameterException", message)
}
