//! What will be done, decided from facts alone. [`plan`] is the only mint of a [`Plan`], and it refuses here, before any write.

use std::fmt;
use std::time::Duration;

use common::aws::{Deployment, Service};
use common::failure::Failure;
use common::names::{CommitSha, Digest, Secret, ServiceKey, ServiceName, TaskDefinitionRevision};
use common::preflight::{Finding, FindingKind, SecretSource, secrets_of};
use common::task_definition::{Source, comparable, registrable, text};
use serde_json::{Value, json};

use crate::checks::{self, conflict, deployable, examine, in_flight};
use crate::config::{Config, Operation, Target, Want};
use crate::diff::{Difference, differences};
use crate::facts::{Facts, ServiceFacts};
use crate::inputs::OnConflict;
use crate::strategy::{self, own_time};
use crate::unfinished::{self, before_the_unfinished};
use crate::wanted::{Wanted, image};
use crate::words::goal;

/// What will be done.
#[derive(Debug)]
pub(crate) struct Plan {
    /// In waves: those of a later wave come after all of an earlier one.
    pub(crate) waves: Vec<Vec<Change>>,
    /// What it is all for, where that is not the event's commit: `back to release 2, commit 0123456`.
    pub(crate) goal: Option<String>,
    /// What a reader should know of the whole.
    pub(crate) remarks: Vec<String>,
}

/// What will be done to one service.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) key: ServiceKey,
    pub(crate) service: ServiceName,
    /// What runs now; `None` where the service does not exist yet.
    pub(crate) from: Option<TaskDefinitionRevision>,
    /// What there is to go back to; `None` if no deployment of it ever came to a good end.
    pub(crate) good: Option<TaskDefinitionRevision>,
    /// What ECS goes back to by itself. Another one than `good` where an earlier release was cut off after this service: that
    /// release is brought to its end by this run, or goes back as a whole.
    pub(crate) completed: Option<TaskDefinitionRevision>,
    pub(crate) step: Step,
    /// The id of the deployment that ECS works towards now.
    pub(crate) primary: Option<String>,
    /// How many tasks there are, for going back from a scaling.
    pub(crate) desired: u32,
    /// `deploymentConfiguration`, where the strategy changes it.
    pub(crate) configuration: Option<Value>,
    /// What the strategy takes by itself: the timeout does not count it.
    pub(crate) own_time: Duration,
    /// The digest that the service is to run, for the ledger.
    pub(crate) image: Option<Digest>,
    /// The commit that it was built from, where that is known.
    pub(crate) commit: Option<CommitSha>,
    /// A deployment that is not ours, to wait for or to take the place of.
    pub(crate) foreign: Option<String>,
    /// Where people reach it.
    pub(crate) url: Option<String>,
    pub(crate) differences: Vec<Difference>,
    pub(crate) remarks: Vec<String>,
}

/// The step that takes a service to where it should be.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// It runs what it should.
    Keep,
    /// It is on its way there already: an earlier run was cut off. Its deployment.
    Attach(Deployment),
    /// It runs what it should, and is to start anew.
    Restart,
    /// Deploy a revision that exists.
    Deploy(TaskDefinitionRevision),
    /// Register this task definition, then deploy it.
    Register(Value),
    /// Register this task definition, then make the service from the other.
    Create { definition: Value, service: Value },
    /// Have this many tasks.
    Scale(u32),
}

impl Plan {
    /// All changes, in order.
    pub(crate) fn changes(&self) -> impl Iterator<Item = &Change> {
        self.waves.iter().flatten()
    }

    /// Whether anything is to be done at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.changes().all(|change| matches!(change.step, Step::Keep))
    }

    /// The deployments that have to be over before this plan can begin.
    pub(crate) fn to_wait_for(&self, config: &Config) -> Vec<&Change> {
        match config.policy.on_conflict {
            OnConflict::Wait => self.changes().filter(|change| change.foreign.is_some()).collect(),
            OnConflict::Supersede | OnConflict::Refuse => Vec::new(),
        }
    }
}

