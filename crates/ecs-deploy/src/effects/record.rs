//! Who is told of the release: the ledger at its start and its end, and GitHub with one deployment per environment and service.
//! Neither ever stops a deployment: what cannot be written is a warning that names the permission.

use common::aws::Aws;
use common::edges::Edges;
use common::failure::Failure;
use common::github::{DeploymentState, DeploymentStatus, GitHub, NewDeployment, Refused};
use common::ledger::{DEPLOYING, Entry, Ledger, Placed};
use common::names::{CommitSha, EnvironmentName, TaskDefinitionRevision};
use common::runner::{Annotation, Level};
use futures_util::future::join_all;

use super::{Back, Fate, Flight};
use crate::ACTION;
use crate::config::{Config, Operation};
use crate::facts::Facts;
use crate::plan::{Change, Plan};
use crate::state::{self, Announced};
use crate::words::{because, outcome, word};

/// Who is told of the release.
pub(super) struct Record<'a> {
    config: &'a Config,
    edges: &'a Edges,
    /// The ledger, and what was written into it at the start.
    ledger: Option<(Ledger, Entry)>,
    github: Option<(GitHub, EnvironmentName)>,
    announced: Vec<Announced>,
}

impl<'a> Record<'a> {
    /// Writes down that a release begins, and where everything stands.
    pub(super) async fn begin(config: &'a Config, facts: &Facts, plan: &Plan, aws: &Aws, edges: &'a Edges) -> Self {
        let github = edges.github(&config.github_token).zip(config.environment.clone());
        let mut record = Self { config, edges, ledger: None, github, announced: Vec::new() };
        if let (Some(product), Some(environment)) = (&config.product, &config.environment)
            && facts.is_ledger_known
        {
            let ledger = Ledger::of(&aws.ssm, product, environment);
            let entry = first_word(config, facts, plan, edges);
            match ledger.write(&entry).await {
                Ok(()) => {
                    record.note(state::release(edges, entry.release));
                    record.ledger = Some((ledger, entry));
                }
                Err(failure) => record.warn("the release is not written into the ledger", &failure),
            }
        }
        record
    }

    /// Tells GitHub of what has begun.
    pub(super) async fn started(&mut self, flights: impl Iterator<Item = &Flight>) {
        let begun: Vec<&Flight> = flights.filter(|flight| flight.is_touched()).collect();
        let (Some((github, environment)), Some(commit)) = (self.github.clone(), self.commit()) else { return };
        let created = join_all(begun.iter().map(|flight| async {
            let key = &flight.change.key;
            let task = self.config.operation.name();
            let deployment = NewDeployment {
                reference: flight.change.commit.as_ref().unwrap_or(&commit),
                environment: &format!("{environment}/{key}"),
                task,
                description: &format!("{task} of {key} in {environment}"),
                production: environment.as_str().starts_with("prod"),
                payload: serde_json::Value::Null,
            };
            let id = github.create_deployment(&deployment).await?;
            let status = DeploymentStatus {
                state: DeploymentState::InProgress,
                description: "",
                log_url: self.config.run_url.as_deref(),
                environment_url: flight.change.url.as_deref(),
            };
            github.create_deployment_status(id, status).await?;
            Ok::<_, Refused>(Announced { service: key.clone(), id, url: flight.change.url.clone() })
        }));
        let Some(created) = self.edges.stop.unless_raised(created).await else { return };
        for created in created {
            match created {
                Ok(announced) => self.announced.push(announced),
                Err(refused) => {
                    self.github = None;
                    return self.warn("GitHub shows no deployment", &Failure::from(refused));
                }
            }
        }
        self.note(state::announced(self.edges, &self.announced));
    }

    /// The number of the release in the ledger.
    pub(super) fn release(&self) -> Option<u64> {
        self.ledger.as_ref().map(|(_, entry)| entry.release)
    }

    /// Writes down how it ended.
    pub(super) async fn end(self, flights: &[Flight]) {
        let (ledger, github) = futures_util::future::join(self.last_word(flights), self.close(flights)).await;
        for failure in github {
            self.warn("GitHub shows an old state of a deployment", &failure);
        }
        if let Err(failure) = ledger {
            self.warn("how the release ended is not written into the ledger", &failure);
        }
        self.note(state::ended(self.edges));
    }

