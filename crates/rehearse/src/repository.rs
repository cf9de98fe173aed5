//! A git repository to deliver from, with a real history.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// A checkout with its history.
#[derive(Clone, Debug)]
pub(crate) struct Repository(PathBuf);

impl Repository {
    /// A new repository with the files of `from`, `@world@` in them being the world's address.
    pub(crate) fn create(folder: PathBuf, from: &Path, world: &str) -> Result<Self> {
        copy(from, &folder, world)?;
        let repository = Self(folder);
        repository.git(&["init", "--quiet", "--initial-branch", "main"])?;
        Ok(repository)
    }

    /// A clone of the repository at `from`, at its current commit.
    pub(crate) fn clone_of(from: &Path, folder: PathBuf) -> Result<Self> {
        let (source, target) = (from.display().to_string(), folder.display().to_string());
        git(Path::new("."), &["clone", "--quiet", "--no-hardlinks", &source, &target])?;
        Ok(Self(folder))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn read(&self, file: &str) -> Result<String> {
        fs::read_to_string(self.0.join(file)).with_context(|| format!("read {file}"))
    }

    /// Replaces a text in a file. That it is there is part of the story.
    pub(crate) fn replace(&self, file: &str, from: &str, to: &str) -> Result<()> {
        let text = self.read(file)?;
        ensure!(text.contains(from), "{file} has no `{from}`");
        self.write(file, &text.replace(from, to))
    }

    pub(crate) fn append(&self, file: &str, text: &str) -> Result<()> {
        let before = self.read(file)?;
        self.write(file, &format!("{}\n{text}\n", before.trim_end()))
    }

    pub(crate) fn write(&self, file: &str, text: &str) -> Result<()> {
        fs::write(self.0.join(file), text).with_context(|| format!("write {file}"))
    }

    /// Commits everything. Answers the commit.
    pub(crate) fn commit(&self, message: &str) -> Result<String> {
        self.git(&["add", "--all"])?;
        self.git(&["commit", "--quiet", "--allow-empty", "--message", message])?;
        self.head()
    }

    pub(crate) fn head(&self) -> Result<String> {
        self.git(&["rev-parse", "HEAD"])
    }

    fn git(&self, arguments: &[&str]) -> Result<String> {
        git(&self.0, arguments)
    }
}

fn git(folder: &Path, arguments: &[&str]) -> Result<String> {
    let identity =
        ["-c", "user.name=rehearsal", "-c", "user.email=rehearsal@example.com", "-c", "commit.gpgsign=false"];
    let output =
        Command::new("git").args(identity).args(arguments).current_dir(folder).output().context("start git")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "git {}: {}", arguments.join(" "), said.trim());
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn copy(from: &Path, to: &Path, world: &str) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("read {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target, world)?;
        } else {
            fs::write(target, fs::read_to_string(entry.path())?.replace("@world@", world))?;
        }
    }
    Ok(())
}
