//! A shop on the stage: one cluster, a service that runs, and its images in the registry.

use std::time::Duration;

use serde_json::{Value, json};
use stage::{COMMIT, Ran, Stage};
use world::{Call, CircuitBreaker, ImageSeed, ServiceSeed, ServiceView};

pub(crate) const DELIVERY: &str = r#"
name = "shop"

[environments.staging]
branch = "main"
region = "eu-west-1"
cluster = "shop"
variables = { LOG_LEVEL = "debug" }

[services.auth]
path = "apps/auth"
repository = "shop/auth"
task-definition = "deploy/auth.json"
container = "app"
"#;

/// What a deployment that goes well writes, see [`written`].
pub(crate) const DEPLOYED: [&str; 6] = [
    "lock",
    "ledger: release 1 deploying",
    "register shop-auth:2",
    "update auth to shop-auth:2",
    "ledger: release 1 deployed",
    "unlock",
];

/// The task definition of `auth` with this image.
pub(crate) fn task_definition(image: &str, log_level: &str) -> Value {
    json!({
        "family": "shop-auth",
        "requiresCompatibilities": ["FARGATE"],
        "networkMode": "awsvpc",
        "cpu": "256",
        "memory": "512",
        "executionRoleArn": "arn:aws:iam::111122223333:role/shop-execution",
        "containerDefinitions": [{
            "name": "app",
            "image": image,
            "portMappings": [{ "containerPort": 3001 }],
            "environment": [{ "name": "LOG_LEVEL", "value": log_level }],
            "logConfiguration": {
                "logDriver": "awslogs",
                "options": { "awslogs-group": "/shop/auth", "awslogs-region": "eu-west-1", "awslogs-stream-prefix": "auth" },
            },
        }],
    })
}

/// `auth` runs an older image, with a circuit breaker that rolls back; the commit's image behaves as said.
pub(crate) fn shop(behaviour: &str) -> Stage {
    shop_with(behaviour, Some(CircuitBreaker { rollback: true }))
}

/// The same, with this circuit breaker.
pub(crate) fn shop_with(behaviour: &str, circuit_breaker: Option<CircuitBreaker>) -> Stage {
    shop_of(behaviour, |seed| seed.circuit_breaker = circuit_breaker)
}

/// The same, with a service that is set up differently.
pub(crate) fn shop_of(behaviour: &str, differently: impl FnOnce(&mut ServiceSeed)) -> Stage {
    let stage = checkout();
    settle(&stage, behaviour, differently);
    stage
}

fn settle(stage: &Stage, behaviour: &str, differently: impl FnOnce(&mut ServiceSeed)) {
    push(stage, COMMIT, behaviour);
    let old = push(stage, "old", "serves");
    let mut seed = ServiceSeed {
        cluster: "shop".to_owned(),
        name: "auth".to_owned(),
        task_definition: task_definition(&image(&old), "info"),
        desired_count: 2,
        circuit_breaker: Some(CircuitBreaker { rollback: true }),
        ..ServiceSeed::default()
    };
    differently(&mut seed);
    stage.world.create_service(seed);
}

/// The delivery file and the task definition file, in a world that has nothing yet.
pub(crate) fn checkout() -> Stage {
    let stage = Stage::new();
    stage.file("delivery.toml", DELIVERY);
    stage.file("deploy/auth.json", task_definition("${IMAGE}", "${LOG_LEVEL}").to_string());
    stage
}

pub(crate) fn push(stage: &Stage, tag: &str, behaviour: &str) -> String {
    stage.world.push_image(ImageSeed {
        repository: "shop/auth".to_owned(),
        tag: tag.to_owned(),
        labels: [("world.serves", behaviour), ("org.opencontainers.image.revision", tag)]
            .map(|(label, value)| (label.to_owned(), value.to_owned()))
            .into(),
        ..ImageSeed::default()
    })
}

pub(crate) fn image(digest: &str) -> String {
    format!("111122223333.dkr.ecr.eu-west-1.amazonaws.com/shop/auth@{digest}")
}

pub(crate) async fn deploy(stage: &Stage, inputs: &[(&str, &str)]) -> Ran {
    stage.run(&ecs_deploy::ACTION, ecs_deploy::run, inputs).await
}

