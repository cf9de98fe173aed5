//! What an image runs on: read from its index, or from its configuration.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use aws_sdk_ecr::operation::batch_get_image::BatchGetImageError;
use aws_sdk_ecr::types::{ImageFailureCode, ImageIdentifier};
use bytes::Bytes;
use serde_json::Value;

use super::super::refusal::failure;
use super::{Ecr, MANIFESTS};
use crate::failure::Failure;
use crate::names::{AccountId, Digest, Region, RepositoryName, Tag};
use crate::task_definition::text;

/// How long a configuration of a few kilobytes may take to arrive.
const LIMIT: Duration = Duration::from_secs(20);

/// An operating system and a processor, in the words of the OCI image specification.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Platform {
    /// `linux`, `windows`.
    pub os: String,
    /// `amd64`, `arm64`.
    pub architecture: String,
}

/// An image of an ECR registry, as a task definition writes it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EcrImage {
    /// The registry's account.
    pub registry: AccountId,
    /// The registry's region.
    pub region: Region,
    /// The repository.
    pub repository: RepositoryName,
    /// Which image of it.
    pub version: ImageVersion,
}

/// Which image of a repository.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ImageVersion {
    /// The one with this digest.
    Digest(Digest),
    /// The one that has this tag now.
    Tag(Tag),
}

impl fmt::Display for Platform {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.os, self.architecture)
    }
}

impl EcrImage {
    /// Reads a reference. `None` if it is no image of a private ECR registry.
    pub fn parse(reference: &str) -> Option<Self> {
        let (host, rest) = reference.split_once('/')?;
        let (registry, host) = host.split_once('.')?;
        // `dkr-ecr` begins the address of the endpoint for IPv4 and IPv6
        // (<https://docs.aws.amazon.com/AmazonECR/latest/userguide/ecr-requests.html>).
        let host = host.strip_prefix("dkr.ecr.").or_else(|| host.strip_prefix("dkr-ecr."))?;
        let (region, _) = host.split_once('.')?;
        let (repository, version) = match rest.split_once('@') {
            // A tag before a digest says nothing: the digest decides.
            Some((name, digest)) => {
                (name.split(':').next().unwrap_or(name), ImageVersion::Digest(digest.parse().ok()?))
            }
            None => {
                let (name, tag) = rest.split_once(':').unwrap_or((rest, "latest"));
                (name, ImageVersion::Tag(tag.parse().ok()?))
            }
        };
        Some(Self {
            registry: registry.parse().ok()?,
            region: region.parse().ok()?,
            repository: repository.parse().ok()?,
            version,
        })
    }

    pub(super) fn id(&self) -> ImageIdentifier {
        match &self.version {
            ImageVersion::Digest(digest) => ImageIdentifier::builder().image_digest(digest.as_str()).build(),
            ImageVersion::Tag(tag) => ImageIdentifier::builder().image_tag(tag.as_str()).build(),
        }
    }
}

impl fmt::Display for EcrImage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.version {
            ImageVersion::Digest(digest) => write!(formatter, "{}@{}", self.repository, digest.short()),
            ImageVersion::Tag(tag) => write!(formatter, "{}:{tag}", self.repository),
        }
    }
}

impl Ecr {
    /// `ecr:BatchGetImage`, and `ecr:GetDownloadUrlForLayer` for an image of a single platform: what the image runs on, without
    /// duplicates. `None` if there is no such image.
    pub async fn platforms(&self, image: &EcrImage) -> Result<Option<Vec<Platform>>, Failure> {
        let Some(manifest) = self.manifest_of(image).await? else { return Ok(None) };
        let mut platforms = match manifest["manifests"].as_array() {
            Some(children) => platforms_of(children),
            None => vec![self.configured_platform(image, &manifest).await?],
        };
        platforms.sort();
        platforms.dedup();
        Ok(Some(platforms))
    }

    /// The labels of an image; of one that was built for several platforms, those of the first. `None` if there is no such
    /// image.
    pub async fn labels(&self, image: &EcrImage) -> Result<Option<BTreeMap<String, String>>, Failure> {
        let Some(mut manifest) = self.manifest_of(image).await? else { return Ok(None) };
        if let Some(child) = manifest["manifests"].as_array().and_then(|children| children.first()) {
            let Some(digest) = child["digest"].as_str().and_then(|digest| digest.parse().ok()) else { return Ok(None) };
            let child = EcrImage { version: ImageVersion::Digest(digest), ..image.clone() };
            let Some(found) = self.manifest_of(&child).await? else { return Ok(None) };
            manifest = found;
        }
        let configuration = self.configuration(image, &manifest).await?;
        let labels = configuration["config"]["Labels"].as_object().into_iter().flatten();
        Ok(Some(labels.map(|(name, value)| (name.clone(), text(value))).collect()))
    }

