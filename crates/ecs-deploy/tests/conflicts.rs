//! Deployments that are not ours, and older commits: who gives way, and what a person reads of it.

use std::time::Duration;

use insta::assert_snapshot;
use serde_json::json;
use stage::{COMMIT, Stage};
use tokio::time::Instant;

use crate::shop::{auth, called, deploy, ends, image, is_locked, push, running, shop, shop_of, told, written};

/// A deployment of somebody else is on its way, started by hand: without the lock.
async fn foreign(behaviour: &str) -> Stage {
    let stage = shop("serves");
    let other = stage.another_run();
    let theirs = image(&push(&stage, "theirs", behaviour));
    std::fs::rename(stage.workspace().join("delivery.toml"), stage.workspace().join("ours.toml")).expect("a file");
    let inputs = [("cluster", "shop"), ("service", "auth"), ("image", theirs.as_str()), ("on-cancel", "detach")];
    let cancel = async {
        called(&other, "ecs:UpdateService").await;
        other.stopper.raise();
    };
    let (ran, ()) = tokio::join!(deploy(&other, &inputs), cancel);
    ends(&ran, "cancelled", 130);
    std::fs::rename(stage.workspace().join("ours.toml"), stage.workspace().join("delivery.toml")).expect("a file");
    stage
}

#[tokio::test(start_paused = true)]
async fn a_deployment_that_is_not_ours_is_waited_for() {
    let stage = foreign("serves").await;
    let ran = deploy(&stage, &[]).await;
    ends(&ran, "deployed", 0);
    assert_eq!(auth(&stage).service_deployments, ["SUCCESSFUL", "SUCCESSFUL", "SUCCESSFUL"], "theirs came to its end");
    assert_eq!(running(&stage), ("shop-auth:3".to_owned(), 2));
    assert_snapshot!(told(&ran));
}

#[tokio::test(start_paused = true)]
async fn a_deployment_that_is_not_ours_and_never_ends_is_not_waited_for_for_ever() {
    let stage = foreign("no capacity").await;
    let started = Instant::now();
    let ran = deploy(&stage, &[("timeout", "5m")]).await;
    ends(&ran, "timed-out", 1);
    assert!(started.elapsed() <= Duration::from_secs(310), "{:?}", started.elapsed());
    assert!(!is_locked(&stage));
    assert_snapshot!(told(&ran));
}

#[tokio::test(start_paused = true)]
async fn a_deployment_that_is_not_ours_is_a_reason_to_refuse() {
    let stage = foreign("serves").await;
    let before = written(&stage).len();
    let ran = deploy(&stage, &[("on-conflict", "refuse")]).await;
    ends(&ran, "refused", 1);
    assert!(
        written(&stage)[before..].iter().all(|write| write == "lock" || write == "unlock"),
        "{:?}",
        written(&stage)
    );
    assert_eq!(auth(&stage).service_deployments.len(), 2);
    assert_snapshot!(told(&ran));
}

#[tokio::test(start_paused = true)]
async fn a_deployment_that_is_not_ours_is_superseded() {
    let stage = foreign("serves").await;
    let ran = deploy(&stage, &[("on-conflict", "supersede")]).await;
    ends(&ran, "deployed", 0);
    assert_eq!(auth(&stage).service_deployments, ["SUCCESSFUL", "STOPPED", "SUCCESSFUL"]);
    assert_snapshot!(told(&ran));
}

#[tokio::test(start_paused = true)]
async fn somebody_who_takes_over_is_named_and_the_version_is_not_blamed() {
    let stage = shop("serves");
    let other = stage.another_run();
    let takes_over = async {
        called(&stage, "ecs:UpdateService").await;
        let inputs = [
            ("cluster", "shop"),
            ("service", "auth"),
            ("task-definition", "shop-auth:1"),
            ("on-conflict", "supersede"),
        ];
        deploy(&other, &inputs).await
    };
    let (ran, other) = tokio::join!(deploy(&stage, &[]), takes_over);
    ends(&other, "deployed", 0);
    ends(&ran, "superseded", 1);
    ends(&other, "deployed", 0);
    assert_eq!(running(&stage), ("shop-auth:1".to_owned(), 2), "theirs stays");
    assert_eq!(written(&stage).iter().filter(|write| write.starts_with("update")).count(), 2, "nothing is put back");
    assert_snapshot!(told(&ran));
}

