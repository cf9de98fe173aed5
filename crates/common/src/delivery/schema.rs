//! The JSON Schema of the delivery file, for editors.

use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use serde_json::Value;

use super::Delivery;

/// The JSON Schema (draft 2020-12) of the delivery file.
pub fn schema() -> Value {
    let settings = SchemaSettings::draft2020_12().with_transform(RecursiveTransform(forget_null));
    settings.into_generator().into_root_schema_for::<Delivery>().to_value()
}

/// TOML has no null: a key without a value is a key that is not there.
fn forget_null(schema: &mut Schema) {
    let Some(object) = schema.as_object_mut() else { return };
    let is_null = |value: &Value| value == "null" || value["type"] == "null";
    match object.get_mut("default") {
        Some(Value::Null) => drop(object.remove("default")),
        Some(Value::Object(keys)) => keys.retain(|_, value| !value.is_null()),
        _ => {}
    }
    if let Some(Value::Array(kinds)) = object.get_mut("type") {
        kinds.retain(|kind| !is_null(kind));
        if let [kind] = kinds.as_slice() {
            let kind = kind.clone();
            object.insert("type".to_owned(), kind);
        }
    }
    if let Some(Value::Array(choices)) = object.get_mut("anyOf") {
        choices.retain(|choice| !is_null(choice));
        if let [Value::Object(only)] = choices.as_slice() {
            let only = only.clone();
            object.remove("anyOf");
            object.extend(only);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::tests::{EXAMPLE, read, refused};
    use super::*;

    /// What the example leaves out: with it, every key there is has a value.
    const REST: &str = r#"
[environments.spare]
cluster = "spare"
variables = { LOG_LEVEL = "info" }
[environments.spare.strategy]
kind = "linear"
percent = 12.5
step = "5m"
bake = "1h"
minimum-healthy-percent = 50
maximum-percent = 200
alarms = ["payments-5xx"]

[services.gateway]
project = "gateway"
context = "apps"
repository = "payments/gateway"
container = "nginx"
service-definition = "deploy/gateway-service.json"
after = ["auth"]
depends-on = ["auth"]
paths = ["deploy/nginx.conf"]
migration = { command = ["true"], status = ["false"], backup = { rds-cluster = "${LOG_LEVEL}", when = "always", keep = 3, timeout = "2h" } }
[services.gateway.health]
url = "http://gateway/"
expect = ["status == 200"]
method = "POST"
headers = { accept = "application/json" }
body = "{}"
addresses = "all"
distinct = 2
distinct-by = "header(x-instance)"
smoke = ["http://gateway/cart"]
smoke-command = ["k6", "run"]
interval = "500ms"
timeout = "2s"
passes = 1
failures = 5
bake = "10m"
settle = "1m"
alarms = ["gateway-*"]
prometheus = "http://prometheus:9090"
optional = ["latency < 1s"]
observe = ["queue"]
[services.gateway.health.metrics]
queue = { namespace = "AWS/SQS", metric = "ApproximateNumberOfMessagesVisible", dimensions = { QueueName = "orders" }, statistic = "Maximum", warn = 10.0, fail = 100.0, bad = "above", period = "1m", points = 3, sustained = 2, minimum-samples = 5, missing = 0.0 }
errors = { expression = "m1 / m2", fail = 0.5 }
busy = { prometheus = "sum(rate(requests[1m]))", fail = 0.5 }
[services.gateway.build]
target = "run"
arguments = { COMMIT = "${COMMIT}" }
secrets = { npm = "NPM_TOKEN" }
platform = "linux/arm64"
contexts = { shared = "libs/shared", core = "service:auth", node = "docker-image://node:24" }
[services.gateway.image-policy]
max-size = "1GB"
max-compressed-size = "400MB"
require-non-root = false
require-healthcheck = false
required-files = ["remoteEntry.js"]

[[services.gateway.image-policy.exceptions]]
id = "CVE-2026-1234"
reason = "the parser is not reachable"
expires = "2026-12-31"

[repositories]
create = false
reconcile = "enforce"
immutable-tags = true
moving-tags = ["main", "pr-*"]
scan-on-push = false
encryption = "KMS"
kms-key = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
keep-images = 20
expire-untagged-days = 3
signed = true
"#;

    /// What cannot stand beside the rest.
    const INSTEAD: &str = r#"lifecycle-policy = "deploy/lifecycle.json"
"#;

    #[test]
    fn every_key_of_the_schema_is_read_and_kept() {
        let (mut in_schema, mut in_file) = (BTreeSet::new(), BTreeSet::new());
        let whole = format!("{EXAMPLE}{REST}");
        let other = whole.replace("keep-images = 20\nexpire-untagged-days = 3\n", INSTEAD);
        for text in [whole, other] {
            let written: Value = toml::from_str(&text).unwrap();
            let mut kept = serde_json::to_value(read(&text)).unwrap();
            forget_what_is_not_written(&mut kept, &written);
            assert_eq!(kept, written);
            collect_keys(&written, &mut in_file);
        }
        collect_properties(&schema(), &mut in_schema);
        let missing: Vec<&String> = in_schema.difference(&in_file).collect();
        assert_eq!(missing, Vec::<&String>::new(), "the text above should have every key");
    }

    #[test]
    fn the_schema_requires_what_reading_requires() {
        const LEAST: &str = r#"
name = "a"
[environments.b]
cluster = "c"
[environments.b.strategy]
kind = "rolling"
[services.d]
path = "."
repository = "ef"
container = "g"
[services.d.migration]
command = ["h"]
[services.d.migration.backup]
rds-cluster = "i"
[[image-policy.exceptions]]
id = "j"
reason = "k"
expires = "2026-12-31"
"#;
        read(LEAST);
        let schema = schema();
        let mut required = BTreeSet::new();
        for object in schema["$defs"].as_object().unwrap().values().chain([&schema]) {
            required.extend(object["required"].as_array().into_iter().flatten().filter_map(Value::as_str));
        }
        // Of these two, the reader wants an entry: the key alone will not do.
        assert!(required.remove("environments") && required.remove("services"));
        assert_eq!(
            required.iter().copied().collect::<Vec<_>>(),
            ["cluster", "command", "container", "expires", "id", "kind", "name", "reason", "repository"]
        );
        for key in required {
            let without: Vec<&str> = LEAST.lines().filter(|line| !line.starts_with(key)).collect();
            assert!(refused(&without.join("\n")).contains(&format!("missing key `{key}`")), "{key}");
        }
    }

    #[test]
    fn the_schema_is_closed_and_described() {
        let schema = schema();
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert_eq!(schema["title"], "delivery.toml");
        for (name, definition) in schema["$defs"].as_object().unwrap().iter().chain([(&"Delivery".to_owned(), &schema)])
        {
            let Some(properties) = definition["properties"].as_object() else { continue };
            assert_eq!(definition["additionalProperties"], false, "{name}");
            for (property, details) in properties {
                assert!(details["description"].is_string(), "{name}.{property} is described");
            }
        }
        assert!(!schema.to_string().contains("null"), "TOML has no null");
        assert_eq!(schema["$defs"]["ImagePolicy"]["properties"]["max-size"]["default"], "500MB");
        let step = &schema["$defs"]["Strategy"]["properties"]["step"];
        assert_eq!(step["$ref"], "#/$defs/TimeSpan", "an optional key refers to its type alone: {step}");
        assert_eq!(schema["$defs"]["Health"]["properties"]["interval"]["default"], "30s");
    }

    fn forget_what_is_not_written(kept: &mut Value, written: &Value) {
        match (kept, written) {
            (Value::Object(kept), Value::Object(written)) => {
                kept.retain(|key, _| written.contains_key(key));
                for (key, value) in kept {
                    forget_what_is_not_written(value, &written[key]);
                }
            }
            // `10` is read as `10.0`.
            (kept @ Value::Number(_), Value::Number(written)) if kept.as_f64() == written.as_f64() => {
                *kept = Value::Number(written.clone())
            }
            _ => {}
        }
    }

    fn collect_properties(schema: &Value, properties: &mut BTreeSet<String>) {
        if let Some(named) = schema["properties"].as_object() {
            properties.extend(named.keys().cloned());
        }
        for definition in schema["$defs"].as_object().into_iter().flat_map(serde_json::Map::values) {
            collect_properties(definition, properties);
        }
    }

    fn collect_keys(value: &Value, keys: &mut BTreeSet<String>) {
        for (key, value) in value.as_object().into_iter().flatten() {
            keys.insert(key.clone());
            collect_keys(value, keys);
        }
        value.as_array().into_iter().flatten().for_each(|item| collect_keys(item, keys));
    }
}
