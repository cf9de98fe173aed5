//! Grype's JSON (anchore/grype, `grype/presenter/models/document.go`).

use serde_json::Value;

use super::{ScanReport, items, moment, text, texts};
use crate::delivery::Severity;
use crate::policy::findings::{Finding, Fix};

pub(super) fn read(json: &Value) -> Result<ScanReport, String> {
    let kind = &json["source"]["type"];
    if kind != "image" {
        return Err(format!(
            "it is Grype's report of a {}, not of an image",
            kind.as_str().unwrap_or("thing without a kind")
        ));
    }
    let target = &json["source"]["target"];
    Ok(ScanReport {
        scanner: "Grype",
        name: text(&target["userInput"]),
        id: text(&target["imageID"]),
        // Of a layer it tells the digest before compression
        // (anchore/stereoscope, `pkg/image/layer_metadata.go`).
        layers: items(&target["layers"]).map(|layer| text(&layer["digest"])).collect(),
        made_at: moment(&json["descriptor"]["timestamp"]),
        findings: items(&json["matches"]).map(finding).collect(),
    })
}

fn finding(found: &Value) -> Finding {
    let (vulnerability, artifact) = (&found["vulnerability"], &found["artifact"]);
    Finding {
        severity: Severity::of(&text(&vulnerability["severity"])),
        id: text(&vulnerability["id"]),
        package: text(&artifact["name"]),
        installed: text(&artifact["version"]),
        fix: match vulnerability["fix"]["state"].as_str() {
            Some("fixed") => Fix::In(texts(&vulnerability["fix"]["versions"]).join(", ")),
            Some("not-fixed" | "wont-fix") => Fix::Missing,
            _ => Fix::Unknown,
        },
    }
}
