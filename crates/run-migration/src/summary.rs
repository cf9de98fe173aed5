//! What happened, for people.

use std::fmt::Write as _;

use common::duration::human;
use common::markdown::{block, code, details, escape, prose, table};
use common::names::ServiceKey;

use crate::ACTION;
use crate::class::Class;
use crate::config::Config;
use crate::effects::{ContainerLog, MigrationOutcome, Outcome};
use crate::lint::Finding;
use crate::pending::Pending;
use crate::plan::Plan;
use crate::report::of_database;
use crate::runbook::runbook;

pub(crate) fn nothing_to_migrate(config: &Config) -> String {
    let services: Vec<String> = config.skipped.iter().map(|key| code(key.as_str())).collect();
    let why = match services.as_slice() {
        [] => "No service was asked for.".to_owned(),
        services => format!("No migration is configured for {}.", services.join(", ")),
    };
    format!("### ✅ {}: skipped\n\n{why}\n", ACTION.name)
}

pub(crate) fn planned(config: &Config, plan: &Plan) -> String {
    let place = in_environment(config);
    let pending = plan.migrations.iter().map(|migration| (&migration.key, &migration.pending));
    let plan = block("", &plan.to_string());
    format!("### 📋 {}: what a migration{place} would do\n\n{plan}{}", ACTION.name, pending_of(pending))
}

pub(crate) fn refused(config: &Config, plan: &Plan) -> String {
    let place = in_environment(config);
    let pending = plan.migrations.iter().map(|migration| (&migration.key, &migration.pending));
    format!(
        "### ❌ {}: failed{place}\n\nNothing was started: pending migrations would break the version that runs.\n{}",
        ACTION.name,
        pending_of(pending)
    )
}

/// Which migrations are pending, and what is to be said of them.
pub(crate) fn pending_of<'a>(all: impl Iterator<Item = (&'a ServiceKey, &'a Pending)>) -> String {
    let mut text = String::new();
    let mut findings: Vec<&Finding> = Vec::new();
    for (key, pending) in all {
        let key = code(key.as_str());
        match pending {
            Pending::NotAsked => {}
            Pending::Unknown(why) => {
                let _ = writeln!(text, "- {key}: which migrations are pending is not known: {}", escape(why));
            }
            Pending::Known(known) => {
                let paths = known.scripts.iter().map(|script| &script.path).chain(&known.programs);
                let paths: Vec<String> = paths.map(|path| code(path)).collect();
                let _ = match paths.as_slice() {
                    [] => writeln!(text, "- {key}: no migration is pending"),
                    paths => writeln!(text, "- {key}: {} pending: {}", paths.len(), paths.join(", ")),
                };
                if !known.programs.is_empty() {
                    let _ = writeln!(text, "  *{} of them no SQL: what they do is not known*", known.programs.len());
                }
            }
        }
        findings.extend(pending.findings());
    }
    let row = |finding: &&Finding| {
        let state = match (&finding.allowed, finding.rule.blocks()) {
            (Some(reason), _) => format!("✅ allowed: {}", escape(reason)),
            (None, true) => "❌".to_owned(),
            (None, false) => "⚠️".to_owned(),
        };
        vec![
            state,
            code(finding.rule.word()),
            code(&format!("{}:{}", finding.path, finding.line)),
            prose(&finding.what),
            prose(finding.rule.advice()),
        ]
    };
    let rows: Vec<Vec<String>> = findings.iter().map(row).collect();
    if !rows.is_empty() {
        text += "\n";
        text += &table(&["", "rule", "where", "what it does", "instead"], &rows);
    }
    if text.is_empty() { text } else { format!("\n{text}") }
}

pub(crate) fn summary(config: &Config, plan: &Plan, outcome: &Outcome, worst: &MigrationOutcome) -> String {
    let result = worst.ending.class.result();
    let sign = match result {
        "applied" | "skipped" => "✅",
        "unknown" => "❓",
        _ => "❌",
    };
    let commit = config.commit.as_ref().map(|commit| format!(" for {}", code(commit.short()))).unwrap_or_default();
    let (place, took) = (in_environment(config), human(outcome.took));
    let mut text = format!("### {sign} {}: {result}{commit}{place} after {took}\n\n", ACTION.name);
    for migration in outcome.migrations.iter().filter(|migration| !migration.ending.class.is_good()) {
        text += &explanation(config, migration);
    }
    text += &services(config, outcome);
    text += &not_needed(outcome);
    text += &pending_of(plan.migrations.iter().map(|migration| (&migration.key, &migration.pending)));
    text += &backups(outcome);
    for (migration, outcome) in plan.migrations.iter().zip(&outcome.migrations) {
        text += &runbook(config, migration, outcome);
    }
    outcome.migrations.iter().for_each(|migration| text += &logs(migration));
    text
}

