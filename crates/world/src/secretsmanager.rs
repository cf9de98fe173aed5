//! Secrets Manager: secrets, their versions, and the stages that name a version.
//!
//! API: <https://docs.aws.amazon.com/secretsmanager/latest/apireference/Welcome.html>

mod stages;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::oci;
use crate::state::{State, World};
use crate::wire::{self, Refusal};

const CURRENT: &str = "AWSCURRENT";
const PREVIOUS: &str = "AWSPREVIOUS";

/// Every secret, by name.
#[derive(Debug, Default)]
pub(crate) struct SecretsManager(BTreeMap<String, Secret>);

#[derive(Debug)]
struct Secret {
    arn: String,
    /// `None` for `aws/secretsmanager`, the key of AWS, which is not shown.
    key: Option<String>,
    created_at: Timestamp,
    changed_at: Timestamp,
    /// Oldest first. A version without a stage is deprecated: it is not shown, and may be gone any time.
    versions: Vec<Version>,
}

#[derive(Debug)]
struct Version {
    id: String,
    value: String,
    created_at: Timestamp,
    stages: BTreeSet<String>,
}

impl World {
    /// Makes a secret, or puts its next value, and gives its ARN, with the six characters that AWS puts at its end.
    pub fn put_secret(&self, name: &str, value: &str) -> String {
        self.with(|state| {
            let now = state.now;
            let arn = arn(state, name);
            let new = || Secret { arn, key: None, created_at: now, changed_at: now, versions: Vec::new() };
            let secret = state.secretsmanager.0.entry(name.to_owned()).or_insert_with(new);
            let id = minted(&secret.arn, secret.versions.len());
            secret.add(id, value.to_owned(), &[CURRENT], now);
            secret.arn.clone()
        })
    }

    /// Has a secret be encrypted by a key of one's own.
    pub fn encrypt_secret(&self, name: &str, key: &str) {
        self.with(|state| {
            if let Some(secret) = state.secretsmanager.0.get_mut(name) {
                secret.key = Some(key.to_owned());
            }
        });
    }

    /// A secret's present value.
    pub fn secret(&self, name: &str) -> Option<String> {
        self.with(|state| Some(state.secretsmanager.0.get(name)?.staged(CURRENT)?.value.clone()))
    }
}

/// The value that a task definition's `valueFrom` means: `arn:…:secret:name-AbCdEf`, and maybe `:key:stage:version`, each of
/// which may be blank. Or why there is none, as the service and ECS's agent say it.
/// <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/secrets-envvar-secrets-manager.html>
pub(crate) fn value_from(state: &State, reference: &str) -> Result<String, String> {
    let parts: Vec<&str> = reference.splitn(10, ':').collect();
    let part = |index: usize| parts.get(index).copied().filter(|part| !part.is_empty());
    let id = parts.iter().take(7).copied().collect::<Vec<_>>().join(":");
    let say = |refusal: Refusal| format!("{}: {}", refusal.code, refusal.message);
    let version = find(state, &id).and_then(|secret| secret.version(part(9), part(8))).map_err(say)?;
    let Some(key) = part(7) else { return Ok(version.value.clone()) };
    let document: Value = serde_json::from_str(&version.value).map_err(|_| {
        let first = version.value.chars().next().unwrap_or_default();
        format!("invalid character '{first}' looking for beginning of value")
    })?;
    match &document[key] {
        Value::Null => Err(format!("retrieved secret from Secrets Manager did not contain json key {key}")),
        Value::String(text) => Ok(text.clone()),
        other => Ok(other.to_string()),
    }
}

/// Answers an operation of Secrets Manager's API.
pub(crate) fn answer(state: &mut State, operation: &str, body: &Value) -> Result<Value, Refusal> {
    match operation {
        "CreateSecret" => create(state, body),
        "DescribeSecret" => describe(state, body),
        "GetSecretValue" => get_value(state, body),
        "PutSecretValue" => put_value(state, body),
        "UpdateSecretVersionStage" => stages::update(state, body),
        _ => {
            let message = format!("Secrets Manager has no operation {operation} in this world");
            Err(Refusal::new("UnknownOperationException", message))
        }
    }
}

