//! `operation: restart | scale | explain`, and inputs that belong to another operation.

use std::time::Duration;

use insta::assert_snapshot;
use serde_json::json;
use stage::Stage;
use tokio::time::Instant;

use crate::fleet::{THREE, push, runs, three, three_of};
use crate::shop::{deploy, ends, is_locked, ledger, shop, told, written};

const RESTART: (&str, &str) = ("operation", "restart");
const SCALE: (&str, &str) = ("operation", "scale");
const EXPLAIN: (&str, &str) = ("operation", "explain");

/// Three services whose image is a tag, so that somebody can move it to a broken image.
fn three_by_tag() -> Stage {
    three_of(["serves"; 3], |name, seed| {
        seed.task_definition["containerDefinitions"][0]["image"] =
            json!(format!("111122223333.dkr.ecr.eu-west-1.amazonaws.com/shop/{name}:old"));
    })
}

#[tokio::test(start_paused = true)]
async fn a_restart_starts_the_same_revision_anew_wave_after_wave() {
    let stage = three(["serves"; 3]);
    let ran = deploy(&stage, &[RESTART]).await;
    ends(&ran, "deployed", 0);
    assert_eq!(
        written(&stage),
        [
            "lock",
            "ledger: release 1 deploying",
            "update auth to shop-auth:1, forceNewDeployment true",
            "update api to shop-api:1, forceNewDeployment true",
            "update nginx to shop-nginx:1, forceNewDeployment true",
            "ledger: release 1 deployed",
            "unlock",
        ]
    );
    assert_eq!(runs(&stage, &THREE), THREE.map(|name| format!("shop-{name}:1 × 2")));
    assert_eq!(stage.world.service("shop", "api").unwrap().service_deployments, ["SUCCESSFUL", "SUCCESSFUL"]);
    assert_eq!(ledger(&stage)["o"], "restart");
    assert_snapshot!(told(&ran));
}

#[tokio::test(start_paused = true)]
async fn a_restart_that_does_not_come_up_is_told_and_the_old_tasks_stay() {
    let stage = three_by_tag();
    push(&stage, "api", "old", "exits 1 after 1 s: no such table");
    let ran = deploy(&stage, &[RESTART]).await;
    assert_eq!(ran.exit_code, 1, "{}", ran.log);
    assert_eq!(stage.world.service("shop", "nginx").unwrap().service_deployments, ["SUCCESSFUL"]);
    assert_eq!(runs(&stage, &THREE), THREE.map(|name| format!("shop-{name}:1 × 2")));
    assert_ne!(ledger(&stage)["s"], "deploying");
    assert!(!is_locked(&stage));
    assert_snapshot!(told(&ran));
}

#[tokio::test(start_paused = true)]
async fn every_operation_can_be_planned_and_writes_nothing_then() {
    let stage = three(["serves"; 3]);
    let scale = [SCALE, ("services", "api"), ("desired-count", "5")];
    let mut told = String::new();
    for inputs in [[RESTART].as_slice(), &scale] {
        let ran = deploy(&stage, &[inputs, &[("dry-run", "true")]].concat()).await;
        ends(&ran, "planned", 0);
        told += &crate::shop::told(&ran);
    }
    assert_eq!(written(&stage), Vec::<String>::new());
    assert_snapshot!(told);
}

#[tokio::test(start_paused = true)]
async fn a_service_is_scaled_up_and_down() {
    let stage = three(["serves"; 3]);
    for (to, count) in [("4", 4), ("1", 1), ("0", 0), ("2", 2)] {
        let before = written(&stage).len();
        let ran = deploy(&stage, &[SCALE, ("services", "api"), ("desired-count", to)]).await;
        ends(&ran, "deployed", 0);
        let api = stage.world.service("shop", "api").unwrap();
        assert_eq!((api.desired, api.running), (count, count), "{}", ran.log);
        assert_eq!(written(&stage)[before + 2], format!("update api, desiredCount {to}"));
        assert_eq!(api.service_deployments.len(), 1, "scaling is no deployment");
        if to == "4" {
            assert_snapshot!(told(&ran));
        }
    }
    assert_eq!(ledger(&stage)["o"], "scale");
}

