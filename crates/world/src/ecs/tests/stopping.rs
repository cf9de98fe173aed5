//! StopServiceDeployment and StopTask.

use super::*;

fn stop(world: &World) -> Value {
    let arn = service_deployment(world)["serviceDeploymentArn"].clone();
    ask(world, "StopServiceDeployment", json!({ "serviceDeploymentArn": arn, "stopType": "ROLLBACK" }))
}

#[tokio::test(start_paused = true)]
async fn a_deployment_in_flight_goes_back_when_it_is_stopped() {
    let world = world(&[]);
    world.create_service(seed(1));
    deploy(&world, "better");
    seconds(30).await;
    stop(&world);
    assert_eq!(service_deployment(&world)["status"], "ROLLBACK_REQUESTED");
    seconds(3).await;
    assert_eq!(service_deployment(&world)["status"], "ROLLBACK_IN_PROGRESS");
    seconds(90).await;
    let deployment = service_deployment(&world);
    assert_eq!(deployment["status"], "ROLLBACK_SUCCESSFUL");
    assert_eq!(deployment["rollback"]["serviceRevisionArn"], deployment["sourceServiceRevisions"][0]["arn"]);
    assert_eq!(request(&world), (200, "good".to_owned()));
    assert_eq!(service(&world)["deployments"].as_array().map(Vec::len), Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_service_that_lost_its_old_tasks_gets_them_back() {
    let world = world(&[("bad", "world.serves", "exits 1 after 1 s")]);
    world.create_service(ServiceSeed {
        minimum_healthy_percent: 0,
        maximum_percent: 100,
        circuit_breaker: None,
        ..seed(1)
    });
    deploy(&world, "bad");
    seconds(120).await;
    assert_eq!(request(&world).0, 503);
    stop(&world);
    seconds(120).await;
    assert_eq!(service_deployment(&world)["status"], "ROLLBACK_SUCCESSFUL");
    assert_eq!(request(&world), (200, "good".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn with_nothing_to_go_back_to_the_rollback_fails() {
    let world = world(&[]);
    world.create_cluster("default");
    let arn = world.register_task_definition(&definition("good"));
    let network = json!({ "awsvpcConfiguration": { "subnets": ["subnet-1"] } });
    ask(
        &world,
        "CreateService",
        json!({ "serviceName": "auth", "taskDefinition": arn, "desiredCount": 1, "networkConfiguration": network }),
    );
    seconds(5).await;
    stop(&world);
    seconds(5).await;
    let deployment = service_deployment(&world);
    assert_eq!(deployment["status"], "ROLLBACK_FAILED");
    assert_eq!(deployment["statusReason"], "No rollback candidate was found to run the rollback.");
}

#[tokio::test(start_paused = true)]
async fn a_rollback_that_fails_is_said_to_have_failed() {
    let world = world(&[("bad", "world.serves", "exits 1 after 1 s")]);
    world.create_service(ServiceSeed { minimum_healthy_percent: 0, maximum_percent: 100, ..seed(1) });
    deploy(&world, "bad");
    seconds(10).await;
    // Meanwhile the old image is gone, as a lifecycle policy may have it.
    world.push_image(ImageSeed {
        repository: "auth".to_owned(),
        tag: "good".to_owned(),
        labels: vec![("world.serves".to_owned(), "image cannot be pulled".to_owned())],
        ..ImageSeed::default()
    });
    seconds(600).await;
    assert_eq!(service_deployment(&world)["status"], "ROLLBACK_FAILED");
    assert_eq!(service(&world)["deployments"][0]["rolloutState"], "FAILED");
}

#[tokio::test(start_paused = true)]
async fn what_is_over_cannot_be_stopped() {
    let world = world(&[]);
    world.create_service(seed(1));
    let arn = service_deployment(&world)["serviceDeploymentArn"].clone();
    let refusal = |arn: Value, kind: &str| {
        refused(&world, "StopServiceDeployment", json!({ "serviceDeploymentArn": arn, "stopType": kind })).code
    };
    assert_eq!(refusal(arn.clone(), "ROLLBACK"), "ConflictException");
    assert_eq!(refusal(arn, "ABORT"), "InvalidParameterException");
    assert_eq!(
        refusal(json!("arn:aws:ecs:eu-west-1:111122223333:service-deployment/default/auth/x"), "ROLLBACK"),
        "ServiceDeploymentNotFoundException"
    );
}

#[tokio::test(start_paused = true)]
async fn a_task_of_a_service_that_somebody_stops_is_replaced_and_is_no_failure() {
    let world = world(&[]);
    world.create_service(seed(1));
    let task = world.tasks("default")[0].id.clone();
    let stopped = ask(&world, "StopTask", json!({ "task": task, "reason": "a drill" }));
    assert_eq!(stopped["task"]["desiredStatus"], "STOPPED");
    seconds(90).await;
    let tasks = world.tasks("default");
    assert_eq!(
        (tasks[0].stop_code.as_deref(), tasks[0].stopped_reason.as_deref()),
        (Some("UserInitiated"), Some("a drill"))
    );
    assert_eq!(tasks[1].status, "RUNNING");
    assert_eq!(service(&world)["deployments"][0]["failedTasks"], 0);
    assert_eq!(service(&world)["deployments"][0]["rolloutState"], "COMPLETED");
}
