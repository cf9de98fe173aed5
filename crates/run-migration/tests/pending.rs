//! Pending SQL: what is found, what stands in the way, and what a reviewer reads.

use insta::assert_snapshot;
use serde_json::json;
use stage::{Ran, Stage};
use world::{ImageSeed, ServiceSeed};

use crate::shop::{act, commit, ecs_writes, ending, git, stable, task_definition};

const DELIVERY: &str = r#"
name = "shop"

[environments.production]
branch = "main"
cluster = "shop"

[services.auth]
path = "apps/auth"
repository = "shop/auth"
container = "app"
migration = { command = ["npx", "prisma", "migrate", "deploy"], sources = "apps/auth/prisma/migrations" }
"#;

const FIRST: (&str, &str) = (
    "apps/auth/prisma/migrations/20260101_init/migration.sql",
    "CREATE TABLE \"User\" (id int PRIMARY KEY, name text);",
);
const ADDS: (&str, &str) =
    ("apps/auth/prisma/migrations/20260105_email/migration.sql", "ALTER TABLE \"User\" ADD COLUMN email text;\n");
const DROPS: (&str, &str) = (
    "apps/auth/prisma/migrations/20260106_name/migration.sql",
    "ALTER TABLE \"User\" DROP COLUMN name;\nCREATE INDEX i ON \"User\" (email);\n",
);
const ALLOWED: (&str, &str) = (
    "apps/auth/prisma/migrations/20260106_name/migration.sql",
    "-- allow: destructive nobody has read it since release 41\nALTER TABLE \"User\" DROP COLUMN name;\n",
);

/// A service that runs its first commit, and an image of a second one with these files.
fn delivered(second: &[(&str, &str)]) -> Stage {
    let mut stage = Stage::new();
    let first = commit(&mut stage, &[("delivery.toml", DELIVERY), FIRST, ("apps/auth/main.ts", "1\n")]);
    push(&stage, &first, "serves");
    let digest = stage.world.image_digest("shop/auth", &first).unwrap();
    let mut running = task_definition("auth");
    running["containerDefinitions"][0]["image"] =
        json!(format!("111122223333.dkr.ecr.eu-west-1.amazonaws.com/shop/auth@{digest}"));
    stage.world.create_service(ServiceSeed {
        cluster: "shop".into(),
        name: "auth".into(),
        task_definition: running,
        ..ServiceSeed::default()
    });
    let second = commit(&mut stage, second);
    push(&stage, &second, "exits 0 after 4 s: applied");
    stage
}

fn push(stage: &Stage, commit: &str, runs: &str) {
    stage.world.push_image(ImageSeed {
        repository: "shop/auth".into(),
        tag: commit.into(),
        labels: vec![("world.runs".into(), runs.into())],
        ..ImageSeed::default()
    });
}

/// The text without what git and the world make up.
fn steady(stage: &Stage, text: &str) -> String {
    let base = git(stage, &["rev-parse", "HEAD~1"]);
    let head = git(stage, &["rev-parse", "HEAD"]);
    stable(&text.replace(&base, "BASE").replace(&base[..7], "BASE").replace(&head, "HEAD").replace(&head[..7], "HEAD"))
}

/// A pull request from the last commit to the one before.
async fn reviewed(stage: &mut Stage) -> (Ran, Vec<String>) {
    let [base, head] = ["HEAD~1", "HEAD"].map(|revision| git(stage, &["rev-parse", revision]));
    let side = |sha: &str| json!({ "sha": sha, "repo": { "full_name": "org/shop" } });
    let payload = json!({ "pull_request": { "number": 1, "base": side(&base), "head": side(&head) } });
    let path = stage.workspace().with_file_name("event.json");
    std::fs::write(&path, payload.to_string()).unwrap();
    stage.set("GITHUB_EVENT_NAME", "pull_request");
    stage.set("GITHUB_EVENT_PATH", &path.display().to_string());
    stage.world.pull_request("org/shop", 1, &head);
    let ran = act(stage, &[("operation", "lint"), ("github-token", "ghs_token")]).await;
    let comments = stage.world.comments("org/shop", 1).into_iter().map(|comment| comment.body).collect();
    (ran, comments)
}

#[tokio::test(start_paused = true)]
async fn what_only_adds_is_run_and_can_be_gone_back_from() {
    let stage = delivered(&[ADDS]);
    let ran = act(&stage, &[]).await;
    assert_eq!(ending(&ran), (0, "applied", "success", "0"), "{}", ran.log);
    assert_eq!(ran.output("rollback-safe"), "true");
    assert_snapshot!(steady(&stage, &ran.summary));
}

