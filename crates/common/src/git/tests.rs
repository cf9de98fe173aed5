use tempfile::TempDir;

use super::made::Made;
use super::*;

#[test]
fn a_rename_is_two_paths_and_a_folder_is_none() {
    let made = Made::new();
    let base = made.commit(&[("a/x.txt", Some("one\n")), ("b.txt", Some("2")), ("ä ö/\n.txt", Some("3"))]);
    let head = made.commit(&[("a/x.txt", None), ("c/d/y.txt", Some("one\n")), ("ä ö/\n.txt", Some("4"))]);
    assert_eq!(made.open().changed_paths(&base, &head).unwrap(), ["a/x.txt", "c/d/y.txt", "ä ö/\n.txt"]);
    assert_eq!(made.open().changed_paths(&head, &head).unwrap(), [""; 0]);
}

#[test]
fn files_are_those_of_the_commit_not_of_the_folder() {
    let made = Made::new();
    let commit = made.commit(&[("a/x.txt", Some("one")), ("b.txt", Some("2"))]);
    made.commit(&[("b.txt", Some("3")), ("c.txt", Some("4"))]);
    let git = made.open();
    let tree = git.tree(&commit).unwrap();
    assert_eq!(tree.paths().collect::<Vec<_>>(), ["a/x.txt", "b.txt"]);
    assert_eq!(tree.text("b.txt").unwrap().as_deref(), Some("2"));
    assert_eq!(tree.text("c.txt").unwrap(), None);
    assert!(tree.has("a/x.txt") && !tree.has("a"));
}

#[test]
fn what_is_not_there_is_a_clear_failure() {
    let folder = TempDir::new().unwrap();
    let told = Git::open(folder.path()).unwrap_err();
    assert_eq!(told.kind, crate::failure::Kind::Input);
    assert_eq!(told.hint.unwrap(), "run actions/checkout before this step, into the workspace itself");

    let made = Made::new();
    made.commit(&[]);
    let told = made.open().resolve("nonsense").unwrap_err().to_string();
    assert!(told.starts_with("the clone has no commit `nonsense`\nhint: check the name"), "{told}");
    let absent: CommitSha = "0123456789abcdef0123456789abcdef01234567".parse().unwrap();
    assert!(made.open().tree(&absent).is_err() && made.open().files(&absent).is_err());
}
