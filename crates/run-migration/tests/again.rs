//! Never twice: re-runs, other runs, answers that get lost.

use world::Fault;

use crate::shop::{ecs_writes, ending, migrate, migrate_auth, migrations, stage};

#[tokio::test(start_paused = true)]
async fn a_rerun_takes_the_first_runs_success_for_its_own() {
    let mut stage = stage("exits 0 after 2 s: applied");
    assert_eq!(ending(&migrate_auth(&stage).await), (0, "applied", "success", "0"));
    stage.set("GITHUB_RUN_ATTEMPT", "2");
    let again = migrate_auth(&stage).await;
    assert_eq!(ending(&again), (0, "applied", "success", "0"));
    assert!(again.log.contains("which this run started before"), "{}", again.log);
    assert_eq!(ecs_writes(&stage), ["ecs:RegisterTaskDefinition", "ecs:RunTask"]);
}

#[tokio::test(start_paused = true)]
async fn another_run_migrates_anew_from_the_same_revision() {
    let mut stage = stage("exits 0 after 2 s");
    assert_eq!(ending(&migrate_auth(&stage).await), (0, "applied", "success", "0"));
    stage.set("GITHUB_RUN_ID", "8");
    assert_eq!(ending(&migrate_auth(&stage).await), (0, "applied", "success", "0"));
    assert_eq!(ecs_writes(&stage), ["ecs:RegisterTaskDefinition", "ecs:RunTask", "ecs:RunTask"]);
}

#[tokio::test(start_paused = true)]
async fn a_rerun_after_a_failure_starts_a_new_task() {
    let mut stage = stage("exits 1 after 2 s");
    assert_eq!(ending(&migrate_auth(&stage).await), (1, "failed", "app-exit", "1"));
    stage.set("GITHUB_RUN_ATTEMPT", "2");
    assert_eq!(ending(&migrate_auth(&stage).await), (1, "failed", "app-exit", "1"));
    assert_eq!(ecs_writes(&stage), ["ecs:RegisterTaskDefinition", "ecs:RunTask", "ecs:RunTask"]);
}

#[tokio::test(start_paused = true)]
async fn a_migration_of_another_run_is_not_joined_by_a_second_one() {
    let mut stage = stage("exits 0 after 600 s");
    assert_eq!(migrate(&stage, &[("services", "auth"), ("timeout", "1m")]).await.output("result"), "unknown");
    stage.set("GITHUB_RUN_ID", "8");
    let ran = migrate_auth(&stage).await;
    assert_eq!(ending(&ran), (1, "failed", "already-running", ""));
    assert_eq!(ecs_writes(&stage), ["ecs:RegisterTaskDefinition", "ecs:RunTask"]);
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
    stage.world.script("ecs:RunTask", Fault::Unavailable, 100);
    let ran = migrate_auth(&stage).await;
    assert_eq!(ending(&ran), (1, "unknown", "lost", ""));
    assert_eq!(migrations(&stage), 0);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_throttled_is_made_again() {
    let stage = stage("exits 0 after 2 s");
    // The SDK makes five attempts of its own.
    stage.world.script("ecs:RunTask", Fault::Throttled, 12);
    assert_eq!(ending(&migrate_auth(&stage).await), (0, "applied", "success", "0"));
    assert_eq!(migrations(&stage), 1);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_cannot_be_described_is_looked_for_in_the_list() {
    let stage = stage("exits 0 after 2 s");
    let asked = std::sync::atomic::AtomicUsize::new(0);
    stage.on_answer(move |operation, answer| {
        // The first look is for the tasks of earlier runs; then it is the only task, until it is listed.
        let is_early = asked.load(std::sync::atomic::Ordering::Relaxed) < 45;
        if operation == "DescribeTasks" && is_early {
            asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            answer["failures"] = serde_json::json!([{ "arn": answer["tasks"][0]["taskArn"], "reason": "MISSING" }]);
            answer["tasks"] = serde_json::json!([]);
        }
    });
    assert_eq!(ending(&migrate_auth(&stage).await), (1, "unknown", "lost", ""));
}
