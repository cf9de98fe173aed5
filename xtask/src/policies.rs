//! The policies that the actions print, held against what the tests were seen to ask AWS for. That nothing is missing is proven
//! by every test itself (`crates/stage`); here, that nothing is allowed which no scenario uses.

use anyhow::{Context, Result, bail};

use crate::check::Passed;
use crate::image::ACTIONS;
use crate::process::{root, target};

/// What AWS asks for behind calls that have another name.
const BEHIND: [(&str, &str); 7] = [
    ("iam:PassRole", "to register a task definition with a role, and to run one"),
    ("ecs:TagResource", "to register a task definition with tags"),
    ("kms:Decrypt", "to read what a customer's key encrypts"),
    ("ecr:BatchCheckLayerAvailability", "to push over the registry's own protocol"),
    ("ecr:InitiateLayerUpload", "to push over the registry's own protocol"),
    ("ecr:UploadLayerPart", "to push over the registry's own protocol"),
    ("ecr:CompleteLayerUpload", "to push over the registry's own protocol"),
];

/// What the code asks for, and no scenario of a whole action has been seen to use yet: each is to be played, and to go from here.
const UNPLAYED: [(&str, &str); 14] = [
    ("build-affected", "ecr:DescribeImages"),
    ("build-affected", "ecr:GetDownloadUrlForLayer"),
    ("build-affected", "ecs:DescribeTasks"),
    ("build-affected", "ecs:ListTasks"),
    ("ecr-push", "ecr:GetDownloadUrlForLayer"),
    ("health-gate", "ecs:StopTask"),
    ("run-migration", "iam:SimulatePrincipalPolicy"),
    ("run-migration", "rds:AddTagsToResource"),
    ("run-migration", "rds:DeleteDBClusterSnapshot"),
    ("run-migration", "rds:ModifyDBCluster"),
    ("run-migration", "secretsmanager:DescribeSecret"),
    ("run-migration", "secretsmanager:GetSecretValue"),
    ("run-migration", "ssm:DescribeParameters"),
    ("run-migration", "ssm:GetParameters"),
];

/// Fails with every permission that an action asks for and no scenario uses.
pub(crate) fn check() -> Result<Passed> {
    let mut unused = Vec::new();
    for action in ACTIONS {
        let scenarios = target().join("scenarios").join(action);
        if !scenarios.is_dir() {
            return Ok(Passed::Skipped(format!(
                "no scenario of {action} was played: run `cargo test --workspace` first"
            )));
        }
        let page = root().join("actions").join(action).join("README.md");
        let text = std::fs::read_to_string(&page).with_context(|| format!("cannot read {}", page.display()))?;
        let allowed = permissions(&text);
        if allowed.is_empty() {
            bail!("{} prints no policy", page.display());
        }
        let is_behind = |name: &str| BEHIND.iter().any(|(known, _)| *known == name);
        let is_unplayed = |name: &str| UNPLAYED.contains(&(action, name));
        if let Some(name) = allowed.iter().find(|name| is_unplayed(name) && scenarios.join(name).exists()) {
            bail!("a scenario of {action} uses {name}: take it from the list of those that are not played");
        }
        let is_unused = |name: &&str| !is_behind(name) && !is_unplayed(name) && !scenarios.join(name).exists();
        unused.extend(allowed.into_iter().filter(is_unused).map(|name| format!("{action}: {name}")));
    }
    if unused.is_empty() {
        Ok(Passed::Checked)
    } else {
        bail!("allowed, and used by no scenario:\n{}", unused.join("\n"))
    }
}

/// The actions of the policy document that a page shows.
fn permissions(page: &str) -> Vec<&str> {
    let Some((_, document)) = page.split_once("\"Action\": [") else { return Vec::new() };
    let list = document.split(']').next().unwrap_or_default();
    list.split('"').filter(|text| text.contains(':')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_of_a_page_is_read() {
        let page = "# x\n```json\n{ \"Statement\": [{ \"Action\": [\n \"ecs:RunTask\",\n \"ecs:ListTasks\"\n ], \"Resource\": \"*\" }] }\n```\n";
        assert_eq!(permissions(page), ["ecs:RunTask", "ecs:ListTasks"]);
        assert_eq!(permissions("# none"), [""; 0]);
    }
}
