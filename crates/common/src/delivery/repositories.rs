//! How the repositories of the images are made, and what is looked after in those that are there.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use clap::ValueEnum;
use schemars::JsonSchema;
use serde::Serialize;

use super::read::{read_text, read_word};
use super::relative_path::RelativePath;
use super::section::{Section, read_section};

/// The most patterns that ECR lets a repository exclude from its immutability
/// (<https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_PutImageTagMutability.html>).
pub const MOST_MOVING_TAGS: usize = 5;

/// How ECR repositories are made where they are missing, and what those that are there are compared with.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Repositories {
    /// Whether a repository that is missing is made. Otherwise it is an error.
    pub create: bool,
    /// What is done about a repository whose settings are others: `report` tells, `enforce` changes them.
    pub reconcile: Reconcile,
    /// Whether a tag stays at its image. The commit's tag has to.
    pub immutable_tags: bool,
    /// The tags that move all the same: `main`, `pr-*`. At most five.
    pub moving_tags: Vec<TagPattern>,
    /// Whether an image is scanned by ECR when it is pushed. Where the registry's own scanning configuration decides, that is respected.
    pub scan_on_push: bool,
    /// How its images are encrypted. Only a new repository can be given this.
    pub encryption: Encryption,
    /// The KMS key, by its ARN, for `KMS` and `KMS_DSSE`. Without it, AWS's own.
    pub kms_key: Option<String>,
    /// How many images are kept, tagged or not: the last ones that were pushed.
    pub keep_images: NonZeroU32,
    /// After how many days an image without a tag goes.
    pub expire_untagged_days: NonZeroU32,
    /// A lifecycle policy of one's own instead of these two: a JSON file, as `aws ecr put-lifecycle-policy` takes it.
    pub lifecycle_policy: Option<RelativePath>,
    /// Whether ECR signs what is pushed (managed signing): then its signature is waited for, and an image without one is blocked.
    pub signed: bool,
}

impl Default for Repositories {
    fn default() -> Self {
        Self {
            create: true,
            reconcile: Reconcile::Report,
            immutable_tags: true,
            moving_tags: Vec::new(),
            scan_on_push: true,
            encryption: Encryption::Aes256,
            kms_key: None,
            keep_images: NonZeroU32::MIN.saturating_add(9),
            expire_untagged_days: NonZeroU32::MIN.saturating_add(6),
            lifecycle_policy: None,
            signed: false,
        }
    }
}

read_section!(Repositories or default {
    create, reconcile, immutable_tags, moving_tags, scan_on_push, encryption, kms_key, keep_images, expire_untagged_days, lifecycle_policy, signed,
} check check);

fn check(section: &Section<'_>) {
    if section.texts("moving-tags").len() > MOST_MOVING_TAGS {
        section.problem("moving-tags", &format!("ECR takes at most {MOST_MOVING_TAGS} patterns: join some by `*`"));
    }
    let encryption = section.peek::<Encryption>("encryption").unwrap_or(Encryption::Aes256);
    if section.has("kms-key") && encryption == Encryption::Aes256 {
        section.problem("kms-key", "it needs `encryption = \"KMS\"`");
    }
    for key in ["keep-images", "expire-untagged-days"] {
        if section.has("lifecycle-policy") && section.has(key) {
            section.problem(key, "`lifecycle-policy` says that already: keep one");
        }
    }
    if section.has("moving-tags") && section.peek::<bool>("immutable-tags") == Some(false) {
        section.problem("moving-tags", "without `immutable-tags` every tag moves: leave it out");
    }
}

/// What is done about a repository whose settings are others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Reconcile {
    /// Tell.
    Report,
    /// Change them.
    Enforce,
}

read_word!(Reconcile or Report);

/// How the images of a repository are encrypted, as ECR calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, JsonSchema)]
pub enum Encryption {
    /// By a key of ECR's.
    #[value(name = "AES256")]
    #[serde(rename = "AES256")]
    Aes256,
    /// By a key in KMS.
    #[value(name = "KMS")]
    #[serde(rename = "KMS")]
    Kms,
    /// Twice, by a key in KMS.
    #[value(name = "KMS_DSSE")]
    #[serde(rename = "KMS_DSSE")]
    KmsDsse,
}

read_word!(Encryption);

impl Encryption {
    /// ECR's word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Aes256 => "AES256",
            Self::Kms => "KMS",
            Self::KmsDsse => "KMS_DSSE",
        }
    }
}

/// A tag, or several by `*`: `main`, `pr-*`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(into = "String")]
#[schemars(with = "String", extend("pattern" = r"^[0-9A-Za-z._*-]{1,128}$"))]
pub struct TagPattern(String);

impl TagPattern {
    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a tag is one of these.
    pub fn matches(&self, tag: &str) -> bool {
        wildcard(&self.0, tag)
    }
}

/// Whether a text is what a pattern says, in which `*` is any text, none included.
pub fn wildcard(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text.strip_prefix(start).is_some_and(|text| {
            let ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
            ends.into_iter().any(|at| wildcard(rest, &text[at..]))
        }),
    }
}

impl FromStr for TagPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_valid = (1..=128).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._*-".contains(&byte));
        match is_valid {
            true => Ok(Self(text.to_owned())),
            false => Err(format!("`{text}` is not a tag: use letters, digits, `.`, `_`, `-`, and `*` for any text")),
        }
    }
}

impl fmt::Display for TagPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl From<TagPattern> for String {
    fn from(pattern: TagPattern) -> Self {
        pattern.0
    }
}

read_text!(TagPattern);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_the_whole_tag() {
        for (pattern, tag, expected) in [
            ("main", "main", true),
            ("main", "mainline", false),
            ("pr-*", "pr-12", true),
            ("pr-*", "pr-", true),
            ("*", "anything", true),
            ("v*.0", "v1.2.0", true),
            ("v*.0", "v1.2.1", false),
            ("*-rc*", "v1-rc2", true),
        ] {
            assert_eq!(pattern.parse::<TagPattern>().unwrap().matches(tag), expected, "{pattern} {tag}");
        }
        for text in ["", "a/b", "a b", "ä"] {
            assert!(text.parse::<TagPattern>().is_err(), "{text}");
        }
    }
}
