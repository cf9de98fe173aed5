//! Relational Database Service: databases, their snapshots, and what is made from a snapshot. An instance and an Aurora cluster
//! have calls of their own for everything; here they are one thing, a [`Database`].

mod database;

use aws_config::SdkConfig;
use aws_sdk_rds::operation::describe_db_cluster_snapshots::DescribeDBClusterSnapshotsError;
use aws_sdk_rds::operation::describe_db_clusters::DescribeDBClustersError;
use aws_sdk_rds::operation::describe_db_instances::DescribeDBInstancesError;
use aws_sdk_rds::operation::describe_db_snapshots::DescribeDBSnapshotsError;
use aws_sdk_rds::types::{DbInstance, Tag};

pub use self::database::{Database, DatabaseName, Restore, Snapshot};
use self::database::{cluster, instance, of_cluster, of_instance};
use super::refusal::failure;
use crate::failure::Failure;

/// The RDS API.
#[derive(Clone, Debug)]
pub struct Rds(aws_sdk_rds::Client);

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
