//! Amazon ECR: its API, and the images that the registry serves.
//!
//! Shapes and error codes are those of the API's model; texts are those that ECR answers.
//! <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_Operations.html>

mod images;
mod reference;
mod repositories;
mod repository;
mod scans;
mod seed;
mod signing;

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};

pub(crate) use reference::{Reference, image};
pub(crate) use repository::{Pushed, Repository};
pub use scans::ScanSeed;
pub use seed::{ImageSeed, RepositorySeed};

use crate::state::State;
use crate::wire::{self, Refusal};
use crate::{oci, registry};

/// <https://docs.aws.amazon.com/AmazonECR/latest/userguide/registry_auth.html>
const TOKEN_LIFETIME: Duration = Duration::from_secs(12 * 60 * 60);

/// What ECR knows.
#[derive(Debug, Default)]
pub(crate) struct Ecr {
    repositories: BTreeMap<String, Repository>,
    /// The passwords that were handed out, with the moment each expires.
    passwords: BTreeMap<String, Timestamp>,
    pub(crate) uploads: registry::Uploads,
    /// What the registry says of the scanning of all repositories.
    scanning: scans::Scanning,
    /// Whether it knows nothing of what refers to an image, as registries did before the specification's version 1.1.
    pub(crate) lists_no_referrers: bool,
}

/// Whether a password opens the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Password {
    Valid,
    Expired,
    Unknown,
}

impl Ecr {
    pub(crate) fn password(&self, password: &str, now: Timestamp) -> Password {
        match self.passwords.get(password) {
            Some(expires) if *expires > now => Password::Valid,
            Some(_) => Password::Expired,
            None => Password::Unknown,
        }
    }

    pub(crate) fn repository(&self, name: &str) -> Option<&Repository> {
        self.repositories.get(name)
    }

    pub(crate) fn repository_mut(&mut self, name: &str) -> Option<&mut Repository> {
        self.repositories.get_mut(name)
    }

    /// Stores a manifest as [`Repository::put_manifest`] does, and has it scanned where images are scanned when they are pushed.
    /// `None` if there is no such repository.
    pub(crate) fn push(
        &mut self,
        name: &str,
        media_type: &str,
        body: &Bytes,
        tag: Option<&str>,
        now: Timestamp,
    ) -> Option<Result<Pushed, Refusal>> {
        let repository = self.repositories.get_mut(name)?;
        let pushed = repository.put_manifest(name, media_type, body, tag, now);
        let is_scanned = self.scanning.scans(name, repository);
        if let Ok(Pushed::New(digest)) = &pushed
            && let Some(manifest) = repository.manifests.get_mut(digest)
            && is_scanned
            && !scans::is_index(manifest)
        {
            manifest.scanned_at.get_or_insert(now);
        }
        Some(pushed)
    }
}

/// Answers an operation of ECR's API.
pub(crate) fn answer(state: &mut State, operation: &str, body: &Value) -> Result<Value, Refusal> {
    match operation {
        "GetAuthorizationToken" => Ok(get_authorization_token(state)),
        "DescribeRepositories" => repositories::describe(state, body),
        "CreateRepository" => repositories::create(state, body),
        "PutImageTagMutability" => repositories::put_image_tag_mutability(state, body),
        "PutImageScanningConfiguration" => repositories::put_image_scanning_configuration(state, body),
        "GetLifecyclePolicy" => repositories::get_lifecycle_policy(state, body),
        "PutLifecyclePolicy" => repositories::put_lifecycle_policy(state, body),
        "DescribeImages" => images::describe(state, body),
        "ListImages" => images::list(state, body),
        "BatchGetImage" => images::batch_get(state, body),
        "BatchCheckLayerAvailability" => images::batch_check_layer_availability(state, body),
        "GetDownloadUrlForLayer" => images::get_download_url_for_layer(state, body),
        "PutImage" => images::put(state, body),
        "DescribeImageScanFindings" => scans::describe_findings(state, body),
        "StartImageScan" => scans::start(state, body),
        "GetRegistryScanningConfiguration" => Ok(scans::get_registry_configuration(state)),
        "DescribeImageSigningStatus" => signing::describe_status(state, body),
        _ => Err(Refusal::new("UnknownOperationException", format!("ECR has no operation {operation} in this world"))),
    }
}

/// What is said of a repository that does not exist.
pub(crate) fn no_repository(state: &State, name: &str) -> Refusal {
    let account = &state.account;
    Refusal::new(
        "RepositoryNotFoundException",
        format!("The repository with name '{name}' does not exist in the registry with id '{account}'"),
    )
}

fn get_authorization_token(state: &mut State) -> Value {
    let expires = state.now + TOKEN_LIFETIME;
    let password = oci::hexadecimal(&format!("{} {}", state.account, state.ecr.passwords.len()));
    let token = STANDARD.encode(format!("AWS:{password}"));
    state.ecr.passwords.insert(password, expires);
    json!({ "authorizationData": [{
        "authorizationToken": token,
        "expiresAt": wire::epoch(expires),
        "proxyEndpoint": endpoint(state),
    }] })
}

/// The registry's URL. Only loopback speaks plain HTTP.
pub(crate) fn endpoint(state: &State) -> String {
    let scheme = if state.registry_host.starts_with("127.0.0.1") { "http" } else { "https" };
    format!("{scheme}://{}", state.registry_host)
}

/// The repository that a request names.
fn named<'a>(state: &'a State, body: &Value) -> Result<(&'a Repository, String), Refusal> {
    let name = required(body, "repositoryName")?;
    let repository = state.ecr.repositories.get(&name).ok_or_else(|| no_repository(state, &name))?;
    Ok((repository, name))
}

/// The repository that a request names, to be changed.
fn named_mut<'a>(state: &'a mut State, body: &Value) -> Result<(&'a mut Repository, String), Refusal> {
    let name = required(body, "repositoryName")?;
    let missing = no_repository(state, &name);
    let repository = state.ecr.repositories.get_mut(&name).ok_or(missing)?;
    Ok((repository, name))
}

fn required(body: &Value, member: &str) -> Result<String, Refusal> {
    body[member]
        .as_str()
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
        .ok_or_else(|| violation(member, "must not be null"))
}

fn violation(member: &str, constraint: &str) -> Refusal {
    let message = format!("Invalid parameter at '{member}' failed to satisfy constraint: '{constraint}'");
    Refusal::new("InvalidParameterException", message)
}

/// One page of a listing, as the member of this name.
fn listing(member: &str, items: Vec<Value>, body: &Value) -> Result<Value, Refusal> {
    let size = body["maxResults"].as_u64().and_then(|size| usize::try_from(size).ok()).unwrap_or(100);
    let (items, next) = wire::page(items, size, body["nextToken"].as_str())
        .ok_or_else(|| violation("nextToken", "Invalid nextToken"))?;
    let mut answer = json!({ member: items });
    if let Some(next) = next {
        answer["nextToken"] = json!(next);
    }
    Ok(answer)
}
