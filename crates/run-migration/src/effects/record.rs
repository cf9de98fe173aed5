//! What is written down of the migrations, for the release that follows and for whoever has to restore. It stops nothing: what
//! cannot be written is a warning.

use common::aws::Aws;
use common::edges::Edges;
use common::ledger::{Migrated, Migration, Migrations};
use common::runner::{Annotation, Level};

use super::MigrationOutcome;
use crate::ACTION;
use crate::class::Database;
use crate::config::Config;
use crate::plan::Plan;

/// Writes down what the migrations did. Those that left their databases alone are not worth a word, unless they were backed up.
pub(super) async fn record(config: &Config, plan: &Plan, outcomes: &[MigrationOutcome], aws: &Aws, edges: &Edges) {
    let (Some(product), Some(environment)) = (&config.product, &config.environment) else { return };
    let told = plan
        .migrations
        .iter()
        .zip(outcomes)
        .filter(|(_, outcome)| outcome.backup.is_some() || outcome.ending.class.database() != Database::Untouched);
    let done: Migrated = told
        .map(|(migration, outcome)| {
            let entry = Migration {
                commit: config.commit.clone(),
                result: outcome.ending.class.result().to_owned(),
                at: edges.now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
                run: config.run_url.clone(),
                rollback_safe: migration.pending.is_rollback_safe(),
                backup: outcome.backup.clone(),
            };
            (migration.key.clone(), entry)
        })
        .collect();
    // Nobody waits for this in a run that is cancelled.
    if done.is_empty() || edges.stop.is_raised() {
        return;
    }
    if let Err(failure) = Migrations::of(&aws.ssm, product, environment).write(done).await {
        let message = format!("what the migrations did is not written down: {failure}");
        edges.runner.annotate(&Annotation { level: Level::Warning, title: ACTION.name, message: &message });
    }
}
