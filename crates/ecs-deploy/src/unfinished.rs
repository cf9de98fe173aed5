//! Releases that were cut off. The run that follows brings such a release to its end; if it cannot, all of it goes back, what
//! the run that died had updated as well as what this one did: half of the services would stay behind otherwise. Pure.

use std::time::Duration;

use common::aws::Service;
use common::ledger::DEPLOYING;
use common::names::TaskDefinitionRevision;

use crate::config::{Config, Operation, Target};
use crate::facts::Facts;

/// How far the clock of a run that wrote into the ledger may have been from AWS's.
const SKEW: Duration = Duration::from_mins(10);

/// What a service ran before a release that was cut off and updated it: `None` if there is no such release.
pub(crate) fn before_the_unfinished(
    config: &Config,
    target: &Target,
    service: &Service,
    facts: &Facts,
) -> Option<TaskDefinitionRevision> {
    if !matches!(config.operation, Operation::Deploy | Operation::Promote { .. }) {
        return None;
    }
    let entry = facts.latest.as_ref().filter(|latest| latest.outcome == DEPLOYING)?;
    let before = &entry.services.get(&target.key)?.task_definition;
    let (family, running) = service.task_definition.rsplit_once('/')?;
    let is_since = service.primary()?.created_at.is_some_and(|at| at + SKEW >= entry.at);
    (is_since && running != before).then(|| format!("{family}/{before}").parse().ok())?
}

/// What is to be said of a service that would go back to that.
pub(crate) fn remark(before: &TaskDefinitionRevision) -> String {
    format!("the last release has not ended: should this one fail, it goes back to {}", before.short())
}
