use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::delivery::Severity;
use crate::policy::findings::Fix;

fn digest(digit: &str) -> String {
    format!("sha256:{}", digit.repeat(64))
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// An image that was made an hour ago.
fn image() -> LocalImage {
    LocalImage {
        id: digest("a").parse().unwrap(),
        size: 1,
        platform: "linux/amd64".to_owned(),
        user: String::new(),
        has_healthcheck: false,
        labels: BTreeMap::new(),
        environment: Vec::new(),
        layers: vec![digest("1").parse().unwrap(), digest("2").parse().unwrap()],
        created: Some(at("2026-06-15T11:00:00Z")),
    }
}

fn trivy() -> Value {
    json!({
        "SchemaVersion": 2,
        "CreatedAt": "2026-06-15T13:50:07.592255123+02:00",
        "ArtifactName": "shop/auth:1",
        "ArtifactType": "container_image",
        "Metadata": { "ImageID": digest("a"), "DiffIDs": [digest("1"), digest("2")] },
        "Results": [
            { "Target": "shop/auth:1 (debian 12.8)", "Class": "os-pkgs", "Vulnerabilities": [
                { "VulnerabilityID": "CVE-1", "PkgName": "openssl", "InstalledVersion": "3.0.1", "FixedVersion": "3.0.2", "Severity": "HIGH" },
                { "VulnerabilityID": "CVE-2", "PkgName": "perl", "InstalledVersion": "5.36", "Severity": "CRITICAL" },
            ] },
            { "Target": "/app/.env", "Class": "secret", "Secrets": [{ "RuleID": "aws-access-key-id", "Severity": "CRITICAL" }] },
            { "Target": "config", "Class": "config", "Misconfigurations": [
                { "ID": "DS002", "Severity": "HIGH", "Status": "FAIL" }, { "ID": "DS003", "Severity": "HIGH", "Status": "PASS" },
            ] },
            { "Target": "clean" },
        ],
    })
}

fn grype() -> Value {
    json!({
        "matches": [
            { "vulnerability": { "id": "CVE-1", "severity": "High", "fix": { "versions": ["3.0.2"], "state": "fixed" } },
              "artifact": { "name": "openssl", "version": "3.0.1" } },
            { "vulnerability": { "id": "CVE-2", "severity": "Negligible", "fix": { "versions": [], "state": "wont-fix" } },
              "artifact": { "name": "perl", "version": "5.36" } },
            { "vulnerability": { "id": "CVE-3", "severity": "Critical", "fix": { "versions": [], "state": "unknown" } },
              "artifact": { "name": "left-pad", "version": "1.0" } },
        ],
        "source": { "type": "image", "target": {
            "userInput": "shop/auth:1", "imageID": digest("a"), "layers": [{ "digest": digest("1") }, { "digest": digest("2") }],
        } },
        "descriptor": { "name": "grype", "version": "0.104.0", "timestamp": "2026-06-15T11:50:07.592255123Z" },
    })
}

fn sarif() -> Value {
    let message = |severity: &str, fixed: &str| {
        format!(
            "Package: openssl\nInstalled Version: 3.0.1\nVulnerability CVE-1\nSeverity: {severity}\nFixed Version: {fixed}\nLink: []()"
        )
    };
    json!({
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "Trivy", "rules": [{ "id": "CVE-3", "properties": { "security-severity": "9.8" } }] } },
            "properties": { "imageName": "shop/auth:1", "imageID": digest("a") },
            "results": [
                { "ruleId": "CVE-1", "message": { "text": message("HIGH", "3.0.2") } },
                { "ruleId": "CVE-2", "message": { "text": message("LOW", "") } },
                { "ruleId": "CVE-3", "message": { "text": "something else" } },
            ],
        }],
    })
}

fn given(json: &Value) -> GivenReport {
    GivenReport::read("scan.json", &json.to_string())
}

/// The findings, each in a line.
fn told(json: &Value) -> Vec<String> {
    lines(&given(json).report.unwrap())
}

fn lines(report: &ScanReport) -> Vec<String> {
    let line = |finding: &Finding| {
        let fix = match &finding.fix {
            Fix::In(version) => version.as_str(),
            Fix::Missing => "no fix",
            Fix::Unknown => "?",
            Fix::Own => "own",
        };
        format!("{} {} {} {} {fix}", finding.severity, finding.id, finding.package, finding.installed)
    };
    report.findings.iter().map(line).collect()
}

#[test]
fn every_form_tells_the_same_of_a_finding() {
    assert_eq!(
        told(&trivy()),
        [
            "HIGH CVE-1 openssl 3.0.1 3.0.2",
            "CRITICAL CVE-2 perl 5.36 no fix",
            "CRITICAL aws-access-key-id /app/.env  own",
            "HIGH DS002 config  own",
        ]
    );
    assert_eq!(
        told(&grype()),
        ["HIGH CVE-1 openssl 3.0.1 3.0.2", "LOW CVE-2 perl 5.36 no fix", "CRITICAL CVE-3 left-pad 1.0 ?"]
    );
    assert_eq!(
        told(&sarif()),
        ["HIGH CVE-1 openssl 3.0.1 3.0.2", "LOW CVE-2 openssl 3.0.1 no fix", "CRITICAL CVE-3 CVE-3  ?"]
    );
    assert_eq!(given(&sarif()).report.unwrap().findings[0].severity, Severity::High);
}

