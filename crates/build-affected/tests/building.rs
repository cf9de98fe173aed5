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
    let inspected = calls
        .iter()
        .rev()
        .find(|call| call.name.starts_with("docker:GET /images/") && call.name.ends_with("/json"))
        .unwrap();
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

/// The shop with another Dockerfile for some of its services, and more in its delivery file.
fn rebuilt(dockerfiles: &[(&str, &str)], more: &str) -> Stage {
    let mut stage = shop();
    let delivery = format!("{DELIVERY}\n{more}");
    let files: Vec<(&str, &str)> = dockerfiles
        .iter()
        .copied()
        .chain([("delivery.toml", delivery.as_str()), ("libs/core/index.ts", "2\n")])
        .collect();
    commit(&mut stage, &files);
    stage
}

#[tokio::test]
async fn the_findings_of_all_images_are_told_at_once() {
    let root = "FROM scratch\nCOPY package.json /\nENV DB_PASSWORD=hunter2\n";
    let mut stage = rebuilt(&[("apps/auth/Dockerfile", root), ("apps/api/Dockerfile", root)], "");
    let _engine = engine(&mut stage);
    let ran = build(&stage).await;
    assert_eq!((ran.output("result"), ran.exit_code), ("failed", 1), "{}", ran.log);
    assert_snapshot!("findings_annotation", ran.annotations().join("\n"));
    assert!(!ran.log.contains("hunter2") && !ran.summary.contains("hunter2"));
    // The site comes after the API, and is not begun.
    assert!(ran.summary.contains("not started: it comes after api"), "{}", ran.summary);
}

