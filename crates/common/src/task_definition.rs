//! Task definitions as JSON: read from a file, filled in, given their image, made comparable.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value};

use crate::delivery::interpolate;
use crate::failure::Failure;
use crate::names::{ContainerName, TaskDefinitionRevision};

/// What only ECS writes: RegisterTaskDefinition does not take it back
/// (<https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_TaskDefinition.html>).
const READ_ONLY: [&str; 9] = [
    "taskDefinitionArn",
    "revision",
    "status",
    "requiresAttributes",
    "compatibilities",
    "registeredAt",
    "registeredBy",
    "deregisteredAt",
    "deleteRequestedAt",
];

/// Where a task definition comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A file of the checkout.
    File(Template),
    /// A revision that exists already.
    Existing(TaskDefinitionRevision),
    /// What the service runs now.
    Running,
}

impl Source {
    /// Reads what the caller wrote: `family:revision`, an ARN, or a file of the workspace. Nothing is what the service runs now.
    pub fn read(
        written: Option<&str>,
        workspace: &Path,
        variables: &BTreeMap<String, String>,
    ) -> Result<Self, Failure> {
        let Some(written) = written else { return Ok(Self::Running) };
        match written.parse() {
            Ok(revision) => Ok(Self::Existing(revision)),
            Err(_) => Ok(Self::File(Template::read(workspace, written, variables)?.require_containers(variables)?)),
        }
    }

    /// The task definition: filled in, and with this image in this container. `running` is what the service runs now,
    /// `existing` the revision that was asked for.
    pub fn render(
        &self,
        running: &Value,
        existing: Option<&Value>,
        image: Option<&str>,
        container: Option<&ContainerName>,
        variables: &BTreeMap<String, String>,
    ) -> Result<Value, Failure> {
        let mut definition = match (self, existing) {
            (Self::File(template), _) => {
                let mut variables = variables.clone();
                // The running one's ARN says where we are: `arn:aws:ecs:<region>:<account>:task-definition/…`.
                let arn = running["taskDefinitionArn"].as_str().unwrap_or_default();
                let whereabouts = ["REGION", "ACCOUNT"].into_iter().zip(arn.split(':').skip(3));
                variables.extend(whereabouts.map(|(name, value)| (name.to_owned(), value.to_owned())));
                variables.extend(image.map(|image| ("IMAGE".to_owned(), image.to_owned())));
                template.fill_in(&variables)?
            }
            (Self::Existing(_), Some(existing)) => existing.clone(),
            (Self::Existing(_) | Self::Running, _) => running.clone(),
        };
        if let Some(image) = image {
            set_image(&mut definition, container, image).map_err(|why| {
                Failure::input(why)
                    .hint("name the container in delivery.toml (`container`) or in the input `container`")
            })?;
        }
        if definition["family"].is_null() {
            definition["family"] = running["family"].clone();
        }
        Ok(definition)
    }
}

/// A JSON file with `${VARIABLE}`s in it: a task definition, or what a service is made from.
#[derive(Clone, Debug)]
pub struct Template {
    file: String,
    text: String,
}

