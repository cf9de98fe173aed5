//! Repositories that git itself made, for the tests.

#![expect(clippy::disallowed_methods, reason = "repositories to read are made by git itself")]

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::Git;
use crate::names::CommitSha;

/// A repository that git made.
pub(in crate::git) struct Made(TempDir);

impl Made {
    pub(in crate::git) fn new() -> Self {
        let made = Self(TempDir::new().unwrap());
        made.git(&["init", "--quiet", "--initial-branch=main"]);
        made
    }

    /// A clone; the last argument is what of.
    pub(in crate::git) fn cloned(arguments: &[&str]) -> Self {
        let made = Self(TempDir::new().unwrap());
        made.git(&[&["clone", "--quiet"], arguments, &["."]].concat());
        made
    }

    pub(in crate::git) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(in crate::git) fn git(&self, arguments: &[&str]) -> String {
        self.git_at(1_700_000_000, arguments)
    }

    fn git_at(&self, second: u64, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .args(["-c", "user.name=Someone", "-c", "user.email=someone@example.com"])
            .args(["-c", "protocol.file.allow=always", "-c", "commit.gpgSign=false"])
            .args(arguments)
            .current_dir(self.path())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_AUTHOR_DATE", format!("{second} +0000"))
            .env("GIT_COMMITTER_DATE", format!("{second} +0000"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    pub(in crate::git) fn commit(&self, files: &[(&str, Option<&str>)]) -> CommitSha {
        self.commit_at(1_700_000_000, files)
    }

    pub(in crate::git) fn commit_at(&self, second: u64, files: &[(&str, Option<&str>)]) -> CommitSha {
        for (path, text) in files {
            let path = self.path().join(path);
            match text {
                Some(text) => {
                    fs::create_dir_all(path.parent().unwrap()).unwrap();
                    fs::write(path, text).unwrap();
                }
                None => {
                    fs::remove_file(&path).unwrap();
                    let _ = fs::remove_dir(path.parent().unwrap());
                }
            }
        }
        self.git(&["add", "--all"]);
        self.git_at(second, &["commit", "--quiet", "--allow-empty", "--message", "x"]);
        self.git(&["rev-parse", "HEAD"]).parse().unwrap()
    }

    pub(in crate::git) fn open(&self) -> Git {
        Git::open(self.path()).unwrap()
    }
}