/// Asserts the result and the exit code.
#[track_caller]
pub(crate) fn ends(ran: &Ran, result: &str, exit_code: u8) {
    assert_eq!((ran.output("result"), ran.exit_code), (result, exit_code), "{}\n{}", ran.log, ran.summary);
}

/// What a person reads of a run: its log, and the summary of its job.
pub(crate) fn told(ran: &Ran) -> String {
    format!("{}\n{}", ran.log, ran.summary)
}

/// What `auth` runs: the revision, and how many of its tasks.
pub(crate) fn running(stage: &Stage) -> (String, u32) {
    let service = stage.world.service("shop", "auth");
    service.map_or_else(Default::default, |service| (last(&service.task_definition), service.running))
}

/// The service `auth`.
pub(crate) fn auth(stage: &Stage) -> ServiceView {
    stage.world.service("shop", "auth").expect("the service auth")
}

/// What the ledger of `staging` says last.
pub(crate) fn ledger(stage: &Stage) -> Value {
    let text = stage.world.parameter("/delivery/shop/staging/release");
    text.map_or(Value::Null, |text| serde_json::from_str(&text).expect("JSON"))
}

/// Whether somebody holds the lock of `staging`.
pub(crate) fn is_locked(stage: &Stage) -> bool {
    stage.world.parameter("/delivery/shop/staging/lock").is_some()
}

/// Every write that was asked for, in order, as a person would say it. Renewals of the lock are left out: how many there are
/// is a matter of time alone.
pub(crate) fn written(stage: &Stage) -> Vec<String> {
    stage.world.calls().iter().filter(|call| call.is_write()).filter_map(said).collect()
}

fn said(call: &Call) -> Option<String> {
    let asked = |name: &str| call.body[name].as_str().unwrap_or_default().to_owned();
    let is_lock = asked("Name").ends_with("/lock");
    let text = match call.name.as_str() {
        "ecs:RegisterTaskDefinition" => format!(
            "register {}",
            call.answer["taskDefinition"]["taskDefinitionArn"].as_str().map_or_else(|| asked("family"), last)
        ),
        "ecs:UpdateService" => format!("update {}", updated(&call.body)),
        "ecs:CreateService" => format!("create {} with {}", asked("serviceName"), last(&asked("taskDefinition"))),
        "ecs:StopServiceDeployment" => format!(
            "stop the deployment of {} ({})",
            asked("serviceDeploymentArn").rsplit('/').nth(1).unwrap_or_default(),
            asked("stopType")
        ),
        "ssm:PutParameter" if is_lock && call.body["Overwrite"] == true => return None,
        "ssm:PutParameter" if is_lock => "lock".to_owned(),
        "ssm:DeleteParameter" if is_lock => "unlock".to_owned(),
        "ssm:PutParameter" if asked("Name").ends_with("/release") => {
            let entry: Value = serde_json::from_str(&asked("Value")).expect("JSON");
            format!("ledger: release {} {}", entry["r"], entry["s"].as_str().unwrap_or_default())
        }
        name => name.to_owned(),
    };
    Some(if call.status == 200 { text } else { format!("{text}: {}", call.status) })
}

/// The changes that an UpdateService asks for.
fn updated(body: &Value) -> String {
    let mut text = last(body["service"].as_str().unwrap_or_default());
    for (name, value) in body.as_object().into_iter().flatten() {
        match (name.as_str(), value) {
            ("cluster" | "service", _) => {}
            ("taskDefinition", Value::String(arn)) => text += &format!(" to {}", last(arn)),
            (name, value) => text += &format!(", {name} {value}"),
        }
    }
    text
}

/// The last part of an ARN.
pub(crate) fn last(arn: &str) -> String {
    arn.rsplit('/').next().unwrap_or_default().to_owned()
}

/// Lets time pass until something is so.
pub(crate) async fn until(is_so: impl Fn() -> bool) {
    let mut clock = tokio::time::interval(Duration::from_millis(100));
    while !is_so() {
        clock.tick().await;
    }
}

/// Waits until a call of this name was answered.
pub(crate) async fn called(stage: &Stage, name: &str) {
    until(|| stage.world.calls().iter().any(|call| call.name == name)).await;
}
