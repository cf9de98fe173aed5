//! `post-entrypoint`: after the job, in a fresh container. Whatever a run that was killed left behind is brought to an end:
//! the true state is told, ledger and GitHub get it, the lock is released.

use common::aws::{Aws, Service};
use common::edges::Edges;
use common::failure::Failure;
use common::github::{DeploymentState, DeploymentStatus, GitHub, Refused, environment_of};
use common::inputs;
use common::ledger::{DEPLOYING, Entry, Ledger, Placed};
use common::lock::Lock;

use crate::config::Config;
use crate::inputs::Inputs;
use crate::state::{self, Left};
use crate::words::short;

/// Tidies up. A run that came to its own end leaves nothing to do.
pub async fn post(edges: &Edges) -> Result<(), Failure> {
    let left = state::left(edges)?;
    if left.lock.is_none() && (left.has_ended || (left.release.is_none() && left.announced.is_empty())) {
        return Ok(());
    }
    let config = Config::read(inputs::parse::<Inputs>(edges.runner.environment())?, edges)?;
    let aws = edges.aws(&config.place).await?;
    // The lock goes last: until then nobody else writes what is written here.
    let told = if left.has_ended { Ok(()) } else { tell(&config, &left, &aws, edges).await };
    if let Some(claim) = &left.lock {
        Lock::release_left_behind(&aws.ssm, claim).await?;
    }
    told
}

/// Tells everybody how things stand.
async fn tell(config: &Config, left: &Left, aws: &Aws, edges: &Edges) -> Result<(), Failure> {
    let names: Vec<_> = config.targets().map(|target| &target.service).collect();
    let services = aws.ecs.describe_services(&config.cluster, &names).await?;
    edges.runner.say("the run was cut off; this is how things stand:");
    services.iter().for_each(|service| edges.runner.say(format!("{}: {}", service.name, stands(service))));
    let ledger = write_down(config, left, &services, aws, edges).await;
    let github = match edges.github(&config.github_token) {
        Some(github) => close(config, left, &services, &github, edges).await.map_err(Failure::from),
        None => Ok(()),
    };
    ledger.and(github)
}

/// Closes what GitHub shows as going on.
async fn close(
    config: &Config,
    left: &Left,
    services: &[Service],
    github: &GitHub,
    edges: &Edges,
) -> Result<(), Refused> {
    let Some(environment) = &config.environment else { return Ok(()) };
    for announced in &left.announced {
        let id = match announced.id {
            Some(id) => Some(id),
            // The run was cut off before it heard of it.
            None => {
                let known = github.deployments(&environment_of(environment, &announced.service)).await?;
                known.into_iter().find(|known| known.payload == state::mark(edges)).map(|known| known.id)
            }
        };
        let Some(id) = id else { continue };
        let target = config.targets().find(|target| target.key == announced.service);
        let service = target.and_then(|target| services.iter().find(|service| service.name == target.service.as_str()));
        let status = DeploymentStatus {
            state: DeploymentState::Error,
            description: &format!("the run was cut off: {}", service.map_or_else(|| "?".to_owned(), stands)),
            log_url: config.run_url.as_deref(),
            environment_url: announced.url.as_deref(),
        };
        github.create_deployment_status(id, status).await?;
    }
    Ok(())
}

/// Ends the entry that the run began, with what ECS shows.
async fn write_down(
    config: &Config,
    left: &Left,
    services: &[Service],
    aws: &Aws,
    edges: &Edges,
) -> Result<(), Failure> {
    let (Some(product), Some(environment), Some(release)) = (&config.product, &config.environment, left.release) else {
        return Ok(());
    };
    let ledger = Ledger::of(&aws.ssm, product, environment);
    let Some(begun) = ledger.latest().await? else { return Ok(()) };
    if begun.release != release || begun.outcome != DEPLOYING {
        return Ok(());
    }
    let mut entry = Entry { outcome: "cancelled".to_owned(), at: edges.now(), ..begun };
    for target in config.targets() {
        let Some(service) = services.iter().find(|service| service.name == target.service.as_str()) else { continue };
        let task_definition = short(&service.task_definition).to_owned();
        let is_known = entry.services.get(&target.key).is_some_and(|placed| placed.task_definition == task_definition);
        if !is_known {
            entry.services.insert(target.key.clone(), Placed { task_definition, image: None, commit: None });
        }
    }
    ledger.write(&entry).await
}

fn stands(service: &Service) -> String {
    let state = service.primary().map_or("?", |primary| primary.rollout.as_str());
    format!("{} {state}, {} of {} tasks run", short(&service.task_definition), service.running, service.desired)
}
