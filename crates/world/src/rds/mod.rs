//! RDS: instances, Aurora clusters, and snapshots of both, that take their time.
//!
//! API: <https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/Welcome.html>

mod operations;
#[cfg(test)]
mod tests;
mod words;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::state::{State, World};
use crate::wire::Refusal;

pub(crate) const NAMESPACE: &str = "http://rds.amazonaws.com/doc/2014-10-31/";

/// How long things take on an ordinary day.
const SNAPSHOT: Duration = Duration::from_mins(4);
const RESTORE: Duration = Duration::from_mins(12);
const INSTANCE: Duration = Duration::from_mins(6);
const RENAME: Duration = Duration::from_mins(1);

/// Everything that RDS holds.
#[derive(Debug, Default)]
pub(crate) struct Rds {
    /// By kind and identifier.
    databases: BTreeMap<(Kind, String), Database>,
    snapshots: BTreeMap<(Kind, String), Snapshot>,
    /// How many snapshots there may be; `None` is the account's ordinary quota, which no test reaches.
    quota: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Instance,
    Cluster,
}

/// What a database is made like, in a test.
#[derive(Clone, Debug)]
pub struct DatabaseSeed {
    /// Its identifier.
    pub id: String,
    /// Whether it is an Aurora cluster, with one instance.
    pub is_cluster: bool,
    /// AWS's word: `available`, `backing-up`, `modifying`, …
    pub status: String,
    /// How long it stays like that, until it is `available`.
    pub status_for: Duration,
}

#[derive(Clone, Debug)]
struct Database {
    id: String,
    status: String,
    /// What it becomes, and when.
    next: Option<(Timestamp, Next)>,
    engine: String,
    class: String,
    subnet_group: String,
    security_groups: Vec<String>,
    parameter_group: String,
    multi_az: bool,
    retention_days: i32,
    /// The cluster that an instance is a member of.
    cluster: Option<String>,
}

#[derive(Clone, Debug)]
enum Next {
    Available,
    Renamed(String),
}

#[derive(Clone, Debug)]
struct Snapshot {
    id: String,
    of: String,
    engine: String,
    created_at: Timestamp,
    ready_at: Timestamp,
    tags: Vec<(String, String)>,
    /// It ends as `failed`.
    fails: bool,
}

/// A snapshot as a test gets to see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotView {
    /// Its identifier.
    pub id: String,
    /// The database that it is of.
    pub of: String,
    /// AWS's word.
    pub status: String,
    /// Its tags, in order.
    pub tags: Vec<(String, String)>,
}

/// A database as a test gets to see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseView {
    /// Its identifier.
    pub id: String,
    /// AWS's word.
    pub status: String,
    /// Its security groups.
    pub security_groups: Vec<String>,
    /// Its parameter group.
    pub parameter_group: String,
    /// Whether it has a standby.
    pub multi_az: bool,
}

impl Default for DatabaseSeed {
    fn default() -> Self {
        Self {
            id: "shop-auth".to_owned(),
            is_cluster: false,
            status: "available".to_owned(),
            status_for: Duration::ZERO,
        }
    }
}

impl World {
    /// Makes a database. Its settings are none that RDS would give by default.
    pub fn create_database(&self, seed: DatabaseSeed) {
        self.with(|state| {
            let is_available = seed.status == "available";
            let ready = (!is_available).then(|| (state.now + seed.status_for, Next::Available));
            let kind = if seed.is_cluster { Kind::Cluster } else { Kind::Instance };
            let database = Database { status: seed.status, next: ready, ..Database::like_production(&seed.id, kind) };
            if seed.is_cluster {
                let id = format!("{}-1", seed.id);
                let member =
                    Database { cluster: Some(seed.id.clone()), ..Database::like_production(&id, Kind::Instance) };
                state
                    .rds
                    .databases
                    .insert((Kind::Instance, id), Database { engine: database.engine.clone(), ..member });
            }
            state.rds.databases.insert((kind, seed.id), database);
        });
    }

    /// From now on there may be no more than so many snapshots.
    pub fn limit_snapshots(&self, quota: usize) {
        self.with(|state| state.rds.quota = Some(quota));
    }

    /// Every snapshot that is on its way ends as `failed`.
    pub fn fail_snapshots(&self) {
        self.with(|state| state.rds.snapshots.values_mut().for_each(|snapshot| snapshot.fails = true));
    }