#[tokio::test]
async fn an_image_is_made_of_the_fresh_image_of_another_whatever_it_calls_it() {
    let made = DOCKERFILE.replace("FROM scratch", "FROM registry.example.com/shop/auth:main");
    let mut stage = rebuilt(&[("apps/api/Dockerfile", &made)], "");
    let _engine = engine(&mut stage);
    // Only the API changes: what it is made of is built all the same, and is not affected.
    commit(&mut stage, &[("apps/api/src/main.ts", "3\n")]);
    let ran = build(&stage).await;
    assert_eq!((ran.output("result"), ran.output("services")), ("affected", r#"["api","site"]"#), "{}", ran.log);
    let images: Value = serde_json::from_str(ran.output("images")).unwrap();
    assert_eq!(images.as_object().unwrap().keys().collect::<Vec<_>>(), ["api", "site"]);
    let layers = |image: &str| -> Vec<Value> {
        let calls = stage.world.calls();
        let inspected = calls.iter().rev().find(|call| call.name.contains(image) && call.name.ends_with("/json"));
        let inspected = inspected.unwrap();
        inspected.answer["RootFS"]["Layers"].as_array().unwrap().clone()
    };
    let api = layers(images["api"]["id"].as_str().unwrap());
    assert_eq!(api.len(), 2, "one of auth's image, one of its own");
}

#[tokio::test]
async fn a_context_is_a_folder_or_the_image_of_a_service() {
    let dockerfile = DOCKERFILE.replace(
        "COPY package.json /",
        "COPY --from=protocols api.proto /\nCOPY --from=other package.json /other.json",
    );
    let more = "[services.api.build]\ncontexts = { protocols = \"proto\", other = \"service:auth\" }\n";
    let mut stage = rebuilt(&[("apps/api/Dockerfile", &dockerfile)], more);
    let _engine = engine(&mut stage);
    let ran = build(&stage).await;
    assert_eq!((ran.output("result"), ran.exit_code), ("affected", 0), "{}", ran.log);
}

#[tokio::test]
async fn an_argument_has_its_value_and_one_that_nobody_declares_is_refused() {
    let dockerfile = DOCKERFILE.replace("USER 65532", "ARG VERSION\nLABEL version=$VERSION\nUSER 65532");
    let settings = |name: &str| format!("[services.auth.build]\narguments = {{ {name} = \"v-${{COMMIT}}\" }}\n");
    let mut stage = rebuilt(&[("apps/auth/Dockerfile", &dockerfile)], &settings("VERSION"));
    let _engine = engine(&mut stage);
    let ran = build(&stage).await;
    assert_eq!((ran.output("result"), ran.exit_code), ("affected", 0), "{}", ran.log);
    let images: Value = serde_json::from_str(ran.output("images")).unwrap();
    let calls = stage.world.calls();
    let of_auth = |call: &&world::Call| call.name.contains(images["auth"]["id"].as_str().unwrap());
    let labels = &calls.iter().rev().filter(of_auth).find(|call| call.answer["Config"].is_object()).unwrap().answer["Config"]
        ["Labels"];
    assert_eq!(labels["version"], format!("v-{}", ran.output("head")));
    assert_eq!(labels["org.opencontainers.image.created"], "2023-11-14T22:13:20Z");
    assert_eq!(labels["org.opencontainers.image.title"], "auth");

    let mut stage = rebuilt(&[("apps/auth/Dockerfile", &dockerfile)], &settings("VERSON"));
    let _engine = engine(&mut stage);
    let ran = build(&stage).await;
    let told = ran.annotations().join("\n");
    assert!(told.contains("apps/auth/Dockerfile has no `ARG VERSON`"), "{told}");
}

#[tokio::test]
async fn a_secret_that_is_not_there_is_told_before_anything_is_built() {
    let more = "[services.auth.build]\nsecrets = { npm = \"NPM_TOKEN\" }\n[services.api.build]\nsecrets = { npm = \"OTHER_TOKEN\" }\n";
    let mut stage = rebuilt(&[], more);
    stage.set("DOCKER_HOST", "unix:///nowhere/docker.sock");
    let ran = build(&stage).await;
    assert_eq!(ran.exit_code, 2, "{}", ran.log);
    let told = ran.annotations().join("\n");
    assert!(told.contains("NPM_TOKEN") && told.contains("OTHER_TOKEN"), "{told}");
    stage.set("NPM_TOKEN", "s3cret");
    stage.set("OTHER_TOKEN", "s3cret");
    let _engine = engine(&mut stage);
    let ran = build(&stage).await;
    assert_eq!((ran.output("result"), ran.exit_code), ("affected", 0), "{}", ran.log);
    let asked = format!("{:?}", stage.world.calls());
    assert!(!asked.contains("s3cret"), "a secret is in no request");
}

#[tokio::test]
async fn a_file_that_has_to_be_there_is_missed() {
    let more =
        "[services.auth.image-policy]\nrequired-files = [\"package.json\", \"remoteEntry.js\"]\nmax-size = \"1B\"\n";
    let mut stage = rebuilt(&[], more);
    let _engine = engine(&mut stage);
    let ran = build(&stage).await;
    assert_eq!((ran.output("result"), ran.exit_code), ("failed", 1), "{}", ran.log);
    let told = ran.annotations().join("\n");
    assert!(told.contains("no file remoteEntry.js") && !told.contains("no file package.json"), "{told}");
    assert!(told.contains("COPY package.json /: ") && told.contains("(/package.json "), "{told}");
}

#[tokio::test]
async fn images_are_layouts_if_that_is_asked_for() {
    let mut stage = rebuilt(&[], "");
    let _engine = engine(&mut stage);
    let ran = run(&stage, &[("build", "true"), ("output", "oci:out"), ("parallel", "1")]).await;
    assert_eq!((ran.output("result"), ran.exit_code), ("affected", 0), "{}", ran.log);
    for service in ["auth", "api", "site"] {
        let folder = stage.workspace().join("out").join(service);
        let index: Value = serde_json::from_str(&std::fs::read_to_string(folder.join("index.json")).unwrap()).unwrap();
        let digest = index["manifests"][0]["digest"].as_str().unwrap().replace(':', "/");
        assert!(folder.join("blobs").join(digest).is_file() && folder.join("oci-layout").is_file());
        assert!(!folder.join("manifest.json").exists());
    }
}
