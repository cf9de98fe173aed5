//! Building the affected images, on a simulated engine.

use insta::assert_snapshot;
use serde_json::Value;
use stage::{Ran, Stage, steady};
use tempfile::TempDir;
use world::ServedDocker;

use crate::shop::{DELIVERY, DOCKERFILE, commit, git, run, shop};

/// Has the world's engine listen where the action looks for it.
fn engine(stage: &mut Stage) -> (TempDir, ServedDocker) {
    let folder = TempDir::new().unwrap();
    let docker = stage.world.serve_docker(&folder.path().join("docker.sock")).unwrap();
    stage.set("DOCKER_HOST", &format!("unix://{}", docker.path().display()));
    (folder, docker)
}

async fn build(stage: &Stage) -> Ran {
    run(stage, &[("build", "true")]).await
}

#[tokio::test]
async fn affected_images_are_built_in_order_and_labelled() {
    let mut stage = shop();
    let _engine = engine(&mut stage);
    let head = commit(&mut stage, &[("apps/api/src/main.ts", "2\n")]);
    let ran = build(&stage).await;
    assert_eq!((ran.output("result"), ran.exit_code), ("affected", 0), "{}", ran.log);
    assert_snapshot!("built_log", ran.log);
    assert_snapshot!("built_summary", steady(&ran.summary));
    let images: Value = serde_json::from_str(ran.output("images")).unwrap();
    assert_eq!(images["api"]["image"], format!("shop/api:{head}"));
    assert_eq!(images.as_object().unwrap().keys().collect::<Vec<_>>(), ["api", "site"]);
    // The last image that was looked at is that of the last wave.
    let calls = stage.world.calls();
    let inspected = calls.iter().rev().find(|call| call.name.starts_with("docker:GET /images/")).unwrap();
    let labels = &inspected.answer["Config"]["Labels"];
    assert_eq!(labels["org.opencontainers.image.revision"], head);
    assert_eq!(labels["org.opencontainers.image.source"], "https://github.example.com/org/shop");
    let builds = stage.world.writes().iter().filter(|write| write.contains("/build")).count();
    assert_eq!(builds, 2);
}

#[tokio::test]
async fn a_build_that_fails_tells_its_step_and_stops_those_that_come_after() {
    let mut stage = shop();
    let _engine = engine(&mut stage);
    commit(&mut stage, &[("apps/api/Dockerfile", &DOCKERFILE.replace("COPY package.json", "COPY missing.json"))]);
    let ran = build(&stage).await;
    assert_eq!((ran.output("result"), ran.exit_code), ("failed", 1), "{}", ran.log);
    assert_snapshot!("failed_annotation", ran.annotations().join("\n"));
    assert_snapshot!("failed_summary", steady(&ran.summary));
}

#[tokio::test]
async fn an_image_against_the_policy_fails_with_what_would_mend_it() {
    let mut stage = shop();
    let _engine = engine(&mut stage);
    commit(&mut stage, &[("apps/auth/Dockerfile", "FROM scratch\nCOPY package.json /\n")]);
    let ran = build(&stage).await;
    assert_eq!((ran.output("result"), ran.exit_code, ran.output("images")), ("failed", 1, "{}"), "{}", ran.log);
    assert_snapshot!("refused_annotation", ran.annotations().join("\n"));
    assert_snapshot!("refused_summary", steady(&ran.summary));
}

#[tokio::test]
async fn a_policy_that_asks_for_less_gets_less() {
    let mut stage = shop();
    let _engine = engine(&mut stage);
    let policy = "[image-policy]\nrequire-non-root = false\nrequire-healthcheck = false\n";
    commit(
        &mut stage,
        &[
            ("apps/auth/Dockerfile", "FROM scratch\nCOPY package.json /\n"),
            ("delivery.toml", &format!("{DELIVERY}\n{policy}")),
        ],
    );
    let ran = build(&stage).await;
    assert_eq!((ran.output("result"), ran.exit_code), ("affected", 0), "{}", ran.log);
}

#[tokio::test]
async fn nothing_affected_builds_nothing() {
    let mut stage = shop();
    let _engine = engine(&mut stage);
    commit(&mut stage, &[("README.md", "2\n")]);
    let ran = build(&stage).await;
    assert_eq!((ran.output("result"), ran.output("images"), ran.exit_code), ("none", "{}", 0), "{}", ran.log);
}

#[tokio::test]
async fn a_dry_run_needs_no_engine() {
    let mut stage = shop();
    stage.set("DOCKER_HOST", "unix:///nowhere/docker.sock");
    let ran = run(&stage, &[("build", "true"), ("dry-run", "true")]).await;
    assert_eq!((ran.output("result"), ran.exit_code), ("affected", 0), "{}", ran.log);
}

#[tokio::test]
async fn a_cancelled_run_says_so() {
    let mut stage = shop();
    let _engine = engine(&mut stage);
    stage.stopper.raise();
    let ran = build(&stage).await;
    assert_eq!((ran.output("result"), ran.exit_code), ("failed", 130), "{}", ran.log);
    assert_snapshot!("cancelled_annotation", ran.annotations().join("\n"));
    assert_eq!(git(&stage, &["status", "--porcelain"]), "");
}
