//! Resource Groups Tagging: resources of any service, found by their tags.

use std::collections::BTreeSet;

use aws_config::SdkConfig;
use aws_sdk_resourcegroupstagging::types::TagFilter;

use super::refusal::failure;
use crate::failure::Failure;

/// The Resource Groups Tagging API.
#[derive(Clone, Debug)]
pub struct Tagging(aws_sdk_resourcegroupstagging::Client);

impl Tagging {
    pub(super) fn new(config: &SdkConfig) -> Self {
        Self(aws_sdk_resourcegroupstagging::Client::new(config))
    }

    /// `tag:GetResources`: the ARNs of the region's resources of a type (`cloudwatch:alarm`) that have this tag. A resource that
    /// was deleted a short while ago may be among them.
    pub async fn get_resources(
        &self,
        resource_type: &str,
        key: &str,
        value: &str,
    ) -> Result<BTreeSet<String>, Failure> {
        let filter = TagFilter::builder().key(key).values(value).build();
        let request = self.0.get_resources().resource_type_filters(resource_type).tag_filters(filter);
        let mut pages = request.resources_per_page(100).into_paginator().send();
        let mut arns = BTreeSet::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| {
                failure("tag:GetResources", format!("look for resources with the tag `{key}={value}`"), error)
            })?;
            arns.extend(
                page.resource_tag_mapping_list().iter().filter_map(|found| found.resource_arn()).map(str::to_owned),
            );
        }
        Ok(arns)
    }
}
