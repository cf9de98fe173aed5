//! Relational Database Service: databases, their snapshots, and what is made from a snapshot. An instance and an Aurora cluster
//! have calls of their own for everything; here they are one thing, a [`Database`].

use std::fmt;

use aws_config::SdkConfig;
use aws_sdk_rds::operation::describe_db_cluster_snapshots::DescribeDBClusterSnapshotsError;
use aws_sdk_rds::operation::describe_db_clusters::DescribeDBClustersError;
use aws_sdk_rds::operation::describe_db_instances::DescribeDBInstancesError;
use aws_sdk_rds::operation::describe_db_snapshots::DescribeDBSnapshotsError;
use aws_sdk_rds::types::{DbCluster, DbClusterSnapshot, DbInstance, DbSnapshot, Tag};
use jiff::Timestamp;

use super::moment;
use super::refusal::failure;
use crate::failure::Failure;

/// The RDS API.
#[derive(Clone, Debug)]
pub struct Rds(aws_sdk_rds::Client);

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

impl Rds {
    pub(super) fn new(config: &SdkConfig) -> Self {
        Self(aws_sdk_rds::Client::new(config))
    }

    /// `rds:DescribeDBInstances`, `rds:DescribeDBClusters`. `None` if there is none of this name.
    pub async fn database(&self, name: &DatabaseName) -> Result<Option<Database>, Failure> {
        let doing = format!("look at {name}");
        match name {
            DatabaseName::Instance(id) => {
                match self.0.describe_db_instances().db_instance_identifier(id).send().await {
                    Ok(answer) => Ok(answer.db_instances().first().map(instance)),
                    Err(error)
                        if error
                            .as_service_error()
                            .is_some_and(DescribeDBInstancesError::is_db_instance_not_found_fault) =>
                    {
                        Ok(None)
                    }
                    Err(error) => Err(failure("rds:DescribeDBInstances", doing, error)),
                }
            }
            DatabaseName::Cluster(id) => match self.0.describe_db_clusters().db_cluster_identifier(id).send().await {
                Ok(answer) => match answer.db_clusters().first().map(cluster) {
                    Some(found) => self.with_class(found).await.map(Some),
                    None => Ok(None),
                },
                Err(error)
                    if error.as_service_error().is_some_and(DescribeDBClustersError::is_db_cluster_not_found_fault) =>
                {
                    Ok(None)
                }
                Err(error) => Err(failure("rds:DescribeDBClusters", doing, error)),
            },
        }
    }

    /// A cluster with the class of its writer: Aurora knows classes of instances alone.
    async fn with_class(&self, cluster: Database) -> Result<Database, Failure> {
        let (None, Some(writer)) = (&cluster.class, cluster.members.first()) else { return Ok(cluster) };
        let answer = self.0.describe_db_instances().db_instance_identifier(writer).send().await;
        let answer = answer
            .map_err(|error| failure("rds:DescribeDBInstances", format!("look at RDS instance `{writer}`"), error))?;
        let class = answer.db_instances().first().and_then(DbInstance::db_instance_class).map(str::to_owned);
        Ok(Database { class, ..cluster })
    }

    /// `rds:CreateDBSnapshot`, `rds:CreateDBClusterSnapshot`, `rds:AddTagsToResource`.
    pub async fn create_snapshot(
        &self,
        of: &DatabaseName,
        id: &str,
        tags: &[(String, String)],
    ) -> Result<Snapshot, Failure> {
        let doing = format!("take snapshot `{id}` of {of}");
        let missing = || Failure::remote("RDS answered without a snapshot").context(doing.clone());
        let tags = tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect();
        match of {
            DatabaseName::Instance(database) => {
                let request = self.0.create_db_snapshot().db_instance_identifier(database).db_snapshot_identifier(id);
                let answer = request.set_tags(Some(tags)).send().await;
                let answer = answer.map_err(|error| failure("rds:CreateDBSnapshot", &doing, error))?;
                answer.db_snapshot().map(of_instance).ok_or_else(missing)
            }
            DatabaseName::Cluster(database) => {
                let request = self
                    .0
                    .create_db_cluster_snapshot()
                    .db_cluster_identifier(database)
                    .db_cluster_snapshot_identifier(id);
                let answer = request.set_tags(Some(tags)).send().await;
                let answer = answer.map_err(|error| failure("rds:CreateDBClusterSnapshot", &doing, error))?;
                answer.db_cluster_snapshot().map(of_cluster).ok_or_else(missing)
            }
        }
    }

