//! Databases and snapshots, as RDS describes them and as the actions see them.

use std::fmt;

use aws_sdk_rds::types::{DbCluster, DbClusterSnapshot, DbInstance, DbSnapshot, Tag};
use jiff::Timestamp;

use crate::aws::moment;

/// Which database: an instance, or an Aurora cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DatabaseName {
    /// The identifier of a DB instance.
    Instance(String),
    /// The identifier of a DB cluster.
    Cluster(String),
}

/// A database as RDS describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Database {
    /// Its kind and identifier.
    pub name: DatabaseName,
    /// AWS's word: `available`, `creating`, `backing-up`, `modifying`, …
    pub status: String,
    /// `postgres`, `aurora-mysql`, …
    pub engine: String,
    /// `16.3`.
    pub engine_version: String,
    /// The class of the instance, `db.t4g.small`; of a cluster, that of its writer where it is known.
    pub class: Option<String>,
    /// The subnet group.
    pub subnet_group: Option<String>,
    /// The security groups of its network interfaces.
    pub security_groups: Vec<String>,
    /// The parameter group of the instance, or of the cluster.
    pub parameter_group: Option<String>,
    /// Whether it has a standby in another availability zone.
    pub multi_az: bool,
    /// Whether it has a public address.
    pub is_public: bool,
    /// Whether it must not be deleted.
    pub deletion_protection: bool,
    /// How many days back it can be restored to any second; 0 is not at all.
    pub retention_days: i32,
    /// The last second that it can be restored to.
    pub latest_restorable: Option<Timestamp>,
    /// Where it answers: `host:port`.
    pub endpoint: Option<String>,
    /// The instances of a cluster, the writer first.
    pub members: Vec<String>,
}

/// A snapshot that somebody took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Its identifier.
    pub id: String,
    /// The database that it is of.
    pub of: DatabaseName,
    /// AWS's word: `creating`, `available`, `failed`, …
    pub status: String,
    /// When it was taken.
    pub created_at: Option<Timestamp>,
    /// How far it is, in percent.
    pub progress: Option<i32>,
    /// Its tags.
    pub tags: Vec<(String, String)>,
}

/// How a restored database is to be, as far as a snapshot does not say it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restore {
    /// The snapshot.
    pub snapshot: String,
    /// What the new database is called.
    pub to: DatabaseName,
    /// The database whose settings it gets: without them it would have the default security group and parameters.
    pub like: Database,
}

impl DatabaseName {
    /// The identifier.
    pub fn id(&self) -> &str {
        match self {
            Self::Instance(id) | Self::Cluster(id) => id,
        }
    }

    /// Another one of the same kind.
    pub fn renamed(&self, id: impl Into<String>) -> Self {
        match self {
            Self::Instance(_) => Self::Instance(id.into()),
            Self::Cluster(_) => Self::Cluster(id.into()),
        }
    }
}

impl fmt::Display for DatabaseName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Instance(id) => write!(formatter, "RDS instance `{id}`"),
            Self::Cluster(id) => write!(formatter, "Aurora cluster `{id}`"),
        }
    }
}

pub(super) fn instance(instance: &DbInstance) -> Database {
    let groups = instance.vpc_security_groups().iter().filter_map(|group| group.vpc_security_group_id());
    let parameters = instance.db_parameter_groups().first().and_then(|group| group.db_parameter_group_name());
    let endpoint = instance.endpoint();
    Database {
        name: DatabaseName::Instance(text(instance.db_instance_identifier())),
        status: text(instance.db_instance_status()),
        engine: text(instance.engine()),
        engine_version: text(instance.engine_version()),
        class: instance.db_instance_class().map(str::to_owned),
        subnet_group: instance.db_subnet_group().and_then(|group| group.db_subnet_group_name()).map(str::to_owned),
        security_groups: groups.map(str::to_owned).collect(),
        parameter_group: parameters.map(str::to_owned),
        multi_az: instance.multi_az().unwrap_or_default(),
        is_public: instance.publicly_accessible().unwrap_or_default(),
        deletion_protection: instance.deletion_protection().unwrap_or_default(),
        retention_days: instance.backup_retention_period().unwrap_or_default(),
        latest_restorable: instance.latest_restorable_time().and_then(moment),
        endpoint: endpoint.and_then(|endpoint| address(endpoint.address(), endpoint.port())),
        members: Vec::new(),
    }
}

pub(super) fn cluster(cluster: &DbCluster) -> Database {
    let groups = cluster.vpc_security_groups().iter().filter_map(|group| group.vpc_security_group_id());
    let mut members: Vec<_> = cluster.db_cluster_members().iter().collect();
    members.sort_by_key(|member| !member.is_cluster_writer().unwrap_or_default());
    let members = members.iter().filter_map(|member| member.db_instance_identifier());
    Database {
        name: DatabaseName::Cluster(text(cluster.db_cluster_identifier())),
        status: text(cluster.status()),
        engine: text(cluster.engine()),
        engine_version: text(cluster.engine_version()),
        class: cluster.db_cluster_instance_class().map(str::to_owned),
        subnet_group: cluster.db_subnet_group().map(str::to_owned),
        security_groups: groups.map(str::to_owned).collect(),
        parameter_group: cluster.db_cluster_parameter_group().map(str::to_owned),
        multi_az: cluster.multi_az().unwrap_or_default(),
        is_public: cluster.publicly_accessible().unwrap_or_default(),
        deletion_protection: cluster.deletion_protection().unwrap_or_default(),
        retention_days: cluster.backup_retention_period().unwrap_or_default(),
        latest_restorable: cluster.latest_restorable_time().and_then(moment),
        endpoint: address(cluster.endpoint(), cluster.port()),
        members: members.map(str::to_owned).collect(),
    }
}

pub(super) fn of_instance(snapshot: &DbSnapshot) -> Snapshot {
    Snapshot {
        id: text(snapshot.db_snapshot_identifier()),
        of: DatabaseName::Instance(text(snapshot.db_instance_identifier())),
        status: text(snapshot.status()),
        created_at: snapshot.snapshot_create_time().and_then(moment),
        progress: snapshot.percent_progress(),
        tags: tags(snapshot.tag_list()),
    }
}

pub(super) fn of_cluster(snapshot: &DbClusterSnapshot) -> Snapshot {
    Snapshot {
        id: text(snapshot.db_cluster_snapshot_identifier()),
        of: DatabaseName::Cluster(text(snapshot.db_cluster_identifier())),
        status: text(snapshot.status()),
        created_at: snapshot.snapshot_create_time().and_then(moment),
        progress: snapshot.percent_progress(),
        tags: tags(snapshot.tag_list()),
    }
}

fn tags(tags: &[Tag]) -> Vec<(String, String)> {
    tags.iter().map(|tag| (text(tag.key()), text(tag.value()))).collect()
}

fn address(host: Option<&str>, port: Option<i32>) -> Option<String> {
    let host = host?;
    Some(port.map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
}

fn text(text: Option<&str>) -> String {
    text.unwrap_or_default().to_owned()
}
