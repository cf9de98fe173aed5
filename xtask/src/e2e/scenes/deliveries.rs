//! Deliveries that come to their own end, good or bad.

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::{build_and_push, expect_unchanged, expect_versions, gate, open, running};
use crate::e2e::monorepo::{AUTH, BILLING, BROKEN_MIGRATION, BROKEN_SERVICE, CHECKOUT, SERVICES};
use crate::e2e::runner::Completed;
use crate::e2e::stage::{Stage, short};

pub(super) fn first_release(stage: &Stage) -> Result<String> {
    let before = stage.repository.head()?;
    let commit = stage.repository.commit("The first version")?;
    open(&format!("first release ({})", short(&commit)));
    let workflow = stage.push(&commit, &before)?;
    let services = build_and_push(&workflow, &commit, &SERVICES)?;
    workflow.step("run-migration", &[("services", &services)], "applied")?;
    let deployed = workflow.step("ecs-deploy", &[("services", &services)], "deployed")?;
    gate(&workflow, &services)?;
    expect_waves(&deployed)?;
    for service in SERVICES {
        stage.expect_version(service, &commit)?;
        let running = stage.task_definition(service)?;
        if !deployed.outputs.get("task-definitions").is_some_and(|output| output.contains(&running)) {
            bail!("the output `task-definitions` does not name what runs, {running}");
        }
    }
    Ok(commit)
}

pub(super) fn nothing_changes_when_run_again(stage: &Stage, commit: &str) -> Result<()> {
    open("the same run again");
    let before = running(stage)?;
    let workflow = stage.push(commit, commit)?;
    let services = SERVICES.join(",");
    workflow.step("ecr-push", &[("services", &services)], "unchanged")?;
    workflow.step("ecs-deploy", &[("services", &services)], "unchanged")?;
    expect_unchanged(stage, &before)
}

pub(super) fn one_service_changes(stage: &Stage, before: &str) -> Result<String> {
    stage.repository.write_into_image(BILLING, "about.txt", "second version\n")?;
    let commit = stage.repository.commit("billing: second version")?;
    open(&format!("a change of one service ({})", short(&commit)));
    let workflow = stage.push(&commit, before)?;
    let services = build_and_push(&workflow, &commit, &[BILLING])?;
    workflow.step("run-migration", &[("services", &services)], "skipped")?;
    workflow.step("ecs-deploy", &[("services", &services)], "deployed")?;
    gate(&workflow, &services)?;
    stage.expect_version(BILLING, &commit)?;
    stage.expect_version(AUTH, before)?;
    Ok(commit)
}

pub(super) fn a_failed_migration_blocks(stage: &Stage, deployed: &str, before: &str) -> Result<String> {
    stage.repository.write_into_image(AUTH, BROKEN_MIGRATION, "")?;
    let commit = stage.repository.commit("auth: a migration that fails")?;
    open(&format!("a migration that fails ({})", short(&commit)));
    let running = running(stage)?;
    let workflow = stage.push(&commit, before)?;
    let services = build_and_push(&workflow, &commit, &[AUTH])?;
    let failed = workflow.step("run-migration", &[("services", &services)], "failed")?;
    if failed.outputs.get("exit-code").map(String::as_str) != Some("1") {
        bail!("the migration exited with 1, but the output `exit-code` is {:?}", failed.outputs.get("exit-code"));
    }
    if !failed.log.contains("already exists") {
        bail!("the migration's own words are not in the log:\n{}", failed.log);
    }
    // The job ends with the failed step: nothing is deployed.
    expect_unchanged(stage, &running)?;
    stage.expect_version(AUTH, deployed)?;
    Ok(commit)
}

pub(super) fn a_bad_version_is_rolled_back(stage: &Stage, deployed: &str, before: &str) -> Result<String> {
    stage.repository.write_into_image(BILLING, BROKEN_SERVICE, "")?;
    let commit = stage.repository.commit("billing: a version that crashes")?;
    open(&format!("a version that crashes ({})", short(&commit)));
    let running = running(stage)?;
    let workflow = stage.push(&commit, before)?;
    let services = build_and_push(&workflow, &commit, &[BILLING])?;
    let rolled_back = workflow.step("ecs-deploy", &[("services", &services)], "rolled-back")?;
    expect_last_words(&rolled_back.summary)?;
    expect_unchanged(stage, &running)?;
    stage.expect_version(BILLING, deployed)?;
    Ok(commit)
}

/// `deployed` is what the services run before, in their order.
pub(super) fn the_last_wave_takes_the_release_back(stage: &Stage, deployed: [&str; 3], before: &str) -> Result<String> {
    stage.repository.remove_from_image(AUTH, BROKEN_MIGRATION)?;
    stage.repository.remove_from_image(BILLING, BROKEN_SERVICE)?;
    stage.repository.write_into_image(CHECKOUT, BROKEN_SERVICE, "")?;
    let commit = stage.repository.commit("All services mended, but checkout")?;
    open(&format!("a bad last wave ({})", short(&commit)));
    let running = running(stage)?;
    let workflow = stage.push(&commit, before)?;
    let services = build_and_push(&workflow, &commit, &SERVICES)?;
    workflow.step("run-migration", &[("services", &services)], "applied")?;
    let rolled_back = workflow.step("ecs-deploy", &[("services", &services)], "rolled-back")?;
    expect_last_words(&rolled_back.summary)?;
    let words = rolled_back.outputs.get("services").context("there is no output `services`")?;
    let words: Value = serde_json::from_str(words)?;
    for service in SERVICES {
        if words.get(service).and_then(Value::as_str) != Some("rolled-back") {
            bail!("{service} should be `rolled-back`: {words}");
        }
    }
    expect_unchanged(stage, &running)?;
    expect_versions(stage, deployed)?;
    Ok(commit)
}

/// What the container printed before it crashed, and what ECS made of that.
fn expect_last_words(summary: &str) -> Result<()> {
    for words in ["key `payments.currency` is missing", "exit code 3", "circuit breaker was triggered"] {
        if !summary.contains(words) {
            bail!("`{words}` is not in the summary:\n{summary}");
        }
    }
    Ok(())
}

/// No service was begun before the one that it comes after had ended.
fn expect_waves(deployed: &Completed) -> Result<()> {
    let json = deployed.outputs.get("json").context("there is no output `json`")?;
    let report: Value = serde_json::from_str(json)?;
    let services = report.get("services").and_then(Value::as_array).context("the report names no services")?;
    for pair in services.windows(2) {
        let [earlier, later] = pair else { continue };
        let took = earlier.get("seconds").and_then(Value::as_u64).filter(|seconds| *seconds > 0);
        let ended = updated(earlier).zip(took).map(|(updated, took)| updated + took);
        let began = updated(later);
        if ended.is_none() || began < ended {
            bail!("a service was begun at {began:?} s, the one before it ended at {ended:?} s: {report:#}");
        }
    }
    if services.len() == SERVICES.len() { Ok(()) } else { bail!("not every service is reported: {report:#}") }
}

/// When a service was updated, in seconds from the beginning of the release.
fn updated(service: &Value) -> Option<u64> {
    let mut phases = service.get("phases")?.as_array()?.iter();
    phases.find(|phase| phase.get("phase").and_then(Value::as_str) == Some("updated"))?.get("seconds")?.as_u64()
}
