//! A tool that is asked first whether any migration is pending.

use insta::assert_snapshot;
use stage::{Ran, Stage};
use world::{DatabaseSeed, ImageSeed, ServiceSeed};

use crate::shop::{DELIVERY, act, commit, ecs_writes, ending, migrations, stable, task_definition};

const COMMAND: &str = r#"command = ["npx", "prisma", "migrate", "deploy"]"#;
const STATUS: &str = r#"status = ["npx", "prisma", "migrate", "status"]"#;

/// The shop, whose `auth` is asked first and backed up. `tells` is what its status command does.
fn stage(tells: &str) -> Stage {
    let stage = Stage::new();
    let migration = format!(r#"{COMMAND}, {STATUS}, backup = {{ rds-instance = "shop-auth" }}"#);
    stage.file("delivery.toml", DELIVERY.replacen(COMMAND, &migration, 1));
    add(&stage, stage::COMMIT, tells);
    stage.world.create_database(DatabaseSeed::default());
    stage
}

/// `auth` runs, and the commit has an image whose migration succeeds.
fn add(stage: &Stage, commit: &str, tells: &str) {
    stage.world.create_service(ServiceSeed {
        cluster: "shop".into(),
        name: "auth".into(),
        task_definition: task_definition("auth"),
        ..ServiceSeed::default()
    });
    let label = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    stage.world.push_image(ImageSeed {
        repository: "shop/auth".into(),
        tag: commit.into(),
        labels: vec![label("world.runs", "exits 0 after 4 s: applied"), label("world.runs.status", tells)],
        ..ImageSeed::default()
    });
}

async fn migrate(stage: &Stage) -> Ran {
    act(stage, &[("services", "auth")]).await
}

const ALL: [&str; 5] =
    ["ecs:RegisterTaskDefinition", "ecs:RunTask", "rds:CreateDBSnapshot", "ecs:RunTask", "ssm:PutParameter"];

#[tokio::test(start_paused = true)]
async fn where_nothing_is_pending_nothing_is_backed_up_and_nothing_run() {
    let stage = stage("exits 0 after 2 s: Database schema is up to date!");
    let ran = migrate(&stage).await;
    assert_eq!(ending(&ran), (0, "skipped", "nothing-pending", ""), "{}", ran.log);
    assert_eq!(stage.world.writes(), ["ecs:RegisterTaskDefinition", "ecs:RunTask"], "the question alone");
    assert_eq!(ran.output("snapshot"), "");
    assert_snapshot!(stable(&ran.log));
    assert_snapshot!(stable(&ran.summary));
    // The next run asks again, by a task of its own.
    let ran = migrate(&stage.another_run()).await;
    assert_eq!(ending(&ran), (0, "skipped", "nothing-pending", ""), "{}", ran.log);
    assert_eq!(migrations(&stage), 2);
}

#[tokio::test(start_paused = true)]
async fn where_some_may_be_pending_the_migration_is_run_as_ever() {
    for tells in [
        "exits 1 after 2 s: Following migration have not yet been applied",
        "runs out of memory after 2 s",
        "cannot be executed",
        "serves",
    ] {
        let stage = stage(tells);
        let ran = migrate(&stage).await;
        assert_eq!(ending(&ran), (0, "applied", "success", "0"), "{tells}\n{}", ran.log);
        let writes: Vec<String> = stage.world.writes().into_iter().filter(|write| write != "ecs:StopTask").collect();
        assert_eq!(writes, ALL, "{tells}: registered once, and backed up before it is migrated");
        let is_stopped = stage.world.writes().iter().any(|write| write == "ecs:StopTask");
        assert_eq!(is_stopped, tells == "serves", "a command that hangs is stopped");
        let told = ran.log.lines().find(|line| line.contains("may be pending")).unwrap_or_default();
        assert!(told.starts_with("auth: some may be pending: "), "{tells}: {told}\n{}", ran.log);
        if tells.starts_with("exits 1") {
            assert_snapshot!(stable(&ran.log));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn new_files_are_pending_whatever_a_command_says() {
    const FIRST: (&str, &str) = ("apps/auth/migrations/1_init.sql", "CREATE TABLE users (id int PRIMARY KEY);");
    let mut stage = Stage::new();
    let delivery = DELIVERY.replacen(COMMAND, &format!(r#"{COMMAND}, {STATUS}, sources = "apps/auth/migrations""#), 1);
    let base = commit(&mut stage, &[("delivery.toml", delivery.as_str()), FIRST]);
    let head = commit(&mut stage, &[("apps/auth/migrations/2_email.sql", "ALTER TABLE users ADD COLUMN email text;")]);
    add(&stage, &head, "exits 0 after 2 s");
    let ran = act(&stage, &[("services", "auth"), ("base", &base)]).await;
    assert_eq!(ending(&ran), (0, "applied", "success", "0"), "{}", ran.log);
    assert_eq!(ecs_writes(&stage), ["ecs:RegisterTaskDefinition", "ecs:RunTask"], "nobody was asked");
    let ran = act(&stage.another_run(), &[("services", "auth"), ("base", &head)]).await;
    assert_eq!(ending(&ran), (0, "skipped", "nothing-pending", ""), "{}", ran.log);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_cancelled_while_it_asks_migrates_nothing() {
    let stage = stage("exits 0 after 60 s");
    let (ran, ()) = tokio::join!(migrate(&stage), async {
        while stage.world.tasks("shop").iter().all(|task| task.group != "family:shop-auth-migration") {
            tokio::task::yield_now().await;
        }
        stage.stopper.raise();
    });
    assert_eq!(ending(&ran), (130, "failed", "not-started", ""), "{}", ran.log);
    assert_eq!(stage.world.writes(), ["ecs:RegisterTaskDefinition", "ecs:RunTask"]);
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_says_that_it_would_ask() {
    let stage = stage("exits 0 after 2 s");
    let ran = act(&stage, &[("services", "auth"), ("dry-run", "true")]).await;
    assert!(ran.summary.contains("unless `npx prisma migrate status` says that nothing is pending"), "{}", ran.summary);
    assert!(stage.world.writes().is_empty());
}
