//! Deployments that do not go well.

use super::*;

/// Deploys an image that behaves like this and gives the service deployment, its events and one of its stopped tasks.
async fn deploy_bad(behaviour: &str, minutes: u64) -> (World, Value) {
    let world = world(&[("bad", "world.serves", behaviour)]);
    world.create_service(seed(1));
    deploy(&world, "bad");
    seconds(minutes * 60).await;
    let deployment = service_deployment(&world);
    (world, deployment)
}

#[tokio::test(start_paused = true)]
async fn rolls_back_when_new_tasks_keep_stopping() {
    let (world, deployment) = deploy_bad("exits 137 after 3 s: starting | no such column", 6).await;
    assert_eq!(deployment["status"], "ROLLBACK_SUCCESSFUL");
    assert_eq!(
        deployment["statusReason"],
        "Service deployment rolled back because the circuit breaker threshold was exceeded."
    );
    assert_eq!(
        deployment["deploymentCircuitBreaker"],
        json!({ "status": "TRIGGERED", "failureCount": 3, "threshold": 3 })
    );
    let source = &deployment["sourceServiceRevisions"][0]["arn"];
    assert_eq!(&deployment["rollback"]["serviceRevisionArn"], source);
    let seen = service(&world);
    assert_eq!(seen["deployments"].as_array().map(Vec::len), Some(1));
    assert!(seen["taskDefinition"].as_str().is_some_and(|arn| arn.ends_with("auth:1")));
    assert!(says(&world, "deployment failed: tasks failed to start."));
    assert!(says(&world, "rolling back to deployment ecs-svc/"));
    assert_eq!(request(&world), (200, "good".to_owned()));

    let failed: Vec<_> = world.tasks("default").into_iter().filter(|task| task.status == "STOPPED").collect();
    assert_eq!(failed.len(), 3);
    assert_eq!(failed[0].stop_code.as_deref(), Some("EssentialContainerExited"));
    assert_eq!(failed[0].stopped_reason.as_deref(), Some("Essential container in task exited"));
    assert_eq!(failed[0].exit_codes["app"], Some(137));
    assert_eq!(log(&world, &failed[0].id), ["listening on :8080, version bad", "starting", "no such column"]);
}

#[tokio::test(start_paused = true)]
async fn a_rollback_is_seen_while_it_is_under_way() {
    let world = world(&[("bad", "world.serves", "exits 1 after 1 s")]);
    world.create_service(seed(1));
    deploy(&world, "bad");
    let mut statuses = Vec::new();
    for _ in 0..300 {
        let status = service_deployment(&world)["status"].as_str().unwrap_or_default().to_owned();
        if statuses.last() != Some(&status) {
            statuses.push(status);
        }
        seconds(1).await;
    }
    let expected = ["PENDING", "IN_PROGRESS", "ROLLBACK_REQUESTED", "ROLLBACK_IN_PROGRESS", "ROLLBACK_SUCCESSFUL"];
    assert_eq!(statuses, expected);
}

#[tokio::test(start_paused = true)]
async fn every_way_to_fail_has_its_reason() {
    async fn check(behaviour: &str, code: &str, reason: &str, exit_code: Option<i64>) {
        let (world, deployment) = deploy_bad(behaviour, 9).await;
        assert_eq!(deployment["status"], "ROLLBACK_SUCCESSFUL", "{behaviour}");
        let arns =
            ask(&world, "ListTasks", json!({ "serviceName": "auth", "desiredStatus": "STOPPED" }))["taskArns"].clone();
        let task = ask(&world, "DescribeTasks", json!({ "tasks": arns }))["tasks"][0].clone();
        assert_eq!(task["stopCode"], code, "{behaviour}");
        let told = format!("{} {}", task["stoppedReason"], task["containers"][0]["reason"]);
        assert!(told.contains(reason), "{behaviour}: {told}");
        assert_eq!(task["containers"][0]["exitCode"].as_i64(), exit_code, "{behaviour}");
    }
    check("exits 1 after 0 s", "EssentialContainerExited", "Essential container in task exited", Some(1)).await;
    check(
        "runs out of memory after 2 s",
        "EssentialContainerExited",
        "OutOfMemoryError: Container killed due to memory usage",
        Some(137),
    )
    .await;
    check("image cannot be pulled", "TaskFailedToStart", "CannotPullContainerError: ", None).await;
    check(
        "secret cannot be fetched",
        "TaskFailedToStart",
        "ResourceInitializationError: unable to pull secrets or registry auth: ",
        None,
    )
    .await;
    check(
        "is unhealthy",
        "ServiceSchedulerInitiated",
        "Task failed ELB health checks in (target-group arn:aws:",
        Some(0),
    )
    .await;
    check("dances", "EssentialContainerExited", "Essential container in task exited", Some(64)).await;
}

