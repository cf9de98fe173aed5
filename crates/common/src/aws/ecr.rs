//! Elastic Container Registry: repositories, images and the token to push with.

mod platforms;
mod tags;

use std::collections::BTreeSet;

use aws_config::SdkConfig;
use aws_sdk_ecr::operation::describe_images::DescribeImagesError;
use aws_sdk_ecr::operation::describe_repositories::DescribeRepositoriesError;
use aws_sdk_ecr::operation::put_image::PutImageError;
use aws_sdk_ecr::types::ImageIdentifier;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::Value;

use super::moment;
use super::refusal::failure;
use crate::failure::Failure;
use crate::http::Http;
use crate::names::{Digest, RepositoryName, Secret, Tag};

pub use platforms::{EcrImage, ImageVersion, Platform};

/// The ECR API.
#[derive(Clone, Debug)]
pub struct Ecr {
    client: aws_sdk_ecr::Client,
    http: Http,
}

/// An image in a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// The digest of its manifest.
    pub digest: Digest,
    /// All of its tags.
    pub tags: Vec<String>,
    /// When it was pushed.
    pub pushed_at: Option<Timestamp>,
    /// Its compressed size in bytes, as ECR counts it.
    pub size: Option<i64>,
}

/// What a Docker client logs in to the registry with; valid for twelve hours.
#[derive(Clone, Debug)]
pub struct Login {
    /// Always `AWS`.
    pub user: String,
    /// The token.
    pub password: Secret,
}

/// The manifest of an image, as the registry holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    text: String,
    media_type: Option<String>,
    /// Every digest that an engine could know the image by: that of the manifest, of the configuration, and of the manifests
    /// of its platforms.
    pub digests: BTreeSet<Digest>,
}

/// The forms of manifest that we understand. Without this list, ECR converts what it has to an older one.
const MANIFESTS: [&str; 4] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];

impl Ecr {
    pub(super) fn new(config: &SdkConfig, http: &Http) -> Self {
        Self { client: aws_sdk_ecr::Client::new(config), http: http.clone() }
    }

    /// `ecr:GetAuthorizationToken`.
    pub async fn get_authorization_token(&self) -> Result<Login, Failure> {
        let call = "ecr:GetAuthorizationToken";
        let answer = self
            .client
            .get_authorization_token()
            .send()
            .await
            .map_err(|error| failure(call, "get a token for the registry", error))?;
        let token = answer.authorization_data().first().and_then(|data| data.authorization_token());
        let pair = token.and_then(|token| String::from_utf8(STANDARD.decode(token).ok()?).ok());
        match pair.as_deref().and_then(|pair| pair.split_once(':')) {
            Some((user, password)) => Ok(Login { user: user.to_owned(), password: Secret::new(password) }),
            None => Err(Failure::remote("the registry's token is not `user:password` in base64").context(call)),
        }
    }

    /// `ecr:DescribeRepositories`, for one: its URI (`host/name`), or `None` if there is no such repository.
    pub async fn repository_uri(&self, name: &RepositoryName) -> Result<Option<String>, Failure> {
        match self.client.describe_repositories().repository_names(name.as_str()).send().await {
            Ok(answer) => Ok(answer.repositories().first().and_then(|found| found.repository_uri()).map(str::to_owned)),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(DescribeRepositoriesError::is_repository_not_found_exception) =>
            {
                Ok(None)
            }
            Err(error) => Err(failure("ecr:DescribeRepositories", format!("look up repository `{name}`"), error)),
        }
    }

    /// `ecr:DescribeImages`, for the image with this tag. `None` if no image has it.
    pub async fn image_by_tag(&self, repository: &RepositoryName, tag: &Tag) -> Result<Option<Image>, Failure> {
        let id = ImageIdentifier::builder().image_tag(tag.as_str()).build();
        self.describe_image(repository, id, format!("look up image `{repository}:{tag}`")).await
    }

    /// `ecr:DescribeImages`, for the image with this digest. `None` if there is none.
    pub async fn image_by_digest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<Image>, Failure> {
        let id = ImageIdentifier::builder().image_digest(digest.as_str()).build();
        self.describe_image(repository, id, format!("look up image `{repository}@{digest}`")).await
    }

