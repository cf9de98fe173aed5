//! What an image has to pass before it is pushed, all of it at once: the rules about the image itself, and what scanners
//! reported of it. Pure.

use common::docker::{Examined, LocalImage};
use common::policy::{self, Finding, Judgement, Violation, judge};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::config::{Config, Target};

/// What became of the gates before the push.
#[derive(Debug, Default)]
pub(crate) struct Checked {
    /// What does not pass. None: it may be pushed.
    pub(crate) violations: Vec<Violation>,
    /// What was found in it, if somebody looked.
    pub(crate) scanned: Option<Scanned>,
}

/// What was found in an image.
#[derive(Clone, Debug)]
pub(crate) struct Scanned {
    /// Who looked: `Trivy`, `ECR`.
    pub(crate) by: String,
    pub(crate) judgement: Judgement,
}

/// Holds an image against its policy.
pub(crate) fn check(config: &Config, target: &Target, examined: &Examined, now: Timestamp) -> Checked {
    let Target { policy, image, .. } = target;
    let mut violations = policy::examine(examined, policy);
    let mut scanned = None;
    match reported(config, target, &examined.image, now) {
        None if policy.require_scan && !config.is_scanned_by_ecr => {
            let fix = format!(
                "scan it before this step, `trivy image --format json --output scan.json {image}`, and give the file by `scan-report`; or set `gate: ecr`"
            );
            violations.push(Violation { rule: "require-scan", found: "it was not scanned".to_owned(), fix });
        }
        None => {}
        Some(Err(violation)) => violations.push(violation),
        Some(Ok(found)) => {
            violations.extend(found.judgement.violations());
            scanned = Some(found);
        }
    }
    Checked { violations, scanned }
}

/// What the reports that were given say of an image; `None` if images need none.
fn reported(
    config: &Config,
    target: &Target,
    image: &LocalImage,
    now: Timestamp,
) -> Option<Result<Scanned, Violation>> {
    let given = config.reports.as_ref()?;
    let reports = match policy::reports_of(image, &target.image, given, &target.policy, now) {
        Ok(reports) => reports,
        Err(violation) => return Some(Err(violation)),
    };
    let mut scanners: Vec<&str> = reports.iter().map(|report| report.scanner).collect();
    scanners.dedup();
    let findings: Vec<Finding> = reports.iter().flat_map(|report| report.findings.iter().cloned()).collect();
    Some(Ok(scanned(scanners.join(" and "), &findings, target, now)))
}

/// What a policy makes of what was found.
pub(crate) fn scanned(by: String, findings: &[Finding], target: &Target, now: Timestamp) -> Scanned {
    Scanned { by, judgement: judge(findings, &target.policy, day(now)) }
}

/// The day of a moment. Exceptions end with a day of UTC.
fn day(now: Timestamp) -> Date {
    now.to_zoned(TimeZone::UTC).date()
}
