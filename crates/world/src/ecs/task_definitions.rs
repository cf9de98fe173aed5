//! Task definitions: kept as the JSON that was registered, with what ECS adds.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{page, tags, without_nulls};
use crate::state::State;
use crate::wire::{Refusal, epoch};

mod registration;

/// One revision of a family.
#[derive(Clone, Debug)]
pub(super) struct TaskDefinition {
    pub(super) arn: String,
    pub(super) family: String,
    pub(super) revision: usize,
    pub(super) active: bool,
    /// What was registered, with the defaults that ECS fills in; without tags.
    pub(super) content: Map<String, Value>,
    registered_at: Timestamp,
    /// Before this moment only those who already use it find it.
    appears_at: Timestamp,
    deregistered_at: Option<Timestamp>,
}

/// RegisterTaskDefinition.
pub(super) fn register(state: &mut State, body: &Value) -> Result<Value, Refusal> {
    registration::check(body)?;
    let content = registration::normalised(body);
    let family = body["family"].as_str().unwrap_or_default().to_owned();
    let revision = state.ecs.families.get(&family).map_or(0, Vec::len) + 1;
    let arn = state.ecs_arn(&format!("task-definition/{family}:{revision}"));
    let definition = TaskDefinition {
        arn: arn.clone(),
        family: family.clone(),
        revision,
        active: true,
        content,
        registered_at: state.now,
        appears_at: state.now + state.ecs.task_definitions_appear_after,
        deregistered_at: None,
    };
    let description = definition.description(state);
    state.ecs.families.entry(family).or_default().push(definition);
    if let Some(tags) = body["tags"].as_array() {
        state.ecs.tags.insert(arn.clone(), tags.clone());
    }
    Ok(json!({ "taskDefinition": description, "tags": tags::of(state, &arn) }))
}

/// DescribeTaskDefinition.
pub(super) fn describe(state: &State, body: &Value) -> Result<Value, Refusal> {
    let definition = seen(state, body["taskDefinition"].as_str().unwrap_or_default())
        .ok_or_else(|| Refusal::new("ClientException", "Unable to describe task definition."))?;
    // Tags lie beside the task definition, and only for those who ask.
    let asked = super::strings(body, "include").contains(&"TAGS");
    Ok(without_nulls(json!({
        "taskDefinition": definition.description(state),
        "tags": if asked { json!(tags::of(state, &definition.arn)) } else { Value::Null },
    })))
}

/// ListTaskDefinitions.
pub(super) fn list(state: &State, body: &Value) -> Result<Value, Refusal> {
    let family = body["familyPrefix"].as_str();
    let active = match body["status"].as_str() {
        None | Some("ACTIVE") => true,
        Some("INACTIVE") => false,
        Some(other) => return Err(Refusal::new("InvalidParameterException", format!("Invalid status: {other}"))),
    };
    let mut arns: Vec<String> = (state.ecs.families.values().flatten())
        .filter(|definition| definition.active == active && family.is_none_or(|family| definition.family == family))
        .filter(|definition| definition.appears_at <= state.now)
        .map(|definition| definition.arn.clone())
        .collect();
    if body["sort"] == "DESC" {
        arns.reverse();
    }
    let (arns, next) = page(arns, body, 100)?;
    Ok(without_nulls(json!({ "taskDefinitionArns": arns, "nextToken": next })))
}

/// DeregisterTaskDefinition.
pub(super) fn deregister(state: &mut State, body: &Value) -> Result<Value, Refusal> {
    let reference = body["taskDefinition"].as_str().unwrap_or_default();
    if !reference.rsplit('/').next().unwrap_or_default().contains(':') {
        return Err(Refusal::new("ClientException", "Revision is missing."));
    }
    let arn = find(state, reference)
        .map(|definition| definition.arn.clone())
        .ok_or_else(|| Refusal::new("ClientException", "The specified task definition does not exist."))?;
    let now = state.now;
    if let Some(definition) = state.ecs.families.values_mut().flatten().find(|definition| definition.arn == arn) {
        definition.active = false;
        definition.deregistered_at.get_or_insert(now);
    }
    let description = find(state, &arn).map(|definition| definition.description(state));
    Ok(json!({ "taskDefinition": description }))
}

/// A task definition by ARN, by `family:revision`, or the latest ACTIVE one of a family.
pub(super) fn find<'a>(state: &'a State, reference: &str) -> Option<&'a TaskDefinition> {
    look_up(state, reference, |_| true)
}

/// The same, as a caller sees it who may look before everybody in ECS knows of it.
fn seen<'a>(state: &'a State, reference: &str) -> Option<&'a TaskDefinition> {
    look_up(state, reference, |definition| definition.appears_at <= state.now)
}

fn look_up<'a>(
    state: &'a State,
    reference: &str,
    appears: impl Fn(&TaskDefinition) -> bool,
) -> Option<&'a TaskDefinition> {
    let prefix = state.ecs_arn("task-definition/");
    let name = reference.strip_prefix(&prefix).unwrap_or(reference);
    match name.rsplit_once(':') {
        Some((family, revision)) => {
            let revision: usize = revision.parse().ok()?;
            state.ecs.families.get(family)?.get(revision.checked_sub(1)?).filter(|definition| appears(definition))
        }
        None => state.ecs.families.get(name)?.iter().rev().find(|one| one.active && appears(one)),
    }
}

