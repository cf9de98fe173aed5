//! Images by their tags, many at once, and one more tag for an image that is there.

use std::collections::BTreeMap;

use aws_sdk_ecr::operation::batch_get_image::BatchGetImageError;
use aws_sdk_ecr::operation::describe_images::DescribeImagesError;
use aws_sdk_ecr::operation::put_image::PutImageError;
use aws_sdk_ecr::types::{ImageFailureCode, ImageIdentifier};

use super::super::refusal::failure;
use super::{Ecr, EcrImage, MANIFESTS, Manifest};
use crate::failure::Failure;
use crate::names::{Digest, RepositoryName, Tag};

/// The most images of a call (<https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_BatchGetImage.html>).
const PER_CALL: usize = 100;

impl Ecr {
    /// `ecr:BatchGetImage`: the images that have these tags. `None` if there is no such repository.
    ///
    /// One call for a hundred tags. `ecr:DescribeImages` refuses all of them for one that is missing, and does not say which.
    pub async fn manifests_by_tag(
        &self,
        repository: &RepositoryName,
        tags: &[Tag],
    ) -> Result<Option<BTreeMap<Tag, Manifest>>, Failure> {
        let call = "ecr:BatchGetImage";
        let doing = || format!("look which tags `{repository}` has");
        let mut found = BTreeMap::new();
        for tags in tags.chunks(PER_CALL) {
            let ids = tags.iter().map(|tag| ImageIdentifier::builder().image_tag(tag.as_str()).build()).collect();
            let request = self.client.batch_get_image().repository_name(repository.as_str()).set_image_ids(Some(ids));
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
            let is_missing = |code: Option<&ImageFailureCode>| code == Some(&ImageFailureCode::ImageNotFound);
            if let Some(failed) = answer.failures().iter().find(|failed| !is_missing(failed.failure_code())) {
                let reason = failed.failure_reason().unwrap_or("no reason given");
                return Err(Failure::remote(reason).context(call).context(doing()));
            }
            for image in answer.images() {
                let broken = |error: crate::names::InvalidName| Failure::remote(error).context(call).context(doing());
                let id = image.image_id();
                // What is answered for one tag is at that tag, whichever of an image's tags the answer names.
                let tag = match tags {
                    [only] => only.clone(),
                    _ => id.and_then(|id| id.image_tag()).unwrap_or_default().parse().map_err(broken)?,
                };
                let digest = id.and_then(|id| id.image_digest()).unwrap_or_default().parse().map_err(broken)?;
                let text = image.image_manifest().unwrap_or_default();
                found.insert(tag, Manifest::new(digest, text, image.image_manifest_media_type()));
            }
        }
        Ok(Some(found))
    }

    /// `ecr:BatchGetImage`: which of these tags a repository has, and the digests that they are at. A repository that is not
    /// there has none.
    pub async fn digests_by_tag(
        &self,
        repository: &RepositoryName,
        tags: &[Tag],
    ) -> Result<BTreeMap<Tag, Digest>, Failure> {
        let found = self.manifests_by_tag(repository, tags).await?.unwrap_or_default();
        Ok(found.into_iter().map(|(tag, manifest)| (tag, manifest.digest)).collect())
    }

    /// `ecr:BatchGetImage`, for the manifest with this digest.
    pub async fn manifest(&self, repository: &RepositoryName, digest: &Digest) -> Result<Manifest, Failure> {
        let call = "ecr:BatchGetImage";
        let doing = || format!("read the manifest of `{repository}@{}`", digest.short());
        let id = ImageIdentifier::builder().image_digest(digest.as_str()).build();
        let request = self.client.batch_get_image().repository_name(repository.as_str()).image_ids(id);
        let request = request.set_accepted_media_types(Some(MANIFESTS.map(str::to_owned).to_vec()));
        let answer = request.send().await.map_err(|error| failure(call, doing(), error))?;
        match answer
            .images()
            .first()
            .and_then(|image| Some((image.image_manifest()?, image.image_manifest_media_type())))
        {
            Some((text, media_type)) => Ok(Manifest::new(digest.clone(), text, media_type)),
            None => {
                let failed = answer.failures().first().and_then(|failure| failure.failure_reason());
                Err(Failure::remote(failed.unwrap_or("no reason given")).context(call).context(doing()))
            }
        }
    }

