//! A shop on the stage: one cluster, one or more services that run, and their images in the registry.

use serde_json::{Value, json};
use stage::{COMMIT, Ran, Stage};
use world::{CircuitBreaker, ImageSeed, ServiceSeed};

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
    let stage = Stage::new();
    stage.file("delivery.toml", DELIVERY);
    stage.file("deploy/auth.json", task_definition("${IMAGE}", "${LOG_LEVEL}").to_string());
    let old = push(&stage, "old", "serves");
    push(&stage, COMMIT, behaviour);
    stage.world.create_service(ServiceSeed {
        cluster: "shop".to_owned(),
        name: "auth".to_owned(),
        task_definition: task_definition(&image(&old), "info"),
        desired_count: 2,
        circuit_breaker,
        ..ServiceSeed::default()
    });
    stage
}

pub(crate) fn push(stage: &Stage, tag: &str, behaviour: &str) -> String {
    stage.world.push_image(ImageSeed {
        repository: "shop/auth".to_owned(),
        tag: tag.to_owned(),
        labels: [("world.serves".to_owned(), behaviour.to_owned())].into(),
        ..ImageSeed::default()
    })
}

pub(crate) fn image(digest: &str) -> String {
    format!("111122223333.dkr.ecr.eu-west-1.amazonaws.com/shop/auth@{digest}")
}

pub(crate) async fn deploy(stage: &Stage, inputs: &[(&str, &str)]) -> Ran {
    stage.run(&ecs_deploy::ACTION, ecs_deploy::run, inputs).await
}

/// What `auth` runs: the revision, and how many of its tasks.
pub(crate) fn running(stage: &Stage) -> (String, u32) {
    let service = stage.world.service("shop", "auth");
    service.map_or_else(Default::default, |service| {
        (service.task_definition.rsplit('/').next().unwrap_or_default().to_owned(), service.running)
    })
}
