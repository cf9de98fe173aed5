//! What a commit is compared with where it is the last one with a successful run: the nearest, whatever GitHub lists, or said to be
//! something else.

use stage::Stage;
use world::RunSeed;

use crate::history::{
    ALL, API, AUTH, DEEPER, NOWHERE, ZEROS, assert_compared, assert_refused, assert_unknown, cloned, diverged, fetched,
    pull_request, push, tag_push, tip,
};
use crate::shop::{commit, git, run, shop};

/// A workflow's run on GitHub.
fn ran_for(stage: &Stage, commit: &str, change: impl FnOnce(&mut RunSeed)) -> u64 {
    let mut seed = RunSeed {
        workflow: "deliver.yml".into(),
        branch: "main".into(),
        event: "push".into(),
        head_sha: commit.into(),
        conclusion: Some("success".into()),
        ..RunSeed::default()
    };
    change(&mut seed);
    stage.world.workflow_run("org/shop", seed)
}

const LAST_SUCCESS: [(&str, &str); 3] =
    [("base-from", "last-success"), ("github-token", "ghs_job"), ("comment", "never")];

/// A line of commits of `main`, in a workflow that pushes to it: the first changes `auth`, those after it `api`.
fn line() -> (Stage, Vec<String>) {
    let mut stage = shop();
    let mut line = vec![tip(&stage), commit(&mut stage, &[("apps/auth/src/main.ts", "2\n")])];
    for change in ["2\n", "3\n", "4\n"] {
        line.push(commit(&mut stage, &[("apps/api/src/main.ts", change)]));
    }
    fetched(&stage, "main", "HEAD");
    push(&mut stage, &line[3], false);
    stage.set("GITHUB_WORKFLOW_REF", "org/shop/.github/workflows/deliver.yml@refs/heads/main");
    (stage, line)
}

#[tokio::test]
async fn the_nearest_success_wins_not_the_newest_listed() {
    let (mut stage, line) = line();
    ran_for(&stage, &line[2], |_| ());
    ran_for(&stage, &line[3], |run| run.conclusion = Some("failure".into()));
    // Listed last is first: somebody ran an old commit again.
    ran_for(&stage, &line[0], |_| ());
    assert_compared(&run(&stage, &LAST_SUCCESS).await, &line[2], "last-success", API);
    // This very run may be listed already, and tells nothing.
    let own = ran_for(&stage, &line[4], |_| ());
    stage.set("GITHUB_RUN_ID", &own.to_string());
    assert_compared(&run(&stage, &LAST_SUCCESS).await, &line[2], "last-success", API);
    let by_hand = ran_for(&stage, &line[4], |run| run.event = "workflow_dispatch".into());
    assert_ne!(own, by_hand);
    assert_compared(&run(&stage, &LAST_SUCCESS).await, &line[4], "last-success", "[]");
}

#[tokio::test]
async fn a_run_of_something_else_is_no_success() {
    let (stage, line) = line();
    ran_for(&stage, &line[0], |_| ());
    ran_for(&stage, &line[3], |run| run.workflow = "lint.yml".into());
    ran_for(&stage, &line[3], |run| run.branch = "topic".into());
    ran_for(&stage, &line[3], |run| run.event = "pull_request".into());
    ran_for(&stage, &line[3], |run| run.head_repository = "someone/shop".into());
    ran_for(&stage, &line[3], |run| run.conclusion = None);
    ran_for(&stage, NOWHERE, |_| ());
    assert_compared(&run(&stage, &LAST_SUCCESS).await, &line[0], "last-success", ALL);
}

#[tokio::test]
async fn a_success_is_found_on_whatever_page_it_is() {
    let (stage, line) = line();
    ran_for(&stage, &line[1], |_| ());
    for number in 0..132 {
        ran_for(&stage, &format!("{number:040x}"), |_| ());
    }
    assert_compared(&run(&stage, &LAST_SUCCESS).await, &line[1], "last-success", API);
    let asked = |stage: &Stage| stage.world.calls().iter().filter(|call| call.name.contains("/runs")).count();
    assert_eq!(asked(&stage), 2);
    // No more pages than GitHub has.
    for number in 0..1000 {
        ran_for(&stage, &format!("{number:040x}"), |_| ());
    }
    let ran = run(&stage, &LAST_SUCCESS).await;
    assert_unknown(&ran, "unknown", &["of 1000 successful runs", "none is of a commit in the history"]);
    assert_eq!(asked(&stage), 2 + 10);
}

