//! The operations, by their names in RDS's API.

use std::collections::BTreeMap;

use http::StatusCode;

use super::words::{described, described_snapshot};
use super::{Database, INSTANCE, Kind, Next, RENAME, RESTORE, SNAPSHOT, Snapshot};
use crate::state::State;
use crate::wire::Refusal;

type Parameters = BTreeMap<String, String>;

pub(super) fn describe(state: &State, kind: Kind, parameters: &Parameters) -> Result<String, Refusal> {
    let asked = parameters.get(identifier(kind));
    let found: Vec<&Database> = state
        .rds
        .databases
        .iter()
        .filter(|((of, id), _)| *of == kind && asked.is_none_or(|asked| asked == id))
        .map(|(_, database)| database)
        .collect();
    if let (Some(asked), []) = (asked, found.as_slice()) {
        return Err(no_database(kind, asked));
    }
    let list = word(kind);
    let all: String = found.into_iter().map(|database| described(state, kind, database)).collect();
    Ok(format!("<{list}s>{all}</{list}s>"))
}

pub(super) fn create_instance(state: &mut State, parameters: &Parameters) -> Result<String, Refusal> {
    let (id, cluster) = (text(parameters, "DBInstanceIdentifier"), text(parameters, "DBClusterIdentifier"));
    let like = database(state, Kind::Cluster, &cluster)?.clone();
    let member = Database {
        id,
        status: "creating".to_owned(),
        next: Some((state.now + INSTANCE, Next::Available)),
        class: text(parameters, "DBInstanceClass"),
        cluster: Some(cluster),
        ..like
    };
    insert(state, Kind::Instance, member)
}

/// A new identifier is all that can be asked for.
pub(super) fn modify(state: &mut State, kind: Kind, parameters: &Parameters) -> Result<String, Refusal> {
    let to = text(parameters, &format!("New{}", identifier(kind)));
    let id = text(parameters, identifier(kind));
    available(state, kind, &id)?;
    if state.rds.databases.contains_key(&(kind, to.clone())) {
        return Err(exists(kind, &to));
    }
    let at = state.now + RENAME;
    let Some(database) = state.rds.databases.get_mut(&(kind, id.clone())) else { return Err(no_database(kind, &id)) };
    "renaming".clone_into(&mut database.status);
    database.next = Some((at, Next::Renamed(to)));
    let database = database.clone();
    Ok(described(state, kind, &database))
}

pub(super) fn describe_snapshots(state: &State, kind: Kind, parameters: &Parameters) -> Result<String, Refusal> {
    let (asked, of) = (parameters.get(snapshot_identifier(kind)), parameters.get(identifier(kind)));
    let fits = |snapshot: &&Snapshot| {
        asked.is_none_or(|asked| *asked == snapshot.id) && of.is_none_or(|of| *of == snapshot.of)
    };
    let of_kind = state.rds.snapshots.iter().filter(|((of, _), _)| *of == kind).map(|(_, snapshot)| snapshot);
    let found: Vec<&Snapshot> = of_kind.filter(fits).collect();
    if let (Some(asked), []) = (asked, found.as_slice()) {
        return Err(no_snapshot(kind, asked));
    }
    let list = snapshot_word(kind);
    let all: String = found.into_iter().map(|snapshot| described_snapshot(state, kind, snapshot)).collect();
    Ok(format!("<{list}s>{all}</{list}s>"))
}

pub(super) fn create_snapshot(state: &mut State, kind: Kind, parameters: &Parameters) -> Result<String, Refusal> {
    let (id, of) = (text(parameters, snapshot_identifier(kind)), text(parameters, identifier(kind)));
    let engine = available(state, kind, &of)?.engine.clone();
    if state.rds.snapshots.contains_key(&(kind, id.clone())) {
        let code = ["DBSnapshotAlreadyExists", "DBClusterSnapshotAlreadyExistsFault"][kind as usize];
        let message = format!("Cannot create the snapshot because a snapshot with the identifier {id} already exists.");
        return Err(Refusal::new(code, message));
    }
    if state.rds.quota.is_some_and(|quota| state.rds.snapshots.len() >= quota) {
        let message = "Cannot create more than 100 manual snapshots";
        return Err(Refusal::new("SnapshotQuotaExceeded", message));
    }
    let tags = (1..).map_while(|index| {
        let key = parameters.get(&format!("Tags.Tag.{index}.Key"))?;
        Some((key.clone(), text(parameters, &format!("Tags.Tag.{index}.Value"))))
    });
    let (now, tags) = (state.now, tags.collect());
    let snapshot = Snapshot {
        id: id.clone(),
        of: of.clone(),
        engine,
        created_at: now,
        ready_at: now + SNAPSHOT,
        tags,
        fails: false,
    };
    if let Some(database) = state.rds.databases.get_mut(&(kind, of)) {
        "backing-up".clone_into(&mut database.status);
        database.next = Some((now + SNAPSHOT, Next::Available));
    }
    let answer = described_snapshot(state, kind, &snapshot);
    state.rds.snapshots.insert((kind, id), snapshot);
    Ok(answer)
}

