//! The checkout as a git repository, whose commits are the same on every machine.

#![expect(clippy::disallowed_methods, reason = "the repository is made by git itself")]

use std::process::Command;

use crate::Stage;

/// Writes files, commits everything, and makes the commit the event's. Answers the commit.
///
/// # Panics
/// If git does not.
pub fn commit(stage: &mut Stage, files: &[(&str, &str)]) -> String {
    if !stage.workspace().join(".git").exists() {
        git(stage, &["init", "--quiet", "--initial-branch=main"]);
    }
    for (path, text) in files {
        stage.file(path, text);
    }
    git(stage, &["add", "--all"]);
    git(stage, &["commit", "--quiet", "--allow-empty", "--message", "change"]);
    let commit = git(stage, &["rev-parse", "HEAD"]);
    stage.set("GITHUB_SHA", &commit);
    commit
}

/// Runs git in the checkout, with nobody's settings and at no time of day. Answers what it printed.
///
/// # Panics
/// If git fails.
pub fn git(stage: &Stage, arguments: &[&str]) -> String {
    let mut git = Command::new("git");
    git.args(["-c", "commit.gpgSign=false"]).args(arguments).current_dir(stage.workspace()).env_clear();
    git.env("PATH", std::env::var("PATH").expect("a PATH"));
    for (name, value) in [
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_CONFIG_SYSTEM", "/dev/null"),
        ("GIT_AUTHOR_NAME", "Someone"),
        ("GIT_AUTHOR_EMAIL", "someone@example.com"),
        ("GIT_AUTHOR_DATE", "1700000000 +0000"),
        ("GIT_COMMITTER_NAME", "Someone"),
        ("GIT_COMMITTER_EMAIL", "someone@example.com"),
        ("GIT_COMMITTER_DATE", "1700000000 +0000"),
    ] {
        git.env(name, value);
    }
    let output = git.output().expect("git is installed");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}
