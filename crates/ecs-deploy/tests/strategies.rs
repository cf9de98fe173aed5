//! Deployments that move traffic: blue/green, linear, canary, and the hooks that hold them up.

use std::time::Duration;

use common::aws::Place;
use insta::assert_snapshot;
use serde_json::{Value, json};
use stage::Stage;
use world::ServiceSeed;

use crate::shop::{
    DELIVERY, auth, deploy, ends, is_locked, ledger, push, running, shop, shop_of, told, until, written,
};

/// A service whose load balancer can shift traffic.
fn wired(seed: &mut ServiceSeed) {
    seed.target_group = Some("auth".to_owned());
    seed.shifts_traffic = true;
}

fn shop_that_shifts(behaviour: &str) -> Stage {
    shop_of(behaviour, wired)
}

/// The delivery file with a strategy for staging.
fn delivery(strategy: &str) -> String {
    DELIVERY.replace("variables =", &format!("strategy = {strategy}\nvariables ="))
}

/// What the first UpdateService of a deployment says of how it is to be done, beside what the service is set to already.
fn asked(stage: &Stage) -> Value {
    let calls = stage.world.calls();
    let update = calls.iter().find(|call| call.name == "ecs:UpdateService");
    let mut asked = update.map_or(Value::Null, |call| call.body["deploymentConfiguration"].clone());
    if let Some(asked) = asked.as_object_mut() {
        let breaker = asked.remove("deploymentCircuitBreaker");
        assert_eq!(breaker, Some(json!({ "enable": true, "rollback": true })), "the breaker stays");
        for (percent, set) in [("minimumHealthyPercent", 100), ("maximumPercent", 200)] {
            if asked.get(percent) == Some(&json!(set)) {
                asked.remove(percent);
            }
        }
    }
    asked
}

fn paused_service(seed: &mut ServiceSeed) {
    wired(seed);
    seed.deployment_configuration = json!({
        "strategy": "BLUE_GREEN",
        "bakeTimeInMinutes": 2,
        "lifecycleHooks": [{ "targetType": "PAUSE", "lifecycleStages": ["POST_TEST_TRAFFIC_SHIFT"] }],
    });
}

/// Somebody answers the hook that waits.
async fn answer(stage: &Stage, goes_on: bool) {
    let aws = stage.edges(&[]).aws(&Place::default()).await.expect("a place");
    let calls = stage.world.calls();
    let mut described = calls
        .iter()
        .rev()
        .filter_map(|call| call.answer.pointer("/serviceDeployments/0"))
        .filter(|one| one["lifecycleHookDetails"][0]["hookId"].is_string());
    let deployment = described.next().expect("a deployment with a hook");
    let (arn, hook) = (&deployment["serviceDeploymentArn"], &deployment["lifecycleHookDetails"][0]["hookId"]);
    let (arn, hook) = (arn.as_str().expect("an ARN"), hook.as_str().expect("a hook"));
    aws.ecs.continue_service_deployment(arn, hook, goes_on).await.expect("an answer that counts");
}

