//! The user's own repository, rehearsed with its own delivery.toml: a release, the same again, a version that crashes.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use common::delivery::{Delivery, interpolate};
use common::names::{EnvironmentName, ServiceKey};
use common::preflight::{SecretSource, secrets_of};
use serde_json::{Value, json};
use world::{CircuitBreaker, ServiceSeed, World};

use crate::pipeline::Workflow;
use crate::repository::Repository;
use crate::scenes::{Deployed, Scene, does_not_run, runs};
use crate::theatre::Theatre;

/// A repository with what its delivery.toml says.
struct Guest {
    repository: Repository,
    delivery: Delivery,
    environment: EnvironmentName,
    cluster: String,
    /// The world's account, and that of the environment, whose role is assumed where it has one.
    accounts: String,
}

/// The scenes for the repository at `path`, on a cluster that is made as its delivery.toml describes it.
pub(crate) fn scenes(theatre: &Theatre, path: &Path, environment: Option<&str>) -> Result<Vec<Scene>> {
    let guest = Guest::invite(theatre, path, environment)?;
    guest.furnish(&theatre.world)?;
    let all: Vec<&ServiceKey> = guest.delivery.services.keys().collect();
    let crashing = all.first().copied().context("delivery.toml has no service")?;
    let dockerfile = guest.dockerfile(crashing)?;
    let (everything, one) = (guest.deployed(&all), guest.deployed(&[crashing]));
    let (cluster, again, crashed) = (guest.cluster.clone(), guest.cluster.clone(), guest.cluster.clone());
    let repeated = everything.clone();
    Ok(vec![
        Scene {
            change: Box::new(|_| Ok(Some("Rehearse a release"))),
            said: guest.said(&all, ["affected", "pushed", "applied", "deployed", "healthy"]),
            is_true: Box::new(move |world, push| runs(world, &cluster, &everything, &push.commit)),
            ..guest.scene(
                "A release of everything",
                "All services of delivery.toml go to a cluster that runs placeholders.",
                "all services run this commit",
            )
        },
        Scene {
            change: Box::new(|_| Ok(None)),
            said: guest.said(&all, ["affected", "unchanged", "applied", "unchanged", "healthy"]),
            is_true: Box::new(move |world, push| runs(world, &again, &repeated, &push.commit)),
            ..guest.scene(
                "The same commit again",
                "Someone clicks *Re-run all jobs*. Nothing is pushed, migrated or deployed twice.",
                "all services run what they ran",
            )
        },
        Scene {
            change: Box::new(move |repository| {
                repository.append(
                    &dockerfile,
                    "LABEL world.serves=\"exits 1 after 300 ms: a crash that the rehearsal made\"",
                )?;
                Ok(Some("Rehearse a crash"))
            }),
            said: guest.said(&[crashing], ["affected", "pushed", "applied", "rolled-back"]),
            is_true: Box::new(move |world, push| does_not_run(world, &crashed, &one, &push.commit)),
            ..guest.scene(
                "A version that crashes",
                "The first service dies right after its start. ECS goes back to what ran before, and the run says so.",
                "it runs the version before, on all of its tasks",
            )
        },
    ])
}

impl Guest {
    fn invite(theatre: &Theatre, path: &Path, environment: Option<&str>) -> Result<Self> {
        let repository = Repository::clone_of(path, theatre.folder("repository"))?;
        let text = repository.read("delivery.toml").context("a rehearsal plays what delivery.toml says")?;
        let delivery = Delivery::read(&text, "delivery.toml").map_err(|failure| anyhow!("{failure}"))?;
        let environment: EnvironmentName = match environment {
            Some(name) => name.parse()?,
            None => delivery.environments.keys().next().context("delivery.toml has no environment")?.clone(),
        };
        let settings = delivery.environment(&environment).map_err(|failure| anyhow!("{failure}"))?;
        let cluster = settings.cluster.to_string();
        let own = settings.account.as_ref().map(|account| format!(",{account}")).unwrap_or_default();
        let accounts = format!("111122223333{own}");
        Ok(Self { repository, environment, cluster, accounts, delivery })
    }

    fn scene(&self, title: &'static str, told: &'static str, truth: &'static str) -> Scene {
        let address = |service: &str| format!("@world@/_service/{}/{service}/health", self.cluster);
        let services = self.delivery.services.iter();
        let urls = services.map(|(key, service)| (key.to_string(), address(service.ecs_service(key).as_str())));
        Scene {
            title,
            told,
            change: Box::new(|_| Ok(None)),
            said: Vec::new(),
            truth,
            is_true: Box::new(|_, _| Ok(())),
            repository: self.repository.clone(),
            workflow: Workflow {
                environment: Some(self.environment.to_string()),
                urls: urls.collect(),
                accounts: self.accounts.clone(),
            },
        }
    }

