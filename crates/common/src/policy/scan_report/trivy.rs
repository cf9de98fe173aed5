//! Trivy's JSON (aquasecurity/trivy, `pkg/types/report.go`).

use serde_json::Value;

use super::{ScanReport, items, moment, text, texts};
use crate::delivery::Severity;
use crate::policy::findings::{Finding, Fix};

pub(super) fn read(json: &Value) -> Result<ScanReport, String> {
    let kind = &json["ArtifactType"];
    if kind != "container_image" {
        return Err(format!(
            "it is Trivy's report of a {}, not of an image",
            kind.as_str().unwrap_or("thing without a kind")
        ));
    }
    let metadata = &json["Metadata"];
    Ok(ScanReport {
        scanner: "Trivy",
        name: text(&json["ArtifactName"]),
        id: text(&metadata["ImageID"]),
        layers: texts(&metadata["DiffIDs"]),
        made_at: moment(&json["CreatedAt"]),
        findings: items(&json["Results"]).flat_map(findings).collect(),
    })
}

/// What was found in one target: vulnerable packages, secrets in files, and settings against a rule.
fn findings(target: &Value) -> Vec<Finding> {
    let file = text(&target["Target"]);
    let vulnerability = |found: &Value| Finding {
        severity: Severity::of(&text(&found["Severity"])),
        id: text(&found["VulnerabilityID"]),
        package: text(&found["PkgName"]),
        installed: text(&found["InstalledVersion"]),
        fix: match text(&found["FixedVersion"]) {
            version if version.is_empty() => Fix::Missing,
            version => Fix::In(version),
        },
    };
    let own = |found: &Value, id: &str| Finding {
        severity: Severity::of(&text(&found["Severity"])),
        id: text(&found[id]),
        package: file.clone(),
        installed: String::new(),
        fix: Fix::Own,
    };
    let vulnerabilities = items(&target["Vulnerabilities"]).map(vulnerability);
    let secrets = items(&target["Secrets"]).map(|found| own(found, "RuleID"));
    let settings = items(&target["Misconfigurations"]).filter(|found| found["Status"] == "FAIL");
    vulnerabilities.chain(secrets).chain(settings.map(|found| own(found, "ID"))).collect()
}
