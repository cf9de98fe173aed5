//! Scans of images. Nothing is scanned: what a scan shows, and when, is told to the world beforehand.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::images::{find, not_found};
use super::repository::{Manifest, Repository};
use super::{named, named_mut, violation};
use crate::oci;
use crate::state::{State, World};
use crate::wire::{self, Refusal};

/// How long an image is not scanned again, the scan on push included.
/// <https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-scanning-basic.html>
const ONCE_IN: Duration = Duration::from_secs(24 * 60 * 60);

/// What a scan shows from a moment on.
#[derive(Clone, Debug)]
pub struct ScanSeed {
    /// That moment, since the scan was asked for.
    pub after: Duration,
    /// `IN_PROGRESS`, `COMPLETE`, `ACTIVE`, `FAILED` …
    pub status: String,
    /// What is said of the status.
    pub description: String,
    /// What was found: [`ScanSeed::basic`] or [`ScanSeed::enhanced`].
    pub findings: Vec<Value>,
}

impl ScanSeed {
    /// A scan that shows this status after so many seconds, and no findings.
    pub fn after(seconds: u64, status: &str) -> Self {
        let description = match status {
            "COMPLETE" => "The scan was completed successfully.",
            "UNSUPPORTED_IMAGE" => {
                "UnsupportedImageError: The operating system and/or package manager are not supported."
            }
            _ => "",
        };
        Self {
            after: Duration::from_secs(seconds),
            status: status.to_owned(),
            description: description.to_owned(),
            findings: Vec::new(),
        }
    }

    /// The same with these findings.
    #[must_use]
    pub fn with(self, findings: Vec<Value>) -> Self {
        Self { findings, ..self }
    }

    /// A finding of basic scanning, in a package of version 1.0.
    pub fn basic(severity: &str, name: &str, package: &str) -> Value {
        json!({
            "name": name,
            "severity": severity,
            "uri": format!("https://cve.mitre.org/cgi-bin/cvename.cgi?name={name}"),
            "attributes": [
                { "key": "package_version", "value": "1.0" },
                { "key": "package_name", "value": package },
            ],
        })
    }

    /// A finding of enhanced scanning, in a package of version 1.0; `fixed` is the version that mends it, blank if none does.
    pub fn enhanced(severity: &str, id: &str, package: &str, fixed: &str) -> Value {
        let (version, is_fixed) = if fixed.is_empty() { ("NotAvailable", "NO") } else { (fixed, "YES") };
        json!({
            "findingArn": format!("arn:aws:inspector2:eu-west-1:111122223333:finding/{id}"),
            "type": "PACKAGE_VULNERABILITY",
            "title": format!("{id} - {package}"),
            "severity": severity,
            "status": "ACTIVE",
            "fixAvailable": is_fixed,
            "packageVulnerabilityDetails": {
                "vulnerabilityId": id,
                "source": "NVD",
                "vulnerablePackages": [
                    { "name": package, "version": "1.0", "packageManager": "OS", "fixedInVersion": version },
                ],
            },
        })
    }
}

/// Whose scanning configuration decides, and what it says.
#[derive(Debug)]
pub(super) struct Scanning {
    kind: String,
    rules: Vec<(String, String)>,
}

impl Default for Scanning {
    fn default() -> Self {
        Self { kind: "BASIC".to_owned(), rules: Vec::new() }
    }
}

impl Scanning {
    /// Whether a repository's images are scanned because of the registry's rules.
    fn covers(&self, name: &str) -> bool {
        let covers = |filter: &str| match filter.contains('*') {
            true => crate::wildcard::matches(filter, name),
            false => name.contains(filter),
        };
        self.rules.iter().any(|(frequency, filter)| frequency != "MANUAL" && covers(filter))
    }

    /// Whether an image that is pushed to a repository is scanned.
    pub(super) fn scans(&self, name: &str, repository: &Repository) -> bool {
        match self.kind == "ENHANCED" || !self.rules.is_empty() {
            true => self.covers(name),
            false => repository.scan_on_push,
        }
    }
}

