//! SARIF 2.1.0 (<https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html>), as far as it proves what it is about.
//!
//! The format has no place for the id of an image. Trivy puts it among a run's properties (aquasecurity/trivy,
//! `pkg/report/sarif.go`); a file without it could be anybody's, and is refused.

use serde_json::Value;

use super::{ScanReport, items, moment, text};
use crate::delivery::Severity;
use crate::policy::findings::{Finding, Fix};

pub(super) fn read(json: &Value) -> Result<ScanReport, String> {
    let runs: Vec<&Value> = items(&json["runs"]).collect();
    let [run] = runs.as_slice() else {
        return Err(format!("it is SARIF of {} runs, and of one image there is one", runs.len()));
    };
    let properties = &run["properties"];
    let id = text(&properties["imageID"]);
    if id.is_empty() {
        return Err("it is SARIF that does not name the image's id, as Trivy's does: use the scanner's JSON".to_owned());
    }
    let ended = items(&run["invocations"]).filter_map(|invocation| moment(&invocation["endTimeUtc"])).max();
    Ok(ScanReport {
        scanner: "SARIF",
        name: text(&properties["imageName"]),
        id,
        layers: Vec::new(),
        made_at: ended,
        findings: items(&run["results"]).map(|result| finding(run, result)).collect(),
    })
}

/// Trivy tells the rest line by line in the message: `Package: openssl`, `Fixed Version: 3.0.2`.
fn finding(run: &Value, result: &Value) -> Finding {
    let message = result["message"]["text"].as_str().unwrap_or_default();
    let line = |name: &str| {
        let found = message.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        found.map(|value| value.trim().to_owned())
    };
    let id = text(&result["ruleId"]);
    let score = || {
        let rule = items(&run["tool"]["driver"]["rules"]).find(|rule| rule["id"] == result["ruleId"])?;
        rule["properties"]["security-severity"].as_str()?.parse().ok().map(severity)
    };
    Finding {
        severity: line("Severity").map(|word| Severity::of(&word)).or_else(score).unwrap_or(Severity::Unknown),
        package: line("Package").or_else(|| line("Artifact")).unwrap_or_else(|| id.clone()),
        id,
        installed: line("Installed Version").unwrap_or_default(),
        fix: match line("Fixed Version") {
            Some(version) if version.is_empty() => Fix::Missing,
            Some(version) => Fix::In(version),
            None => Fix::Unknown,
        },
    }
}

/// How GitHub reads `security-severity`
/// (<https://docs.github.com/en/code-security/code-scanning/integrating-with-code-scanning/sarif-support-for-code-scanning>).
fn severity(score: f64) -> Severity {
    match score {
        score if score > 9.0 => Severity::Critical,
        score if score >= 7.0 => Severity::High,
        score if score >= 4.0 => Severity::Medium,
        _ => Severity::Low,
    }
}
