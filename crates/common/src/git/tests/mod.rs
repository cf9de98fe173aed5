pub(in crate::git) mod made;

use tempfile::TempDir;

use self::made::Made;
use super::*;

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
    assert!(made.open().files(&absent).is_err());
}
