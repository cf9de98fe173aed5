//! Snapshots of a database before it is migrated, in RDS as two emulators know it, and a restore.

use anyhow::{Result, bail};

use crate::e2e::aws_api::{AwsApi, elements_of};
use crate::e2e::moto::{self, Moto};
use crate::e2e::stage::short;
use crate::e2e::workflow::Workflow;

const INSTANCE: &str = "payments-users";

/// A line of `delivery.toml`: a snapshot before each migration, of which only the newest is kept.
pub(super) const BACKUP: &str = "backup = { rds-instance = \"payments-users\", when = \"always\", keep = 1 }\n";

/// Has RDS asked of moto instead of ministack.
pub(super) const OF_MOTO: [(&str, &str); 1] = [("AWS_ENDPOINT_URL_RDS", moto::URL)];

/// Makes the instance. Both emulators know it by its records alone: for the engine that the databases really run on, ministack
/// would start a container of an image that nobody has here.
pub(super) fn create_instance(api: AwsApi) -> Result<()> {
    let parameters = [
        ("DBInstanceIdentifier", INSTANCE),
        ("DBInstanceClass", "db.t4g.medium"),
        ("Engine", "oracle-se2"),
        ("AllocatedStorage", "20"),
        ("MasterUsername", "payments"),
        ("MasterUserPassword", "not-checked"),
    ];
    api.rds("CreateDBInstance", &parameters).map(drop)
}

/// The instance has one snapshot beside those that RDS takes by itself: that from before the migration to this commit.
pub(super) fn expect_snapshot(api: AwsApi, service: &str, commit: &str) -> Result<String> {
    let answer = api.rds("DescribeDBSnapshots", &[("DBInstanceIdentifier", INSTANCE), ("SnapshotType", "manual")])?;
    let expected = format!("{service}-{}-1", short(commit));
    match elements_of(&answer, "DBSnapshotIdentifier").as_slice() {
        [snapshot] if *snapshot == expected => Ok(expected),
        snapshots => bail!("the snapshots are {snapshots:?}, expected {expected}: {answer}"),
    }
}

/// Restores the snapshot from before the last migration, as a dispatch with a typed confirmation does.
pub(super) fn restore(workflow: &Workflow, moto: &Moto, with: &[(&str, &str)], snapshot: &str) -> Result<()> {
    let inputs: Vec<_> = [("operation", "restore"), ("confirm", INSTANCE)].iter().chain(with).copied().collect();
    let restored = workflow.step("run-migration", &inputs, "restored")?;
    let output = |name: &str| restored.outputs.get(name).map_or("", String::as_str);
    if output("snapshot") != snapshot || !output("endpoint").contains("-restored-") {
        bail!("`{}` was restored to `{}`, expected {snapshot}", output("snapshot"), output("endpoint"));
    }
    let answer = moto.api.rds("DescribeDBInstances", &[])?;
    let instances = elements_of(&answer, "DBInstanceIdentifier");
    match instances.iter().any(|name| name.starts_with("payments-users-restored-")) && instances.contains(&INSTANCE) {
        true => Ok(()),
        false => bail!("the instances are {instances:?}, expected {INSTANCE} and what was restored"),
    }
}
