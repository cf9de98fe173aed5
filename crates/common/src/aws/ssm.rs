//! Systems Manager's Parameter Store: the ledger, the lock, and the values that tasks are given.

use std::collections::BTreeSet;

use aws_config::SdkConfig;
use aws_sdk_ssm::operation::delete_parameter::DeleteParameterError;
use aws_sdk_ssm::operation::get_parameter::GetParameterError;
use aws_sdk_ssm::operation::get_parameter_history::GetParameterHistoryError;
use aws_sdk_ssm::operation::put_parameter::PutParameterError;
use aws_sdk_ssm::operation::put_parameter::builders::PutParameterFluentBuilder;
use aws_sdk_ssm::types::{ParameterMetadata, ParameterStringFilter, ParameterTier, ParameterType};
use jiff::Timestamp;

use super::clock::Clock;
use super::moment;
use super::refusal::failure;
use crate::failure::Failure;
use crate::names::Secret;

/// The Systems Manager API.
#[derive(Clone, Debug)]
pub struct Ssm(aws_sdk_ssm::Client, Clock);

/// One version of a parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its name, also where it was asked for by ARN.
    pub name: String,
    /// Its value, decrypted.
    pub value: Secret,
    /// Which version this is, from 1.
    pub version: i64,
    /// When this version was written, by AWS's clock.
    pub modified_at: Option<Timestamp>,
    /// AWS's word: `String`, `StringList` or `SecureString`.
    pub kind: String,
}

/// A new version of a parameter, and what it replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotated {
    /// The parameter's name, also where it was given as an ARN.
    pub name: String,
    /// The version that was current before: what [`Ssm::restore_parameter`] takes to go back.
    pub earlier: i64,
    /// The version that is current now.
    pub version: i64,
}

/// How many parameters GetParameters takes
/// (<https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameters.html>).
const NAMES_PER_CALL: usize = 10;

/// How many pages of names are read to find one that is like a name that does not exist.
const SUGGESTION_PAGES: usize = 4;

impl Ssm {
    pub(super) fn new(config: &SdkConfig) -> Self {
        let clock = Clock::default();
        let config = aws_sdk_ssm::config::Builder::from(config).interceptor(clock.clone()).build();
        Self(aws_sdk_ssm::Client::from_conf(config), clock)
    }

    /// The present moment by AWS's clock, which dates what is written here; `None` before the first answer.
    pub fn now(&self) -> Option<Timestamp> {
        self.1.now()
    }

    /// `ssm:GetParameter`, by name or ARN. `None` if there is no such parameter.
    pub async fn get_parameter(&self, name: &str) -> Result<Option<Parameter>, Failure> {
        let answer = match self.0.get_parameter().name(name).with_decryption(true).send().await {
            Ok(answer) => answer,
            Err(error) if error.as_service_error().is_some_and(GetParameterError::is_parameter_not_found) => {
                return Ok(None);
            }
            Err(error) => return Err(failure("ssm:GetParameter", format!("read parameter `{name}`"), error)),
        };
        Ok(answer.parameter().map(|found| Parameter {
            name: found.name().unwrap_or(name).to_owned(),
            value: Secret::new(found.value().unwrap_or_default()),
            version: found.version(),
            modified_at: found.last_modified_date().and_then(moment),
            kind: found.r#type().map(|kind| kind.as_str().to_owned()).unwrap_or_default(),
        }))
    }

