//! What will be checked. Pure: everything that can be refused is refused here, all at once, before anything is watched.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use common::delivery::Addresses;
use common::duration::human;
use common::failure::Failure;
use common::inputs::nearest;
use common::names::ClusterName;
use jiff::Timestamp;

use crate::alarms::Alarms;
use crate::check::{Check, Importance};
use crate::config::{Config, Smoke, Target, Wanted};
use crate::facts::{Facts, ServiceFacts};
use crate::metric::{Metric, Surroundings};
use crate::probe::{Distinct, Probe};
use crate::smoke::SmokeTask;
use crate::state::State;
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
    pub(crate) probes: Vec<Probe>,
    pub(crate) alarms: Option<Alarms>,
    pub(crate) metrics: Vec<Metric>,
    pub(crate) smoke: Option<SmokeTask>,
    /// In the order of the samples: those of `state`, of each of `probes`, of the distinct instances, of `alarms`, of `metrics`.
    pub(crate) checks: Vec<Check>,
    pub(crate) interval: Duration,
    /// How long everything has to hold once it does.
    pub(crate) bake: Duration,
    /// How long after the deployment metrics begin to count.
    pub(crate) settle: Duration,
    pub(crate) policy: Policy,
    /// When the deployment began, where there is one.
    pub(crate) deployed: Option<Timestamp>,
}

impl Gate {
    /// How many instances have to have answered, if that is asked for.
    pub(crate) fn distinct(&self) -> Option<&Distinct> {
        self.probes.iter().find_map(|probe| probe.distinct.as_ref())
    }
}

/// Decides what to check. Everything that stands in the way is told at once.
pub(crate) fn plan(config: &Config, mut facts: Facts, now: Timestamp) -> Result<Plan, Failure> {
    let gate = |target: &Target| {
        let gate = match (&config.cluster, &target.service) {
            (Some(cluster), Some(_)) => of_service(cluster, config, target, facts.services.remove(&target.name), now),
            _ => gate(config, target, Surroundings::default(), None),
        };
        gate.map_err(|refusal| refusal.context(format!("service `{}`", target.name)))
    };
    Ok(Plan { gates: Failure::collect(config.targets.iter().map(gate))? })
}

fn of_service(
    cluster: &ClusterName,
    config: &Config,
    target: &Target,
    found: Option<ServiceFacts>,
    now: Timestamp,
) -> Result<Gate, Failure> {
    let found = found.and_then(|ServiceFacts { service, image, alarms, load_balancer }| {
        Some((service?, image, alarms, load_balancer))
    });
    let (Some((service, image, alarms, load_balancer)), Some(name)) = (found, &target.service) else {
        let name = target.service.as_ref().map_or(target.name.as_str(), |service| service.as_str());
        return Err(Failure::input(format!("there is no active ECS service `{name}` in cluster `{cluster}`"))
            .hint("check `service`, `cluster` and the region: names are case-sensitive"));
    };
    if let Some((missing, _)) = alarms.iter().find(|(_, found)| found.is_empty()) {
        return Err(Failure::input(format!("there is no CloudWatch alarm {missing}"))
            .hint("check `alarms` and the region: names and tags are case-sensitive"));
    }
    let alarms: BTreeSet<String> = alarms.into_iter().flat_map(|(_, found)| found).collect();
    let deployed = service.primary().and_then(|primary| primary.created_at);
    let surroundings = Surroundings { cluster: cluster.to_string(), service: name.to_string(), load_balancer };
    let smoke = target.smoke.as_ref().map(|smoke| smoke_task(cluster, &service, smoke));
    let state = State {
        cluster: cluster.clone(),
        service: name.clone(),
        deployment: target.deployment.clone(),
        task_definition: target.task_definition.clone(),
        image: target.image.reference(&image)?,
        load_balancers: service.load_balancers,
        answer_pause: config.answer_pause,
        crashes: target.policy.failures.get(),
    };
    let alarms = (!alarms.is_empty()).then(|| Alarms { names: alarms, since: deployed.unwrap_or(now) });
    gate(config, target, surroundings, Some((state, alarms, smoke, deployed)))
}

fn smoke_task(cluster: &ClusterName, service: &common::aws::Service, smoke: &Smoke) -> SmokeTask {
    SmokeTask {
        cluster: cluster.clone(),
        command: smoke.command.clone(),
        container: smoke.container.clone(),
        network: service.network.clone(),
        launch_type: service.launch_type.clone(),
        capacity_providers: service.capacity_providers.clone(),
        platform_version: service.platform_version.clone(),
    }
}

type OfService = (State, Option<Alarms>, Option<SmokeTask>, Option<Timestamp>);

