//! The policies that the actions print, held against what the tests were seen to ask AWS for. That nothing is missing is proven
//! by every test itself (`crates/stage`); here, that nothing is allowed which no scenario uses.

use anyhow::{Context, Result, bail};

use crate::check::Passed;
use crate::image::ACTIONS;
use crate::process::{root, target};

/// What AWS asks for behind calls that have another name.
const BEHIND: [(&str, &str); 9] = [
    ("iam:PassRole", "to register a task definition with a role, and to run one"),
    ("ecs:TagResource", "to register a task definition with tags"),
    ("kms:Decrypt", "to read what a customer's key encrypts"),
    ("rds:AddTagsToResource", "to take a snapshot with tags"),
    ("ecr:GetDownloadUrlForLayer", "to read an image over the registry's own protocol"),
    ("ecr:BatchCheckLayerAvailability", "to push over the registry's own protocol"),
    ("ecr:InitiateLayerUpload", "to push over the registry's own protocol"),
    ("ecr:UploadLayerPart", "to push over the registry's own protocol"),
    ("ecr:CompleteLayerUpload", "to push over the registry's own protocol"),
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
        let document = document(action)?;
        let is_behind = |name: &str| BEHIND.iter().any(|(known, _)| *known == name);
        let is_unused = |name: &&str| !is_behind(name) && !scenarios.join(name).exists();
        unused.extend(permissions(&document).into_iter().filter(is_unused).map(|name| format!("{action}: {name}")));
    }
    if unused.is_empty() {
        Ok(Passed::Checked)
    } else {
        bail!("allowed, and used by no scenario:\n{}", unused.join("\n"))
    }
}

/// The policy document that an action's page shows.
pub(crate) fn document(action: &str) -> Result<String> {
    let page = root().join("actions").join(action).join("README.md");
    let text = std::fs::read_to_string(&page).with_context(|| format!("cannot read {}", page.display()))?;
    read(&text).map(str::to_owned).with_context(|| format!("{} prints no policy", page.display()))
}

fn read(page: &str) -> Option<&str> {
    let blocks = page.split("```json\n").skip(1).filter_map(|rest| Some(rest.split_once("```")?.0));
    blocks.into_iter().find(|block| !permissions(block).is_empty())
}

/// The actions that a policy document allows.
fn permissions(document: &str) -> Vec<&str> {
    let Some((_, rest)) = document.split_once("\"Action\": [") else { return Vec::new() };
    let list = rest.split(']').next().unwrap_or_default();
    list.split('"').filter(|text| text.contains(':')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_of_a_page_is_read() {
        let document =
            "{ \"Statement\": [{ \"Action\": [\n \"ecs:RunTask\",\n \"ecs:ListTasks\"\n ], \"Resource\": \"*\" }] }\n";
        let page = format!("# x\n```json\n{{}}\n```\n```json\n{document}```\n");
        assert_eq!(read(&page), Some(document));
        assert_eq!(permissions(document), ["ecs:RunTask", "ecs:ListTasks"]);
        assert_eq!(read("# none"), None);
    }
}
