//! Starting a task: at most one that runs, whatever answers get lost on the way.

use std::time::Duration;

use common::aws::{RunTask, Started, Task};
use common::failure::{Failure, Kind};
use common::names::TaskDefinitionRevision;
use common::poll::{Ended, Judged, Pace, poll};

use super::Session;
use crate::class::Class;
use crate::ending::Ending;
use crate::plan::{Migration, client_token};

/// How long room for a task is waited for.
const CAPACITY_WAIT: Duration = Duration::from_secs(300);

/// How many more times a request is made that was throttled, or had no answer. Its token has ECS start nothing twice.
const PATIENCE: u32 = 5;

/// A task to be started: the migration itself, or the question that comes before it.
pub(super) struct Errand<'a> {
    pub(super) migration: &'a Migration,
    pub(super) revision: &'a TaskDefinitionRevision,
    pub(super) command: &'a [String],
    /// What it is found by.
    pub(super) started_by: String,
}

impl Session<'_> {
    /// What the tasks of a migration are started from: at most one RegisterTaskDefinition.
    pub(super) async fn register(&self, migration: &Migration) -> Result<TaskDefinitionRevision, Ending> {
        if self.edges.stop.is_raised() {
            return Err(cancelled());
        }
        match &migration.revision {
            Some(revision) => Ok(revision.clone()),
            None => Ok(self.aws.ecs.register_task_definition(&migration.definition).await.map_err(refused)?.0),
        }
    }

    /// Starts a task: RunTask until ECS has room for it. So many of the same have failed before.
    pub(super) async fn start(&self, errand: &Errand<'_>, earlier: usize) -> Result<Task, Ending> {
        if self.edges.stop.is_raised() {
            return Err(cancelled());
        }
        let key = &errand.migration.key;
        let mut number = earlier;
        let mut reasons = String::new();
        let look = async || {
            let task = self.run_task(errand, number);
            match self.aws.ecs.run_task(&task).await? {
                Started::Task(task) => Ok(Judged::Done(Ok(*task))),
                Started::Refused(refusals) => {
                    reasons = refusals.join("; ");
                    if !is_for_want_of_room(&refusals) {
                        let why = format!("ECS started no task: {reasons}");
                        return Ok(Judged::Done(Err(Ending::new(Class::Refused, why))));
                    }
                    let waiting = format!("{key}: no room for the task yet ({reasons}), asking again");
                    self.edges.runner.say(waiting);
                    // With the same token ECS may repeat its answer.
                    number += 1;
                    Ok(Judged::Wait)
                }
            }
        };
        let limit = CAPACITY_WAIT.min(self.left());
        let pace = Pace { every: Duration::from_secs(15), limit, patience: PATIENCE };
        match poll(pace, &self.edges.stop, look).await {
            Ok(Ended::Done(started)) => started,
            Ok(Ended::TimedOut) if reasons.is_empty() => {
                let unanswered = Failure::remote("no request to start it was answered in time");
                self.find_started(errand, unanswered).await
            }
            Ok(Ended::TimedOut) => {
                Err(Ending::new(Class::Capacity, format!("ECS had no room for the task: {reasons}")))
            }
            Ok(Ended::Cancelled) => Err(cancelled()),
            Err(failure) if failure.kind == Kind::Remote => self.find_started(errand, failure).await,
            Err(failure) => Err(refused(failure)),
        }
    }

    fn run_task(&self, errand: &Errand<'_>, number: usize) -> RunTask {
        let Errand { migration, revision, command, started_by } = errand;
        RunTask {
            cluster: self.config.cluster.clone(),
            task_definition: (*revision).clone(),
            network: migration.network.clone(),
            launch_type: migration.launch_type.clone(),
            capacity_providers: migration.capacity_providers.clone(),
            platform_version: migration.platform_version.clone(),
            container: migration.container.clone(),
            command: command.to_vec(),
            environment: Vec::new(),
            started_by: started_by.clone(),
            client_token: client_token(&self.config.run, started_by, number),
            tags: Vec::new(),
        }
    }

    /// RunTask had no answer: its task may run all the same.
    async fn find_started(&self, errand: &Errand<'_>, failure: Failure) -> Result<Task, Ending> {
        let lost = |failure: Failure| Ending {
            hint: failure.hint,
            ..Ending::new(Class::Lost, format!("whether a task was started is not known: {:#}", failure.error))
        };
        let family = &errand.migration.family;
        let tasks = self.aws.ecs.tasks_of_family(&self.config.cluster, family).await.map_err(&lost)?;
        let is_ours =
            |task: &Task| task.started_by.as_ref() == Some(&errand.started_by) && task.desired_status != "STOPPED";
        tasks.into_iter().find(is_ours).ok_or_else(|| lost(failure))
    }
}

/// The ending of a migration that somebody else's task is at already.
pub(super) fn blocked(task: &Task) -> Ending {
    let by = task.started_by.as_deref().unwrap_or("somebody");
    let why = format!("task {} (started by `{by}`) is migrating already; no other one was started", task.id());
    Ending::new(Class::AlreadyRunning, why)
}

fn cancelled() -> Ending {
    Ending::new(Class::NotStarted, "cancelled before the task was started")
}

fn refused(failure: Failure) -> Ending {
    Ending { hint: failure.hint, ..Ending::new(Class::Refused, format!("no task was started: {:#}", failure.error)) }
}

/// Whether ECS may have room later. <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/api_failures_messages.html>
fn is_for_want_of_room(reasons: &[String]) -> bool {
    let is_transient =
        |reason: &String| ["RESOURCE:", "AGENT", "Capacity is unavailable"].iter().any(|sign| reason.starts_with(sign));
    !reasons.is_empty() && reasons.iter().all(is_transient)
}