/// A task definition that may be used for something new.
pub(super) fn usable<'a>(state: &'a State, reference: &str) -> Result<&'a TaskDefinition, Refusal> {
    match seen(state, reference) {
        None => Err(Refusal::new("ClientException", "TaskDefinition not found.")),
        Some(definition) if !definition.active => Err(Refusal::new("ClientException", "TaskDefinition is inactive")),
        Some(definition) => Ok(definition),
    }
}

impl TaskDefinition {
    pub(super) fn containers(&self) -> &[Value] {
        self.content.get("containerDefinitions").and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    pub(super) fn text(&self, member: &str) -> Option<&str> {
        self.content.get(member).and_then(Value::as_str)
    }

    fn description(&self, state: &State) -> Value {
        let mut description = self.content.clone();
        let status = if self.active { "ACTIVE" } else { "INACTIVE" };
        for (member, value) in [
            ("taskDefinitionArn", json!(self.arn)),
            ("revision", json!(self.revision)),
            ("status", json!(status)),
            ("requiresAttributes", registration::required_attributes(&self.content)),
            ("compatibilities", registration::compatibilities(&self.content)),
            ("registeredAt", epoch(self.registered_at)),
            ("deregisteredAt", self.deregistered_at.map_or(Value::Null, epoch)),
            ("registeredBy", json!(format!("arn:aws:sts::{}:assumed-role/deliver/run", state.account))),
        ] {
            description.insert(member.to_owned(), value);
        }
        without_nulls(Value::Object(description))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::World;

    fn fargate() -> Value {
        json!({
            "family": "auth", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "512",
            "executionRoleArn": "arn:aws:iam::111122223333:role/execution",
            "containerDefinitions": [{ "name": "app", "image": "public.ecr.aws/nginx/nginx:1" }],
        })
    }

    fn with(member: &str, value: Value) -> Value {
        let mut body = fargate();
        body[member] = value;
        without_nulls(body)
    }

    #[tokio::test(start_paused = true)]
    async fn refuses_what_ecs_refuses() {
        #[track_caller]
        fn check(body: &Value, code: &str, says: &str) {
            let refusal = World::new().with(|state| register(state, body)).expect_err(says);
            assert_eq!(refusal.code, code);
            assert!(refusal.message.contains(says), "{}", refusal.message);
        }
        check(&with("family", Value::Null), "ClientException", "Family");
        check(&with("containerDefinitions", json!([])), "ClientException", "Container list cannot be empty");
        check(&with("containerDefinitions", json!([{ "name": "app" }])), "ClientException", "Container.image");
        check(&with("tags", json!([])), "InvalidParameterException", "Tags can not be empty");
        check(&with("memory", json!("8192")), "ClientException", "No Fargate configuration exists");
        check(&with("memory", Value::Null), "ClientException", "memory");
        check(&with("networkMode", json!("bridge")), "ClientException", "Fargate only supports network mode");
        let idle = json!([{ "name": "app", "image": "a", "essential": false }]);
        check(&with("containerDefinitions", idle), "ClientException", "essential");
    }

    #[tokio::test(start_paused = true)]
    async fn keeps_what_was_registered_and_counts_revisions() {
        let world = World::new();
        world.with(|state| {
            register(state, &fargate()).expect("a valid task definition");
            let tagged = with("tags", json!([{ "key": "team", "value": "payments" }]));
            let second = register(state, &tagged).expect("a valid task definition");
            assert_eq!(second["taskDefinition"]["revision"], 2);
            assert_eq!(second["taskDefinition"]["containerDefinitions"][0]["essential"], true);
            assert_eq!(second["taskDefinition"]["compatibilities"], json!(["EC2", "FARGATE"]));
            assert!(second["taskDefinition"].get("tags").is_none());

            let plain = describe(state, &json!({ "taskDefinition": "auth" })).expect("the latest");
            assert!(plain.get("tags").is_none());
            let arn = plain["taskDefinition"]["taskDefinitionArn"].clone();
            let full = describe(state, &json!({ "taskDefinition": arn, "include": ["TAGS"] })).expect("by ARN");
            assert_eq!(full["tags"][0]["value"], "payments");

            deregister(state, &json!({ "taskDefinition": "auth:2" })).expect("deregistered");
            let latest = describe(state, &json!({ "taskDefinition": "auth" })).expect("the first again");
            assert_eq!(latest["taskDefinition"]["revision"], 1);
            let active = list(state, &json!({ "familyPrefix": "auth" })).expect("a list");
            assert_eq!(active["taskDefinitionArns"].as_array().map(Vec::len), Some(1));
            assert_eq!(usable(state, "auth:2").expect_err("inactive").message, "TaskDefinition is inactive");
            assert_eq!(
                describe(state, &json!({ "taskDefinition": "web" })).expect_err("missing").code,
                "ClientException"
            );
        });
    }
}
