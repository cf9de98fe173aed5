//! Deployments that wait at a hook for the gate's answer.

#![expect(clippy::expect_used, reason = "a test's furniture has nobody to tell but the test")]

use common::aws::Place;
use serde_json::{Value, json};
use world::ServiceView;

use super::*;

const ANSWER: &str = "ecs:ContinueServiceDeployment";

/// `auth` runs an older image, and a deployment of the commit's waits at this stage.
async fn paused(strategy: &str, at: &str) -> Stage {
    let stage = Stage::new();
    stage.file("delivery.toml", DELIVERY);
    let old = push(&stage, "auth", &"a".repeat(40), "serves");
    let new = push(&stage, "auth", COMMIT, "serves");
    stage.world.create_service(ServiceSeed {
        cluster: "shop".into(),
        name: "auth".into(),
        task_definition: task_definition("auth", &old),
        desired_count: 2,
        target_group: Some("auth".into()),
        deployment_configuration: json!({
            "strategy": strategy,
            "canaryConfiguration": { "canaryPercent": 10.0, "canaryBakeTimeInMinutes": 1 },
            "bakeTimeInMinutes": 5,
            "lifecycleHooks": [{ "targetType": "PAUSE", "lifecycleStages": [at] }],
        }),
        ..ServiceSeed::default()
    });
    update(&stage, &new).await;
    until(|| auth(&stage).stage.as_deref() == Some(at)).await;
    stage
}

/// … and has all of the traffic.
async fn paused_with_all_traffic() -> Stage {
    paused("BLUE_GREEN", "POST_PRODUCTION_TRAFFIC_SHIFT").await
}

async fn gate(stage: &Stage, inputs: &[(&str, &str)]) -> Ran {
    let own = [("services", "auth"), ("interval", "10s"), ("answer-pause", "true")];
    let inputs: Vec<_> = own.into_iter().chain(inputs.iter().copied()).collect();
    stage.run(&ACTION, run, &inputs).await
}

fn auth(stage: &Stage) -> ServiceView {
    stage.world.service("shop", "auth").expect("the service")
}

async fn until(is_so: impl Fn() -> bool) {
    let mut clock = tokio::time::interval(Duration::from_secs(1));
    while !is_so() {
        clock.tick().await;
    }
}

/// The answers that ECS was given to its hooks.
fn answers(stage: &Stage) -> Vec<Value> {
    let calls = stage.world.calls();
    calls
        .iter()
        .filter(|call| call.name == ANSWER && call.status == 200)
        .map(|call| call.body["action"].clone())
        .collect()
}

/// What the output `json` says of `auth`.
fn told(ran: &Ran) -> Value {
    let report: Value = serde_json::from_str(ran.output("json")).expect("JSON");
    report["services"][0].clone()
}

/// Somebody else answers the hook.
async fn somebody_continues(stage: &Stage) {
    let aws = stage.edges(&[]).aws(&Place::default()).await.expect("a place");
    let (cluster, service) = ("shop".parse().expect("a name"), "auth".parse().expect("a name"));
    let going = aws.ecs.latest_service_deployments(&cluster, &service, Some("IN_PROGRESS")).await.expect("a list");
    let hook = going[0].awaits().expect("a hook that waits");
    aws.ecs.continue_service_deployment(&going[0].arn, &hook.id, true).await.expect("an answer that counts");
}