fn create(state: &mut State, body: &Value) -> Result<Value, Refusal> {
    let name = body["Name"].as_str().unwrap_or_default();
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "/_+=.@-".contains(letter);
    if name.is_empty() || !name.chars().all(is_plain) {
        let message =
            "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!";
        return Err(Refusal::new("ValidationException", message));
    }
    if state.secretsmanager.0.contains_key(name) {
        let message = format!("The operation failed because the secret {name} already exists.");
        return Err(Refusal::new("ResourceExistsException", message));
    }
    let (arn, now) = (arn(state, name), state.now);
    let mut secret = Secret {
        arn: arn.clone(),
        key: body["KmsKeyId"].as_str().map(str::to_owned),
        created_at: now,
        changed_at: now,
        versions: Vec::new(),
    };
    let mut answer = json!({ "ARN": arn, "Name": name });
    if let Some(value) = body["SecretString"].as_str() {
        let id = version_id(body, &secret)?;
        answer["VersionId"] = json!(id);
        secret.add(id, value.to_owned(), &[CURRENT], now);
    }
    state.secretsmanager.0.insert(name.to_owned(), secret);
    Ok(answer)
}

fn describe(state: &State, body: &Value) -> Result<Value, Refusal> {
    let id = secret_id(body)?;
    let secret = find(state, id)?;
    let staged = secret.versions.iter().filter(|version| !version.stages.is_empty());
    let stages: BTreeMap<&str, &BTreeSet<String>> =
        staged.map(|version| (version.id.as_str(), &version.stages)).collect();
    let mut answer = json!({
        "ARN": secret.arn,
        "Name": secret.name(),
        "CreatedDate": wire::epoch(secret.created_at),
        "LastChangedDate": wire::epoch(secret.changed_at),
    });
    if let Some(key) = &secret.key {
        answer["KmsKeyId"] = json!(key);
    }
    if !stages.is_empty() {
        answer["VersionIdsToStages"] = json!(stages);
    }
    Ok(answer)
}

fn get_value(state: &State, body: &Value) -> Result<Value, Refusal> {
    let secret = find(state, secret_id(body)?)?;
    let version = secret.version(body["VersionId"].as_str(), body["VersionStage"].as_str())?;
    Ok(json!({
        "ARN": secret.arn,
        "Name": secret.name(),
        "VersionId": version.id,
        "SecretString": version.value,
        "VersionStages": version.stages,
        "CreatedDate": wire::epoch(version.created_at),
    }))
}

fn put_value(state: &mut State, body: &Value) -> Result<Value, Refusal> {
    let now = state.now;
    let secret = find_mut(state, secret_id(body)?)?;
    let Some(value) = body["SecretString"].as_str() else {
        let message = "You must provide either SecretString or SecretBinary.";
        return Err(Refusal::new("InvalidRequestException", message));
    };
    let id = version_id(body, secret)?;
    match secret.versions.iter().find(|version| version.id == id) {
        None => {
            let asked =
                body["VersionStages"].as_array().map(|stages| stages.iter().filter_map(Value::as_str).collect());
            let stages: Vec<&str> = asked.unwrap_or_else(|| vec![CURRENT]);
            secret.add(id.clone(), value.to_owned(), &stages, now);
        }
        // The same request once more: nothing is changed.
        Some(version) if version.value == value => {}
        Some(_) => {
            let message = format!(
                "You can't use ClientRequestToken {id} because that value is already in use for a version of secret {}.",
                secret.arn
            );
            return Err(Refusal::new("ResourceExistsException", message));
        }
    }
    let version = secret.version(Some(&id), None)?;
    Ok(json!({ "ARN": secret.arn, "Name": secret.name(), "VersionId": id, "VersionStages": version.stages }))
}

impl Secret {
    fn is(&self, id: &str) -> bool {
        let without_suffix = self.arn.rsplit_once('-').map_or(self.arn.as_str(), |(arn, _)| arn);
        id == self.arn || id == without_suffix || id == self.name()
    }

