//! The scenes of the end-to-end test, in the order in which a team lives through them.

use anyhow::{Context, Result, bail};

use super::infrastructure::BOOTSTRAP;
use super::monorepo::{AUTH, BILLING, BROKEN_MIGRATION, BROKEN_SERVICE, SERVICES};
use super::stage::{Stage, Workflow, forget_local_images, short};
use crate::process::say;

/// Plays all scenes. Each builds on what the one before left running.
pub(crate) fn play(stage: &Stage) -> Result<()> {
    for service in SERVICES {
        stage.wait_for(service)?;
        stage.expect_version(service, BOOTSTRAP)?;
    }
    let first = first_release(stage)?;
    nothing_changes_when_run_again(stage, &first)?;
    let second = one_service_changes(stage, &first)?;
    let third = a_failed_migration_blocks(stage, &first, &second)?;
    a_bad_version_is_rolled_back(stage, &second, &third)
}

fn first_release(stage: &Stage) -> Result<String> {
    let before = stage.repository.head()?;
    let commit = stage.repository.commit("The first version")?;
    open(&format!("first release ({})", short(&commit)));
    let workflow = stage.push(&commit, &before)?;
    let services = build_and_push(&workflow, &commit, &[AUTH, BILLING])?;
    workflow.step("run-migration", &[("services", &services)], "applied")?;
    let deployed = workflow.step("ecs-deploy", &[("services", &services)], "deployed")?;
    gate(&workflow, &services)?;
    for service in SERVICES {
        stage.expect_version(service, &commit)?;
        let running = stage.task_definition(service)?;
        if !deployed.outputs.get("task-definitions").is_some_and(|output| output.contains(&running)) {
            bail!("the output `task-definitions` does not name what runs, {running}");
        }
    }
    Ok(commit)
}

fn nothing_changes_when_run_again(stage: &Stage, commit: &str) -> Result<()> {
    open("the same run again");
    let before = running(stage)?;
    let workflow = stage.push(commit, commit)?;
    let services = SERVICES.join(",");
    workflow.step("ecr-push", &[("services", &services)], "unchanged")?;
    workflow.step("ecs-deploy", &[("services", &services)], "unchanged")?;
    expect_unchanged(stage, &before)
}

fn one_service_changes(stage: &Stage, before: &str) -> Result<String> {
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

fn a_failed_migration_blocks(stage: &Stage, deployed: &str, before: &str) -> Result<String> {
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

fn a_bad_version_is_rolled_back(stage: &Stage, deployed: &str, before: &str) -> Result<()> {
    stage.repository.write_into_image(BILLING, BROKEN_SERVICE, "")?;
    let commit = stage.repository.commit("billing: a version that crashes")?;
    open(&format!("a version that crashes ({})", short(&commit)));
    let running = running(stage)?;
    let workflow = stage.push(&commit, before)?;
    let services = build_and_push(&workflow, &commit, &[BILLING])?;
    let rolled_back = workflow.step("ecs-deploy", &[("services", &services)], "rolled-back")?;
    // The container's last words cannot be asked for here: ministack says that the service started a task, where ECS names the
    // deployment (`startedBy`), by which ecs-deploy tells its own tasks from others. The rehearsal asks for them.
    if !rolled_back.summary.contains("circuit breaker was triggered") {
        bail!("the reason of the rollback is not in the summary:\n{}", rolled_back.summary);
    }
    expect_unchanged(stage, &running)?;
    stage.expect_version(BILLING, deployed)
}

/// The first two steps of every delivery. Answers the affected services as the next step gets them.
fn build_and_push(workflow: &Workflow, commit: &str, affected: &[&str]) -> Result<String> {
    let built = workflow.step("build-affected", &[("build", "true")], "affected")?;
    let services = built.outputs.get("services").context("there is no output `services`")?.clone();
    let mut named: Vec<String> = serde_json::from_str(&services).context("the output `services` is not a JSON list")?;
    named.sort_unstable();
    if named != affected {
        bail!("the affected services are {named:?}, expected {affected:?}");
    }
    let pushed = workflow.step("ecr-push", &[("services", &services)], "pushed")?;
    if let ([_], None) = (affected, pushed.outputs.get("digest").filter(|digest| digest.starts_with("sha256:"))) {
        bail!("the output `digest` is {:?}", pushed.outputs.get("digest"));
    }
    forget_local_images(commit)?;
    Ok(services)
}

fn gate(workflow: &Workflow, services: &str) -> Result<()> {
    workflow.step("health-gate", &[("services", services), ("interval", "1s"), ("passes", "3")], "healthy")?;
    Ok(())
}

/// What every service is told to run.
fn running(stage: &Stage) -> Result<Vec<String>> {
    SERVICES.iter().map(|service| stage.task_definition(service)).collect()
}

fn expect_unchanged(stage: &Stage, before: &[String]) -> Result<()> {
    let now = running(stage)?;
    if now == before { Ok(()) } else { bail!("the services run {now:?}, expected {before:?}") }
}

fn open(scene: &str) {
    say(format!("\n{scene}"));
}
