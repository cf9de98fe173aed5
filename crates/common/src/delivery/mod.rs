//! Reading `delivery.toml`: what is delivered, where to, and in which order.
//!
//! [`Delivery::read`] tells everything that is wrong with a file at once, each with its line. The model is plain structs
//! ([`Environment`], [`Service`], [`ImagePolicy`]); how they are read is `read.rs` and `section.rs`, what they say of each other is
//! `references.rs`. A key is added by adding a field, and its name to the list under the struct.

mod environment;
mod exception;
mod health;
mod image_build;
mod image_policy;
mod notes;
mod read;
mod references;
mod relative_path;
mod repositories;
mod schema;
mod section;
mod service;
mod template;
#[cfg(test)]
mod tests;
mod time_span;

use std::collections::BTreeMap;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Serialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

pub use self::environment::{Environment, InvalidVariableName, Strategy, StrategyKind, VariableName};
pub use self::exception::{Day, FindingException};
pub use self::health::{Addresses, Health, Metric, Side};
pub use self::image_build::{BuildPlatform, ContextSource, ImageBuild};
pub use self::image_policy::{ImagePolicy, ServiceImagePolicy, Severity, Size};
pub use self::relative_path::{InvalidPath, RelativePath};
pub use self::repositories::{Encryption, MOST_MOVING_TAGS, Reconcile, Repositories, TagPattern, wildcard};
pub use self::schema::schema;
pub use self::service::{Backup, BackupWhen, Migration, Service};
pub use self::template::{Template, UnknownVariable, VARIABLES, interpolate};
pub use self::time_span::TimeSpan;

use self::notes::{Notes, column, line};
use self::read::{At, Read, read_text, suggest};
use self::section::read_section;
use crate::failure::Failure;
use crate::inputs::nearest;
use crate::names::{DeliveryName, EnvironmentName, ServiceKey};

/// What is delivered, and where to.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(title = "delivery.toml")]
pub struct Delivery {
    /// The name of the product. Release ledger and lock live under `/delivery/NAME/ENVIRONMENT`.
    pub name: DeliveryName,
    /// The places that the product is delivered to, by name.
    #[schemars(extend("minProperties" = 1))]
    pub environments: IndexMap<EnvironmentName, Environment>,
    /// The services that the product is made of, by the key that inputs call them by.
    #[schemars(extend("minProperties" = 1))]
    pub services: IndexMap<ServiceKey, Service>,
    /// What an image has to be before it is pushed.
    #[serde(default)]
    pub image_policy: ImagePolicy,
    /// How the ECR repositories of the images are made, and what is looked after in those that are there.
    #[serde(default)]
    pub repositories: Repositories,
}

read_section!(Delivery { name, environments, services, image_policy, repositories } check references::check);
read_text!(DeliveryName);

impl Delivery {
    /// Reads a delivery file; `file` is what it is called in messages. All that is wrong with it is one failure.
    pub fn read(text: &str, file: &str) -> Result<Self, Failure> {
        let (table, errors) = DeTable::parse_recoverable(text);
        if let Some(failure) = syntax(&errors, text, file) {
            return Err(failure);
        }
        let notes = Notes::default();
        let root = Spanned::new(table.span(), DeValue::Table(table.into_inner()));
        let delivery = <Self as Read>::read(&root, At::root(&notes));
        match notes.into_failure(text, file) {
            Some(failure) => Err(failure),
            None => delivery.ok_or_else(|| Failure::bug(format!("`{file}` was refused without a reason"))),
        }
    }

    /// What an image of this service has to be.
    pub fn image_policy_of(&self, key: &ServiceKey) -> ImagePolicy {
        match self.services.get(key) {
            Some(service) => self.image_policy.with(&service.image_policy),
            None => self.image_policy.clone(),
        }
    }

