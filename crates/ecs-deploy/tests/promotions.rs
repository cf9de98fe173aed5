//! `operation: promote`: the release that runs in one environment is brought to another, image by image.

use insta::assert_snapshot;
use serde_json::{Value, json};
use stage::{COMMIT, Stage};
use world::{CircuitBreaker, ServiceSeed};

use crate::fleet::{Ship, definition, delivery, image, push};
use crate::shop::{deploy, ends, last, ledger, told, written};

const SHIPS: [Ship<'_>; 2] = [("auth", &[], "serves"), ("nginx", &["auth"], "serves")];

const PROMOTE: [(&str, &str); 3] = [("operation", "promote"), ("environment", "production"), ("from", "staging")];

/// Two environments, each with a cluster and its two services; staging runs the commit.
async fn two_environments(behaviour: &str) -> Stage {
    let stage = Stage::new();
    let production = r#"
[environments.production]
branch = "release"
region = "eu-west-1"
cluster = "shop-production"
variables = { LOG_LEVEL = "warn" }
"#;
    stage.file("delivery.toml", delivery(&SHIPS) + production);
    for (name, _, _) in SHIPS {
        let mut file = definition(name, "${IMAGE}", "${LOG_LEVEL}");
        file["family"] = json!(format!("{name}-${{ENVIRONMENT}}"));
        stage.file(&format!("deploy/{name}.json"), file.to_string());
        push(&stage, name, COMMIT, if name == "nginx" { behaviour } else { "serves" });
        for (environment, cluster) in [("staging", "shop"), ("production", "shop-production")] {
            let old = push(&stage, name, "old", "serves");
            let mut seed = definition(name, &image(name, &old), "info");
            seed["family"] = json!(format!("{name}-{environment}"));
            stage.world.create_service(ServiceSeed {
                cluster: cluster.to_owned(),
                name: name.to_owned(),
                task_definition: seed,
                desired_count: 2,
                circuit_breaker: Some(CircuitBreaker { rollback: true }),
                ..ServiceSeed::default()
            });
        }
    }
    let ran = deploy(&stage, &[("environment", "staging")]).await;
    assert_eq!(ran.output("release"), "1", "{}", ran.log);
    stage.another_run()
}

/// What both services run in production, and from which image.
fn production(stage: &Stage) -> Vec<(String, u32, Vec<String>)> {
    let services = SHIPS.iter().map(|(name, ..)| stage.world.service("shop-production", name).unwrap());
    services.map(|service| (last(&service.task_definition), service.running, service.images)).collect()
}

/// The ledger of production.
fn production_ledger(stage: &Stage) -> Value {
    let text = stage.world.parameter("/delivery/shop/production/release");
    text.map_or(Value::Null, |text| serde_json::from_str(&text).unwrap())
}

#[tokio::test(start_paused = true)]
async fn what_runs_in_one_environment_is_brought_to_the_other_by_digest() {
    let stage = two_environments("serves").await;
    // The event is about another commit by now.
    let mut stage = stage.another_run();
    stage.set("GITHUB_SHA", "2222222222222222222222222222222222222222");
    let before = written(&stage).len();
    let ran = deploy(&stage, &PROMOTE).await;
    ends(&ran, "deployed", 0);
    let mut writes = written(&stage)[before..].to_vec();
    writes[2..4].sort();
    assert_eq!(
        writes,
        [
            "lock",
            "ledger: release 1 deploying",
            "register auth-production:2",
            "register nginx-production:2",
            "update auth to auth-production:2",
            "update nginx to nginx-production:2",
            "ledger: release 1 deployed",
            "unlock",
        ]
    );
    let digest = |name: &str| stage.world.image_digest(&format!("shop/{name}"), COMMIT).unwrap();
    let expected = |name: &str| (format!("{name}-production:2"), 2, vec![image(name, &digest(name))]);
    assert_eq!(production(&stage), [expected("auth"), expected("nginx")]);
    let entry = production_ledger(&stage);
    assert_eq!(
        (&entry["o"], &entry["s"], &entry["c"]),
        (&json!("promote"), &json!("deployed"), &json!(COMMIT)),
        "{entry}"
    );
    assert_eq!(ledger(&stage)["r"], 1, "staging is as it was");
    assert!(stage.world.parameter("/delivery/shop/production/lock").is_none());
    assert_snapshot!(told(&ran));
    // Once more there is nothing to do.
    let before = written(&stage).len();
    ends(&deploy(&stage.another_run(), &PROMOTE).await, "unchanged", 0);
    assert_eq!(written(&stage).len(), before);
}

#[tokio::test(start_paused = true)]
async fn a_promotion_can_be_planned() {
    let stage = two_environments("serves").await;
    let before = written(&stage).len();
    let ran = deploy(&stage, &[&PROMOTE[..], &[("dry-run", "true")]].concat()).await;
    ends(&ran, "planned", 0);
    assert_eq!(written(&stage).len(), before);
    assert_snapshot!(told(&ran));
}

#[tokio::test(start_paused = true)]
async fn a_release_that_failed_is_not_promoted() {
    let stage = two_environments("exits 1 after 1 s").await;
    assert_eq!(ledger(&stage)["s"], "rolled-back");
    let before = written(&stage).len();
    let ran = deploy(&stage, &PROMOTE).await;
    assert_eq!(ran.output("result"), "refused", "{}", ran.log);
    assert_ne!(ran.exit_code, 0);
    assert_eq!(written(&stage).len(), before);
    assert!(production_ledger(&stage).is_null());
    assert_snapshot!(told(&ran));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_promoted_where_nothing_was_delivered_or_to_itself() {
    let stage = two_environments("serves").await;
    let before = written(&stage).len();
    let mut told = String::new();
    for inputs in [
        [("operation", "promote"), ("environment", "staging"), ("from", "production")],
        [("operation", "promote"), ("environment", "staging"), ("from", "staging")],
        [("operation", "promote"), ("environment", "production"), ("from", "stagging")],
    ] {
        let ran = deploy(&stage, &inputs).await;
        assert_eq!(ran.output("result"), "refused", "{}", ran.log);
        told += &format!("{}\n", ran.log);
    }
    assert_eq!(written(&stage).len(), before);
    assert_snapshot!(told);
}

#[tokio::test(start_paused = true)]
async fn an_image_that_has_gone_since_is_missed_before_anything_changes() {
    let stage = two_environments("serves").await;
    let digest = stage.world.image_digest("shop/nginx", COMMIT).unwrap();
    stage.world.delete_image("shop/nginx", &digest);
    let before = written(&stage).len();
    let ran = deploy(&stage, &PROMOTE).await;
    assert_eq!(ran.output("result"), "refused", "{}", ran.log);
    assert_eq!(written(&stage).len(), before);
    assert_snapshot!(told(&ran));
}
