//! What happened, for the next job. For people: [`crate::summary`].

use common::names::ServiceKey;
use common::report::{Report, Verdict};
use serde_json::{Value, json};

use crate::class::{Class, Database};
use crate::config::Config;
use crate::effects::{MigrationOutcome, Outcome};
use crate::lint::Finding;
use crate::pending::Pending;
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

/// The report of a run that pending SQL stands in the way of: nothing was started.
pub(crate) fn refused(config: &Config, plan: &Plan) -> Report {
    let pending = || plan.migrations.iter().map(|migration| (&migration.key, &migration.pending));
    let blocking = pending().flat_map(|(_, pending)| pending.blocking());
    Report {
        result: "failed",
        verdict: refusal(blocking),
        outputs: vec![("class", "lint".to_owned()), ("rollback-safe", word(is_rollback_safe(pending())))],
        json: json!({ "result": "failed", "class": "lint", "services": pending().map(found).collect::<Vec<_>>() }),
        summary: summary::refused(config, plan),
    }
}

/// Why pending SQL is not run as it is.
pub(crate) fn refusal<'a>(blocking: impl Iterator<Item = &'a Finding>) -> Verdict {
    let all: Vec<&Finding> = blocking.collect();
    let told: Vec<String> = all.iter().take(5).map(ToString::to_string).collect();
    let more = if all.len() > told.len() { format!(", and {} more", all.len() - told.len()) } else { String::new() };
    let advice = all.first().map_or("", |finding| finding.rule.advice());
    Verdict::Bad {
        why: format!("pending migrations would break the version that runs: {}{more}", told.join("; ")),
        hint: format!(
            "{advice}; if it is as it should be, say so before the statement: `-- allow: {} why`",
            all.first().map_or("destructive", |finding| finding.rule.word())
        ),
    }
}

/// Whether the versions before can run on their databases afterwards; `None` where it is not known of one.
pub(crate) fn is_rollback_safe<'a>(all: impl Iterator<Item = (&'a ServiceKey, &'a Pending)>) -> Option<bool> {
    let told: Vec<Option<bool>> = all.map(|(_, pending)| pending.is_rollback_safe()).collect();
    match told.contains(&Some(false)) {
        true => Some(false),
        false => told.iter().all(Option::is_some).then_some(true),
    }
}

/// A truth that may not be known, as an output.
pub(crate) fn word(truth: Option<bool>) -> String {
    truth.map(|truth| truth.to_string()).unwrap_or_default()
}

/// What is pending of a service, as data.
pub(crate) fn found((key, pending): (&ServiceKey, &Pending)) -> Value {
    let (files, programs, unknown) = match pending {
        Pending::NotAsked => (Vec::new(), &[][..], None),
        Pending::Unknown(why) => (Vec::new(), &[][..], Some(why)),
        Pending::Known(known) => {
            (known.scripts.iter().map(|script| script.path.as_str()).collect(), known.programs.as_slice(), None)
        }
    };
    let findings = pending.findings().iter().map(|finding| {
        json!({
            "rule": finding.rule.word(),
            "path": finding.path,
            "line": finding.line,
            "what": finding.what,
            "allowed": finding.allowed,
            "blocks": finding.blocks(),
        })
    });
    json!({
        "service": key,
        "pending": files,
        "programs": programs,
        "unknown": unknown,
        "rollback-safe": pending.is_rollback_safe(),
        "findings": findings.collect::<Vec<_>>(),
    })
}

/// The report of migrations.
pub(crate) fn report(config: &Config, plan: &Plan, outcome: &Outcome) -> Report {
    let Some(worst) = worst(outcome) else { return nothing_to_migrate(config) };
    let ending = &worst.ending;
    let pending = || plan.migrations.iter().map(|migration| (&migration.key, &migration.pending));
    let services: Vec<Value> = outcome.migrations.iter().map(as_json).chain(skipped(config)).collect();
    Report {
        result: ending.class.result(),
        verdict: verdict(worst),
        outputs: vec![
            ("task", worst.task.clone().unwrap_or_default()),
            ("exit-code", ending.exit_code.map(|code| code.to_string()).unwrap_or_default()),
            ("class", ending.class.word().to_owned()),
            ("snapshot", snapshot(worst, outcome)),
            ("rollback-safe", word(is_rollback_safe(pending()))),
        ],
        json: json!({
            "result": ending.class.result(),
            "environment": config.environment,
            "cluster": config.cluster,
            "commit": config.commit,
            "seconds": outcome.took.as_secs(),
            "rollback-safe": is_rollback_safe(pending()),
            "services": services,
        }),
        summary: summary::summary(config, plan, outcome, worst),
    }
}

/// The migration that decides: what is not known weighs more than what is known to have failed.
fn worst(outcome: &Outcome) -> Option<&MigrationOutcome> {
    let gravity = |migration: &&MigrationOutcome| match migration.ending.class.result() {
        "unknown" => 0,
        "failed" => 1,
        "applied" => 2,
        _ => 3,
    };
    outcome.migrations.iter().min_by_key(gravity)
}

/// The snapshot of the migration that decides, or of another one.
fn snapshot(worst: &MigrationOutcome, outcome: &Outcome) -> String {
    let all = std::iter::once(worst).chain(&outcome.migrations);
    all.filter_map(|migration| migration.backup.as_ref())
        .map(|backup| backup.snapshot.clone())
        .next()
        .unwrap_or_default()
}

fn verdict(worst: &MigrationOutcome) -> Verdict {
    let (why, hint) = (format!("`{}`: {}", worst.key, worst.ending.why), worst.next_step().to_owned());
    match worst.ending.class {
        class if class.is_good() => Verdict::Good,
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
    let MigrationOutcome { key, task, image, backup, ending, took, .. } = migration;
    json!({
        "service": key,
        "result": ending.class.result(),
        "class": ending.class.word(),
        "exit-code": ending.exit_code,
        "why": ending.why,
        "database": of_database(ending.class.database()),
        "task": task,
        "image": image,
        "backup": backup,
        "seconds": took.as_secs(),
    })
}

fn skipped(config: &Config) -> Vec<Value> {
    config.skipped.iter().map(|key| json!({ "service": key, "result": "skipped" })).collect()
}