#[tokio::test(start_paused = true)]
async fn one_that_is_healthy_is_continued() {
    let stage = paused_with_all_traffic().await;
    announced::deployed(&stage, "production/auth", COMMIT).await;
    let ran = gate(&stage, &[("deployment-status", "true"), ("github-token", "ghs_token")]).await;
    assert_eq!(ending(&ran), (0, "healthy", r#"{"auth":"healthy"}"#), "{}", ran.log);
    assert!(
        announced::shown(&stage)[0].contains("in_progress: healthy: "),
        "it goes on: {:?}",
        announced::shown(&stage)
    );
    assert_eq!((answers(&stage), told(&ran)["answered"].as_str()), (vec![json!("CONTINUE")], Some("continue")));
    assert_snapshot!(stable(&ran.log));
    assert_snapshot!(stable(&ran.summary));
    until(|| auth(&stage).service_deployments[0] == "SUCCESSFUL").await;
    // Its tasks are behind the other target group now.
    let ran = watch(&stage, &[("services", "auth")]).await;
    assert_eq!(ending(&ran).1, "healthy", "{}", ran.log);
}

#[tokio::test(start_paused = true)]
async fn one_that_is_not_healthy_is_rolled_back() {
    let stage = paused_with_all_traffic().await;
    let ran = gate(&stage, &[("expect", "json(/status) == 'excellent'")]).await;
    assert_eq!(ending(&ran), (1, "unhealthy", r#"{"auth":"unhealthy"}"#), "{}", ran.log);
    assert_eq!((answers(&stage), told(&ran)["answered"].as_str()), (vec![json!("ROLLBACK")], Some("rollback")));
    assert_snapshot!(stable(&ran.annotations().join("\n")));
    until(|| auth(&stage).service_deployments[0] == "ROLLBACK_SUCCESSFUL").await;
}

#[tokio::test(start_paused = true)]
async fn one_that_only_the_version_before_answers_for_is_left_alone() {
    let stage = paused("BLUE_GREEN", "POST_TEST_TRAFFIC_SHIFT").await;
    let ran = gate(&stage, &[("timeout", "5m")]).await;
    assert_eq!(ending(&ran), (1, "undecided", r#"{"auth":"undecided"}"#), "{}", ran.log);
    assert_eq!((answers(&stage).len(), told(&ran)["answered"].as_str()), (0, Some("none")));
    assert_eq!(told(&ran)["hook"]["stage"], "POST_TEST_TRAFFIC_SHIFT");
    assert_snapshot!(stable(&ran.annotations().join("\n")));
    assert_eq!(auth(&stage).service_deployments[0], "IN_PROGRESS");
}

#[tokio::test(start_paused = true)]
async fn a_canary_is_let_through_from_step_to_step() {
    let stage = paused("CANARY", "PRE_PRODUCTION_TRAFFIC_SHIFT").await;
    // Nothing of the traffic is the canary's yet: ECS and the load balancer speak for it.
    let ran = gate(&stage, &[("expect", "status == 200")]).await;
    assert_eq!(ending(&ran).1, "healthy", "{}", ran.log);
    until(|| auth(&stage).stage.as_deref() == Some("PRODUCTION_TRAFFIC_SHIFT")).await;
    until(|| auth(&stage).stage.as_deref() == Some("PRE_PRODUCTION_TRAFFIC_SHIFT")).await;
    // Every tenth answer is the canary's, and they alone are counted.
    let began = Instant::now();
    let ran = gate(&stage, &[]).await;
    assert_eq!(ending(&ran).1, "healthy", "{}", ran.log);
    assert!(began.elapsed() >= Duration::from_secs(100), "{:?}", began.elapsed());
    assert!(ran.summary.contains("10 % of the traffic"), "{}", ran.summary);
    assert_eq!(answers(&stage), ["CONTINUE", "CONTINUE"]);
    until(|| auth(&stage).service_deployments[0] == "SUCCESSFUL").await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_denied_is_not_given() {
    for (expect, result) in [("status == 200", "healthy"), ("status == 418", "unhealthy")] {
        let stage = paused_with_all_traffic().await;
        stage.world.script(ANSWER, Fault::Denied, 1);
        let ran = gate(&stage, &[("expect", expect)]).await;
        assert_eq!((ending(&ran).0, ending(&ran).1), (3, result), "{}", ran.log);
        assert_eq!((answers(&stage).len(), told(&ran)["answered"].as_str()), (0, Some("none")));
        assert_snapshot!(stable(&ran.annotations().join("\n")));
        assert!(ran.summary.starts_with("### ❌"), "{}", ran.summary);
        assert_eq!(auth(&stage).service_deployments[0], "IN_PROGRESS");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_too_late_is_not_given() {
    let stage = paused_with_all_traffic().await;
    somebody_continues(&stage).await;
    // ECS shows for a while what was true a moment ago.
    stage.on_answer(|operation, answer| {
        if operation == "DescribeServiceDeployments" {
            answer["serviceDeployments"][0]["lifecycleHookDetails"][0]["status"] = json!("AWAITING_ACTION");
        }
    });
    let ran = gate(&stage, &[]).await;
    assert_eq!((ending(&ran).0, ending(&ran).1), (1, "healthy"), "{}", ran.log);
    assert_eq!(told(&ran)["answered"], "none");
    assert_snapshot!(stable(&ran.annotations().join("\n")));
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_repeated_until_it_is_taken_and_not_after() {
    let stage = paused_with_all_traffic().await;
    stage.world.script(ANSWER, Fault::Throttled, 2);
    stage.world.script(ANSWER, Fault::AnswerLost, 1);
    let ran = gate(&stage, &[]).await;
    assert_eq!(ending(&ran).0, 0, "{}", ran.log);
    assert_eq!(told(&ran)["answered"], "continue");
    assert_eq!(stage.world.calls().iter().filter(|call| call.name == ANSWER).count(), 3);
    until(|| auth(&stage).service_deployments[0] == "SUCCESSFUL").await;
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_cancelled_answers_nothing() {
    let stage = paused_with_all_traffic().await;
    let (ran, ()) = tokio::join!(gate(&stage, &[]), async {
        asked(&stage).await;
        stage.stopper.raise();
    });
    assert_eq!(ending(&ran), (130, "undecided", r#"{"auth":"undecided"}"#));
    assert_eq!(answers(&stage).len(), 0);
    assert_snapshot!(stable(&ran.annotations().join("\n")));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_cancelled_during_its_last_look_answers_nothing_either() {
    let stage = paused_with_all_traffic().await;
    let stopper = stage.stopper.clone();
    stage.on_answer(move |operation, _| {
        if operation == "DescribeServiceDeployments" {
            stopper.raise();
        }
    });
    let ran = gate(&stage, &[("passes", "1")]).await;
    assert_eq!(ending(&ran), (130, "undecided", r#"{"auth":"undecided"}"#), "{}", ran.log);
    assert_eq!(answers(&stage).len(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_was_seen_before_the_hook_is_not_counted() {
    let stage = paused("CANARY", "PRE_PRODUCTION_TRAFFIC_SHIFT").await;
    let (ran, ()) = tokio::join!(gate(&stage, &[("expect", "status == 200"), ("passes", "4")]), async {
        asked(&stage).await;
        somebody_continues(&stage).await;
    });
    assert_eq!(ending(&ran).1, "healthy", "{}", ran.log);
    let looks = told(&ran)["checks"].as_array().unwrap().iter().map(|check| check["looks"].clone()).collect::<Vec<_>>();
    assert!(looks.iter().all(|looks| *looks == 4), "the four at the second hook: {looks:?}");
    assert_eq!(answers(&stage), ["CONTINUE", "CONTINUE"], "the first was somebody else's");
}

#[tokio::test(start_paused = true)]
async fn a_hook_of_which_nothing_is_known_is_not_answered() {
    let stage = paused_with_all_traffic().await;
    stage.world.script("ecs:ListServiceDeployments", Fault::Denied, 3);
    let ran = gate(&stage, &[]).await;
    assert_eq!(ending(&ran), (1, "undecided", r#"{"auth":"undecided"}"#), "{}", ran.log);
    assert_eq!((answers(&stage).len(), told(&ran)["answered"].as_str()), (0, Some("none")));
    assert_snapshot!(stable(&ran.annotations().join("\n")));
}

#[tokio::test(start_paused = true)]
async fn each_service_has_its_own_answer() {
    let stage = paused_with_all_traffic().await;
    push(&stage, "web", COMMIT, "serves");
    let old = push(&stage, "web", &"b".repeat(40), "serves");
    add(&stage, "web", &old);
    let ran = stage.run(&ACTION, run, &[("interval", "10s"), ("answer-pause", "true")]).await;
    assert_eq!(ending(&ran), (1, "unhealthy", r#"{"auth":"healthy","web":"unhealthy"}"#), "{}", ran.log);
    assert_eq!(answers(&stage), ["CONTINUE"]);
}

#[tokio::test(start_paused = true)]
async fn nobody_who_does_not_ask_for_it_answers() {
    let stage = paused_with_all_traffic().await;
    let ran = watch(&stage, &[("services", "auth"), ("timeout", "3m")]).await;
    assert_eq!(ending(&ran).1, "undecided");
    let ran = gate(&stage, &[("dry-run", "true")]).await;
    assert_eq!(ending(&ran).1, "planned");
    assert_snapshot!(stable(&ran.summary));
    assert_eq!(answers(&stage).len(), 0);
    assert!(!stage.world.calls().iter().any(|call| call.name == "ecs:ListServiceDeployments"));
}

#[tokio::test(start_paused = true)]
async fn a_service_that_waits_at_no_hook_is_judged_as_always() {
    let stage = stage();
    let ran = watch(&stage, &[("services", "auth"), ("answer-pause", "true")]).await;
    assert_eq!(ending(&ran), (0, "healthy", r#"{"auth":"healthy"}"#));
    assert_eq!((told(&ran)["answered"].as_str(), &told(&ran)["hook"]), (Some("none"), &Value::Null));
}