    /// All snapshots, in the order of their names.
    pub fn snapshots(&self) -> Vec<SnapshotView> {
        self.with(|state| {
            let now = state.now;
            let view = |snapshot: &Snapshot| SnapshotView {
                id: snapshot.id.clone(),
                of: snapshot.of.clone(),
                status: snapshot.status(now).to_owned(),
                tags: snapshot.tags.clone(),
            };
            state.rds.snapshots.values().map(view).collect()
        })
    }

    /// All databases, instances first.
    pub fn databases(&self) -> Vec<DatabaseView> {
        self.with(|state| {
            catch_up(state);
            let view = |database: &Database| DatabaseView {
                id: database.id.clone(),
                status: database.status.clone(),
                security_groups: database.security_groups.clone(),
                parameter_group: database.parameter_group.clone(),
                multi_az: database.multi_az,
            };
            state.rds.databases.values().map(view).collect()
        })
    }
}

/// Answers an action of RDS's API: the inside of its result.
pub(crate) fn answer(
    state: &mut State,
    action: &str,
    parameters: &BTreeMap<String, String>,
) -> Result<String, Refusal> {
    catch_up(state);
    match action {
        "DescribeDBInstances" => operations::describe(state, Kind::Instance, parameters),
        "DescribeDBClusters" => operations::describe(state, Kind::Cluster, parameters),
        "CreateDBInstance" => operations::create_instance(state, parameters),
        "ModifyDBInstance" => operations::modify(state, Kind::Instance, parameters),
        "ModifyDBCluster" => operations::modify(state, Kind::Cluster, parameters),
        "DescribeDBSnapshots" => operations::describe_snapshots(state, Kind::Instance, parameters),
        "DescribeDBClusterSnapshots" => operations::describe_snapshots(state, Kind::Cluster, parameters),
        "CreateDBSnapshot" => operations::create_snapshot(state, Kind::Instance, parameters),
        "CreateDBClusterSnapshot" => operations::create_snapshot(state, Kind::Cluster, parameters),
        "DeleteDBSnapshot" => operations::delete_snapshot(state, Kind::Instance, parameters),
        "DeleteDBClusterSnapshot" => operations::delete_snapshot(state, Kind::Cluster, parameters),
        "RestoreDBInstanceFromDBSnapshot" => operations::restore(state, Kind::Instance, parameters),
        "RestoreDBClusterFromSnapshot" => operations::restore(state, Kind::Cluster, parameters),
        _ => Err(Refusal::new("InvalidAction", format!("Could not find operation {action} for version 2014-10-31"))),
    }
}

/// Lets every database become what it was on its way to.
fn catch_up(state: &mut State) {
    let now = state.now;
    let due = |database: &Database| database.next.as_ref().is_some_and(|(at, _)| *at <= now);
    let keys: Vec<(Kind, String)> =
        state.rds.databases.iter().filter(|(_, database)| due(database)).map(|(key, _)| key.clone()).collect();
    for key in keys {
        let Some(mut database) = state.rds.databases.remove(&key) else { continue };
        if let Some((_, Next::Renamed(to))) = database.next.take() {
            for member in state.rds.databases.values_mut().filter(|member| member.cluster.as_ref() == Some(&key.1)) {
                member.cluster = Some(to.clone());
            }
            database.id = to;
        }
        database.status = "available".to_owned();
        state.rds.databases.insert((key.0, database.id.clone()), database);
    }
}

impl Database {
    fn like_production(id: &str, kind: Kind) -> Self {
        Self {
            id: id.to_owned(),
            status: "available".to_owned(),
            next: None,
            engine: if kind == Kind::Cluster { "aurora-postgresql".to_owned() } else { "postgres".to_owned() },
            class: "db.t4g.small".to_owned(),
            subnet_group: "shop-private".to_owned(),
            security_groups: vec!["sg-00000000000000db1".to_owned()],
            parameter_group: "shop-postgres16".to_owned(),
            multi_az: true,
            retention_days: 7,
            cluster: None,
        }
    }
}

impl Snapshot {
    fn status(&self, now: Timestamp) -> &'static str {
        match (now >= self.ready_at, self.fails) {
            (false, _) => "creating",
            (true, false) => "available",
            (true, true) => "failed",
        }
    }
}