#[tokio::test(start_paused = true)]
async fn an_image_that_does_not_exist_cannot_be_pulled() {
    let world = world(&[]);
    world.create_service(seed(1));
    deploy(&world, "nowhere");
    seconds(25).await;
    let reason = world.tasks("default").into_iter().find_map(|task| task.stopped_reason).unwrap_or_default();
    assert!(reason.starts_with("CannotPullContainerError: "), "{reason}");
    assert!(reason.ends_with("/auth:nowhere: not found"), "{reason}");
    assert!(says(&world, "was unable to place a task. Reason: CannotPullContainerError"));
    assert_eq!(request(&world), (200, "good".to_owned()), "the old task still serves");
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_does_not_exist_is_named() {
    let world = world(&[]);
    world.create_service(seed(1));
    let mut definition = definition("better");
    definition["containerDefinitions"][0]["secrets"] = json!([{ "name": "PASSWORD", "valueFrom": "/auth/missing" }]);
    let arn = world.register_task_definition(&definition);
    ask(&world, "UpdateService", json!({ "service": "auth", "taskDefinition": arn }));
    seconds(25).await;
    let reason = world.tasks("default").into_iter().find_map(|task| task.stopped_reason).unwrap_or_default();
    assert!(reason.starts_with("ResourceInitializationError: ") && reason.ends_with("/auth/missing"), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn without_a_circuit_breaker_it_is_tried_for_ever_and_ever_more_slowly() {
    let world = world(&[("bad", "world.serves", "exits 1 after 1 s")]);
    world.create_service(ServiceSeed { circuit_breaker: None, ..seed(1) });
    deploy(&world, "bad");
    let mut failed = Vec::new();
    for _ in 0..6 {
        seconds(600).await;
        failed.push(service(&world)["deployments"][0]["failedTasks"].as_u64().unwrap_or(0));
        assert_eq!(service_deployment(&world)["status"], "IN_PROGRESS");
        assert_eq!(service(&world)["deployments"][0]["rolloutState"], "IN_PROGRESS");
    }
    assert!(failed.is_sorted() && failed[0] >= 4 && failed[5] > failed[4], "{failed:?}");
    assert!(failed[5] - failed[4] < failed[0], "slower and slower: {failed:?}");
    assert!(says(&world, "is unable to consistently start tasks successfully"));
    assert_eq!(request(&world), (200, "good".to_owned()), "the old task still serves");
}

#[tokio::test(start_paused = true)]
async fn the_first_deployment_ever_stalls_when_it_fails() {
    let world = world(&[("bad", "world.serves", "exits 1 after 1 s")]);
    world.create_cluster("default");
    let arn = world.register_task_definition(&definition("bad"));
    let network = json!({ "awsvpcConfiguration": { "subnets": ["subnet-1"] } });
    let body = json!({
        "serviceName": "auth", "taskDefinition": arn, "desiredCount": 1, "launchType": "FARGATE", "networkConfiguration": network,
        "deploymentConfiguration": { "deploymentCircuitBreaker": { "enable": true, "rollback": true } },
    });
    ask(&world, "CreateService", body);
    seconds(3600).await;
    let deployment = service_deployment(&world);
    assert_eq!(deployment["status"], "IN_PROGRESS");
    assert_eq!(deployment["deploymentCircuitBreaker"]["status"], "TRIGGERED");
    assert_eq!(service(&world)["deployments"][0]["rolloutState"], "FAILED");
    assert_eq!(service(&world)["deployments"][0]["failedTasks"], 3, "nothing is launched any more");
}

#[tokio::test(start_paused = true)]
async fn a_breaker_that_may_not_roll_back_stops_the_deployment() {
    let world = world(&[("bad", "world.serves", "exits 1 after 1 s")]);
    world.create_service(ServiceSeed { circuit_breaker: Some(CircuitBreaker { rollback: false }), ..seed(1) });
    deploy(&world, "bad");
    seconds(300).await;
    assert_eq!(service_deployment(&world)["status"], "STOPPED");
    assert_eq!(service(&world)["deployments"][0]["rolloutState"], "FAILED");
    assert_eq!(service(&world)["deployments"][1]["rolloutState"], "COMPLETED");
    assert_eq!(request(&world), (200, "good".to_owned()), "the old task still serves");
}

#[tokio::test(start_paused = true)]
async fn the_breaker_trips_at_half_the_desired_count_but_never_below_three() {
    async fn check(desired_count: u32, threshold: u32) {
        let world = world(&[]);
        world.create_service(seed(desired_count));
        deploy(&world, "better");
        assert_eq!(service_deployment(&world)["deploymentCircuitBreaker"]["threshold"], threshold);
    }
    check(1, 3).await;
    check(9, 5).await;
    check(500, 200).await;
}

#[tokio::test(start_paused = true)]
async fn a_crash_long_after_the_deployment_is_replaced_and_fails_nothing() {
    let (world, deployment) = deploy_bad("exits 1 after 180 s", 3).await;
    assert_eq!(deployment["status"], "SUCCESSFUL");
    seconds(30).await;
    assert_eq!(service(&world)["runningCount"], 0);
    seconds(60).await;
    assert_eq!(service(&world)["runningCount"], 1);
    assert_eq!(service_deployment(&world)["status"], "SUCCESSFUL");
}

#[tokio::test(start_paused = true)]
async fn without_capacity_nothing_is_placed() {
    let (world, deployment) = deploy_bad("no capacity", 10).await;
    assert_eq!(deployment["status"], "IN_PROGRESS");
    assert_eq!(world.tasks("default").len(), 1);
    assert!(says(&world, "was unable to place a task. Reason: Capacity is unavailable at this time."));
}

#[tokio::test(start_paused = true)]
async fn an_unhealthy_task_answers_with_503_and_is_taken_out() {
    let world = world(&[("bad", "world.serves", "is unhealthy")]);
    world.create_service(ServiceSeed { minimum_healthy_percent: 0, maximum_percent: 100, ..seed(1) });
    deploy(&world, "bad");
    seconds(50).await;
    assert!(
        target_health(&world).contains("<State>unhealthy</State><Reason>Target.ResponseCodeMismatch</Reason>"),
        "{}",
        target_health(&world)
    );
    assert_eq!(request(&world), (503, "bad".to_owned()));
    assert!(says(&world, "is unhealthy in (target-group "));
}
