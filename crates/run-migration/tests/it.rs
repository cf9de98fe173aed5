//! Migrations on a simulated account, with time paused: what a person and the next job get to see.

use std::time::Duration;

use insta::assert_snapshot;
use run_migration::{ACTION, run};
use serde_json::{Value, json};
use stage::{COMMIT, Ran, Stage};
use world::{Fault, ImageSeed, ServiceSeed};

const DELIVERY: &str = r#"
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

fn task_definition(service: &str) -> Value {
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
fn add(stage: &Stage, service: &str, runs: &str) {
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

fn stage(runs: &str) -> Stage {
    let stage = Stage::new();
    stage.file("delivery.toml", DELIVERY);
    add(&stage, "auth", runs);
    stage
}

async fn migrate(stage: &Stage, inputs: &[(&str, &str)]) -> Ran {
    let ran = stage.run(&ACTION, run, inputs).await;
    let writes = stage.world.writes();
    let is_expected = |write: &String| ["ecs:RegisterTaskDefinition", "ecs:RunTask"].contains(&write.as_str());
    assert!(writes.iter().all(is_expected), "a migration is registered and started, and never stopped: {writes:?}");
    ran
}

async fn migrate_auth(stage: &Stage) -> Ran {
    migrate(stage, &[("services", "auth")]).await
}

/// How many tasks migrate or have migrated `auth`.
fn migrations(stage: &Stage) -> usize {
    stage.world.tasks("shop").iter().filter(|task| task.group == "family:shop-auth-migration").count()
}

fn ending(ran: &Ran) -> (u8, &str, &str, &str) {
    (ran.exit_code, ran.output("result"), ran.output("class"), ran.output("exit-code"))
}

/// The text without what is a new one in every change of the world's sequence: task ids and digests.
fn stable(text: &str) -> String {
    let is_id = |word: &&str| word.len() >= 32 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut stable = text.replace(COMMIT, "COMMIT");
    let words: Vec<String> =
        stable.split(|character: char| !character.is_ascii_alphanumeric()).filter(is_id).map(str::to_owned).collect();
    for word in words {
        stable = stable.replace(&word, if word.len() == 64 { "DIGEST" } else { "TASK" });
    }
    stable
}

#[tokio::test(start_paused = true)]
async fn a_migration_runs_from_the_services_network_and_the_commits_image() {
    let stage = stage("exits 0 after 4 s: 2 migrations found | Applying 20260105_add_email | All migrations applied.");
    let ran = migrate_auth(&stage).await;
    assert_eq!(ending(&ran), (0, "applied", "success", "0"));
    assert_eq!(stage.world.writes(), ["ecs:RegisterTaskDefinition", "ecs:RunTask"]);
    assert_snapshot!(stable(&ran.log));
    assert_snapshot!(stable(&ran.summary));

    let calls = stage.world.calls();
    let request = &calls.iter().find(|call| call.name == "ecs:RunTask").unwrap().body;
    let network = &request["networkConfiguration"]["awsvpcConfiguration"];
    assert_eq!(
        *network,
        json!({
            "subnets": ["subnet-0a1b2c3d4e5f60718"],
            "securityGroups": ["sg-0a1b2c3d4e5f60718"],
            "assignPublicIp": "DISABLED",
        })
    );
    assert_eq!(request["launchType"], "FARGATE");
    assert_eq!(
        request["overrides"],
        json!({ "containerOverrides": [{ "name": "app", "command": ["npx", "prisma", "migrate", "deploy"] }] })
    );
    let task = stage.world.tasks("shop").pop().unwrap();
    let digest = stage.world.image_digest("shop/auth", COMMIT).unwrap();
    assert_eq!(task.containers[0]["image"], format!("111122223333.dkr.ecr.eu-west-1.amazonaws.com/shop/auth@{digest}"));
    assert_eq!(task.group, "family:shop-auth-migration");
}

#[tokio::test(start_paused = true)]
async fn a_failed_migration_is_a_failure_with_its_last_lines_and_the_way_out() {
    let stage = stage(
        "exits 1 after 2 s: Error: P3018 | A migration failed to apply. | Migration name: 20260105_add_email | column \"email\" already exists",
    );
    let ran = migrate_auth(&stage).await;
    assert_eq!(ending(&ran), (1, "failed", "app-exit", "1"));
    assert_eq!(stage.world.writes(), ["ecs:RegisterTaskDefinition", "ecs:RunTask"]);
    assert_snapshot!(ran.annotations().join("\n"));
    assert_snapshot!(stable(&ran.summary));
}

#[tokio::test(start_paused = true)]
async fn every_way_to_fail_has_its_class() {
    for (runs, expected) in [
        ("runs out of memory after 2 s", (1, "failed", "out-of-memory", "137")),
        ("exits 137 after 2 s", (1, "failed", "killed", "137")),
        ("exits 3 after 2 s", (1, "failed", "app-exit", "3")),
        ("image cannot be pulled", (1, "failed", "image-pull", "")),
        ("secret cannot be fetched", (1, "failed", "secret-fetch", "")),
        ("no capacity", (1, "failed", "capacity", "")),
    ] {
        let stage = stage(runs);
        let ran = migrate_auth(&stage).await;
        assert_eq!(ending(&ran), expected, "{runs}\n{}", ran.log);
        assert_eq!(ran.annotations().len(), 1, "{runs}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_rerun_takes_the_first_runs_success_for_its_own() {
    let mut stage = stage("exits 0 after 2 s: applied");
    assert_eq!(ending(&migrate_auth(&stage).await), (0, "applied", "success", "0"));
    stage.set("GITHUB_RUN_ATTEMPT", "2");
    let again = migrate_auth(&stage).await;
    assert_eq!(ending(&again), (0, "applied", "success", "0"));
    assert!(again.log.contains("which this run started before"), "{}", again.log);
    assert_eq!(stage.world.writes(), ["ecs:RegisterTaskDefinition", "ecs:RunTask"]);
}

#[tokio::test(start_paused = true)]
async fn another_run_migrates_anew_from_the_same_revision() {
    let mut stage = stage("exits 0 after 2 s");
    assert_eq!(ending(&migrate_auth(&stage).await), (0, "applied", "success", "0"));
    stage.set("GITHUB_RUN_ID", "8");
    assert_eq!(ending(&migrate_auth(&stage).await), (0, "applied", "success", "0"));
    assert_eq!(stage.world.writes(), ["ecs:RegisterTaskDefinition", "ecs:RunTask", "ecs:RunTask"]);
}

#[tokio::test(start_paused = true)]
async fn a_rerun_after_a_failure_starts_a_new_task() {
    let mut stage = stage("exits 1 after 2 s");
    assert_eq!(ending(&migrate_auth(&stage).await), (1, "failed", "app-exit", "1"));
    stage.set("GITHUB_RUN_ATTEMPT", "2");
    assert_eq!(ending(&migrate_auth(&stage).await), (1, "failed", "app-exit", "1"));
    assert_eq!(stage.world.writes(), ["ecs:RegisterTaskDefinition", "ecs:RunTask", "ecs:RunTask"]);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_end_in_time_is_unknown_and_followed_by_the_rerun() {
    let stage = stage("exits 0 after 600 s: still at it | done");
    let ran = migrate(&stage, &[("services", "auth"), ("timeout", "5m")]).await;
    assert_eq!(ending(&ran), (1, "unknown", "timed-out", ""));
    assert_snapshot!(stable(&ran.summary));
    let again = migrate(&stage, &[("services", "auth"), ("timeout", "15m")]).await;
    assert_eq!(ending(&again), (0, "applied", "success", "0"));
    assert!(again.log.contains("auth | done"), "{}", again.log);
    assert_eq!(stage.world.writes(), ["ecs:RegisterTaskDefinition", "ecs:RunTask"]);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_run_leaves_the_task_alone_and_says_so() {
    let stage = stage("exits 0 after 600 s: at it");
    let is_running = || {
        stage
            .world
            .tasks("shop")
            .pop()
            .is_some_and(|task| task.group == "family:shop-auth-migration" && task.status == "RUNNING")
    };
    let (ran, ()) = tokio::join!(migrate_auth(&stage), async {
        while !is_running() {
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        stage.stopper.raise();
    });
    assert_eq!(ending(&ran), (130, "unknown", "cancelled", ""));
    assert_snapshot!(stable(&ran.annotations().join("\n")));
    assert_eq!(stage.world.writes(), ["ecs:RegisterTaskDefinition", "ecs:RunTask"]);
    assert_eq!(stage.world.tasks("shop").pop().unwrap().status, "RUNNING");
}

#[tokio::test(start_paused = true)]
async fn a_migration_of_another_run_is_not_joined_by_a_second_one() {
    let mut stage = stage("exits 0 after 600 s");
    assert_eq!(migrate(&stage, &[("services", "auth"), ("timeout", "1m")]).await.output("result"), "unknown");
    stage.set("GITHUB_RUN_ID", "8");
    let ran = migrate_auth(&stage).await;
    assert_eq!(ending(&ran), (1, "failed", "already-running", ""));
    assert_eq!(stage.world.writes(), ["ecs:RegisterTaskDefinition", "ecs:RunTask"]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_lost_starts_no_second_task() {
    let stage = stage("exits 0 after 2 s");
    stage.world.script("ecs:RunTask", Fault::AnswerLost, 1);
    let ran = migrate_auth(&stage).await;
    assert_eq!(ending(&ran), (0, "applied", "success", "0"));
    assert_eq!(migrations(&stage), 1);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_nobody_answered_for_is_found_and_followed() {
    let stage = stage("exits 0 after 2 s");
    stage.world.script("ecs:RunTask", Fault::AnswerLost, 5);
    assert_eq!(ending(&migrate_auth(&stage).await), (0, "applied", "success", "0"));
    assert_eq!(migrations(&stage), 1);
}

#[tokio::test(start_paused = true)]
async fn whether_a_task_was_started_is_not_guessed() {
    let stage = stage("exits 0 after 2 s");
    stage.world.script("ecs:RunTask", Fault::Unavailable, 5);
    let ran = migrate_auth(&stage).await;
    assert_eq!(ending(&ran), (1, "unknown", "lost", ""));
    assert_eq!(migrations(&stage), 0);
}

#[tokio::test(start_paused = true)]
async fn what_the_role_may_not_start_leaves_the_database_alone() {
    let stage = stage("exits 0 after 2 s");
    stage.world.script("ecs:RunTask", Fault::Denied, 1);
    let ran = migrate_auth(&stage).await;
    assert_eq!(ending(&ran), (1, "failed", "refused", ""));
    assert_snapshot!(ran.annotations().join("\n"));
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_the_api_is_waited_out() {
    let stage = stage("exits 0 after 20 s");
    stage.world.script("ecs:DescribeTasks", Fault::Unavailable, 12);
    assert_eq!(ending(&migrate_auth(&stage).await), (0, "applied", "success", "0"));
}

#[tokio::test(start_paused = true)]
async fn logs_that_may_not_be_read_decide_nothing() {
    let stage = stage("exits 0 after 2 s: applied");
    stage.world.script("logs:GetLogEvents", Fault::Denied, 100);
    let ran = migrate_auth(&stage).await;
    assert_eq!(ending(&ran), (0, "applied", "success", "0"));
    assert!(ran.summary.contains("AccessDeniedException"), "{}", ran.summary);
}

#[tokio::test(start_paused = true)]
async fn several_services_migrate_side_by_side_and_the_worst_decides() {
    let stage = stage("exits 0 after 10 s: applied");
    add(&stage, "orders", "exits 1 after 5 s: relation \"orders\" does not exist");
    let ran = migrate(&stage, &[]).await;
    assert_eq!(ending(&ran), (1, "failed", "app-exit", "1"));
    assert_snapshot!(stable(&ran.log));
    assert_snapshot!(stable(&ran.summary));
}

#[tokio::test(start_paused = true)]
async fn a_service_without_a_migration_is_skipped() {
    let stage = stage("exits 0 after 2 s");
    let ran = migrate(&stage, &[("services", "web")]).await;
    assert_eq!(ending(&ran), (0, "skipped", "skipped", ""));
    assert_snapshot!(ran.summary);
    assert_eq!(stage.world.calls().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn where_nothing_is_affected_nothing_is_migrated() {
    let stage = stage("exits 0 after 2 s");
    let ran = migrate(&stage, &[("services", "[]")]).await;
    assert_eq!(ending(&ran), (0, "skipped", "skipped", ""));
    assert_snapshot!(ran.summary);
    assert_eq!(stage.world.calls().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_says_what_it_would_do_and_does_nothing() {
    let stage = stage("exits 0 after 2 s");
    let ran = migrate(&stage, &[("services", "auth"), ("dry-run", "true"), ("assign-public-ip", "true")]).await;
    assert_eq!(ending(&ran), (0, "planned", "planned", ""));
    assert_snapshot!(stable(&ran.summary));
    assert!(stage.world.writes().is_empty());
}

#[tokio::test(start_paused = true)]
async fn it_works_without_a_delivery_file() {
    let stage = stage("exits 0 after 2 s");
    std::fs::remove_file(stage.workspace().join("delivery.toml")).unwrap();
    let digest = stage.world.image_digest("shop/auth", COMMIT).unwrap();
    let image = format!("111122223333.dkr.ecr.eu-west-1.amazonaws.com/shop/auth@{digest}");
    let inputs =
        [("cluster", "shop"), ("service", "auth"), ("command", "npx prisma migrate deploy"), ("image", &image)];
    let ran = migrate(&stage, &inputs).await;
    assert_eq!(ending(&ran), (0, "applied", "success", "0"), "{}", ran.log);
}

#[tokio::test(start_paused = true)]
async fn a_revision_that_is_named_is_run_as_it_is() {
    let stage = stage("exits 0 after 2 s");
    let mut definition = task_definition("seeder");
    definition["containerDefinitions"][0]["command"] = json!(["npm", "run", "seed"]);
    let revision = stage.world.register_task_definition(&definition);
    let ran =
        migrate(&stage, &[("services", "auth"), ("task-definition", &revision), ("command", "npm run other")]).await;
    assert_eq!(ending(&ran), (0, "applied", "success", "0"), "{}", ran.log);
    assert_eq!(stage.world.writes(), ["ecs:RunTask"]);
    assert_eq!(stage.world.tasks("shop").pop().unwrap().task_definition, revision);
}

#[tokio::test(start_paused = true)]
async fn bad_input_changes_nothing_and_says_what_to_do() {
    let told = async |inputs: &[(&str, &str)]| {
        let stage = stage("exits 0 after 2 s");
        stage.file("broken.json", "{ \"family\": ");
        let ran = migrate(&stage, inputs).await;
        assert!(stage.world.writes().is_empty());
        assert_eq!((ran.output("result"), ran.annotations().len()), ("failed", 1), "{inputs:?}\n{}", ran.log);
        format!("{}: {}\n", ran.exit_code, ran.annotations().join("\n"))
    };
    let mut all = String::new();
    for inputs in [
        &[("command", "a && b"), ("subnets", "private"), ("image", "shop/auth:latest"), ("assign-public-ip", "yes")][..],
        &[("command", "npm run migrate")],
        &[("services", "auth"), ("image", "shop/auth:latest")],
        &[("services", "auth"), ("container", "web")],
        &[("services", "auth"), ("service", "authentication")],
        &[("services", "auth"), ("task-definition", "missing.json")],
        &[("services", "auth"), ("task-definition", "broken.json")],
        &[("services", "auth"), ("commit", "ffffffffffffffffffffffffffffffffffffffff")],
        &[("services", "auth"), ("cluster", "shop-eu")],
    ] {
        all += &told(inputs).await;
    }
    assert_snapshot!(all);
}
