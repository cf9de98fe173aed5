//! When ECR's own scan of an image is over, and whether there will be one at all. Pure.
//!
//! What its statuses mean: <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_ImageScanStatus.html>.

use std::time::Duration;

use common::aws::{Scan, ScanStart};

/// How long findings have to stay as they are before they count, where they may still be coming in. A scan that is complete
/// shows none for some seconds (<https://github.com/aws/aws-sdk/issues/289>), and Inspector goes on for good.
const SETTLES_IN: Duration = Duration::from_secs(30);

/// After how long without a scan one is asked for: a scan on push takes some seconds to be there.
const ASKED_AFTER: Duration = Duration::from_secs(15);

/// After how long without a scan nobody waits any more, where ECR takes no orders.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(300);

/// What was seen so far of an image's scan.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// As it is now; `None` if there is none.
    pub(crate) scan: Option<Scan>,
    /// How long it has been looked for.
    pub(crate) waited: Duration,
    /// How long it has been as it is.
    pub(crate) unchanged: Duration,
    /// What came of asking for one.
    pub(crate) start: Option<ScanStart>,
}

/// What follows from that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Wait.
    Wait,
    /// Ask for a scan, and wait.
    Ask,
    /// The findings are what they are.
    Judge,
    /// There will be no findings: why, and what would help.
    Block(String, String),
}

/// What follows from what was seen.
pub(crate) fn judge(seen: &Seen) -> Next {
    let Some(scan) = &seen.scan else { return without_scan(seen) };
    match scan.status.as_str() {
        "COMPLETE" if !scan.findings.is_empty() => Next::Judge,
        "COMPLETE" | "ACTIVE" if seen.unchanged >= SETTLES_IN => Next::Judge,
        status => match never(status) {
            Some(help) => Next::Block(told(scan), help.to_owned()),
            // Among them words that are newer than this program.
            None => Next::Wait,
        },
    }
}

fn without_scan(seen: &Seen) -> Next {
    match &seen.start {
        None if seen.waited >= ASKED_AFTER => Next::Ask,
        Some(ScanStart::NotForUs(reason)) if seen.waited >= GIVEN_UP_AFTER => Next::Block(
            format!("ECR has not scanned it, and takes no order to ({reason})"),
            "have the registry's scanning rules include this repository, or scan the image in the job, and give the report by `scan-report` instead of `gate: ecr`".to_owned(),
        ),
        _ => Next::Wait,
    }
}

/// What would help where a status means that there will be no findings.
fn never(status: &str) -> Option<&'static str> {
    match status {
        "FAILED" => Some("run again in a while: an image can be scanned once in 24 hours"),
        "UNSUPPORTED_IMAGE" => Some(
            "ECR cannot scan an image without a known operating system (FROM scratch): scan it in the job, and give the report by `scan-report` instead of `gate: ecr`",
        ),
        "IMAGE_SIZE_EXCEEDED" => Some(
            "make the image smaller, or scan it in the job, and give the report by `scan-report` instead of `gate: ecr`",
        ),
        "SCAN_ELIGIBILITY_EXPIRED" => Some(
            "Inspector scans images that were pushed not long ago: push the image of a new commit, or lengthen its re-scan duration",
        ),
        "FINDINGS_UNAVAILABLE" | "LIMIT_EXCEEDED" => Some("look at the image in ECR's console, then run again"),
        "IMAGE_ARCHIVED" => Some("restore the image from the archive, then run again"),
        _ => None,
    }
}

/// A scan's status for people.
pub(crate) fn told(scan: &Scan) -> String {
    let status = &scan.status;
    match (scan.description.as_str(), scan.findings.len()) {
        ("", 0) => format!("ECR's scan is {status}"),
        (description, 0) => format!("ECR's scan is {status}: {description}"),
        (_, findings) => format!("ECR's scan is {status}, with {findings} findings"),
    }
}

#[cfg(test)]
mod tests {
    use common::delivery::Severity;
    use common::policy::{Finding, Fix};

    use super::*;

    fn scan(status: &str, findings: usize) -> Scan {
        let finding = Finding {
            severity: Severity::Low,
            id: "CVE-1".to_owned(),
            package: "a".to_owned(),
            installed: "1".to_owned(),
            fix: Fix::Unknown,
        };
        Scan {
            status: status.to_owned(),
            description: String::new(),
            completed_at: None,
            findings: vec![finding; findings],
        }
    }

    #[test]
    fn a_scan_is_over_when_its_findings_are_what_they_are() {
        for (status, findings, unchanged, expected) in [
            ("IN_PROGRESS", 0, 3600, Next::Wait),
            ("PENDING", 0, 3600, Next::Wait),
            ("COMPLETE", 2, 0, Next::Judge),
            ("COMPLETE", 0, 0, Next::Wait),
            ("COMPLETE", 0, 30, Next::Judge),
            ("ACTIVE", 0, 29, Next::Wait),
            ("ACTIVE", 2, 0, Next::Wait),
            ("ACTIVE", 2, 30, Next::Judge),
            ("A_NEW_WORD", 0, 3600, Next::Wait),
        ] {
            let unchanged = Duration::from_secs(unchanged);
            let seen = Seen { scan: Some(scan(status, findings)), unchanged, ..Seen::default() };
            assert_eq!(judge(&seen), expected, "{status} {findings} {unchanged:?}");
        }
        for status in [
            "FAILED",
            "UNSUPPORTED_IMAGE",
            "SCAN_ELIGIBILITY_EXPIRED",
            "FINDINGS_UNAVAILABLE",
            "LIMIT_EXCEEDED",
            "IMAGE_ARCHIVED",
            "IMAGE_SIZE_EXCEEDED",
        ] {
            let seen = Seen { scan: Some(scan(status, 0)), ..Seen::default() };
            assert!(matches!(judge(&seen), Next::Block(..)), "{status}");
        }
    }

    #[test]
    fn a_scan_that_is_not_there_is_asked_for_once() {
        let refused = Some(ScanStart::NotForUs("no".to_owned()));
        for (waited, start, expected) in [
            (14, None, Next::Wait),
            (15, None, Next::Ask),
            (3600, Some(ScanStart::Started), Next::Wait),
            (3600, Some(ScanStart::AlreadyScanned), Next::Wait),
            (299, refused.clone(), Next::Wait),
        ] {
            let seen = Seen { waited: Duration::from_secs(waited), start, ..Seen::default() };
            assert_eq!(judge(&seen), expected, "{waited}");
        }
        let seen = Seen { waited: Duration::from_secs(300), start: refused, ..Seen::default() };
        assert!(matches!(judge(&seen), Next::Block(..)));
    }
}
