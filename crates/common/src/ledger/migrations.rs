//! What the migrations of an environment did last, beside its releases: `/delivery/<name>/<environment>/migration`. Which
//! snapshot there is to restore, and whether the version before can still run, is asked for long after the job is over.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::aws::Ssm;
use crate::failure::Failure;
use crate::names::{CommitSha, DeliveryName, EnvironmentName, ServiceKey};

/// The migrations of one environment.
#[derive(Clone, Debug)]
pub struct Migrations {
    ssm: Ssm,
    path: String,
}

/// The last migration of every service. Parameter Store keeps a hundred versions of it.
pub type Migrated = BTreeMap<ServiceKey, Migration>;

/// What a service's last migration did.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Migration {
    /// The commit that it migrated to.
    pub commit: Option<CommitSha>,
    /// `applied`, `failed` or `unknown`.
    pub result: String,
    /// When, as `2026-01-05T09:00:00Z`.
    pub at: String,
    /// The page of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// Whether the version before can run on the database as it is now; `None` where nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback_safe: Option<bool>,
    /// The backup that was taken before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<Backup>,
}

/// A snapshot, and what else there is to restore from.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Backup {
    /// The snapshot's identifier.
    pub snapshot: String,
    /// The identifier of the instance or the cluster.
    pub database: String,
    /// How many days back RDS can restore to any second.
    pub retention_days: i32,
    /// The last second that RDS could restore to then, as `2026-01-05T09:00:00Z`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest_restorable: Option<String>,
}

impl Migrations {
    /// The migrations of this environment.
    pub fn of(ssm: &Ssm, name: &DeliveryName, environment: &EnvironmentName) -> Self {
        Self { ssm: ssm.clone(), path: format!("/delivery/{name}/{environment}/migration") }
    }

    /// The last migration of every service; empty where nothing was migrated yet. Fails on a parameter that is not ours to read.
    pub async fn latest(&self) -> Result<Migrated, Failure> {
        let Some(parameter) = self.ssm.get_parameter(&self.path).await? else { return Ok(Migrated::new()) };
        serde_json::from_str(parameter.value.expose()).map_err(|_| {
            Failure::input(format!("parameter `{}` holds something else than migrations", self.path))
                .hint("delete it, or restore an older version of it: it is written anew by the next migration")
        })
    }

    /// Writes down what these migrations did, and leaves the other services' as they are. A re-run, which takes no second backup,
    /// keeps the one of the run before.
    pub async fn write(&self, done: Migrated) -> Result<(), Failure> {
        let mut all = self.latest().await?;
        for (key, mut migration) in done {
            let before = all.remove(&key).filter(|before| before.commit == migration.commit);
            migration.backup = migration.backup.or(before.and_then(|before| before.backup));
            all.insert(key, migration);
        }
        let text = serde_json::to_string(&all).map_err(Failure::bug)?;
        self.ssm.put_parameter(&self.path, &text).await.map(drop)
    }
}