fn gate(
    config: &Config,
    target: &Target,
    surroundings: Surroundings,
    of_service: Option<OfService>,
) -> Result<Gate, Failure> {
    let (state, alarms, smoke, deployed) = match of_service {
        Some((state, alarms, smoke, deployed)) => (Some(state), alarms, smoke, deployed),
        None if !target.alarms.is_empty() => {
            return Err(Failure::input("`alarms`: there is no account to ask").hint("set `cluster` and `service`"));
        }
        None => (None, None, None, None),
    };
    let mut gate = Gate {
        name: target.name.clone(),
        state,
        probes: target.probes.clone(),
        alarms,
        metrics: metrics(target, &surroundings, config.cluster.is_some())?,
        smoke,
        checks: Vec::new(),
        interval: target.interval,
        bake: target.bake,
        settle: target.settle,
        policy: target.policy,
        deployed,
    };
    gate.checks = checks(config, &gate);
    weigh(&mut gate.checks, &target.optional, Importance::Optional)?;
    weigh(&mut gate.checks, &target.observe, Importance::Observed)?;
    match gate.checks.iter().any(|check| check.importance == Importance::Required) {
        true => Ok(gate),
        false => Err(Failure::input("no check is required: nothing could make it unhealthy")
            .hint("leave one of them out of `optional` and `observe`")),
    }
}

fn metrics(target: &Target, surroundings: &Surroundings, has_account: bool) -> Result<Vec<Metric>, Failure> {
    let metric = |wish: &crate::config::Wish| match &wish.wanted {
        Wanted::Preset(_) if !has_account => {
            Err(Failure::input(format!("metric `{}`: there is no account to ask", wish.name))
                .hint("set `cluster` and `service`"))
        }
        Wanted::Preset(preset) => preset.metric(&wish.name, wish.rule.clone(), surroundings).ok_or_else(|| {
            Failure::input(format!("metric `{}`: no load balancer sends the service requests", wish.name))
                .hint("leave it out, or measure something of the service's own")
        }),
        Wanted::Own(source) => {
            Ok(Metric { name: wish.name.clone(), source: (**source).clone(), rule: wish.rule.clone() })
        }
    };
    target.metrics.iter().map(metric).collect()
}

/// What has to hold, in the order of the samples.
fn checks(config: &Config, gate: &Gate) -> Vec<Check> {
    let mut checks = gate.state.as_ref().map(|state| state.checks(gate.policy)).unwrap_or_default();
    for (probe, condition) in gate.probes.iter().flat_map(|probe| probe.conditions.iter().map(move |one| (probe, one)))
    {
        let is_identity = config.commit.as_ref().is_some_and(|commit| condition.mentions(commit.as_str()));
        checks.push(Check { is_identity, ..Check::new(probe.subject(condition), condition.expected(), gate.policy) });
    }
    if let Some(Distinct { count, by }) = gate.distinct() {
        let expected = format!("{count} different, each as expected");
        checks.push(Check::new(format!("instances by {by}"), expected, gate.policy).judged_elsewhere());
    }
    checks.extend(gate.alarms.iter().flat_map(|alarms| alarms.checks(gate.policy)));
    checks.extend(gate.metrics.iter().map(|metric| metric.check(gate.policy)));
    checks
}

/// Gives the checks that are called so this importance.
fn weigh(checks: &mut [Check], names: &[String], importance: Importance) -> Result<(), Failure> {
    for name in names {
        let mut is_known = false;
        for check in checks.iter_mut().filter(|check| check.is_called(name)) {
            (check.importance, is_known) = (importance, true);
        }
        if !is_known {
            let known: Vec<&str> = checks.iter().map(|check| check.subject.as_str()).collect();
            let advice = match nearest(name, known.iter().copied()) {
                Some(nearest) => format!("did you mean `{nearest}`?"),
                None => format!("known are `{}`", known.join("`, `")),
            };
            return Err(
                Failure::input(format!("there is no check `{name}` that could be {}", importance.note())).hint(advice)
            );
        }
    }
    Ok(())
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
        for Check { subject, expected, is_identity, importance, .. } in &self.checks {
            let which = if *is_identity { "which version it is" } else { "" };
            let notes: Vec<&str> = [which, importance.note()].into_iter().filter(|note| !note.is_empty()).collect();
            let notes = if notes.is_empty() { String::new() } else { format!(" ({})", notes.join(", ")) };
            writeln!(formatter, "  {subject}: {expected}{notes}")?;
        }
        for probe in self.probes.iter().filter(|probe| !probe.is_smoke || probe.addresses == Addresses::All) {
            writeln!(formatter, "  asking {probe}")?;
        }
        if !self.bake.is_zero() {
            writeln!(formatter, "  everything has to hold for {}", human(self.bake))?;
        }
        if let Some(smoke) = &self.smoke {
            writeln!(formatter, "  then {smoke}")?;
        }
        match &self.state {
            Some(state) if state.answer_pause => {
                writeln!(formatter, "  a hook that waits is answered: CONTINUE if healthy, ROLLBACK if unhealthy")
            }
            _ => Ok(()),
        }
    }
}
