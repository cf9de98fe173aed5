//! Taking backups: one of each database, side by side, and waited for, before anything is migrated.

use std::collections::BTreeMap;
use std::time::Duration;

use common::aws::{DatabaseName, Snapshot};
use common::duration::human;
use common::failure::Failure;
use common::ledger;
use common::names::ServiceKey;
use common::poll::{Ended, Judged, Pace, poll};
use futures_util::future::join_all;
use tokio::time::Instant;

use super::Session;
use super::ask::Answers;
use crate::backup::Backup;
use crate::class::Class;
use crate::ending::Ending;
use crate::plan::{Plan, Start};

/// What came of the backups, by database. Several services may share one.
pub(super) type Backups = BTreeMap<DatabaseName, Result<ledger::Backup, Ending>>;

/// What RDS calls a database or a snapshot that does not become one any more
/// (<https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/accessing-monitoring.html>).
const HOPELESS: [&str; 7] = [
    "deleting",
    "failed",
    "inaccessible-encryption-credentials",
    "incompatible-restore",
    "restore-error",
    "stopped",
    "deleted",
];

/// A snapshot takes minutes.
const EVERY: Duration = Duration::from_secs(10);

impl Session<'_> {
    /// Takes every backup of the plan, but of databases for which nothing is pending.
    pub(super) async fn back_up(&self, plan: &Plan, answers: &Answers) -> Backups {
        let is_none_pending = |key: &ServiceKey| answers.get(key).is_some_and(|asked| asked.is_none_pending);
        let new = plan.migrations.iter().filter(|migration| matches!(migration.start, Start::New { .. }));
        let new = new.filter(|migration| !is_none_pending(&migration.key));
        let due: BTreeMap<&DatabaseName, &Backup> = new
            .filter_map(|migration| migration.backup.as_ref())
            .map(|backup| (&backup.database.name, backup))
            .collect();
        let taken =
            join_all(due.into_iter().map(async |(database, backup)| (database.clone(), self.take(backup).await)));
        taken.await.into_iter().collect()
    }

    async fn take(&self, backup: &Backup) -> Result<ledger::Backup, Ending> {
        if self.edges.stop.is_raised() {
            return Err(Ending::new(Class::NotStarted, "cancelled before the backup"));
        }
        let began = Instant::now();
        let database = &backup.database.name;
        let snapshot = match self.snapshot(backup).await {
            Ok(Ended::Done(Ok(snapshot))) => snapshot,
            Ok(Ended::Done(Err(why))) => return Err(Ending::new(Class::Backup, why)),
            Ok(Ended::TimedOut) => {
                let why = format!("the backup of {database} did not end within {}", human(backup.limit));
                return Err(Ending::new(Class::Backup, why));
            }
            Ok(Ended::Cancelled) => return Err(Ending::new(Class::NotStarted, "cancelled during the backup")),
            Err(failure) => {
                let why = format!("there is no backup of {database}: {:#}", failure.error);
                return Err(Ending { hint: failure.hint, ..Ending::new(Class::Backup, why) });
            }
        };
        self.edges.runner.say(format!(
            "backup: snapshot `{}` of {database} is there after {}",
            snapshot.id,
            human(began.elapsed())
        ));
        if let Err(failure) = self.prune(backup).await {
            self.warn(&format!("old snapshots of {database} are not deleted: {failure}"));
        }
        Ok(ledger::Backup {
            snapshot: snapshot.id,
            database: database.id().to_owned(),
            retention_days: backup.database.retention_days,
            latest_restorable: backup
                .database
                .latest_restorable
                .map(|at| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
        })
    }

    /// The snapshot, once it can be restored; or why it never can.
    async fn snapshot(&self, backup: &Backup) -> Result<Ended<Result<Snapshot, String>>, Failure> {
        let database = &backup.database.name;
        let mut said = String::new();
        let mut say = |text: String| {
            if text != said {
                self.edges.runner.say(format!("backup: {text}"));
                said = text;
            }
        };
        let look = async || {
            // A run before this one may have begun it.
            if let Some(found) = self.aws.rds.snapshot(database, &backup.snapshot).await? {
                say(format!("snapshot `{}` of {database} is {}", found.id, found.status));
                return Ok(match found.status.as_str() {
                    "available" => Judged::Done(Ok(found)),
                    status if HOPELESS.contains(&status) => {
                        Judged::Done(Err(format!("snapshot `{}` of {database} is {status}", found.id)))
                    }
                    _ => Judged::Wait,
                });
            }
            // RDS takes a snapshot of an available database alone.
            let status =
                self.aws.rds.database(database).await?.map_or_else(|| "deleted".to_owned(), |found| found.status);
            match status.as_str() {
                "available" => {
                    let begun = self.aws.rds.create_snapshot(database, &backup.snapshot, &backup.tags).await?;
                    say(format!("snapshot `{}` of {database} is {}", begun.id, begun.status));
                }
                status if HOPELESS.contains(&status) => {
                    return Ok(Judged::Done(Err(format!("{database} is {status}, and no backup can be taken"))));
                }
                status => say(format!("{database} is {status}, waiting until it is available")),
            }
            Ok(Judged::Wait)
        };
        let pace = Pace { every: EVERY, limit: backup.limit, patience: 3 };
        poll(pace, &self.edges.stop, look).await
    }

    async fn prune(&self, backup: &Backup) -> Result<(), Failure> {
        for surplus in backup.surplus(self.aws.rds.snapshots(&backup.database.name).await?) {
            self.aws.rds.delete_snapshot(&surplus).await?;
            self.edges
                .runner
                .say(format!("backup: deleted snapshot `{}`, for {} newer ones are kept", surplus.id, backup.keep));
        }
        Ok(())
    }
}
