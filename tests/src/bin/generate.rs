//! Writes the files that are printed from code.

use std::fs;

use anyhow::{Context, Result};

fn main() -> Result<()> {
    for (path, text) in repository::generated()? {
        let file = repository::root().join(&path);
        let folder = file.parent().with_context(|| format!("{path} has no folder"))?;
        fs::create_dir_all(folder).with_context(|| format!("make the folder of {path}"))?;
        fs::write(&file, text).with_context(|| format!("write {path}"))?;
    }
    Ok(())
}
