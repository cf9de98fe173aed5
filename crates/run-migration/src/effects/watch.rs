//! Following a task to its end, or to the moment in which this run has to let go of it.

use std::time::Duration;

use common::aws::{LogStream, Task};
use common::duration::human;
use common::failure::Failure;
use common::poll::{Ended, Judged, Pace, poll, within};
use tokio::time::Instant;

use super::log::{ContainerLog, Follower};
use super::{MigrationOutcome, Session};
use crate::class::{Class, Database};
use crate::ending::{Ending, Watched, judge};
use crate::inputs::OnCancel;
use crate::known_errors::recovery;
use crate::plan::{Migration, Start};

/// How long ECS may take to know a task that it has just started (it is eventually consistent).
const UNKNOWN_FOR: Duration = Duration::from_secs(60);

/// The runner kills a cancelled step after ten seconds: the one request that matters has two of them, the log's last look one.
pub(super) const LAST_CALL: Duration = Duration::from_secs(2);
const LAST_LOOK: Duration = Duration::from_secs(1);

/// A container has at most 120 s from SIGTERM to SIGKILL on Fargate (`stopTimeout`), and ECS some time to notice.
const STOPPING: Duration = Duration::from_secs(150);

impl Session<'_> {
    /// Follows a task to its end.
    pub(super) async fn follow(&self, migration: &Migration, task: &Task) -> MigrationOutcome {
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
        let watched = self.watch(migration, task, &mut follower).await;
        let (mut ending, has_to_stop) = self.let_go(migration, task, watched, &mut follower).await;
        match ending.class {
            // Nobody waits for a task that goes on.
            Class::TimedOut | Class::Cancelled | Class::Lost => drop(within(LAST_LOOK, follower.relay()).await),
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
            task: Some(task.arn.clone()),
            recovery: if is_good { None } else { recovery(lines) },
            has_to_stop,
            logs,
            log_url,
            ..MigrationOutcome::without_task(migration, ending)
        }
    }

    async fn watch(&self, migration: &Migration, task: &Task, follower: &mut Follower<'_>) -> Ending {
        let looked = self.look_until(self.left(), migration, task, follower);
        // A look that hangs must not keep a cancelled run from its last call.
        match self.edges.stop.unless_raised(looked).await.unwrap_or(Ok(Ended::Cancelled)) {
            Ok(Ended::Done(ending)) => ending,
            Ok(Ended::TimedOut) => {
                let limit = human(self.config.timeout);
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

    pub(super) async fn look_until(
        &self,
        limit: Duration,
        migration: &Migration,
        task: &Task,
        follower: &mut Follower<'_>,
    ) -> Result<Ended<Ending>, Failure> {
        let began = Instant::now();
        let watched = Watched::new(&migration.definition, &migration.container);
        let arn = [task.arn.clone()];
        let mut said = String::new();
        let look = async || {
            let seen = self.aws.ecs.describe_tasks(&self.config.cluster, &arn).await?;
            let Some(seen) = seen.first() else {
                return match began.elapsed() < UNKNOWN_FOR {
                    true => Ok(Judged::Wait),
                    false => self.look_elsewhere(migration, task, &watched).await.map(Judged::Done),
                };
            };
            if seen.last_status != said {
                self.edges.runner.say(format!("{}: {}", migration.key, seen.last_status));
                said = seen.last_status.clone();
            }
            follower.relay().await;
            Ok(judge(&watched, seen))
        };
        poll(Pace::until(limit), &self.edges.stop, look).await
    }

    /// A task that DescribeTasks does not show may be listed all the same.
    async fn look_elsewhere(&self, migration: &Migration, task: &Task, watched: &Watched) -> Result<Ending, Failure> {
        let listed = self.aws.ecs.tasks_of_family(&self.config.cluster, &migration.family).await?;
        let found = listed.iter().find(|listed| listed.arn == task.arn).map(|listed| judge(watched, listed));
        Ok(match found {
            Some(Judged::Done(ending)) => ending,
            _ => Ending::new(Class::Lost, format!("ECS does not know task {} any more", task.id())),
        })
    }

    /// What becomes of a task that runs on when this run has to end: left alone, or stopped. Also whether it has to be stopped still.
    async fn let_go(
        &self,
        migration: &Migration,
        task: &Task,
        ending: Ending,
        follower: &mut Follower<'_>,
    ) -> (Ending, bool) {
        let reason = match ending.class {
            Class::TimedOut => "out of time",
            Class::Cancelled => "cancelled",
            _ => return (ending, false),
        };
        if self.config.on_cancel == OnCancel::Detach {
            return (ending, false);
        }
        let reason = format!(
            "run-migration: {reason}{}",
            self.config.run_url.as_ref().map(|url| format!(", {url}")).unwrap_or_default()
        );
        let asked = self.aws.ecs.stop_task(&self.config.cluster, &task.arn, &reason);
        let told = match within(LAST_CALL, asked).await {
            Some(told) => told,
            None => Err(Failure::remote("the request to stop it was not answered in time")),
        };
        if let Err(failure) = told {
            let why = format!("{}, and it could not be stopped: {:#}", ending.why, failure.error);
            return (Ending { why, ..ending }, true);
        }
        let hint = "look at what was applied: the migration tool's own status command tells; then run again";
        let stopped =
            Ending { why: format!("{}; it was told to stop", ending.why), hint: Some(hint.to_owned()), ..ending };
        if self.edges.stop.is_raised() {
            return (stopped, false);
        }
        match self.look_until(STOPPING, migration, task, follower).await {
            // It came to its own end before it was told to.
            Ok(Ended::Done(own)) if own.class != Class::Stopped => (own, false),
            Ok(Ended::Done(own)) => {
                follower.drain().await;
                (Ending { exit_code: own.exit_code, ..stopped }, false)
            }
            Ok(Ended::TimedOut | Ended::Cancelled) | Err(_) => (stopped, false),
        }
    }
}

/// The last thing that a container said, at most so much of it as fits into an annotation beside the rest.
fn last_line(logs: &[ContainerLog], container: &str) -> Option<String> {
    let log = logs.iter().find(|log| log.container == container)?;
    let line = log.lines.iter().rev().map(|line| line.trim()).find(|line| !line.is_empty())?;
    Some(line.chars().take(300).collect())
}