impl World {
    /// Says what the scans of a repository's images show, stage by stage. Without this, a scan is complete at once and shows
    /// nothing.
    pub fn scans_show(&self, repository: &str, stages: Vec<ScanSeed>) {
        self.create_repository(repository);
        self.with(|state| {
            if let Some(repository) = state.ecr.repository_mut(repository) {
                repository.scans = stages;
            }
        });
    }

    /// Has the registry decide about scanning: `BASIC` or `ENHANCED`, and rules of a frequency and a filter.
    pub fn scan_registry(&self, kind: &str, rules: &[(&str, &str)]) {
        let rules = rules.iter().map(|(frequency, filter)| ((*frequency).to_owned(), (*filter).to_owned()));
        let scanning = Scanning { kind: kind.to_owned(), rules: rules.collect() };
        self.with(|state| state.ecr.scanning = scanning);
    }
}

pub(super) fn get_registry_configuration(state: &State) -> Value {
    let Scanning { kind, rules } = &state.ecr.scanning;
    let rule = |(frequency, filter): &(String, String)| {
        let filters = json!([{ "filter": filter, "filterType": "WILDCARD" }]);
        json!({ "scanFrequency": frequency, "repositoryFilters": filters })
    };
    let rules: Vec<Value> = rules.iter().map(rule).collect();
    json!({ "registryId": state.account, "scanningConfiguration": { "scanType": kind, "rules": rules } })
}

pub(super) fn start(state: &mut State, body: &Value) -> Result<Value, Refusal> {
    if state.ecr.scanning.kind == "ENHANCED" {
        return Err(Refusal::new("ValidationException", "This feature is disabled"));
    }
    let (repository, name) = named(state, body)?;
    let id = &body["imageId"];
    let (digest, manifest) = find(repository, id).ok_or_else(|| not_found(state, &name, id))?;
    let digest = digest.to_owned();
    if is_index(manifest) {
        let message = format!("The image with digest '{digest}' is of a type that cannot be scanned.");
        return Err(Refusal::new("UnsupportedImageTypeException", message));
    }
    let now = state.now;
    if manifest.scanned_at.is_some_and(|moment| now < moment + ONCE_IN) {
        let message = "The scan quota per image has been exceeded. Wait and try again.";
        return Err(Refusal::new("LimitExceededException", message));
    }
    let (repository, name) = named_mut(state, body)?;
    if let Some(manifest) = repository.manifests.get_mut(&digest) {
        manifest.scanned_at = Some(now);
    }
    Ok(json!({
        "registryId": state.account,
        "repositoryName": name,
        "imageId": { "imageDigest": digest },
        "imageScanStatus": { "status": "IN_PROGRESS" },
    }))
}

pub(super) fn describe_findings(state: &State, body: &Value) -> Result<Value, Refusal> {
    let (repository, name) = named(state, body)?;
    let id = &body["imageId"];
    let (digest, manifest) = find(repository, id).ok_or_else(|| not_found(state, &name, id))?;
    let Some(seed) = stage(repository, manifest, state.now) else {
        let tag = id["imageTag"].as_str().unwrap_or("null");
        let message = format!(
            "Image scan does not exist for the image with '{{imageDigest:'{digest}', imageTag:'{tag}'}}' in the repository \
             with name '{name}' in the registry with id '{}'",
            state.account
        );
        return Err(Refusal::new("ScanNotFoundException", message));
    };
    let mut answer = json!({
        "registryId": state.account,
        "repositoryName": name,
        "imageId": { "imageDigest": digest },
        "imageScanStatus": { "status": seed.status, "description": seed.description },
    });
    if !matches!(seed.status.as_str(), "COMPLETE" | "ACTIVE") {
        return Ok(answer);
    }
    let most = body["maxResults"].as_u64().and_then(|most| usize::try_from(most).ok()).unwrap_or(100);
    let (page, next) = wire::page(seed.findings.clone(), most, body["nextToken"].as_str())
        .ok_or_else(|| violation("nextToken", "Invalid nextToken"))?;
    let mut findings = json!({ "findingSeverityCounts": counts(&seed.findings) });
    match state.ecr.scanning.kind == "ENHANCED" {
        true => findings["enhancedFindings"] = json!(page),
        false => findings["findings"] = json!(page),
    }
    let over = manifest.scanned_at.map_or(state.now, |moment| moment + seed.after);
    findings["imageScanCompletedAt"] = wire::epoch(over);
    findings["vulnerabilitySourceUpdatedAt"] = wire::epoch(over);
    answer["imageScanFindings"] = findings;
    if let Some(next) = next {
        answer["nextToken"] = json!(next);
    }
    Ok(answer)
}