/// Decides what will be done. Everything that speaks against it is one failure.
pub(crate) fn plan(
    config: &Config,
    facts: &Facts,
    mut wanted: Wanted,
    findings: Vec<Finding>,
) -> Result<Plan, Failure> {
    let mut refusals = Vec::new();
    let mut waves = Vec::new();
    for targets in &config.waves {
        let mut wave = Vec::new();
        for target in targets {
            let Some(service) = facts.services.get(&target.key) else {
                return Err(Failure::bug(format!("no facts of service `{}` were read", target.key)));
            };
            let definition = wanted.remove(&target.key).unwrap_or_else(|| Err(Failure::bug("nothing was rendered")));
            match change(config, target, service, definition, facts) {
                Ok(change) => wave.push(change),
                Err(failures) => {
                    let named = |failure: Failure| failure.context(format!("service `{}`", target.key));
                    refusals.extend(failures.into_iter().map(named));
                }
            }
        }
        waves.push(wave);
    }
    let mut remarks = facts.remarks.clone();
    if !config.policy.goes_back {
        remarks.push("this run puts nothing back (`rollback-safe: false`): what runs now may break on the migrated databases; ECS's own circuit breaker still goes back where it is on".to_owned());
    }
    for finding in findings {
        match finding.kind {
            FindingKind::Blocks => refusals.push(finding.failure),
            FindingKind::Warns => remarks.push(finding.failure.to_string().replace("\nhint: ", ": ")),
        }
    }
    if let Some(failure) = Failure::all(refusals) {
        return Err(failure);
    }
    let waves = match &config.operation {
        // Those that do not use the secret have nothing to do with it.
        Operation::Rotate { secret, value } => using(secret, value.as_ref(), facts, waves)?,
        _ => waves,
    };
    Ok(Plan { waves, goal: goal(config, facts), remarks })
}

fn change(
    config: &Config,
    target: &Target,
    facts: &ServiceFacts,
    definition: Result<Value, Failure>,
    all: &Facts,
) -> Result<Change, Vec<Failure>> {
    let service = deployable(config, target, facts);
    let (service, definition) = match (service, definition) {
        (Ok(service), Ok(definition)) => (service, definition),
        // Without the service its task definition cannot be judged, but its image can.
        (service, definition) => return Err(service.err().into_iter().chain(definition.err()).collect()),
    };
    let Some(service) = service else { return creation(config, target, definition).map_err(|failure| vec![failure]) };
    let mut findings = match config.operation {
        Operation::Scale { .. } => checks::Findings::default(),
        _ => examine(config, service, facts, &definition, all),
    };
    let running = facts.running.as_ref().unwrap_or(&Value::Null);
    let from: Option<TaskDefinitionRevision> = service.task_definition.parse().ok();
    let step = step(config, target, service, running, &definition);
    let step = step.map_err(|failure| vec![failure])?;
    let is_foreign = !matches!(step, Step::Keep | Step::Attach(_) | Step::Scale(_));
    let foreign = in_flight(service).filter(|_| is_foreign).map(|deployment| deployment.id.clone());
    if foreign.is_some() {
        findings.refusals.extend(conflict(config, service));
    }
    if !findings.refusals.is_empty() {
        return Err(findings.refusals);
    }
    let to = if let Step::Deploy(revision) = &step { Some(revision) } else { None };
    let before = before_the_unfinished(config, target, service, all).filter(|before| to != Some(before));
    findings.remarks.extend(before.as_ref().map(unfinished::remark));
    let good = before.or_else(|| facts.good.clone());
    let configuration = config.strategy.as_ref().filter(|_| starts_a_deployment(&step));
    let configuration = configuration.and_then(|strategy| strategy::configuration(&service.configuration, strategy));
    Ok(Change {
        key: target.key.clone(),
        service: target.service.clone(),
        good,
        completed: facts.good.clone(),
        from,
        primary: service.primary().map(|primary| primary.id.clone()),
        desired: u32::try_from(service.desired).unwrap_or_default(),
        own_time: own_time(configuration.as_ref().unwrap_or(&service.configuration)),
        configuration,
        image: digest(&definition, target),
        commit: commit(config, target, all),
        foreign,
        url: target.url.clone(),
        differences: if matches!(config.operation, Operation::Scale { .. }) {
            Vec::new()
        } else {
            differences(running, &definition)
        },
        remarks: findings.remarks,
        step,
    })
}

