//! What may be asked of services, and of task definitions that are not there yet.

use super::*;
use crate::calls::Fault;

#[tokio::test(start_paused = true)]
async fn the_configuration_alone_is_no_deployment() {
    let world = world(&[]);
    world.create_service(seed(1));
    let configuration = json!({ "maximumPercent": 150, "bakeTimeInMinutes": 2 });
    ask(&world, "UpdateService", json!({ "service": "auth", "deploymentConfiguration": configuration }));
    seconds(60).await;
    let seen = service(&world);
    assert_eq!(
        (&seen["deploymentConfiguration"]["maximumPercent"], &seen["deploymentConfiguration"]["minimumHealthyPercent"]),
        (&json!(150), &json!(100))
    );
    assert_eq!(world.service("default", "auth").expect("a service").service_deployments, ["SUCCESSFUL"]);
}

#[tokio::test(start_paused = true)]
async fn a_service_is_deleted_once_it_is_scaled_to_nothing_or_by_force() {
    let world = world(&[]);
    world.create_service(seed(1));
    let refusal = refused(&world, "DeleteService", json!({ "service": "auth" }));
    assert_eq!(refusal.message, "The service cannot be stopped while it is scaled above 0.");
    assert_eq!(refused(&world, "DeleteService", json!({ "service": "web" })).code, "ServiceNotFoundException");
    let answer = ask(&world, "DeleteService", json!({ "service": "auth", "force": true }));
    assert_eq!(answer["service"]["status"], "DRAINING");
    let network = json!({ "awsvpcConfiguration": { "subnets": ["subnet-1"] } });
    let again =
        json!({ "serviceName": "auth", "taskDefinition": "auth", "desiredCount": 1, "networkConfiguration": network });
    let refusal = refused(&world, "CreateService", again.clone());
    assert_eq!(refusal.message, "Unable to Start a service that is still Draining.");
    assert_eq!(refused(&world, "UpdateService", json!({ "service": "auth" })).code, "ServiceNotActiveException");
    seconds(60).await;
    assert_eq!(service(&world)["status"], "INACTIVE");
    assert_eq!(refused(&world, "UpdateService", json!({ "service": "auth" })).code, "ServiceNotActiveException");
    ask(&world, "CreateService", again);
    assert_eq!(service(&world)["status"], "ACTIVE");
}

#[tokio::test(start_paused = true)]
async fn a_task_definition_that_is_not_there_is_refused() {
    let world = world(&[]);
    world.create_service(seed(1));
    let refusal = refused(&world, "UpdateService", json!({ "service": "auth", "taskDefinition": "auth:9" }));
    assert_eq!((refusal.code.as_str(), refusal.message.as_str()), ("ClientException", "TaskDefinition not found."));
    let refusal = refused(&world, "DescribeTaskDefinition", json!({ "taskDefinition": "auth:9" }));
    assert_eq!(refusal.message, "Unable to describe task definition.");
}

