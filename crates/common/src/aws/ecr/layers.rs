//! What a repository has before something is pushed to it.

use aws_sdk_ecr::types::{DescribeImagesFilter, LayerAvailability, TagStatus};
use std::collections::BTreeSet;

use super::super::refusal::failure;
use super::Ecr;
use crate::failure::Failure;
use crate::names::{Digest, RepositoryName};

/// The most digests of a call (<https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_BatchCheckLayerAvailability.html>).
const PER_CALL: usize = 100;

/// The most images of a page, and how many pages are looked through for the newest image: ECR does not sort them.
const PAGE: i32 = 1000;
const PAGES: usize = 5;

impl Ecr {
    /// `ecr:BatchCheckLayerAvailability`: which of these blobs a repository has. One call for a hundred.
    pub async fn available_layers(
        &self,
        repository: &RepositoryName,
        digests: &BTreeSet<Digest>,
    ) -> Result<BTreeSet<Digest>, Failure> {
        let digests: Vec<String> = digests.iter().map(ToString::to_string).collect();
        let mut available = BTreeSet::new();
        for digests in digests.chunks(PER_CALL) {
            let request = self.client.batch_check_layer_availability().repository_name(repository.as_str());
            let answer = request.set_layer_digests(Some(digests.to_vec())).send().await.map_err(|error| {
                failure("ecr:BatchCheckLayerAvailability", format!("look which layers `{repository}` has"), error)
            })?;
            let there = answer
                .layers()
                .iter()
                .filter(|layer| layer.layer_availability() == Some(&LayerAvailability::Available));
            available.extend(there.filter_map(|layer| layer.layer_digest()?.parse().ok()));
        }
        Ok(available)
    }

    /// `ecr:DescribeImages`: the image that was pushed last, of those that have a tag. `None` if there is none.
    pub async fn newest_image(&self, repository: &RepositoryName) -> Result<Option<Digest>, Failure> {
        let filter = DescribeImagesFilter::builder().tag_status(TagStatus::Tagged).build();
        let request = self.client.describe_images().repository_name(repository.as_str()).filter(filter);
        let mut pages = request.into_paginator().page_size(PAGE).send();
        let (mut newest, mut seen) = (None, 0);
        while seen < PAGES
            && let Some(page) = pages.next().await
        {
            let page = page.map_err(|error| {
                failure("ecr:DescribeImages", format!("find the newest image of `{repository}`"), error)
            })?;
            let images = page.image_details().iter();
            let images = images.map(|image| (image.image_pushed_at().map(|at| at.as_nanos()), image.image_digest()));
            newest = images.map(|(at, digest)| (at, digest.map(str::to_owned))).chain(newest).max();
            seen += 1;
        }
        let digest = newest.and_then(|(_, digest)| digest);
        digest.map(|digest| digest.parse().map_err(Failure::remote)).transpose()
    }
}
