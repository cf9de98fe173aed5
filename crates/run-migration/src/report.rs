//! What happened, for the next job. For people: [`crate::summary`].

use common::report::{Report, Verdict};
use serde_json::{Value, json};

use crate::config::Config;
use crate::effects::{MigrationOutcome, Outcome};
use crate::ending::{Class, Database};
use crate::plan::Plan;
use crate::summary;

/// The report of a run whose services have no migration.
pub(crate) fn nothing_to_migrate(config: &Config) -> Report {
    Report {
        result: "skipped",
        verdict: Verdict::Good,
        outputs: vec![("class", "skipped".to_owned())],
        json: json!({ "result": "skipped", "services": skipped(config) }),
        summary: summary::nothing_to_migrate(config),
    }
}

/// The report of a dry run: nothing was migrated.
pub(crate) fn planned(config: &Config, plan: &Plan) -> Report {
    Report {
        result: "planned",
        verdict: Verdict::Good,
        outputs: vec![("class", "planned".to_owned())],
        json: json!({ "result": "planned", "migrations": plan.migrations.len() }),
        summary: summary::planned(config, plan),
    }
}

/// The report of migrations.
pub(crate) fn report(config: &Config, outcome: &Outcome) -> Report {
    let Some(worst) = worst(outcome) else { return nothing_to_migrate(config) };
    let ending = &worst.ending;
    let services: Vec<Value> = outcome.migrations.iter().map(as_json).chain(skipped(config)).collect();
    Report {
        result: ending.class.result(),
        verdict: verdict(worst),
        outputs: vec![
            ("task", worst.task.clone().unwrap_or_default()),
            ("exit-code", ending.exit_code.map(|code| code.to_string()).unwrap_or_default()),
            ("class", ending.class.word().to_owned()),
        ],
        json: json!({
            "result": ending.class.result(),
            "environment": config.environment,
            "cluster": config.cluster,
            "commit": config.commit,
            "seconds": outcome.took.as_secs(),
            "services": services,
        }),
        summary: summary::summary(config, outcome, worst),
    }
}

/// The migration that decides: what is not known weighs more than what is known to have failed.
fn worst(outcome: &Outcome) -> Option<&MigrationOutcome> {
    let gravity = |migration: &&MigrationOutcome| match migration.ending.class.result() {
        "unknown" => 0,
        "failed" => 1,
        _ => 2,
    };
    outcome.migrations.iter().min_by_key(gravity)
}

fn verdict(worst: &MigrationOutcome) -> Verdict {
    let (why, hint) = (format!("`{}`: {}", worst.key, worst.ending.why), worst.next_step().to_owned());
    match worst.ending.class {
        Class::Success => Verdict::Good,
        Class::Cancelled | Class::NotStarted => Verdict::Cancelled { why, hint },
        _ => Verdict::Bad { why, hint },
    }
}

impl MigrationOutcome {
    /// What to do next: what the migration tool itself asks for comes first.
    pub(crate) fn next_step(&self) -> &str {
        self.recovery.as_ref().map_or_else(|| self.ending.hint(), |recovery| &recovery.means)
    }
}

/// What is known of a database, in a word or two.
pub(crate) const fn of_database(database: Database) -> &'static str {
    match database {
        Database::Migrated => "migrated",
        Database::Untouched => "untouched",
        Database::Unfinished => "perhaps changed in part",
        Database::Unknown => "not known",
    }
}

fn as_json(migration: &MigrationOutcome) -> Value {
    let MigrationOutcome { key, task, image, ending, took, .. } = migration;
    json!({
        "service": key,
        "result": ending.class.result(),
        "class": ending.class.word(),
        "exit-code": ending.exit_code,
        "why": ending.why,
        "database": of_database(ending.class.database()),
        "task": task,
        "image": image,
        "seconds": took.as_secs(),
    })
}

fn skipped(config: &Config) -> Vec<Value> {
    config.skipped.iter().map(|key| json!({ "service": key, "result": "skipped" })).collect()
}
