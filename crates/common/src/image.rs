//! Which image a task definition gets. The registry is the hand-over between jobs: an image is tagged with the full commit
//! in a repository whose tags cannot be moved, and every later job resolves that tag to the digest.

use crate::aws::{Ecr, Image};
use crate::failure::Failure;
use crate::names::{CommitSha, Digest, RepositoryName};

/// Which image a task definition gets.
#[derive(Clone, Debug)]
pub enum ImageSource {
    /// The one that carries the commit's tag.
    Commit {
        /// Where it is looked for.
        repository: RepositoryName,
        /// The tag.
        commit: CommitSha,
    },
    /// This one of a repository, whatever its tags.
    Digest {
        /// Where it is looked for.
        repository: RepositoryName,
        /// The digest of its manifest.
        digest: Digest,
    },
    /// This one, by digest.
    Given(String),
    /// The one that the task definition names already.
    AsWritten,
}

/// What the registry has behind the commit's tag.
#[derive(Clone, Debug)]
pub enum FoundImage {
    /// Nobody asked for one.
    NotAsked,
    /// There is no such repository.
    NoRepository,
    /// The repository has no image with this tag.
    NoImage,
    /// The repository's address and the image.
    Found {
        /// `<registry>/<repository>`.
        uri: String,
        /// The image.
        image: Image,
    },
}

impl ImageSource {
    /// An image that the caller named, which has to be pinned by digest.
    pub fn given(image: String) -> Result<Self, Failure> {
        match image.split_once('@') {
            Some((_, digest)) if digest.parse::<Digest>().is_ok() => Ok(Self::Given(image)),
            _ => Err(Failure::input(format!("input `image`: `{image}` is not pinned by digest"))
                .hint("pass ecr-push's outputs as `<registry>/<repository>@<digest>`")),
        }
    }

    /// Looks behind the commit's tag.
    pub async fn find(&self, ecr: &Ecr) -> Result<FoundImage, Failure> {
        let (Self::Commit { repository, .. } | Self::Digest { repository, .. }) = self else {
            return Ok(FoundImage::NotAsked);
        };
        let Some(found) = ecr.repository(repository).await? else { return Ok(FoundImage::NoRepository) };
        let uri = found.uri;
        let found = match self {
            Self::Commit { commit, .. } => {
                let tag = commit.as_str().parse().map_err(Failure::bug)?;
                ecr.image_by_tag(repository, &tag).await?
            }
            Self::Digest { digest, .. } => ecr.image_by_digest(repository, digest).await?,
            Self::Given(_) | Self::AsWritten => None,
        };
        Ok(match found {
            Some(image) => FoundImage::Found { uri, image },
            None => FoundImage::NoImage,
        })
    }

    /// The image by digest; `None` if the task definition's own is to stay.
    pub fn reference(&self, found: &FoundImage) -> Result<Option<String>, Failure> {
        match (self, found) {
            (Self::Given(image), _) => Ok(Some(image.clone())),
            (Self::AsWritten, _) => Ok(None),
            (Self::Commit { .. } | Self::Digest { .. }, FoundImage::Found { uri, image }) => {
                Ok(Some(format!("{uri}@{}", image.digest)))
            }
            (Self::Commit { repository, .. } | Self::Digest { repository, .. }, FoundImage::NoRepository) => {
                Err(Failure::input(format!("there is no repository `{repository}`"))
                    .hint("check `repository` and the region"))
            }
            (Self::Commit { repository, commit }, FoundImage::NoImage | FoundImage::NotAsked) => {
                Err(Failure::input(format!("repository `{repository}` has no image for commit {}", commit.short()))
                    .hint("run ecr-push for this commit first; it tags the image with the full commit"))
            }
            (Self::Digest { repository, digest }, FoundImage::NoImage | FoundImage::NotAsked) => {
                Err(Failure::input(format!("repository `{repository}` has no image {}", digest.short()))
                    .hint("replicate the repository to this account and region, or push the image there"))
            }
        }
    }
}