    async fn manifest_of(&self, image: &EcrImage) -> Result<Option<Value>, Failure> {
        let call = "ecr:BatchGetImage";
        let doing = || format!("read the manifest of `{image}`");
        let request = self.client.batch_get_image().repository_name(image.repository.as_str()).image_ids(image.id());
        let request = request.registry_id(image.registry.as_str());
        let request = request.set_accepted_media_types(Some(MANIFESTS.map(str::to_owned).to_vec()));
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error)
                if error.as_service_error().is_some_and(BatchGetImageError::is_repository_not_found_exception) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(failure(call, doing(), error)),
        };
        if let Some(text) = answer.images().first().and_then(|found| found.image_manifest()) {
            let manifest = serde_json::from_str(text);
            return manifest.map(Some).map_err(|error| Failure::remote(error).context(call).context(doing()));
        }
        let failed = answer.failures().first();
        if failed.and_then(|failed| failed.failure_code()) == Some(&ImageFailureCode::ImageNotFound) {
            return Ok(None);
        }
        let reason = failed.and_then(|failed| failed.failure_reason()).unwrap_or("no reason given");
        Err(Failure::remote(reason).context(call).context(doing()))
    }

    async fn configured_platform(&self, image: &EcrImage, manifest: &Value) -> Result<Platform, Failure> {
        let configuration = self.configuration(image, manifest).await?;
        Ok(Platform { os: text(&configuration["os"]), architecture: text(&configuration["architecture"]) })
    }

    /// The configuration of an image. ECR hands out configurations as it does layers: at an address that is signed for an
    /// hour, and therefore never shown.
    async fn configuration(&self, image: &EcrImage, manifest: &Value) -> Result<Value, Failure> {
        let call = "ecr:GetDownloadUrlForLayer";
        let doing = || format!("read the configuration of `{image}`");
        let broken = |why: String| Failure::remote(why).context(call).context(doing());
        let Some(digest) = manifest["config"]["digest"].as_str() else {
            return Err(broken("its manifest names none".to_owned()));
        };
        let request = self.client.get_download_url_for_layer().repository_name(image.repository.as_str());
        let answer = request.registry_id(image.registry.as_str()).layer_digest(digest).send().await;
        let answer = answer.map_err(|error| failure(call, doing(), error))?;
        let request = http::Request::get(answer.download_url().unwrap_or_default()).body(Bytes::new());
        let request = request.map_err(|error| broken(error.to_string()))?;
        let response = self.http.send(request, LIMIT).await.map_err(|error| broken(error.to_string()))?;
        if !response.status().is_success() {
            return Err(broken(format!("the address of the configuration answers {}", response.status())));
        }
        serde_json::from_slice(response.body()).map_err(|error| broken(error.to_string()))
    }
}

/// The platforms of an index. BuildKit's attestations are entries too, of platform `unknown/unknown`
/// (<https://docs.docker.com/build/metadata/attestations/attestation-storage/>).
fn platforms_of(children: &[Value]) -> Vec<Platform> {
    let platforms = children.iter().map(|child| &child["platform"]);
    let platforms =
        platforms.map(|platform| Platform { os: text(&platform["os"]), architecture: text(&platform["architecture"]) });
    platforms.filter(|platform| platform.architecture != "unknown").collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_image_of_a_private_registry_is_known_by_its_address() {
        let check = |reference: &str| {
            EcrImage::parse(reference).map(|image| format!("{} {} {image}", image.registry, image.region))
        };
        let digest = "a".repeat(64);
        let ireland = "111122223333.dkr.ecr.eu-west-1.amazonaws.com";
        let pinned = Some("111122223333 eu-west-1 shop/auth@sha256:aaaaaaaaaaaa".to_owned());
        assert_eq!(check(&format!("{ireland}/shop/auth@sha256:{digest}")), pinned);
        assert_eq!(check(&format!("{ireland}/shop/auth:v1@sha256:{digest}")), pinned);
        assert_eq!(check(&format!("{ireland}/shop/auth:v1")).unwrap(), "111122223333 eu-west-1 shop/auth:v1");
        assert_eq!(check(&format!("{ireland}/shop/auth")).unwrap(), "111122223333 eu-west-1 shop/auth:latest");
        for host in ["dkr.ecr.cn-north-1.amazonaws.com.cn", "dkr-ecr.cn-north-1.on.aws"] {
            assert_eq!(check(&format!("111122223333.{host}/a1:v1")).unwrap(), "111122223333 cn-north-1 a1:v1");
        }
        for other in ["nginx", "nginx:1", "public.ecr.aws/shop/auth:v1", "localhost:5000/shop/auth", "ghcr.io/a/b@x"] {
            assert_eq!(check(other), None, "{other}");
        }
    }

    #[test]
    fn attestations_are_no_platforms() {
        let children = json!([
            { "platform": { "os": "linux", "architecture": "arm64", "variant": "v8" } },
            { "platform": { "os": "unknown", "architecture": "unknown" } },
        ]);
        let platforms = platforms_of(children.as_array().unwrap());
        assert_eq!(platforms.iter().map(Platform::to_string).collect::<Vec<_>>(), ["linux/arm64"]);
    }
}
