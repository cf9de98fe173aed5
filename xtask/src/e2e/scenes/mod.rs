//! The scenes of the end-to-end test, in the order in which a team lives through them.

mod backups;
mod building;
mod cut_off;
mod deliveries;
mod health;
mod migrations;
mod operations;
mod pull_requests;
mod registries;
mod releasing;
mod workflows;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use super::infrastructure::BOOTSTRAP;
use super::monorepo::SERVICES;
use super::stage::{Stage, forget_local_images};
use super::workflow::Workflow;
use crate::process::say;

/// What can be played by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// Building images, and deliveries, good and bad, by the actions one by one.
    Deliveries,
    /// The same, and then a consumer's workflows with the suite's own releases.
    Workflows,
    /// The same, and then gates on nginx, Prometheus, alarms and metrics.
    Health,
    /// Four databases of a real PostgreSQL, with snapshots before and a restore.
    Databases,
    /// What pushes images, against Debian's registry.
    Registries,
}

/// Plays these parts; all, if none is named.
pub(crate) fn play(stage: &Stage, parts: &[Part]) -> Result<()> {
    // What the deliveries left running is delivered to by the workflows, and watched.
    let is_asked = |part: Part| {
        let goes_on = parts.contains(&Part::Workflows) || parts.contains(&Part::Health);
        parts.is_empty() || parts.contains(&part) || (part == Part::Deliveries && goes_on)
    };
    if is_asked(Part::Deliveries) {
        let versions = play_deliveries(stage)?;
        if is_asked(Part::Health) {
            health::play(stage, &stage.folder("health")?, &versions[0])?;
        }
        if is_asked(Part::Workflows) {
            workflows::play(stage, versions.each_ref().map(String::as_str))?;
        }
    }
    if is_asked(Part::Databases) {
        migrations::four_databases_side_by_side(stage, &stage.folder("databases")?)?;
    }
    if is_asked(Part::Registries) {
        registries::play(&stage.folder("registries")?)?;
    }
    let left_out = Part::value_variants().iter().filter(|part| !is_asked(**part));
    left_out.for_each(|part| say(format!("\nskipped, for it was not asked for: {part:?}")));
    Ok(())
}

/// Each scene builds on what the one before left running. Answers the versions that run in the end.
fn play_deliveries(stage: &Stage) -> Result<[String; 3]> {
    building::play(stage)?;
    for service in SERVICES {
        stage.wait_for(service)?;
        stage.expect_version(service, BOOTSTRAP)?;
    }
    let first = deliveries::first_release(stage)?;
    deliveries::nothing_changes_when_run_again(stage, &first)?;
    let second = deliveries::one_service_changes(stage, &first)?;
    let third = deliveries::a_failed_migration_blocks(stage, &first, &second)?;
    let fourth = deliveries::a_bad_version_is_rolled_back(stage, &second, &third)?;
    let fifth = deliveries::the_last_wave_takes_the_release_back(stage, [&first, &second, &first], &fourth)?;
    let sixth = cut_off::a_cancelled_release_goes_back(stage, [&first, &second, &first], &fifth)?;
    cut_off::a_killed_release_is_tidied_up_and_finished(stage, &sixth)?;
    operations::back_to_the_release_before(stage, [&first, &second, &first])?;
    operations::more_tasks(stage)?;
    operations::tasks_start_anew(stage, &second)?;
    operations::how_the_last_deployments_ended(stage)?;
    Ok([first.clone(), second, first])
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

/// The services answer with these versions, in their order.
fn expect_versions(stage: &Stage, versions: [&str; 3]) -> Result<()> {
    SERVICES.iter().zip(versions).try_for_each(|(service, version)| stage.expect_version(service, version))
}

fn open(scene: &str) {
    say(format!("\n{scene}"));
}
