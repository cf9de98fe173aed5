//! What happened, for people.

use std::fmt::Write as _;

use common::duration::human;
use common::markdown::{block, code, details, escape, table};

use crate::ACTION;
use crate::config::Config;
use crate::effects::{MigrationOutcome, Outcome};
use crate::ending::Class;
use crate::follow::ContainerLog;
use crate::plan::Plan;
use crate::report::of_database;

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
    format!("### 📋 {}: what a migration{place} would do\n\n{}", ACTION.name, block("", &plan.to_string()))
}

pub(crate) fn summary(config: &Config, outcome: &Outcome, worst: &MigrationOutcome) -> String {
    let result = worst.ending.class.result();
    let sign = match result {
        "applied" => "✅",
        "unknown" => "❓",
        _ => "❌",
    };
    let commit = config.commit.as_ref().map(|commit| format!(" for {}", code(commit.short()))).unwrap_or_default();
    let (place, took) = (in_environment(config), human(outcome.took));
    let mut text = format!("### {sign} {}: {result}{commit}{place} after {took}\n\n", ACTION.name);
    for migration in outcome.migrations.iter().filter(|migration| migration.ending.class != Class::Success) {
        text += &explanation(config, migration);
    }
    text += &services(config, outcome);
    outcome.migrations.iter().for_each(|migration| text += &logs(migration));
    text
}

/// Why a migration did not succeed, what that means, and the way out.
fn explanation(config: &Config, migration: &MigrationOutcome) -> String {
    let MigrationOutcome { key, task, ending, recovery, .. } = migration;
    let next = escape(migration.next_step());
    let mut text = format!("{}: {}\n\n**Next step:** {next}\n\n", code(key.as_str()), escape(&ending.why));
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
    config.environment.as_ref().map(|name| format!(" in {}", escape(name))).unwrap_or_default()
}
