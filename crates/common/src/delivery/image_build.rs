//! How a service's image is built, where its Dockerfile alone does not say it.

use std::fmt;
use std::str::FromStr;

use clap::ValueEnum;
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Serialize;

use super::read::{read_text, read_word};
use super::relative_path::RelativePath;
use super::section::{Section, read_section};
use super::template::Template;
use crate::names::{ArgumentName, ContextName, SecretId, ServiceKey};

/// How an image is built, where its Dockerfile alone does not say it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ImageBuild {
    /// The stage of the Dockerfile to build. Without it, the last one.
    pub target: Option<String>,
    /// The values of the Dockerfile's `ARG`s.
    pub arguments: IndexMap<ArgumentName, Template>,
    /// The secrets that `RUN --mount=type=secret,id=…` sees: the id of each, and the environment variable that holds it.
    pub secrets: IndexMap<SecretId, ArgumentName>,
    /// The platform to build for. Without it, the engine's own.
    pub platform: Option<BuildPlatform>,
    /// What the Dockerfile means by a name in `FROM` or `COPY --from`: a folder of the repository, `service:KEY` (the image of another service), or `docker-image://REFERENCE`.
    pub contexts: IndexMap<ContextName, ContextSource>,
}

read_section!(ImageBuild or default { target, arguments, secrets, platform, contexts } check ImageBuild::check);

impl ImageBuild {
    fn check(section: &Section<'_>) {
        let Some(arguments) = section.peek::<IndexMap<ArgumentName, Template>>("arguments") else { return };
        for (name, value) in arguments {
            if value.as_str().contains("${IMAGE}") {
                let rule = format!("`{name}` is `{}`, and the image is not there before it is built", value.as_str());
                section.problem("arguments", &rule);
            }
        }
    }

    /// The services whose images the build needs.
    pub fn services(&self) -> impl Iterator<Item = &ServiceKey> {
        self.contexts.values().filter_map(|source| match source {
            ContextSource::Service(key) => Some(key),
            ContextSource::Folder(_) | ContextSource::Image(_) => None,
        })
    }
}

/// The platforms that Fargate runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, JsonSchema)]
pub enum BuildPlatform {
    /// 64-bit Intel and AMD.
    #[value(name = "linux/amd64")]
    #[serde(rename = "linux/amd64")]
    Amd64,
    /// Graviton.
    #[value(name = "linux/arm64")]
    #[serde(rename = "linux/arm64")]
    Arm64,
}

read_word!(BuildPlatform);

impl fmt::Display for BuildPlatform {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Amd64 => "linux/amd64",
            Self::Arm64 => "linux/arm64",
        })
    }
}

read_text!(ArgumentName, ContextSource);

/// What a named context holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(into = "String")]
#[schemars(with = "String")]
pub enum ContextSource {
    /// A folder of the repository.
    Folder(RelativePath),
    /// The image of another service, as it is built in this run; that of the registry's if it is not affected.
    Service(ServiceKey),
    /// An image.
    Image(String),
}

impl FromStr for ContextSource {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(key) = text.strip_prefix("service:") {
            return key.parse().map(Self::Service).map_err(|error| format!("{error}"));
        }
        match text.split_once("://") {
            Some(("docker-image", image)) if !image.is_empty() => Ok(Self::Image(image.to_owned())),
            Some(_) => Err(format!(
                "`{text}` is no context: write a folder of the repository, `service:KEY`, or `docker-image://REFERENCE`"
            )),
            None => text.parse().map(Self::Folder).map_err(|error: super::InvalidPath| error.to_string()),
        }
    }
}

impl fmt::Display for ContextSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => write!(formatter, "{path}"),
            Self::Service(key) => write!(formatter, "service:{key}"),
            Self::Image(image) => write!(formatter, "docker-image://{image}"),
        }
    }
}

impl From<ContextSource> for String {
    fn from(source: ContextSource) -> Self {
        source.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_is_a_folder_a_service_or_an_image() {
        for text in ["libs/shared", "service:core", "docker-image://node:24@sha256:1"] {
            assert_eq!(text.parse::<ContextSource>().unwrap().to_string(), text);
        }
        for text in ["", "/etc", "https://example.com/x.tar", "service:", "docker-image://", "../up"] {
            assert!(text.parse::<ContextSource>().is_err(), "{text}");
        }
    }

    #[test]
    fn names_are_those_that_a_dockerfile_can_use() {
        assert!("NPM_TOKEN".parse::<ArgumentName>().is_ok() && "1X".parse::<ArgumentName>().is_err());
        assert!("npm-token.v1".parse::<SecretId>().is_ok() && "a b".parse::<SecretId>().is_err());
        assert!("shop/base:latest".parse::<ContextName>().is_ok() && "scratch".parse::<ContextName>().is_err());
        assert!("Shop".parse::<ContextName>().is_err());
    }
}
