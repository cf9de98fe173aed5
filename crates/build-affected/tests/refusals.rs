//! What is refused, and what a person reads of it.

use insta::assert_snapshot;
use stage::Stage;

use crate::shop::{DELIVERY, commit, event, git, repository, run, shop};

/// Asserts that a run is refused with this exit code, within one annotation and a hint, and that nothing was written.
async fn check(stage: &Stage, inputs: &[(&str, &str)], exit_code: u8) -> String {
    let ran = run(stage, inputs).await;
    assert_eq!((ran.output("result"), ran.exit_code), ("failed", exit_code), "{}", ran.log);
    assert!(stage.world.writes().is_empty());
    let annotations = ran.annotations();
    assert_eq!(annotations.len(), 1, "{annotations:?}");
    assert!(annotations[0].contains("\nhint: ") || annotations[0].contains(" problems:\n"), "{annotations:?}");
    annotations[0].replace(&stage.workspace().display().to_string(), "<workspace>")
}

#[tokio::test]
async fn a_workspace_that_is_no_repository() {
    assert_snapshot!(check(&Stage::new(), &[], 2).await);
}

#[tokio::test]
async fn a_repository_without_services() {
    assert_snapshot!(check(&repository(&[("README.md", "x")]), &[], 2).await);
}

#[tokio::test]
async fn services_that_are_not_there() {
    let mut stage = shop();
    assert_snapshot!("unknown_service", check(&stage, &[("services", "atuh")], 2).await);
    commit(
        &mut stage,
        &[("delivery.toml", &DELIVERY.replace("@shop/api", "@shop/apo").replace("apps/auth", "apps/oauth"))],
    );
    assert_snapshot!("unknown_places", check(&stage, &[], 2).await);
}

#[tokio::test]
async fn a_base_that_is_not_there() {
    assert_snapshot!(check(&shop(), &[("base", "mian")], 2).await);
}

#[tokio::test]
async fn a_clone_without_the_head() {
    let mut origin = shop();
    let before = git(&origin, &["rev-parse", "HEAD"]);
    commit(&mut origin, &[("README.md", "2\n")]);
    let mut stage = Stage::new();
    let url = format!("file://{}", origin.workspace().display());
    git(&stage, &["clone", "--quiet", "--depth=1", &url, "."]);
    stage.set("GITHUB_SHA", &git(&stage, &["rev-parse", "HEAD"]));
    let payload = format!(
        r#"{{ "pull_request": {{ "number": 1, "base": {{ "sha": "{before}" }}, "head": {{ "sha": "{before}" }} }} }}"#
    );
    event(&mut stage, "pull_request", &payload);
    assert_snapshot!("shallow_without_the_head", check(&stage, &[("comment", "never")], 2).await);
}

#[tokio::test]
async fn an_engine_that_is_not_there() {
    let mut stage = shop();
    stage.set("DOCKER_HOST", "unix:///nowhere/docker.sock");
    assert_snapshot!(check(&stage, &[("build", "true")], 4).await);
}

#[tokio::test]
async fn another_commit_than_the_one_that_is_checked_out_is_not_built() {
    let mut stage = shop();
    let first = git(&stage, &["rev-parse", "HEAD"]);
    commit(&mut stage, &[("README.md", "2\n")]);
    assert_snapshot!(check(&stage, &[("build", "true"), ("commit", &first)], 2).await);
}
