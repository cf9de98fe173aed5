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

impl Session<'_> {
    /// Starts the task: at most one RegisterTaskDefinition, and RunTask until ECS has room for it.
    pub(super) async fn start(&self, migration: &Migration, earlier: usize) -> Result<Task, Ending> {
        let cancelled = || Ending::new(Class::NotStarted, "cancelled before the task was started");
        if self.edges.stop.is_raised() {
            return Err(cancelled());
        }
        let revision = match &migration.revision {
            Some(revision) => revision.clone(),
            None => self.aws.ecs.register_task_definition(&migration.definition).await.map_err(refused)?.0,
        };
        let mut number = earlier;
        let mut reasons = String::new();
        let look = async || {
            let task = self.run_task(migration, &revision, number);
            match self.aws.ecs.run_task(&task).await? {
                Started::Task(task) => Ok(Judged::Done(Ok(*task))),
                Started::Refused(refusals) => {
                    reasons = refusals.join("; ");
                    if !is_for_want_of_room(&refusals) {
                        let why = format!("ECS started no task: {reasons}");
                        return Ok(Judged::Done(Err(Ending::new(Class::Refused, why))));
                    }
                    let waiting = format!("{}: no room for the task yet ({reasons}), asking again", migration.key);
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
                self.find_started(migration, unanswered).await
            }
            Ok(Ended::TimedOut) => {
                Err(Ending::new(Class::Capacity, format!("ECS had no room for the task: {reasons}")))
            }
            Ok(Ended::Cancelled) => Err(cancelled()),
            Err(failure) if failure.kind == Kind::Remote => self.find_started(migration, failure).await,
            Err(failure) => Err(refused(failure)),
        }
    }

    fn run_task(&self, migration: &Migration, revision: &TaskDefinitionRevision, number: usize) -> RunTask {
        RunTask {
            cluster: self.config.cluster.clone(),
            task_definition: revision.clone(),
            network: migration.network.clone(),
            launch_type: migration.launch_type.clone(),
            capacity_providers: migration.capacity_providers.clone(),
            platform_version: migration.platform_version.clone(),
            container: migration.container.clone(),
            command: migration.command.clone(),
            environment: Vec::new(),
            started_by: migration.started_by.clone(),
            client_token: client_token(&self.config.run, &migration.started_by, number),
            tags: Vec::new(),
        }
    }

    /// RunTask had no answer: its task may run all the same.
    async fn find_started(&self, migration: &Migration, failure: Failure) -> Result<Task, Ending> {
        let lost = |failure: Failure| Ending {
            hint: failure.hint,
            ..Ending::new(Class::Lost, format!("whether a task was started is not known: {:#}", failure.error))
        };
        let tasks = self.aws.ecs.tasks_of_family(&self.config.cluster, &migration.family).await.map_err(&lost)?;
        let is_ours =
            |task: &Task| task.started_by.as_ref() == Some(&migration.started_by) && task.desired_status != "STOPPED";
        tasks.into_iter().find(is_ours).ok_or_else(|| lost(failure))
    }
}

/// The ending of a migration that somebody else's task is at already.
pub(super) fn blocked(task: &Task) -> Ending {
    let by = task.started_by.as_deref().unwrap_or("somebody");
    let why = format!("task {} (started by `{by}`) is migrating already; no other one was started", task.id());
    Ending::new(Class::AlreadyRunning, why)
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
