//! The delivery of one commit: the five actions in their order, each only if the one before allows it, as a workflow's
//! `needs` and `if` would have it.

use anyhow::Result;

use crate::runner::{Push, Step};
use crate::stage::Stage;

/// How a workflow passes its inputs to the steps.
#[derive(Clone, Debug, Default)]
pub(crate) struct Workflow {
    /// The environment, where the branch does not say it.
    pub(crate) environment: Option<String>,
    /// What `health-gate` is to ask instead of the address in delivery.toml, by service.
    pub(crate) urls: Vec<(String, String)>,
}

/// Delivers a commit. Answers the steps that ran.
pub(crate) fn deliver(stage: &Stage, workspace: &std::path::Path, push: &Push, workflow: &Workflow) -> Result<Vec<Step>> {
    let environment = workflow.environment.clone().unwrap_or_default();
    let run = |action, inputs: &[(&str, &str)]| {
        let inputs: Vec<(&str, &str)> = inputs.iter().copied().chain([("environment", environment.as_str())]).collect();
        stage.runner.run(action, push, workspace, &inputs)
    };
    let affected = run("build-affected", &[("build", "true"), ("base", push.before.as_deref().unwrap_or_default())])?;
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
    for (service, url) in &workflow.urls {
        steps.push(run("health-gate", &[("services", service), ("url", url)])?);
    }
    Ok(steps)
}
