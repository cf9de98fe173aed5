//! Reports of scanners: which image they are about, how old they are, and what was found. Pure.
//!
//! A report is a file that an earlier step of the job made: no scanner is downloaded here
//! (<https://github.com/aquasecurity/trivy-action/issues/541> is why). It counts only for the image that it names.

mod grype;
mod sarif;
mod trivy;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::Violation;
use super::findings::Finding;
use crate::delivery::ImagePolicy;
use crate::docker::LocalImage;
use crate::duration::human;

/// What a scanner reported of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanReport {
    /// The scanner.
    pub scanner: &'static str,
    /// What the image was called by.
    pub name: String,
    /// The image's id; blank if the report does not tell.
    pub id: String,
    /// The digests of its unpacked layers, from the bottom.
    pub layers: Vec<String>,
    /// When it was scanned, if the report tells.
    pub made_at: Option<Timestamp>,
    /// What was found.
    pub findings: Vec<Finding>,
}

/// A file that was given as a report: the report, or why it is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenReport {
    /// The file, as the caller wrote it.
    pub file: String,
    /// The report, or why it is none.
    pub report: Result<ScanReport, String>,
}

impl GivenReport {
    /// Reads a report: Trivy's JSON, Grype's JSON, or SARIF that names the image.
    pub fn read(file: &str, text: &str) -> Self {
        let report = match serde_json::from_str::<Value>(text) {
            Ok(json) => read(&json),
            Err(error) => Err(format!("it is not JSON: {error}")),
        };
        Self { file: file.to_owned(), report }
    }
}

/// Each form is known by what only it has.
fn read(json: &Value) -> Result<ScanReport, String> {
    match json {
        _ if json["SchemaVersion"].is_u64() => trivy::read(json),
        _ if json["matches"].is_array() && json["descriptor"].is_object() => grype::read(json),
        _ if json["runs"].is_array() => sarif::read(json),
        _ => Err("it is none of Trivy's JSON, Grype's JSON and SARIF".to_owned()),
    }
}

impl ScanReport {
    /// Whether it is about this image. The layers are what was scanned; an engine may know the same image by another id.
    pub fn is_about(&self, image: &LocalImage) -> bool {
        let is_same = |digests: &[crate::names::Digest]| {
            !digests.is_empty()
                && digests.iter().map(crate::names::Digest::as_str).eq(self.layers.iter().map(String::as_str))
        };
        self.id == image.id.as_str() || is_same(&image.layers)
    }

    /// How old it is at most. An image has its id once it is made: a report that names it is not older than the image.
    fn age(&self, image: &LocalImage, now: Timestamp) -> Option<SignedDuration> {
        self.made_at.or(image.created).map(|moment| now.duration_since(moment))
    }
}

/// The reports of an image that count, or why it has none: missing, old, and of another image are all the same.
pub fn reports_of<'a>(
    image: &LocalImage,
    name: &str,
    given: &'a [GivenReport],
    policy: &ImagePolicy,
    now: Timestamp,
) -> Result<Vec<&'a ScanReport>, Violation> {
    let (mut good, mut reasons) = (Vec::new(), Vec::new());
    for GivenReport { file, report } in given {
        match report.as_ref().map_err(String::clone).and_then(|report| fits(report, image, policy, now)) {
            Ok(report) => good.push(report),
            Err(why) => reasons.push(format!("`{file}`: {why}")),
        }
    }
    if !good.is_empty() {
        return Ok(good);
    }
    let found = match reasons.as_slice() {
        [] => "no scan report was given".to_owned(),
        reasons => format!("no scan report of this image ({})", reasons.join("; ")),
    };
    let fix =
        format!("scan it after it was built, in the same job: `trivy image --format json --output scan.json {name}`");
    Err(Violation { rule: "scan-report", found, fix })
}

fn fits<'a>(
    report: &'a ScanReport,
    image: &LocalImage,
    policy: &ImagePolicy,
    now: Timestamp,
) -> Result<&'a ScanReport, String> {
    if !report.is_about(image) {
        let id = if report.id.is_empty() { "an image that it does not name" } else { &report.id };
        return Err(format!("it is about {} ({id}), and this is {}", report.name, image.id));
    }
    let most = SignedDuration::try_from(policy.max_report_age.get()).unwrap_or(SignedDuration::MAX);
    match report.age(image, now) {
        Some(age) if age <= most => Ok(report),
        Some(age) if report.made_at.is_some() => {
            let age = human(age.unsigned_abs());
            Err(format!("it is {age} old, and max-report-age is {}", policy.max_report_age))
        }
        _ => Err("it does not say when the image was scanned, and the image itself is old: use the scanner's JSON"
            .to_owned()),
    }
}

/// The text of a member; blank if there is none.
fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The texts of a list.
fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(text).collect()
}

/// The members of a list; none if it is null, or not there.
fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// A moment as scanners write it, in nanoseconds and with an offset.
fn moment(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

#[cfg(test)]
mod tests;
