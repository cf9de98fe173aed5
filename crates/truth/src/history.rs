//! An estate as git commits, written by `git fast-import`: thousands of files in a second.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::render::{Blob, Change};

/// A commit to be written.
pub(crate) struct Commit {
    pub(crate) branch: String,
    /// Its parents by their place among the commits; the first is what it is written as a change to.
    pub(crate) parents: Vec<usize>,
    pub(crate) changes: Vec<Change>,
}

/// Writes commits into a new repository, and tells their ids.
pub(crate) fn write(directory: &Path, commits: &[Commit]) -> Result<Vec<String>> {
    run(git(directory).args(["init", "--quiet", "--initial-branch=main"]))?;
    let marks = directory.join(".git").join("marks");
    let mut import = git(directory);
    // One pack from the start: thousands of loose objects would make every reader slower than a clone is.
    import.args(["-c", "fastimport.unpackLimit=1", "fast-import", "--quiet", "--date-format=raw"]);
    import.arg(format!("--export-marks={}", marks.display())).stdin(Stdio::piped());
    let mut child = import.spawn().context("git fast-import could not be started")?;
    let mut input = std::io::BufWriter::new(child.stdin.take().context("git fast-import has no input")?);
    for (index, commit) in commits.iter().enumerate() {
        input.write_all(stream(index, commit).as_bytes())?;
    }
    input.flush()?;
    drop(input);
    let status = child.wait()?;
    ensure!(status.success(), "git fast-import ended with {status}");
    let marks = std::fs::read_to_string(&marks).context("git fast-import left no marks")?;
    let mut ids = vec![String::new(); commits.len()];
    for line in marks.lines() {
        let (mark, id) = line.trim_start_matches(':').split_once(' ').context("a mark without an id")?;
        ids[mark.parse::<usize>()? - 1] = id.to_owned();
    }
    ensure!(ids.iter().all(|id| !id.is_empty()), "git fast-import wrote fewer commits than were given");
    Ok(ids)
}

/// Checks a commit out, detached: some tools read the working tree.
pub(crate) fn check_out(directory: &Path, commit: &str) -> Result<()> {
    run(git(directory).args(["checkout", "--quiet", "--force", "--detach", commit]))
}

pub(crate) fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("{command:?} could not be started"))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

pub(crate) fn git(directory: &Path) -> Command {
    let mut command = program(&PathBuf::from("git"));
    command.current_dir(directory);
    // What a machine has set up, such as signing or hooks, is not to change what is written.
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null");
    command
}

#[expect(
    clippy::disallowed_methods,
    reason = "not an action: tests and benchmarks run git and the tools that are compared"
)]
pub(crate) fn program(path: &Path) -> Command {
    Command::new(path)
}

fn stream(index: usize, commit: &Commit) -> String {
    let mut text = format!("commit refs/heads/{}\nmark :{}\n", commit.branch, index + 1);
    let _ = writeln!(text, "committer Acme <acme@example.com> {} +0000", 1_760_000_000 + index);
    let message = format!("{}\n", commit.branch);
    let _ = writeln!(text, "data {}\n{message}", message.len());
    for (nth, parent) in commit.parents.iter().enumerate() {
        let _ = writeln!(text, "{} :{}", if nth == 0 { "from" } else { "merge" }, parent + 1);
    }
    for (path, blob) in &commit.changes {
        let path = quoted(path);
        let _ = match blob {
            None => writeln!(text, "D {path}"),
            Some(Blob { mode, text: blob }) => writeln!(text, "M {mode} inline {path}\ndata {}\n{blob}", blob.len()),
        };
    }
    text.push('\n');
    text
}

/// As `git fast-import` wants a path with a line break or a quote in it: like a string in C.
fn quoted(path: &str) -> String {
    if path.contains(['\n', '"', '\\']) || path.starts_with(' ') {
        let path = path.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        return format!("\"{path}\"");
    }
    path.to_owned()
}
