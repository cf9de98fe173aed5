//! What a migration does, and how it ends.

use insta::assert_snapshot;
use serde_json::json;
use stage::COMMIT;
use world::Fault;

use crate::shop::{add, ecs_writes, ending, migrate, migrate_auth, stable, stage, task_definition};

#[tokio::test(start_paused = true)]
async fn a_migration_runs_from_the_services_network_and_the_commits_image() {
    let stage = stage("exits 0 after 4 s: 2 migrations found | Applying 20260105_add_email | All migrations applied.");
    let ran = migrate_auth(&stage).await;
    assert_eq!(ending(&ran), (0, "applied", "success", "0"));
    assert_eq!(ecs_writes(&stage), ["ecs:RegisterTaskDefinition", "ecs:RunTask"]);
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
    assert_eq!(ecs_writes(&stage), ["ecs:RegisterTaskDefinition", "ecs:RunTask"]);
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
    assert_eq!(ecs_writes(&stage), ["ecs:RunTask"]);
    assert_eq!(stage.world.tasks("shop").pop().unwrap().task_definition, revision);
}
