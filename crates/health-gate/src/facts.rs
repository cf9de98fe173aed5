//! What is true out there before anything is watched: the services, their target groups, and which image carries the commit's
//! tag. Reads only.

use std::collections::BTreeMap;

use common::aws::{Aws, Service};
use common::failure::Failure;
use common::image::FoundImage;

use crate::config::Config;

/// What is true out there.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// By the name of the target.
    pub(crate) services: BTreeMap<String, ServiceFacts>,
}

/// What is true of one service.
#[derive(Debug)]
pub(crate) struct ServiceFacts {
    /// The service; `None` if there is no active one of this name.
    pub(crate) service: Option<Service>,
    /// The image behind the commit's tag.
    pub(crate) image: FoundImage,
}

impl Facts {
    pub(crate) async fn read(config: &Config, aws: Option<&Aws>) -> Result<Self, Failure> {
        let (Some(cluster), Some(aws)) = (&config.cluster, aws) else { return Ok(Self::default()) };
        let names: Vec<_> = config.targets.iter().filter_map(|target| target.service.as_ref()).collect();
        let found = aws.ecs.describe_services(cluster, &names).await?;
        let mut services = BTreeMap::new();
        for target in &config.targets {
            let is_it = |service: &&Service| {
                service.status == "ACTIVE" && target.service.as_ref().is_some_and(|name| name.as_str() == service.name)
            };
            let service = found.iter().find(is_it).cloned();
            let image = target.image.find(&aws.ecr).await?;
            services.insert(target.name.clone(), ServiceFacts { service, image });
        }
        Ok(Self { services })
    }
}
