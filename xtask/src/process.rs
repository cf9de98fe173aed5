//! Running other programs, and saying what happens: every task's only way to the terminal.

use std::fmt::Display;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context, Result, anyhow, bail};

/// Prints one line for the person at the terminal.
#[expect(clippy::print_stdout, reason = "a task's report is its standard output")]
pub(crate) fn say(line: impl Display) {
    println!("{line}");
}

/// The root of the repository, wherever the task was called from.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// Where tasks put what they make.
pub(crate) fn target() -> PathBuf {
    root().join("target")
}

/// A program that runs in the repository's root.
pub(crate) fn program(name: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(name);
    command.current_dir(root()).stdin(Stdio::null());
    command
}

/// The cargo that runs this task.
pub(crate) fn cargo() -> Command {
    program(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Whether a program of this name can be started.
pub(crate) fn is_installed(name: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(name).is_file()))
}

/// What every task does with a program: start it, wait, and take anything but success as an error that names it.
pub(crate) trait Run {
    /// Runs the program on the task's own terminal.
    fn run(&mut self) -> Result<()>;
    /// Runs the program and returns its standard output; a failure shows the end of what it said.
    fn read(&mut self) -> Result<String>;
    /// Runs the program with all that it says going to a file; a failure shows the end of it.
    fn log(&mut self, file: &Path) -> Result<()>;
}

impl Run for Command {
    fn run(&mut self) -> Result<()> {
        let status = self.status().with_context(|| cannot_start(self))?;
        if status.success() { Ok(()) } else { Err(failed(self, status, "")) }
    }

    fn read(&mut self) -> Result<String> {
        let output = self.output().with_context(|| cannot_start(self))?;
        if !output.status.success() {
            let said = [output.stdout, output.stderr].concat();
            return Err(failed(self, output.status, &String::from_utf8_lossy(&said)));
        }
        String::from_utf8(output.stdout).with_context(|| format!("{} printed something else than text", name(self)))
    }

    fn log(&mut self, file: &Path) -> Result<()> {
        let stdout = create(file)?;
        let stderr = stdout.try_clone()?;
        let status = self.stdout(stdout).stderr(stderr).status().with_context(|| cannot_start(self))?;
        if status.success() {
            return Ok(());
        }
        let said = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        Err(failed(self, status, &String::from_utf8_lossy(&said)))
    }
}

/// Creates a file and the folders above it.
pub(crate) fn create(file: &Path) -> Result<File> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    File::create(file).with_context(|| format!("cannot create {}", file.display()))
}

/// The effective user is root, who alone may install packages, start a Docker engine and write below /etc.
pub(crate) fn require_root(why: &str) -> Result<()> {
    if program("id").arg("-u").read()?.trim() != "0" {
        bail!("{why} needs root; run it as `sudo --preserve-env env \"PATH=$PATH\" cargo xtask …`");
    }
    Ok(())
}

fn failed(command: &Command, status: ExitStatus, said: &str) -> anyhow::Error {
    const LINES: usize = 60;
    let lines: Vec<&str> = said.trim_end().lines().collect();
    let tail = lines[lines.len().saturating_sub(LINES)..].join("\n");
    let separator = if tail.is_empty() { "" } else { "\n" };
    anyhow!("`{}` ended with {status}{separator}{tail}", line(command))
}

fn cannot_start(command: &Command) -> String {
    format!("cannot start `{}`", line(command))
}

fn name(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}

fn line(command: &Command) -> String {
    let arguments = command.get_args().map(|argument| argument.to_string_lossy());
    std::iter::once(command.get_program().to_string_lossy()).chain(arguments).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_program_its_status_and_what_it_said_last() {
        let error = program("sh").args(["-c", "echo first; echo last >&2; exit 3"]).read().unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains("sh -c") && text.contains("exit status: 3") && text.ends_with("last"), "{text}");
    }

    #[test]
    fn a_program_that_is_not_there_is_said_to_be_missing() {
        let error = program("no-such-program").run().unwrap_err();
        assert!(format!("{error:#}").starts_with("cannot start `no-such-program`"), "{error:#}");
    }

    #[test]
    fn what_a_program_printed_is_read() {
        assert_eq!(program("echo").arg("hello").read().unwrap(), "hello\n");
    }
}
