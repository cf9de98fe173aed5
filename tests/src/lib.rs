//! The files of the repository that are printed from code. `cargo xtask generate` writes them; a test fails when one drifts.

mod permissions;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use common::manifest::print;

/// The repository's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every printed file: its path from the root, and its text.
pub fn generated() -> Result<Vec<(String, String)>> {
    let actions = [
        (&build_affected::ACTION, print::<build_affected::Inputs>(&build_affected::ACTION)),
        (&ecr_push::ACTION, print::<ecr_push::Inputs>(&ecr_push::ACTION)),
        (&run_migration::ACTION, print::<run_migration::Inputs>(&run_migration::ACTION)),
        (&ecs_deploy::ACTION, print::<ecs_deploy::Inputs>(&ecs_deploy::ACTION)),
        (&health_gate::ACTION, print::<health_gate::Inputs>(&health_gate::ACTION)),
    ];
    let mut files = vec![("schema/delivery.schema.json".to_owned(), format!("{:#}\n", common::delivery::schema()))];
    for (action, printed) in actions {
        let folder = format!("actions/{}", action.name);
        let readme = format!("{folder}/README.md");
        files.push((readme.clone(), with_blocks(&readme, &printed.blocks)?));
        files.push((format!("{folder}/action.yml"), printed.action_yml));
    }
    let page = "docs/permissions.md";
    files.push((page.to_owned(), with_blocks(page, &permissions::blocks()?)?));
    Ok(files)
}

/// The printed files that are not what the tree has.
pub fn drifted() -> Result<Vec<String>> {
    let is_current = |path: &str, text: &str| fs::read_to_string(root().join(path)).is_ok_and(|found| found == text);
    Ok(generated()?.into_iter().filter(|(path, text)| !is_current(path, text)).map(|(path, _)| path).collect())
}

/// A page with its printed blocks in their places, which are marked by `<!-- printed: NAME -->` and `<!-- end -->`.
fn with_blocks(page: &str, blocks: &[(&str, String)]) -> Result<String> {
    let mut text = fs::read_to_string(root().join(page)).with_context(|| format!("read {page}"))?;
    for (name, block) in blocks {
        let mark = format!("<!-- printed: {name} -->\n");
        let (before, rest) = text.split_once(&mark).with_context(|| format!("{page} has no `{}`", mark.trim()))?;
        let (_, after) =
            rest.split_once("<!-- end -->").with_context(|| format!("{page}: `{}` has no end", mark.trim()))?;
        text = format!("{before}{mark}{}\n<!-- end -->{after}", block.trim_end());
    }
    Ok(text)
}
