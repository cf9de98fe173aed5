//! Doing it: register, start, follow, for several services side by side. Total: whatever happens on the way is an [`Outcome`],
//! never a `?`.

mod ask;
mod backup;
mod log;
mod record;
mod start;
mod watch;

use std::time::Duration;

use common::aws::{Aws, DatabaseName, Task};
use common::edges::Edges;
use common::failure::Failure;
use common::ledger;
use common::names::ServiceKey;
use common::runner::{Annotation, Level};
use futures_util::future::join_all;
use tokio::time::Instant;

pub(crate) use log::ContainerLog;

use self::ask::{Answers, Asked};
use self::backup::Backups;
use self::start::Errand;
use crate::ACTION;
use crate::class::Class;
use crate::config::Config;
use crate::ending::Ending;
use crate::known_errors::Recovery;
use crate::plan::{Migration, Plan, Start};
use crate::state;

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
    /// What there is to restore from.
    pub(crate) backup: Option<ledger::Backup>,
    pub(crate) ending: Ending,
    /// Whether the task has to be stopped still, for the request was not answered.
    pub(crate) has_to_stop: bool,
    /// The way out of what the migration tool said, if that is known.
    pub(crate) recovery: Option<Recovery>,
    pub(crate) logs: Vec<ContainerLog>,
    /// The page of the migration's log, for people.
    pub(crate) log_url: Option<String>,
    pub(crate) took: Duration,
}

/// Applies a plan: all questions, all backups, then all migrations at once, for each has a database of its own. Without one of
/// the backups nothing is migrated.
pub(crate) async fn apply(config: &Config, plan: &Plan, aws: &Aws, edges: &Edges) -> Outcome {
    let began = Instant::now();
    let mut session = Session { config, aws, edges, began };
    let answers = session.ask(plan).await;
    let backups = session.back_up(plan, &answers).await;
    // A backup has a limit of its own.
    session.began = Instant::now();
    // Kept before anything is started: a run that is killed has a post step as well.
    session.note(state::begun(edges, config, plan));
    let failed = backups.iter().find_map(|(database, taken)| Some((database, taken.as_ref().err()?)));
    let migrations = match failed {
        Some((database, _)) => {
            plan.migrations.iter().map(|migration| without_backup(migration, &answers, &backups, database)).collect()
        }
        None => join_all(plan.migrations.iter().map(|migration| session.migrate(migration, &answers, &backups))).await,
    };
    if migrations.iter().all(MigrationOutcome::is_told) {
        session.note(state::ended(edges));
    }
    record::record(config, plan, &migrations, aws, edges).await;
    Outcome { migrations, took: began.elapsed() }
}

/// The outcome of a migration that was not started, for the backup of this database failed.
fn without_backup(
    migration: &Migration,
    answers: &Answers,
    backups: &Backups,
    failed: &DatabaseName,
) -> MigrationOutcome {
    if let Some(ending) = nothing_pending(migration, answers) {
        return MigrationOutcome::without_task(migration, ending);
    }
    let own = migration.backup.as_ref().and_then(|backup| backups.get(&backup.database.name));
    match own {
        Some(Err(ending)) => MigrationOutcome::without_task(migration, ending.clone()),
        own => MigrationOutcome {
            backup: own.and_then(|taken| taken.clone().ok()),
            ..MigrationOutcome::without_task(
                migration,
                Ending::new(Class::NotStarted, format!("not started, for there is no backup of {failed}")),
            )
        },
    }
}

/// The ending of a migration that its tool says is not needed.
fn nothing_pending(migration: &Migration, answers: &Answers) -> Option<Ending> {
    let is_certain = answers.get(&migration.key)?.is_none_pending;
    let why = format!("`{}` exited with 0", migration.status.join(" "));
    is_certain.then(|| Ending::new(Class::NothingPending, why))
}

/// What all migrations of a run share.
struct Session<'a> {
    config: &'a Config,
    aws: &'a Aws,
    edges: &'a Edges,
    began: Instant,
}

impl Session<'_> {
    async fn migrate(&self, migration: &Migration, answers: &Answers, backups: &Backups) -> MigrationOutcome {
        let began = Instant::now();
        let started = match &migration.start {
            Start::Follow(task) => Ok((**task).clone()),
            Start::Blocked(task) => Err(start::blocked(task)),
            Start::New { earlier } => match nothing_pending(migration, answers) {
                Some(ending) => Err(ending),
                None => self.start_migration(migration, answers.get(&migration.key), *earlier).await,
            },
        };
        let mut outcome = match started {
            Ok(task) => self.follow(migration, &task).await,
            Err(ending) => MigrationOutcome::without_task(migration, ending),
        };
        outcome.took = began.elapsed();
        let taken = migration.backup.as_ref().and_then(|backup| backups.get(&backup.database.name));
        outcome.backup = taken.and_then(|taken| taken.clone().ok());
        let Ending { class, why, .. } = &outcome.ending;
        self.edges.runner.say(format!("{}: {} ({}): {why}", migration.key, class.result(), class.word()));
        outcome
    }

    async fn start_migration(
        &self,
        migration: &Migration,
        answer: Option<&Asked>,
        earlier: usize,
    ) -> Result<Task, Ending> {
        let revision = match answer.and_then(|answer| answer.revision.clone()) {
            Some(revision) => revision,
            None => self.register(migration).await?,
        };
        let (command, started_by) = (&migration.command, migration.started_by.clone());
        self.start(&Errand { migration, revision: &revision, command, started_by }, earlier).await
    }

    fn left(&self) -> Duration {
        self.config.timeout.saturating_sub(self.began.elapsed())
    }

    /// What cannot be kept for the post step stops no migration.
    fn note(&self, kept: Result<(), Failure>) {
        if let Err(failure) = kept {
            self.warn(&format!("the post step will not know of this run's tasks: {failure}"));
        }
    }

    fn warn(&self, message: &str) {
        self.edges.runner.annotate(&Annotation { level: Level::Warning, title: ACTION.name, message });
    }
}

impl MigrationOutcome {
    fn without_task(migration: &Migration, ending: Ending) -> Self {
        Self {
            key: migration.key.clone(),
            task: None,
            image: migration.image(),
            backup: None,
            ending,
            has_to_stop: false,
            recovery: None,
            logs: Vec::new(),
            log_url: None,
            took: Duration::ZERO,
        }
    }

    /// Whether the report says everything that there is to say: nobody has to look for its task any more.
    fn is_told(&self) -> bool {
        !self.has_to_stop && (self.task.is_some() || self.ending.class != Class::Lost)
    }
}
