//! Lifecycle hooks, and ContinueServiceDeployment.

use super::*;

fn hooked(hooks: Value) -> ServiceSeed {
    let configuration = json!({ "strategy": "BLUE_GREEN", "bakeTimeInMinutes": 1, "lifecycleHooks": hooks });
    ServiceSeed { deployment_configuration: configuration, ..seed(1) }
}

fn pause(stage: &str) -> Value {
    json!({ "targetType": "PAUSE", "lifecycleStages": [stage] })
}

fn hook(world: &World) -> Value {
    service_deployment(world)["lifecycleHookDetails"][0].clone()
}

/// The body of ContinueServiceDeployment for the hook that waits.
fn answer(world: &World, action: &str) -> Value {
    let deployment = service_deployment(world);
    let hooks = deployment["lifecycleHookDetails"].as_array().cloned().unwrap_or_default();
    let hook = hooks.iter().find(|hook| hook["status"] == "AWAITING_ACTION").expect("a hook that waits");
    json!({ "serviceDeploymentArn": deployment["serviceDeploymentArn"], "hookId": hook["hookId"], "action": action })
}

async fn paused(hooks: Value) -> World {
    let world = world(&[]);
    world.create_service(hooked(hooks));
    deploy(&world, "better");
    until(&world, "POST_TEST_TRAFFIC_SHIFT").await;
    world
}

