//! Scenarios, told through the API alone. Time is paused: what takes minutes takes none.

mod alarms;
mod failing;
mod hooks;
mod rolling;
mod run_task;
mod services;
mod shifting;
mod stopping;

use std::time::Duration;

use serde_json::{Value, json};

use crate::ecr::ImageSeed;
use crate::ecs::{CircuitBreaker, ServiceSeed};
use crate::wire::Refusal;
use crate::{World, elb, logs, traffic};

const REGISTRY: &str = "111122223333.dkr.ecr.eu-west-1.amazonaws.com";

/// Asks ECS for something that it must grant.
#[track_caller]
fn ask(world: &World, operation: &str, body: Value) -> Value {
    match world.with(|state| super::answer(state, operation, &body)) {
        Ok(answer) => answer,
        Err(refusal) => panic!("{operation}: {} {}", refusal.code, refusal.message),
    }
}

/// Asks ECS for something that it must refuse.
#[track_caller]
fn refused(world: &World, operation: &str, body: Value) -> Refusal {
    world.with(|state| super::answer(state, operation, &body)).expect_err(operation)
}

async fn seconds(seconds: u64) {
    tokio::time::advance(Duration::from_secs(seconds)).await;
}

/// A world with images of `auth`: `good` and `better` serve, the others do what is said of them.
fn world(images: &[(&str, &str, &str)]) -> World {
    let world = World::new();
    for (tag, label, behaviour) in
        [("good", "world.serves", "serves"), ("better", "world.serves", "serves")].iter().chain(images)
    {
        world.push_image(ImageSeed {
            repository: "auth".to_owned(),
            tag: (*tag).to_owned(),
            labels: vec![((*label).to_owned(), (*behaviour).to_owned())],
            ..ImageSeed::default()
        });
    }
    world
}

fn definition(tag: &str) -> Value {
    json!({
        "family": "auth", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "512",
        "executionRoleArn": "arn:aws:iam::111122223333:role/execution",
        "containerDefinitions": [{
            "name": "app", "image": format!("{REGISTRY}/auth:{tag}"),
            "portMappings": [{ "containerPort": 8080 }],
            "environment": [{ "name": "COMMIT", "value": tag }],
            "healthCheck": { "command": ["CMD", "/app", "health"] },
            "logConfiguration": { "logDriver": "awslogs", "options": {
                "awslogs-group": "/ecs/auth", "awslogs-stream-prefix": "app", "awslogs-region": "eu-west-1",
            } },
        }],
    })
}

fn seed(desired_count: u32) -> ServiceSeed {
    ServiceSeed {
        name: "auth".to_owned(),
        task_definition: definition("good"),
        desired_count,
        circuit_breaker: Some(CircuitBreaker { rollback: true }),
        target_group: Some("auth".to_owned()),
        ..ServiceSeed::default()
    }
}

/// Registers `auth` with this image and updates the service to it.
#[track_caller]
fn deploy(world: &World, tag: &str) -> Value {
    let arn = world.register_task_definition(&definition(tag));
    ask(world, "UpdateService", json!({ "service": "auth", "taskDefinition": arn }))["service"].clone()
}

#[track_caller]
fn service(world: &World) -> Value {
    ask(world, "DescribeServices", json!({ "services": ["auth"] }))["services"][0].clone()
}

/// The latest service deployment.
#[track_caller]
fn service_deployment(world: &World) -> Value {
    let all = ask(world, "ListServiceDeployments", json!({ "service": "auth" }));
    let arns = json!({ "serviceDeploymentArns": [all["serviceDeployments"][0]["serviceDeploymentArn"]] });
    ask(world, "DescribeServiceDeployments", arns)["serviceDeployments"][0].clone()
}

/// Where the latest service deployment is, and how much of the traffic the new revision gets.
#[track_caller]
fn stage(world: &World) -> (String, Option<f64>) {
    let deployment = service_deployment(world);
    let stage = deployment["lifecycleStage"].as_str().or(deployment["status"].as_str()).unwrap_or_default();
    (stage.to_owned(), deployment["targetServiceRevision"]["requestedProductionTrafficWeight"].as_f64())
}

/// Lets time pass until the latest service deployment is in this stage, or has this status.
async fn until(world: &World, wanted: &str) {
    for _ in 0..3600 {
        if stage(world).0 == wanted {
            return;
        }
        seconds(1).await;
    }
    panic!("never {wanted}, but {:?}", stage(world));
}

#[track_caller]
fn says(world: &World, what: &str) -> bool {
    world.service("default", "auth").expect("a service").events.iter().any(|event| event.contains(what))
}

/// The lines of a task's log.
fn log(world: &World, task: &str) -> Vec<String> {
    let request =
        json!({ "logGroupName": "/ecs/auth", "logStreamName": format!("app/app/{task}"), "startFromHead": true });
    let events =
        world.with(|state| logs::answer(state, "GetLogEvents", &request)).map(|answer| answer["events"].clone());
    let events = events.unwrap_or_default();
    events
        .as_array()
        .into_iter()
        .flatten()
        .map(|event| event["message"].as_str().unwrap_or_default().to_owned())
        .collect()
}

/// What DescribeTargetHealth says of the service's target group, as XML.
fn target_health(world: &World) -> String {
    let arn = service(world)["loadBalancers"][0]["targetGroupArn"].as_str().unwrap_or_default().to_owned();
    let parameters = [("TargetGroupArn".to_owned(), arn)].into();
    world.with(|state| elb::answer(state, "DescribeTargetHealth", &parameters)).expect("a target group")
}

/// Status and version of an answer of the service.
fn request(world: &World) -> (u16, String) {
    let request =
        http::Request::builder().uri("/_service/default/auth/health").body(bytes::Bytes::new()).expect("a request");
    let response = world.with(|state| traffic::answer(state, &request));
    let version = response.headers().get("x-version").map(|version| version.to_str().unwrap_or_default().to_owned());
    (response.status().as_u16(), version.unwrap_or_default())
}
