//! What will be checked. Pure: everything that can be refused is refused here, all at once, before anything is watched.

use std::fmt;
use std::time::Duration;

use common::duration::human;
use common::failure::Failure;
use common::names::ClusterName;

use crate::config::{Config, Target};
use crate::facts::Facts;
use crate::probe::Probe;
use crate::state::{State, short_image};
use crate::tally::Policy;

/// What will be checked. [`plan`] is its only mint.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) gates: Vec<Gate>,
}

/// What has to hold of one service.
#[derive(Debug)]
pub(crate) struct Gate {
    pub(crate) name: String,
    pub(crate) state: Option<State>,
    pub(crate) probe: Option<Probe>,
    /// In the order of the samples: those of `state`, then those of `probe`.
    pub(crate) checks: Vec<Check>,
    pub(crate) interval: Duration,
    pub(crate) policy: Policy,
}

/// One thing that has to hold.
#[derive(Clone, Debug)]
pub(crate) struct Check {
    pub(crate) subject: String,
    pub(crate) expected: String,
    /// Whether it tells which version it is.
    pub(crate) is_identity: bool,
}

/// Decides what to check. Everything that stands in the way is told at once.
pub(crate) fn plan(config: &Config, mut facts: Facts) -> Result<Plan, Failure> {
    let (mut gates, mut refusals) = (Vec::new(), Vec::new());
    for target in &config.targets {
        let state = match (&config.cluster, &target.service) {
            (Some(cluster), Some(_)) => state(cluster, config.answer_pause, target, &mut facts).map(Some),
            _ => Ok(None),
        };
        match state {
            Ok(state) => gates.push(gate(config, target, state)),
            Err(refusal) => refusals.push(refusal.context(format!("service `{}`", target.name))),
        }
    }
    Failure::all(refusals).map_or(Ok(Plan { gates }), Err)
}

fn state(cluster: &ClusterName, answer_pause: bool, target: &Target, facts: &mut Facts) -> Result<State, Failure> {
    let found = facts.services.remove(&target.name).and_then(|found| Some((found.service?, found.image)));
    let (Some((service, image)), Some(name)) = (found, &target.service) else {
        let name = target.service.as_ref().map_or(target.name.as_str(), |service| service.as_str());
        return Err(Failure::input(format!("there is no active ECS service `{name}` in cluster `{cluster}`"))
            .hint("check `service`, `cluster` and the region: names are case-sensitive"));
    };
    Ok(State {
        cluster: cluster.clone(),
        service: name.clone(),
        image: target.image.reference(&image)?,
        load_balancers: service.load_balancers,
        answer_pause,
    })
}

fn gate(config: &Config, target: &Target, state: Option<State>) -> Gate {
    let check = |subject: &str, expected: &str| Check {
        subject: subject.to_owned(),
        expected: expected.to_owned(),
        is_identity: false,
    };
    let mut checks = Vec::new();
    if let Some(State { image, load_balancers, answer_pause, .. }) = &state {
        let arrived = if *answer_pause { "completed, or waits at a hook" } else { "completed" };
        checks.extend([check("deployment", arrived), check("tasks", "all run")]);
        checks.extend(image.iter().map(|image| Check { is_identity: true, ..check("image", &short_image(image)) }));
        let groups = load_balancers.iter().map(|balancer| short(&balancer.target_group));
        checks.extend(groups.map(|group| check(&format!("targets of {group}"), "all healthy")));
    }
    for condition in target.probe.iter().flat_map(|probe| &probe.conditions) {
        let is_identity = config.commit.as_ref().is_some_and(|commit| condition.mentions(commit.as_str()));
        checks.push(Check { is_identity, ..check(&condition.subject(), &condition.expected()) });
    }
    Gate {
        name: target.name.clone(),
        state,
        probe: target.probe.clone(),
        checks,
        interval: target.interval,
        policy: target.policy,
    }
}

/// The target group's name within its ARN: `arn:aws:elasticloadbalancing:…:targetgroup/<name>/<id>`.
fn short(arn: &str) -> &str {
    arn.split('/').nth(1).unwrap_or(arn)
}

impl fmt::Display for Plan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.gates.iter().try_for_each(|gate| write!(formatter, "{gate}"))
    }
}

impl fmt::Display for Gate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Policy { passes, failures } = self.policy;
        let every = human(self.interval);
        writeln!(
            formatter,
            "{}: a look every {every}, {passes} good in a row pass, {failures} bad in a row fail",
            self.name
        )?;
        for Check { subject, expected, is_identity } in &self.checks {
            let note = if *is_identity { " (which version it is)" } else { "" };
            writeln!(formatter, "  {subject}: {expected}{note}")?;
        }
        if let Some(probe) = &self.probe {
            writeln!(formatter, "  asking {}", probe.url)?;
        }
        match &self.state {
            Some(state) if state.answer_pause => {
                writeln!(formatter, "  a hook that waits is answered: CONTINUE if healthy, ROLLBACK if unhealthy")
            }
            _ => Ok(()),
        }
    }
}