    /// The name in the ARN: what it ends in, without the dash and the six characters.
    fn name(&self) -> &str {
        let named = self.arn.rsplit(':').next().unwrap_or_default();
        named.rsplit_once('-').map_or(named, |(name, _)| name)
    }

    fn staged(&self, stage: &str) -> Option<&Version> {
        self.versions.iter().find(|version| version.stages.contains(stage))
    }

    /// The version of an id, of a stage, or of both if they agree; the present one if nothing is said.
    fn version(&self, id: Option<&str>, stage: Option<&str>) -> Result<&Version, Refusal> {
        let refuse = |what: String| {
            let message = format!("Secrets Manager can't find the specified secret value for {what}");
            Refusal::new("ResourceNotFoundException", message)
        };
        let Some(id) = id else {
            let stage = stage.unwrap_or(CURRENT);
            return self.staged(stage).ok_or_else(|| refuse(format!("staging label: {stage}")));
        };
        let version = self.versions.iter().find(|version| version.id == id);
        let version = version.ok_or_else(|| refuse(format!("VersionId: {id}")))?;
        if stage.is_some_and(|stage| !version.stages.contains(stage)) {
            let message = "You provided a VersionStage that is not associated to the provided VersionId.";
            return Err(Refusal::new("InvalidRequestException", message));
        }
        Ok(version)
    }

    fn add(&mut self, id: String, value: String, stages: &[&str], now: Timestamp) {
        self.versions.push(Version { id: id.clone(), value, created_at: now, stages: BTreeSet::new() });
        for stage in stages {
            self.attach(stage, &id);
        }
        self.changed_at = now;
    }

    /// Puts a stage on a version. What was AWSCURRENT becomes AWSPREVIOUS.
    fn attach(&mut self, stage: &str, id: &str) {
        let before = self.staged(stage).map(|version| version.id.clone());
        for version in &mut self.versions {
            version.stages.remove(stage);
            if version.id == id {
                version.stages.insert(stage.to_owned());
            }
        }
        if let Some(before) = before.filter(|before| stage == CURRENT && before != id) {
            self.attach(PREVIOUS, &before);
        }
    }
}

/// A secret by name, by ARN, or by its ARN without the six characters at the end.
fn find<'a>(state: &'a State, id: &str) -> Result<&'a Secret, Refusal> {
    state.secretsmanager.0.values().find(|secret| secret.is(id)).ok_or_else(no_secret)
}

fn find_mut<'a>(state: &'a mut State, id: &str) -> Result<&'a mut Secret, Refusal> {
    state.secretsmanager.0.values_mut().find(|secret| secret.is(id)).ok_or_else(no_secret)
}

fn secret_id(body: &Value) -> Result<&str, Refusal> {
    body["SecretId"]
        .as_str()
        .filter(|id| !id.is_empty())
        .ok_or_else(|| Refusal::new("InvalidParameterException", "You must provide SecretId."))
}

/// The id that the caller gives a new version, as SDKs do by themselves.
fn version_id(body: &Value, secret: &Secret) -> Result<String, Refusal> {
    match body["ClientRequestToken"].as_str() {
        None => Ok(minted(&secret.arn, secret.versions.len())),
        Some(token) if (32..=64).contains(&token.len()) => Ok(token.to_owned()),
        Some(_) => {
            let message = "ClientRequestToken must be 32-64 characters long.";
            Err(Refusal::new("InvalidParameterException", message))
        }
    }
}

fn minted(arn: &str, number: usize) -> String {
    let digits = oci::hexadecimal(&format!("{arn} {number}"));
    format!("{}-{}-4{}-a{}-{}", &digits[..8], &digits[8..12], &digits[13..16], &digits[17..20], &digits[20..32])
}

fn arn(state: &State, name: &str) -> String {
    let suffix = STANDARD.encode(oci::hexadecimal(name));
    format!("arn:aws:secretsmanager:{}:{}:secret:{name}-{}", state.region, state.account, &suffix[..6])
}

fn no_secret() -> Refusal {
    Refusal::new("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
}