    /// What the steps have to say of these services: `health-gate` speaks once for each, a migration only where there is one.
    fn said<const N: usize>(
        &self,
        services: &[&ServiceKey],
        words: [&'static str; N],
    ) -> Vec<(&'static str, &'static str)> {
        let has_migration =
            |key: &&ServiceKey| self.delivery.services.get(*key).is_some_and(|service| service.migration.is_some());
        let mut said: Vec<(&str, &str)> = crate::binaries::ACTIONS.into_iter().zip(words).collect();
        if let Some(migration) = said.iter_mut().find(|(action, _)| *action == "run-migration")
            && !services.iter().any(has_migration)
        {
            migration.1 = "skipped";
        }
        if let Some(gate) = said.iter().position(|(action, _)| *action == "health-gate") {
            let word = said.remove(gate);
            said.extend(vec![word; services.len()]);
        }
        said
    }

    fn deployed(&self, keys: &[&ServiceKey]) -> Vec<Deployed> {
        let declared = |key: &&ServiceKey| Some((self.delivery.services.get(*key)?, (*key).clone()));
        let services = keys.iter().filter_map(declared);
        let deployed = services.map(|(service, key)| Deployed {
            service: service.ecs_service(&key).to_string(),
            repository: service.repository.to_string(),
        });
        deployed.collect()
    }

    fn dockerfile(&self, key: &ServiceKey) -> Result<String> {
        let service = self.delivery.services.get(key).with_context(|| format!("there is no service `{key}`"))?;
        match (&service.dockerfile, &service.path) {
            (Some(dockerfile), _) => Ok(dockerfile.to_string()),
            (None, Some(path)) => Ok(format!("{path}/Dockerfile")),
            (None, None) => {
                Err(anyhow!("service `{key}` says neither `dockerfile` nor `path`: the rehearsal cannot make it crash"))
            }
        }
    }

    /// The ground that the repository deploys onto: cluster, services, repositories, and what task definitions refer to.
    fn furnish(&self, world: &World) -> Result<()> {
        world.create_cluster(&self.cluster);
        for (key, service) in &self.delivery.services {
            world.create_repository(service.repository.as_str());
            let definition = self.definition(key)?;
            refer(world, &definition);
            let port = port(&definition, service.container.as_str());
            world.create_service(ServiceSeed {
                cluster: self.cluster.clone(),
                name: service.ecs_service(key).to_string(),
                task_definition: placeholder(service.container.as_str(), key.as_str(), port),
                desired_count: 2,
                circuit_breaker: Some(CircuitBreaker { rollback: true }),
                ..ServiceSeed::default()
            });
        }
        Ok(())
    }

    /// A service's task definition file, as far as its variables are known; `Null` if it has none.
    fn definition(&self, key: &ServiceKey) -> Result<Value> {
        let Some(file) = self.delivery.services.get(key).and_then(|service| service.task_definition.as_ref()) else {
            return Ok(Value::Null);
        };
        let mut variables =
            BTreeMap::from([("SERVICE", key.to_string()), ("ENVIRONMENT", self.environment.to_string())]);
        if let Some(environment) = self.delivery.environments.get(&self.environment) {
            variables.extend(environment.variables.iter().map(|(name, value)| (name.as_str(), value.clone())));
        }
        // The others are in no name that matters here, and what they stand for is not known yet.
        let lookup = |name: &str| Some(variables.get(name).cloned().unwrap_or_default());
        let text = interpolate(&self.repository.read(file.as_str())?, lookup)?;
        serde_json::from_str(&text).with_context(|| format!("{file} is not JSON"))
    }
}

/// Makes what a task definition refers to: parameters and secrets, roles, log groups.
fn refer(world: &World, definition: &Value) {
    const MADE: &str = "a value that the rehearsal made";
    for secret in secrets_of(definition) {
        match secret.source {
            SecretSource::Parameter(name) => {
                world.put_parameter(name.rsplit_once(":parameter").map_or(name.as_str(), |(_, name)| name), MADE);
            }
            SecretSource::Secret { id, key, .. } => {
                let name = id.rsplit(':').next().unwrap_or(&id);
                let value = key.map_or_else(|| MADE.to_owned(), |key| json!({ key: MADE }).to_string());
                world.put_secret(name, &value);
            }
            SecretSource::Unknown => {}
        }
    }
    for role in ["executionRoleArn", "taskRoleArn"] {
        if let Some((_, name)) = definition[role].as_str().and_then(|arn| arn.split_once(":role/")) {
            world.create_role(name);
        }
    }
    for container in containers(definition) {
        if let Some(group) = container["logConfiguration"]["options"]["awslogs-group"].as_str() {
            world.create_log_group(group);
        }
    }
}

fn containers(definition: &Value) -> impl Iterator<Item = &Value> {
    definition["containerDefinitions"].as_array().into_iter().flatten()
}

/// The first port of a container.
fn port(definition: &Value, container: &str) -> u64 {
    let found = containers(definition).find(|one| one["name"] == container);
    found.and_then(|found| found["portMappings"][0]["containerPort"].as_u64()).unwrap_or(80)
}

/// What a service runs before its first release.
pub(crate) fn placeholder(container: &str, family: &str, port: u64) -> Value {
    json!({
        "family": family,
        "requiresCompatibilities": ["FARGATE"],
        "networkMode": "awsvpc",
        "cpu": "256",
        "memory": "512",
        "executionRoleArn": "arn:aws:iam::111122223333:role/execution",
        "containerDefinitions": [{
            "name": container,
            "image": "public.ecr.aws/nginx/nginx:stable",
            "portMappings": [{ "containerPort": port }],
        }],
    })
}
