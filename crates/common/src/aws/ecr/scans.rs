//! What ECR found in an image, by basic or by enhanced scanning, and whether it signed it.

use aws_sdk_ecr::error::ProvideErrorMetadata;
use aws_sdk_ecr::operation::describe_image_scan_findings::DescribeImageScanFindingsError;
use aws_sdk_ecr::types::{EnhancedImageScanFinding, ImageIdentifier, ImageScanFinding};

use jiff::Timestamp;

use super::super::moment;
use super::super::refusal::failure;
use super::Ecr;
use crate::delivery::Severity;
use crate::failure::Failure;
use crate::names::{Digest, RepositoryName};
use crate::policy::{Finding, Fix};

/// The scan of an image, as far as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scan {
    /// ECR's word: `IN_PROGRESS`, `COMPLETE`, `ACTIVE`, `FAILED` and more.
    pub status: String,
    /// What ECR says of it; blank if nothing.
    pub description: String,
    /// When it was over, if it is.
    pub completed_at: Option<Timestamp>,
    /// What was found, by whichever kind of scanning.
    pub findings: Vec<Finding>,
}

/// What came of asking for a scan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScanStart {
    /// It began.
    Started,
    /// There was one already: an image is scanned once in 24 hours, the scan on push included
    /// (<https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-scanning-basic.html>).
    AlreadyScanned,
    /// ECR scans by itself here, or not at all, for this reason.
    NotForUs(String),
}

/// One signature of an image, as far as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The signing profile.
    pub profile: String,
    /// ECR's word: `IN_PROGRESS`, `COMPLETE` or `FAILED`.
    pub status: String,
    /// Why it failed; blank if it did not.
    pub reason: String,
}

impl Ecr {
    /// `ecr:DescribeImageScanFindings`, all pages. `None` if the image has no scan, or none yet.
    pub async fn scan(&self, repository: &RepositoryName, digest: &Digest) -> Result<Option<Scan>, Failure> {
        let doing = || format!("read what was found in `{repository}@{}`", digest.short());
        let mut scan: Option<Scan> = None;
        let mut token = None;
        loop {
            let request = self.client.describe_image_scan_findings().repository_name(repository.as_str());
            let request = request.image_id(id(digest)).max_results(1000).set_next_token(token);
            let answer = match request.send().await {
                Ok(answer) => answer,
                Err(error)
                    if error
                        .as_service_error()
                        .is_some_and(DescribeImageScanFindingsError::is_scan_not_found_exception) =>
                {
                    return Ok(None);
                }
                Err(error) => return Err(failure("ecr:DescribeImageScanFindings", doing(), error)),
            };
            let status = answer.image_scan_status();
            let scan = scan.get_or_insert_with(|| Scan {
                status: status
                    .and_then(|status| status.status())
                    .map(|word| word.as_str().to_owned())
                    .unwrap_or_default(),
                description: status.and_then(|status| status.description()).unwrap_or_default().to_owned(),
                completed_at: answer
                    .image_scan_findings()
                    .and_then(|page| page.image_scan_completed_at())
                    .and_then(moment),
                findings: Vec::new(),
            });
            if let Some(page) = answer.image_scan_findings() {
                scan.findings.extend(page.findings().iter().map(basic));
                scan.findings.extend(page.enhanced_findings().iter().flat_map(enhanced));
            }
            match answer.next_token() {
                Some(next) => token = Some(next.to_owned()),
                None => return Ok(Some(scan.clone())),
            }
        }
    }

    /// `ecr:StartImageScan`: asks for a scan that nobody asked for yet.
    pub async fn start_image_scan(&self, repository: &RepositoryName, digest: &Digest) -> Result<ScanStart, Failure> {
        let request = self.client.start_image_scan().repository_name(repository.as_str()).image_id(id(digest));
        let Err(error) = request.send().await else { return Ok(ScanStart::Started) };
        let message = error.message().unwrap_or("no reason given").to_owned();
        match error.code() {
            Some("LimitExceededException") => Ok(ScanStart::AlreadyScanned),
            // Enhanced scanning takes no orders: Inspector scans when it sees fit.
            Some("UnsupportedImageTypeException" | "ValidationException" | "InvalidParameterException") => {
                Ok(ScanStart::NotForUs(message))
            }
            _ => {
                let doing = format!("scan `{repository}@{}`", digest.short());
                Err(failure("ecr:StartImageScan", doing, error))
            }
        }
    }

