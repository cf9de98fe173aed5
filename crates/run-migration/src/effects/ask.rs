//! Asking a migration tool whether any is pending: its own status command, in a task of its own. Only a clear no saves the backup
//! and the migration's task. Whatever else happens, some may be pending.

use std::collections::BTreeMap;
use std::time::Duration;

use common::aws::Task;
use common::duration::human;
use common::names::{ServiceKey, TaskDefinitionRevision};
use common::poll::{Ended, within};
use futures_util::future::join_all;

use super::Session;
use super::log::Follower;
use super::start::Errand;
use super::watch::LAST_CALL;
use crate::class::Class;
use crate::ending::Ending;
use crate::plan::{Migration, Plan, Start, started_by_status};

/// How long a tool may take to look at its database.
const LIMIT: Duration = Duration::from_mins(5);

/// What a migration tool told.
pub(super) struct Asked {
    /// What it was asked by, and what the migration is started from.
    pub(super) revision: Option<TaskDefinitionRevision>,
    /// Whether it is certain that nothing is pending.
    pub(super) is_none_pending: bool,
}

/// What the tools told that were asked, by service.
pub(super) type Answers = BTreeMap<ServiceKey, Asked>;

impl Session<'_> {
    /// Asks every tool of the plan that can be asked, side by side.
    pub(super) async fn ask(&self, plan: &Plan) -> Answers {
        let can_be_asked =
            |migration: &&Migration| matches!(migration.start, Start::New { .. }) && !migration.status.is_empty();
        let asked = plan.migrations.iter().filter(can_be_asked);
        let asked = asked.map(async |migration| (migration.key.clone(), self.ask_one(migration).await));
        join_all(asked).await.into_iter().collect()
    }

    async fn ask_one(&self, migration: &Migration) -> Asked {
        let (key, command) = (&migration.key, migration.status.join(" "));
        let say = |text: String| self.edges.runner.say(format!("{key}: {text}"));
        say(format!("asking `{command}` whether any migration is pending"));
        let (revision, ending) = match self.register(migration).await {
            Ok(revision) => {
                let ending = self.answer(migration, &revision).await;
                (Some(revision), ending)
            }
            Err(ending) => (None, ending),
        };
        let is_none_pending = ending.class == Class::Success;
        say(match is_none_pending {
            true => format!("nothing is pending: {}", ending.why),
            false => format!("some may be pending: {}", ending.why),
        });
        Asked { revision, is_none_pending }
    }

    /// How the status command ended.
    async fn answer(&self, migration: &Migration, revision: &TaskDefinitionRevision) -> Ending {
        let started_by = started_by_status(&migration.started_by);
        let errand = Errand { migration, revision, command: &migration.status, started_by };
        let task = match self.start(&errand, 0).await {
            Ok(task) => task,
            Err(ending) => return ending,
        };
        let mut follower =
            Follower::new(self.aws, self.edges, migration.key.as_str(), &migration.definition, task.id());
        let looked = self.look_until(LIMIT, migration, &task, &mut follower);
        match self.edges.stop.unless_raised(looked).await.unwrap_or(Ok(Ended::Cancelled)) {
            // Nobody has to read a log that says that nothing is to be done.
            Ok(Ended::Done(ending)) if ending.class == Class::Success => ending,
            Ok(Ended::Done(ending)) => {
                follower.drain().await;
                ending
            }
            Ok(Ended::TimedOut) => self.give_up(&task).await,
            Ok(Ended::Cancelled) => Ending::new(Class::Cancelled, "cancelled before it told"),
            Err(failure) => Ending::new(Class::Lost, format!("it is out of sight: {:#}", failure.error)),
        }
    }

    /// Stops a command that hangs: it only reads.
    async fn give_up(&self, task: &Task) -> Ending {
        let asked = self.aws.ecs.stop_task(&self.config.cluster, &task.arn, "run-migration: the status command hangs");
        let why = match within(LAST_CALL, asked).await {
            Some(Ok(())) => format!("task {} did not end within {}, and was stopped", task.id(), human(LIMIT)),
            _ => format!("task {} did not end within {}, and could not be stopped", task.id(), human(LIMIT)),
        };
        Ending::new(Class::TimedOut, why)
    }
}
