//! Where steps come from that were built before. What goes wrong here is told, and fails no build.
//!
//! The engine's own cache is that of its machine: on a fresh runner there is nothing in it. What it can read from a registry
//! without a builder of ours is what images say of themselves (`inline`): so each service's image of the base is its cache.
//! <https://docs.docker.com/build/cache/backends/inline/>

use std::collections::BTreeMap;

use common::docker;
use common::edges::Edges;
use common::failure::Failure;

use crate::config::Config;
use crate::history::Base;
use crate::inputs::Cache;
use crate::plan::Plan;

/// What stands for the service's repository in the cache's images.
pub(super) const REPOSITORY: &str = "{repository}";

/// The cache of all builds; the images of a registry's have [`REPOSITORY`] in their names.
pub(crate) async fn cache(config: &Config, plan: &Plan, edges: &Edges) -> docker::Cache {
    let environment = edges.runner.environment();
    let has_credentials = config.place.role.is_some() || environment.get("AWS_ACCESS_KEY_ID").is_some();
    let is_asked = match config.cache {
        Cache::None => return docker::Cache::None,
        Cache::Registry => true,
        Cache::Auto => has_credentials && host(config).is_some(),
    };
    if !is_asked {
        return docker::Cache::Engine;
    }
    match registry(config, plan, edges).await {
        Ok(cache) => cache,
        Err(failure) => {
            edges.runner.say(format!("cache: the engine's own alone: {:#}", failure.error));
            docker::Cache::Engine
        }
    }
}

async fn registry(config: &Config, plan: &Plan, edges: &Edges) -> Result<docker::Cache, Failure> {
    let host = host(config)
        .ok_or_else(|| Failure::input("the environment's account and region are not known: the registry is theirs"))?;
    let Base::Known { commit, .. } = &plan.base else {
        return Err(Failure::input("there is no base whose images could be read"));
    };
    let aws = edges.aws(&config.place).await?;
    let login = aws.ecr.get_authorization_token().await?;
    let images = vec![format!("{host}/{REPOSITORY}:{commit}")];
    Ok(docker::Cache::Registry { images, logins: BTreeMap::from([(host, login)]) })
}

/// <https://docs.aws.amazon.com/AmazonECR/latest/userguide/Registries.html#registry_concepts>
fn host(config: &Config) -> Option<String> {
    let [account] = config.place.allowed_accounts.as_slice() else { return None };
    let region = config.place.region.as_ref()?;
    let china = if region.as_str().starts_with("cn-") { ".cn" } else { "" };
    Some(format!("{account}.dkr.ecr.{region}.amazonaws.com{china}"))
}