    /// The environment of this name.
    pub fn environment(&self, name: &EnvironmentName) -> Result<&Environment, Failure> {
        self.environments.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.environments.keys().map(EnvironmentName::as_str).collect();
            let failure = Failure::input(format!("there is no environment `{name}` in the delivery file"));
            let all = format!("it has `{}`", known.join("`, `"));
            match nearest(name.as_str(), known) {
                Some(nearest) => failure.hint(format!("did you mean `{nearest}`? {all}")),
                None => failure.hint(all),
            }
        })
    }

    /// The environment that a branch is delivered to.
    pub fn for_branch(&self, branch: &str) -> Option<EnvironmentName> {
        let mut environments = self.environments.iter();
        environments
            .find(|(_, environment)| environment.branch.as_deref() == Some(branch))
            .map(|(name, _)| name.clone())
    }

    /// The services of these keys in the order of the file; all of them if none is asked for.
    pub fn select(&self, services: &[ServiceKey]) -> Result<Vec<&ServiceKey>, Failure> {
        let unknown = services.iter().filter(|key| !self.services.contains_key(*key)).map(|key| {
            let advice = suggest(key.as_str(), self.services.keys().map(ServiceKey::as_str));
            Failure::input(format!("there is no service `{key}` in the delivery file")).hint(advice)
        });
        match Failure::all(unknown) {
            Some(failure) => Err(failure),
            None => Ok(self.services.keys().filter(|key| services.is_empty() || services.contains(key)).collect()),
        }
    }

    /// These services in waves: each comes after all that it is to come `after`, in the order given otherwise.
    ///
    /// A service that is not among them still hands its place on: `a` after `b` after `c` keeps `a` after `c` without `b`.
    pub fn waves<'a>(&self, services: &[&'a ServiceKey]) -> Vec<Vec<&'a ServiceKey>> {
        // As many rounds as there are services settle the longest chain. There are no cycles: reading refuses them.
        let mut waves: IndexMap<&ServiceKey, usize> = self.services.keys().map(|key| (key, 0)).collect();
        for _ in 0..self.services.len() {
            for (key, service) in &self.services {
                let behind = |before: &ServiceKey| {
                    waves.get(before).map_or(0, |wave| wave + usize::from(services.contains(&before)))
                };
                let wave = service.after.iter().map(behind).max().unwrap_or(0);
                waves.insert(key, wave);
            }
        }
        let count = services.iter().filter_map(|key| waves.get(key)).max().map_or(0, |last| last + 1);
        let wave = |number| services.iter().copied().filter(|key| waves.get(key) == Some(&number)).collect();
        (0..count).map(wave).collect()
    }
}

/// Reads the one value of a text that is `key = value`. All that is wrong with it is one failure.
fn read_one<T: Read>(text: &str, key: &str, file: &str) -> Result<T, Failure> {
    let (table, errors) = DeTable::parse_recoverable(text);
    if let Some(failure) = syntax(&errors, text, file) {
        return Err(failure);
    }
    let notes = Notes::default();
    let value = table.get_ref().iter().find(|(name, _)| name.get_ref() == key).map(|(_, value)| value);
    let read = value.and_then(|value| T::read(value, At::root(&notes)));
    match notes.into_failure(text, file) {
        Some(failure) => Err(failure),
        None => read.ok_or_else(|| Failure::bug(format!("{file} was refused without a reason"))),
    }
}

/// Mistakes in the TOML itself. They are told alone: what they hide cannot be judged. Of those in one line only the first is
/// told, the parser stumbles over the others because of it.
fn syntax(errors: &[toml::de::Error], text: &str, file: &str) -> Option<Failure> {
    let mut first_by_line = BTreeMap::new();
    for error in errors {
        let offset = error.span().map_or(text.len(), |span| span.start);
        let place = (line(text, offset), column(text, offset));
        let (first, message) = first_by_line.entry(place.0).or_insert((place.1, error.message()));
        if place.1 < *first {
            (*first, *message) = (place.1, error.message());
        }
    }
    let failures = first_by_line.into_iter().map(|(line, (column, message))| {
        Failure::input(format!("{file}:{line}:{column}: this is not TOML: {message}"))
    });
    Failure::all(failures).map(|failure| failure.hint("see https://toml.io for how tables, lists and text are written"))
}