#[tokio::test]
async fn no_page_is_read_that_can_hold_no_nearer_success() {
    let (stage, line) = line();
    for number in 0..150 {
        // Long before the commits were made.
        ran_for(&stage, &format!("{number:040x}"), |run| {
            run.created_at = Some("2020-01-01T00:00:00Z".parse().unwrap())
        });
    }
    ran_for(&stage, &line[3], |_| ());
    assert_compared(&run(&stage, &LAST_SUCCESS).await, &line[3], "last-success", API);
    assert_eq!(stage.world.calls().iter().filter(|call| call.name.contains("/runs")).count(), 1);
}

#[tokio::test]
async fn without_a_success_it_says_what_it_fell_back_to() {
    let (mut stage, line) = line();
    assert_unknown(&run(&stage, &LAST_SUCCESS).await, "first-run", &["has no successful run yet"]);
    ran_for(&stage, NOWHERE, |_| ());
    assert_unknown(&run(&stage, &LAST_SUCCESS).await, "unknown", &["none is of a commit in the history"]);
    git(&stage, &["checkout", "--quiet", "-b", "topic"]);
    commit(&mut stage, &[("apps/auth/src/main.ts", "topic\n")]);
    stage.set("GITHUB_REF_NAME", "topic");
    let ran = run(&stage, &LAST_SUCCESS).await;
    assert_compared(&ran, &line[4], "merge-base", AUTH);
    assert!(ran.log.contains("note: `deliver.yml` on branch `topic` has no successful run yet"), "{}", ran.log);
}

#[tokio::test]
async fn a_pull_request_is_compared_with_its_base_whatever_succeeded() {
    let (mut stage, fork, main) = diverged();
    let head = tip(&stage);
    pull_request(&mut stage, &main, &head);
    ran_for(&stage, &head, |_| ());
    let ran = run(&stage, &LAST_SUCCESS).await;
    assert_compared(&ran, &fork, "merge-base", AUTH);
    assert!(ran.log.contains("note: a pull request delivers nothing"), "{}", ran.log);
}

#[tokio::test]
async fn a_tag_s_last_success_is_of_a_tag() {
    let (mut stage, line) = line();
    git(&stage, &["tag", "v1", &line[1]]);
    ran_for(&stage, &line[1], |run| run.branch = "v1".into());
    ran_for(&stage, &line[3], |_| ());
    tag_push(&mut stage, "v2", ZEROS);
    assert_compared(&run(&stage, &LAST_SUCCESS).await, &line[1], "last-success", API);
}

#[tokio::test]
async fn a_shallow_clone_says_that_the_success_may_be_further_back() {
    let (origin, line) = line();
    let mut stage = cloned(&origin, &["--depth=1"]);
    push(&mut stage, &line[3], false);
    stage.set("GITHUB_WORKFLOW_REF", "org/shop/.github/workflows/deliver.yml@refs/heads/main");
    ran_for(&stage, &line[3], |_| ());
    assert_unknown(&run(&stage, &LAST_SUCCESS).await, "unknown", &["as far as it was fetched", DEEPER]);
}

#[tokio::test]
async fn asking_github_needs_a_workflow_a_token_and_a_permission() {
    let (mut stage, _) = line();
    stage.world.forbid_actions();
    assert_refused(&run(&stage, &LAST_SUCCESS).await, 3, &["actions: read"]);
    assert_refused(&run(&stage, &[("base-from", "last-success")]).await, 2, &["needs a token"]);
    stage.set("GITHUB_WORKFLOW_REF", "");
    assert_refused(&run(&stage, &LAST_SUCCESS).await, 2, &["needs to run in a workflow"]);
}
