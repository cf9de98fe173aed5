//! The pull request's one comment, which all actions share.

use stage::{Ran, Stage};

use crate::shop::{commit, event, git, run, shop};

const TOKEN: (&str, &str) = ("github-token", "ghs_token");

/// A pull request from a branch of this repository, or from a fork.
fn pull_request(from: &str) -> Stage {
    let mut stage = shop();
    let base = git(&stage, &["rev-parse", "HEAD"]);
    let head = commit(&mut stage, &[("apps/auth/src/main.ts", "2\n")]);
    let side = |sha: &str, repository: &str| {
        format!(r#"{{ "sha": "{sha}", "ref": "main", "repo": {{ "full_name": "{repository}" }} }}"#)
    };
    let payload = format!(
        r#"{{ "pull_request": {{ "number": 1, "base": {}, "head": {} }} }}"#,
        side(&base, "org/shop"),
        side(&head, from)
    );
    event(&mut stage, "pull_request", &payload);
    stage.world.pull_request("org/shop", 1, &head);
    stage
}

fn comments(stage: &Stage) -> Vec<(String, String)> {
    stage.world.comments("org/shop", 1).into_iter().map(|comment| (comment.author, comment.body)).collect()
}

fn notices(ran: &Ran) -> Vec<String> {
    ran.annotations().into_iter().filter(|annotation| annotation.starts_with("::notice")).collect()
}

#[tokio::test]
async fn a_pull_request_has_one_comment_that_is_kept_up_to_date() {
    let mut stage = pull_request("org/shop");
    let first = run(&stage, &[TOKEN]).await;
    assert_eq!((first.output("result"), first.exit_code), ("affected", 0), "{}", first.log);
    let [(author, body)] = &comments(&stage)[..] else { panic!("{:?}", comments(&stage)) };
    assert_eq!(author, "github-actions[bot]");
    assert!(body.contains("1 of 3 services affected"), "{body}");
    assert!(body.contains("Once merged into `main`, this is for `staging` (cluster `shop`)."), "{body}");
    stage.set("GITHUB_RUN_ATTEMPT", "2");
    run(&stage, &[TOKEN]).await;
    assert_eq!(comments(&stage).len(), 1, "the second run replaced the text of the first");
}

#[tokio::test]
async fn an_older_run_does_not_overwrite_a_newer_one() {
    let mut stage = pull_request("org/shop");
    stage.set("GITHUB_RUN_ID", "9");
    run(&stage, &[TOKEN]).await;
    let newer = comments(&stage);
    stage.set("GITHUB_RUN_ID", "8");
    let older = run(&stage, &[TOKEN, ("services", "site")]).await;
    assert_eq!(older.exit_code, 0, "{}", older.log);
    assert_eq!(comments(&stage), newer);
}

#[tokio::test]
async fn somebody_elses_comment_is_left_alone_even_if_it_has_the_marker() {
    let stage = pull_request("org/shop");
    stage.world.comment("org/shop", 1, "somebody", "<!-- delivery -->\nmine");
    run(&stage, &[TOKEN]).await;
    let comments = comments(&stage);
    assert_eq!(comments.len(), 2, "{comments:?}");
    assert_eq!(comments[0], ("somebody".to_owned(), "<!-- delivery -->\nmine".to_owned()));
}

#[tokio::test]
async fn the_read_only_token_of_a_fork_is_one_notice_and_no_failure() {
    let stage = pull_request("somebody/shop");
    stage.world.read_only_token();
    let ran = run(&stage, &[TOKEN]).await;
    assert_eq!((ran.output("result"), ran.exit_code), ("affected", 0), "{}", ran.log);
    assert!(ran.summary.contains("1 of 3 services affected"), "the summary has what the comment has not");
    let notices = notices(&ran);
    assert!(notices.len() == 1 && notices[0].contains("comes from a fork"), "{notices:?}");
}

#[tokio::test]
async fn a_job_that_may_not_comment_is_told_the_permission() {
    let stage = pull_request("org/shop");
    stage.world.read_only_token();
    let ran = run(&stage, &[TOKEN]).await;
    assert_eq!(ran.exit_code, 0, "a comment is a courtesy: {}", ran.log);
    let notices = notices(&ran);
    assert!(notices.len() == 1 && notices[0].contains("pull-requests: write"), "{notices:?}");
}
