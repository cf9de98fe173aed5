//! The runner's file commands: outputs, state and the summary.

use std::fs::OpenOptions;
use std::io::Write;

use super::command;
use crate::failure::Failure;

/// Appends `name` and `value` between random delimiters, the one form that holds any value
/// (actions/runner, `FileCommandManager.cs`: in `name=value` a line break would start a new entry).
pub(super) fn append_entry(path: Option<&str>, name: &str, value: &str) -> Result<(), Failure> {
    let delimiter = format!("delimiter_{}", command::token());
    append(path, &format!("{name}<<{delimiter}\n{value}\n{delimiter}\n"))
}

/// Appends text to a file that the runner reads after this step. Without a runner there is nowhere to write to.
pub(super) fn append(path: Option<&str>, text: &str) -> Result<(), Failure> {
    let Some(path) = path else { return Ok(()) };
    OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| {
            Failure::new(crate::failure::Kind::Remote, error)
                .context(format!("write to the runner's file `{path}`"))
                .hint("check that the runner's temporary folder is writable and has space left")
        })
}
