//! What is done to services beside deploying them.

use anyhow::{Context, Result, bail};
use serde_json::json;

use super::{expect_unchanged, expect_versions, open, running};
use crate::e2e::monorepo::{BILLING, SERVICES};
use crate::e2e::stage::Stage;

/// `versions` is what the services ran by the release before, in their order.
pub(super) fn back_to_the_release_before(stage: &Stage, versions: [&str; 3]) -> Result<()> {
    open("rollback to the release before");
    let commit = stage.repository.head()?;
    let workflow = stage.push(&commit, &commit)?;
    let inputs = [("operation", "rollback"), ("to", "previous")];
    workflow.step("ecs-deploy", &[inputs[0], inputs[1], ("dry-run", "true")], "planned")?;
    expect_versions(stage, [&commit; 3])?;
    workflow.step("ecs-deploy", &inputs, "deployed")?;
    expect_versions(stage, versions)?;
    let ledger = stage.ledger()?;
    if ledger.get("o") != Some(&json!("rollback")) || ledger.get("x") != Some(&json!(2)) {
        bail!("the ledger should tell of a rollback to release 2: {ledger}");
    }
    Ok(())
}

pub(super) fn more_tasks(stage: &Stage) -> Result<()> {
    open("one more task");
    let running = running(stage)?;
    let commit = stage.repository.head()?;
    let workflow = stage.push(&commit, &commit)?;
    let inputs = [("operation", "scale"), ("services", BILLING), ("desired-count", "3")];
    workflow.step("ecs-deploy", &inputs, "deployed")?;
    let tasks = stage.tasks(BILLING)?;
    if tasks.len() != 3 {
        bail!("{BILLING} has the tasks {tasks:?}, expected three");
    }
    workflow.step("ecs-deploy", &inputs, "unchanged")?;
    expect_unchanged(stage, &running)
}

/// `version` is what billing runs before and after.
pub(super) fn tasks_start_anew(stage: &Stage, version: &str) -> Result<()> {
    open("a restart");
    let before = stage.tasks(BILLING)?;
    let commit = stage.repository.head()?;
    let workflow = stage.push(&commit, &commit)?;
    workflow.step("ecs-deploy", &[("operation", "restart"), ("services", BILLING)], "deployed")?;
    stage.wait_for_version(BILLING, version)?;
    let after = stage.tasks(BILLING)?;
    if after.len() != before.len() || after.iter().any(|task| before.contains(task)) {
        bail!("the tasks were {before:?} and are {after:?}");
    }
    Ok(())
}

pub(super) fn how_the_last_deployments_ended(stage: &Stage) -> Result<()> {
    open("how did the last deployments end?");
    let before = running(stage)?;
    let commit = stage.repository.head()?;
    let workflow = stage.push(&commit, &commit)?;
    let explained = workflow.step("ecs-deploy", &[("operation", "explain")], "unchanged")?;
    for (service, runs) in SERVICES.iter().zip(&before) {
        let revision = runs.rsplit('/').next().context("a task definition without a name")?;
        if !explained.summary.contains(service) || !explained.summary.contains(revision) {
            bail!("{service}, which runs {revision}, is not in the summary:\n{}", explained.summary);
        }
    }
    expect_unchanged(stage, &before)
}