/// Why a migration did not succeed, what that means, and the way out.
fn explanation(config: &Config, migration: &MigrationOutcome) -> String {
    let MigrationOutcome { key, task, ending, recovery, .. } = migration;
    let next = prose(migration.next_step());
    let mut text = format!("{}: {}\n\n**Next step:** {next}\n\n", code(key.as_str()), prose(&ending.why));
    if let Some(command) = recovery.as_ref().and_then(|recovery| recovery.command.as_ref()) {
        let _ = writeln!(text, "{}", block("sh", command));
    }
    if let (Some(task), "unknown") = (task, ending.class.result()) {
        let query = format!(
            "aws ecs describe-tasks --cluster {} --tasks {task} --query 'tasks[].[lastStatus,stopCode,stoppedReason,containers[].[name,exitCode,reason]]'",
            config.cluster
        );
        let _ = writeln!(text, "How the task ended can be asked for an hour after its end:\n\n{}", block("sh", &query));
    }
    text
}

fn services(config: &Config, outcome: &Outcome) -> String {
    let migrated = outcome.migrations.iter().map(|migration| {
        let MigrationOutcome { key, task, ending, log_url, took, .. } = migration;
        let id = task.as_ref().map(|arn| code(arn.rsplit('/').next().unwrap_or(arn)));
        vec![
            escape(key.as_str()),
            ending.class.result().to_owned(),
            ending.class.word().to_owned(),
            ending.exit_code.map_or_else(|| "–".to_owned(), |code| code.to_string()),
            of_database(ending.class.database()).to_owned(),
            match (id, log_url) {
                (Some(id), Some(url)) => format!("{id} ([log]({url}))"),
                (Some(id), None) => id,
                (None, _) => "–".to_owned(),
            },
            human(*took),
        ]
    });
    let skipped = config.skipped.iter().map(|key| {
        let blank = std::iter::repeat_n("–".to_owned(), 5);
        [escape(key.as_str()), "skipped".to_owned()].into_iter().chain(blank).collect()
    });
    let rows: Vec<Vec<String>> = migrated.chain(skipped).collect();
    table(&["service", "result", "class", "exit code", "database", "task", "took"], &rows)
}

/// Whose tool said that nothing is pending.
fn not_needed(outcome: &Outcome) -> String {
    let not_needed = outcome.migrations.iter().filter(|migration| migration.ending.class == Class::NothingPending);
    let line = |migration: &MigrationOutcome| {
        format!("- {}: nothing is pending: {}\n", code(migration.key.as_str()), prose(&migration.ending.why))
    };
    let text: String = not_needed.map(line).collect();
    if text.is_empty() { text } else { format!("\n{text}") }
}

fn backups(outcome: &Outcome) -> String {
    let mut text = String::new();
    for migration in &outcome.migrations {
        let Some(backup) = &migration.backup else { continue };
        let (key, snapshot) = (code(migration.key.as_str()), code(&backup.snapshot));
        let _ = writeln!(text, "- {key}: snapshot {snapshot} of {} was taken before", code(&backup.database));
    }
    if text.is_empty() { text } else { format!("\n{text}") }
}

fn logs(migration: &MigrationOutcome) -> String {
    let mut text = String::new();
    for ContainerLog { stream, lines, problem, .. } in &migration.logs {
        if !lines.is_empty() {
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            let title = format!("{}: the last lines of {}", migration.key, stream.stream);
            let _ = write!(text, "\n{}", details(&title, &block("", &lines.join("\n"))));
        }
        if let Some(problem) = problem {
            let _ = write!(text, "\n*Not known: the log {}: {}*\n", code(&stream.stream), escape(problem));
        }
    }
    text
}

fn in_environment(config: &Config) -> String {
    config.environment.as_ref().map(|name| format!(" in {}", escape(name.as_str()))).unwrap_or_default()
}