    /// `rds:DescribeDBSnapshots`, `rds:DescribeDBClusterSnapshots`. `None` if there is none of this name.
    pub async fn snapshot(&self, of: &DatabaseName, id: &str) -> Result<Option<Snapshot>, Failure> {
        let doing = format!("look at snapshot `{id}`");
        match of {
            DatabaseName::Instance(_) => match self.0.describe_db_snapshots().db_snapshot_identifier(id).send().await {
                Ok(answer) => Ok(answer.db_snapshots().first().map(of_instance)),
                Err(error)
                    if error
                        .as_service_error()
                        .is_some_and(DescribeDBSnapshotsError::is_db_snapshot_not_found_fault) =>
                {
                    Ok(None)
                }
                Err(error) => Err(failure("rds:DescribeDBSnapshots", doing, error)),
            },
            DatabaseName::Cluster(_) => {
                match self.0.describe_db_cluster_snapshots().db_cluster_snapshot_identifier(id).send().await {
                    Ok(answer) => Ok(answer.db_cluster_snapshots().first().map(of_cluster)),
                    Err(error)
                        if error
                            .as_service_error()
                            .is_some_and(DescribeDBClusterSnapshotsError::is_db_cluster_snapshot_not_found_fault) =>
                    {
                        Ok(None)
                    }
                    Err(error) => Err(failure("rds:DescribeDBClusterSnapshots", doing, error)),
                }
            }
        }
    }

    /// The snapshots of a database that were taken by hand, or by a program as this one: not RDS's own daily ones.
    pub async fn snapshots(&self, of: &DatabaseName) -> Result<Vec<Snapshot>, Failure> {
        let doing = format!("list the snapshots of {of}");
        match of {
            DatabaseName::Instance(id) => {
                let request = self.0.describe_db_snapshots().db_instance_identifier(id).snapshot_type("manual");
                let listed: Result<Vec<_>, _> = request.into_paginator().items().send().collect().await;
                let listed = listed.map_err(|error| failure("rds:DescribeDBSnapshots", doing, error))?;
                Ok(listed.iter().map(of_instance).collect())
            }
            DatabaseName::Cluster(id) => {
                let request = self.0.describe_db_cluster_snapshots().db_cluster_identifier(id).snapshot_type("manual");
                let listed: Result<Vec<_>, _> = request.into_paginator().items().send().collect().await;
                let listed = listed.map_err(|error| failure("rds:DescribeDBClusterSnapshots", doing, error))?;
                Ok(listed.iter().map(of_cluster).collect())
            }
        }
    }

    /// `rds:DeleteDBSnapshot`, `rds:DeleteDBClusterSnapshot`.
    pub async fn delete_snapshot(&self, snapshot: &Snapshot) -> Result<(), Failure> {
        let doing = format!("delete snapshot `{}`", snapshot.id);
        match &snapshot.of {
            DatabaseName::Instance(_) => {
                let request = self.0.delete_db_snapshot().db_snapshot_identifier(&snapshot.id);
                request.send().await.map(drop).map_err(|error| failure("rds:DeleteDBSnapshot", doing, error))
            }
            DatabaseName::Cluster(_) => {
                let request = self.0.delete_db_cluster_snapshot().db_cluster_snapshot_identifier(&snapshot.id);
                request.send().await.map(drop).map_err(|error| failure("rds:DeleteDBClusterSnapshot", doing, error))
            }
        }
    }

