//! What changes from one task definition to the next, for people.

use common::task_definition::comparable;
use serde_json::Value;

/// One line of a difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    /// Where: `containers.app.environment.LOG_LEVEL`.
    pub(crate) path: String,
    /// What it was; `None` if it was not there.
    pub(crate) from: Option<String>,
    /// What it becomes; `None` if it goes.
    pub(crate) to: Option<String>,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { path, from, to } = self;
        match (from, to) {
            (Some(from), Some(to)) => write!(formatter, "~ {path}: {from} → {to}"),
            (None, Some(to)) => write!(formatter, "+ {path}: {to}"),
            (Some(from), None) => write!(formatter, "- {path}: {from}"),
            (None, None) => write!(formatter, "  {path}"),
        }
    }
}

/// Every difference between two task definitions. Values that may be secret are not in it.
pub(crate) fn differences(from: &Value, to: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    compare("", Some(&comparable(from)), Some(&comparable(to)), &mut found);
    found
}

fn compare(path: &str, from: Option<&Value>, to: Option<&Value>, found: &mut Vec<Difference>) {
    if from == to {
        return;
    }
    let (before, after) = (from.and_then(members), to.and_then(members));
    match (before, after) {
        (None, None) => found.push(Difference {
            path: path.to_owned(),
            from: from.map(|value| shown(path, value)),
            to: to.map(|value| shown(path, value)),
        }),
        (before, after) => {
            let (before, after) = (before.unwrap_or_default(), after.unwrap_or_default());
            let mut names: Vec<&String> = before.iter().chain(&after).map(|(name, _)| name).collect();
            names.sort();
            names.dedup();
            for name in names {
                let at = |list: &[(String, Value)]| {
                    list.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
                };
                let inner = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                compare(
                    &inner.replace("containerDefinitions", "containers"),
                    at(&before).as_ref(),
                    at(&after).as_ref(),
                    found,
                );
            }
        }
    }
}

/// The parts of a value by name: an object's members, or a list's items if each has a name of its own.
fn members(value: &Value) -> Option<Vec<(String, Value)>> {
    match value {
        Value::Object(members) => Some(members.iter().map(|(name, value)| (name.clone(), value.clone())).collect()),
        Value::Array(items) => items
            .iter()
            .map(|item| match (item["name"].as_str(), item.get("value").or_else(|| item.get("valueFrom"))) {
                (Some(name), Some(value)) if item.as_object().is_some_and(|members| members.len() == 2) => {
                    Some((name.to_owned(), value.clone()))
                }
                (Some(name), _) => Some((name.to_owned(), item.clone())),
                (None, _) => None,
            })
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

/// A value as a reader may see it: plain environment variables do carry secrets, whatever the advice.
fn shown(path: &str, value: &Value) -> String {
    let name = path.rsplit('.').next().unwrap_or(path).to_uppercase();
    let is_secret = path.contains(".environment.")
        && ["SECRET", "TOKEN", "PASSWORD", "PASSWD", "KEY", "CREDENTIAL", "DSN", "_URL", "URI"]
            .iter()
            .any(|word| name.contains(word));
    match value {
        _ if is_secret => "***".to_owned(),
        Value::String(text) => format!("`{text}`"),
        other => format!("`{other}`"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_difference_is_named_by_where_it_is_and_shows_no_secret() {
        let from = json!({ "cpu": "256", "memory": "512", "containerDefinitions": [{
            "name": "app", "image": "shop@sha256:1",
            "environment": [{ "name": "LOG_LEVEL", "value": "debug" }, { "name": "API_TOKEN", "value": "one" }, { "name": "OLD", "value": "" }],
        }] });
        let to = json!({ "cpu": "512", "memory": "512", "containerDefinitions": [{
            "name": "app", "image": "shop@sha256:2", "stopTimeout": 30,
            "environment": [{ "name": "LOG_LEVEL", "value": "info" }, { "name": "API_TOKEN", "value": "two" }],
            "secrets": [{ "name": "DB", "valueFrom": "arn:aws:ssm:::parameter/db" }],
        }] });
        let lines: Vec<String> = differences(&from, &to).iter().map(ToString::to_string).collect();
        assert_eq!(
            lines,
            [
                "~ containers.app.environment.API_TOKEN: *** → ***",
                "~ containers.app.environment.LOG_LEVEL: `debug` → `info`",
                "- containers.app.environment.OLD: ``",
                "~ containers.app.image: `shop@sha256:1` → `shop@sha256:2`",
                "+ containers.app.secrets.DB: `arn:aws:ssm:::parameter/db`",
                "+ containers.app.stopTimeout: `30`",
                "~ cpu: `256` → `512`",
            ]
        );
        assert_eq!(differences(&from, &from), []);
    }
}
