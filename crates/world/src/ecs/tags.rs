//! Tags, kept beside the resources that carry them.

use serde_json::{Value, json};

use crate::state::State;
use crate::wire::Refusal;

/// TagResource: adds tags, or gives those that exist another value.
pub(super) fn tag(state: &mut State, body: &Value) -> Result<Value, Refusal> {
    let arn = existing(state, body)?;
    let new = body["tags"].as_array().cloned().unwrap_or_default();
    if new.is_empty() {
        return Err(Refusal::new("InvalidParameterException", "Tags can not be empty."));
    }
    let tags = state.ecs.tags.entry(arn).or_default();
    tags.retain(|old| new.iter().all(|tag| tag["key"] != old["key"]));
    tags.extend(new);
    Ok(json!({}))
}

/// ListTagsForResource.
pub(super) fn list(state: &State, body: &Value) -> Result<Value, Refusal> {
    let arn = existing(state, body)?;
    Ok(json!({ "tags": of(state, &arn) }))
}

/// The tags of a resource.
pub(super) fn of(state: &State, arn: &str) -> Vec<Value> {
    state.ecs.tags.get(arn).cloned().unwrap_or_default()
}

fn existing(state: &State, body: &Value) -> Result<String, Refusal> {
    let arn = body["resourceArn"].as_str().unwrap_or_default();
    let ecs = &state.ecs;
    let exists = ecs.services.contains_key(arn)
        || ecs.clusters.values().any(|cluster| cluster.arn == arn)
        || ecs.tasks.values().any(|task| task.arn == arn)
        || ecs.families.values().flatten().any(|definition| definition.arn == arn);
    if exists {
        Ok(arn.to_owned())
    } else {
        // https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_TagResource.html
        Err(Refusal::new("InvalidParameterException", format!("The specified resource is not found: {arn}")))
    }
}
