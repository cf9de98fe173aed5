//! What a scan found, and what of it keeps an image from being delivered. Pure.

use std::collections::BTreeMap;

use jiff::civil::Date;

use super::Violation;
use crate::delivery::{FindingException, ImagePolicy, Severity};

/// The rule that a grave finding breaks.
pub(super) const FINDING: &str = "fail-on";

/// Something that a scanner found in an image.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// How severe it is.
    pub severity: Severity,
    /// What it is called: `CVE-2026-1234`.
    pub id: String,
    /// The package, or the file, that it was found in.
    pub package: String,
    /// The package's version; blank if there is none.
    pub installed: String,
    /// Whether there is a version without it.
    pub fix: Fix,
}

/// Whether there is a version of a package without a finding.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fix {
    /// There is, this one; blank if the scanner does not name it.
    In(String),
    /// There is none yet.
    Missing,
    /// The scanner does not tell. That is not the same as none.
    Unknown,
    /// It is no package, but a file of the image's own: whoever builds the image can mend it.
    Own,
}

/// What a policy makes of the findings in an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    /// Those that keep it from being delivered, worst first.
    pub blocking: Vec<Finding>,
    /// Those that an exception lets through, and which.
    pub excepted: Vec<(Finding, FindingException)>,
    /// Those that are let through because there is no fix yet.
    pub unfixed: Vec<Finding>,
    /// Those that are not severe enough.
    pub minor: Vec<Finding>,
    /// The exceptions that held up to a day that is past: they let nothing through any more.
    pub expired: Vec<FindingException>,
    /// The exceptions that no finding needs.
    pub unused: Vec<FindingException>,
}

/// Judges what was found in an image, on this day (UTC).
pub fn judge(findings: &[Finding], policy: &ImagePolicy, today: Date) -> Judgement {
    let mut findings = findings.to_vec();
    findings.sort();
    // One package may lie in several places.
    findings.dedup();
    let mut judgement = Judgement::default();
    for finding in findings {
        let exception = policy.exceptions.iter().find(|exception| is_about(exception, &finding, today));
        match exception {
            _ if !policy.fail_on.contains(&finding.severity) => judgement.minor.push(finding),
            _ if policy.ignore_unfixed && finding.fix == Fix::Missing => judgement.unfixed.push(finding),
            Some(exception) => judgement.excepted.push((finding, exception.clone())),
            None => judgement.blocking.push(finding),
        }
    }
    for exception in &policy.exceptions {
        let is_used = judgement.excepted.iter().any(|(_, used)| used == exception);
        match exception.expires.get() < today {
            true => judgement.expired.push(exception.clone()),
            false if is_used => {}
            false => judgement.unused.push(exception.clone()),
        }
    }
    judgement
}

fn is_about(exception: &FindingException, finding: &Finding, today: Date) -> bool {
    exception.id.eq_ignore_ascii_case(&finding.id) && today <= exception.expires.get()
}

impl Judgement {
    /// What keeps the image from being delivered, package by package, those first that an update mends.
    pub fn violations(&self) -> Vec<Violation> {
        let mut violations: Vec<(bool, Severity, Violation)> = by_package(&self.blocking)
            .into_iter()
            .map(|package| {
                let expired: Vec<String> = package.findings.iter().filter_map(|finding| self.expiry(finding)).collect();
                let found = format!("{}: {}{}", package.name(), package.told(), expired.concat());
                let violation = Violation { rule: FINDING, found, fix: package.advice() };
                (package.fixed().is_none(), package.worst(), violation)
            })
            .collect();
        violations.sort_by_key(|(is_unfixed, worst, _)| (*is_unfixed, *worst));
        violations.into_iter().map(|(.., violation)| violation).collect()
    }

    /// `; the exception of CVE-… ended on 2026-01-31`, if one did.
    fn expiry(&self, finding: &Finding) -> Option<String> {
        let exception = self.expired.iter().find(|exception| exception.id.eq_ignore_ascii_case(&finding.id))?;
        Some(format!("; the exception of {} ended on {}", exception.id, exception.expires))
    }
}

/// The findings of one package in one version.
pub struct Package<'a> {
    /// The package, or the file.
    pub package: &'a str,
    /// Its version; blank if there is none.
    pub installed: &'a str,
    /// What was found in it, worst first.
    pub findings: Vec<&'a Finding>,
}

/// Findings by the package that they are in: who mends one of them mends them all.
pub fn by_package<'a>(findings: impl IntoIterator<Item = &'a Finding>) -> Vec<Package<'a>> {
    let mut packages: BTreeMap<(&str, &str), Vec<&Finding>> = BTreeMap::new();
    for finding in findings {
        packages.entry((&finding.package, &finding.installed)).or_default().push(finding);
    }
    let package = |((package, installed), findings)| Package { package, installed, findings };
    packages.into_iter().map(package).collect()
}