#[tokio::test(start_paused = true)]
async fn a_new_task_definition_is_found_after_a_while() {
    let world = world(&[]);
    world.create_service(seed(1));
    world.delay_task_definitions(Duration::from_secs(10));
    let arn =
        ask(&world, "RegisterTaskDefinition", definition("better"))["taskDefinition"]["taskDefinitionArn"].clone();
    let update = json!({ "service": "auth", "taskDefinition": arn });
    assert_eq!(refused(&world, "UpdateService", update.clone()).code, "ClientException");
    assert_eq!(refused(&world, "DescribeTaskDefinition", json!({ "taskDefinition": arn })).code, "ClientException");
    let latest = ask(&world, "DescribeTaskDefinition", json!({ "taskDefinition": "auth" }));
    assert_eq!(latest["taskDefinition"]["revision"], 1);
    seconds(10).await;
    ask(&world, "UpdateService", update);
    until(&world, "SUCCESSFUL").await;
    assert_eq!(request(&world), (200, "better".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn another_controller_deploys_by_itself() {
    for kind in ["CODE_DEPLOY", "EXTERNAL"] {
        let world = world(&[]);
        world.create_service(ServiceSeed { controller: kind.to_owned(), ..seed(1) });
        let seen = service(&world);
        assert_eq!((&seen["deploymentController"]["type"], &seen["deployments"]), (&json!(kind), &json!([])));
        assert_eq!(
            (&seen["taskSets"][0]["status"], &seen["taskSets"][0]["runningCount"]),
            (&json!("PRIMARY"), &json!(1))
        );
        assert_eq!(
            ask(&world, "ListServiceDeployments", json!({ "service": "auth" }))["serviceDeployments"],
            json!([])
        );
        let arn = world.register_task_definition(&definition("better"));
        let refusal = refused(&world, "UpdateService", json!({ "service": "auth", "taskDefinition": arn }));
        assert_eq!(
            refusal.message,
            format!("Unable to update task definition on services with a {kind} deployment controller.")
        );
        let force = json!({ "service": "auth", "forceNewDeployment": true });
        assert_eq!(refused(&world, "UpdateService", force).code, "InvalidParameterException");
    }
}

#[tokio::test(start_paused = true)]
async fn a_daemon_has_no_desired_count_to_ask_for() {
    let world = world(&[]);
    world.create_service(ServiceSeed { scheduling: "DAEMON".to_owned(), ..seed(2) });
    let seen = service(&world);
    assert_eq!((&seen["schedulingStrategy"], &seen["runningCount"]), (&json!("DAEMON"), &json!(2)));
    assert_eq!(seen["deploymentConfiguration"]["maximumPercent"], 100);
    let refusal = refused(&world, "UpdateService", json!({ "service": "auth", "desiredCount": 3 }));
    assert!(refusal.message.starts_with("The daemon scheduling strategy does not support a desired count"));
    deploy(&world, "better");
    until(&world, "SUCCESSFUL").await;
    assert_eq!(request(&world), (200, "better".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_service_that_was_just_created_has_no_deployment_that_completed() {
    let world = world(&[("bad", "world.serves", "exits 1 after 1 s")]);
    let bad = ServiceSeed { task_definition: definition("bad"), just_created: true, ..seed(1) };
    world.create_service(bad);
    seconds(600).await;
    deploy(&world, "bad");
    seconds(600).await;
    let deployment = service_deployment(&world);
    assert_eq!(
        (&deployment["status"], &deployment["deploymentCircuitBreaker"]["status"]),
        (&json!("IN_PROGRESS"), &json!("TRIGGERED"))
    );
    deploy(&world, "good");
    until(&world, "SUCCESSFUL").await;
}

#[tokio::test(start_paused = true)]
async fn a_container_that_cannot_be_executed_says_so_itself() {
    async fn check(behaviour: &str, stop_code: &str, stopped: &str, reason: &str, exit_code: Option<i64>) -> World {
        let world = world(&[("bad", "world.serves", behaviour)]);
        world.create_service(seed(1));
        deploy(&world, "bad");
        seconds(36).await;
        let task = world.tasks("default")[1].clone();
        assert_eq!((task.stop_code.as_deref(), task.stopped_reason.as_deref()), (Some(stop_code), Some(stopped)));
        let described =
            ask(&world, "DescribeTasks", json!({ "tasks": [task.id] }))["tasks"][0]["containers"][0].clone();
        assert_eq!(described["exitCode"].as_i64(), exit_code);
        assert!(described["reason"].as_str().unwrap_or_default().starts_with(reason), "{described}");
        world
    }
    let reason = "CannotStartContainerError: failed to create shim task: OCI runtime create failed";
    check("cannot be executed", "TaskFailedToStart", "Task failed to start", reason, None).await;
    let essential = "Essential container in task exited";
    let world = check("has the wrong format", "EssentialContainerExited", essential, "", Some(1)).await;
    let task = world.tasks("default")[1].id.clone();
    assert!(log(&world, &task).contains(&"exec /app: exec format error".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn what_crashes_after_it_was_healthy_passes_the_circuit_breaker() {
    let world = world(&[("bad", "world.serves", "exits 1 after 45 s")]);
    world.create_service(seed(1));
    deploy(&world, "bad");
    until(&world, "SUCCESSFUL").await;
    assert_eq!(service_deployment(&world)["deploymentCircuitBreaker"]["failureCount"], 0);
    let crashed = world.tasks("default").into_iter().filter(|task| task.exit_codes["app"] == Some(1)).count();
    assert!(crashed > 0);
}

#[tokio::test(start_paused = true)]
async fn a_rollback_to_an_image_that_is_gone_fails() {
    let world = world(&[("bad", "world.serves", "exits 1 after 1 s")]);
    world.create_service(ServiceSeed { minimum_healthy_percent: 0, maximum_percent: 100, ..seed(1) });
    deploy(&world, "bad");
    world.delete_image("auth", "good");
    until(&world, "ROLLBACK_FAILED").await;
    let reasons: Vec<String> = world.tasks("default").into_iter().filter_map(|task| task.stopped_reason).collect();
    assert!(reasons.iter().any(|reason| reason.ends_with("auth:good: not found")), "{reasons:?}");
}

#[tokio::test(start_paused = true)]
async fn who_asks_too_often_is_throttled() {
    let world = world(&[]);
    let ask = async |operation: &str| {
        let request = http::Request::post("https://ecs.eu-west-1.amazonaws.com/")
            .header("x-amz-target", format!("AmazonEC2ContainerServiceV20141113.{operation}"))
            .body(bytes::Bytes::from(definition("good").to_string()));
        let response = world.exchange(&request.expect("a request")).await.expect("an answer");
        (response.status().as_u16(), String::from_utf8_lossy(response.body()).contains("Rate exceeded"))
    };
    for _ in 0..20 {
        assert_eq!(ask("RegisterTaskDefinition").await, (200, false));
    }
    assert_eq!(ask("RegisterTaskDefinition").await, (400, true));
    seconds(1).await;
    assert_eq!(ask("RegisterTaskDefinition").await, (200, false));
    world.script("ecs:RegisterTaskDefinition", Fault::Unavailable, 1);
    assert_eq!(ask("RegisterTaskDefinition").await, (503, false), "a fault that was scripted comes first");
    let registered =
        world.with(|state| super::super::task_definitions::find(state, "auth").map(|latest| latest.revision));
    assert_eq!(registered, Some(21));
}