impl Template {
    /// Reads a file and proves that it can be filled in: every variable is known, and the result is a JSON object.
    pub fn read(workspace: &Path, file: &str, variables: &BTreeMap<String, String>) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(workspace.join(file)).map_err(|error| {
            Failure::input(error)
                .context(format!("read `{file}`"))
                .hint("its path is relative to the workspace: check it in delivery.toml, and that actions/checkout ran before this step")
        })?;
        let template = Self { file: file.to_owned(), text };
        template.fill_in(&with_placeholders(variables))?;
        Ok(template)
    }

    /// The JSON with every variable filled in.
    pub fn fill_in(&self, variables: &BTreeMap<String, String>) -> Result<Value, Failure> {
        let file = &self.file;
        // A value goes into a JSON string: its quotes and line breaks must not end it.
        let lookup = |name: &str| variables.get(name).map(|value| json_inside(value));
        let text = interpolate(&self.text, lookup).map_err(|unknown| {
            let known: Vec<&str> = variables.keys().map(String::as_str).collect();
            Failure::input(format!("{file}:{}: unknown variable `${{{}}}`", unknown.line, unknown.name))
                .hint(format!("add it to the environment's `variables`; known are `{}`", known.join("`, `")))
        })?;
        let value: Value = serde_json::from_str(&text).map_err(|error| {
            let what = error.to_string();
            let what = what.split(" at line ").next().unwrap_or(&what);
            Failure::input(format!("{file}:{}:{}: not JSON: {what}", error.line(), error.column()))
                .hint("it has to be what the AWS CLI takes as `--cli-input-json`")
        })?;
        match value {
            Value::Object(members) => Ok(Value::Object(members)),
            _ => Err(Failure::input(format!("{file}: not a JSON object"))
                .hint("it has to be what the AWS CLI takes as `--cli-input-json`")),
        }
    }

    /// Proves that it is a task definition.
    fn require_containers(self, variables: &BTreeMap<String, String>) -> Result<Self, Failure> {
        match self.fill_in(&with_placeholders(variables))?["containerDefinitions"].is_array() {
            true => Ok(self),
            false => {
                Err(Failure::input(format!("{}: not a task definition: it has no `containerDefinitions`", self.file))
                    .hint("a task definition file is what `aws ecs register-task-definition --cli-input-json` takes"))
            }
        }
    }
}

/// The variables, and something for those that only AWS knows.
fn with_placeholders(variables: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut known = variables.clone();
    known.extend(["ACCOUNT", "IMAGE", "REGION"].map(|name| (name.to_owned(), "x".to_owned())));
    known
}

fn json_inside(value: &str) -> String {
    let quoted = Value::String(value.to_owned()).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// The task definition without what only ECS writes, as RegisterTaskDefinition takes it.
pub fn registrable(mut definition: Value) -> Value {
    if let Value::Object(members) = &mut definition {
        members.retain(|name, value| !READ_ONLY.contains(&name.as_str()) && !value.is_null());
        // ECS refuses an empty list here: "Tags can not be empty".
        if members.get("tags").is_some_and(|tags| tags.as_array().is_some_and(Vec::is_empty)) {
            members.shift_remove("tags");
        }
    }
    definition
}

/// Gives the container its image. Without a name, the task definition must have one container only.
pub fn set_image(definition: &mut Value, container: Option<&ContainerName>, image: &str) -> Result<(), String> {
    let containers = definition["containerDefinitions"].as_array_mut().map(Vec::as_mut_slice).unwrap_or_default();
    let names: Vec<String> = containers.iter().map(|container| text(&container["name"])).collect();
    let known = format!("it has `{}`", names.join("`, `"));
    let found = match container {
        Some(name) => containers.iter_mut().find(|container| container["name"] == name.as_str()),
        None if containers.len() > 1 => return Err(format!("which container gets the image is not said: {known}")),
        None => containers.first_mut(),
    };
    match (found, container) {
        (Some(found), _) => {
            found["image"] = Value::String(image.to_owned());
            Ok(())
        }
        (None, Some(name)) => Err(format!("the task definition has no container `{name}`: {known}")),
        (None, None) => Err("the task definition has no container".to_owned()),
    }
}

/// A task definition in the one form that equal ones share: without what ECS adds, defaults left out, lists that are sets
/// in order.
pub fn comparable(definition: &Value) -> Value {
    let mut definition = without_empty(registrable(definition.clone()));
    if let Some(members) = definition.as_object_mut() {
        // No member of a task definition itself can be blank: emulators answer so (`pidMode: ""`) what was not given.
        members.retain(|_, value| value != "");
        for name in ["tags", "volumes", "placementConstraints", "requiresCompatibilities"] {
            members.get_mut(name).map(sort);
        }
    }
    for container in definition["containerDefinitions"].as_array_mut().into_iter().flatten() {
        if let Some(members) = container.as_object_mut() {
            without_defaults(members);
        }
    }
    sort_members(definition)
}

/// Leaves out what ECS fills in where a file is silent.
fn without_defaults(container: &mut Map<String, Value>) {
    for mapping in container.get_mut("portMappings").and_then(Value::as_array_mut).into_iter().flatten() {
        let same_port = mapping["hostPort"] == mapping["containerPort"];
        if let Some(members) = mapping.as_object_mut() {
            members
                .retain(|name, value| !((name == "protocol" && value == "tcp") || (name == "hostPort" && same_port)));
        }
    }
    container.retain(|name, value| !((name == "cpu" && value == 0) || (name == "essential" && value == true)));
    for name in ["environment", "secrets", "mountPoints", "portMappings", "ulimits", "environmentFiles"] {
        container.get_mut(name).map(sort);
    }
}

/// Leaves out empty lists and objects, all the way down: ECS adds some (`secretOptions: []`), and none of them means anything.
/// Empty text does.
fn without_empty(value: Value) -> Value {
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    };
    match value {
        Value::Object(members) => {
            let members = members.into_iter().map(|(name, value)| (name, without_empty(value)));
            Value::Object(members.filter(|(_, value)| !is_empty(value)).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(without_empty).collect()),
        other => other,
    }
}

fn sort(list: &mut Value) {
    if let Some(items) = list.as_array_mut() {
        items.sort_by_key(|item| sort_members(item.clone()).to_string());
    }
}

/// Members in alphabetical order, all the way down.
fn sort_members(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let sorted: BTreeMap<String, Value> =
                members.into_iter().map(|(name, value)| (name, sort_members(value))).collect();
            Value::Object(sorted.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sort_members).collect()),
        other => other,
    }
}

