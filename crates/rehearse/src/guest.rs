//! The user's own repository, rehearsed with its own delivery.toml: a release, the same again, a version that crashes.

use std::path::Path;

use anyhow::{Context, Result, anyhow, ensure};
use common::delivery::Delivery;
use common::names::{EnvironmentName, ServiceKey};
use serde_json::json;
use world::{CircuitBreaker, ServiceSeed, World};

use crate::pipeline::Workflow;
use crate::repository::Repository;
use crate::scenes::Scene;
use crate::stage::Stage;

/// The scenes for the repository at `path`, on a cluster that is made as its delivery.toml describes it.
pub(crate) fn scenes(stage: &Stage, path: &Path, environment: Option<&str>) -> Result<Vec<Scene>> {
    let repository = Repository::clone_of(path, stage.folder("repository"))?;
    let text = repository.read("delivery.toml").context("a rehearsal plays what delivery.toml says")?;
    let delivery = Delivery::read(&text, "delivery.toml").map_err(|failure| anyhow!("{failure}"))?;
    let name: EnvironmentName = match environment {
        Some(name) => name.parse()?,
        None => delivery.environments.keys().next().context("delivery.toml has no environment")?.clone(),
    };
    let cluster = delivery.environment(&name).map_err(|failure| anyhow!("{failure}"))?.cluster.to_string();
    furnish(&stage.world, &delivery, &cluster);
    let has_migration = delivery.services.values().any(|service| service.migration.is_some());
    let migrated = if has_migration { "applied" } else { "skipped" };
    let crashing = first_with_dockerfile(&delivery)?;
    let url = |key: &ServiceKey, service: &str| (key.to_string(), format!("{}/_service/{cluster}/{service}/health", stage.runner.url));
    let urls = delivery.services.iter().map(|(key, service)| url(key, service.service_name(key).as_str())).collect::<Vec<_>>();
    let gates = vec![("health-gate", "healthy"); urls.len()];
    let workflow = Workflow { environment: Some(name.to_string()), urls };
    let _ = (has_migration, gates, crashing, workflow, migrated);
    ensure!(false, "not written yet");
    Ok(Vec::new())
}

fn furnish(world: &World, delivery: &Delivery, cluster: &str) {
    world.create_cluster(cluster);
    for (key, service) in &delivery.services {
        world.create_service(ServiceSeed {
            cluster: cluster.to_owned(),
            name: service.service_name(key).to_string(),
            task_definition: json!({}),
            circuit_breaker: Some(CircuitBreaker { rollback: true }),
            ..ServiceSeed::default()
        });
    }
}

fn first_with_dockerfile(_delivery: &Delivery) -> Result<(String, String)> {
    Err(anyhow!("not written yet"))
}
