//! The release ledger: what was delivered to an environment, when and by whom, as the history of one parameter.
//!
//! What runs is always read from ECS; the ledger explains it, and says what a rollback can go back to. It lies in
//! `/delivery/<name>/<environment>/release`, whose last hundred versions Parameter Store keeps.

mod find;
mod migrations;
mod text;

use std::collections::BTreeMap;

use jiff::Timestamp;

pub use self::find::Target;
pub use self::migrations::{Backup, Migrated, Migration, Migrations};
use self::text::Page;
use crate::aws::Ssm;
use crate::failure::Failure;
use crate::names::{CommitSha, DeliveryName, Digest, EnvironmentName, ServiceKey};

/// The ledger of one environment.
#[derive(Clone, Debug)]
pub struct Ledger {
    ssm: Ssm,
    path: String,
}

/// One release, as far as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The release's number: 1, 2, 3, …
    pub release: u64,
    /// What was done: `deploy`, `rollback`, `restart`, …
    pub operation: String,
    /// How it ended: the run's `result`; `deploying` as long as it goes on.
    pub outcome: String,
    /// The commit that was delivered.
    pub commit: Option<CommitSha>,
    /// Who started the run.
    pub by: Option<String>,
    /// The page of the run.
    pub run: Option<String>,
    /// When this was written, to the second.
    pub at: Timestamp,
    /// The release that this one brought back.
    pub restores: Option<u64>,
    /// What every service of the environment runs by this release, those that it left alone included.
    pub services: BTreeMap<ServiceKey, Placed>,
}

/// What a service runs by a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// `family:revision`.
    pub task_definition: String,
    /// The image, where it is known.
    pub image: Option<Digest>,
    /// The commit that the image was built from, where it is known.
    pub commit: Option<CommitSha>,
}

/// What the ledger remembers.
#[derive(Debug, Default)]
pub struct History {
    /// One entry a release, by its last word, newest first.
    pub entries: Vec<Entry>,
    /// What could not be read: a release that is not in `entries` may be among it.
    pub unreadable: Vec<Failure>,
}

/// The outcome of a release that goes on, or whose run died.
pub const DEPLOYING: &str = "deploying";

impl Ledger {
    /// The ledger of this environment.
    pub fn of(ssm: &Ssm, name: &DeliveryName, environment: &EnvironmentName) -> Self {
        Self { ssm: ssm.clone(), path: format!("/delivery/{name}/{environment}/release") }
    }

    /// The parameter that it lies in.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The newest release. `None` where nothing was delivered yet. Fails on a parameter that is not ours to read.
    pub async fn latest(&self) -> Result<Option<Entry>, Failure> {
        let Some(parameter) = self.ssm.get_parameter(&self.path).await? else { return Ok(None) };
        let first = Page::read(parameter.value.expose()).map_err(|foreign| foreign.failure(&self.path))?;
        let others = self.others(first.parts).await?;
        first.join(&others, &self.path).map(Some)
    }

    /// All releases that are kept.
    pub async fn history(&self) -> Result<History, Failure> {
        let mut releases: BTreeMap<u64, Page> = BTreeMap::new();
        let mut history = History::default();
        let mut foreign = None;
        for version in self.ssm.parameter_history(&self.path).await? {
            match Page::read(version.value.expose()) {
                // Versions come oldest first: the last word stays.
                Ok(page) => drop(releases.insert(page.entry.release, page)),
                Err(found) => foreign = Some(found),
            }
        }
        let others = self.others(releases.values().map(|page| page.parts).max().unwrap_or(1)).await?;
        for page in releases.into_values().rev() {
            match page.join(&others, &self.path) {
                Ok(entry) => history.entries.push(entry),
                Err(failure) => history.unreadable.push(failure),
            }
        }
        history.unreadable.extend(foreign.map(|foreign| foreign.failure(&self.path)));
        Ok(history)
    }

    /// Writes an entry as the newest. Parameter Store keeps what was there before.
    pub async fn write(&self, entry: &Entry) -> Result<(), Failure> {
        let pages = text::pages(entry)?;
        // The first part last: whoever reads it finds the others.
        for (index, page) in pages.iter().enumerate().rev() {
            self.ssm.put_parameter(&text::path(&self.path, index + 1), page).await?;
        }
        Ok(())
    }

    /// Every version of the second and further parts, up to `parts`.
    async fn others(&self, parts: usize) -> Result<Vec<Page>, Failure> {
        let mut pages = Vec::new();
        for part in 2..=parts {
            let versions = self.ssm.parameter_history(&text::path(&self.path, part)).await?;
            // One that cannot be read is missed where it is needed, by name.
            pages.extend(versions.iter().filter_map(|version| Page::read(version.value.expose()).ok()));
        }
        Ok(pages)
    }
}