pub(super) fn delete_snapshot(state: &mut State, kind: Kind, parameters: &Parameters) -> Result<String, Refusal> {
    let id = text(parameters, snapshot_identifier(kind));
    match state.rds.snapshots.remove(&(kind, id.clone())) {
        Some(snapshot) => Ok(described_snapshot(state, kind, &snapshot)),
        None => Err(no_snapshot(kind, &id)),
    }
}

/// A new database. What is not asked for is RDS's default, and not what the snapshot's database had.
pub(super) fn restore(state: &mut State, kind: Kind, parameters: &Parameters) -> Result<String, Refusal> {
    let parameter = if kind == Kind::Instance { "DBSnapshotIdentifier" } else { "SnapshotIdentifier" };
    let snapshot_id = text(parameters, parameter);
    let snapshot = state.rds.snapshots.get(&(kind, snapshot_id.clone()));
    let Some(snapshot) = snapshot else { return Err(no_snapshot(kind, &snapshot_id)) };
    if snapshot.status(state.now) != "available" {
        let code = ["InvalidDBSnapshotState", "InvalidDBClusterSnapshotStateFault"][kind as usize];
        return Err(Refusal::new(code, format!("The snapshot {snapshot_id} is not available.")));
    }
    let or = |name: &str, default: &str| parameters.get(name).cloned().unwrap_or_else(|| default.to_owned());
    let groups = (1..).map_while(|index| parameters.get(&format!("VpcSecurityGroupIds.VpcSecurityGroupId.{index}")));
    let groups: Vec<String> = groups.cloned().collect();
    let parameter_group = if kind == Kind::Instance { "DBParameterGroupName" } else { "DBClusterParameterGroupName" };
    let database = Database {
        id: text(parameters, identifier(kind)),
        status: "creating".to_owned(),
        next: Some((state.now + RESTORE, Next::Available)),
        engine: snapshot.engine.clone(),
        class: or("DBInstanceClass", "db.m5.large"),
        subnet_group: or("DBSubnetGroupName", "default"),
        security_groups: if groups.is_empty() { vec!["sg-0000000000default".to_owned()] } else { groups },
        parameter_group: or(parameter_group, "default.postgres16"),
        multi_az: parameters.get("MultiAZ").is_some_and(|value| value == "true"),
        retention_days: 7,
        cluster: None,
    };
    insert(state, kind, database)
}

fn insert(state: &mut State, kind: Kind, database: Database) -> Result<String, Refusal> {
    if state.rds.databases.contains_key(&(kind, database.id.clone())) {
        return Err(exists(kind, &database.id));
    }
    let answer = described(state, kind, &database);
    state.rds.databases.insert((kind, database.id.clone()), database);
    Ok(answer)
}

fn database<'a>(state: &'a State, kind: Kind, id: &str) -> Result<&'a Database, Refusal> {
    state.rds.databases.get(&(kind, id.to_owned())).ok_or_else(|| no_database(kind, id))
}

/// The database, if it can be changed now.
fn available<'a>(state: &'a State, kind: Kind, id: &str) -> Result<&'a Database, Refusal> {
    let database = database(state, kind, id)?;
    if database.status == "available" {
        return Ok(database);
    }
    let code = ["InvalidDBInstanceState", "InvalidDBClusterStateFault"][kind as usize];
    Err(Refusal::new(code, format!("Database {id} is not in available state.")))
}

/// `DBInstance`, `DBCluster`: what an element of this kind is called.
pub(super) const fn word(kind: Kind) -> &'static str {
    ["DBInstance", "DBCluster"][kind as usize]
}

pub(super) const fn snapshot_word(kind: Kind) -> &'static str {
    ["DBSnapshot", "DBClusterSnapshot"][kind as usize]
}

pub(super) const fn identifier(kind: Kind) -> &'static str {
    ["DBInstanceIdentifier", "DBClusterIdentifier"][kind as usize]
}

pub(super) const fn snapshot_identifier(kind: Kind) -> &'static str {
    ["DBSnapshotIdentifier", "DBClusterSnapshotIdentifier"][kind as usize]
}

fn no_database(kind: Kind, id: &str) -> Refusal {
    let code = ["DBInstanceNotFound", "DBClusterNotFoundFault"][kind as usize];
    Refusal::new(code, format!("{} {id} not found.", word(kind))).with_status(StatusCode::NOT_FOUND)
}

fn no_snapshot(kind: Kind, id: &str) -> Refusal {
    let code = ["DBSnapshotNotFound", "DBClusterSnapshotNotFoundFault"][kind as usize];
    Refusal::new(code, format!("{} {id} not found.", snapshot_word(kind))).with_status(StatusCode::NOT_FOUND)
}

fn exists(kind: Kind, id: &str) -> Refusal {
    let code = ["DBInstanceAlreadyExists", "DBClusterAlreadyExistsFault"][kind as usize];
    Refusal::new(code, format!("{} already exists: {id}", word(kind)))
}

fn text(parameters: &Parameters, name: &str) -> String {
    parameters.get(name).cloned().unwrap_or_default()
}