    /// `ecr:BatchGetImage`, for the manifest with this digest.
    pub async fn manifest(&self, repository: &RepositoryName, digest: &Digest) -> Result<Manifest, Failure> {
        let call = "ecr:BatchGetImage";
        let doing = || format!("read the manifest of `{repository}@{}`", digest.short());
        let id = ImageIdentifier::builder().image_digest(digest.as_str()).build();
        let request = self.client.batch_get_image().repository_name(repository.as_str()).image_ids(id);
        let request = request.set_accepted_media_types(Some(MANIFESTS.map(str::to_owned).to_vec()));
        let answer = request.send().await.map_err(|error| failure(call, doing(), error))?;
        let Some((image, text)) = answer.images().first().and_then(|image| Some((image, image.image_manifest()?)))
        else {
            let reason =
                answer.failures().first().and_then(|failure| failure.failure_reason()).unwrap_or("no reason given");
            return Err(Failure::remote(reason).context(call).context(doing()));
        };
        Ok(Manifest {
            text: text.to_owned(),
            media_type: image.image_manifest_media_type().map(str::to_owned),
            digests: digests(digest, text),
        })
    }

    /// `ecr:PutImage`, to give an image that is there one more tag. A tag that it has already is no failure.
    pub async fn put_tag(&self, repository: &RepositoryName, manifest: &Manifest, tag: &Tag) -> Result<(), Failure> {
        let request = self.client.put_image().repository_name(repository.as_str()).image_tag(tag.as_str());
        let request = request.image_manifest(&manifest.text).set_image_manifest_media_type(manifest.media_type.clone());
        match request.send().await {
            Ok(_) => Ok(()),
            Err(error) if error.as_service_error().is_some_and(PutImageError::is_image_already_exists_exception) => {
                Ok(())
            }
            Err(error) => {
                let is_taken =
                    error.as_service_error().is_some_and(PutImageError::is_image_tag_already_exists_exception);
                let failure = failure("ecr:PutImage", format!("move tag `{tag}` of `{repository}`"), error);
                Err(match is_taken {
                    true => Failure {
                        hint: Some(format!(
                            "exclude `{tag}` from the repository's tag immutability, or leave it out of the input `tags`"
                        )),
                        ..failure
                    },
                    false => failure,
                })
            }
        }
    }

    async fn describe_image(
        &self,
        repository: &RepositoryName,
        id: ImageIdentifier,
        doing: String,
    ) -> Result<Option<Image>, Failure> {
        let answer = match self.client.describe_images().repository_name(repository.as_str()).image_ids(id).send().await
        {
            Ok(answer) => answer,
            Err(error) if error.as_service_error().is_some_and(DescribeImagesError::is_image_not_found_exception) => {
                return Ok(None);
            }
            Err(error) => return Err(failure("ecr:DescribeImages", doing, error)),
        };
        let Some(image) = answer.image_details().first() else { return Ok(None) };
        let digest = image.image_digest().unwrap_or_default().parse();
        Ok(Some(Image {
            digest: digest.map_err(|error| Failure::remote(error).context(doing))?,
            tags: image.image_tags().to_vec(),
            pushed_at: image.image_pushed_at().and_then(moment),
            size: image.image_size_in_bytes(),
        }))
    }
}

/// Every digest that an engine could know the image by.
fn digests(manifest: &Digest, text: &str) -> BTreeSet<Digest> {
    let json: Value = serde_json::from_str(text).unwrap_or_default();
    let platforms = json["manifests"].as_array().into_iter().flatten().map(|manifest| &manifest["digest"]);
    let inner = platforms.chain([&json["config"]["digest"]]).filter_map(|digest| digest.as_str()?.parse().ok());
    inner.chain([manifest.clone()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_may_know_an_image_by_any_of_its_digests() {
        let digest = |digit: &str| -> Digest { format!("sha256:{}", digit.repeat(64)).parse().unwrap() };
        let (manifest, config, other) = (digest("a"), digest("b"), digest("c"));
        let single = format!(r#"{{"config":{{"digest":"{config}"}},"layers":[{{"digest":"{other}"}}]}}"#);
        assert_eq!(digests(&manifest, &single), BTreeSet::from([manifest.clone(), config.clone()]));
        let index = format!(r#"{{"manifests":[{{"digest":"{config}"}},{{"digest":"{other}"}}]}}"#);
        assert_eq!(digests(&manifest, &index), BTreeSet::from([manifest.clone(), config, other]));
        assert_eq!(digests(&manifest, "not JSON"), BTreeSet::from([manifest]));
    }
}
