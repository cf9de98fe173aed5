//! What a commit is compared with, in every shape that a history and a clone of it can have: exact, or said to be something else.

use stage::{Ran, Stage};

use crate::shop::{commit, event, git, run, shop};

pub(crate) const ALL: &str = r#"["auth","api","site"]"#;
pub(crate) const AUTH: &str = r#"["auth"]"#;
pub(crate) const API: &str = r#"["api","site"]"#;
pub(crate) const DEEPER: &str = "give actions/checkout `fetch-depth: 0`";
pub(crate) const ZEROS: &str = "0000000000000000000000000000000000000000";
pub(crate) const NOWHERE: &str = "0123456789abcdef0123456789abcdef01234567";

pub(crate) fn tip(stage: &Stage) -> String {
    git(stage, &["rev-parse", "HEAD"])
}

/// Asserts what was compared with (blank is nothing), by which word, and who is affected.
pub(crate) fn assert_compared(ran: &Ran, base: &str, history: &str, services: &str) {
    assert_eq!(ran.exit_code, 0, "{}", ran.log);
    let told = (ran.output("base"), ran.output("history"), ran.output("services"));
    assert_eq!(told, (base, history, services), "{}", ran.log);
}

/// Asserts that nothing was compared with, and that the log says why and what to do.
pub(crate) fn assert_unknown(ran: &Ran, history: &str, told: &[&str]) {
    assert_compared(ran, "", history, ALL);
    told.iter().for_each(|told| assert!(ran.log.contains(told), "{told}: {}", ran.log));
}

/// A shop whose branch `topic` changed `auth` while `main` went on with `api`; `topic` is checked out. Where they parted, and
/// the tip of `main`.
pub(crate) fn diverged() -> (Stage, String, String) {
    let mut stage = shop();
    let fork = tip(&stage);
    let main = commit(&mut stage, &[("apps/api/src/main.ts", "2\n")]);
    fetched(&stage, "main", "HEAD");
    git(&stage, &["checkout", "--quiet", "-b", "topic", &fork]);
    commit(&mut stage, &[("apps/auth/src/main.ts", "2\n")]);
    (stage, fork, main)
}

/// Has the clone know a branch of the remote.
pub(crate) fn fetched(stage: &Stage, branch: &str, commit: &str) {
    git(stage, &["update-ref", &format!("refs/remotes/origin/{branch}"), commit]);
}

/// A clone of what a stage has, as actions/checkout makes it.
pub(crate) fn cloned(origin: &Stage, arguments: &[&str]) -> Stage {
    let mut stage = Stage::new();
    let url = format!("file://{}", origin.workspace().display());
    git(&stage, &[&["clone", "--quiet"], arguments, &[&url, "."]].concat());
    stage.set("GITHUB_SHA", &tip(&stage));
    stage
}

pub(crate) fn pull_request(stage: &mut Stage, base: &str, head: &str) {
    let payload = format!(
        r#"{{ "pull_request": {{ "number": 1, "base": {{ "sha": "{base}", "ref": "main", "repo": {{ "full_name": "org/shop" }} }},
             "head": {{ "sha": "{head}", "repo": {{ "full_name": "someone/shop" }} }} }},
             "repository": {{ "default_branch": "main" }} }}"#
    );
    event(stage, "pull_request", &payload);
}