    /// `ssm:GetParameterHistory`: every version that is kept (the last hundred), oldest first. None for a parameter that does
    /// not exist.
    pub async fn parameter_history(&self, name: &str) -> Result<Vec<Parameter>, Failure> {
        let mut pages = self.0.get_parameter_history().name(name).with_decryption(true).into_paginator().send();
        let mut versions = Vec::new();
        while let Some(page) = pages.next().await {
            let page = match page {
                Ok(page) => page,
                Err(error)
                    if error.as_service_error().is_some_and(GetParameterHistoryError::is_parameter_not_found) =>
                {
                    return Ok(Vec::new());
                }
                Err(error) => {
                    let doing = format!("read the history of parameter `{name}`");
                    return Err(failure("ssm:GetParameterHistory", doing, error));
                }
            };
            versions.extend(page.parameters().iter().map(|found| Parameter {
                name: found.name().unwrap_or(name).to_owned(),
                value: Secret::new(found.value().unwrap_or_default()),
                version: found.version(),
                modified_at: found.last_modified_date().and_then(moment),
                kind: found.r#type().map(|kind| kind.as_str().to_owned()).unwrap_or_default(),
            }));
        }
        versions.sort_by_key(|parameter| parameter.version);
        Ok(versions)
    }

    /// `ssm:PutParameter` of a plain parameter that must not exist: its version, or `None` if it exists already. Of two who
    /// do this at once, one gets `None`.
    pub async fn create_parameter(&self, name: &str, value: &str, description: &str) -> Result<Option<i64>, Failure> {
        match self.plain(name, value).overwrite(false).description(description).send().await {
            Ok(answer) => Ok(Some(answer.version())),
            Err(error) if error.as_service_error().is_some_and(PutParameterError::is_parameter_already_exists) => {
                Ok(None)
            }
            Err(error) => Err(failure("ssm:PutParameter", format!("create parameter `{name}`"), error)),
        }
    }

    /// `ssm:PutParameter` of a plain parameter, whether it exists or not: its new version.
    pub async fn put_parameter(&self, name: &str, value: &str) -> Result<i64, Failure> {
        let answer = self.plain(name, value).overwrite(true).send().await;
        let answer = answer.map_err(|error| failure("ssm:PutParameter", format!("write parameter `{name}`"), error))?;
        Ok(answer.version())
    }

    /// `ssm:DeleteParameter`: whether it was there.
    pub async fn delete_parameter(&self, name: &str) -> Result<bool, Failure> {
        match self.0.delete_parameter().name(name).send().await {
            Ok(_) => Ok(true),
            Err(error) if error.as_service_error().is_some_and(DeleteParameterError::is_parameter_not_found) => {
                Ok(false)
            }
            Err(error) => Err(failure("ssm:DeleteParameter", format!("delete parameter `{name}`"), error)),
        }
    }

    /// `ssm:GetParameters`: which of these names and ARNs exist. No value is decrypted.
    pub async fn existing_parameters(&self, names: &BTreeSet<String>) -> Result<BTreeSet<String>, Failure> {
        let mut existing = names.clone();
        for names in names.iter().collect::<Vec<_>>().chunks(NAMES_PER_CALL) {
            let request = names.iter().fold(self.0.get_parameters(), |request, name| request.names(name.as_str()));
            let answer = request.with_decryption(false).send().await.map_err(|error| {
                let names: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
                failure("ssm:GetParameters", format!("look for the parameters `{}`", names.join("`, `")), error)
            })?;
            // An answer may name a parameter otherwise than it was asked for (by ARN, with a selector); those that do not
            // exist are named as asked.
            for missing in answer.invalid_parameters() {
                existing.remove(missing);
            }
        }
        Ok(existing)
    }

    /// `ssm:DescribeParameters`: the first names that begin so, for whoever misspelt one. No value is read.
    pub async fn parameter_names(&self, beginning: &str) -> Result<Vec<String>, Failure> {
        let doing = || format!("list the parameters whose names begin with `{beginning}`");
        let filter = ParameterStringFilter::builder().key("Name").option("BeginsWith").values(beginning).build();
        let filter = filter.map_err(|error| Failure::bug(error).context(doing()))?;
        let mut pages = self.0.describe_parameters().parameter_filters(filter).max_results(50).into_paginator().send();
        let mut names = Vec::new();
        // A suggestion is worth a few calls, and not a walk through thousands of parameters.
        for _ in 0..SUGGESTION_PAGES {
            let Some(page) = pages.next().await else { break };
            let page = page.map_err(|error| failure("ssm:DescribeParameters", doing(), error))?;
            names.extend(page.parameters().iter().filter_map(|found| found.name()).map(str::to_owned));
        }
        Ok(names)
    }

