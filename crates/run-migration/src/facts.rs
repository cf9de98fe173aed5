//! What is true out there before anything is done: what the service runs and where, which image carries the commit's tag, and
//! which migrations ran or run. Reads only.

use std::collections::BTreeMap;

use common::aws::{Aws, Service, Task};
use common::failure::Failure;
use common::image::FoundImage;
use common::names::ServiceKey;
use common::task_definition::Source;
use serde_json::Value;

use crate::config::{Config, Target};
use crate::plan::family;

/// What is true out there.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) services: BTreeMap<ServiceKey, ServiceFacts>,
}

/// What is true of one service.
#[derive(Debug)]
pub(crate) struct ServiceFacts {
    /// The service; `None` if there is no active one of this name.
    pub(crate) service: Option<Service>,
    /// The task definition that it runs.
    pub(crate) running: Option<Value>,
    /// The task definition that was asked for by name.
    pub(crate) existing: Option<Value>,
    /// The image behind the commit's tag.
    pub(crate) image: FoundImage,
    /// The newest revision of the migration's family.
    pub(crate) latest: Option<Value>,
    /// The family's tasks, those that ended within the last hour included.
    pub(crate) tasks: Vec<Task>,
}

impl Facts {
    pub(crate) async fn read(config: &Config, aws: &Aws) -> Result<Self, Failure> {
        let names: Vec<_> = config.targets.iter().map(|target| &target.service).collect();
        let found = aws.ecs.describe_services(&config.cluster, &names).await?;
        let mut services = BTreeMap::new();
        for target in &config.targets {
            let service = found.iter().find(|service| service.name == target.service.as_str()).cloned();
            let service = service.filter(|service| service.status == "ACTIVE");
            services.insert(target.key.clone(), ServiceFacts::read(config, target, service, aws).await?);
        }
        Ok(Self { services })
    }
}

impl ServiceFacts {
    async fn read(config: &Config, target: &Target, service: Option<Service>, aws: &Aws) -> Result<Self, Failure> {
        let running = match &service {
            Some(service) => Some(aws.ecs.describe_task_definition(&service.task_definition).await?),
            None => None,
        };
        let existing = match &target.source {
            Source::Existing(revision) => Some(aws.ecs.describe_task_definition(revision.as_str()).await?),
            Source::File(_) | Source::Running => None,
        };
        let image = target.image.find(&aws.ecr).await?;
        let (mut latest, mut tasks) = (None, Vec::new());
        if let Some(running) = &running {
            let family = family(target, running, existing.as_ref());
            tasks = aws.ecs.tasks_of_family(&config.cluster, &family).await?;
            latest = aws.ecs.latest_task_definition(&family).await?;
        }
        Ok(Self { service, running, existing, image, latest, tasks })
    }
}
