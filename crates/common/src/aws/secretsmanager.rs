//! Secrets Manager: which secrets there are, which keys a JSON secret has, and new values for them.

use std::collections::{BTreeMap, BTreeSet};

use aws_config::SdkConfig;
use aws_sdk_secretsmanager::operation::describe_secret::DescribeSecretError;
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueError;
use jiff::Timestamp;
use serde_json::Value;

use super::moment;
use super::refusal::failure;
use crate::failure::Failure;
use crate::names::Secret;

/// The label of the version that is read where none is asked for.
pub const CURRENT: &str = "AWSCURRENT";

/// The Secrets Manager API. Every method takes a secret's name, its ARN, or its ARN without the six random characters.
#[derive(Clone, Debug)]
pub struct SecretsManager(aws_sdk_secretsmanager::Client);

/// A secret, without its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretDescription {
    /// Its ARN, with the six random characters that a secret made anew under the same name does not share.
    pub arn: String,
    /// Its name.
    pub name: String,
    /// The key that encrypts it; `None` is the account's `aws/secretsmanager`.
    pub kms_key: Option<String>,
    /// When it was marked for deletion. Nobody can read it since.
    pub deleted_at: Option<Timestamp>,
    /// Its versions and their labels (`AWSCURRENT`, `AWSPREVIOUS`, …).
    pub versions: BTreeMap<String, BTreeSet<String>>,
}

/// What the value of a version of a secret is made of. The value itself is not told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretKeys {
    /// There is no such secret, or no such version of it.
    NotFound,
    /// The value is no JSON object: it has no keys.
    NotJson,
    /// The keys of the JSON object.
    Json(BTreeSet<String>),
}

impl SecretDescription {
    /// The version with this label.
    pub fn version_with(&self, label: &str) -> Option<&str> {
        self.versions.iter().find(|(_, labels)| labels.contains(label)).map(|(version, _)| version.as_str())
    }
}

impl SecretsManager {
    pub(super) fn new(config: &SdkConfig) -> Self {
        Self(aws_sdk_secretsmanager::Client::new(config))
    }

    /// `secretsmanager:DescribeSecret`. `None` if there is no such secret.
    pub async fn describe_secret(&self, id: &str) -> Result<Option<SecretDescription>, Failure> {
        let answer = match self.0.describe_secret().secret_id(id).send().await {
            Ok(answer) => answer,
            Err(error)
                if error.as_service_error().is_some_and(DescribeSecretError::is_resource_not_found_exception) =>
            {
                return Ok(None);
            }
            Err(error) => {
                return Err(failure("secretsmanager:DescribeSecret", format!("look up secret `{id}`"), error));
            }
        };
        let versions = answer.version_ids_to_stages().into_iter().flatten();
        Ok(Some(SecretDescription {
            arn: answer.arn().unwrap_or(id).to_owned(),
            name: answer.name().unwrap_or(id).to_owned(),
            kms_key: answer.kms_key_id().map(str::to_owned),
            deleted_at: answer.deleted_date().and_then(moment),
            versions: versions.map(|(id, labels)| (id.clone(), labels.iter().cloned().collect())).collect(),
        }))
    }

    /// `secretsmanager:GetSecretValue`: the keys of a JSON secret, in the version with this label and of this id; without
    /// both, in the current one. The value never leaves this function.
    pub async fn secret_keys(
        &self,
        id: &str,
        label: Option<&str>,
        version: Option<&str>,
    ) -> Result<SecretKeys, Failure> {
        let request = self.0.get_secret_value().secret_id(id);
        let request = request.set_version_stage(label.map(str::to_owned)).set_version_id(version.map(str::to_owned));
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error)
                if error.as_service_error().is_some_and(GetSecretValueError::is_resource_not_found_exception) =>
            {
                return Ok(SecretKeys::NotFound);
            }
            Err(error) => {
                let doing = format!("look for the keys of secret `{id}`");
                return Err(failure("secretsmanager:GetSecretValue", doing, error));
            }
        };
        Ok(keys(answer.secret_string().unwrap_or_default()))
    }

    /// `secretsmanager:PutSecretValue`: gives a secret a new value, which is the current one from now on. Answers the new
    /// version's id.
    pub async fn put_secret_value(&self, id: &str, value: &Secret) -> Result<String, Failure> {
        let call = "secretsmanager:PutSecretValue";
        let doing = || format!("give secret `{id}` a new value");
        let answer = self.0.put_secret_value().secret_id(id).secret_string(value.expose()).send().await;
        let answer = answer.map_err(|error| failure(call, doing(), error))?;
        match answer.version_id() {
            Some(version) => Ok(version.to_owned()),
            None => Err(Failure::remote("the answer names no version").context(call).context(doing())),
        }
    }

    /// `secretsmanager:UpdateSecretVersionStage`: makes an earlier version the current one again. Where it is already,
    /// nothing is done.
    pub async fn restore_previous(&self, id: &str, version: &str) -> Result<(), Failure> {
        let Some(secret) = self.describe_secret(id).await? else {
            return Err(Failure::input(format!("there is no secret `{id}`")).hint("check its name and the region"));
        };
        if !secret.versions.contains_key(version) {
            // A version without a label may be deleted by AWS at any time.
            return Err(Failure::input(format!("secret `{id}` has no version `{version}` any more"))
                .hint("put the earlier value anew, with `aws secretsmanager put-secret-value`"));
        }
        let current = secret.version_with(CURRENT);
        if current == Some(version) {
            return Ok(());
        }
        let request = self.0.update_secret_version_stage().secret_id(id).version_stage(CURRENT);
        let request = request.move_to_version_id(version).set_remove_from_version_id(current.map(str::to_owned));
        request.send().await.map_err(|error| {
            let doing = format!("make version `{version}` of secret `{id}` the current one again");
            failure("secretsmanager:UpdateSecretVersionStage", doing, error)
        })?;
        Ok(())
    }
}

fn keys(value: &str) -> SecretKeys {
    match serde_json::from_str(value) {
        Ok(Value::Object(members)) => SecretKeys::Json(members.into_iter().map(|(key, _)| key).collect()),
        _ => SecretKeys::NotJson,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_json_object_has_keys() {
        let json = |keys: &[&str]| SecretKeys::Json(keys.iter().map(|&key| key.to_owned()).collect());
        assert_eq!(keys(r#"{"username":"a","password":"b"}"#), json(&["password", "username"]));
        assert_eq!(keys("{}"), json(&[]));
        for value in ["", "hunter2", "\"text\"", "[1]", "{\"broken\":"] {
            assert_eq!(keys(value), SecretKeys::NotJson, "{value}");
        }
    }
}