/// A JSON string as text; blank for anything else.
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_ecs_adds_makes_no_difference() {
        let written = json!({
            "family": "auth", "cpu": "256",
            "containerDefinitions": [{
                "name": "app", "image": "x",
                "environment": [{ "name": "B", "value": "" }, { "name": "A", "value": "1" }],
                "portMappings": [{ "containerPort": 3001 }],
            }],
        });
        let held = json!({
            "taskDefinitionArn": "arn", "revision": 3, "status": "ACTIVE", "deleteRequestedAt": 1,
            "family": "auth", "cpu": "256", "volumes": [], "placementConstraints": [], "pidMode": "",
            "containerDefinitions": [{
                "name": "app", "image": "x", "cpu": 0, "essential": true, "mountPoints": [], "volumesFrom": [], "systemControls": [],
                "environment": [{ "value": "1", "name": "A" }, { "name": "B", "value": "" }],
                "portMappings": [{ "containerPort": 3001, "hostPort": 3001, "protocol": "tcp" }],
            }],
        });
        assert_eq!(comparable(&written), comparable(&held));
        let mut other = written.clone();
        other["containerDefinitions"][0]["environment"][0]["value"] = json!("2");
        assert_ne!(comparable(&other), comparable(&held));
    }

    #[test]
    fn what_may_be_registered_loses_nothing_that_a_user_wrote() {
        let definition =
            json!({ "family": "auth", "newerThanUs": { "a": [] }, "tags": [], "revision": 1, "pidMode": null });
        assert_eq!(registrable(definition), json!({ "family": "auth", "newerThanUs": { "a": [] } }));
    }

    #[test]
    fn the_image_goes_to_the_named_container() {
        let two = json!({ "containerDefinitions": [{ "name": "app" }, { "name": "proxy" }] });
        let check = |name: Option<&str>| {
            let mut definition = two.clone();
            let name = name.map(|name| name.parse().unwrap());
            set_image(&mut definition, name.as_ref(), "x")
                .map(|()| definition["containerDefinitions"][1]["image"].clone())
        };
        assert_eq!(check(Some("proxy")), Ok(json!("x")));
        assert_eq!(check(None), Err("which container gets the image is not said: it has `app`, `proxy`".to_owned()));
        assert_eq!(
            check(Some("ap")),
            Err("the task definition has no container `ap`: it has `app`, `proxy`".to_owned())
        );
    }
}
