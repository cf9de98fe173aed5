//! Backups: taken and waited for before anything is migrated.

use std::time::Duration;

use insta::assert_snapshot;
use stage::{COMMIT, Stage};
use world::{DatabaseSeed, Fault};

use crate::shop::{DELIVERY, act, add, ecs_writes, ending, migrations, stable};

const SNAPSHOT: &str = "auth-0123456-7";

/// The shop with a backup before `auth` migrates; blank is as the delivery file has it.
fn stage(runs: &str, database: DatabaseSeed) -> Stage {
    let stage = Stage::new();
    let kind = if database.is_cluster { "rds-cluster" } else { "rds-instance" };
    let backup = format!("command = [\"migrate\"], backup = {{ {kind} = \"shop-${{SERVICE}}\", keep = 2 }} }}");
    stage.file(
        "delivery.toml",
        DELIVERY.replacen("command = [\"npx\", \"prisma\", \"migrate\", \"deploy\"] }", &backup, 1),
    );
    add(&stage, "auth", runs);
    stage.world.create_database(database);
    stage
}

fn snapshots(stage: &Stage) -> Vec<(String, String)> {
    stage.world.snapshots().into_iter().map(|snapshot| (snapshot.id, snapshot.status)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_backup_is_there_before_anything_is_migrated() {
    let stage = stage("exits 0 after 4 s: applied", DatabaseSeed::default());
    let ran = act(&stage, &[("services", "auth")]).await;
    assert_eq!(ending(&ran), (0, "applied", "success", "0"), "{}", ran.log);
    assert_eq!(ran.output("snapshot"), SNAPSHOT);
    assert_eq!(snapshots(&stage), [(SNAPSHOT.to_owned(), "available".to_owned())]);
    assert_eq!(
        stage.world.writes(),
        ["rds:CreateDBSnapshot", "ecs:RegisterTaskDefinition", "ecs:RunTask", "ssm:PutParameter"]
    );
    let tags = stage.world.snapshots().remove(0).tags;
    assert!(tags.contains(&("delivery:commit".to_owned(), COMMIT.to_owned())), "{tags:?}");
    assert_snapshot!(stable(&ran.log));
    assert_snapshot!(stage.world.parameter("/delivery/shop/production/migration").unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_failed_migration_comes_with_a_runbook() {
    let stage = stage("exits 1 after 4 s: no", DatabaseSeed::default());
    let ran = act(&stage, &[("services", "auth")]).await;
    assert_eq!(ending(&ran), (1, "failed", "app-exit", "1"), "{}", ran.log);
    assert_snapshot!(stable(&ran.summary));
}

#[tokio::test(start_paused = true)]
async fn a_cluster_is_backed_up_as_a_cluster() {
    let stage = stage("exits 1 after 4 s: no", DatabaseSeed { is_cluster: true, ..DatabaseSeed::default() });
    let ran = act(&stage, &[("services", "auth")]).await;
    assert_eq!(ending(&ran), (1, "failed", "app-exit", "1"), "{}", ran.log);
    assert_eq!(stage.world.writes()[0], "rds:CreateDBClusterSnapshot");
    let runbook = ran.summary.split("3. **Back**").nth(1).unwrap();
    assert_snapshot!(runbook.split("</details>").next().unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_database_that_is_busy_is_waited_for() {
    let busy =
        DatabaseSeed { status: "backing-up".into(), status_for: Duration::from_mins(10), ..DatabaseSeed::default() };
    let stage = stage("exits 0 after 4 s", busy);
    let ran = act(&stage, &[("services", "auth")]).await;
    assert_eq!(ending(&ran), (0, "applied", "success", "0"), "{}", ran.log);
    assert!(
        ran.log.contains("backup: RDS instance `shop-auth` is backing-up, waiting until it is available"),
        "{}",
        ran.log
    );
}

#[tokio::test(start_paused = true)]
async fn without_a_backup_nothing_is_migrated() {
    let database = DatabaseSeed::default;
    let failing = stage("exits 0 after 4 s", database());
    let (ran, ()) = tokio::join!(act(&failing, &[("services", "auth")]), async {
        while failing.world.snapshots().is_empty() {
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        failing.world.fail_snapshots();
    });
    assert_eq!(ending(&ran), (1, "failed", "backup", ""), "{}", ran.log);
    assert_snapshot!(ran.annotations().join("\n"));

    let full = stage("exits 0 after 4 s", database());
    full.world.limit_snapshots(0);
    let ran = act(&full, &[("services", "auth")]).await;
    assert_eq!(ending(&ran), (1, "failed", "backup", ""), "{}", ran.log);
    assert_snapshot!(ran.annotations().join("\n"));

    let stopped = stage(
        "exits 0 after 4 s",
        DatabaseSeed { status: "stopped".into(), status_for: Duration::from_hours(9), ..database() },
    );
    let ran = act(&stopped, &[("services", "auth")]).await;
    assert_eq!(ending(&ran), (1, "failed", "backup", ""), "{}", ran.log);

    for stage in [&failing, &full, &stopped] {
        assert!(ecs_writes(stage).is_empty());
        assert_eq!(migrations(stage), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_database_that_is_not_there_is_told_before_anything_is_touched() {
    let told = async |database: DatabaseSeed, inputs: &[(&str, &str)]| {
        let stage = stage("exits 0 after 4 s", database);
        let ran = act(&stage, &[&[("services", "auth")], inputs].concat()).await;
        assert_eq!((ran.exit_code, stage.world.writes().len()), (2, 0), "{}", ran.log);
        ran.annotations().join("\n")
    };
    let other = DatabaseSeed { id: "shop-orders".into(), ..DatabaseSeed::default() };
    assert_snapshot!(told(other, &[]).await);
    let cluster = DatabaseSeed { is_cluster: true, ..DatabaseSeed::default() };
    assert_snapshot!(told(cluster, &[("rds-instance", "shop-auth")]).await);
}

#[tokio::test(start_paused = true)]
async fn a_rerun_takes_no_second_backup() {
    let mut stage = stage("exits 1 after 4 s", DatabaseSeed::default());
    assert_eq!(act(&stage, &[("services", "auth")]).await.output("result"), "failed");
    stage.set("GITHUB_RUN_ATTEMPT", "2");
    let again = act(&stage, &[("services", "auth")]).await;
    assert_eq!(again.output("snapshot"), SNAPSHOT);
    assert_eq!(stage.world.writes().iter().filter(|write| *write == "rds:CreateDBSnapshot").count(), 1);
}

#[tokio::test(start_paused = true)]
async fn old_backups_of_ours_are_deleted() {
    for is_cluster in [false, true] {
        let stage = stage("exits 0 after 4 s", DatabaseSeed { is_cluster, ..DatabaseSeed::default() });
        let mut run = stage.another_run();
        for _ in 0..3 {
            assert_eq!(act(&run, &[("services", "auth")]).await.output("result"), "applied");
            run = run.another_run();
        }
        let ids: Vec<String> = snapshots(&stage).into_iter().map(|(id, _)| id).collect();
        assert_eq!(ids, ["auth-0123456-10", "auth-0123456-9"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_backup_is_left_out_where_nobody_wants_one() {
    let stage = stage("exits 0 after 4 s", DatabaseSeed::default());
    let ran = act(&stage, &[("services", "auth"), ("backup", "never")]).await;
    assert_eq!((ending(&ran), ran.output("snapshot")), ((0, "applied", "success", "0"), ""));
    assert!(stage.world.calls().iter().all(|call| !call.name.starts_with("rds:")));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_written_down_stops_nothing() {
    let stage = stage("exits 0 after 4 s", DatabaseSeed::default());
    stage.world.script("ssm:PutParameter", Fault::Denied, 1);
    let ran = act(&stage, &[("services", "auth")]).await;
    assert_eq!(ending(&ran), (0, "applied", "success", "0"), "{}", ran.log);
    assert_snapshot!(ran.annotations().join("\n"));
}
