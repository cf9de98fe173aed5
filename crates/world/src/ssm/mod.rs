//! SSM Parameter Store.
//!
//! <https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html>

mod limits;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use self::limits::{check, invalid, tier};
use crate::oci;
use crate::state::{State, World};
use crate::wire::{self, Refusal};

/// The most versions that a parameter's history keeps.
const VERSIONS: usize = 100;

/// The largest page, and the usual one.
const PAGE: usize = 50;

/// The key that a `SecureString` is encrypted by when none is named: by an overwrite, too.
const DEFAULT_KEY: &str = "alias/aws/ssm";

/// What Parameter Store knows: every parameter's versions, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Ssm(BTreeMap<String, Vec<Version>>);

#[derive(Clone, Debug)]
struct Version {
    number: u64,
    value: String,
    kind: String,
    tier: String,
    /// The key of a `SecureString`.
    key: Option<String>,
    description: Option<String>,
    modified_at: Timestamp,
}

impl World {
    /// Puts a parameter of type `String`, or its next version.
    ///
    /// # Panics
    /// If Parameter Store refuses the name or the value.
    pub fn put_parameter(&self, name: &str, value: &str) {
        let body =
            json!({ "Name": name, "Value": value, "Type": "String", "Overwrite": true, "Tier": "Intelligent-Tiering" });
        self.put(&body);
    }

    /// Puts a parameter of type `SecureString`, or its next version, encrypted by a key: AWS's own if none is named.
    ///
    /// # Panics
    /// If Parameter Store refuses the name or the value.
    pub fn put_secure_parameter(&self, name: &str, value: &str, key: Option<&str>) {
        let mut body = json!({ "Name": name, "Value": value, "Type": "SecureString", "Overwrite": true });
        if let Some(key) = key {
            body["KeyId"] = json!(key);
        }
        self.put(&body);
    }

    fn put(&self, body: &Value) {
        if let Err(refusal) = self.with(|state| put(state, body)) {
            panic!("the parameter cannot be put: {}", refusal.message);
        }
    }

    /// A parameter's present value, decrypted.
    pub fn parameter(&self, name: &str) -> Option<String> {
        self.with(|state| Some(state.ssm.0.get(name)?.last()?.value.clone()))
    }
}

/// Whether a parameter of this name, or of this ARN, exists.
pub(crate) fn parameter_exists(state: &State, name_or_arn: &str) -> bool {
    find(state, name_or_arn).is_some()
}

/// Answers an operation of Systems Manager's API.
pub(crate) fn answer(state: &mut State, operation: &str, body: &Value) -> Result<Value, Refusal> {
    match operation {
        "PutParameter" => put(state, body),
        "GetParameter" => get(state, body),
        "GetParameters" => get_several(state, body),
        "GetParameterHistory" => get_history(state, body),
        "DeleteParameter" => delete(state, body),
        "DescribeParameters" => describe(state, body),
        _ => Err(Refusal::new("UnknownOperationException", format!("SSM has no operation {operation} in this world"))),
    }
}

fn put(state: &mut State, body: &Value) -> Result<Value, Refusal> {
    let name = body["Name"].as_str().unwrap_or_default().to_owned();
    let value = body["Value"].as_str().unwrap_or_default().to_owned();
    check(&name, &value)?;
    let now = state.now;
    let versions = state.ssm.0.get(&name).map(Vec::as_slice).unwrap_or_default();
    let before = versions.last();
    if before.is_some() && body["Overwrite"].as_bool() != Some(true) {
        let message =
            "The parameter already exists. To overwrite this value, set the overwrite option in the request to true.";
        return Err(Refusal::new("ParameterAlreadyExists", message));
    }
    let Some(kind) = body["Type"].as_str().or(before.map(|version| version.kind.as_str())) else {
        return Err(invalid("A parameter type is required when you create a parameter."));
    };
    if before.is_some_and(|before| before.kind != kind) {
        let message = "Parameter Store does not support changing a parameter type in a hierarchy. For example, you can't change a \
                       parameter from a String type to a SecureString type. You must create a new, unique parameter.";
        return Err(Refusal::new("HierarchyTypeMismatchException", message));
    }
    let version = Version {
        number: before.map_or(1, |version| version.number + 1),
        kind: kind.to_owned(),
        tier: tier(body["Tier"].as_str(), before, &value)?.to_owned(),
        key: (kind == "SecureString").then(|| body["KeyId"].as_str().unwrap_or(DEFAULT_KEY).to_owned()),
        description: body["Description"].as_str().map(str::to_owned),
        modified_at: now,
        value,
    };
    let answer = json!({ "Version": version.number, "Tier": version.tier });
    let versions = state.ssm.0.entry(name).or_default();
    versions.push(version);
    if versions.len() > VERSIONS {
        versions.remove(0);
    }
    Ok(answer)
}