fn starts_a_deployment(step: &Step) -> bool {
    matches!(step, Step::Restart | Step::Deploy(_) | Step::Register(_))
}

/// The step that takes an existing service to this task definition.
fn step(
    config: &Config,
    target: &Target,
    service: &Service,
    running: &Value,
    definition: &Value,
) -> Result<Step, Failure> {
    if let Operation::Scale { desired } = config.operation {
        return match u32::try_from(service.desired) == Ok(desired) {
            true => Ok(Step::Keep),
            false => Ok(Step::Scale(desired)),
        };
    }
    let is_by_name = match &target.want {
        Want::Content { source, .. } | Want::Prepared { source, .. } | Want::Promoted { source, .. } => {
            matches!(source, Source::Existing(_))
        }
        Want::Earlier | Want::Running => true,
    };
    let is_same = match is_by_name {
        true => running["taskDefinitionArn"] == definition["taskDefinitionArn"],
        false => comparable(running) == comparable(definition),
    };
    let is_restart = config.policy.force || matches!(config.operation, Operation::Restart | Operation::Rotate { .. });
    let primary = service.primary();
    if let Some(primary) = primary.filter(|primary| is_same && primary.rollout == "IN_PROGRESS") {
        return Ok(Step::Attach(primary.clone()));
    }
    Ok(match (is_same, primary.map(|primary| primary.rollout.as_str())) {
        // It was to run this, and failed: to leave it alone would be to call that a success.
        (true, Some("FAILED")) => Step::Restart,
        (true, _) if is_restart => Step::Restart,
        (true, _) => Step::Keep,
        (false, _) if is_by_name => {
            Step::Deploy(text(&definition["taskDefinitionArn"]).parse().map_err(Failure::remote)?)
        }
        (false, _) => Step::Register(registrable(definition.clone())),
    })
}

/// The making of a service that does not exist.
fn creation(config: &Config, target: &Target, definition: Value) -> Result<Change, Failure> {
    let variables = match &target.want {
        Want::Content { variables, .. } | Want::Prepared { variables, .. } | Want::Promoted { variables, .. } => {
            variables.clone()
        }
        Want::Earlier | Want::Running => {
            return Err(Failure::input("there is no such service, and nothing to make it from"));
        }
    };
    let template = target.definition.as_ref().ok_or_else(|| Failure::bug("a service is made from nothing"))?;
    let mut service = template.fill_in(&variables)?;
    service["cluster"] = json!(config.cluster);
    service["serviceName"] = json!(target.service);
    if let Some(strategy) = &config.strategy
        && let Some(configuration) = strategy::configuration(&service["deploymentConfiguration"], strategy)
    {
        service["deploymentConfiguration"] = configuration;
    }
    Ok(Change {
        key: target.key.clone(),
        service: target.service.clone(),
        from: None,
        good: None,
        completed: None,
        primary: None,
        desired: 0,
        configuration: None,
        own_time: own_time(&service["deploymentConfiguration"]),
        image: digest(&definition, target),
        commit: config.commit.clone(),
        foreign: None,
        url: target.url.clone(),
        differences: Vec::new(),
        remarks: vec!["it does not exist yet and is created: if it fails, there is nothing to go back to".to_owned()],
        step: Step::Create { definition: registrable(definition), service },
    })
}