    /// `ssm:PutParameter` of a new value for a parameter that exists, by name or ARN, which keeps its type, tier and key.
    pub async fn rotate_parameter(&self, name: &str, value: &Secret) -> Result<Rotated, Failure> {
        let name = self.plain_name(name).await?;
        let found = self.describe_parameter(&name).await?;
        let doing = || format!("give parameter `{name}` a new value");
        let answer = self
            .like(&found)
            .value(value.expose())
            .send()
            .await
            .map_err(|error| failure("ssm:PutParameter", doing(), error))?;
        Ok(Rotated { name: name.clone(), earlier: found.version(), version: answer.version() })
    }

    /// Gives a parameter the value again that it had in this version, as a new version.
    pub async fn restore_parameter(&self, name: &str, version: i64) -> Result<Rotated, Failure> {
        let name = self.plain_name(name).await?;
        let history = self.parameter_history(&name).await?;
        match history.iter().find(|parameter| parameter.version == version) {
            Some(earlier) => self.rotate_parameter(&name, &earlier.value).await,
            None => {
                let known: Vec<String> = history.iter().map(|parameter| parameter.version.to_string()).collect();
                Err(Failure::input(format!("parameter `{name}` has no version {version}"))
                    .hint(format!("Parameter Store keeps the last hundred; there are {}", known.join(", "))))
            }
        }
    }

    fn plain(&self, name: &str, value: &str) -> PutParameterFluentBuilder {
        let request = self.0.put_parameter().name(name).value(value).r#type(ParameterType::String);
        // A standard parameter ends at 4 KB; this makes it an advanced one (8 KB) only once it needs to be.
        request.tier(ParameterTier::IntelligentTiering)
    }

    /// An overwrite that changes the value alone. Without its key, a SecureString would move to the account's default key
    /// (<https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html>).
    fn like(&self, found: &ParameterMetadata) -> PutParameterFluentBuilder {
        self.0
            .put_parameter()
            .overwrite(true)
            .set_name(found.name().map(str::to_owned))
            .set_type(found.r#type().cloned())
            .set_tier(found.tier().cloned())
            .set_key_id(found.key_id().map(str::to_owned))
            .set_data_type(found.data_type().map(str::to_owned))
            .set_description(found.description().map(str::to_owned))
            .set_allowed_pattern(found.allowed_pattern().map(str::to_owned))
    }

    /// `ssm:DescribeParameters`, for one. A page may be empty and not be the last.
    async fn describe_parameter(&self, name: &str) -> Result<ParameterMetadata, Failure> {
        let doing = || format!("describe parameter `{name}`");
        let filter = ParameterStringFilter::builder().key("Name").option("Equals").values(name).build();
        let filter = filter.map_err(|error| Failure::bug(error).context(doing()))?;
        let mut pages = self.0.describe_parameters().parameter_filters(filter).into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| failure("ssm:DescribeParameters", doing(), error))?;
            if let Some(found) = page.parameters().iter().find(|found| found.name() == Some(name)) {
                return Ok(found.clone());
            }
        }
        Err(no_such_parameter(name))
    }

    /// The name of a parameter that may be given by ARN. The ARN does not tell whether the name begins with `/`, and only
    /// GetParameter and its like take one.
    async fn plain_name(&self, name: &str) -> Result<String, Failure> {
        if !name.starts_with("arn:") {
            return Ok(name.to_owned());
        }
        let found = self.get_parameter(name).await?;
        Ok(found.ok_or_else(|| no_such_parameter(name))?.name)
    }
}

fn no_such_parameter(name: &str) -> Failure {
    Failure::input(format!("there is no parameter `{name}`"))
        .hint("check its name and the region: names are case-sensitive, and begin with `/` where they have levels")
}
