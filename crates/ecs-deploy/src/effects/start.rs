//! Starting: at most one RegisterTaskDefinition and exactly one UpdateService a service, for each UpdateService may be a
//! deployment of its own.

use std::sync::Mutex;
use std::time::Duration;

use common::aws::{Deployment, Service, Update};
use common::failure::Failure;
use common::names::{ServiceKey, TaskDefinitionRevision};
use common::poll::{Ended, Judged, Pace, pause, poll};
use common::runner::{Annotation, Level};
use common::task_definition::comparable;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::record::Record;
use super::{Fate, Flight, Release};
use crate::ACTION;
use crate::diff::differences;
use crate::plan::Step;
use crate::rollout::Rollout;

/// ECS takes a burst of 20 registrations, then one a second, from a whole account
/// (<https://docs.aws.amazon.com/AmazonECS/latest/APIReference/request-throttling.html>). Half of the burst is ours.
const BURST: u32 = 10;

/// How long a call is repeated that ECS throttles, or that speaks of a task definition that is not known everywhere yet.
const PATIENCE: Pace = Pace { every: Duration::from_secs(2), limit: Duration::from_secs(90), patience: 45 };

/// Registrations, no faster than ECS takes them.
pub(super) struct Bucket(Mutex<(u32, Option<Instant>)>);

impl Bucket {
    pub(super) fn full() -> Self {
        Self(Mutex::new((BURST, None)))
    }

    /// When the next one may go.
    fn next(&self) -> Duration {
        let mut state = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (left, last) = *state;
        let now = Instant::now();
        if left > 0 {
            *state = (left - 1, last);
            return Duration::ZERO;
        }
        let at = last.map_or(now, |last| last.max(now)) + Duration::from_secs(1);
        *state = (0, Some(at));
        at - now
    }
}