    /// `ecr:DescribeImageSigningStatus`: the signatures of an image by ECR's managed signing; none if nothing signs it
    /// (<https://docs.aws.amazon.com/AmazonECR/latest/userguide/managed-signing.html>).
    pub async fn signatures(&self, repository: &RepositoryName, digest: &Digest) -> Result<Vec<Signature>, Failure> {
        let request = self.client.describe_image_signing_status().repository_name(repository.as_str());
        let answer = request.image_id(id(digest)).send().await;
        let doing = || format!("read the signatures of `{repository}@{}`", digest.short());
        let answer = answer.map_err(|error| failure("ecr:DescribeImageSigningStatus", doing(), error))?;
        let signature = |signed: &aws_sdk_ecr::types::ImageSigningStatus| Signature {
            profile: signed.signing_profile_arn().and_then(|arn| arn.rsplit('/').next()).unwrap_or_default().to_owned(),
            status: signed.status().map(|word| word.as_str().to_owned()).unwrap_or_default(),
            reason: signed.failure_reason().or(signed.failure_code()).unwrap_or_default().to_owned(),
        };
        Ok(answer.signing_statuses().iter().map(signature).collect())
    }
}

fn id(digest: &Digest) -> ImageIdentifier {
    ImageIdentifier::builder().image_digest(digest.as_str()).build()
}

/// A finding of basic scanning. It does not tell whether there is a fix.
fn basic(found: &ImageScanFinding) -> Finding {
    let attribute = |key: &str| {
        let attribute = found.attributes().iter().find(|attribute| attribute.key() == key);
        attribute.and_then(|attribute| attribute.value()).unwrap_or_default().to_owned()
    };
    Finding {
        severity: Severity::of(found.severity().map_or("", |severity| severity.as_str())),
        id: found.name().unwrap_or_default().to_owned(),
        package: attribute("package_name"),
        installed: attribute("package_version"),
        fix: Fix::Unknown,
    }
}

/// A finding of enhanced scanning, which is Inspector's: one for each package that it is in. What Inspector's own rules
/// suppressed, and what is over, does not count.
fn enhanced(found: &EnhancedImageScanFinding) -> Vec<Finding> {
    if matches!(found.status(), Some("SUPPRESSED" | "CLOSED")) {
        return Vec::new();
    }
    let details = found.package_vulnerability_details();
    let id = details.and_then(|details| details.vulnerability_id()).or(found.title()).unwrap_or_default();
    let severity = Severity::of(found.severity().unwrap_or_default());
    let finding = |package: &str, installed: &str, fixed_in: Option<&str>| Finding {
        severity,
        id: id.to_owned(),
        package: package.to_owned(),
        installed: installed.to_owned(),
        // `PARTIAL`: of the packages, those that name a version have a fix.
        fix: match (fixed_in.filter(|version| *version != "NotAvailable"), found.fix_available()) {
            (Some(version), _) => Fix::In(version.to_owned()),
            (None, Some("YES")) => Fix::In(String::new()),
            (None, Some("NO" | "PARTIAL")) => Fix::Missing,
            (None, _) => Fix::Unknown,
        },
    };
    match details.map(|details| details.vulnerable_packages()).unwrap_or_default() {
        [] => vec![finding(found.r#type().unwrap_or_default(), "", None)],
        packages => packages
            .iter()
            .map(|package| {
                let version = package.version().unwrap_or_default();
                let installed = match package.release() {
                    Some(release) => format!("{version}-{release}"),
                    None => version.to_owned(),
                };
                finding(package.name().unwrap_or_default(), &installed, package.fixed_in_version())
            })
            .collect(),
    }
}
