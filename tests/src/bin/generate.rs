//! Writes the files that are printed from code; with `--check`, fails if one would change.

#![expect(clippy::disallowed_methods, reason = "a task of the repository, not an action")]

use std::fs;

use anyhow::{Context, Result, ensure};

fn main() -> Result<()> {
    if std::env::args().any(|argument| argument == "--check") {
        let drifted = repository::drifted()?;
        ensure!(drifted.is_empty(), "run `cargo xtask generate`: {} would change", drifted.join(", "));
        return Ok(());
    }
    for (path, text) in repository::generated()? {
        let file = repository::root().join(&path);
        let folder = file.parent().with_context(|| format!("{path} has no folder"))?;
        fs::create_dir_all(folder).with_context(|| format!("make the folder of {path}"))?;
        fs::write(&file, text).with_context(|| format!("write {path}"))?;
    }
    Ok(())
}
