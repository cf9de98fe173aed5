//! Paths of the consumer's repository.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::Serialize;

use super::read::read_text;

/// A file or folder of the repository, relative to its root and within it, with `/` between the folders.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[schemars(with = "String")]
pub struct RelativePath(String);

impl RelativePath {
    /// The path, without a leading `./` or a trailing `/`. The root is `.`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A text that is not a [`RelativePath`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a path of the repository: {rule}")]
pub struct InvalidPath {
    text: String,
    rule: &'static str,
}

impl FromStr for RelativePath {
    type Err = InvalidPath;

    fn from_str(text: &str) -> Result<Self, InvalidPath> {
        let invalid = |rule| Err(InvalidPath { text: text.to_owned(), rule });
        if text.trim().is_empty() {
            return invalid("it is blank");
        }
        if text.starts_with('/') {
            return invalid("write it relative to the root, without a leading `/`");
        }
        if text.contains('\\') {
            return invalid("write `/` between folders");
        }
        if text.contains('*') {
            return invalid("patterns are not supported, a folder stands for all that is in it");
        }
        let parts: Vec<&str> = text.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
        if parts.contains(&"..") {
            return invalid("it must not leave the repository by `..`");
        }
        Ok(Self(if parts.is_empty() { ".".to_owned() } else { parts.join("/") }))
    }
}

impl fmt::Display for RelativePath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

impl AsRef<Path> for RelativePath {
    fn as_ref(&self) -> &Path {
        Path::new(&self.0)
    }
}

read_text!(RelativePath);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_within_the_repository() {
        for (text, expected) in [
            ("apps/auth", Ok("apps/auth")),
            ("./apps//auth/", Ok("apps/auth")),
            (".", Ok(".")),
            ("./", Ok(".")),
            (".github/..x", Ok(".github/..x")),
            ("", Err("`` is not a path of the repository: it is blank")),
            (
                "/etc",
                Err("`/etc` is not a path of the repository: write it relative to the root, without a leading `/`"),
            ),
            ("a/../../b", Err("`a/../../b` is not a path of the repository: it must not leave the repository by `..`")),
            ("a\\b", Err("`a\\b` is not a path of the repository: write `/` between folders")),
            (
                "a/*",
                Err(
                    "`a/*` is not a path of the repository: patterns are not supported, a folder stands for all that is in it",
                ),
            ),
        ] {
            let parsed = text.parse::<RelativePath>().map_err(|error| error.to_string());
            assert_eq!(
                parsed.as_ref().map(RelativePath::as_str),
                expected.map_err(str::to_owned).as_ref().copied(),
                "{text}"
            );
        }
    }
}
