//! What a backup is to be: of which database, what it is called, how many are kept. Pure.

use std::time::Duration;

use common::aws::{Database, DatabaseName, Snapshot};
use common::delivery::{self, BackupWhen};
use common::failure::Failure;
use common::names::{CommitSha, ServiceKey};

use crate::config::Run;
use crate::pending::Pending;

/// By these tags our snapshots are known.
const OWNER: (&str, &str) = ("delivery:by", "run-migration");
const SERVICE: &str = "delivery:service";

/// How many snapshots are kept, and how long one may take, where nobody says otherwise.
const KEPT: usize = 5;
const LIMIT: Duration = Duration::from_hours(1);

/// The backup that the caller wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) database: DatabaseName,
    pub(crate) when: BackupWhen,
    pub(crate) keep: usize,
    pub(crate) limit: Duration,
}

/// A backup that is going to be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Backup {
    /// The database as it was found.
    pub(crate) database: Database,
    /// What the snapshot is called.
    pub(crate) snapshot: String,
    pub(crate) tags: Vec<(String, String)>,
    pub(crate) keep: usize,
    pub(crate) limit: Duration,
}

impl Wanted {
    /// Of a database that an input names.
    pub(crate) fn of(database: DatabaseName, when: BackupWhen) -> Self {
        Self { database, when, keep: KEPT, limit: LIMIT }
    }

    /// As the delivery file says it; `when` is the input's word, which goes first.
    pub(crate) fn declared(
        declared: &delivery::Backup,
        when: Option<BackupWhen>,
        lookup: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, Failure> {
        let render = |template: &delivery::Template| {
            template.render(&lookup).map_err(|unknown| {
                Failure::input(format!("`backup` of the migration: {unknown}"))
                    .hint("add the variable to the environment's `variables` in delivery.toml")
            })
        };
        let database = match (&declared.rds_instance, &declared.rds_cluster) {
            (Some(instance), _) => DatabaseName::Instance(render(instance)?),
            (None, Some(cluster)) => DatabaseName::Cluster(render(cluster)?),
            (None, None) => return Err(Failure::bug("a backup without a database")),
        };
        let keep = declared.keep.map_or(KEPT, |keep| usize::try_from(keep.get()).unwrap_or(usize::MAX));
        let limit = declared.timeout.map_or(LIMIT, |limit| limit.get());
        Ok(Self { database, when: when.unwrap_or(declared.when), keep, limit })
    }

    /// Whether there is to be one before these migrations.
    pub(crate) fn is_due(&self, pending: &Pending) -> bool {
        match self.when {
            BackupWhen::Always => true,
            BackupWhen::Never => false,
            // What is not known may be pending.
            BackupWhen::IfPending => !pending.is_none(),
        }
    }
}

impl Backup {
    /// The backup before a migration to this commit.
    pub(crate) fn before(
        wanted: &Wanted,
        database: Database,
        key: &ServiceKey,
        commit: Option<&CommitSha>,
        run: &Run,
    ) -> Self {
        let commit_name = commit.map_or("unknown", CommitSha::short);
        let tag = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let mut tags = vec![tag(OWNER.0, OWNER.1), tag(SERVICE, key.as_str()), tag("delivery:run", &run.id)];
        tags.extend(commit.map(|commit| tag("delivery:commit", commit.as_str())));
        Self {
            database,
            snapshot: identifier(&format!("{key}-{commit_name}-{}", run.id)),
            tags,
            keep: wanted.keep,
            limit: wanted.limit,
        }
    }

    /// Of a database's snapshots, those of ours that are too many: the oldest. Whatever others took stays.
    pub(crate) fn surplus(&self, mut snapshots: Vec<Snapshot>) -> Vec<Snapshot> {
        let is_ours = |snapshot: &Snapshot| {
            let has = |tag: &(String, String)| snapshot.tags.contains(tag);
            self.tags.iter().filter(|(key, _)| key == OWNER.0 || key == SERVICE).all(has)
        };
        snapshots.retain(|snapshot| is_ours(snapshot) && snapshot.status == "available");
        snapshots.sort_by_key(|snapshot| std::cmp::Reverse(snapshot.created_at));
        snapshots.into_iter().skip(self.keep).collect()
    }
}

/// A text as RDS takes identifiers: letters, digits and single hyphens, beginning with a letter and ending without a hyphen
/// (<https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBSnapshot.html>).
pub(crate) fn identifier(text: &str) -> String {
    let mut name = String::new();
    for character in text.chars().map(|character| if character.is_ascii_alphanumeric() { character } else { '-' }) {
        if character != '-' || !name.ends_with('-') {
            name.push(character.to_ascii_lowercase());
        }
    }
    let name = name.trim_matches('-');
    let begins_well = name.starts_with(|first: char| first.is_ascii_alphabetic());
    let name = if begins_well { name.to_owned() } else { format!("snapshot-{name}") };
    name.chars().take(63).collect::<String>().trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use common::names::ServiceKey;
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn a_snapshot_is_called_as_rds_takes_it() {
        for (text, expected) in [
            ("auth-0123456-7", "auth-0123456-7"),
            ("Auth_Service--x-", "auth-service-x"),
            ("7up-0123456", "snapshot-7up-0123456"),
        ] {
            assert_eq!(identifier(text), expected);
        }
        assert!(identifier(&"a-".repeat(64)).len() <= 63);
    }

    #[test]
    fn only_our_oldest_snapshots_are_too_many() {
        let wanted = Wanted { keep: 2, ..Wanted::of(DatabaseName::Instance("db".into()), BackupWhen::Always) };
        let run = Run { repository: "org/shop".into(), id: "7".into(), attempt: "1".into() };
        let key: ServiceKey = "auth".parse().unwrap();
        let database = Database {
            name: wanted.database.clone(),
            status: "available".into(),
            engine: "postgres".into(),
            engine_version: "16".into(),
            class: None,
            subnet_group: None,
            security_groups: Vec::new(),
            parameter_group: None,
            multi_az: false,
            is_public: false,
            deletion_protection: false,
            retention_days: 0,
            latest_restorable: None,
            endpoint: None,
            members: Vec::new(),
        };
        let backup = Backup::before(&wanted, database, &key, None, &run);
        let snapshot = |id: &str, second: i64, tags: &[(String, String)], status: &str| Snapshot {
            id: id.into(),
            of: wanted.database.clone(),
            status: status.into(),
            created_at: Timestamp::from_second(second).ok(),
            progress: None,
            tags: tags.to_vec(),
        };
        let others =
            [("delivery:by".to_owned(), "run-migration".to_owned()), (SERVICE.to_owned(), "orders".to_owned())];
        let surplus = backup.surplus(vec![
            snapshot("first", 1, &backup.tags, "available"),
            snapshot("second", 2, &backup.tags, "available"),
            snapshot("third", 3, &backup.tags, "available"),
            snapshot("by-hand", 0, &[], "available"),
            snapshot("of-orders", 0, &others, "available"),
            snapshot("on-its-way", 0, &backup.tags, "creating"),
        ]);
        assert_eq!(surplus.iter().map(|snapshot| snapshot.id.as_str()).collect::<Vec<_>>(), ["first"]);
    }
}
