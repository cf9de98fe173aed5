//! Whose turn it is: the environment's lock, and deployments on their way that this run did not start.

use common::aws::Aws;
use common::edges::Edges;
use common::failure::{Failure, Kind};
use common::ledger::Ledger;
use common::lock::{Claim, Lock, OnHeld, Taking};
use common::names::ServiceName;
use common::poll::{Ended, Judged, Pace, poll, within};
use common::report::Report;
use common::runner::{Annotation, Level};

use crate::ACTION;
use crate::checks::in_flight;
use crate::config::Config;
use crate::effects::LAST_WORD;
use crate::facts::Facts;
use crate::inputs::OnConflict;
use crate::plan::Plan;
use crate::{report, state};

/// Whose turn it is.
pub(crate) enum Turn {
    /// Ours. `lock` is `None` where there is none to take: without a delivery file, or without the permission.
    Ours(Option<Lock>),
    /// Another's, and this is what to say of it. Nothing was touched.
    NotOurs(Report),
}

/// Takes the environment's lock, and waits for deployments that are not ours, as `on-conflict` wants it.
pub(crate) async fn take(config: &Config, plan: &Plan, aws: &Aws, edges: &Edges) -> Result<Turn, Failure> {
    let lock = match lock(config, aws, edges).await? {
        Turn::Ours(lock) => lock,
        not_ours @ Turn::NotOurs(_) => return Ok(not_ours),
    };
    let foreign: Vec<&ServiceName> = plan.to_wait_for(config).iter().map(|change| &change.service).collect();
    if !foreign.is_empty() {
        let waiting = wait_for(config, &foreign, aws, edges);
        let ended = match &lock {
            Some(lock) => lock.keep(edges, waiting).await,
            None => waiting.await,
        };
        if let Some((word, why)) = ended? {
            give_back(lock, edges).await;
            return Ok(Turn::NotOurs(report::stood_back(config, word, &why)));
        }
    }
    Ok(Turn::Ours(lock))
}

/// Whether what is true out there has changed since the plan was made: others had their turn meanwhile.
pub(crate) async fn is_stale(config: &Config, facts: &Facts, plan: &Plan, aws: &Aws) -> Result<bool, Failure> {
    let names: Vec<&ServiceName> = plan.changes().map(|change| &change.service).collect();
    let services = aws.ecs.describe_services(&config.cluster, &names).await?;
    let has_moved = plan.changes().any(|change| {
        let service = services.iter().find(|service| service.name == change.service.as_str());
        let now = service.and_then(|service| service.primary());
        now.map(|primary| &primary.id) != change.primary.as_ref()
    });
    let latest = match (&config.product, &config.environment) {
        // One that cannot be read was said to be so when the facts were read.
        (Some(product), Some(environment)) => {
            Ledger::of(&aws.ssm, product, environment).latest().await.unwrap_or_default()
        }
        _ => None,
    };
    Ok(has_moved || latest != facts.latest || !plan.to_wait_for(config).is_empty())
}

/// Gives the lock back. One that cannot be given back is left to `post-entrypoint`, and runs out by itself.
pub(crate) async fn give_back(lock: Option<Lock>, edges: &Edges) {
    let released = match lock {
        None => Ok(()),
        Some(lock) if edges.stop.is_raised() => match within(LAST_WORD, lock.release()).await {
            Some(released) => released.map(drop),
            None => return,
        },
        Some(lock) => lock.release().await.map(drop),
    };
    if let Err(failure) = released.and_then(|()| state::released(edges)) {
        warn(edges, "the lock is not given back, and runs out by itself", &failure);
    }
}

async fn lock(config: &Config, aws: &Aws, edges: &Edges) -> Result<Turn, Failure> {
    let (Some(product), Some(environment)) = (&config.product, &config.environment) else {
        return Ok(Turn::Ours(None));
    };
    let claim = Claim::new(product, environment, edges.runner.environment());
    state::claim(edges, &claim)?;
    let on_held = match config.policy.on_conflict {
        OnConflict::Wait => OnHeld::Wait(config.timeout),
        OnConflict::Refuse => OnHeld::Refuse,
        OnConflict::Supersede => OnHeld::TakeOver,
    };
    let held =
        |held: Option<common::lock::Held>| held.map_or_else(|| "another run".to_owned(), |held| held.to_string());
    Ok(match Lock::take(&aws.ssm, claim, on_held, edges).await {
        Ok(Taking::Taken(lock)) => Turn::Ours(Some(lock)),
        Ok(Taking::TakenOver { lock, from }) => {
            let message = format!("the lock of `{environment}` was taken over from {from}");
            edges.runner.annotate(&Annotation { level: Level::Warning, title: ACTION.name, message: &message });
            Turn::Ours(Some(lock))
        }
        Ok(Taking::Refused(holder)) => {
            Turn::NotOurs(report::stood_back(config, "refused", &format!("`{environment}` is locked by {holder}")))
        }
        Ok(Taking::TimedOut(holder)) => {
            let why = format!("`{environment}` was still locked by {}", held(holder));
            Turn::NotOurs(report::stood_back(config, "timed-out", &why))
        }
        Ok(Taking::Cancelled(holder)) => {
            let why = format!("cancelled while `{environment}` was locked by {}", held(holder));
            Turn::NotOurs(report::stood_back(config, "cancelled", &why))
        }
        // Two deliveries at once are for `concurrency` of the workflow to prevent, then.
        Err(failure) if failure.kind == Kind::Denied => {
            warn(edges, "the environment is not locked", &failure);
            Turn::Ours(None)
        }
        Err(failure) => return Err(failure),
    })
}

/// Waits until no deployment of these services is on its way. Answers why it gave up, if it did.
async fn wait_for(
    config: &Config,
    services: &[&ServiceName],
    aws: &Aws,
    edges: &Edges,
) -> Result<Option<(&'static str, String)>, Failure> {
    let names: Vec<String> = services.iter().map(|service| format!("`{service}`")).collect();
    let names = names.join(", ");
    edges.runner.say(format!("waiting for deployments of {names}, which this run did not start"));
    let look = async || {
        let services = aws.ecs.describe_services(&config.cluster, services).await?;
        Ok(if services.iter().any(|service| in_flight(service).is_some()) { Judged::Wait } else { Judged::Done(()) })
    };
    Ok(match poll(Pace::until(config.timeout), &edges.stop, look).await? {
        Ended::Done(()) => None,
        Ended::TimedOut => {
            Some(("timed-out", format!("deployments of {names} that this run did not start did not end")))
        }
        Ended::Cancelled => Some(("cancelled", format!("cancelled while waiting for deployments of {names}"))),
    })
}

fn warn(edges: &Edges, what: &str, failure: &Failure) {
    let message = format!("{what}: {failure}");
    edges.runner.annotate(&Annotation { level: Level::Warning, title: ACTION.name, message: &message });
}