#[tokio::test(start_paused = true)]
async fn what_the_running_version_would_break_by_is_not_run() {
    let stage = delivered(&[ADDS, DROPS]);
    let ran = act(&stage, &[]).await;
    assert_eq!(ending(&ran), (1, "failed", "lint", ""), "{}", ran.log);
    assert_eq!(ran.output("rollback-safe"), "false");
    assert_snapshot!(steady(&stage, &ran.summary));
    assert_snapshot!(steady(&stage, &ran.annotations().join("\n")));
    assert!(stage.world.writes().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_is_acknowledged_is_run_and_cannot_be_gone_back_from() {
    let stage = delivered(&[ALLOWED]);
    let ran = act(&stage, &[]).await;
    assert_eq!(ending(&ran), (0, "applied", "success", "0"), "{}", ran.log);
    assert_eq!(ran.output("rollback-safe"), "false");
    let written = stage.world.parameter("/delivery/shop/production/migration").unwrap();
    let written: serde_json::Value = serde_json::from_str(&written).unwrap();
    assert_eq!((&written["auth"]["rollback-safe"], &written["auth"]["result"]), (&json!(false), &json!("applied")));
}

#[tokio::test(start_paused = true)]
async fn without_pending_migrations_the_tool_has_the_last_word() {
    let stage = delivered(&[("apps/auth/main.ts", "2\n")]);
    let ran = act(&stage, &[]).await;
    assert_eq!(ending(&ran), (0, "applied", "success", "0"), "{}", ran.log);
    assert_eq!(ran.output("rollback-safe"), "true");
    assert!(ran.log.contains(": none\n"), "{}", ran.log);
    assert_eq!(ecs_writes(&stage), ["ecs:RegisterTaskDefinition", "ecs:RunTask"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_known_to_be_pending_is_not_called_safe() {
    let mut stage = delivered(&[ADDS]);
    // The running image has no commit's tag in this repository.
    let running = stage.world.register_task_definition(&task_definition("auth"));
    stage.set("GITHUB_EVENT_NAME", "push");
    let ran = act(&stage, &[("base", "0000000")]).await;
    assert_eq!(ending(&ran), (0, "applied", "success", "0"), "{running}: {}", ran.log);
    assert_eq!(ran.output("rollback-safe"), "");
    assert!(ran.log.contains("pending: not known: the clone has no commit `0000000`"), "{}", ran.log);
}

#[tokio::test]
async fn a_reviewer_reads_what_is_pending() {
    let mut stage = delivered(&[ADDS, DROPS]);
    let (ran, comments) = reviewed(&mut stage).await;
    assert_eq!(
        (ran.exit_code, ran.output("result"), ran.output("rollback-safe")),
        (1, "failed", "false"),
        "{}",
        ran.log
    );
    let [comment] = &comments[..] else { panic!("{comments:?}") };
    assert_snapshot!(steady(&stage, comment));
    let aws = stage.world.calls().into_iter().filter(|call| call.name.starts_with("ecs:")).count();
    assert_eq!(aws, 0, "nothing is asked of AWS");
}

#[tokio::test]
async fn a_pull_request_without_migrations_says_so() {
    let mut stage = delivered(&[("apps/auth/main.ts", "2\n")]);
    let (ran, comments) = reviewed(&mut stage).await;
    assert_eq!((ran.exit_code, ran.output("result"), ran.output("rollback-safe")), (0, "skipped", "true"));
    assert!(comments[0].contains("`auth`: no migration is pending"), "{comments:?}");
}

#[tokio::test]
async fn a_lint_without_a_base_does_not_guess_one() {
    let mut stage = delivered(&[ADDS]);
    let ran = act(&stage, &[("operation", "lint")]).await;
    assert_eq!(ran.exit_code, 2);
    assert_snapshot!(ran.annotations().join("\n"));
    let ran = act(&stage, &[("operation", "lint"), ("base", "HEAD~1")]).await;
    assert_eq!((ran.exit_code, ran.output("result")), (0, "planned"));
    stage.set("GITHUB_SHA", "ffffffffffffffffffffffffffffffffffffffff");
    let ran = act(&stage, &[("operation", "lint"), ("base", "HEAD~1")]).await;
    assert_eq!((ran.exit_code, ran.output("result")), (1, "unknown"));
}
