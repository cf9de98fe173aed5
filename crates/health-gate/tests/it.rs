//! Gates on a simulated account, with time paused: what a person and the next job get to see.

#![expect(clippy::expect_used, reason = "a test's furniture has nobody to tell but the test")]

mod announced;
mod metrics;
mod pauses;
mod platform;

use std::time::Duration;

use bytes::Bytes;
use common::http::Http;
use health_gate::{ACTION, run};
use http::{HeaderValue, Method, Request, Uri};
use insta::assert_snapshot;
use serde_json::{Value, json};
use stage::{COMMIT, Ran, Stage};
use tokio::time::Instant;
use world::{Fault, ImageSeed, ServiceSeed};

const DELIVERY: &str = r#"
name = "shop"

[environments.production]
branch = "main"
cluster = "shop"

[services.auth]
path = "apps/auth"
repository = "shop/auth"
container = "app"
[services.auth.health]
url = "https://shop.example.com/_service/shop/${SERVICE}/health"
expect = ["status == 200", "json(/version) == '${COMMIT}'", "latency < 1s"]

[services.web]
path = "apps/web"
repository = "shop/web"
container = "app"
"#;

const PROBE: &str = "GET /_service/shop/auth/health";

fn image(service: &str, digest: &str) -> String {
    format!("111122223333.dkr.ecr.eu-west-1.amazonaws.com/shop/{service}@{digest}")
}

fn task_definition(service: &str, digest: &str) -> Value {
    json!({
        "family": format!("shop-{service}"),
        "networkMode": "awsvpc",
        "cpu": "256",
        "memory": "512",
        "requiresCompatibilities": ["FARGATE"],
        "executionRoleArn": "arn:aws:iam::111122223333:role/execution",
        "containerDefinitions": [{ "name": "app", "image": image(service, digest), "portMappings": [{ "containerPort": 3001 }] }],
    })
}

fn push(stage: &Stage, service: &str, tag: &str, serves: &str) -> String {
    stage.world.push_image(ImageSeed {
        repository: format!("shop/{service}"),
        tag: tag.into(),
        labels: vec![("org.opencontainers.image.revision".into(), tag.into()), ("world.serves".into(), serves.into())],
        ..ImageSeed::default()
    })
}

/// A service whose two tasks run this image, behind a load balancer.
fn add(stage: &Stage, service: &str, digest: &str) {
    stage.world.create_service(ServiceSeed {
        cluster: "shop".into(),
        name: service.into(),
        task_definition: task_definition(service, digest),
        desired_count: 2,
        target_group: Some(service.into()),
        ..ServiceSeed::default()
    });
}

/// `auth` runs the commit's image.
fn stage() -> Stage {
    let stage = Stage::new();
    stage.file("delivery.toml", DELIVERY);
    let digest = push(&stage, "auth", COMMIT, "serves");
    add(&stage, "auth", &digest);
    stage
}

/// `auth` runs an older image, and a deployment of the commit's has just begun.
async fn deploying(serves: &str) -> Stage {
    let stage = Stage::new();
    stage.file("delivery.toml", DELIVERY);
    let old = push(&stage, "auth", &"a".repeat(40), "serves");
    let new = push(&stage, "auth", COMMIT, serves);
    add(&stage, "auth", &old);
    update(&stage, &new).await;
    stage
}

/// Somebody deploys this image of `auth`.
async fn update(stage: &Stage, digest: &str) {
    let revision = stage.world.register_task_definition(&task_definition("auth", digest));
    let update = json!({ "cluster": "shop", "service": "auth", "taskDefinition": revision });
    let mut request = Request::new(Bytes::from(update.to_string()));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = Uri::from_static("https://ecs.eu-west-1.amazonaws.com/");
    let target = HeaderValue::from_static("AmazonEC2ContainerServiceV20141113.UpdateService");
    request.headers_mut().insert("x-amz-target", target);
    let answer = Http::over(stage.world.mount()).send(request, Duration::from_secs(1)).await;
    assert_eq!(answer.ok().map(|answer| answer.status().as_u16()), Some(200));
}

async fn watch(stage: &Stage, inputs: &[(&str, &str)]) -> Ran {
    let writes = stage.world.writes();
    let ran = stage.run(&ACTION, run, inputs).await;
    assert_eq!(stage.world.writes(), writes, "a gate changes nothing");
    ran
}

async fn watch_auth(stage: &Stage) -> Ran {
    watch(stage, &[("services", "auth")]).await
}

fn ending(ran: &Ran) -> (u8, &str, &str) {
    (ran.exit_code, ran.output("result"), ran.output("verdicts"))
}

