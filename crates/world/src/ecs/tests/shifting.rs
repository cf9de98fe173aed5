//! Deployments that shift traffic: blue/green, linear, canary.

use super::*;

fn shifting(configuration: Value) -> ServiceSeed {
    ServiceSeed { deployment_configuration: configuration, ..seed(2) }
}

fn blue_green() -> ServiceSeed {
    shifting(json!({ "strategy": "BLUE_GREEN", "bakeTimeInMinutes": 5 }))
}

/// Of so many requests, those that the new version answered.
fn answered_by(world: &World, version: &str, requests: usize) -> usize {
    (0..requests).filter(|_| request(world) == (200, version.to_owned())).count()
}

#[tokio::test(start_paused = true)]
async fn blue_green_passes_through_its_stages() {
    let world = world(&[]);
    world.create_service(blue_green());
    deploy(&world, "better");
    let mut stages: Vec<(String, Option<f64>)> = Vec::new();
    for _ in 0..480 {
        let stage = stage(&world);
        if stages.last() != Some(&stage) {
            stages.push(stage);
        }
        let seen = world.service("default", "auth").expect("a service");
        assert!(seen.running >= 2 && seen.running + seen.pending <= 4, "{seen:?}");
        seconds(1).await;
    }
    let expected = [
        ("PENDING", 0.0),
        ("PRE_SCALE_UP", 0.0),
        ("SCALE_UP", 0.0),
        ("POST_SCALE_UP", 0.0),
        ("TEST_TRAFFIC_SHIFT", 0.0),
        ("POST_TEST_TRAFFIC_SHIFT", 0.0),
        ("PRE_PRODUCTION_TRAFFIC_SHIFT", 0.0),
        ("PRODUCTION_TRAFFIC_SHIFT", 100.0),
        ("POST_PRODUCTION_TRAFFIC_SHIFT", 100.0),
        ("BAKE_TIME", 100.0),
        ("CLEAN_UP", 100.0),
        ("SUCCESSFUL", 100.0),
    ];
    assert_eq!(stages, expected.map(|(stage, weight)| (stage.to_owned(), Some(weight))));
    assert_eq!(world.service("default", "auth").expect("a service").running, 2);
    assert_eq!(answered_by(&world, "better", 10), 10);
    assert_eq!(service(&world)["deployments"].as_array().map(Vec::len), Some(1));
}

#[tokio::test(start_paused = true)]
async fn both_revisions_run_until_the_bake_time_is_over() {
    let world = world(&[]);
    world.create_service(blue_green());
    deploy(&world, "better");
    until(&world, "BAKE_TIME").await;
    let deployment = service_deployment(&world);
    let (source, target) = (&deployment["sourceServiceRevisions"][0], &deployment["targetServiceRevision"]);
    for revision in [source, target] {
        assert_eq!((&revision["requestedTaskCount"], &revision["runningTaskCount"]), (&json!(2), &json!(2)));
    }
    assert_eq!(source["requestedProductionTrafficWeight"], 0.0);
    assert_eq!(target["requestedTestTrafficWeight"], 100.0);
    seconds(290).await;
    assert_eq!(stage(&world).0, "BAKE_TIME");
    assert_eq!(world.service("default", "auth").expect("a service").running, 4);
    seconds(12).await;
    assert_eq!(stage(&world).0, "CLEAN_UP");
    assert_eq!(world.service("default", "auth").expect("a service").running, 2);
}

#[tokio::test(start_paused = true)]
async fn each_revision_has_a_target_group() {
    let world = world(&[]);
    world.create_service(blue_green());
    deploy(&world, "better");
    until(&world, "BAKE_TIME").await;
    let load_balancer = service(&world)["loadBalancers"][0].clone();
    let targets = |group: &Value| {
        let parameters = [("TargetGroupArn".to_owned(), group.as_str().unwrap_or_default().to_owned())].into();
        let answer =
            world.with(|state| elb::answer(state, "DescribeTargetHealth", &parameters)).expect("a target group");
        answer.matches("<State>healthy</State>").count()
    };
    assert_eq!(targets(&load_balancer["targetGroupArn"]), 2);
    assert_eq!(targets(&load_balancer["advancedConfiguration"]["alternateTargetGroupArn"]), 2);
    until(&world, "SUCCESSFUL").await;
    assert_eq!(targets(&load_balancer["targetGroupArn"]), 0);
    deploy(&world, "good");
    until(&world, "SUCCESSFUL").await;
    assert_eq!(targets(&load_balancer["targetGroupArn"]), 2, "they take turns");
}

