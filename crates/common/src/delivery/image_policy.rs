//! What an image has to be before it is pushed.

use std::fmt;
use std::str::FromStr;

use clap::ValueEnum;
use schemars::JsonSchema;
use serde::Serialize;

use super::exception::FindingException;
use super::read::{read_text, read_word};
use super::section::read_section;
use super::time_span::TimeSpan;

/// What an image has to be before it is pushed.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ImagePolicy {
    /// The most that its layers may take, unpacked.
    pub max_size: Size,
    /// The most that it may take in the registry, compressed, as ECR counts it. Without it, that is not looked at.
    pub max_compressed_size: Option<Size>,
    /// Whether its user has to be another than root.
    pub require_non_root: bool,
    /// Whether it has to have a `HEALTHCHECK`.
    pub require_healthcheck: bool,
    /// Files that have to be in it: `/app/main.js` is a whole path, `remoteEntry.js` a file of this name in any folder.
    pub required_files: Vec<String>,
    /// Whether what looks like a secret in its history, its environment or its labels keeps it from being pushed.
    pub refuse_secrets: bool,
    /// Whether it has to be scanned: by a report that is given to ecr-push, or by ECR.
    pub require_scan: bool,
    /// How old a scan report may be.
    pub max_report_age: TimeSpan,
    /// The severities of findings that keep it from being delivered.
    pub fail_on: Vec<Severity>,
    /// Whether findings that have no fix yet are let through.
    pub ignore_unfixed: bool,
    /// Findings that are let through for a while, each with its reason and its last day.
    pub exceptions: Vec<FindingException>,
}

impl Default for ImagePolicy {
    fn default() -> Self {
        Self {
            max_size: Size(500_000_000),
            max_compressed_size: None,
            require_non_root: true,
            require_healthcheck: true,
            required_files: Vec::new(),
            refuse_secrets: true,
            require_scan: false,
            max_report_age: TimeSpan::from_seconds(24 * 60 * 60),
            fail_on: vec![Severity::Critical, Severity::High],
            ignore_unfixed: true,
            exceptions: Vec::new(),
        }
    }
}

read_section!(ImagePolicy or default {
    max_size, max_compressed_size, require_non_root, require_healthcheck, required_files, refuse_secrets, require_scan, max_report_age, fail_on,
    ignore_unfixed, exceptions,
});

impl ImagePolicy {
    /// The policy for the images of a service that has rules of its own.
    pub fn with(&self, own: &ServiceImagePolicy) -> Self {
        let ServiceImagePolicy {
            max_size,
            max_compressed_size,
            require_non_root,
            require_healthcheck,
            required_files,
            exceptions,
        } = own;
        let mut policy = self.clone();
        policy.max_size = max_size.unwrap_or(policy.max_size);
        policy.max_compressed_size = max_compressed_size.or(policy.max_compressed_size);
        policy.require_non_root = require_non_root.unwrap_or(policy.require_non_root);
        policy.require_healthcheck = require_healthcheck.unwrap_or(policy.require_healthcheck);
        policy.required_files.extend(required_files.iter().cloned());
        policy.exceptions.extend(exceptions.iter().cloned());
        policy
    }
}

/// What the image policy says of one service's image otherwise.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ServiceImagePolicy {
    /// Instead of `max-size` in `[image-policy]`.
    pub max_size: Option<Size>,
    /// Instead of `max-compressed-size` in `[image-policy]`.
    pub max_compressed_size: Option<Size>,
    /// Instead of `require-non-root` in `[image-policy]`.
    pub require_non_root: Option<bool>,
    /// Instead of `require-healthcheck` in `[image-policy]`.
    pub require_healthcheck: Option<bool>,
    /// Beside the `required-files` in `[image-policy]`.
    pub required_files: Vec<String>,
    /// Beside the `exceptions` in `[image-policy]`.
    pub exceptions: Vec<FindingException>,
}

