//! What a team gives its roles, put together from what the actions say that they ask of AWS: one policy for looking, one for
//! images, one for deployments, and what is added for the few operations that need more.

use std::collections::BTreeSet;

use anyhow::{Result, bail};
use common::manifest::Action;
use common::markdown::{block, details};
use serde_json::json;

/// Operations that need more than a delivery: a role without them delivers all the same.
const ADDED: [(&str, &[&str]); 4] = [
    (
        "repositories",
        &[
            "ecr:CreateRepository",
            "ecr:PutLifecyclePolicy",
            "ecr:PutImageTagMutability",
            "ecr:PutImageScanningConfiguration",
        ],
    ),
    ("create", &["ecs:CreateService"]),
    ("rotate", &["secretsmanager:PutSecretValue", "secretsmanager:UpdateSecretVersionStage"]),
    (
        "restore",
        &[
            "rds:RestoreDBInstanceFromDBSnapshot",
            "rds:RestoreDBClusterFromSnapshot",
            "rds:CreateDBInstance",
            "rds:ModifyDBInstance",
            "rds:ModifyDBCluster",
        ],
    ),
];

/// Reads that are of a secret's value: whoever only looks goes without them, and is told what could not be seen.
const OF_VALUES: [&str; 2] = ["secretsmanager:GetSecretValue", "kms:Decrypt"];

/// How AWS names what changes nothing.
const READS: [&str; 6] = ["Get", "List", "Describe", "BatchGet", "BatchCheck", "Simulate"];

/// The printed blocks of `docs/permissions.md`, by name.
pub(crate) fn blocks() -> Result<Vec<(&'static str, String)>> {
    let (images, deployments) = (
        [&build_affected::ACTION, &ecr_push::ACTION],
        [&run_migration::ACTION, &ecs_deploy::ACTION, &health_gate::ACTION],
    );
    let (images, deployments) = (asked(&images), asked(&deployments));
    let all: BTreeSet<&str> = images.union(&deployments).copied().collect();
    let added: BTreeSet<&str> = ADDED.into_iter().flat_map(|(_, names)| names).copied().collect();
    if let Some(stray) = added.difference(&all).next() {
        bail!("no action asks for {stray} any more");
    }
    let looks = all.iter().copied().filter(|name| is_read(name) && !OF_VALUES.contains(name)).collect();
    let without_added = |names: &BTreeSet<&'static str>| names.difference(&added).copied().collect();
    let roles = [("look", looks), ("images", without_added(&images)), ("deployments", without_added(&deployments))];
    let added = ADDED.map(|(name, names)| (name, names.to_vec()));
    Ok(roles.into_iter().chain(added).map(|(name, names): (_, Vec<&str>)| (name, policy(name, &names))).collect())
}

fn asked(actions: &[&Action]) -> BTreeSet<&'static str> {
    actions.iter().flat_map(|action| action.iam).map(|(name, _)| *name).collect()
}

fn is_read(name: &str) -> bool {
    let verb = name.split(':').next_back().unwrap_or_default();
    READS.iter().any(|read| verb.starts_with(read))
}

fn policy(name: &str, actions: &[&str]) -> String {
    let statement = json!({ "Sid": capitalized(name), "Effect": "Allow", "Action": actions, "Resource": "*" });
    let document = json!({ "Version": "2012-10-17", "Statement": [statement] });
    details(&format!("{} permissions", actions.len()), &block("json", &format!("{document:#}")))
}

/// IAM takes letters and digits as a `Sid`.
fn capitalized(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_ascii_uppercase().to_string() + letters.as_str()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_looks_can_write_nothing_and_read_no_secret() {
        let blocks = blocks().unwrap();
        let of = |wanted: &str| blocks.iter().find(|(name, _)| *name == wanted).unwrap().1.clone();
        let look = of("look");
        for absent in ["Put", "Create", "Update", "Delete", "RunTask", "GetSecretValue", "PassRole", "Decrypt", "Start"]
        {
            assert!(!look.contains(absent), "{absent}\n{look}");
        }
        assert!(look.contains("ecs:DescribeServices"), "{look}");
    }

    #[test]
    fn a_delivery_restores_and_rotates_nothing() {
        let blocks = blocks().unwrap();
        let of = |wanted: &str| blocks.iter().find(|(name, _)| *name == wanted).unwrap().1.clone();
        let deployments = of("deployments");
        assert!(deployments.contains("ecs:UpdateService") && deployments.contains("rds:CreateDBSnapshot"));
        for absent in ["rds:Restore", "rds:Modify", "PutSecretValue", "CreateService", "ecr:PutImage"] {
            assert!(!deployments.contains(absent), "{absent}\n{deployments}");
        }
        assert!(of("restore").contains("rds:ModifyDBInstance") && of("rotate").contains("PutSecretValue"));
    }
}