#[tokio::test(start_paused = true)]
async fn an_older_commit_is_not_deployed_unless_that_is_meant() {
    const NEWER: &str = "89abcdef0123456789abcdef0123456789abcdef";
    let stage = shop("serves");
    push(&stage, NEWER, "serves");
    stage.world.commits("org/shop", &[COMMIT, NEWER]);
    let token = ("github-token", "ghs_token");
    ends(&deploy(&stage, &[token, ("commit", NEWER)]).await, "deployed", 0);
    let before = written(&stage).len();
    let ran = deploy(&stage, &[token]).await;
    ends(&ran, "refused", 1);
    assert_eq!(written(&stage).len(), before);
    assert_snapshot!(told(&ran));
    let ran = deploy(&stage, &[token, ("allow-older", "true")]).await;
    ends(&ran, "deployed", 0);
    assert_eq!(running(&stage).0, "shop-auth:3");
}

#[tokio::test(start_paused = true)]
async fn commits_of_which_github_knows_nothing_are_said_to_be_so() {
    const OTHER: &str = "89abcdef0123456789abcdef0123456789abcdef";
    let stage = shop("serves");
    push(&stage, OTHER, "serves");
    let token = ("github-token", "ghs_token");
    ends(&deploy(&stage, &[token, ("commit", OTHER)]).await, "deployed", 0);
    let ran = deploy(&stage, &[token]).await;
    ends(&ran, "deployed", 0);
    assert_snapshot!(told(&ran));
}

#[tokio::test(start_paused = true)]
async fn which_commit_is_older_need_not_be_known() {
    const OTHER: &str = "89abcdef0123456789abcdef0123456789abcdef";
    let stage = shop("serves");
    push(&stage, OTHER, "serves");
    ends(&deploy(&stage, &[("commit", OTHER)]).await, "deployed", 0);
    let ran = deploy(&stage, &[]).await;
    ends(&ran, "deployed", 0);
    assert_snapshot!(ran.annotations().join("\n"));
}

#[tokio::test(start_paused = true)]
async fn a_rollback_request_that_comes_too_late_is_made_true() {
    // ROLLBACK_REQUESTED "may still end in SUCCESSFUL" (API_ServiceDeployment).
    let stage = shop("serves");
    stage.on_answer(|operation, answer| {
        if operation == "DescribeServiceDeployments"
            && let Some(deployment) = answer.pointer_mut("/serviceDeployments/0")
            && deployment["status"] == "IN_PROGRESS"
        {
            deployment["status"] = json!("ROLLBACK_REQUESTED");
        }
    });
    let ran = deploy(&stage, &[]).await;
    ends(&ran, "rolled-back", 1);
    assert_eq!(running(&stage), ("shop-auth:1".to_owned(), 2), "what was to go back has gone back");
    assert_snapshot!(format!("{}\n\n{}", written(&stage).join("\n"), told(&ran)));
}

#[tokio::test(start_paused = true)]
async fn what_ecs_calls_the_present_deployment_may_be_the_one_before() {
    let stage = shop("serves");
    stage.on_answer(|operation, answer| {
        if operation == "DescribeServices"
            && let Some(service) = answer.pointer_mut("/services/0")
        {
            service["currentServiceDeployment"] =
                json!("arn:aws:ecs:eu-west-1:111122223333:service-deployment/shop/auth/AAAAAAAAAAAAAAAAAAAAA");
        }
    });
    let broken = image(&push(&stage, "broken", "exits 1 after 1 s"));
    ends(&deploy(&stage, &[]).await, "deployed", 0);
    ends(&deploy(&stage, &[("image", &broken)]).await, "rolled-back", 1);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_goes_away_meanwhile_is_a_failure() {
    let stage = shop_of("serves", |seed| seed.desired_count = 1);
    let deletes = async {
        called(&stage, "ecs:UpdateService").await;
        stage.world.delete_service("shop", "auth");
    };
    let (ran, ()) = tokio::join!(deploy(&stage, &[]), deletes);
    assert_eq!(ran.exit_code, 1, "{}", ran.log);
    assert_snapshot!(told(&ran));
}
