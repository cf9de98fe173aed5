//! What is true out there before anything is watched: the services, their target groups and alarms, and which image carries the
//! commit's tag. Reads only.

use std::collections::{BTreeMap, BTreeSet};

use common::aws::{Aws, LoadBalancer, Service};
use common::failure::Failure;
use common::image::FoundImage;

use crate::alarms::Selector;
use crate::config::{Config, Target, Wanted};
use crate::metric::Preset;

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
    /// The names of the alarms that are there of those that were asked for.
    pub(crate) alarms: Vec<(Selector, BTreeSet<String>)>,
    /// The dimensions of its load balancer's metrics, where these are asked for: `app/<name>/<id>`, `targetgroup/<name>/<id>`.
    pub(crate) load_balancer: Option<(String, String)>,
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
            let load_balancer = match service.as_ref().and_then(|service| service.load_balancers.first()) {
                Some(balancer) if asks_its_load_balancer(target) => dimensions(balancer, aws).await?,
                _ => None,
            };
            let alarms = Selector::find(&target.alarms, aws).await?;
            services.insert(target.name.clone(), ServiceFacts { service, image, alarms, load_balancer });
        }
        Ok(Self { services })
    }
}

fn asks_its_load_balancer(target: &Target) -> bool {
    let of_balancer = [Preset::ResponseTime, Preset::ErrorRate, Preset::Errors];
    target.metrics.iter().any(|wish| of_balancer.iter().any(|preset| wish.wanted == Wanted::Preset(*preset)))
}

/// What a load balancer's metrics are told apart by
/// (<https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-cloudwatch-metrics.html>). Of two target
/// groups that take turns, the one that has healthy targets gets the requests.
async fn dimensions(balancer: &LoadBalancer, aws: &Aws) -> Result<Option<(String, String)>, Failure> {
    let mut group = &balancer.target_group;
    if let Some(alternate) = &balancer.alternate_target_group {
        let targets = aws.elb.describe_target_health(group).await?;
        if !targets.iter().any(|target| target.state == "healthy") {
            group = alternate;
        }
    }
    let described = aws.elb.describe_target_group(group).await?;
    let balancer = described.and_then(|group| group.load_balancers.into_iter().next());
    let after = |arn: &str, mark: &str| arn.split_once(mark).map(|(_, name)| name.to_owned());
    let group = after(group, ":targetgroup/").map(|name| format!("targetgroup/{name}"));
    Ok(balancer.and_then(|arn| after(&arn, ":loadbalancer/")).zip(group))
}