#[tokio::test(start_paused = true)]
async fn a_service_that_has_so_many_tasks_is_left_alone() {
    let stage = three(["serves"; 3]);
    let ran = deploy(&stage, &[SCALE, ("services", "api"), ("desired-count", "2")]).await;
    ends(&ran, "unchanged", 0);
    assert_eq!(written(&stage), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn tasks_that_never_run_end_the_scaling_which_is_taken_back() {
    let stage = three_by_tag();
    push(&stage, "api", "old", "no capacity");
    let started = Instant::now();
    let ran = deploy(&stage, &[SCALE, ("services", "api"), ("desired-count", "4"), ("timeout", "5m")]).await;
    ends(&ran, "rolled-back", 1);
    assert!(started.elapsed() < Duration::from_secs(10 * 60), "{:?}", started.elapsed());
    let api = stage.world.service("shop", "api").unwrap();
    assert_eq!((api.desired, api.running), (2, 2));
    assert_eq!(
        written(&stage),
        [
            "lock",
            "ledger: release 1 deploying",
            "update api, desiredCount 4",
            "update api, desiredCount 2",
            "ledger: release 1 rolled-back",
            "unlock",
        ]
    );
    assert_snapshot!(told(&ran));
}

#[tokio::test(start_paused = true)]
async fn a_deployment_that_was_rolled_back_is_explained() {
    let stage = shop("exits 137 after 3 s: reading flags.json | FATAL: flags.json is not there");
    ends(&deploy(&stage, &[]).await, "rolled-back", 1);
    let before = written(&stage).len();
    let stage = stage.another_run();
    let ran = deploy(&stage, &[EXPLAIN]).await;
    assert_eq!(ran.exit_code, 0, "{}", ran.log);
    assert!(ran.summary.contains("137"), "{}", ran.summary);
    assert!(ran.summary.contains("flags.json is not there"), "{}", ran.summary);
    assert_eq!(written(&stage).len(), before, "it writes nothing");
    assert_snapshot!(told(&ran));
    assert_snapshot!(ran.output("result"));
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_well_is_explained_too() {
    let stage = three(["serves"; 3]);
    ends(&deploy(&stage, &[]).await, "deployed", 0);
    let before = written(&stage).len();
    let ran = deploy(&stage.another_run(), &[EXPLAIN]).await;
    assert_eq!(ran.exit_code, 0, "{}", ran.log);
    assert_eq!(written(&stage).len(), before, "it writes nothing");
    assert_snapshot!(told(&ran));
}

#[tokio::test(start_paused = true)]
async fn inputs_of_another_operation_are_refused() {
    let stage = three(["serves"; 3]);
    let mut told = String::new();
    for inputs in [
        [("to", "3")].as_slice(),
        &[("desired-count", "3")],
        &[("secret", "/shop/db"), ("secret-value", "hunter2")],
        &[("from", "staging")],
        &[RESTART, ("image", "111122223333.dkr.ecr.eu-west-1.amazonaws.com/shop/auth:old")],
        &[RESTART, ("to", "previous"), ("desired-count", "3")],
        &[SCALE],
        &[SCALE, ("desired-count", "many")],
        &[("operation", "rotate")],
        &[("operation", "promote")],
        &[("operation", "rollback"), ("task-definition", "shop-auth:1")],
        &[("operation", "undo")],
    ] {
        let ran = deploy(&stage, inputs).await;
        ends(&ran, "refused", 2);
        assert!(!ran.log.replace("::add-mask::hunter2", "").contains("hunter2"), "{}", ran.log);
        told += &format!("{inputs:?}\n{}\n", ran.log);
    }
    assert!(stage.world.calls().is_empty(), "no request leaves the process");
    assert_snapshot!(told);
}
