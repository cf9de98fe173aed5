//! What will be done. Pure: everything that can be refused is refused here, all at once, before any write.

use std::fmt;

use common::failure::Failure;
use common::names::{ServiceKey, ServiceName, TaskDefinitionRevision};
use common::task_definition::{Source, comparable, registrable, text};
use serde_json::Value;

use crate::config::{Config, Target};
use crate::diff::{Difference, differences};
use crate::facts::{Facts, ServiceFacts};

/// What will be done, in waves. [`plan`] is its only mint.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) waves: Vec<Vec<Change>>,
}

/// What will be done to one service.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) key: ServiceKey,
    pub(crate) service: ServiceName,
    /// What runs before.
    pub(crate) from: TaskDefinitionRevision,
    pub(crate) step: Step,
    pub(crate) differences: Vec<Difference>,
    /// What a reader should know, and what stops nothing.
    pub(crate) remarks: Vec<String>,
}

/// How a service gets to where it should be.
#[derive(Debug)]
pub(crate) enum Step {
    /// It is there.
    Keep,
    /// Start the tasks anew from what runs.
    Restart,
    /// Deploy a revision that exists.
    Deploy(TaskDefinitionRevision),
    /// Register this task definition and deploy the revision.
    Register(Value),
}

impl Plan {
    /// All changes, in order.
    pub(crate) fn changes(&self) -> impl Iterator<Item = &Change> {
        self.waves.iter().flatten()
    }
}

/// Decides. Everything that stands in the way is told at once.
pub(crate) fn plan(config: &Config, mut facts: Facts) -> Result<Plan, Failure> {
    let mut refusals = Vec::new();
    let mut waves = Vec::new();
    for targets in &config.waves {
        let mut wave = Vec::new();
        for target in targets {
            let Some(found) = facts.services.remove(&target.key) else { continue };
            match change(config, target, found) {
                Ok(change) => wave.push(change),
                Err(refusal) => refusals.push(refusal.context(format!("service `{}`", target.key))),
            }
        }
        waves.push(wave);
    }
    Failure::all(refusals).map_or(Ok(Plan { waves }), Err)
}

fn change(config: &Config, target: &Target, facts: ServiceFacts) -> Result<Change, Failure> {
    let ServiceFacts { service, running, existing, image } = facts;
    let (Some(service), Some(running)) = (service, running) else {
        return Err(Failure::input(format!(
            "there is no active ECS service `{}` in cluster `{}`",
            target.service, config.cluster
        ))
        .hint("check `service`, `cluster` and the region: names are case-sensitive"));
    };
    if service.controller != "ECS" {
        return Err(Failure::input(format!("its deployments are controlled by {}", service.controller))
            .hint("move the service to the deployment controller ECS, which has blue/green too: <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/migrate-codedeploy-to-ecs-bluegreen.html>"));
    }
    let from: TaskDefinitionRevision = service
        .task_definition
        .parse()
        .map_err(|error| Failure::remote(error).context("read what the service runs"))?;
    let image = target.image.reference(&image)?;
    let container = target.container.as_ref();
    let wanted = target.source.render(&running, existing.as_ref(), image.as_deref(), container, &target.variables)?;
    let differences = differences(&running, &wanted);
    let is_same = comparable(&running) == comparable(&wanted);
    let step = match &target.source {
        Source::Existing(_) => {
            let revision: TaskDefinitionRevision =
                text(&wanted["taskDefinitionArn"]).parse().map_err(Failure::remote)?;
            match revision == from {
                true if config.force => Step::Restart,
                true => Step::Keep,
                false => Step::Deploy(revision),
            }
        }
        Source::File(_) | Source::Running if is_same && config.force => Step::Restart,
        Source::File(_) | Source::Running if is_same => Step::Keep,
        Source::File(_) | Source::Running => Step::Register(registrable(wanted)),
    };
    Ok(Change {
        key: target.key.clone(),
        service: target.service.clone(),
        from,
        step,
        differences,
        remarks: remarks(&service),
    })
}

fn remarks(service: &common::aws::Service) -> Vec<String> {
    let mut remarks = Vec::new();
    if service.desired == 0 {
        remarks
            .push("its desired count is 0: ECS will call the deployment a success without running a task".to_owned());
    }
    if !service.circuit_breaker.is_some_and(|breaker| breaker.enabled && breaker.rollback) {
        remarks.push(
            "it has no deployment circuit breaker with rollback: a bad version will not be put back by ECS".to_owned(),
        );
    }
    remarks
}

impl fmt::Display for Plan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, wave) in self.waves.iter().enumerate() {
            if self.waves.len() > 1 {
                writeln!(formatter, "wave {}", index + 1)?;
            }
            for change in wave {
                write!(formatter, "{change}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Change {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, from, step, differences, remarks, .. } = self;
        match step {
            Step::Keep => writeln!(formatter, "{key}: runs {} already, nothing to do", from.short())?,
            Step::Restart => writeln!(formatter, "{key}: start the tasks of {} anew", from.short())?,
            Step::Deploy(revision) => writeln!(formatter, "{key}: from {} to {}", from.short(), revision.short())?,
            Step::Register(_) => writeln!(formatter, "{key}: from {} to a new revision", from.short())?,
        }
        differences.iter().try_for_each(|difference| writeln!(formatter, "  {difference}"))?;
        remarks.iter().try_for_each(|remark| writeln!(formatter, "  note: {remark}"))
    }
}