#[tokio::test(start_paused = true)]
async fn a_pause_waits_for_its_answer() {
    let world = paused(json!([pause("POST_TEST_TRAFFIC_SHIFT")])).await;
    seconds(3600).await;
    assert_eq!(stage(&world), ("POST_TEST_TRAFFIC_SHIFT".to_owned(), Some(0.0)));
    let hook_before = hook(&world);
    assert_eq!((&hook_before["targetType"], &hook_before["status"]), (&json!("PAUSE"), &json!("AWAITING_ACTION")));
    assert_eq!(hook_before["timeoutAction"], "ROLLBACK");
    let left = hook_before["expiresAt"].as_f64().unwrap_or(0.0)
        - service_deployment(&world)["updatedAt"].as_f64().unwrap_or(0.0);
    assert!((left - 86400.0).abs() < 1.0, "a day: {left}");
    ask(&world, "ContinueServiceDeployment", answer(&world, "CONTINUE"));
    assert_eq!(hook(&world)["status"], "SUCCEEDED");
    until(&world, "SUCCESSFUL").await;
    assert_eq!(request(&world), (200, "better".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_is_answered_with_rollback_goes_back() {
    let world = paused(json!([pause("POST_TEST_TRAFFIC_SHIFT")])).await;
    ask(&world, "ContinueServiceDeployment", answer(&world, "ROLLBACK"));
    assert_eq!(service_deployment(&world)["status"], "ROLLBACK_REQUESTED");
    until(&world, "ROLLBACK_SUCCESSFUL").await;
    let reason = service_deployment(&world)["statusReason"].clone();
    assert!(reason.as_str().is_some_and(|reason| reason.contains("POST_TEST_TRAFFIC_SHIFT pause hook")), "{reason}");
    assert_eq!(request(&world), (200, "good".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_nobody_answers_does_what_was_said() {
    async fn check(action: &str, status: &str, reason: Option<&str>) {
        let mut hook_of_ten = pause("POST_TEST_TRAFFIC_SHIFT");
        hook_of_ten["timeoutConfiguration"] = json!({ "timeoutInMinutes": 10, "action": action });
        let world = paused(json!([hook_of_ten])).await;
        seconds(590).await;
        assert_eq!(hook(&world)["status"], "AWAITING_ACTION");
        seconds(11).await;
        assert_eq!(hook(&world)["status"], "TIMED_OUT");
        until(&world, status).await;
        assert_eq!(service_deployment(&world)["statusReason"].as_str(), reason);
    }
    let reason = "Service deployment rolled back because POST_TEST_TRAFFIC_SHIFT pause hook timed out.";
    check("ROLLBACK", "ROLLBACK_SUCCESSFUL", Some(reason)).await;
    check("CONTINUE", "SUCCESSFUL", None).await;
}

#[tokio::test(start_paused = true)]
async fn a_function_succeeds_at_once() {
    let arn = "arn:aws:lambda:eu-west-1:111122223333:function:check";
    let hook_of_function = json!({ "hookTargetArn": arn, "lifecycleStages": ["POST_TEST_TRAFFIC_SHIFT"] });
    let world = paused(json!([hook_of_function])).await;
    let seen = hook(&world);
    assert_eq!((&seen["targetType"], &seen["status"]), (&json!("AWS_LAMBDA"), &json!("SUCCEEDED")));
    assert_eq!(seen["targetArn"], arn);
    until(&world, "SUCCESSFUL").await;
}

#[tokio::test(start_paused = true)]
async fn every_step_of_a_canary_may_pause() {
    let world = world(&[]);
    let canary = json!({ "canaryPercent": 50, "canaryBakeTimeInMinutes": 0 });
    world.create_service(ServiceSeed {
        deployment_configuration: json!({
            "strategy": "CANARY", "canaryConfiguration": canary, "lifecycleHooks": [pause("PRE_PRODUCTION_TRAFFIC_SHIFT")],
        }),
        ..seed(1)
    });
    deploy(&world, "better");
    let mut weights = Vec::new();
    for _ in 0..2 {
        until(&world, "PRE_PRODUCTION_TRAFFIC_SHIFT").await;
        seconds(600).await;
        weights.push(stage(&world).1);
        ask(&world, "ContinueServiceDeployment", answer(&world, "CONTINUE"));
        seconds(4).await;
    }
    assert_eq!(weights, [Some(0.0), Some(50.0)]);
    until(&world, "SUCCESSFUL").await;
}

#[tokio::test(start_paused = true)]
async fn a_rolling_deployment_pauses_before_its_tasks_start() {
    let world = world(&[]);
    let configuration = json!({ "lifecycleHooks": [pause("PRE_SCALE_UP")] });
    world.create_service(ServiceSeed { deployment_configuration: configuration, ..seed(1) });
    deploy(&world, "better");
    until(&world, "PRE_SCALE_UP").await;
    seconds(600).await;
    assert_eq!(world.tasks("default").len(), 1);
    ask(&world, "ContinueServiceDeployment", answer(&world, "CONTINUE"));
    until(&world, "SUCCESSFUL").await;
    assert_eq!(request(&world), (200, "better".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_refused_that_fits_no_hook() {
    let world = paused(json!([pause("POST_TEST_TRAFFIC_SHIFT")])).await;
    let good = answer(&world, "CONTINUE");
    let check = |member: &str, value: &str, code: &str, says: &str| {
        let mut body = good.clone();
        body[member] = json!(value);
        let refusal = refused(&world, "ContinueServiceDeployment", body);
        assert_eq!(refusal.code, code);
        assert!(refusal.message.contains(says), "{}", refusal.message);
    };
    check("hookId", "7", "InvalidParameterException", "ecs-{hookType}-{id}");
    check("hookId", "ecs-pause-7", "InvalidParameterException", "either completed, unavailable, or not associated");
    check("action", "WAIT", "InvalidParameterException", "Invalid action");
    check("serviceDeploymentArn", "arn", "ServiceDeploymentNotFoundException", "does not exist");
    ask(&world, "ContinueServiceDeployment", good.clone());
    check("hookId", good["hookId"].as_str().unwrap_or_default(), "InvalidParameterException", "either completed");
    until(&world, "SUCCESSFUL").await;
    check("action", "CONTINUE", "InvalidParameterException", "terminal states");
}

#[tokio::test(start_paused = true)]
async fn stopping_a_paused_deployment_leaves_no_hook_that_waits() {
    let world = paused(json!([pause("POST_TEST_TRAFFIC_SHIFT")])).await;
    let arn = service_deployment(&world)["serviceDeploymentArn"].clone();
    ask(&world, "StopServiceDeployment", json!({ "serviceDeploymentArn": arn }));
    assert_eq!(hook(&world)["status"], "FAILED");
    until(&world, "ROLLBACK_SUCCESSFUL").await;
}

#[tokio::test(start_paused = true)]
async fn hooks_are_checked_when_they_are_configured() {
    let world = world(&[]);
    world.create_service(seed(1));
    let check = |hook: Value, says: &str| {
        let body = json!({ "service": "auth", "deploymentConfiguration": { "lifecycleHooks": [hook] } });
        let refusal = refused(&world, "UpdateService", body);
        assert!(refusal.message.contains(says), "{}", refusal.message);
    };
    check(pause("TEST_TRAFFIC_SHIFT"), "Invalid lifecycle stage provided for Pause Hook");
    check(json!({ "targetType": "EMAIL", "lifecycleStages": ["PRE_SCALE_UP"] }), "Valid values are: AWS_LAMBDA, PAUSE");
    check(json!({ "lifecycleStages": ["PRE_SCALE_UP"] }), "hookTargetArn");
    check(json!({ "targetType": "PAUSE", "lifecycleStages": [] }), "lifecycleStages can not be empty");
}
