//! Findings of image scans. Nothing is scanned: what a scan found is told to the world beforehand.

use serde_json::{Value, json};

use super::images::{find, not_found};
use super::named;
use crate::state::{State, World};
use crate::wire::{self, Refusal};

impl World {
    /// Lets the image that has this tag (or digest) be scanned, with these findings of basic scanning: severity and name.
    /// Until then its scan does not exist.
    ///
    /// # Panics
    /// If there is no such image.
    pub fn scan_image(&self, repository: &str, reference: &str, findings: &[(&str, &str)]) {
        self.with(|state| {
            let scan = scan(state, findings);
            let found = state.ecr.repository_mut(repository);
            let manifest = found.and_then(|repository| {
                let digest = repository.tags.get(reference).map_or(reference, String::as_str).to_owned();
                repository.manifests.get_mut(&digest)
            });
            let Some(manifest) = manifest else { panic!("there is no image {repository}:{reference} to scan") };
            manifest.scan = Some(scan);
        });
    }
}

pub(super) fn describe_findings(state: &State, body: &Value) -> Result<Value, Refusal> {
    let (repository, name) = named(state, body)?;
    let id = &body["imageId"];
    let (digest, manifest) = find(repository, id).ok_or_else(|| not_found(state, &name, id))?;
    let Some(scan) = &manifest.scan else {
        let tag = id["imageTag"].as_str().unwrap_or("null");
        let message = format!(
            "Image scan does not exist for the image with '{{imageDigest:'{digest}', imageTag:'{tag}'}}' in the repository \
             with name '{name}' in the registry with id '{}'",
            state.account
        );
        return Err(Refusal::new("ScanNotFoundException", message));
    };
    let mut answer = scan.clone();
    answer["registryId"] = json!(state.account);
    answer["repositoryName"] = json!(name);
    answer["imageId"] = json!({ "imageDigest": digest });
    Ok(answer)
}

fn scan(state: &State, findings: &[(&str, &str)]) -> Value {
    let mut counts = json!({});
    for (severity, _) in findings {
        counts[*severity] = json!(counts[*severity].as_u64().unwrap_or(0) + 1);
    }
    let findings = findings.iter().map(|(severity, name)| {
        let uri = format!("https://cve.mitre.org/cgi-bin/cvename.cgi?name={name}");
        json!({ "name": name, "severity": severity, "uri": uri, "attributes": [] })
    });
    json!({
        "imageScanStatus": { "status": "COMPLETE", "description": "The scan was completed successfully." },
        "imageScanFindings": {
            "imageScanCompletedAt": wire::epoch(state.now),
            "vulnerabilitySourceUpdatedAt": wire::epoch(state.now),
            "findingSeverityCounts": counts,
            "findings": findings.collect::<Vec<_>>(),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::super::{ImageSeed, answer};
    use super::*;

    #[test]
    fn findings_are_those_that_were_told() {
        let world = World::new();
        world.push_image(ImageSeed { repository: "app".into(), tag: "v1".into(), ..Default::default() });
        let body = json!({ "repositoryName": "app", "imageId": { "imageTag": "v1" } });
        let ask = || world.with(|state| answer(state, "DescribeImageScanFindings", &body));
        assert_eq!(ask().unwrap_err().code, "ScanNotFoundException");
        world.scan_image("app", "v1", &[("HIGH", "CVE-2026-1"), ("HIGH", "CVE-2026-2")]);
        let answer = ask().unwrap();
        assert_eq!(answer["imageScanStatus"]["status"], "COMPLETE");
        assert_eq!(answer["imageScanFindings"]["findingSeverityCounts"]["HIGH"], 2);
    }
}
