//! Telling GitHub: the verdict on a service is the newest status of the deployment that ecs-deploy made for it. It stops nothing:
//! what cannot be written is a warning that names the permission.

use common::edges::Edges;
use common::failure::Failure;
use common::github::{DeploymentState, DeploymentStatus, GitHub, environment_of};
use common::runner::{Annotation, Level};
use futures_util::future::join_all;

use super::GateOutcome;
use crate::ACTION;
use crate::config::{Announce, Config};
use crate::tally::Verdict;
use crate::words::in_one_line;

/// Tells GitHub of every service that was decided.
pub(super) async fn announce(config: &Config, gates: &[GateOutcome], edges: &Edges) {
    let Some(announce) = &config.announce else { return };
    let Some(github) = edges.github(&announce.token) else {
        return warn(edges, "GitHub is not told of the verdict: this is no job of a workflow, or it has no token");
    };
    let decided = gates.iter().filter(|gate| !gate.is_cancelled);
    let told = join_all(decided.map(|gate| tell(announce, gate, config.fail_on_warn, &github, edges)));
    // Nobody waits for it once the run is cancelled.
    let Some(told) = edges.stop.unless_raised(told).await else { return };
    for failure in told.into_iter().filter_map(Result::err) {
        warn(edges, &format!("GitHub shows nothing of the verdict: {failure}"));
    }
}

async fn tell(
    announce: &Announce,
    gate: &GateOutcome,
    fail_on_warn: bool,
    github: &GitHub,
    edges: &Edges,
) -> Result<(), Failure> {
    let Announce { environment, commit, .. } = announce;
    let place = environment_of(environment, &gate.gate.name.parse().map_err(Failure::input)?);
    // A status of an older one would be about what does not run any more.
    let newest = github.deployments(&place).await?.into_iter().next();
    let Some(deployment) = newest else {
        return Err(Failure::input(format!("there is no deployment to {place}"))
            .hint("ecs-deploy makes one where its job has `permissions: { deployments: write }`"));
    };
    if deployment.commit != commit.as_str() {
        return Err(Failure::input(format!("the newest deployment to {place} is of {}", deployment.commit))
            .hint("another release has begun since: its own gate tells of it"));
    }
    let url = gate.gate.probes.iter().find(|probe| !probe.is_smoke).map(|probe| probe.url.to_string());
    let run = edges.runner.environment().run_url();
    let status = DeploymentStatus {
        state: state(gate, fail_on_warn),
        description: &in_one_line(gate),
        log_url: run.as_deref(),
        environment_url: url.as_deref(),
    };
    Ok(github.create_deployment_status(deployment.id, status).await?)
}

/// GitHub's word for a verdict. One that the step fails for is none that GitHub may show as a success.
/// A deployment that waited at a hook goes on from there.
fn state(gate: &GateOutcome, fail_on_warn: bool) -> DeploymentState {
    match gate.verdict {
        Verdict::Warn if fail_on_warn => DeploymentState::Failure,
        Verdict::Pass | Verdict::Warn if gate.pause.is_some() => DeploymentState::InProgress,
        Verdict::Pass | Verdict::Warn => DeploymentState::Success,
        Verdict::Fail => DeploymentState::Failure,
        Verdict::NoData | Verdict::Error => DeploymentState::Error,
    }
}

fn warn(edges: &Edges, message: &str) {
    edges.runner.annotate(&Annotation { level: Level::Warning, title: ACTION.name, message });
}