pub(crate) fn push(stage: &mut Stage, before: &str, is_forced: bool) {
    let payload =
        format!(r#"{{ "before": "{before}", "forced": {is_forced}, "repository": {{ "default_branch": "main" }} }}"#);
    event(stage, "push", &payload);
}

pub(crate) fn tag_push(stage: &mut Stage, name: &str, before: &str) {
    push(stage, before, before != ZEROS);
    stage.set("GITHUB_REF_TYPE", "tag");
    stage.set("GITHUB_REF_NAME", name);
}

async fn compare(stage: &Stage) -> Ran {
    run(stage, &[("comment", "never")]).await
}

#[tokio::test]
async fn a_fork_s_pull_request_is_compared_with_the_point_where_its_branch_left() {
    let (mut stage, fork, main) = diverged();
    let head = tip(&stage);
    pull_request(&mut stage, &main, &head);
    // What actions/checkout takes: GitHub's merge, which alone leads to the fork's commits.
    git(&stage, &["checkout", "--quiet", "--detach"]);
    git(&stage, &["branch", "--quiet", "-D", "topic"]);
    git(&stage, &["merge", "--quiet", "--no-ff", "--message", "merge", "origin/main"]);
    stage.set("GITHUB_SHA", &tip(&stage));
    assert_compared(&compare(&stage).await, &fork, "merge-base", AUTH);
}

#[tokio::test]
async fn what_a_pull_request_merged_from_its_base_branch_is_no_change_of_it() {
    let (mut stage, fork, main) = diverged();
    git(&stage, &["merge", "--quiet", "--no-ff", "--message", "merge", "origin/main"]);
    let head = tip(&stage);
    stage.set("GITHUB_SHA", &head);
    // The payload may be of a time before that.
    pull_request(&mut stage, &fork, &head);
    assert_compared(&compare(&stage).await, &main, "merge-base", AUTH);
}

#[tokio::test]
async fn a_pull_request_whose_base_branch_was_not_fetched() {
    let (origin, _, main) = diverged();
    let mut stage = cloned(&origin, &["--single-branch", "--branch=topic"]);
    let head = tip(&stage);
    pull_request(&mut stage, &main, &head);
    assert_unknown(&compare(&stage).await, "unknown", &["does not have the pull request's base branch", DEEPER]);
}

#[tokio::test]
async fn a_pull_request_in_a_shallow_clone() {
    let (origin, fork, main) = diverged();
    let mut stage = cloned(&origin, &["--depth=1", "--branch=topic"]);
    let head = tip(&stage);
    pull_request(&mut stage, &main, &head);
    assert_unknown(&compare(&stage).await, "unknown", &[DEEPER]);
    // Both tips, and nothing in between: what they have in common is not known, and nothing is guessed.
    let mut stage = cloned(&origin, &["--depth=1", "--no-single-branch", "--branch=topic"]);
    pull_request(&mut stage, &main, &head);
    assert_unknown(&compare(&stage).await, "unknown", &["does not have the commit where", DEEPER]);
    // Deep enough to see where they parted is as good as whole.
    let mut stage = cloned(&origin, &["--depth=2", "--no-single-branch", "--branch=topic"]);
    pull_request(&mut stage, &main, &head);
    assert_compared(&compare(&stage).await, &fork, "merge-base", AUTH);
}

#[tokio::test]
async fn branches_without_a_common_history() {
    let (mut stage, _, main) = diverged();
    git(&stage, &["checkout", "--quiet", "--orphan", "orphan"]);
    let head = commit(&mut stage, &[("apps/auth/src/main.ts", "3\n")]);
    pull_request(&mut stage, &main, &head);
    let ran = compare(&stage).await;
    assert_unknown(&ran, "unknown", &["have no common history"]);
    assert!(!ran.log.contains(DEEPER), "that would not help: {}", ran.log);
    assert_unknown(&run(&stage, &[("base", "main"), ("comment", "never")]).await, "unknown", &["no common history"]);
}

#[tokio::test]
async fn of_two_merge_bases_it_is_always_the_same_one() {
    let (mut stage, _, main) = diverged();
    let topic = tip(&stage);
    git(&stage, &["merge", "--quiet", "--no-ff", "--message", "merge", &main]);
    git(&stage, &["checkout", "--quiet", "-B", "main", &main]);
    git(&stage, &["merge", "--quiet", "--no-ff", "--message", "merge", &topic]);
    let main = commit(&mut stage, &[("README.md", "2\n")]);
    git(&stage, &["checkout", "--quiet", "topic"]);
    let head = commit(&mut stage, &[("site/index.html", "2\n")]);
    let by_head = run(&stage, &[("base", &main), ("commit", &head)]).await;
    let by_main = run(&stage, &[("base", &head), ("commit", &main)]).await;
    assert_eq!((by_head.exit_code, by_head.output("history")), (0, "input"), "{}", by_head.log);
    assert_eq!(by_head.output("base"), by_main.output("base"));
    assert!(by_head.output("services").contains("site"), "{}", by_head.log);
}

#[tokio::test]
async fn a_push_is_compared_with_what_the_branch_was() {
    let (mut stage, fork, _) = diverged();
    push(&mut stage, &fork, false);
    assert_compared(&compare(&stage).await, &fork, "before", AUTH);
}

#[tokio::test]
async fn a_forced_push_takes_changes_away_too() {
    let (mut stage, _, main) = diverged();
    push(&mut stage, &main, true);
    assert_compared(&compare(&stage).await, &main, "forced-push", ALL);
    // The payload's word is not needed to see it.
    push(&mut stage, &main, false);
    assert_compared(&compare(&stage).await, &main, "forced-push", ALL);
    push(&mut stage, NOWHERE, true);
    assert_unknown(&compare(&stage).await, "unknown", &["is gone, as after a forced push"]);
}

#[tokio::test]
async fn a_push_in_a_shallow_clone() {
    let (origin, fork, _) = diverged();
    let mut stage = cloned(&origin, &["--depth=1", "--branch=topic"]);
    push(&mut stage, &fork, false);
    assert_unknown(&compare(&stage).await, "unknown", &["does not have the branch's commit before this push", DEEPER]);
    push(&mut stage, NOWHERE, true);
    let ran = compare(&stage).await;
    assert_unknown(&ran, "unknown", &["is gone, as after a forced push"]);
    assert!(!ran.log.contains(DEEPER), "that would not help: {}", ran.log);
    let mut stage = cloned(&origin, &["--depth=2", "--branch=topic"]);
    push(&mut stage, &fork, false);
    assert_compared(&compare(&stage).await, &fork, "before", AUTH);
}

#[tokio::test]
async fn a_new_branch_is_compared_with_where_it_left_the_default_branch() {
    let (mut stage, fork, main) = diverged();
    push(&mut stage, ZEROS, false);
    stage.set("GITHUB_REF_NAME", "topic");
    assert_compared(&compare(&stage).await, &fork, "merge-base", AUTH);
    let nothing_of_its_own = run(&stage, &[("commit", &main)]).await;
    assert_unknown(&nothing_of_its_own, "unknown", &["has nothing of its own"]);
    git(&stage, &["update-ref", "-d", "refs/remotes/origin/main"]);
    assert_unknown(&compare(&stage).await, "unknown", &["the clone has no `origin/main`", DEEPER]);
}

#[tokio::test]
async fn the_first_push_of_all() {
    let mut stage = shop();
    fetched(&stage, "main", "HEAD");
    push(&mut stage, ZEROS, false);
    assert_unknown(&compare(&stage).await, "first-run", &["the default branch's first push"]);
}

#[tokio::test]
async fn a_run_by_hand_or_by_the_clock_is_compared_with_the_parent() {
    let mut stage = shop();
    for name in ["workflow_dispatch", "schedule"] {
        event(&mut stage, name, "{}");
        let first = git(&stage, &["rev-list", "--max-parents=0", "HEAD"]);
        let of_first = run(&stage, &[("commit", &first)]).await;
        assert_unknown(&of_first, "first-run", &["it is the first commit of all"]);
        let parent = tip(&stage);
        let change = format!("{name}\n");
        commit(&mut stage, &[("apps/auth/src/main.ts", &change)]);
        git(&stage, &["checkout", "--quiet", "--detach"]);
        assert_compared(&compare(&stage).await, &parent, "parent", AUTH);
        let mut shallow = cloned(&stage, &["--depth=1"]);
        event(&mut shallow, name, "{}");
        assert_unknown(&compare(&shallow).await, "unknown", &["the clone has no parent", DEEPER]);
    }
}

#[tokio::test]
async fn a_merge_queue_is_compared_with_what_it_built_on() {
    let (mut stage, fork, _) = diverged();
    event(&mut stage, "merge_group", &format!(r#"{{ "merge_group": {{ "base_sha": "{fork}" }} }}"#));
    assert_compared(&compare(&stage).await, &fork, "merge-group", AUTH);
    event(&mut stage, "merge_group", &format!(r#"{{ "merge_group": {{ "base_sha": "{NOWHERE}" }} }}"#));
    assert_unknown(&compare(&stage).await, "unknown", &["does not have the merge queue's base", DEEPER]);
}

#[tokio::test]
async fn a_tag_is_compared_with_the_one_before_it() {
    let mut stage = shop();
    let first = tip(&stage);
    git(&stage, &["tag", "v1.0.0"]);
    commit(&mut stage, &[("apps/api/src/main.ts", "2\n")]);
    git(&stage, &["tag", "v1.1.0-rc.1"]);
    git(&stage, &["tag", "web-v9"]);
    commit(&mut stage, &[("apps/auth/src/main.ts", "2\n")]);
    git(&stage, &["tag", "--annotate", "--message", "x", "v1.10.0"]);
    git(&stage, &["tag", "v2.0.0"]);
    tag_push(&mut stage, "v1.10.0", ZEROS);
    // Neither a candidate, nor a tag of something else, nor one of the same commit tells what the release before it was.
    assert_compared(&compare(&stage).await, &first, "tag", ALL);
    let rc = commit(&mut stage, &[("site/index.html", "2\n")]);
    git(&stage, &["tag", "v1.1.0-rc.2"]);
    tag_push(&mut stage, "v1.1.0-rc.2", ZEROS);
    let before = git(&stage, &["rev-parse", "v1.1.0-rc.1"]);
    assert_compared(&compare(&stage).await, &before, "tag", r#"["auth","site"]"#);
    git(&stage, &["tag", "other-1"]);
    tag_push(&mut stage, "other-1", ZEROS);
    assert_unknown(&compare(&stage).await, "unknown", &["no tag like `other-1`"]);
    // One that moved was somewhere before.
    commit(&mut stage, &[("apps/auth/src/main.ts", "3\n")]);
    git(&stage, &["tag", "--force", "v1.1.0-rc.2"]);
    tag_push(&mut stage, "v1.1.0-rc.2", &rc);
    assert_compared(&compare(&stage).await, &rc, "forced-push", AUTH);
    let mut shallow = cloned(&stage, &["--depth=1"]);
    tag_push(&mut shallow, "v3.0.0", ZEROS);
    assert_unknown(&compare(&shallow).await, "unknown", &["the clone has no tag before `v3.0.0`", DEEPER]);
}

/// Asserts that a run is refused with this exit code, and that the annotation says so.
pub(crate) fn assert_refused(ran: &Ran, exit_code: u8, told: &[&str]) {
    assert_eq!((ran.exit_code, ran.output("services")), (exit_code, ""), "{}", ran.log);
    let annotations = ran.annotations().join("\n");
    told.iter().for_each(|told| assert!(annotations.contains(told), "{told}: {annotations}"));
}

#[tokio::test]
async fn what_the_caller_named_has_to_be_there() {
    let (origin, ..) = diverged();
    let stage = cloned(&origin, &["--single-branch", "--branch=topic"]);
    assert_refused(&run(&stage, &[("base", "main")]).await, 2, &["input `base`", "no commit `main`", "fetch-depth: 0"]);
    assert_refused(&run(&stage, &[("head", "main")]).await, 2, &["input `head`", "no commit `main`"]);
    let twice = run(&stage, &[("base", "topic"), ("base-from", "merge-base")]).await;
    assert_refused(&twice, 2, &["`base` and `base-from`"]);
    let twice = run(&stage, &[("head", "topic"), ("commit", NOWHERE)]).await;
    assert_refused(&twice, 2, &["`head` and `commit`"]);
}

#[tokio::test]
async fn a_head_may_be_named() {
    let (stage, fork, main) = diverged();
    let ran = run(&stage, &[("base", "topic"), ("head", "main"), ("comment", "never")]).await;
    assert_compared(&ran, &fork, "input", API);
    assert_eq!(ran.output("head"), main);
}

#[tokio::test]
async fn where_it_left_the_default_branch_whatever_the_event() {
    let (mut stage, fork, main) = diverged();
    let head = tip(&stage);
    push(&mut stage, &head, false);
    let from = [("base-from", "merge-base"), ("comment", "never")];
    assert_compared(&run(&stage, &from).await, &fork, "merge-base", AUTH);
    // On the default branch itself there is no such point.
    push(&mut stage, &fork, false);
    let ran = run(&stage, &[&from[..], &[("commit", &main)]].concat()).await;
    assert_compared(&ran, &fork, "before", API);
    assert!(ran.log.contains("note: the default branch has the commit already"), "{}", ran.log);
}
