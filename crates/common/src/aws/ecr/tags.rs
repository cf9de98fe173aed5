//! Many tags at once, and one more tag for an image that is there.

use std::collections::BTreeMap;

use aws_sdk_ecr::operation::batch_get_image::BatchGetImageError;
use aws_sdk_ecr::operation::describe_images::DescribeImagesError;
use aws_sdk_ecr::types::{ImageFailureCode, ImageIdentifier};

use super::super::refusal::failure;
use super::{Ecr, EcrImage, MANIFESTS};
use crate::failure::Failure;
use crate::names::{Digest, RepositoryName, Tag};

/// The most images of a call (<https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_BatchGetImage.html>).
const PER_CALL: usize = 100;

impl Ecr {
    /// `ecr:BatchGetImage`: which of these tags a repository has, and the digests that they are at. A repository that is not
    /// there has none.
    ///
    /// One call for a hundred tags. `ecr:DescribeImages` refuses all of them for one that is missing, and does not say which.
    pub async fn digests_by_tag(
        &self,
        repository: &RepositoryName,
        tags: &[Tag],
    ) -> Result<BTreeMap<Tag, Digest>, Failure> {
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
                    return Ok(found);
                }
                Err(error) => return Err(failure(call, doing(), error)),
            };
            let is_missing = |code: Option<&ImageFailureCode>| code == Some(&ImageFailureCode::ImageNotFound);
            if let Some(failed) = answer.failures().iter().find(|failed| !is_missing(failed.failure_code())) {
                let reason = failed.failure_reason().unwrap_or("no reason given");
                return Err(Failure::remote(reason).context(call).context(doing()));
            }
            for id in answer.images().iter().filter_map(|image| image.image_id()) {
                let broken = |error: crate::names::InvalidName| Failure::remote(error).context(call).context(doing());
                let tag = id.image_tag().unwrap_or_default().parse().map_err(broken)?;
                found.insert(tag, id.image_digest().unwrap_or_default().parse().map_err(broken)?);
            }
        }
        Ok(found)
    }

    /// `ecr:BatchGetImage` and `ecr:PutImage`: gives an image that is there one more tag, by the same bytes of its manifest. A
    /// tag that it has already is no failure; one that another image has stays where it is, and is one.
    pub async fn retag(&self, repository: &RepositoryName, digest: &Digest, tag: &Tag) -> Result<(), Failure> {
        match self.digests_by_tag(repository, std::slice::from_ref(tag)).await?.get(tag) {
            Some(tagged) if tagged == digest => return Ok(()),
            Some(tagged) => return Err(taken(repository, digest, tag, tagged)),
            None => {}
        }
        let manifest = self.manifest(repository, digest).await?;
        let Err(refused) = self.put_tag(repository, &manifest, tag).await else { return Ok(()) };
        // Somebody else may have been faster: another run for the same commit.
        match self.digests_by_tag(repository, std::slice::from_ref(tag)).await?.get(tag) {
            Some(tagged) if tagged == digest => Ok(()),
            Some(tagged) => Err(taken(repository, digest, tag, tagged)),
            None => Err(refused),
        }
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

fn taken(repository: &RepositoryName, digest: &Digest, tag: &Tag, tagged: &Digest) -> Failure {
    Failure::refused(format!(
        "tag `{tag}` of `{repository}` is at another image, {}, and belongs to {}",
        tagged.short(),
        digest.short()
    ))
    .hint("an image of this commit was pushed from other contents: delete that tag, then run again")
}