impl Release<'_> {
    /// Registers every task definition of the release: one that ECS refuses is known before any service changes.
    pub(super) async fn register_all(&self, flights: &mut [Flight]) {
        let registered = flights.iter_mut().map(|flight| async {
            let definition = match &flight.change.step {
                Step::Register(definition) | Step::Create { definition, .. } => definition.clone(),
                Step::Keep | Step::Attach(_) | Step::Restart | Step::Deploy(_) | Step::Scale(_) => return,
            };
            match self.register(flight, &definition).await {
                Ok(revision) => flight.to = Some(revision),
                Err(failure) => flight.fate = Fate::Broken(failure),
            }
        });
        join_all(registered).await;
    }

    /// Starts every deployment of a wave, side by side.
    pub(super) async fn start_all(&self, flights: Vec<&mut Flight>, record: &mut Record<'_>) {
        let started = join_all(flights.into_iter().map(|flight| async {
            match self.start(flight).await {
                Ok(fate) => flight.fate = fate,
                Err(failure) => flight.fate = Fate::Broken(failure),
            }
            flight
        }));
        record.started(started.await.into_iter().map(|flight| &*flight)).await;
    }

    async fn start(&self, flight: &mut Flight) -> Result<Fate, Failure> {
        let change = flight.change.clone();
        let (update, to) = match change.step {
            Step::Keep => return Ok(Fate::Unchanged),
            Step::Attach(deployment) => {
                flight.to.clone_from(&change.from);
                self.follow(flight, &deployment);
                return Ok(Fate::Going);
            }
            Step::Scale(desired) => {
                flight.to.clone_from(&change.from);
                (Update { desired_count: Some(desired), ..Update::default() }, change.from)
            }
            Step::Restart => (Update { force: true, ..Update::default() }, change.from),
            Step::Deploy(revision) => (Update::default(), Some(revision)),
            Step::Register(_) => (Update::default(), flight.to.clone()),
            Step::Create { mut service, .. } => {
                service["taskDefinition"] = json!(flight.to);
                let service = self.patiently(async || self.aws.ecs.create_service(&service).await).await?;
                self.updated(flight, &service)?;
                return Ok(Fate::Going);
            }
        };
        flight.to.clone_from(&to);
        let is_scaling = update.desired_count.is_some();
        let update =
            Update { task_definition: to.filter(|_| !is_scaling), configuration: change.configuration, ..update };
        let service = self.update(flight, &update).await?;
        match is_scaling {
            true => {
                flight.phase(self.began.elapsed(), "updated");
                self.edges.runner.say(format!("{}: {} tasks are wanted", flight.change.key, service.desired));
            }
            false => self.updated(flight, &service)?,
        }
        Ok(Fate::Going)
    }

    /// The revision of this task definition: the family's newest, if that is the same already (an earlier run was cut off
    /// between registering and updating), else a new one.
    async fn register(&self, flight: &mut Flight, definition: &Value) -> Result<TaskDefinitionRevision, Failure> {
        let family = definition["family"].as_str().unwrap_or_default();
        let key = &flight.change.key;
        let wait = self.registrations.next();
        if !wait.is_zero() && !pause(wait, &self.edges.stop).await {
            return Err(Failure::cancelled("the run was cancelled before the task definition was registered"));
        }
        let revision = self
            .patiently(async || {
                if let Some(latest) = self.aws.ecs.latest_task_definition(family).await?
                    && comparable(&latest) == comparable(definition)
                {
                    let arn = latest["taskDefinitionArn"].as_str().unwrap_or_default();
                    return arn.parse().map_err(Failure::remote);
                }
                let (revision, registered) = self.aws.ecs.register_task_definition(definition).await?;
                self.tell_what_is_lost(key, definition, &registered);
                Ok(revision)
            })
            .await?;
        self.edges.runner.say(format!("{key}: {} is registered", revision.short()));
        flight.phase(self.began.elapsed(), "registered");
        Ok(revision)
    }

    /// ECS leaves out members that it does not know without a word.
    fn tell_what_is_lost(&self, key: &ServiceKey, definition: &Value, registered: &Value) {
        let lost: Vec<String> = differences(definition, registered)
            .into_iter()
            .filter(|difference| difference.to.is_none())
            .map(|difference| format!("`{}`", difference.path))
            .collect();
        if !lost.is_empty() {
            let message = format!("{key}: ECS did not keep {} of the task definition", lost.join(", "));
            self.edges.runner.annotate(&Annotation { level: Level::Warning, title: ACTION.name, message: &message });
        }
    }

    /// One UpdateService. Where its answer was lost, the service shows whether it was carried out.
    async fn update(&self, flight: &Flight, update: &Update) -> Result<Service, Failure> {
        let (cluster, name) = (&self.config.cluster, &flight.change.service);
        let mut is_repeated = false;
        self.patiently(async || {
            if std::mem::replace(&mut is_repeated, true) {
                let services = self.aws.ecs.describe_services(cluster, &[name]).await?;
                let carried_out = services.into_iter().find(|service| is_carried_out(flight, update, service));
                if let Some(service) = carried_out {
                    return Ok(service);
                }
            }
            self.aws.ecs.update_service(cluster, name, update).await
        })
        .await
    }

    fn updated(&self, flight: &mut Flight, service: &Service) -> Result<(), Failure> {
        let deployment = service.primary().cloned().ok_or_else(|| {
            Failure::remote(format!(
                "ECS took the update of `{}` and shows no deployment for it",
                flight.change.service
            ))
        })?;
        self.follow(flight, &deployment);
        Ok(())
    }

    fn follow(&self, flight: &mut Flight, deployment: &Deployment) {
        let to = flight.to.as_ref().map_or(deployment.task_definition.as_str(), |to| to.short());
        self.edges.runner.say(format!(
            "{}: deploying {} ({})",
            flight.change.key,
            to.rsplit('/').next().unwrap_or(to),
            deployment.id
        ));
        flight.phase(self.began.elapsed(), "updated");
        flight.rollout = Some(Rollout {
            deployment: deployment.id.clone(),
            since: deployment.created_at,
            to: deployment.task_definition.clone(),
            good: flight.change.completed.as_ref().map(ToString::to_string),
        });
    }

    /// Repeats a call that is throttled, or that meets an outage, for a while.
    pub(super) async fn patiently<T>(&self, mut call: impl AsyncFnMut() -> Result<T, Failure>) -> Result<T, Failure> {
        match poll(PATIENCE, &self.edges.stop, async || call().await.map(Judged::Done)).await? {
            Ended::Done(answer) => Ok(answer),
            Ended::Cancelled => Err(Failure::cancelled("the run was cancelled before the call was answered")),
            Ended::TimedOut => Err(Failure::remote("ECS did not take the call in time")),
        }
    }
}

/// Whether the service shows what an update asked for, by a deployment that was not there before.
fn is_carried_out(flight: &Flight, update: &Update, service: &Service) -> bool {
    let is_new = service.primary().is_some_and(|primary| Some(&primary.id) != flight.change.primary.as_ref());
    match (&update.task_definition, update.desired_count) {
        (_, Some(desired)) => u32::try_from(service.desired) == Ok(desired),
        (Some(revision), None) => is_new && service.task_definition == revision.as_str(),
        (None, None) => is_new,
    }
}
