//! Elastic Container Registry: repositories, images and the token to push with.

mod layers;
mod manifest;
mod platforms;
mod repositories;
mod scans;
mod tags;

use aws_config::SdkConfig;
use aws_sdk_ecr::operation::describe_images::DescribeImagesError;
use aws_sdk_ecr::types::ImageIdentifier;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;

use super::moment;
use super::refusal::failure;
use crate::failure::Failure;
use crate::http::Http;
use crate::names::{Digest, RepositoryName, Secret, Tag};

pub use manifest::Manifest;
pub use platforms::{EcrImage, ImageVersion, Platform};
pub use repositories::{RegistryScanning, Repository, RepositorySettings};
pub use scans::{Scan, ScanStart, Signature};

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
