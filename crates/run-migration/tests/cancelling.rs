//! Runs that end before their migration does.

use std::time::Duration;

use insta::assert_snapshot;
use stage::Stage;

use crate::shop::{act, ecs_writes, ending, migrate, migrate_auth, migrations, run_post, stable, stage};

#[tokio::test(start_paused = true)]
async fn what_does_not_end_in_time_is_unknown_and_followed_by_the_rerun() {
    let stage = stage("exits 0 after 600 s: still at it | done");
    let ran = migrate(&stage, &[("services", "auth"), ("timeout", "5m")]).await;
    assert_eq!(ending(&ran), (1, "unknown", "timed-out", ""));
    assert_snapshot!(stable(&ran.summary));
    let again = migrate(&stage, &[("services", "auth"), ("timeout", "15m")]).await;
    assert_eq!(ending(&again), (0, "applied", "success", "0"));
    assert!(again.log.contains("auth | done"), "{}", again.log);
    assert_eq!(ecs_writes(&stage), ["ecs:RegisterTaskDefinition", "ecs:RunTask"]);
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
    assert_eq!(ecs_writes(&stage), ["ecs:RegisterTaskDefinition", "ecs:RunTask"]);
    assert_eq!(stage.world.tasks("shop").pop().unwrap().status, "RUNNING");
}

/// Raises the flag once the migration's task runs.
async fn cancel(stage: &Stage) {
    let is_running = || {
        let newest = stage.world.tasks("shop").pop();
        newest.is_some_and(|task| task.group == "family:shop-auth-migration" && task.status == "RUNNING")
    };
    while !is_running() {
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    stage.stopper.raise();
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_run_stops_its_task_if_it_is_asked_to() {
    let stage = stage("exits 0 after 600 s: at it");
    let (ran, ()) = tokio::join!(act(&stage, &[("services", "auth"), ("on-cancel", "stop")]), cancel(&stage));
    assert_eq!(ending(&ran), (130, "unknown", "cancelled", ""));
    assert_snapshot!(stable(&ran.annotations().join("\n")));
    assert_eq!(ecs_writes(&stage), ["ecs:RegisterTaskDefinition", "ecs:RunTask", "ecs:StopTask"]);
    let stop = stage.world.calls().into_iter().find(|call| call.name == "ecs:StopTask").unwrap();
    assert_eq!(stop.body["reason"], "run-migration: cancelled, https://github.example.com/org/shop/actions/runs/7");
    assert_eq!(run_post(&stage).await.log, "", "there is nothing left to tell");
}

#[tokio::test(start_paused = true)]
async fn a_run_out_of_time_stops_its_task_if_it_is_asked_to_and_waits_for_its_end() {
    let stage = stage("exits 0 after 600 s: at it");
    let ran = act(&stage, &[("services", "auth"), ("on-cancel", "stop"), ("timeout", "2m")]).await;
    assert_eq!((ran.exit_code, ran.output("result"), ran.output("class")), (1, "unknown", "timed-out"));
    assert_snapshot!(stable(&ran.annotations().join("\n")));
    assert_eq!(stage.world.tasks("shop").pop().unwrap().status, "STOPPED");
}

#[tokio::test(start_paused = true)]
async fn a_migration_that_ends_while_it_is_told_to_stop_has_ended_by_itself() {
    // RUNNING after 25 s, over at 118 s; the time is up at 120 s, when its task is stopping already.
    let stage = stage("exits 0 after 93 s: done");
    let ran = act(&stage, &[("services", "auth"), ("on-cancel", "stop"), ("timeout", "2m")]).await;
    assert_eq!((ran.exit_code, ran.output("result"), ran.output("class")), (0, "applied", "success"));
}

#[tokio::test(start_paused = true)]
async fn a_killed_run_tells_of_its_task_when_the_job_ends() {
    let stage = stage("exits 0 after 600 s: at it");
    let killed = stage.world.dies_at(16);
    tokio::select! { _ = migrate_auth(&stage) => panic!("it should have died"), () = killed => {} }
    stage.world.revive();
    let post = run_post(&stage).await;
    assert_snapshot!(stable(&post.annotations().join("\n")));
    assert_eq!(post.exit_code, 0);
    assert_ne!(stage.world.tasks("shop").pop().unwrap().status, "STOPPED");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_was_killed_at_any_request_starts_no_second_task() {
    let whole = stage("exits 0 after 20 s");
    assert_eq!(ending(&migrate_auth(&whole).await), (0, "applied", "success", "0"));
    for request in 1..=whole.world.calls().len() {
        let mut stage = stage("exits 0 after 20 s");
        let killed = stage.world.dies_at(request);
        tokio::select! { _ = migrate_auth(&stage) => {}, () = killed => {} }
        stage.world.revive();
        assert_eq!(run_post(&stage).await.exit_code, 0, "{request}");
        stage.set("GITHUB_RUN_ATTEMPT", "2");
        let again = migrate_auth(&stage).await;
        assert_eq!(ending(&again), (0, "applied", "success", "0"), "{request}: {}", again.log);
        assert_eq!(migrations(&stage), 1, "{request}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_orphan_is_stopped_when_the_job_ends_if_that_is_asked_for() {
    let stage = stage("exits 0 after 600 s: at it");
    let killed = stage.world.dies_at(16);
    let inputs = [("services", "auth"), ("on-cancel", "stop")];
    tokio::select! { _ = act(&stage, &inputs) => panic!("it should have died"), () = killed => {} }
    stage.world.revive();
    assert_snapshot!(stable(&run_post(&stage).await.annotations().join("\n")));
    assert_eq!(ecs_writes(&stage).last().unwrap(), "ecs:StopTask");
}