    /// `ecr:PutImage`: gives an image that is there one more tag, by the same bytes of its manifest, and takes it from any
    /// other. A tag that it has already is no failure.
    pub async fn move_tag(&self, repository: &RepositoryName, manifest: &Manifest, tag: &Tag) -> Result<(), Failure> {
        let request = self.client.put_image().repository_name(repository.as_str()).image_tag(tag.as_str());
        let request = request.image_manifest(&manifest.text).set_image_manifest_media_type(manifest.media_type.clone());
        let Err(error) = request.send().await else { return Ok(()) };
        let is = |test: fn(&PutImageError) -> bool| error.as_service_error().is_some_and(test);
        if is(PutImageError::is_image_already_exists_exception) {
            return Ok(());
        }
        let is_taken = is(PutImageError::is_image_tag_already_exists_exception);
        let failure = failure("ecr:PutImage", format!("move tag `{tag}` of `{repository}`"), error);
        match is_taken {
            true => Err(Failure {
                hint: Some(format!(
                    "add `{tag}` to `moving-tags` in [repositories], which excludes it from the repository's tag immutability, or leave it out of the input `tags`"
                )),
                ..failure
            }),
            false => Err(failure),
        }
    }

    /// `ecr:BatchGetImage` and `ecr:PutImage`: gives an image a tag that stays where it is, by the same bytes of its manifest.
    /// Answers the image that has it in the end: the first one keeps it, also among two at once.
    pub async fn claim_tag(&self, repository: &RepositoryName, digest: &Digest, tag: &Tag) -> Result<Digest, Failure> {
        let one = std::slice::from_ref(tag);
        if let Some(first) = self.digests_by_tag(repository, one).await?.remove(tag) {
            return Ok(first);
        }
        let manifest = self.manifest(repository, digest).await?;
        let Err(refused) = self.move_tag(repository, &manifest, tag).await else { return Ok(manifest.digest) };
        // Somebody else may have been faster.
        self.digests_by_tag(repository, one).await?.remove(tag).ok_or(refused)
    }

    /// [`claim_tag`](Self::claim_tag) for a commit's tag, which no other image may have.
    pub async fn retag(&self, repository: &RepositoryName, digest: &Digest, tag: &Tag) -> Result<(), Failure> {
        let tagged = self.claim_tag(repository, digest, tag).await?;
        if tagged == *digest {
            return Ok(());
        }
        Err(Failure::refused(format!(
            "tag `{tag}` of `{repository}` is at another image, {}, and belongs to {}",
            tagged.short(),
            digest.short()
        ))
        .hint("an image of this commit was pushed from other contents: delete that tag, then run again"))
    }

    /// `ecr:DescribeImages`: all tags of an image. `None` if there is no such image.
    pub async fn tags(&self, image: &EcrImage) -> Result<Option<Vec<String>>, Failure> {
        let request = self.client.describe_images().repository_name(image.repository.as_str());
        let request = request.registry_id(image.registry.as_str()).image_ids(image.id());
        match request.send().await {
            Ok(answer) => Ok(answer.image_details().first().map(|found| found.image_tags().to_vec())),
            Err(error)
                if error.as_service_error().is_some_and(|error| {
                    DescribeImagesError::is_image_not_found_exception(error)
                        || DescribeImagesError::is_repository_not_found_exception(error)
                }) =>
            {
                Ok(None)
            }
            Err(error) => Err(failure("ecr:DescribeImages", format!("look up image `{image}`"), error)),
        }
    }
}