read_section!(ServiceImagePolicy or default { max_size, max_compressed_size, require_non_root, require_healthcheck, required_files, exceptions });

/// How severe a finding is, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, JsonSchema)]
#[value(rename_all = "UPPER")]
#[serde(rename_all = "UPPERCASE")]
pub enum Severity {
    /// The worst.
    Critical,
    /// Bad.
    High,
    /// Not good.
    Medium,
    /// Not urgent.
    Low,
    /// Not rated by anyone yet.
    Unknown,
}

read_word!(Severity);

impl Severity {
    /// What a scanner's word means: Trivy's, Grype's, ECR's or Inspector's. A word that nobody knows yet means the worst.
    pub fn of(word: &str) -> Self {
        match word.to_ascii_uppercase().as_str() {
            "HIGH" => Self::High,
            "MEDIUM" => Self::Medium,
            "LOW" | "NEGLIGIBLE" | "INFORMATIONAL" => Self::Low,
            "UNKNOWN" | "UNDEFINED" | "UNTRIAGED" | "" => Self::Unknown,
            _ => Self::Critical,
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = self.to_possible_value();
        formatter.pad(word.as_ref().map_or("", |word| word.get_name()))
    }
}

/// A number of bytes with its unit: `500MB`, `1.5GiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(into = "String")]
#[schemars(with = "String", extend("pattern" = r"^\d+(\.\d+)?(B|kB|KB|MB|GB|KiB|MiB|GiB)$"))]
pub struct Size(u64);

impl Size {
    /// The bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

const UNITS: [(&str, u64); 8] = [
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1000),
    ("KB", 1000),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let invalid = || format!("`{text}` is not a size: write a number and its unit, as in `500MB` or `1.5GiB`");
        let digits = text.find(|character: char| !character.is_ascii_digit() && character != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let (_, factor) = UNITS.into_iter().find(|(name, _)| *name == unit.trim()).ok_or_else(invalid)?;
        let number: f64 = number.parse().map_err(|_| invalid())?;
        let bytes = (number * factor as f64).round();
        // Up to here a float counts bytes exactly; nothing is pushed that is larger.
        (bytes < 9e15).then_some(Self(bytes as u64)).ok_or_else(invalid)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = UNITS.into_iter().find(|(_, factor)| self.0 > 0 && self.0.is_multiple_of(*factor));
        let (unit, factor) = exact.unwrap_or(("B", 1));
        write!(formatter, "{}{unit}", self.0 / factor)
    }
}

impl From<Size> for String {
    fn from(size: Size) -> Self {
        size.to_string()
    }
}

read_text!(Size);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_severity_that_nobody_knows_is_the_worst() {
        for (word, severity) in [
            ("HIGH", Severity::High),
            ("Negligible", Severity::Low),
            ("UNTRIAGED", Severity::Unknown),
            ("APOCALYPTIC", Severity::Critical),
        ] {
            assert_eq!(Severity::of(word), severity, "{word}");
        }
        assert_eq!(Severity::Critical.to_string(), "CRITICAL");
    }

    #[test]
    fn a_size_has_a_unit() {
        for (text, bytes) in [("500MB", 500_000_000), ("1.5GiB", 1_610_612_736), ("12 kB", 12_000), ("0B", 0)] {
            assert_eq!(text.parse::<Size>().unwrap().bytes(), bytes, "{text}");
        }
        for text in ["", "500", "MB", "-1MB", "1.2.3MB", "500mb", "99999999999GB"] {
            let told = text.parse::<Size>().unwrap_err();
            assert_eq!(told, format!("`{text}` is not a size: write a number and its unit, as in `500MB` or `1.5GiB`"));
        }
    }

    #[test]
    fn a_size_is_written_as_it_is_read() {
        for text in ["500MB", "1GiB", "3B", "0B", "2GB"] {
            assert_eq!(text.parse::<Size>().unwrap().to_string(), text);
        }
    }
}
