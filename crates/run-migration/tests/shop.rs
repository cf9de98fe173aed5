//! A shop with two databases and a site: its world, its checkout and what was left behind.

use run_migration::{ACTION, post, run};
use serde_json::{Value, json};
use stage::{COMMIT, Ran, Stage};
pub(crate) use stage::{commit, git};
use world::{ImageSeed, ServiceSeed};

pub(crate) const DELIVERY: &str = r#"
name = "shop"

[environments.production]
branch = "main"
cluster = "shop"

[services.auth]
path = "apps/auth"
repository = "shop/auth"
container = "app"
migration = { command = ["npx", "prisma", "migrate", "deploy"] }

[services.orders]
path = "apps/orders"
repository = "shop/orders"
container = "app"
migration = { command = ["npx", "prisma", "migrate", "deploy"] }

[services.web]
path = "apps/web"
repository = "shop/web"
container = "app"
"#;

pub(crate) fn task_definition(service: &str) -> Value {
    json!({
        "family": format!("shop-{service}"),
        "networkMode": "awsvpc",
        "cpu": "256",
        "memory": "512",
        "requiresCompatibilities": ["FARGATE"],
        "executionRoleArn": "arn:aws:iam::111122223333:role/execution",
        "containerDefinitions": [{
            "name": "app",
            "image": "public.ecr.aws/shop/placeholder:1",
            "essential": true,
            "portMappings": [{ "containerPort": 3001 }],
            "logConfiguration": {
                "logDriver": "awslogs",
                "options": { "awslogs-group": format!("/ecs/{service}"), "awslogs-region": "eu-west-1", "awslogs-stream-prefix": "app" },
            },
        }],
    })
}

/// A service that runs, and an image of the commit whose migration does this.
pub(crate) fn add(stage: &Stage, service: &str, runs: &str) {
    stage.world.create_service(ServiceSeed {
        cluster: "shop".into(),
        name: service.into(),
        task_definition: task_definition(service),
        ..ServiceSeed::default()
    });
    stage.world.push_image(ImageSeed {
        repository: format!("shop/{service}"),
        tag: COMMIT.into(),
        labels: vec![("world.runs".into(), runs.into())],
        ..ImageSeed::default()
    });
}

pub(crate) fn stage(runs: &str) -> Stage {
    let stage = Stage::new();
    stage.file("delivery.toml", DELIVERY);
    add(&stage, "auth", runs);
    stage
}

pub(crate) async fn migrate(stage: &Stage, inputs: &[(&str, &str)]) -> Ran {
    let ran = stage.run(&ACTION, run, inputs).await;
    let writes = stage.world.writes();
    let is_expected =
        |write: &String| ["ecs:RegisterTaskDefinition", "ecs:RunTask", "ssm:PutParameter"].contains(&write.as_str());
    assert!(writes.iter().all(is_expected), "a migration is registered and started, and never stopped: {writes:?}");
    ran
}

/// Runs the action with whatever writes.
pub(crate) async fn act(stage: &Stage, inputs: &[(&str, &str)]) -> Ran {
    stage.run(&ACTION, run, inputs).await
}

pub(crate) async fn run_post(stage: &Stage) -> Ran {
    stage.run_post(&ACTION, post).await
}

/// What was asked of ECS, and of nobody else, to be changed.
pub(crate) fn ecs_writes(stage: &Stage) -> Vec<String> {
    stage.world.writes().into_iter().filter(|write| write.starts_with("ecs:")).collect()
}

pub(crate) async fn migrate_auth(stage: &Stage) -> Ran {
    migrate(stage, &[("services", "auth")]).await
}

/// How many tasks migrate or have migrated `auth`.
pub(crate) fn migrations(stage: &Stage) -> usize {
    stage.world.tasks("shop").iter().filter(|task| task.group == "family:shop-auth-migration").count()
}

pub(crate) fn ending(ran: &Ran) -> (u8, &str, &str, &str) {
    (ran.exit_code, ran.output("result"), ran.output("class"), ran.output("exit-code"))
}

/// The text without what is a new one in every change of the world's sequence: task ids and digests.
pub(crate) fn stable(text: &str) -> String {
    let is_id = |word: &&str| word.len() >= 32 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut stable = text.replace(COMMIT, "COMMIT");
    let words: Vec<String> =
        stable.split(|character: char| !character.is_ascii_alphanumeric()).filter(is_id).map(str::to_owned).collect();
    for word in words {
        stable = stable.replace(&word, if word.len() == 64 { "DIGEST" } else { "TASK" });
    }
    stable
}
