//! Who is told of the release: the ledger at its start and its end, and GitHub with one deployment per environment and service.
//! Neither ever stops a deployment: what cannot be written is a warning that names the permission.

use common::aws::Aws;
use common::edges::Edges;
use common::failure::Failure;
use common::github::{DeploymentState, DeploymentStatus, GitHub, NewDeployment, Refused, environment_of};
use common::ledger::{DEPLOYING, Entry, Ledger, Placed};
use common::names::{CommitSha, EnvironmentName, TaskDefinitionRevision};
use common::runner::{Annotation, Level};
use futures_util::future::join_all;

use super::{Back, Fate, Flight};
use crate::ACTION;
use crate::config::{Config, Operation};
use crate::facts::Facts;
use crate::plan::{Change, Plan, Step};
use crate::state::{self, Announced};
use crate::words::{because, outcome, word};

/// Who is told of the release.
pub(super) struct Record<'a> {
    config: &'a Config,
    edges: &'a Edges,
    /// The ledger, and what was written into it at the start.
    ledger: Option<(Ledger, Entry)>,
    /// What the ledger said before.
    latest: Option<Entry>,
    github: Option<(GitHub, EnvironmentName)>,
    announced: Vec<Announced>,
    /// GitHub refused once, and is told of nothing new.
    is_refused: bool,
}

impl<'a> Record<'a> {
    /// Writes down that a release begins, and where everything stands.
    pub(super) async fn begin(config: &'a Config, facts: &Facts, plan: &Plan, aws: &Aws, edges: &'a Edges) -> Self {
        let github = edges.github(&config.github_token).zip(config.environment.clone());
        let latest = facts.latest.clone();
        let mut record = Self { config, edges, ledger: None, latest, github, announced: Vec::new(), is_refused: false };
        if let (Some(product), Some(environment)) = (&config.product, &config.environment)
            && facts.is_ledger_known
        {
            let ledger = Ledger::of(&aws.ssm, product, environment);
            let entry = first_word(config, facts, plan, edges);
            // Kept before it is written: a run that is killed has a post step as well.
            record.note(state::release(edges, entry.release));
            match ledger.write(&entry).await {
                Ok(()) => record.ledger = Some((ledger, entry)),
                Err(failure) => record.warn("the release is not written into the ledger", &failure),
            }
        }
        record
    }

    /// Tells GitHub of what has begun.
    pub(super) async fn started(&mut self, flights: impl Iterator<Item = &Flight>) {
        let begun: Vec<&Flight> = flights.filter(|flight| flight.is_touched()).collect();
        let (Some((github, environment)), Some(commit), false) = (&self.github, self.commit(), self.is_refused) else {
            return;
        };
        let before = self.announced.len();
        self.announced.extend(begun.iter().map(|flight| Announced {
            service: flight.change.key.clone(),
            id: None,
            url: flight.change.url.clone(),
        }));
        self.note(state::announced(self.edges, &self.announced));
        let created = join_all(begun.iter().map(|flight| self.announce(github, environment, &commit, flight)));
        let Some(created) = self.edges.stop.unless_raised(created).await else { return };
        let mut refused = None;
        for (announced, (id, answered)) in self.announced.iter_mut().skip(before).zip(created) {
            announced.id = id;
            refused = refused.or(answered.err());
        }
        if let Some(refused) = refused {
            self.is_refused = true;
            self.announced.retain(|announced| announced.id.is_some());
            self.warn("GitHub shows no deployment", &Failure::from(refused));
        }
        self.note(state::announced(self.edges, &self.announced));
    }

    /// Has GitHub show that a service is being deployed. Answers the deployment's id, as soon as there is one.
    async fn announce(
        &self,
        github: &GitHub,
        environment: &EnvironmentName,
        commit: &CommitSha,
        flight: &Flight,
    ) -> (Option<u64>, Result<(), Refused>) {
        let (key, task) = (&flight.change.key, self.config.operation.name());
        let deployment = NewDeployment {
            reference: flight.change.commit.as_ref().unwrap_or(commit),
            environment: &environment_of(environment, key),
            task,
            description: &format!("{task} of {key} in {environment}"),
            production: environment.as_str().starts_with("prod"),
            payload: state::mark(self.edges),
        };
        let id = match github.create_deployment(&deployment).await {
            Ok(id) => id,
            Err(refused) => return (None, Err(refused)),
        };
        let status = DeploymentStatus {
            state: DeploymentState::InProgress,
            description: "",
            log_url: self.config.run_url.as_deref(),
            environment_url: flight.change.url.as_deref(),
        };
        (Some(id), github.create_deployment_status(id, status).await)
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
        // A deployment whose id never came is for `post-entrypoint` to look up.
        if self.announced.iter().all(|announced| announced.id.is_some()) {
            self.note(state::ended(self.edges));
        }
    }

    async fn last_word(&self, flights: &[Flight]) -> Result<(), Failure> {
        let Some((ledger, first)) = &self.ledger else { return Ok(()) };
        let mut entry = Entry { outcome: outcome(flights).to_owned(), at: self.edges.now(), ..first.clone() };
        for flight in flights {
            let Some(runs) = flight.runs() else { continue };
            let is_new = flight.is_touched() && flight.to.as_ref() == Some(&runs) && flight.back == Back::No;
            let placed = match is_new {
                true => placed(&flight.change, &runs, &entry),
                false => self.known(first, &flight.change, &runs),
            };
            entry.services.insert(flight.change.key.clone(), placed);
        }
        ledger.write(&entry).await
    }

    /// What is known of a revision that was not deployed now.
    fn known(&self, first: &Entry, change: &Change, runs: &TaskDefinitionRevision) -> Placed {
        let entries = [Some(first), self.latest.as_ref()].into_iter().flatten();
        let mut known = entries.filter_map(|entry| entry.services.get(&change.key));
        let known = known.find(|placed| placed.task_definition == runs.short()).cloned();
        known.unwrap_or_else(|| Placed { task_definition: runs.short().to_owned(), image: None, commit: None })
    }

    async fn close(&self, flights: &[Flight]) -> Vec<Failure> {
        let Some((github, _)) = &self.github else { return Vec::new() };
        let closed = join_all(self.announced.iter().map(|announced| async {
            let flight = flights.iter().find(|flight| flight.change.key == announced.service);
            let (Some(flight), Some(id)) = (flight, announced.id) else { return Ok(()) };
            let status = DeploymentStatus {
                state: state(flight),
                description: &format!("{}: {}", word(flight), because(flight)),
                log_url: self.config.run_url.as_deref(),
                environment_url: announced.url.as_deref(),
            };
            github.create_deployment_status(id, status).await
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
            let task_definition = from.short().to_owned();
            let is_wanted = matches!(change.step, Step::Keep)
                && matches!(config.operation, Operation::Deploy | Operation::Promote { .. });
            let placed = match is_wanted {
                // Another run brought it here, and did not live to write that down.
                true => Placed { task_definition, image: change.image.clone(), commit: change.commit.clone() },
                false => Placed { task_definition, image: None, commit: None },
            };
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
        // What runs already was built from the commit that it is known by; of what an earlier run left, this one knows.
        Some(before) => before.commit.clone().or_else(|| change.commit.clone()),
        None => change.commit.clone().or_else(|| entry.commit.clone()),
    };
    Placed { task_definition: runs.short().to_owned(), image: change.image.clone(), commit }
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