    async fn last_word(&self, flights: &[Flight]) -> Result<(), Failure> {
        let Some((ledger, first)) = &self.ledger else { return Ok(()) };
        let mut entry = Entry { outcome: outcome(flights).to_owned(), at: self.edges.now(), ..first.clone() };
        for flight in flights {
            let Some(runs) = flight.runs() else { continue };
            let is_new = flight.is_touched() && flight.to.as_ref() == Some(runs) && flight.back == Back::No;
            let placed = match is_new {
                true => placed(&flight.change, runs, &entry),
                false => Placed { task_definition: runs.short().to_owned(), ..known(first, &flight.change, runs) },
            };
            entry.services.insert(flight.change.key.clone(), placed);
        }
        ledger.write(&entry).await
    }

    async fn close(&self, flights: &[Flight]) -> Vec<Failure> {
        let Some((github, _)) = &self.github else { return Vec::new() };
        let closed = join_all(self.announced.iter().map(|announced| async {
            let Some(flight) = flights.iter().find(|flight| flight.change.key == announced.service) else {
                return Ok(());
            };
            let status = DeploymentStatus {
                state: state(flight),
                description: &format!("{}: {}", word(flight), because(flight)),
                log_url: self.config.run_url.as_deref(),
                environment_url: announced.url.as_deref(),
            };
            github.create_deployment_status(announced.id, status).await
        }));
        closed.await.into_iter().filter_map(Result::err).map(Failure::from).collect()
    }

    /// The commit that the release is of.
    fn commit(&self) -> Option<CommitSha> {
        let entry = self.ledger.as_ref().and_then(|(_, entry)| entry.commit.as_ref());
        entry.or(self.config.commit.as_ref()).cloned()
    }

    /// What `post-entrypoint` would need is kept; without it the next run tidies up.
    fn note(&self, kept: Result<(), Failure>) {
        if let Err(failure) = kept {
            self.warn("the state for the post step is not kept", &failure);
        }
    }

    fn warn(&self, what: &str, failure: &Failure) {
        let message = format!("{what}: {failure}");
        self.edges.runner.annotate(&Annotation { level: Level::Warning, title: ACTION.name, message: &message });
    }
}

/// What the ledger gets at the start: where everything stands, and who begins.
fn first_word(config: &Config, facts: &Facts, plan: &Plan, edges: &Edges) -> Entry {
    let latest = facts.latest.as_ref();
    let mut services = latest.map(|latest| latest.services.clone()).unwrap_or_default();
    for change in plan.changes() {
        let Some(from) = &change.from else { continue };
        let is_known = services.get(&change.key).is_some_and(|placed| placed.task_definition == from.short());
        if !is_known {
            let placed = Placed { task_definition: from.short().to_owned(), image: None, commit: None };
            services.insert(change.key.clone(), placed);
        }
    }
    let restored = |entry: &Entry| entry.restores.unwrap_or(entry.release);
    let (commit, restores) = match (&config.operation, &facts.release) {
        (Operation::Deploy, _) => (config.commit.clone(), None),
        (Operation::Promote { .. }, Some(release)) => (release.commit.clone(), None),
        (Operation::Rollback { .. }, Some(release)) => (release.commit.clone(), Some(restored(release))),
        // What runs stays what it was.
        _ => (latest.and_then(|latest| latest.commit.clone()), latest.map(restored)),
    };
    Entry {
        release: latest.map_or(0, |latest| latest.release) + 1,
        operation: config.operation.name().to_owned(),
        outcome: DEPLOYING.to_owned(),
        commit,
        by: config.actor.clone(),
        run: config.run_url.clone(),
        at: edges.now(),
        restores,
        services,
    }
}

/// What a service runs since it was deployed.
fn placed(change: &Change, runs: &TaskDefinitionRevision, entry: &Entry) -> Placed {
    let before = entry.services.get(&change.key).filter(|before| before.task_definition == runs.short());
    let commit = match before {
        Some(before) => before.commit.clone(),
        None => change.commit.clone().or_else(|| entry.commit.clone()),
    };
    Placed { task_definition: runs.short().to_owned(), image: change.image.clone(), commit }
}

/// What is known of a revision that was not deployed now.
fn known(first: &Entry, change: &Change, runs: &TaskDefinitionRevision) -> Placed {
    let before = first.services.get(&change.key).filter(|before| before.task_definition == runs.short());
    before.cloned().unwrap_or_else(|| Placed { task_definition: runs.short().to_owned(), image: None, commit: None })
}

/// GitHub's word for how a service ended.
fn state(flight: &Flight) -> DeploymentState {
    match (&flight.fate, &flight.back) {
        (Fate::Deployed, Back::No) => DeploymentState::Success,
        (Fate::Paused { .. }, Back::No) => DeploymentState::InProgress,
        (Fate::Superseded { .. }, _) => DeploymentState::Inactive,
        (Fate::Broken(_) | Fate::Cancelled, _) => DeploymentState::Error,
        _ => DeploymentState::Failure,
    }
}
