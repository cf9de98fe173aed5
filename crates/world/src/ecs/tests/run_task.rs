//! Tasks of their own.

use super::*;

fn world_that_runs(behaviour: &str) -> World {
    let world = world(&[("job", "world.runs", behaviour)]);
    world.create_cluster("default");
    world.register_task_definition(&definition("job"));
    world
}

fn run_task(overrides: Value) -> Value {
    json!({
        "taskDefinition": "auth", "launchType": "FARGATE", "startedBy": "release-7", "overrides": overrides,
        "networkConfiguration": { "awsvpcConfiguration": { "subnets": ["subnet-1"] } },
    })
}

/// Runs a task to its end and describes it.
async fn run(world: &World) -> Value {
    let launched = ask(world, "RunTask", run_task(json!({})));
    assert_eq!(launched["tasks"][0]["lastStatus"], "PROVISIONING");
    seconds(120).await;
    ask(world, "DescribeTasks", json!({ "tasks": [launched["tasks"][0]["taskArn"]] }))["tasks"][0].clone()
}

#[tokio::test(start_paused = true)]
async fn every_end_is_told() {
    async fn check(behaviour: &str, stop_code: &str, exit_code: Option<i64>, reason: &str) {
        let task = run(&world_that_runs(behaviour)).await;
        assert_eq!(
            (task["lastStatus"].as_str(), task["stopCode"].as_str()),
            (Some("STOPPED"), Some(stop_code)),
            "{behaviour}"
        );
        assert_eq!(task["containers"][0]["exitCode"].as_i64(), exit_code, "{behaviour}");
        let told = format!("{} {}", task["stoppedReason"], task["containers"][0]["reason"]);
        assert!(told.contains(reason), "{behaviour}: {told}");
        assert_eq!(task["startedBy"], "release-7");
    }
    check("exits 0 after 5 s", "EssentialContainerExited", Some(0), "Essential container in task exited").await;
    check("exits 1 after 5 s", "EssentialContainerExited", Some(1), "Essential container in task exited").await;
    check("runs out of memory after 5 s", "EssentialContainerExited", Some(137), "OutOfMemoryError").await;
    check("image cannot be pulled", "TaskFailedToStart", None, "CannotPullContainerError").await;
    check("secret cannot be fetched", "TaskFailedToStart", None, "ResourceInitializationError").await;
}

#[tokio::test(start_paused = true)]
async fn what_it_says_is_in_its_log_by_and_by() {
    let world = world_that_runs("exits 1 after 10 s: applying 1 | applying 2");
    let id = ask(&world, "RunTask", run_task(json!({})))["tasks"][0]["taskArn"].clone();
    let id = id.as_str().and_then(|arn| arn.rsplit('/').next()).unwrap_or_default().to_owned();
    seconds(26).await;
    assert_eq!(log(&world, &id), ["applying 1"]);
    seconds(5).await;
    assert_eq!(log(&world, &id), ["applying 1", "applying 2"]);
}

#[tokio::test(start_paused = true)]
async fn without_capacity_it_fails_without_an_error() {
    let world = world_that_runs("no capacity");
    let answer = ask(&world, "RunTask", run_task(json!({})));
    assert_eq!(answer["tasks"], json!([]));
    assert!(
        answer["failures"][0]["reason"].as_str().is_some_and(|reason| reason.starts_with("Capacity is unavailable"))
    );
}

#[tokio::test(start_paused = true)]
async fn refuses_what_ecs_refuses() {
    let world = world_that_runs("exits 0 after 1 s");
    let check = |change: Value, code: &str, says: &str| {
        let mut body = run_task(json!({}));
        for (member, value) in change.as_object().expect("members") {
            body[member] = value.clone();
        }
        let refusal = refused(&world, "RunTask", body);
        assert_eq!(refusal.code, code);
        assert!(refusal.message.contains(says), "{}", refusal.message);
    };
    check(json!({ "taskDefinition": "web" }), "ClientException", "TaskDefinition not found.");
    check(json!({ "cluster": "nowhere" }), "ClusterNotFoundException", "Cluster not found.");
    check(
        json!({ "networkConfiguration": null }),
        "InvalidParameterException",
        "Network Configuration must be provided",
    );
    let stranger = json!({ "containerOverrides": [{ "name": "web" }] });
    check(json!({ "overrides": stranger }), "InvalidParameterException", "Override for container named web");
}

#[tokio::test(start_paused = true)]
async fn overrides_replace_the_command_and_join_the_environment() {
    let world = world_that_runs("exits 0 after 1 s");
    let overrides = json!({ "containerOverrides": [{
        "name": "app", "command": ["migrate"], "environment": [{ "name": "COMMIT", "value": "x" }, { "name": "MODE", "value": "y" }],
    }] });
    ask(&world, "RunTask", run_task(overrides.clone()));
    let container = world.tasks("default")[0].containers[0].clone();
    assert_eq!(container["command"], json!(["migrate"]));
    assert_eq!(container["environment"], overrides["containerOverrides"][0]["environment"]);
}