#[tokio::test(start_paused = true)]
async fn a_canary_gets_its_share_of_the_requests_and_then_all() {
    let world = world(&[]);
    let canary = json!({ "canaryPercent": 10, "canaryBakeTimeInMinutes": 5 });
    world.create_service(shifting(json!({ "strategy": "CANARY", "canaryConfiguration": canary })));
    deploy(&world, "better");
    until(&world, "POST_SCALE_UP").await;
    assert_eq!(answered_by(&world, "better", 50), 0);
    until(&world, "PRODUCTION_TRAFFIC_SHIFT").await;
    assert_eq!(stage(&world).1, Some(10.0));
    assert_eq!(service_deployment(&world)["sourceServiceRevisions"][0]["requestedProductionTrafficWeight"], 90.0);
    assert_eq!(answered_by(&world, "better", 50), 5);
    seconds(295).await;
    assert_eq!(stage(&world), ("PRODUCTION_TRAFFIC_SHIFT".to_owned(), Some(10.0)));
    until(&world, "POST_PRODUCTION_TRAFFIC_SHIFT").await;
    assert_eq!(answered_by(&world, "better", 50), 50);
    until(&world, "SUCCESSFUL").await;
}

#[tokio::test(start_paused = true)]
async fn a_linear_deployment_shifts_step_by_step() {
    let world = world(&[]);
    let linear = json!({ "stepPercent": 25, "stepBakeTimeInMinutes": 2 });
    world.create_service(shifting(json!({ "strategy": "LINEAR", "linearConfiguration": linear })));
    deploy(&world, "better");
    let mut weights = Vec::new();
    for _ in 0..900 {
        let (_, weight) = stage(&world);
        if weights.last() != Some(&weight) {
            weights.push(weight);
        }
        seconds(1).await;
    }
    assert_eq!(weights, [0.0, 25.0, 50.0, 75.0, 100.0].map(Some));
    assert_eq!(stage(&world).0, "SUCCESSFUL");
}

#[tokio::test(start_paused = true)]
async fn what_is_stopped_while_it_bakes_is_back_at_once() {
    let world = world(&[]);
    world.create_service(blue_green());
    deploy(&world, "better");
    until(&world, "BAKE_TIME").await;
    assert_eq!(answered_by(&world, "good", 10), 0);
    let arn = service_deployment(&world)["serviceDeploymentArn"].clone();
    ask(&world, "StopServiceDeployment", json!({ "serviceDeploymentArn": arn, "stopType": "ROLLBACK" }));
    seconds(3).await;
    assert_eq!(service_deployment(&world)["status"], "ROLLBACK_IN_PROGRESS");
    assert_eq!(answered_by(&world, "good", 10), 10, "no task had to start");
    until(&world, "ROLLBACK_SUCCESSFUL").await;
    assert_eq!(world.tasks("default").len(), 4, "the old ones ran all the time");
    assert_eq!(answered_by(&world, "good", 10), 10);
    let deployment = service_deployment(&world);
    assert_eq!(deployment["sourceServiceRevisions"][0]["requestedProductionTrafficWeight"], 100.0);
    assert_eq!(deployment["targetServiceRevision"]["requestedProductionTrafficWeight"], 0.0);
}

#[tokio::test(start_paused = true)]
async fn what_is_stopped_when_the_old_tasks_are_gone_serves_until_they_are_back() {
    let world = world(&[]);
    world.create_service(blue_green());
    deploy(&world, "better");
    until(&world, "CLEAN_UP").await;
    let arn = service_deployment(&world)["serviceDeploymentArn"].clone();
    ask(&world, "StopServiceDeployment", json!({ "serviceDeploymentArn": arn }));
    for _ in 0..180 {
        assert_eq!(request(&world).0, 200);
        seconds(1).await;
    }
    assert_eq!(stage(&world).0, "ROLLBACK_SUCCESSFUL");
    assert_eq!(answered_by(&world, "good", 10), 10);
}

#[tokio::test(start_paused = true)]
async fn new_tasks_that_never_serve_get_no_traffic_and_are_given_up() {
    let world = world(&[("bad", "world.serves", "exits 1 after 1 s")]);
    world.create_service(blue_green());
    deploy(&world, "bad");
    for _ in 0..120 {
        assert_eq!(request(&world), (200, "good".to_owned()));
        seconds(1).await;
    }
    until(&world, "ROLLBACK_SUCCESSFUL").await;
    assert!(says(&world, "deployment failed: tasks failed to start."));
}

