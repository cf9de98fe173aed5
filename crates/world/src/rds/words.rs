//! Databases and snapshots as RDS writes them.

use super::operations::{identifier, snapshot_identifier, snapshot_word, word};
use super::{Database, Kind, Snapshot};
use crate::state::State;
use crate::wire::xml;

pub(super) fn described(state: &State, kind: Kind, database: &Database) -> String {
    let Database { id, status, engine, class, subnet_group, parameter_group, multi_az, retention_days, .. } = database;
    let groups: String = (database.security_groups.iter())
        .map(|group| {
            format!(
                "<VpcSecurityGroupMembership><VpcSecurityGroupId>{}</VpcSecurityGroupId><Status>active</Status>\
                 </VpcSecurityGroupMembership>",
                xml(group)
            )
        })
        .collect();
    // RDS writes it five minutes late: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_PIT.html
    let restorable = (state.now - std::time::Duration::from_mins(5)).strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let name = xml(id);
    let host = format!("{name}.c0a1b2c3d4e5.{}.rds.amazonaws.com", state.region);
    let kinds_own = match kind {
        Kind::Instance => format!(
            "<DBInstanceStatus>{status}</DBInstanceStatus><DBInstanceClass>{class}</DBInstanceClass>\
             <DBSubnetGroup><DBSubnetGroupName>{}</DBSubnetGroupName></DBSubnetGroup>\
             <DBParameterGroups><DBParameterGroup><DBParameterGroupName>{}</DBParameterGroupName>\
             <ParameterApplyStatus>in-sync</ParameterApplyStatus></DBParameterGroup></DBParameterGroups>{}\
             <Endpoint><Address>{host}</Address><Port>5432</Port></Endpoint>",
            xml(subnet_group),
            xml(parameter_group),
            database.cluster.as_ref().map_or_else(String::new, |cluster| format!(
                "<DBClusterIdentifier>{}</DBClusterIdentifier>",
                xml(cluster)
            )),
        ),
        Kind::Cluster => format!(
            "<Status>{status}</Status><DBSubnetGroup>{}</DBSubnetGroup>\
             <DBClusterParameterGroup>{}</DBClusterParameterGroup><Endpoint>{host}</Endpoint><Port>5432</Port>\
             <DBClusterMembers>{}</DBClusterMembers>",
            xml(subnet_group),
            xml(parameter_group),
            members(state, id),
        ),
    };
    let (element, identifier) = (word(kind), identifier(kind));
    format!(
        "<{element}><{identifier}>{name}</{identifier}>{kinds_own}<Engine>{engine}</Engine>\
         <EngineVersion>16.3</EngineVersion><MultiAZ>{multi_az}</MultiAZ><PubliclyAccessible>false</PubliclyAccessible>\
         <DeletionProtection>true</DeletionProtection><BackupRetentionPeriod>{retention_days}</BackupRetentionPeriod>\
         <LatestRestorableTime>{restorable}</LatestRestorableTime><VpcSecurityGroups>{groups}</VpcSecurityGroups></{element}>"
    )
}

fn members(state: &State, cluster: &str) -> String {
    let members = state.rds.databases.values().filter(|database| database.cluster.as_deref() == Some(cluster));
    let member = |member: &Database| {
        format!(
            "<DBClusterMember><DBInstanceIdentifier>{}</DBInstanceIdentifier><IsClusterWriter>true</IsClusterWriter>\
             </DBClusterMember>",
            xml(&member.id)
        )
    };
    members.map(member).collect()
}

pub(super) fn described_snapshot(state: &State, kind: Kind, snapshot: &Snapshot) -> String {
    let (element, own, of) = (snapshot_word(kind), snapshot_identifier(kind), identifier(kind));
    let tags: String = (snapshot.tags.iter())
        .map(|(key, value)| format!("<Tag><Key>{}</Key><Value>{}</Value></Tag>", xml(key), xml(value)))
        .collect();
    let status = snapshot.status(state.now);
    format!(
        "<{element}><{own}>{}</{own}><{of}>{}</{of}><SnapshotCreateTime>{}</SnapshotCreateTime><Engine>{}</Engine>\
         <Status>{status}</Status><SnapshotType>manual</SnapshotType><PercentProgress>{}</PercentProgress>\
         <TagList>{tags}</TagList></{element}>",
        xml(&snapshot.id),
        xml(&snapshot.of),
        snapshot.created_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        snapshot.engine,
        if status == "available" { 100 } else { 0 },
    )
}