/// What the output `json` says of a check of `auth`: its verdict and what was seen.
fn check(ran: &Ran, name: &str) -> (String, String) {
    let report: Value = serde_json::from_str(ran.output("json")).expect("JSON");
    let checks = report["services"][0]["checks"].as_array().cloned().unwrap_or_default();
    let found = checks.into_iter().find(|check| check["check"] == name).unwrap_or_default();
    let text = |member: &str| found[member].as_str().unwrap_or_default().to_owned();
    (text("verdict"), text("observed"))
}

/// Waits until the service was asked.
async fn asked(stage: &Stage) {
    while !stage.world.calls().iter().any(|call| call.name == PROBE) {
        tokio::task::yield_now().await;
    }
}

/// The text without what changes whenever the world makes its images in another way: digests are numbered instead.
fn stable(text: &str) -> String {
    let text = text.replace(COMMIT, "COMMIT");
    let mut digests: Vec<&str> = Vec::new();
    for (index, _) in text.match_indices("sha256:") {
        let digest = &text[index..][.."sha256:".len() + 12];
        if !digests.contains(&digest) {
            digests.push(digest);
        }
    }
    let numbered = (1..).zip(&digests).map(|(number, digest)| (digest, format!("sha256:DIGEST_{number}")));
    numbered.fold(text.clone(), |text, (digest, number)| text.replace(digest, &number))
}