#[test]
fn what_the_scanners_themselves_write_is_read() {
    let check = |text: &str, id: &str, layers: &[&str], made_at: Option<&str>, findings: &[&str]| {
        let report = GivenReport::read("scan.json", text).report.unwrap();
        let short = |digest: &str| digest["sha256:".len()..][..8].to_owned();
        assert_eq!((short(&report.id), report.made_at), (id.to_owned(), made_at.map(at)));
        assert_eq!(report.layers.iter().map(|layer| short(layer)).collect::<Vec<_>>(), layers);
        assert_eq!(lines(&report), findings);
    };
    check(
        include_str!("reports/trivy.json"),
        "c2c03a29",
        &["78c1b941"],
        Some("2021-08-25T12:20:30.000000005Z"),
        &["LOW CVE-2019-18276 bash 5.0-4 no fix", "CRITICAL CVE-2019-18224 libidn2-0 2.0.5-1 2.0.5-1+deb10u1"],
    );
    check(
        include_str!("reports/trivy.sarif.json"),
        "96176967",
        &[],
        None,
        &[
            "MEDIUM CVE-2019-1549 libcrypto1.1 1.1.1c-r0 1.1.1d-r0",
            "MEDIUM CVE-2019-1551 libcrypto1.1 1.1.1c-r0 1.1.1d-r2",
            "MEDIUM CVE-2019-1549 libssl1.1 1.1.1c-r0 1.1.1d-r0",
            "MEDIUM CVE-2019-1551 libssl1.1 1.1.1c-r0 1.1.1d-r2",
        ],
    );
    check(
        include_str!("reports/grype.json"),
        "ab5608d6",
        &["ca738abb", "a05cd9eb", "ab5608d6"],
        None,
        &["LOW CVE-1999-0001 package-1 1.1.1 1.2.1, 2.1.3, 3.4.0", "CRITICAL CVE-1999-0002 package-2 2.2.2 ?"],
    );
}

#[test]
fn what_is_no_report_of_an_image_says_why() {
    let why = |json: Value| given(&json).report.unwrap_err();
    let mut folder = trivy();
    folder["ArtifactType"] = json!("filesystem");
    assert_eq!(why(folder), "it is Trivy's report of a filesystem, not of an image");
    let mut directory = grype();
    directory["source"] = json!({ "type": "directory", "target": "/src" });
    assert_eq!(why(directory), "it is Grype's report of a directory, not of an image");
    let mut anybodys = sarif();
    anybodys["runs"][0]["properties"] = Value::Null;
    assert_eq!(why(anybodys), "it is SARIF that does not name the image's id, as Trivy's does: use the scanner's JSON");
    assert_eq!(why(json!({ "runs": [] })), "it is SARIF of 0 runs, and of one image there is one");
    assert_eq!(why(json!({ "a": 1 })), "it is none of Trivy's JSON, Grype's JSON and SARIF");
    assert!(GivenReport::read("x", "CVE-1 HIGH").report.unwrap_err().starts_with("it is not JSON: "));
}

/// Whether a report counts for the image at noon; what speaks against it.
fn check(json: &Value) -> Result<usize, String> {
    let given = [given(json)];
    let reports = reports_of(&image(), "shop/auth:1", &given, &ImagePolicy::default(), at("2026-06-15T12:00:00Z"));
    reports.map(|reports| reports.len()).map_err(|violation| violation.found)
}

#[test]
fn a_report_counts_for_the_image_that_it_names() {
    for json in [trivy(), grype(), sarif()] {
        assert_eq!(check(&json), Ok(1));
    }
    // An engine whose images containerd stores knows the image by its manifest: the layers are the same.
    let mut by_layers = trivy();
    by_layers["Metadata"]["ImageID"] = json!(digest("b"));
    assert_eq!(check(&by_layers), Ok(1));
    let mut other = by_layers;
    other["Metadata"]["DiffIDs"] = json!([digest("1")]);
    let (this, that) = (digest("a"), digest("b"));
    assert_eq!(
        check(&other).unwrap_err(),
        format!("no scan report of this image (`scan.json`: it is about shop/auth:1 ({that}), and this is {this})")
    );
    let mut nameless = grype();
    nameless["source"]["target"] = json!({ "userInput": "x" });
    assert!(check(&nameless).unwrap_err().contains("it is about x (an image that it does not name), and"));
}

#[test]
fn a_report_is_recent_or_no_report() {
    let mut old = trivy();
    old["CreatedAt"] = json!("2026-06-14T11:00:00Z");
    assert_eq!(
        check(&old).unwrap_err(),
        "no scan report of this image (`scan.json`: it is 25 h old, and max-report-age is 24h)"
    );
    // It names the image, so it is not older than the image.
    let mut without_time = trivy();
    without_time["CreatedAt"] = Value::Null;
    assert_eq!(check(&without_time), Ok(1));
    let mut built_long_ago = image();
    built_long_ago.created = Some(at("2026-01-01T00:00:00Z"));
    let given = [given(&without_time)];
    let now = at("2026-06-15T12:00:00Z");
    let told = reports_of(&built_long_ago, "shop/auth:1", &given, &ImagePolicy::default(), now).unwrap_err();
    assert!(told.found.contains("it does not say when the image was scanned"), "{}", told.found);
    assert!(told.fix.ends_with("`trivy image --format json --output scan.json shop/auth:1`"), "{}", told.fix);
    let none = reports_of(&image(), "shop/auth:1", &[], &ImagePolicy::default(), now).unwrap_err();
    assert_eq!(none.found, "no scan report was given");
}
