//! Runs that do not come to their own end.

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::{build_and_push, expect_unchanged, expect_versions, open, running};
use crate::e2e::monorepo::{AUTH, BILLING, BROKEN_SERVICE, CHECKOUT, SERVICES};
use crate::e2e::stage::{Stage, short};

/// What ecs-deploy says when the second of three waves is on its way.
const SECOND_WAVE: &str = "billing-service: deploying";

/// Cancelled in the second wave. `deployed` is what the services run before, in their order.
pub(super) fn a_cancelled_release_goes_back(stage: &Stage, deployed: [&str; 3], before: &str) -> Result<String> {
    stage.repository.remove_from_image(CHECKOUT, BROKEN_SERVICE)?;
    for service in [AUTH, BILLING] {
        stage.repository.write_into_image(service, "about.txt", "third version\n")?;
    }
    let commit = stage.repository.commit("All services: third version")?;
    open(&format!("a cancelled release ({})", short(&commit)));
    let running = running(stage)?;
    let workflow = stage.push(&commit, before)?;
    let services = build_and_push(&workflow, &commit, &SERVICES)?;
    let cancelled = workflow.cancel("ecs-deploy", &[("services", &services)], SECOND_WAVE)?;
    if cancelled.log.contains("checkout-service: deploying") {
        bail!("the third wave was begun after the cancellation:\n{}", cancelled.log);
    }
    expect_closed(stage, "cancelled")?;
    // It was asked to go back and nobody waited: that is for ECS to finish.
    SERVICES.iter().zip(deployed).try_for_each(|(service, version)| stage.wait_for_version(service, version))?;
    expect_unchanged(stage, &running)?;
    Ok(commit)
}

/// The same release once more, killed in the second wave, and then to its end.
pub(super) fn a_killed_release_is_tidied_up_and_finished(stage: &Stage, commit: &str) -> Result<()> {
    open("a killed release");
    let workflow = stage.push(commit, commit)?;
    let services = SERVICES.join(",");
    let main = workflow.kill("ecs-deploy", &[("services", &services)], SECOND_WAVE)?;
    let begun = stage.ledger()?;
    if begun.get("s") != Some(&json!("deploying")) || !stage.is_locked()? {
        bail!("a killed run leaves an open entry and its lock, found {begun}, locked: {}", stage.is_locked()?);
    }
    let post = workflow.post(&main)?;
    if !post.log.contains("the run was cut off") {
        bail!("the post step does not say what it found:\n{}", post.log);
    }
    expect_closed(stage, "cancelled")?;
    let finished = workflow.step("ecs-deploy", &[("services", &services)], "deployed")?;
    let words: Value = serde_json::from_str(finished.outputs.get("services").map_or("", String::as_str))?;
    if words.get(AUTH) != Some(&json!("unchanged")) {
        bail!("the first wave was over and is nothing to do again: {words}");
    }
    expect_closed(stage, "deployed")?;
    expect_versions(stage, [commit; 3])
}

/// The ledger says how it ended, and nobody holds the lock.
fn expect_closed(stage: &Stage, outcome: &str) -> Result<()> {
    let ledger = stage.ledger()?;
    if ledger.get("s").and_then(Value::as_str) != Some(outcome) {
        bail!("the ledger should say `{outcome}`: {ledger}");
    }
    if stage.is_locked()? { bail!("the environment is still locked") } else { Ok(()) }
}
