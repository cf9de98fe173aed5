//! Deployments that get there, and what a person reads of them.

use std::time::Duration;

use insta::assert_snapshot;
use stage::{COMMIT, Stage};
use tokio::time::Instant;
use world::Fault;

use crate::shop::{
    DELIVERY, DEPLOYED, auth, called, deploy, ends, image, is_locked, ledger, push, running, shop, shop_of,
    task_definition, told, written,
};

/// When a world's calendar begins, in seconds since the epoch.
const WORLD_BEGINS: f64 = 1_767_603_600.0;

#[tokio::test(start_paused = true)]
async fn a_good_version_is_deployed_by_digest() {
    let stage = shop("serves");
    let ran = deploy(&stage, &[]).await;
    ends(&ran, "deployed", 0);
    assert_eq!(written(&stage), DEPLOYED);
    assert_eq!(running(&stage), ("shop-auth:2".to_owned(), 2));
    assert!(auth(&stage).images.iter().all(|image| image.contains("@sha256:")), "{:?}", auth(&stage).images);
    assert_eq!(auth(&stage).service_deployments, ["SUCCESSFUL", "SUCCESSFUL"]);
    assert_snapshot!(told(&ran));
    assert_eq!(ran.output("services"), r#"{"auth":"deployed"}"#);
    assert_eq!(ran.output("release"), "1");
    assert!(ran.output("task-definitions").ends_with(r#"task-definition/shop-auth:2"}"#));
}

#[tokio::test(start_paused = true)]
async fn the_job_ends_within_two_seconds_of_the_deployment() {
    let stage = shop("serves");
    let started = Instant::now();
    deploy(&stage, &[]).await;
    let took = started.elapsed();
    let finished =
        stage.world.calls().iter().rev().find_map(|call| {
            call.answer.pointer("/serviceDeployments/0/finishedAt").and_then(serde_json::Value::as_f64)
        });
    let finished = finished.expect("a finished deployment") - WORLD_BEGINS;
    assert!(took.as_secs_f64() <= finished + 2.0, "the job took {took:?}, the deployment {finished} s");
}

#[tokio::test(start_paused = true)]
async fn exactly_one_update_with_nothing_but_what_changes() {
    let stage = shop("serves");
    deploy(&stage, &[]).await;
    let calls = stage.world.calls();
    let updates: Vec<_> = calls.iter().filter(|call| call.name == "ecs:UpdateService").collect();
    assert_eq!(updates.len(), 1);
    let body = updates[0].body.as_object().expect("an object");
    assert_eq!(body.keys().collect::<Vec<_>>(), ["cluster", "service", "taskDefinition"]);
    assert!(body["taskDefinition"].as_str().is_some_and(|arn| arn.starts_with("arn:aws:ecs:")), "{body:?}");
}

#[tokio::test(start_paused = true)]
async fn what_runs_already_is_left_alone() {
    let stage = shop("serves");
    deploy(&stage, &[]).await;
    let ran = deploy(&stage, &[]).await;
    ends(&ran, "unchanged", 0);
    assert_eq!(written(&stage), DEPLOYED, "the second run wrote nothing");
    assert_eq!(ledger(&stage)["r"], 1);
    assert_snapshot!(told(&ran));
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_prints_the_plan_and_touches_nothing() {
    let stage = shop("serves");
    let ran = deploy(&stage, &[("dry-run", "true")]).await;
    ends(&ran, "planned", 0);
    assert!(written(&stage).is_empty());
    assert_snapshot!(told(&ran));
}

#[tokio::test(start_paused = true)]
async fn forced_the_same_version_is_deployed_again_and_not_registered_again() {
    let stage = shop("serves");
    deploy(&stage, &[]).await;
    let ran = deploy(&stage, &[("force", "true")]).await;
    ends(&ran, "deployed", 0);
    assert_eq!(
        written(&stage)[DEPLOYED.len()..],
        [
            "lock",
            "ledger: release 2 deploying",
            "update auth to shop-auth:2, forceNewDeployment true",
            "ledger: release 2 deployed",
            "unlock"
        ]
    );
    assert_eq!(auth(&stage).service_deployments.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_forced_deployment_of_the_same_version_that_is_rolled_back_is_a_failure() {
    // What "the service is stable, and runs what it should" would call a success.
    let stage = shop_of("serves", |seed| {
        seed.task_definition["containerDefinitions"][0]["image"] =
            serde_json::json!("111122223333.dkr.ecr.eu-west-1.amazonaws.com/shop/auth:old");
    });
    push(&stage, "old", "exits 1 after 1 s: no such table");
    let ran = deploy(&stage, &[("task-definition", "shop-auth:1"), ("force", "true")]).await;
    ends(&ran, "rolled-back", 1);
    assert_eq!(auth(&stage).service_deployments, ["ROLLBACK_SUCCESSFUL", "SUCCESSFUL"]);
    assert_eq!(running(&stage), ("shop-auth:1".to_owned(), 2));
    assert_snapshot!(told(&ran));
}

#[tokio::test(start_paused = true)]
async fn a_task_definition_that_exists_is_deployed_without_registering_any() {
    let stage = shop("serves");
    deploy(&stage, &[]).await;
    let ran = deploy(&stage, &[("task-definition", "shop-auth:1")]).await;
    ends(&ran, "deployed", 0);
    assert_eq!(
        written(&stage)[DEPLOYED.len()..],
        ["lock", "ledger: release 2 deploying", "update auth to shop-auth:1", "ledger: release 2 deployed", "unlock"]
    );
    assert_eq!(running(&stage), ("shop-auth:1".to_owned(), 2));
    assert_snapshot!(told(&ran));
}

#[tokio::test(start_paused = true)]
async fn one_service_needs_no_delivery_file() {
    let stage = shop("serves");
    let digest = stage.world.image_digest("shop/auth", COMMIT).expect("an image");
    stage.file("deploy/auth.json", task_definition("${IMAGE}", "debug").to_string());
    std::fs::remove_file(stage.workspace().join("delivery.toml")).expect("a delivery file");
    let (of_file, image) = (("task-definition", "deploy/auth.json"), image(&digest));
    let inputs = [("cluster", "shop"), ("service", "auth"), of_file, ("image", &image)];
    let ran = deploy(&stage, &inputs).await;
    ends(&ran, "deployed", 0);
    assert_eq!(written(&stage), ["register shop-auth:2", "update auth to shop-auth:2"], "no name, no ledger, no lock");
    assert_eq!(running(&stage), ("shop-auth:2".to_owned(), 2));
    assert_snapshot!(told(&ran));
}

#[tokio::test(start_paused = true)]
async fn a_service_without_tasks_is_updated_and_nobody_says_that_anything_ran() {
    let stage = shop_of("serves", |seed| seed.desired_count = 0);
    let ran = deploy(&stage, &[]).await;
    ends(&ran, "deployed", 0);
    assert_eq!(written(&stage), DEPLOYED);
    assert_eq!(running(&stage), ("shop-auth:2".to_owned(), 0));
    assert_snapshot!(told(&ran));
}

#[tokio::test(start_paused = true)]
async fn a_daemon_is_deployed() {
    let stage = shop_of("serves", |seed| {
        seed.scheduling = "DAEMON".to_owned();
        seed.task_definition["requiresCompatibilities"] = serde_json::json!(["EC2"]);
    });
    let mut definition = task_definition("${IMAGE}", "${LOG_LEVEL}");
    definition["requiresCompatibilities"] = serde_json::json!(["EC2"]);
    stage.file("deploy/auth.json", definition.to_string());
    let ran = deploy(&stage, &[]).await;
    ends(&ran, "deployed", 0);
    assert_eq!(written(&stage), DEPLOYED);
    assert_eq!(running(&stage), ("shop-auth:2".to_owned(), 2));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_begins_while_its_own_version_is_on_its_way_follows_that() {
    let stage = shop("serves");
    let first = deploy(&stage, &[("on-cancel", "detach")]);
    let cancel = async {
        called(&stage, "ecs:UpdateService").await;
        stage.stopper.raise();
    };
    let (first, ()) = tokio::join!(first, cancel);
    ends(&first, "cancelled", 130);
    let again = stage.another_run();
    let ran = deploy(&again, &[]).await;
    ends(&ran, "deployed", 0);
    let all = written(&again);
    assert_eq!(all.iter().filter(|write| write.starts_with("register")).count(), 1, "{all:?}");
    assert_eq!(all.iter().filter(|write| write.starts_with("update")).count(), 1, "{all:?}");
    assert_eq!(running(&again), ("shop-auth:2".to_owned(), 2));
    assert_eq!(ledger(&again)["s"], "deployed");
    assert!(!is_locked(&again));
    assert_snapshot!(told(&ran));
}

#[tokio::test(start_paused = true)]
async fn throttling_and_outages_of_every_call_are_ridden_out() {
    let seen = shop("serves");
    deploy(&seen, &[]).await;
    let mut names: Vec<String> = seen.world.calls().into_iter().map(|call| call.name).collect();
    names.sort();
    names.dedup();
    assert!(names.len() > 15, "{names:?}");
    for fault in [Fault::Throttled, Fault::Unavailable] {
        let stage = shop("serves");
        for name in names.iter().filter(|name| name.contains(':') && !name.contains(' ')) {
            stage.world.script(name, fault.clone(), 2);
        }
        let ran = deploy(&stage, &[]).await;
        ends(&ran, "deployed", 0);
        assert_eq!(running(&stage), ("shop-auth:2".to_owned(), 2));
        assert_eq!(ran.annotations(), Vec::<String>::new());
    }
}

#[tokio::test(start_paused = true)]
async fn looks_that_fail_for_a_while_do_not_end_the_wait() {
    let stage = shop("serves");
    let trouble = async {
        called(&stage, "ecs:UpdateService").await;
        stage.world.script("ecs:DescribeServices", Fault::Throttled, 20);
        stage.world.script("ecs:DescribeServiceDeployments", Fault::Unavailable, 20);
        stage.world.script("ecs:ListTasks", Fault::Throttled, 20);
    };
    let (ran, ()) = tokio::join!(deploy(&stage, &[]), trouble);
    ends(&ran, "deployed", 0);
}

#[tokio::test(start_paused = true)]
async fn too_many_registrations_at_once_are_waited_out() {
    let stage = shop("serves");
    // Somebody else has just used up what the account may register.
    for number in 0..20 {
        stage.world.register_task_definition(&task_definition(&format!("public.ecr.aws/shop/other:{number}"), "info"));
    }
    stage.world.script("ecs:RegisterTaskDefinition", Fault::Throttled, 8);
    let ran = deploy(&stage, &[]).await;
    ends(&ran, "deployed", 0);
}

#[tokio::test(start_paused = true)]
async fn a_task_definition_that_ecs_does_not_find_yet_is_asked_for_again() {
    let stage = shop("serves");
    stage.world.delay_task_definitions(Duration::from_secs(20));
    let ran = deploy(&stage, &[]).await;
    ends(&ran, "deployed", 0);
    assert_eq!(running(&stage), ("shop-auth:2".to_owned(), 2));
    let registered = written(&stage).iter().filter(|write| write.starts_with("register")).count();
    assert_eq!(registered, 1, "{:?}", written(&stage));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_lost_starts_nothing_twice() {
    for call in ["ecs:RegisterTaskDefinition", "ecs:UpdateService", "ssm:PutParameter", "ssm:DeleteParameter"] {
        let stage = shop("serves");
        stage.world.script(call, Fault::AnswerLost, 1);
        let ran = deploy(&stage, &[]).await;
        ends(&ran, "deployed", 0);
        let view = auth(&stage);
        assert_eq!(view.service_deployments, ["SUCCESSFUL", "SUCCESSFUL"], "{call}: {:?}", written(&stage));
        assert_eq!((view.images.len(), view.running), (1, 2), "{call}");
        assert!(!is_locked(&stage), "{call}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_clock_of_the_runner_decides_nothing() {
    for set_wrong in [Stage::clock_is_ahead, Stage::clock_is_behind] {
        let mut stage = shop("serves");
        set_wrong(&mut stage, Duration::from_secs(10 * 60));
        let ran = deploy(&stage, &[]).await;
        ends(&ran, "deployed", 0);
        let broken = push(&stage, "broken", "exits 1 after 1 s");
        let ran = deploy(&stage, &[("image", &image(&broken))]).await;
        ends(&ran, "rolled-back", 1);
        assert!(ran.annotations()[0].contains("exit code 1"), "{:?}", ran.annotations());
    }
}

#[tokio::test(start_paused = true)]
async fn more_services_than_one_describe_takes() {
    let stage = shop("serves");
    let mut delivery = DELIVERY.to_owned();
    for number in 1..=24 {
        let name = format!("worker-{number}");
        delivery +=
            &format!("\n[services.{name}]\npath = \"apps/auth\"\nrepository = \"shop/auth\"\ncontainer = \"app\"\n");
        let mut definition = task_definition(&image(&push(&stage, "old", "serves")), "info");
        definition["family"] = serde_json::json!(format!("shop-{name}"));
        stage.world.create_service(world::ServiceSeed {
            cluster: "shop".to_owned(),
            name,
            task_definition: definition,
            ..world::ServiceSeed::default()
        });
    }
    stage.file("delivery.toml", delivery);
    let ran = deploy(&stage, &[]).await;
    ends(&ran, "deployed", 0);
    let calls = stage.world.calls();
    let asked = |call: &world::Call| call.body["services"].as_array().map_or(0, Vec::len);
    let describes: Vec<usize> = calls.iter().filter(|call| call.name == "ecs:DescribeServices").map(asked).collect();
    assert_eq!(describes[..3].iter().sum::<usize>(), 25, "{describes:?}");
    assert!(describes.iter().all(|count| *count <= 10), "{describes:?}");
    assert_eq!(calls.iter().filter(|call| call.name == "ecs:UpdateService" && call.status == 200).count(), 25);
}
