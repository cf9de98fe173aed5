//! Doing it: register, start, follow, for several services side by side. Total: whatever happens on the way is an [`Outcome`],
//! never a `?`.

use std::time::Duration;

use common::aws::{Aws, LogStream, RunTask, Started, Task};
use common::edges::Edges;
use common::failure::{Failure, Kind};
use common::names::{ServiceKey, TaskDefinitionRevision};
use common::poll::{Ended, Judged, Pace, poll};
use futures_util::future::join_all;
use tokio::time::Instant;

use crate::config::Config;
use crate::ending::{Class, Database, Ending, Watched, judge};
use crate::follow::{ContainerLog, Follower};
use crate::known_errors::{Recovery, recovery};
use crate::plan::{Migration, Plan, Start, client_token};

/// How long ECS may take to know a task that it has just started (it is eventually consistent).
const UNKNOWN_FOR: Duration = Duration::from_secs(60);

/// How long room for a task is waited for.
const CAPACITY_WAIT: Duration = Duration::from_secs(300);

/// What came of a plan.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) migrations: Vec<MigrationOutcome>,
    pub(crate) took: Duration,
}

/// What came of one migration.
#[derive(Debug)]
pub(crate) struct MigrationOutcome {
    pub(crate) key: ServiceKey,
    /// The ARN of the task; `None` if it came to none.
    pub(crate) task: Option<String>,
    pub(crate) image: String,
    pub(crate) ending: Ending,
    /// The way out of what the migration tool said, if that is known.
    pub(crate) recovery: Option<Recovery>,
    pub(crate) logs: Vec<ContainerLog>,
    /// The page of the migration's log, for people.
    pub(crate) log_url: Option<String>,
    pub(crate) took: Duration,
}

/// Applies a plan: all migrations at once, for each has a database of its own.
pub(crate) async fn apply(config: &Config, plan: Plan, aws: &Aws, edges: &Edges) -> Outcome {
    let session = Session { config, aws, edges, began: Instant::now() };
    let migrations = join_all(plan.migrations.iter().map(|migration| session.migrate(migration))).await;
    Outcome { migrations, took: session.began.elapsed() }
}

/// What all migrations of a run share.
struct Session<'a> {
    config: &'a Config,
    aws: &'a Aws,
    edges: &'a Edges,
    began: Instant,
}