#[tokio::test(start_paused = true)]
async fn a_canary_of_the_delivery_file_is_followed_through_its_stages() {
    let stage = shop_that_shifts("serves");
    stage.file("delivery.toml", delivery(r#"{ kind = "canary", percent = 10, step = "5m", bake = "3m" }"#));
    let ran = deploy(&stage, &[]).await;
    ends(&ran, "deployed", 0);
    assert_eq!(
        asked(&stage),
        json!({
            "strategy": "CANARY",
            "canaryConfiguration": { "canaryPercent": 10.0, "canaryBakeTimeInMinutes": 5 },
            "bakeTimeInMinutes": 3,
        })
    );
    assert_eq!(running(&stage), ("shop-auth:2".to_owned(), 2));
    assert_eq!(auth(&stage).service_deployments, ["SUCCESSFUL", "SUCCESSFUL"]);
    assert_snapshot!(told(&ran));
}

#[tokio::test(start_paused = true)]
async fn the_input_says_it_louder_than_the_delivery_file() {
    let stage = shop_that_shifts("serves");
    stage.file("delivery.toml", delivery(r#"{ kind = "canary", percent = 10 }"#));
    let linear = r#"{ kind = "linear", percent = 50, step = "1m", bake = "1m" }"#;
    let ran = deploy(&stage, &[("strategy", linear)]).await;
    ends(&ran, "deployed", 0);
    assert_eq!(
        asked(&stage),
        json!({
            "strategy": "LINEAR",
            "linearConfiguration": { "stepPercent": 50.0, "stepBakeTimeInMinutes": 1 },
            "bakeTimeInMinutes": 1,
        })
    );
    assert_snapshot!(told(&ran));
}

#[tokio::test(start_paused = true)]
async fn blue_green_by_its_name_alone() {
    let stage = shop_that_shifts("serves");
    let ran = deploy(&stage, &[("strategy", "blue-green")]).await;
    ends(&ran, "deployed", 0);
    assert_eq!(asked(&stage), json!({ "strategy": "BLUE_GREEN" }));
    assert_eq!(running(&stage), ("shop-auth:2".to_owned(), 2));
    assert_snapshot!(told(&ran));
}

#[tokio::test(start_paused = true)]
async fn a_rolling_deployment_with_its_percents_and_alarms() {
    let stage = shop("serves");
    stage.world.set_alarm("auth-5xx", "OK");
    let rolling = r#"{ kind = "rolling", minimum-healthy-percent = 50, maximum-percent = 150, alarms = ["auth-5xx"] }"#;
    let ran = deploy(&stage, &[("strategy", rolling)]).await;
    ends(&ran, "deployed", 0);
    assert_eq!(
        asked(&stage),
        json!({
            "strategy": "ROLLING",
            "minimumHealthyPercent": 50,
            "maximumPercent": 150,
            "alarms": { "alarmNames": ["auth-5xx"], "enable": true, "rollback": true },
        })
    );
}

#[tokio::test(start_paused = true)]
async fn what_the_service_is_set_to_stays_where_nobody_says_otherwise() {
    let stage = shop_of("serves", |seed| {
        wired(seed);
        seed.deployment_configuration = json!({ "strategy": "BLUE_GREEN", "bakeTimeInMinutes": 1 });
    });
    let ran = deploy(&stage, &[]).await;
    ends(&ran, "deployed", 0);
    assert_eq!(asked(&stage), Value::Null);
    assert!(ran.log.contains("BAKE_TIME"), "{}", ran.log);
}

#[tokio::test(start_paused = true)]
async fn a_service_whose_load_balancer_cannot_shift_traffic_is_refused() {
    let unwired = shop_of("serves", |seed| seed.target_group = Some("auth".to_owned()));
    let ran = deploy(&unwired, &[("strategy", "blue-green")]).await;
    ends(&ran, "refused", 2);
    assert_eq!(written(&unwired), [""; 0]);
    assert_snapshot!(told(&ran));
}

#[tokio::test(start_paused = true)]
async fn a_strategy_that_is_no_strategy() {
    let stage = shop("serves");
    for strategy in
        ["canary", "purple", r#"{ kind = "linear", percent = 1 }"#, r#"{ kind = "blue-green", bake = "90s" }"#]
    {
        let ran = deploy(&stage, &[("strategy", strategy)]).await;
        ends(&ran, "refused", 2);
        assert_snapshot!(ran.annotations().join("\n"));
    }
    assert!(stage.world.calls().is_empty(), "{:?}", stage.world.calls());
}

#[tokio::test(start_paused = true)]
async fn tasks_that_do_not_come_up_never_get_traffic() {
    let stage = shop_that_shifts("exits 1 after 1 s: no such table");
    let ran = deploy(&stage, &[("strategy", "blue-green")]).await;
    ends(&ran, "rolled-back", 1);
    assert_eq!(running(&stage), ("shop-auth:1".to_owned(), 2));
    assert_snapshot!(told(&ran));
}

#[tokio::test(start_paused = true)]
async fn an_alarm_in_a_canary_takes_the_traffic_back() {
    let stage = shop_that_shifts("serves");
    stage.world.set_alarm("auth-5xx", "OK");
    stage.world.set_alarm_after("auth-5xx", "ALARM", Duration::from_secs(150));
    let canary = r#"{ kind = "canary", percent = 10, step = "5m", bake = "5m", alarms = ["auth-5xx"] }"#;
    let ran = deploy(&stage, &[("strategy", canary)]).await;
    ends(&ran, "rolled-back", 1);
    assert_eq!(running(&stage), ("shop-auth:1".to_owned(), 2));
    assert_snapshot!(told(&ran));
}

#[tokio::test(start_paused = true)]
async fn the_time_that_the_strategy_takes_is_not_counted_against_the_timeout() {
    let stage = shop_that_shifts("serves");
    let canary = r#"{ kind = "canary", percent = 10, step = "20m", bake = "30m" }"#;
    let ran = deploy(&stage, &[("strategy", canary), ("timeout", "10m")]).await;
    ends(&ran, "deployed", 0);
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_waits_for_an_answer_ends_the_run_and_another_one_follows_it_to_its_end() {
    let stage = shop_of("serves", paused_service);
    let ran = deploy(&stage, &[]).await;
    ends(&ran, "paused", 1);
    assert_eq!(ran.output("services"), r#"{"auth":"paused"}"#);
    assert_eq!(auth(&stage).service_deployments[0], "IN_PROGRESS", "nothing is taken back");
    assert_eq!(ledger(&stage)["s"], "paused");
    assert!(!is_locked(&stage));
    assert_snapshot!(told(&ran));
    answer(&stage, true).await;
    let ran = deploy(&stage, &[]).await;
    ends(&ran, "deployed", 0);
    assert_eq!(running(&stage), ("shop-auth:2".to_owned(), 2));
    let all = written(&stage);
    assert_eq!(
        all.iter().filter(|write| write.starts_with("update") || write.starts_with("register")).count(),
        2,
        "{all:?}"
    );
    assert_snapshot!(told(&ran));
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_still_waits_pauses_the_next_run_as_well() {
    let stage = shop_of("serves", paused_service);
    deploy(&stage, &[]).await;
    let ran = deploy(&stage, &[]).await;
    ends(&ran, "paused", 1);
    assert_eq!(auth(&stage).service_deployments.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_is_answered_with_rollback_while_nobody_watches() {
    let stage = shop_of("serves", paused_service);
    deploy(&stage, &[]).await;
    answer(&stage, false).await;
    until(|| auth(&stage).service_deployments[0] == "ROLLBACK_SUCCESSFUL").await;
    let ran = deploy(&stage, &[]).await;
    ends(&ran, "paused", 1);
    assert_eq!(auth(&stage).service_deployments[0], "IN_PROGRESS", "the version is tried again, and pauses again");
}

#[tokio::test(start_paused = true)]
async fn another_version_does_not_wait_for_a_hook_that_nobody_answers() {
    let stage = shop_of("serves", paused_service);
    deploy(&stage, &[]).await;
    let other = crate::shop::image(&push(&stage, "other", "serves"));
    let ran = deploy(&stage, &[("image", &other), ("timeout", "5m")]).await;
    ends(&ran, "timed-out", 1);
    assert_snapshot!(told(&ran));
    let ran = deploy(&stage, &[("image", &other), ("on-conflict", "supersede")]).await;
    ends(&ran, "paused", 1);
}

#[tokio::test(start_paused = true)]
async fn a_stage_and_a_status_that_nobody_has_heard_of_are_waited_through() {
    let stage = shop_that_shifts("serves");
    stage.on_answer(|operation, answer| {
        if operation == "DescribeServiceDeployments"
            && let Some(deployment) = answer.pointer_mut("/serviceDeployments/0")
        {
            match deployment["lifecycleStage"].as_str() {
                Some("POST_SCALE_UP") => deployment["lifecycleStage"] = json!("QUANTUM_SHIFT"),
                Some("POST_TEST_TRAFFIC_SHIFT") => deployment["status"] = json!("ENTANGLED"),
                _ => {}
            }
        }
    });
    let ran = deploy(&stage, &[("strategy", "blue-green")]).await;
    ends(&ran, "deployed", 0);
    assert!(ran.log.contains("QUANTUM_SHIFT") && ran.log.contains("ENTANGLED"), "{}", ran.log);
}