impl Package<'_> {
    /// `openssl 3.0.1`.
    pub fn name(&self) -> String {
        format!("{} {}", self.package, self.installed).trim_end().to_owned()
    }

    /// `CRITICAL CVE-2026-1, HIGH CVE-2026-2`.
    pub fn told(&self) -> String {
        let told = self.findings.iter().map(|finding| format!("{} {}", finding.severity, finding.id));
        told.collect::<Vec<_>>().join(", ")
    }

    /// The versions that mend what is mended somewhere; `None` if nothing is.
    pub fn fixed(&self) -> Option<String> {
        let mut versions: Vec<&str> = Vec::new();
        for finding in &self.findings {
            if let Fix::In(version) = &finding.fix
                && !versions.contains(&version.as_str())
            {
                versions.push(version);
            }
        }
        (!versions.is_empty()).then(|| versions.join(", "))
    }

    fn worst(&self) -> Severity {
        self.findings.iter().map(|finding| finding.severity).min().unwrap_or(Severity::Unknown)
    }

    fn advice(&self) -> String {
        let has = |fix: Fix| self.findings.iter().any(|finding| finding.fix == fix);
        match self.fixed().as_deref() {
            Some("") => format!("update {}", self.package),
            Some(versions) => format!("update {} to {versions}", self.package),
            None if has(Fix::Own) => format!("take it out of {}", self.package),
            None if has(Fix::Unknown) => {
                format!("look for a version of {} without it: the scanner does not tell", self.package)
            }
            None => format!("there is no fix yet: do without {}", self.package),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(severity: Severity, id: &str, package: &str, fix: Fix) -> Finding {
        Finding { severity, id: id.to_owned(), package: package.to_owned(), installed: "1.0".to_owned(), fix }
    }

    fn exception(id: &str, expires: &str) -> FindingException {
        FindingException { id: id.to_owned(), reason: "not reachable".to_owned(), expires: expires.parse().unwrap() }
    }

    fn fixed() -> Fix {
        Fix::In("1.1".to_owned())
    }

    const TODAY: Date = Date::constant(2026, 6, 15);

    fn blocking(finding: Finding, policy: &ImagePolicy) -> usize {
        judge(&[finding], policy, TODAY).blocking.len()
    }

    #[test]
    fn what_is_severe_and_can_be_mended_blocks() {
        let policy = ImagePolicy::default();
        for (severity, fix, blocks) in [
            (Severity::Critical, fixed(), 1),
            (Severity::High, fixed(), 1),
            (Severity::Medium, fixed(), 0),
            (Severity::Critical, Fix::Missing, 0),
            (Severity::Critical, Fix::Unknown, 1),
        ] {
            assert_eq!(blocking(finding(severity, "CVE-1", "a", fix.clone()), &policy), blocks, "{severity} {fix:?}");
        }
        let strict = ImagePolicy { ignore_unfixed: false, ..policy };
        assert_eq!(blocking(finding(Severity::High, "CVE-1", "a", Fix::Missing), &strict), 1);
    }

    #[test]
    fn an_exception_holds_up_to_its_last_day_and_is_told_when_nobody_needs_it() {
        let policy = |expires| ImagePolicy { exceptions: vec![exception("cve-1", expires)], ..ImagePolicy::default() };
        let judged = |expires| judge(&[finding(Severity::High, "CVE-1", "a", fixed())], &policy(expires), TODAY);
        let holds = judged("2026-06-15");
        assert_eq!((holds.blocking.len(), holds.excepted.len(), holds.unused.len()), (0, 1, 0));
        let is_past = judged("2026-06-14");
        assert_eq!((is_past.blocking.len(), is_past.expired.len()), (1, 1));
        assert_eq!(is_past.violations()[0].found, "a 1.0: HIGH CVE-1; the exception of cve-1 ended on 2026-06-14");
        assert_eq!(judge(&[], &policy("2026-06-15"), TODAY).unused.len(), 1);
    }

    #[test]
    fn a_package_is_one_line_and_those_that_an_update_mends_come_first() {
        let findings = [
            finding(Severity::Critical, "CVE-3", "zlib", Fix::Unknown),
            finding(Severity::High, "CVE-2", "openssl", Fix::In("1.2".to_owned())),
            finding(Severity::Critical, "CVE-1", "openssl", fixed()),
            finding(Severity::Critical, "CVE-1", "openssl", fixed()),
        ];
        let violations = judge(&findings, &ImagePolicy::default(), TODAY).violations();
        let told: Vec<String> =
            violations.iter().map(|violation| format!("{} → {}", violation.found, violation.fix)).collect();
        assert_eq!(
            told,
            [
                "openssl 1.0: CRITICAL CVE-1, HIGH CVE-2 → update openssl to 1.1, 1.2",
                "zlib 1.0: CRITICAL CVE-3 → look for a version of zlib without it: the scanner does not tell"
            ]
        );
    }
}
