//! The delivery of one commit: the five actions in their order, each only if the one before allows it, as a workflow's
//! `needs` and `if` would have it.

use anyhow::Result;

use crate::runner::{Push, Step};
use crate::theatre::Theatre;

/// How a workflow passes its inputs to the steps.
#[derive(Clone, Debug, Default)]
pub(crate) struct Workflow {
    /// The environment, where the branch does not say it.
    pub(crate) environment: Option<String>,
    /// What `health-gate` is to ask instead of the address in delivery.toml, by service; `@world@` is the world's.
    pub(crate) urls: Vec<(String, String)>,
    /// The accounts that may be touched, where delivery.toml names another one than the world's.
    pub(crate) accounts: String,
}

/// Delivers a commit. Answers the steps that ran.
pub(crate) fn deliver(
    theatre: &Theatre,
    workspace: &std::path::Path,
    push: &Push,
    workflow: &Workflow,
) -> Result<Vec<Step>> {
    let environment = workflow.environment.clone().unwrap_or_default();
    let everywhere = [("environment", environment.as_str()), ("allowed-account-ids", workflow.accounts.as_str())];
    let run = |action, inputs: &[(&str, &str)]| {
        let inputs: Vec<(&str, &str)> = inputs.iter().copied().chain(everywhere).collect();
        theatre.runner.run(action, push, workspace, &inputs)
    };
    let affected = run("build-affected", &[("build", "true")])?;
    let services = affected.output("services").to_owned();
    let goes_on = affected.exit_code == 0 && affected.output("has-changes") == "true";
    let mut steps = vec![affected];
    if !goes_on {
        return Ok(steps);
    }
    for action in ["ecr-push", "run-migration", "ecs-deploy"] {
        let step = run(action, &[("services", &services)])?;
        let is_good = step.exit_code == 0;
        steps.push(step);
        if !is_good {
            return Ok(steps);
        }
    }
    if workflow.urls.is_empty() {
        steps.push(run("health-gate", &[("services", &services)])?);
    }
    let affected: Vec<String> = serde_json::from_str(&services)?;
    for (service, url) in workflow.urls.iter().filter(|(service, _)| affected.contains(service)) {
        let url = url.replace("@world@", &theatre.runner.url);
        // What a guest's own service would answer, the world cannot know: it answers its version.
        let asked = [("services", service.as_str()), ("url", &url), ("expect", "status == 200"), ("interval", "250ms")];
        steps.push(run("health-gate", &asked)?);
    }
    Ok(steps)
}