fn get(state: &State, body: &Value) -> Result<Value, Refusal> {
    let asked = body["Name"].as_str().unwrap_or_default();
    Ok(json!({ "Parameter": selected(state, asked, body)? }))
}

fn get_several(state: &State, body: &Value) -> Result<Value, Refusal> {
    let names: Vec<&str> = body["Names"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if names.is_empty() || names.len() > 10 {
        return Err(invalid(
            "1 validation error detected: Value at 'names' failed to satisfy constraint: \
             Member must have length less than or equal to 10, and greater than or equal to 1",
        ));
    }
    let (mut parameters, mut unknown) = (Vec::new(), Vec::new());
    for name in names {
        match selected(state, name, body) {
            Ok(parameter) => parameters.push(parameter),
            Err(_) => unknown.push(name),
        }
    }
    Ok(json!({ "Parameters": parameters, "InvalidParameters": unknown }))
}

/// A parameter by name or ARN, in its present version, or in that of a selector: `name:3`.
fn selected(state: &State, asked: &str, body: &Value) -> Result<Value, Refusal> {
    let (name, selector) = match asked.rsplit_once(':') {
        Some((name, selector)) if selector.parse::<u64>().is_ok() => (name, Some(selector)),
        _ => (asked, None),
    };
    let (name, versions) = find(state, name).ok_or_else(|| Refusal::new("ParameterNotFound", ""))?;
    let version = match selector {
        None => versions.last(),
        Some(selector) => versions.iter().find(|version| version.number.to_string() == selector),
    };
    let version = version.ok_or_else(|| {
        let selector = selector.unwrap_or_default();
        let message =
            format!("Systems Manager could not find version {selector} of {name}. Verify the version and try again.");
        Refusal::new("ParameterVersionNotFound", message)
    })?;
    let mut parameter = view(state, name, version, body);
    if let Some(selector) = selector {
        parameter["Selector"] = json!(format!(":{selector}"));
    }
    Ok(parameter)
}

fn get_history(state: &State, body: &Value) -> Result<Value, Refusal> {
    let name = body["Name"].as_str().unwrap_or_default();
    let (name, versions) = find(state, name).ok_or_else(|| Refusal::new("ParameterNotFound", ""))?;
    let items = versions.iter().map(|version| {
        let mut item = metadata(state, name, version);
        item["Value"] = json!(shown(version, body));
        item["Labels"] = json!([]);
        item
    });
    page(items.collect(), body)
}

fn delete(state: &mut State, body: &Value) -> Result<Value, Refusal> {
    let name = body["Name"].as_str().unwrap_or_default();
    state.ssm.0.remove(name).map(|_| json!({})).ok_or_else(|| Refusal::new("ParameterNotFound", ""))
}

fn describe(state: &State, body: &Value) -> Result<Value, Refusal> {
    let filters = body["ParameterFilters"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut items = Vec::new();
    for (name, versions) in &state.ssm.0 {
        let Some(version) = versions.last() else { continue };
        let passes = filters.iter().map(|filter| passes(filter, name, version)).collect::<Result<Vec<_>, _>>()?;
        if passes.into_iter().all(|passed| passed) {
            let mut item = metadata(state, name, version);
            item["ARN"] = json!(arn(state, name));
            items.push(item);
        }
    }
    page(items, body)
}

fn passes(filter: &Value, name: &str, version: &Version) -> Result<bool, Refusal> {
    let option = filter["Option"].as_str();
    let values = filter["Values"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let key = filter["Key"].as_str().unwrap_or_default();
    let is_match = |value: &str| match (key, option) {
        ("Name", None | Some("Equals")) => Some(name == value),
        ("Name", Some("BeginsWith")) => Some(name.starts_with(value)),
        ("Name", Some("Contains")) => Some(name.contains(value)),
        ("Path", _) => Some(lies_under(name, value, option == Some("Recursive"))),
        ("Type", None | Some("Equals")) => Some(version.kind == value),
        ("Tier", None | Some("Equals")) => Some(version.tier == value),
        ("KeyId", None | Some("Equals")) => Some(version.key.as_deref() == Some(value)),
        _ => None,
    };
    let mut any = false;
    for value in values {
        any |= is_match(value).ok_or_else(|| {
            Refusal::new(
                "InvalidFilterKey",
                format!("The filter {key} is not valid in this world, or has no such option."),
            )
        })?;
    }
    Ok(any)
}

fn lies_under(name: &str, path: &str, is_recursive: bool) -> bool {
    let rest = name.strip_prefix(path.trim_end_matches('/')).and_then(|rest| rest.strip_prefix('/'));
    rest.is_some_and(|rest| is_recursive || !rest.contains('/'))
}

fn page(items: Vec<Value>, body: &Value) -> Result<Value, Refusal> {
    let size = body["MaxResults"].as_u64().and_then(|size| usize::try_from(size).ok()).unwrap_or(PAGE);
    if !(1..=PAGE).contains(&size) {
        return Err(invalid(
            "1 validation error detected: Value at 'maxResults' failed to satisfy constraint: \
             Member must have value less than or equal to 50, and greater than or equal to 1",
        ));
    }
    let (items, next) = wire::page(items, size, body["NextToken"].as_str())
        .ok_or_else(|| Refusal::new("InvalidNextToken", "The specified token isn't valid."))?;
    let mut answer = json!({ "Parameters": items });
    if let Some(next) = next {
        answer["NextToken"] = json!(next);
    }
    Ok(answer)
}

/// A parameter by name or ARN. The ARN of `/a/b` ends in `parameter/a/b`, and that of `a` in `parameter/a`.
fn find<'a>(state: &'a State, name_or_arn: &'a str) -> Option<(&'a str, &'a [Version])> {
    let name = match name_or_arn.split_once(":parameter") {
        Some((_, name)) if state.ssm.0.contains_key(name) => name,
        Some((_, name)) => name.strip_prefix('/')?,
        None => name_or_arn,
    };
    state.ssm.0.get_key_value(name).map(|(name, versions)| (name.as_str(), versions.as_slice()))
}

fn view(state: &State, name: &str, version: &Version, body: &Value) -> Value {
    json!({
        "Name": name,
        "Type": version.kind,
        "Value": shown(version, body),
        "Version": version.number,
        "LastModifiedDate": wire::epoch(version.modified_at),
        "ARN": arn(state, name),
        "DataType": "text",
    })
}

fn metadata(state: &State, name: &str, version: &Version) -> Value {
    let mut metadata = json!({
        "Name": name,
        "Type": version.kind,
        "LastModifiedDate": wire::epoch(version.modified_at),
        "LastModifiedUser": format!("arn:aws:sts::{}:assumed-role/deliver/run", state.account),
        "Version": version.number,
        "Tier": version.tier,
        "Policies": [],
        "DataType": "text",
    });
    if let Some(description) = &version.description {
        metadata["Description"] = json!(description);
    }
    if let Some(key) = &version.key {
        metadata["KeyId"] = json!(key);
    }
    metadata
}

/// The value as the caller may see it: a secret's ciphertext, unless decryption was asked for.
fn shown(version: &Version, body: &Value) -> String {
    if version.kind == "SecureString" && body["WithDecryption"].as_bool() != Some(true) {
        return format!("AQICAH{}", oci::hexadecimal(&version.value));
    }
    version.value.clone()
}

fn arn(state: &State, name: &str) -> String {
    let slash = if name.starts_with('/') { "" } else { "/" };
    format!("arn:aws:ssm:{}:{}:parameter{slash}{name}", state.region, state.account)
}