#[tokio::test(start_paused = true)]
async fn the_same_client_token_launches_nothing_twice() {
    let world = world_that_runs("exits 0 after 1 s");
    let mut body = run_task(json!({}));
    body["clientToken"] = json!("release-7-migration");
    let first = ask(&world, "RunTask", body.clone());
    seconds(60).await;
    let second = ask(&world, "RunTask", body.clone());
    assert_eq!(first["tasks"][0]["taskArn"], second["tasks"][0]["taskArn"]);
    assert_eq!(second["tasks"][0]["lastStatus"], "STOPPED");
    body["count"] = json!(2);
    assert_eq!(refused(&world, "RunTask", body).code, "ConflictException");
}

#[tokio::test(start_paused = true)]
async fn stops_when_it_is_told_to() {
    let world = world_that_runs("exits 0 after 600 s");
    let arn = ask(&world, "RunTask", run_task(json!({})))["tasks"][0]["taskArn"].clone();
    seconds(60).await;
    ask(&world, "StopTask", json!({ "task": arn }));
    seconds(60).await;
    let task = world.tasks("default")[0].clone();
    assert_eq!((task.stop_code.as_deref(), task.exit_codes["app"]), (Some("UserInitiated"), Some(143)));
    let missing = refused(&world, "StopTask", json!({ "task": "0123" }));
    assert_eq!(
        (missing.code.as_str(), missing.message.as_str()),
        ("InvalidParameterException", "The referenced task was not found.")
    );
}

#[tokio::test(start_paused = true)]
async fn only_the_end_of_an_essential_container_is_the_end_of_the_task() {
    let world = world(&[("job", "world.runs", "exits 0 after 60 s"), ("sidecar", "world.runs", "exits 9 after 1 s")]);
    world.create_cluster("default");
    let mut definition = definition("job");
    let sidecar = json!({ "name": "sidecar", "image": format!("{REGISTRY}/auth:sidecar"), "essential": false });
    definition["containerDefinitions"].as_array_mut().expect("containers").push(sidecar);
    world.register_task_definition(&definition);
    ask(&world, "RunTask", run_task(json!({})));
    seconds(40).await;
    let task = world.tasks("default")[0].clone();
    assert_eq!((task.status.as_str(), task.exit_codes["sidecar"], task.exit_codes["app"]), ("RUNNING", Some(9), None));
    seconds(60).await;
    let task = world.tasks("default")[0].clone();
    assert_eq!((task.status.as_str(), task.exit_codes["app"]), ("STOPPED", Some(0)));
}

#[tokio::test(start_paused = true)]
async fn an_essential_sidecar_does_not_end_the_job() {
    let world = world_that_runs("exits 0 after 60 s");
    let mut definition = definition("job");
    let sidecar = json!({ "name": "agent", "image": "public.ecr.aws/x/agent:1" });
    definition["containerDefinitions"].as_array_mut().expect("containers").push(sidecar);
    world.register_task_definition(&definition);
    let task = run(&world).await;
    let exit_codes = world.tasks("default")[0].exit_codes.clone();
    assert_eq!(task["containers"][1]["name"], "agent");
    assert_eq!((exit_codes["app"], exit_codes["agent"]), (Some(0), Some(0)));
    let lasted = |end: &str, start: &str| task[end].as_f64().unwrap_or(0.0) - task[start].as_f64().unwrap_or(0.0);
    assert!(lasted("executionStoppedAt", "startedAt") >= 60.0, "{task}");
}

#[tokio::test(start_paused = true)]
async fn lists_tasks_by_what_is_asked() {
    let world = world_that_runs("exits 0 after 1 s");
    world.create_service(seed(2));
    ask(&world, "RunTask", run_task(json!({})));
    let count = |body: Value| ask(&world, "ListTasks", body)["taskArns"].as_array().map_or(0, Vec::len);
    assert_eq!(count(json!({})), 3);
    assert_eq!(count(json!({ "serviceName": "auth" })), 2);
    assert_eq!(count(json!({ "startedBy": "release-7" })), 1);
    assert_eq!(count(json!({ "desiredStatus": "PENDING" })), 0);
    seconds(60).await;
    assert_eq!(count(json!({ "family": "auth", "desiredStatus": "STOPPED" })), 1);
    assert_eq!(
        refused(&world, "ListTasks", json!({ "startedBy": "release-7", "family": "auth" })).code,
        "InvalidParameterException"
    );
    assert_eq!(refused(&world, "ListTasks", json!({ "serviceName": "web" })).code, "ServiceNotFoundException");
    let answer = ask(&world, "DescribeTasks", json!({ "tasks": ["0123"] }));
    assert_eq!(answer["failures"][0]["reason"], "MISSING");
}