/// The commit that a service is to run.
fn commit(config: &Config, target: &Target, facts: &Facts) -> Option<CommitSha> {
    match (&config.operation, &facts.release, &facts.latest) {
        (Operation::Deploy, _, _) => config.commit.clone(),
        (Operation::Rollback { .. } | Operation::Promote { .. }, Some(release), _) => {
            release.services.get(&target.key)?.commit.clone().or_else(|| release.commit.clone())
        }
        (_, _, latest) => latest.as_ref()?.services.get(&target.key)?.commit.clone(),
    }
}

/// The digest of the image in the container that is delivered.
fn digest(definition: &Value, target: &Target) -> Option<Digest> {
    image(definition, target)?.split_once('@')?.1.parse().ok()
}

/// The services whose task definition refers to a secret. None is a mistake in its name.
fn using(
    secret: &str,
    value: Option<&Secret>,
    facts: &Facts,
    waves: Vec<Vec<Change>>,
) -> Result<Vec<Vec<Change>>, Failure> {
    let references = |change: &Change| {
        let running = facts.services.get(&change.key).and_then(|facts| facts.running.as_ref());
        running.map(secrets_of).unwrap_or_default().into_iter().filter(|reference| reference.is_of(secret))
    };
    let used: Vec<_> = waves.iter().flatten().flat_map(references).collect();
    let members: Option<Value> = value.and_then(|value| serde_json::from_str(value.expose()).ok());
    let lacking = used.iter().find_map(|reference| match &reference.source {
        SecretSource::Secret { key: Some(key), .. } => {
            let has_key = members.as_ref().is_some_and(|members| members.get(key).is_some());
            (value.is_some() && !has_key).then_some((key, &reference.place))
        }
        _ => None,
    });
    if let Some((key, place)) = lacking {
        return Err(Failure::input(format!(
            "the new value of `{secret}` is not a JSON object with `{key}`, which `{place}` takes from it"
        ))
        .hint("pass the whole JSON object in `secret-value`: it replaces the old one"));
    }
    if used.is_empty() {
        return Err(Failure::input(format!("no service here uses the secret `{secret}`"))
            .hint("check its name against `secrets` in the task definitions, and the input `services`"));
    }
    let uses = |change: &Change| references(change).next().is_some();
    let kept = waves.into_iter().map(|wave| wave.into_iter().filter(uses).collect::<Vec<_>>());
    Ok(kept.filter(|wave| !wave.is_empty()).collect())
}

impl fmt::Display for Plan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(goal) = &self.goal {
            writeln!(formatter, "{goal}")?;
        }
        for (index, wave) in self.waves.iter().enumerate() {
            if self.waves.len() > 1 {
                writeln!(formatter, "wave {}", index + 1)?;
            }
            for change in wave {
                write!(formatter, "{change}")?;
            }
        }
        self.remarks.iter().try_for_each(|remark| writeln!(formatter, "note: {remark}"))
    }
}

impl fmt::Display for Change {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, step, differences, remarks, .. } = self;
        let from = self.from.as_ref().map_or("nothing", |from| from.short());
        match step {
            Step::Keep => writeln!(formatter, "{key}: runs {from} already, nothing to do")?,
            Step::Attach(_) => writeln!(formatter, "{key}: {from} is on its way already, watch it")?,
            Step::Restart => writeln!(formatter, "{key}: start the tasks of {from} anew")?,
            Step::Deploy(revision) => writeln!(formatter, "{key}: from {from} to {}", revision.short())?,
            Step::Register(_) => writeln!(formatter, "{key}: from {from} to a new revision")?,
            Step::Create { .. } => writeln!(formatter, "{key}: create the service")?,
            Step::Scale(desired) => writeln!(formatter, "{key}: from {} to {desired} tasks", self.desired)?,
        }
        if let Some(strategy) = self.configuration.as_ref().and_then(|configuration| configuration["strategy"].as_str())
        {
            writeln!(formatter, "  strategy: {strategy}")?;
        }
        differences.iter().try_for_each(|difference| writeln!(formatter, "  {difference}"))?;
        remarks.iter().try_for_each(|remark| writeln!(formatter, "  note: {remark}"))
    }
}
