//! How deployments end, and what a person reads of it.

use std::time::Duration;

use insta::assert_snapshot;
use stage::Stage;
use tokio::time::Instant;
use world::{CircuitBreaker, Fault};

use crate::shop::{deploy, running, shop, shop_with};

/// When a world's calendar begins, in seconds since the epoch.
const WORLD_BEGINS: f64 = 1_767_603_600.0;
const WRITES: [&str; 2] = ["ecs:RegisterTaskDefinition", "ecs:UpdateService"];

/// Waits until a deployment is on its way.
async fn started(stage: &Stage) {
    while !stage.world.writes().contains(&"ecs:UpdateService".to_owned()) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_good_version_is_deployed_by_digest() {
    let stage = shop("serves");
    let ran = deploy(&stage, &[]).await;
    assert_eq!((ran.output("result"), ran.exit_code), ("deployed", 0), "{}", ran.log);
    assert_eq!(stage.world.writes(), WRITES);
    assert_eq!(running(&stage), ("shop-auth:2".to_owned(), 2));
    assert_snapshot!(ran.log);
    assert_snapshot!(ran.summary);
    assert_eq!(ran.output("services"), r#"{"auth":"deployed"}"#);
}

#[tokio::test(start_paused = true)]
async fn the_job_ends_within_two_seconds_of_the_deployment() {
    let stage = shop("serves");
    let started = Instant::now();
    deploy(&stage, &[]).await;
    let took = started.elapsed();
    let finished =
        stage.world.calls().iter().rev().find_map(|call| {
            call.answer.pointer("/serviceDeployments/0/finishedAt").and_then(serde_json::Value::as_f64)
        });
    let finished = finished.expect("a finished deployment") - WORLD_BEGINS;
    assert!(took.as_secs_f64() <= finished + 2.0, "the job took {took:?}, the deployment {finished} s");
}

#[tokio::test(start_paused = true)]
async fn what_runs_already_is_left_alone() {
    let stage = shop("serves");
    deploy(&stage, &[]).await;
    let ran = deploy(&stage, &[]).await;
    assert_eq!((ran.output("result"), ran.exit_code), ("unchanged", 0), "{}", ran.log);
    assert_eq!(stage.world.writes(), WRITES, "the second run wrote nothing");
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_prints_the_plan_and_touches_nothing() {
    let stage = shop("serves");
    let ran = deploy(&stage, &[("dry-run", "true")]).await;
    assert_eq!((ran.output("result"), ran.exit_code), ("planned", 0), "{}", ran.log);
    assert!(stage.world.writes().is_empty());
    assert_snapshot!(ran.summary);
}

#[tokio::test(start_paused = true)]
async fn a_crash_loop_that_ecs_rolls_back_is_a_failure_with_its_reason() {
    let stage = shop("exits 137 after 3 s: reading flags.json | FATAL: flags.json is not there");
    let ran = deploy(&stage, &[]).await;
    assert_eq!((ran.output("result"), ran.exit_code), ("rolled-back", 1), "{}", ran.log);
    assert_eq!(stage.world.writes(), WRITES);
    assert_eq!(running(&stage), ("shop-auth:1".to_owned(), 2), "what ran before runs again");
    assert_snapshot!(ran.annotations().join("\n"));
    assert_snapshot!(ran.summary);
}

#[tokio::test(start_paused = true)]
async fn an_image_that_cannot_be_pulled_is_named() {
    let stage = shop("image cannot be pulled");
    let ran = deploy(&stage, &[]).await;
    assert_eq!((ran.output("result"), ran.exit_code), ("rolled-back", 1), "{}", ran.log);
    assert!(ran.annotations()[0].contains("CannotPullContainerError"), "{:?}", ran.annotations());
}

#[tokio::test(start_paused = true)]
async fn a_crash_loop_without_a_circuit_breaker_ends_before_the_timeout() {
    let stage = shop_with("exits 1 after 1 s: no such table", None);
    let started = Instant::now();
    let ran = deploy(&stage, &[]).await;
    assert_eq!((ran.output("result"), ran.exit_code), ("failed", 1), "{}", ran.log);
    assert!(started.elapsed() < Duration::from_secs(600), "{:?}", started.elapsed());
    assert!(ran.annotations()[0].contains("has no circuit breaker"), "{:?}", ran.annotations());
    assert!(ran.summary.contains("no such table"), "{}", ran.summary);
}

#[tokio::test(start_paused = true)]
async fn a_circuit_breaker_without_rollback_leaves_a_failure() {
    let stage = shop_with("exits 1 after 1 s", Some(CircuitBreaker { rollback: false }));
    let ran = deploy(&stage, &[]).await;
    assert_eq!((ran.output("result"), ran.exit_code), ("failed", 1), "{}", ran.log);
}

#[tokio::test(start_paused = true)]
async fn another_run_that_takes_over_is_not_blamed_on_this_version() {
    let stage = shop("serves");
    let other = async {
        started(&stage).await;
        deploy(&stage, &[("task-definition", "shop-auth:1")]).await
    };
    let (ran, other) = tokio::join!(deploy(&stage, &[]), other);
    assert_eq!((ran.output("result"), ran.exit_code), ("superseded", 1), "{}", ran.log);
    assert_eq!((other.output("result"), other.exit_code), ("deployed", 0), "{}", other.log);
    assert_snapshot!(ran.annotations().join("\n"));
}

#[tokio::test(start_paused = true)]
async fn a_deployment_that_takes_too_long_is_not_called_a_success() {
    let stage = shop("is unhealthy");
    let ran = deploy(&stage, &[("timeout", "10s")]).await;
    assert_eq!((ran.output("result"), ran.exit_code), ("timed-out", 1), "{}", ran.log);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_run_says_that_the_deployment_goes_on() {
    let stage = shop("serves");
    let cancel = async {
        started(&stage).await;
        stage.stopper.raise();
    };
    let (ran, ()) = tokio::join!(deploy(&stage, &[]), cancel);
    assert_eq!((ran.output("result"), ran.exit_code), ("cancelled", 130), "{}", ran.log);
    assert_snapshot!(ran.annotations().join("\n"));
}

#[tokio::test(start_paused = true)]
async fn throttling_and_outages_are_ridden_out() {
    let stage = shop("serves");
    stage.world.script("ecs:DescribeServices", Fault::Throttled, 3);
    stage.world.script("ecs:UpdateService", Fault::Throttled, 1);
    stage.world.script("ecs:DescribeServiceDeployments", Fault::Unavailable, 4);
    let ran = deploy(&stage, &[]).await;
    assert_eq!((ran.output("result"), ran.exit_code), ("deployed", 0), "{}", ran.log);
}