/// What an image's scan shows now; `None` if nobody asked for one, or it shows nothing yet.
pub(super) fn stage(repository: &Repository, manifest: &Manifest, now: Timestamp) -> Option<ScanSeed> {
    let since = Duration::try_from(now.duration_since(manifest.scanned_at?)).ok()?;
    match repository.scans.as_slice() {
        [] => Some(ScanSeed::after(0, "COMPLETE")),
        stages => stages.iter().rev().find(|stage| stage.after <= since).cloned(),
    }
}

/// Indexes are not scanned, but the images in them.
pub(super) fn is_index(manifest: &Manifest) -> bool {
    !oci::children(&manifest.parse()).is_empty()
}

fn counts(findings: &[Value]) -> Value {
    let mut counts = json!({});
    for severity in findings.iter().filter_map(|finding| finding["severity"].as_str()) {
        counts[severity] = json!(counts[severity].as_u64().unwrap_or(0) + 1);
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::super::{ImageSeed, answer};
    use super::*;

    fn world(stages: Vec<ScanSeed>) -> World {
        let world = World::new();
        world.scans_show("app", stages);
        world.push_image(ImageSeed { repository: "app".into(), tag: "v1".into(), ..Default::default() });
        world
    }

    fn ask(world: &World, operation: &str, more: Value) -> Result<Value, String> {
        let mut body = json!({ "repositoryName": "app", "imageId": { "imageTag": "v1" } });
        for (name, value) in more.as_object().into_iter().flatten() {
            body[name] = value.clone();
        }
        world.with(|state| answer(state, operation, &body)).map_err(|refusal| refusal.code)
    }

    #[test]
    fn an_image_is_scanned_once_a_day_and_shows_what_was_told() {
        let found = ["CVE-1", "CVE-2", "CVE-3"].map(|name| ScanSeed::basic("HIGH", name, "openssl")).to_vec();
        let world = world(vec![ScanSeed::after(0, "COMPLETE").with(found)]);
        let describe = |more| ask(&world, "DescribeImageScanFindings", more);
        assert_eq!(describe(json!({})), Err("ScanNotFoundException".to_owned()));
        assert_eq!(ask(&world, "StartImageScan", json!({})).unwrap()["imageScanStatus"]["status"], "IN_PROGRESS");
        assert_eq!(ask(&world, "StartImageScan", json!({})), Err("LimitExceededException".to_owned()));
        let first = describe(json!({ "maxResults": 2 })).unwrap();
        assert_eq!(first["imageScanFindings"]["findingSeverityCounts"]["HIGH"], 3);
        assert_eq!(first["imageScanFindings"]["findings"].as_array().unwrap().len(), 2);
        let second = describe(json!({ "maxResults": 2, "nextToken": first["nextToken"] })).unwrap();
        assert_eq!(second["imageScanFindings"]["findings"][0]["name"], "CVE-3");
        assert_eq!(second["nextToken"], Value::Null);
    }

    #[test]
    fn the_registry_s_rules_win_over_the_repository_s_setting() {
        let world = World::new();
        world.scan_registry("ENHANCED", &[("CONTINUOUS_SCAN", "app")]);
        world.scans_show(
            "app",
            vec![ScanSeed::after(0, "ACTIVE").with(vec![ScanSeed::enhanced("LOW", "CVE-1", "a", "")])],
        );
        world.push_image(ImageSeed { repository: "app".into(), tag: "v1".into(), ..Default::default() });
        assert_eq!(ask(&world, "StartImageScan", json!({})), Err("ValidationException".to_owned()));
        let shown = ask(&world, "DescribeImageScanFindings", json!({})).unwrap();
        assert_eq!(shown["imageScanFindings"]["enhancedFindings"][0]["fixAvailable"], "NO");
        assert_eq!(shown["imageScanFindings"]["findings"], Value::Null);
    }
}