impl Session<'_> {
    async fn migrate(&self, migration: &Migration) -> MigrationOutcome {
        let began = Instant::now();
        let started = match &migration.start {
            Start::Follow(task) => Ok((**task).clone()),
            Start::Blocked(task) => Err(blocked(task)),
            Start::New { earlier } => self.start(migration, *earlier).await,
        };
        let mut outcome = match started {
            Ok(task) => self.follow(migration, &task).await,
            Err(ending) => MigrationOutcome {
                key: migration.key.clone(),
                task: None,
                image: migration.image(),
                ending,
                recovery: None,
                logs: Vec::new(),
                log_url: None,
                took: Duration::ZERO,
            },
        };
        outcome.took = began.elapsed();
        let Ending { class, why, .. } = &outcome.ending;
        self.edges.runner.say(format!("{}: {} ({}): {why}", migration.key, class.result(), class.word()));
        outcome
    }

    /// Starts the task: at most one RegisterTaskDefinition, and RunTask until ECS has room for it.
    async fn start(&self, migration: &Migration, earlier: usize) -> Result<Task, Ending> {
        if self.edges.stop.is_raised() {
            return Err(Ending::new(Class::NotStarted, "cancelled before the task was started"));
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
                        return Ok(Judged::Done(Err(Ending::new(
                            Class::Refused,
                            format!("ECS started no task: {reasons}"),
                        ))));
                    }
                    self.edges
                        .runner
                        .say(format!("{}: no room for the task yet ({reasons}), asking again", migration.key));
                    // With the same token ECS may repeat its answer.
                    number += 1;
                    Ok(Judged::Wait)
                }
            }
        };
        let pace = Pace { every: Duration::from_secs(15), limit: CAPACITY_WAIT.min(self.left()), patience: 0 };
        match poll(pace, &self.edges.stop, look).await {
            Ok(Ended::Done(started)) => started,
            Ok(Ended::TimedOut) => {
                Err(Ending::new(Class::Capacity, format!("ECS had no room for the task: {reasons}")))
            }
            Ok(Ended::Cancelled) => Err(Ending::new(Class::NotStarted, "cancelled before the task was started")),
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
        let tasks = self.aws.ecs.tasks_of_family(&self.config.cluster, &migration.family).await.unwrap_or_default();
        let is_ours =
            |task: &Task| task.started_by.as_ref() == Some(&migration.started_by) && task.desired_status != "STOPPED";
        tasks.into_iter().find(is_ours).ok_or_else(|| Ending {
            hint: failure.hint,
            ..Ending::new(Class::Lost, format!("whether a task was started is not known: {:#}", failure.error))
        })
    }

    /// Follows a task to its end.
    async fn follow(&self, migration: &Migration, task: &Task) -> MigrationOutcome {
        let key = migration.key.as_str();
        let log = LogStream::of_container(&migration.definition, migration.container.as_str(), task.id());
        let log_url = log.map(|log| self.aws.log_url(&log.group, &log.stream));
        let is_known = matches!(migration.start, Start::Follow(_));
        let verb = if is_known { "following" } else { "started" };
        self.edges.runner.say(format!("{key}: {verb} task {}", task.id()));
        if let Some(url) = &log_url {
            self.edges.runner.say(format!("{key}: its log: {url}"));
        }
        let mut follower = Follower::new(self.aws, self.edges, key, &migration.definition, task.id());
        let mut ending = self.watch(migration, task, &mut follower).await;
        match ending.class {
            Class::TimedOut | Class::Cancelled | Class::Lost => drop(follower.relay().await),
            class if class.database() == Database::Untouched => {}
            _ => follower.drain().await,
        }
        let logs = follower.into_logs();
        if ending.class == Class::AppExit
            && let Some(line) = last_line(&logs, migration.container.as_str())
        {
            ending.why += &format!("; its last line: {line}");
        }
        let is_good = ending.class == Class::Success;
        let lines = logs.iter().flat_map(|log| &log.lines).map(String::as_str);
        MigrationOutcome {
            key: migration.key.clone(),
            task: Some(task.arn.clone()),
            image: migration.image(),
            ending,
            recovery: if is_good { None } else { recovery(lines) },
            logs,
            log_url,
            took: Duration::ZERO,
        }
    }

    async fn watch(&self, migration: &Migration, task: &Task, follower: &mut Follower<'_>) -> Ending {
        let began = Instant::now();
        let watched = Watched::new(&migration.definition, &migration.container);
        let arn = [task.arn.clone()];
        let mut said = String::new();
        let look = async || {
            let seen = self.aws.ecs.describe_tasks(&self.config.cluster, &arn).await?;
            let Some(task) = seen.first() else {
                let lost = Ending::new(Class::Lost, format!("ECS does not know task {} any more", task.id()));
                return Ok(if began.elapsed() < UNKNOWN_FOR { Judged::Wait } else { Judged::Done(lost) });
            };
            if task.last_status != said {
                self.edges.runner.say(format!("{}: {}", migration.key, task.last_status));
                said = task.last_status.clone();
            }
            follower.relay().await;
            Ok(judge(&watched, task))
        };
        match poll(Pace::until(self.left()), &self.edges.stop, look).await {
            Ok(Ended::Done(ending)) => ending,
            Ok(Ended::TimedOut) => {
                let limit = common::duration::human(self.config.timeout);
                Ending::new(Class::TimedOut, format!("task {} did not end within {limit}", task.id()))
            }
            Ok(Ended::Cancelled) => {
                Ending::new(Class::Cancelled, format!("cancelled while task {} was running", task.id()))
            }
            Err(failure) => {
                let why = format!("task {} can be watched no longer: {:#}", task.id(), failure.error);
                Ending { hint: failure.hint, ..Ending::new(Class::Lost, why) }
            }
        }
    }

    fn left(&self) -> Duration {
        self.config.timeout.saturating_sub(self.began.elapsed())
    }
}

/// The last thing that a container said, at most so much of it as fits into an annotation beside the rest.
fn last_line(logs: &[ContainerLog], container: &str) -> Option<String> {
    let log = logs.iter().find(|log| log.container == container)?;
    let line = log.lines.iter().rev().map(|line| line.trim()).find(|line| !line.is_empty())?;
    Some(line.chars().take(300).collect())
}

fn blocked(task: &Task) -> Ending {
    let by = task.started_by.as_deref().unwrap_or("somebody");
    Ending::new(
        Class::AlreadyRunning,
        format!("task {} (started by `{by}`) is migrating already; no other one was started", task.id()),
    )
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
