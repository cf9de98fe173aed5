//! What a person does when a migration did not succeed, with every value filled in. Nothing of it happens by itself: a restored
//! database is a new one, and what was written since the snapshot is not in it
//! (<https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_RestoreFromSnapshot.html>).

use std::fmt::Write as _;

use common::aws::{Database, DatabaseName};
use common::ledger;
use common::markdown::{block, details};

use crate::class::Database as State;
use crate::config::Config;
use crate::effects::MigrationOutcome;
use crate::plan::Migration;

/// The ways back after a migration that may have changed its database; blank where there is nothing to take back.
pub(crate) fn runbook(config: &Config, migration: &Migration, outcome: &MigrationOutcome) -> String {
    if outcome.task.is_none() || !matches!(outcome.ending.class.database(), State::Unfinished | State::Unknown) {
        return String::new();
    }
    let mut text =
        String::from("1. **Forward**: mend the migration and deliver again. It is the only way that loses nothing.\n");
    let safe = match migration.pending.is_rollback_safe() {
        Some(true) => "What was pending only adds: the version that runs goes on as it is.",
        Some(false) => "What was pending takes something away that the version that runs may use: do not count on it.",
        None => "Whether what was pending takes something away from it is not known.",
    };
    let previous = migration.previous.rsplit('/').next().unwrap_or(&migration.previous);
    let _ = writeln!(
        text,
        "2. **Stay**: the service still runs `{previous}`, and nothing has to be deployed. {safe} If something else was deployed since:"
    );
    let back = format!(
        "aws ecs update-service --cluster {} --service {} --task-definition {previous}",
        config.cluster, migration.service
    );
    let _ = writeln!(text, "\n{}", block("sh", &back));
    if let (Some(taken), Some(planned)) = (&outcome.backup, &migration.backup) {
        text += &restore(migration, taken, &planned.database);
    }
    format!("\n{}", details(&format!("{}: the ways out", migration.key), &text))
}

fn restore(migration: &Migration, taken: &ledger::Backup, database: &Database) -> String {
    let (name, snapshot) = (&database.name, &taken.snapshot);
    let mut text = format!(
        "3. **Back**: restore the snapshot to a new database. What was written since is not in it. By dispatch: `operation: restore`, `services: {}`, `confirm: {}`. By hand:\n",
        migration.key,
        name.id()
    );
    let to = format!("{}-restored", name.id());
    let _ = writeln!(text, "\n{}", block("sh", &commands(database, snapshot, &to)));
    if let (true, Some(latest)) = (taken.retention_days > 0, &taken.latest_restorable) {
        let _ = writeln!(
            text,
            "RDS can also restore `{}` to any second of the last {} days; before the migration, the last one was {latest}.",
            name.id(),
            taken.retention_days
        );
    }
    text
}

/// The commands that make a new database from a snapshot, with the settings of the old one: left out, they would be defaults.
fn commands(database: &Database, snapshot: &str, to: &str) -> String {
    let groups = database.security_groups.join(" ");
    let option = |name: &str, value: &Option<String>| {
        value.as_ref().map(|value| format!(" \\\n  {name} {value}")).unwrap_or_default()
    };
    match &database.name {
        DatabaseName::Instance(_) => format!(
            "aws rds restore-db-instance-from-db-snapshot --db-snapshot-identifier {snapshot} \\\n  --db-instance-identifier {to}{}{}{} \\\n  --vpc-security-group-ids {groups} {}\naws rds wait db-instance-available --db-instance-identifier {to}",
            option("--db-instance-class", &database.class),
            option("--db-subnet-group-name", &database.subnet_group),
            option("--db-parameter-group-name", &database.parameter_group),
            if database.multi_az { "--multi-az" } else { "--no-multi-az" },
        ),
        DatabaseName::Cluster(_) => format!(
            "aws rds restore-db-cluster-from-snapshot --snapshot-identifier {snapshot} \\\n  --db-cluster-identifier {to} --engine {} --engine-version {}{}{} \\\n  --vpc-security-group-ids {groups}\naws rds create-db-instance --db-instance-identifier {to}-1 \\\n  --db-cluster-identifier {to} --engine {} --db-instance-class {}\naws rds wait db-cluster-available --db-cluster-identifier {to}",
            database.engine,
            database.engine_version,
            option("--db-subnet-group-name", &database.subnet_group),
            option("--db-cluster-parameter-group-name", &database.parameter_group),
            database.engine,
            database.class.as_deref().unwrap_or("CLASS"),
        ),
    }
}