#[tokio::test(start_paused = true)]
async fn a_service_that_runs_and_answers_as_expected_is_healthy() {
    let stage = stage();
    let began = Instant::now();
    let ran = watch_auth(&stage).await;
    assert_eq!(ending(&ran), (0, "healthy", r#"{"auth":"healthy"}"#));
    assert_eq!(began.elapsed(), Duration::from_secs(30), "two good looks, thirty seconds apart");
    assert_snapshot!(stable(&ran.log));
    assert_snapshot!(stable(&ran.summary));
}

#[tokio::test(start_paused = true)]
async fn the_version_before_is_not_the_one_that_was_meant() {
    let stage = Stage::new();
    stage.file("delivery.toml", DELIVERY);
    let old = push(&stage, "auth", &"a".repeat(40), "serves");
    push(&stage, "auth", COMMIT, "serves");
    add(&stage, "auth", &old);
    let ran = watch_auth(&stage).await;
    assert_eq!(ending(&ran), (1, "unhealthy", r#"{"auth":"unhealthy"}"#));
    assert_snapshot!(stable(&ran.annotations().join("\n")));
    assert_snapshot!(stable(&ran.summary));
}

#[tokio::test(start_paused = true)]
async fn a_deployment_that_is_on_its_way_is_waited_for() {
    let stage = deploying("serves").await;
    let ran = watch(&stage, &[("services", "auth"), ("interval", "10s")]).await;
    assert_eq!(ending(&ran).1, "healthy", "{}", ran.log);
    assert_snapshot!(stable(&ran.log));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_decided_in_time_is_undecided() {
    let stage = deploying("image cannot be pulled").await;
    let own = [("expect", "status == 200"), ("interval", "10s"), ("timeout", "2m"), ("failures", "100")];
    let inputs: Vec<_> = [("services", "auth")].into_iter().chain(own).collect();
    let ran = watch(&stage, &inputs).await;
    assert_eq!(ending(&ran), (1, "undecided", r#"{"auth":"undecided"}"#));
    assert_snapshot!(stable(&ran.annotations().join("\n")));
}

#[tokio::test(start_paused = true)]
async fn a_relapse_makes_a_service_degraded() {
    let stage = stage();
    let (ran, ()) = tokio::join!(watch_auth(&stage), async {
        asked(&stage).await;
        stage.world.script(PROBE, Fault::Unavailable, 1);
    });
    assert_eq!(ending(&ran), (0, "degraded", r#"{"auth":"degraded"}"#));
    assert_snapshot!(stable(&ran.summary));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_reached_is_not_called_unhealthy() {
    let stage = stage();
    stage.world.script(PROBE, Fault::AnswerLost, 3);
    let ran = watch_auth(&stage).await;
    assert_eq!(ending(&ran), (1, "undecided", r#"{"auth":"undecided"}"#));
    assert_snapshot!(stable(&ran.annotations().join("\n")));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_was_cancelled_before_anything_was_seen_proves_nothing() {
    let stage = stage();
    stage.stopper.raise();
    let ran = watch_auth(&stage).await;
    assert_eq!(ending(&ran), (130, "undecided", r#"{"auth":"undecided"}"#));
    assert!(!stage.world.calls().iter().any(|call| call.name == PROBE));
    assert_snapshot!(stable(&ran.summary));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_was_cancelled_on_the_way_proves_nothing_either() {
    let stage = stage();
    let (ran, ()) = tokio::join!(watch_auth(&stage), async {
        asked(&stage).await;
        stage.stopper.raise();
    });
    assert_eq!(ending(&ran), (130, "undecided", r#"{"auth":"undecided"}"#));
}

#[tokio::test(start_paused = true)]
async fn several_services_are_watched_side_by_side_and_the_worst_decides() {
    let stage = stage();
    push(&stage, "web", COMMIT, "serves");
    let old = push(&stage, "web", &"b".repeat(40), "serves");
    add(&stage, "web", &old);
    let ran = watch(&stage, &[]).await;
    assert_eq!(ending(&ran), (1, "unhealthy", r#"{"auth":"healthy","web":"unhealthy"}"#));
    assert_snapshot!(stable(&ran.log));
    assert_snapshot!(stable(&ran.summary));
}

#[tokio::test(start_paused = true)]
async fn a_url_alone_needs_no_account() {
    let mut stage = stage();
    std::fs::remove_file(stage.workspace().join("delivery.toml")).unwrap();
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"] {
        stage.set(name, "");
    }
    let expect = "status == 200\nheader(x-version) == '${COMMIT}'\nbody contains '\"status\":\"ok\"'";
    let inputs = [
        ("url", "https://shop.example.com/_service/shop/auth/"),
        ("expect", expect),
        ("interval", "5s"),
        ("passes", "3"),
    ];
    let ran = watch(&stage, &inputs).await;
    assert_eq!(ending(&ran), (0, "healthy", r#"{"shop.example.com":"healthy"}"#), "{}", ran.log);
    assert!(stage.world.calls().iter().all(|call| call.name == "GET /_service/shop/auth/"));
}

#[tokio::test(start_paused = true)]
async fn a_service_alone_needs_no_url() {
    let stage = stage();
    std::fs::remove_file(stage.workspace().join("delivery.toml")).unwrap();
    let ran = watch(&stage, &[("cluster", "shop"), ("service", "auth"), ("passes", "1")]).await;
    assert_eq!(ending(&ran), (0, "healthy", r#"{"auth":"healthy"}"#), "{}", ran.log);
    assert_snapshot!(stable(&ran.summary));
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_says_what_it_would_check() {
    let stage = stage();
    let ran = watch(&stage, &[("services", "auth"), ("dry-run", "true")]).await;
    assert_eq!(ending(&ran), (0, "planned", r#"{"auth":"planned"}"#));
    assert_snapshot!(stable(&ran.summary));
}

#[tokio::test(start_paused = true)]
async fn bad_input_says_what_to_do() {
    let told = async |prepare: fn(&mut Stage), inputs: &[(&str, &str)]| {
        let mut stage = stage();
        prepare(&mut stage);
        let ran = watch(&stage, inputs).await;
        assert_eq!((ran.output("result"), ran.annotations().len()), ("undecided", 1), "{inputs:?}\n{}", ran.log);
        format!("{}: {}\n", ran.exit_code, ran.annotations().join("\n"))
    };
    let nothing: fn(&mut Stage) = |_| {};
    let no_delivery: fn(&mut Stage) = |stage| std::fs::remove_file(stage.workspace().join("delivery.toml")).unwrap();
    let no_commit: fn(&mut Stage) = |stage| stage.set("GITHUB_SHA", "");
    let denied: fn(&mut Stage) = |stage| stage.world.script("ecs:DescribeServices", Fault::Denied, 1);
    let mut all = String::new();
    for (prepare, inputs) in [
        (nothing, &[("passes", "0"), ("interval", "30"), ("expcet", "status == 200")][..]),
        (nothing, &[("services", "auth"), ("expect", "status = 200\nlatency < 500\njson(/version) == '${VERSION}'")]),
        (nothing, &[("services", "auth"), ("url", "shop.example.com/health")]),
        (nothing, &[("services", "web"), ("expect", "status == 200")]),
        (nothing, &[("url", "https://shop.example.com")]),
        (no_delivery, &[("url", "https://shop.example.com"), ("answer-pause", "true")]),
        (no_delivery, &[("cluster", "shop"), ("service", "auth"), ("deployment-status", "true")]),
        (nothing, &[("services", "auth"), ("service", "authentication")]),
        (nothing, &[("services", "auth"), ("commit", "ffffffffffffffffffffffffffffffffffffffff")]),
        (nothing, &[("services", "[]")]),
        (no_commit, &[("services", "auth")]),
        (no_delivery, &[]),
        (no_delivery, &[("service", "auth")]),
        (denied, &[("services", "auth")]),
    ] {
        all += &told(prepare, inputs).await;
    }
    assert_snapshot!(all);
}