#[tokio::test(start_paused = true)]
async fn what_replaces_a_deployment_in_flight_reconciles_first() {
    let world = world(&[("third", "world.serves", "serves")]);
    world.create_service(blue_green());
    deploy(&world, "better");
    until(&world, "BAKE_TIME").await;
    deploy(&world, "third");
    until(&world, "RECONCILE_SERVICE").await;
    assert_eq!(answered_by(&world, "good", 10), 10);
    until(&world, "SUCCESSFUL").await;
    assert_eq!(answered_by(&world, "third", 10), 10);
    let seen = world.service("default", "auth").expect("a service");
    assert_eq!((seen.running, seen.service_deployments[1].as_str()), (2, "STOPPED"));
}

#[tokio::test(start_paused = true)]
async fn an_old_task_that_dies_is_replaced_while_both_run() {
    let world = world(&[]);
    world.create_service(blue_green());
    deploy(&world, "better");
    until(&world, "BAKE_TIME").await;
    let old = world.tasks("default")[0].id.clone();
    ask(&world, "StopTask", json!({ "task": old }));
    seconds(90).await;
    let deployment = service_deployment(&world);
    assert_eq!(deployment["sourceServiceRevisions"][0]["runningTaskCount"], 2);
    assert_eq!(deployment["lifecycleStage"], "BAKE_TIME");
}

#[tokio::test(start_paused = true)]
async fn without_a_load_balancer_nothing_has_a_weight() {
    let world = world(&[]);
    world.create_service(ServiceSeed { target_group: None, ..blue_green() });
    deploy(&world, "better");
    until(&world, "BAKE_TIME").await;
    assert_eq!(stage(&world).1, None);
    assert_eq!(answered_by(&world, "good", 12), 6, "its four tasks take turns");
    until(&world, "SUCCESSFUL").await;
}

#[tokio::test(start_paused = true)]
async fn a_rolling_deployment_may_bake_too() {
    let world = world(&[]);
    world.create_service(shifting(json!({ "bakeTimeInMinutes": 3 })));
    deploy(&world, "better");
    until(&world, "BAKE_TIME").await;
    let seen = world.service("default", "auth").expect("a service");
    assert_eq!((seen.running, seen.rollout.as_str()), (2, "IN_PROGRESS"));
    assert_eq!(answered_by(&world, "better", 10), 10, "the old tasks are gone");
    seconds(175).await;
    assert_eq!(stage(&world), ("BAKE_TIME".to_owned(), None));
    seconds(6).await;
    assert_eq!(stage(&world).0, "SUCCESSFUL");
}

#[tokio::test(start_paused = true)]
async fn nothing_wanted_is_soon_done() {
    let world = world(&[]);
    world.create_service(ServiceSeed { desired_count: 0, ..blue_green() });
    deploy(&world, "better");
    until(&world, "SUCCESSFUL").await;
    assert_eq!(world.tasks("default"), []);
}

#[tokio::test(start_paused = true)]
async fn a_strategy_is_refused_where_nothing_can_shift_the_traffic() {
    let world = world(&[]);
    world.create_service(seed(1));
    let update = |configuration: Value| json!({ "service": "auth", "deploymentConfiguration": configuration });
    let check = |configuration: Value, says: &str| {
        let refusal = refused(&world, "UpdateService", update(configuration));
        assert_eq!(refusal.code, "InvalidParameterException");
        assert!(refusal.message.contains(says), "{}", refusal.message);
    };
    check(json!({ "strategy": "CANARY" }), "advancedConfiguration field is required for all loadBalancers");
    check(json!({ "strategy": "GREEN_BLUE" }), "Invalid strategy");
    check(json!({ "canaryConfiguration": { "canaryPercent": 0 } }), "Invalid canaryPercent");
    check(json!({ "linearConfiguration": { "stepPercent": 2 } }), "Invalid stepPercent");
}

#[tokio::test(start_paused = true)]
async fn the_strategy_changes_only_while_nothing_is_in_flight() {
    let world = world(&[]);
    world.create_service(ServiceSeed { shifts_traffic: true, ..seed(1) });
    deploy(&world, "better");
    let update = json!({ "service": "auth", "deploymentConfiguration": { "strategy": "CANARY" } });
    assert_eq!(refused(&world, "UpdateService", update.clone()).code, "InvalidParameterException");
    until(&world, "SUCCESSFUL").await;
    ask(&world, "UpdateService", update);
    assert_eq!(service_deployment(&world)["status"], "SUCCESSFUL", "that is no deployment");
    assert_eq!(service(&world)["deploymentConfiguration"]["strategy"], "CANARY");
    deploy(&world, "good");
    until(&world, "PRODUCTION_TRAFFIC_SHIFT").await;
    assert_eq!(stage(&world).1, Some(5.0));
}