    /// `rds:RestoreDBInstanceFromDBSnapshot`, or `rds:RestoreDBClusterFromSnapshot`: a new database. A cluster has no instance
    /// then, and nothing can connect to it until [`Rds::create_instance_of`] makes one.
    pub async fn restore(&self, restore: &Restore) -> Result<(), Failure> {
        let Restore { snapshot, to, like } = restore;
        let doing = format!("restore snapshot `{snapshot}` to {to}");
        let groups = Some(like.security_groups.clone());
        match to {
            DatabaseName::Instance(id) => {
                let request = self
                    .0
                    .restore_db_instance_from_db_snapshot()
                    .db_instance_identifier(id)
                    .db_snapshot_identifier(snapshot)
                    .set_db_instance_class(like.class.clone())
                    .set_db_subnet_group_name(like.subnet_group.clone())
                    .set_vpc_security_group_ids(groups)
                    .set_db_parameter_group_name(like.parameter_group.clone())
                    .multi_az(like.multi_az)
                    .publicly_accessible(like.is_public)
                    .deletion_protection(like.deletion_protection);
                let answer = request.send().await;
                answer.map(drop).map_err(|error| failure("rds:RestoreDBInstanceFromDBSnapshot", doing, error))
            }
            DatabaseName::Cluster(id) => {
                let request = self
                    .0
                    .restore_db_cluster_from_snapshot()
                    .db_cluster_identifier(id)
                    .snapshot_identifier(snapshot)
                    .engine(&like.engine)
                    .engine_version(&like.engine_version)
                    .set_db_subnet_group_name(like.subnet_group.clone())
                    .set_vpc_security_group_ids(groups)
                    .set_db_cluster_parameter_group_name(like.parameter_group.clone())
                    .deletion_protection(like.deletion_protection);
                let answer = request.send().await;
                answer.map(drop).map_err(|error| failure("rds:RestoreDBClusterFromSnapshot", doing, error))
            }
        }
    }

    /// `rds:CreateDBInstance`, as a member of a cluster.
    pub async fn create_instance_of(&self, cluster: &str, id: &str, like: &Database) -> Result<(), Failure> {
        let request = self
            .0
            .create_db_instance()
            .db_instance_identifier(id)
            .db_cluster_identifier(cluster)
            .engine(&like.engine)
            .db_instance_class(like.class.as_deref().unwrap_or("db.serverless"))
            .publicly_accessible(like.is_public);
        let doing = format!("add instance `{id}` to Aurora cluster `{cluster}`");
        request.send().await.map(drop).map_err(|error| failure("rds:CreateDBInstance", doing, error))
    }

    /// `rds:ModifyDBInstance`, `rds:ModifyDBCluster`: another identifier, and with it another address. At once.
    pub async fn rename(&self, from: &DatabaseName, to: &str) -> Result<(), Failure> {
        let doing = format!("rename {from} to `{to}`");
        match from {
            DatabaseName::Instance(id) => {
                let request = self.0.modify_db_instance().db_instance_identifier(id).new_db_instance_identifier(to);
                let answer = request.apply_immediately(true).send().await;
                answer.map(drop).map_err(|error| failure("rds:ModifyDBInstance", doing, error))
            }
            DatabaseName::Cluster(id) => {
                let request = self.0.modify_db_cluster().db_cluster_identifier(id).new_db_cluster_identifier(to);
                let answer = request.apply_immediately(true).send().await;
                answer.map(drop).map_err(|error| failure("rds:ModifyDBCluster", doing, error))
            }
        }
    }
}

fn instance(instance: &DbInstance) -> Database {
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

fn cluster(cluster: &DbCluster) -> Database {
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

fn of_instance(snapshot: &DbSnapshot) -> Snapshot {
    Snapshot {
        id: text(snapshot.db_snapshot_identifier()),
        of: DatabaseName::Instance(text(snapshot.db_instance_identifier())),
        status: text(snapshot.status()),
        created_at: snapshot.snapshot_create_time().and_then(moment),
        progress: snapshot.percent_progress(),
        tags: tags(snapshot.tag_list()),
    }
}

fn of_cluster(snapshot: &DbClusterSnapshot) -> Snapshot {
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
