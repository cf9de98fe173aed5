//! Versions that do not get there: how soon that is known, what is put back, and what a person reads of it.

use std::time::Duration;

use insta::assert_snapshot;
use serde_json::json;
use stage::{COMMIT, Ran, Stage};
use tokio::time::Instant;
use world::{CircuitBreaker, Fault};

use crate::shop::{
    auth, deploy, ends, image, is_locked, ledger, push, running, shop, shop_of, shop_with, task_definition, told,
    written,
};

/// What is written when ECS goes back by itself.
const ROLLED_BACK_BY_ECS: [&str; 6] = [
    "lock",
    "ledger: release 1 deploying",
    "register shop-auth:2",
    "update auth to shop-auth:2",
    "ledger: release 1 rolled-back",
    "unlock",
];

/// What is written when this run has ECS go back.
const ROLLED_BACK_BY_US: [&str; 7] = [
    "lock",
    "ledger: release 1 deploying",
    "register shop-auth:2",
    "update auth to shop-auth:2",
    "stop the deployment of auth (ROLLBACK)",
    "ledger: release 1 rolled-back",
    "unlock",
];

/// What is true after every deployment that was put back.
fn is_put_back(stage: &Stage, ran: &Ran) {
    ends(ran, "rolled-back", 1);
    assert_eq!(running(stage), ("shop-auth:1".to_owned(), 2), "what ran before runs again");
    assert_eq!(ran.output("services"), r#"{"auth":"rolled-back"}"#);
    assert_eq!(ledger(stage)["s"], "rolled-back");
    assert_eq!(ledger(stage)["p"]["auth"]["t"], "shop-auth:1");
    assert!(!is_locked(stage));
    let annotations = ran.annotations();
    assert_eq!(annotations.iter().filter(|one| one.starts_with("::error ")).count(), 1, "{annotations:?}");
}

#[tokio::test(start_paused = true)]
async fn a_crash_loop_that_ecs_rolls_back_is_a_failure_with_its_reason() {
    let stage = shop("exits 137 after 3 s: reading flags.json | FATAL: flags.json is not there");
    let ran = deploy(&stage, &[]).await;
    is_put_back(&stage, &ran);
    assert_eq!(written(&stage), ROLLED_BACK_BY_ECS);
    assert_snapshot!(told(&ran));
}

#[tokio::test(start_paused = true)]
async fn a_crash_loop_without_a_circuit_breaker_is_taken_back_by_this_run() {
    let stage = shop_with("exits 1 after 1 s: no such table", None);
    let started = Instant::now();
    let ran = deploy(&stage, &[]).await;
    is_put_back(&stage, &ran);
    assert_eq!(written(&stage), ROLLED_BACK_BY_US);
    assert_eq!(auth(&stage).service_deployments, ["ROLLBACK_SUCCESSFUL", "SUCCESSFUL"]);
    assert!(started.elapsed() < Duration::from_secs(180), "{:?}", started.elapsed());
    assert_snapshot!(told(&ran));
}

#[tokio::test(start_paused = true)]
async fn a_circuit_breaker_without_rollback_leaves_going_back_to_this_run() {
    let stage = shop_with("exits 1 after 1 s: no such table", Some(CircuitBreaker { rollback: false }));
    let ran = deploy(&stage, &[]).await;
    is_put_back(&stage, &ran);
    assert_snapshot!(written(&stage).join("\n"));
    assert_snapshot!(told(&ran));
}

#[tokio::test(start_paused = true)]
async fn a_task_that_can_never_start_ends_the_wait_within_a_poll() {
    for (behaviour, is_named) in [
        ("image cannot be pulled", "CannotPullContainerError"),
        ("cannot be executed", "CannotStartContainerError"),
        ("secret cannot be fetched", "ResourceInitializationError"),
        ("has the wrong format", "exec format error"),
    ] {
        for breaker in [None, Some(CircuitBreaker { rollback: true })] {
            let stage = shop_with(behaviour, breaker);
            let started = Instant::now();
            let ran = deploy(&stage, &[]).await;
            is_put_back(&stage, &ran);
            let told = told(&ran);
            assert!(ran.annotations()[0].contains(is_named) || told.contains(is_named), "{told}");
            assert!(ran.output("json").contains(is_named), "{}", ran.output("json"));
            assert!(started.elapsed() < Duration::from_secs(150), "{behaviour}, {breaker:?}: {:?}", started.elapsed());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_image_that_cannot_be_pulled_is_named() {
    let stage = shop_with("image cannot be pulled", None);
    let ran = deploy(&stage, &[]).await;
    is_put_back(&stage, &ran);
    assert_eq!(written(&stage), ROLLED_BACK_BY_US);
    assert_snapshot!(told(&ran));
}

#[tokio::test(start_paused = true)]
async fn an_image_for_another_processor_is_known_by_its_last_words() {
    let stage = shop_with("has the wrong format", None);
    let ran = deploy(&stage, &[]).await;
    is_put_back(&stage, &ran);
    assert_snapshot!(told(&ran));
}

#[tokio::test(start_paused = true)]
async fn a_container_without_enough_memory_is_told_from_one_that_was_killed() {
    let stage = shop("runs out of memory after 4 s");
    let ran = deploy(&stage, &[]).await;
    is_put_back(&stage, &ran);
    assert_snapshot!(told(&ran));
}

#[tokio::test(start_paused = true)]
async fn tasks_that_are_healthy_for_a_while_and_then_end_are_a_crash_loop_too() {
    // ECS counts a failure only before the first healthy moment: its breaker never trips.
    for breaker in [None, Some(CircuitBreaker { rollback: true })] {
        let stage = shop_of("exits 1 after 45 s: cannot reach the queue", |seed| {
            seed.circuit_breaker = breaker;
            seed.desired_count = 6;
        });
        let ran = deploy(&stage, &[]).await;
        ends(&ran, "rolled-back", 1);
        assert_eq!(running(&stage), ("shop-auth:1".to_owned(), 6));
        assert!(told(&ran).contains("cannot reach the queue"), "{}", told(&ran));
    }
}

#[tokio::test(start_paused = true)]
async fn tasks_that_ended_on_the_way_of_a_deployment_that_ecs_calls_a_success_are_told() {
    let stage = shop_with("exits 1 after 45 s: cannot reach the queue", None);
    let ran = deploy(&stage, &[]).await;
    ends(&ran, "deployed", 0);
    assert_eq!(ran.annotations().len(), 1, "{:?}", ran.annotations());
    assert!(ran.annotations()[0].contains("2 of its new tasks ended by themselves"), "{:?}", ran.annotations());
    assert_snapshot!(told(&ran));
}

#[tokio::test(start_paused = true)]
async fn what_ends_long_after_the_deployment_is_not_this_actions_to_see() {
    let stage = shop_with("exits 1 after 180 s: cannot reach the queue", None);
    let ran = deploy(&stage, &[]).await;
    ends(&ran, "deployed", 0);
}

#[tokio::test(start_paused = true)]
async fn targets_that_fail_their_checks_are_told_with_their_reason() {
    let stage = shop_of("is unhealthy", |seed| seed.target_group = Some("auth".to_owned()));
    let ran = deploy(&stage, &[]).await;
    is_put_back(&stage, &ran);
    assert_snapshot!(told(&ran));
}

#[tokio::test(start_paused = true)]
async fn a_deployment_that_takes_too_long_is_taken_back() {
    let stage = shop_with("is unhealthy", None);
    let ran = deploy(&stage, &[("timeout", "20s")]).await;
    is_put_back(&stage, &ran);
    assert_eq!(written(&stage), ROLLED_BACK_BY_US);
    assert_snapshot!(told(&ran));
}

#[tokio::test(start_paused = true)]
async fn a_task_for_which_there_is_no_room_is_waited_for_and_told() {
    let stage = shop_with("no capacity", None);
    let ran = deploy(&stage, &[("timeout", "10m")]).await;
    assert_eq!(ran.exit_code, 1);
    assert_eq!(running(&stage), ("shop-auth:1".to_owned(), 2), "what ran before runs again");
    assert_snapshot!(told(&ran));
}

/// A service whose tasks are stopped before new ones start, and whose old version lacks what it needs by then.
fn shop_that_cannot_go_back() -> Stage {
    let stage = shop_of("exits 1 after 1 s: no such table", |seed| {
        seed.task_definition["containerDefinitions"][0]["image"] =
            json!("111122223333.dkr.ecr.eu-west-1.amazonaws.com/shop/auth:old");
        seed.minimum_healthy_percent = 0;
        seed.maximum_percent = 100;
    });
    push(&stage, "old", "exits 3 after 2 s: the queue is gone");
    stage
}

#[tokio::test(start_paused = true)]
async fn a_way_back_that_fails_as_well_is_told_as_such() {
    let stage = shop_that_cannot_go_back();
    let ran = deploy(&stage, &[]).await;
    ends(&ran, "rollback-failed", 1);
    assert_eq!(ledger(&stage)["s"], "rollback-failed");
    assert!(!is_locked(&stage));
    assert_snapshot!(told(&ran));
}

#[tokio::test(start_paused = true)]
async fn a_stop_that_ecs_refuses_is_followed_by_an_update_to_what_ran() {
    let stage = shop_with("exits 1 after 1 s: no such table", None);
    stage.world.script("ecs:StopServiceDeployment", Fault::Denied, 1);
    let ran = deploy(&stage, &[]).await;
    is_put_back(&stage, &ran);
    assert_eq!(
        written(&stage),
        [
            "lock",
            "ledger: release 1 deploying",
            "register shop-auth:2",
            "update auth to shop-auth:2",
            "stop the deployment of auth (ROLLBACK): 400",
            "update auth to shop-auth:1",
            "ledger: release 1 rolled-back",
            "unlock"
        ]
    );
    assert_snapshot!(told(&ran));
}

#[tokio::test(start_paused = true)]
async fn an_alarm_that_goes_off_while_a_deployment_bakes_takes_it_back() {
    let stage = shop_of("serves", |seed| {
        seed.deployment_configuration = json!({
            "alarms": { "alarmNames": ["auth-5xx"], "enable": true, "rollback": true },
            "bakeTimeInMinutes": 5,
        });
    });
    stage.world.set_alarm("auth-5xx", "OK");
    stage.world.set_alarm_after("auth-5xx", "ALARM", Duration::from_secs(200));
    let ran = deploy(&stage, &[]).await;
    is_put_back(&stage, &ran);
    assert_eq!(written(&stage), ROLLED_BACK_BY_ECS);
    assert_snapshot!(told(&ran));
}

#[tokio::test(start_paused = true)]
async fn an_alarm_that_goes_off_before_is_remarked_and_no_more() {
    let stage = shop_of("serves", |seed| {
        seed.deployment_configuration = json!({
            "alarms": { "alarmNames": ["auth-5xx"], "enable": true, "rollback": true },
            "bakeTimeInMinutes": 1,
        });
    });
    stage.world.set_alarm("auth-5xx", "ALARM");
    let ran = deploy(&stage, &[]).await;
    ends(&ran, "deployed", 0);
    assert_snapshot!(told(&ran));
}

#[tokio::test(start_paused = true)]
async fn throttling_and_outages_on_the_way_back_are_ridden_out() {
    let failing = || {
        shop_of("is unhealthy", |seed| {
            seed.circuit_breaker = None;
            seed.target_group = Some("auth".to_owned());
        })
    };
    let seen = failing();
    deploy(&seen, &[]).await;
    let mut names: Vec<String> = seen.world.calls().into_iter().map(|call| call.name).collect();
    names.sort();
    names.dedup();
    assert!(names.iter().any(|name| name == "ecs:StopServiceDeployment"), "{names:?}");
    for fault in [Fault::Throttled, Fault::Unavailable] {
        let stage = failing();
        for name in names.iter().filter(|name| name.contains(':') && !name.contains(' ')) {
            stage.world.script(name, fault.clone(), 2);
        }
        is_put_back(&stage, &deploy(&stage, &[]).await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_hundred_tasks_that_stop_are_counted_and_not_listed() {
    let stage = shop_of("exits 2 after 1 s: no licence", |seed| {
        seed.desired_count = 150;
        seed.circuit_breaker = None;
    });
    let ran = deploy(&stage, &[]).await;
    ends(&ran, "rolled-back", 1);
    assert_eq!(running(&stage), ("shop-auth:1".to_owned(), 150));
    let described = stage.world.calls();
    let described = described.iter().filter(|call| call.name == "ecs:DescribeTasks");
    assert!(described.clone().all(|call| call.status == 200 && call.body["tasks"].as_array().unwrap().len() <= 100));
    assert_snapshot!(told(&ran));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_joins_a_bad_deployment_puts_back_what_ran_before_it() {
    let stage = shop_with("exits 1 after 1 s: no such table", None);
    let first = deploy(&stage, &[("on-cancel", "detach")]);
    let cancel = async {
        crate::shop::called(&stage, "ecs:UpdateService").await;
        stage.stopper.raise();
    };
    let (first, ()) = tokio::join!(first, cancel);
    ends(&first, "cancelled", 130);
    let stage = stage.another_run();
    let ran = deploy(&stage, &[]).await;
    is_put_back(&stage, &ran);
    let all = written(&stage);
    assert_eq!(all.iter().filter(|write| write.starts_with("register")).count(), 1, "{all:?}");
    assert_snapshot!(told(&ran));
}

#[tokio::test(start_paused = true)]
async fn a_version_that_failed_may_be_tried_again_and_is_not_registered_again() {
    let stage = shop("exits 1 after 1 s: no such table");
    deploy(&stage, &[]).await;
    let before = written(&stage).len();
    let ran = deploy(&stage, &[]).await;
    ends(&ran, "rolled-back", 1);
    assert_eq!(
        written(&stage)[before..],
        [
            "lock",
            "ledger: release 2 deploying",
            "update auth to shop-auth:2",
            "ledger: release 2 rolled-back",
            "unlock"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn when_ecs_cannot_be_asked_why_that_is_said_and_the_result_stays_true() {
    let stage = shop("exits 1 after 1 s: no such table");
    for call in ["ecs:ListTasks", "ecs:DescribeTasks", "logs:GetLogEvents"] {
        stage.world.script(call, Fault::Denied, 1000);
    }
    let ran = deploy(&stage, &[]).await;
    is_put_back(&stage, &ran);
    assert_snapshot!(told(&ran));
}

#[tokio::test(start_paused = true)]
async fn a_service_that_cannot_be_watched_any_more_is_not_called_deployed() {
    let stage = shop("serves");
    let trouble = async {
        crate::shop::called(&stage, "ecs:UpdateService").await;
        for call in ["ecs:DescribeServices", "ecs:DescribeServiceDeployments"] {
            stage.world.script(call, Fault::Denied, 1000);
        }
    };
    let (ran, ()) = tokio::join!(deploy(&stage, &[]), trouble);
    ends(&ran, "rollback-failed", 3);
    assert_snapshot!(told(&ran));
}

#[tokio::test(start_paused = true)]
async fn the_first_deployment_of_a_service_that_fails_leaves_it_or_stops_it() {
    for (inputs, desired) in [(&[][..], 2), (&[("on-first-failure", "scale-to-zero")][..], 0)] {
        let stage = shop_of("exits 1 after 1 s: no such table", |seed| {
            seed.task_definition = task_definition(&image(&"sha256:0".replace('0', &"0".repeat(64))), "info");
            seed.just_created = true;
        });
        let digest = stage.world.image_digest("shop/auth", COMMIT).expect("an image");
        assert!(!digest.is_empty());
        let ran = deploy(&stage, inputs).await;
        ends(&ran, "failed", 1);
        assert_eq!(auth(&stage).desired, desired);
        assert_eq!(ledger(&stage)["s"], "failed");
        assert_snapshot!(written(&stage).join("\n"));
        assert_snapshot!(told(&ran));
    }
}

#[tokio::test(start_paused = true)]
async fn what_would_break_on_the_migrated_database_is_not_put_back() {
    let stage = shop_with("exits 1 after 1 s: no such table", None);
    let ran = deploy(&stage, &[("rollback-safe", "false")]).await;
    ends(&ran, "failed", 1);
    let has_gone_back = |line: &&String| line.starts_with("stop the deployment") || line.contains("to shop-auth:1");
    assert_eq!(written(&stage).iter().filter(has_gone_back).count(), 0, "{:?}", written(&stage));
    assert_eq!(ledger(&stage)["s"], "failed");
    assert_snapshot!(told(&ran));
}
