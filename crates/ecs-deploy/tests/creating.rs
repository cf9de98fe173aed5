//! Services that do not exist yet, and first deployments.

use insta::assert_snapshot;
use serde_json::{Value, json};
use stage::Stage;

use crate::shop::{DELIVERY, auth, checkout, deploy, ends, ledger, push, running, told, written};

/// A cluster without a service, and what the service is to be made from.
fn empty_shop(behaviour: &str) -> Stage {
    let stage = checkout();
    stage.world.create_cluster("shop");
    stage.world.create_log_group("/shop/auth");
    stage.world.create_role("shop-execution");
    push(&stage, stage::COMMIT, behaviour);
    stage.file(
        "delivery.toml",
        DELIVERY
            .replace("container = \"app\"", "container = \"app\"\nservice-definition = \"deploy/auth.service.json\""),
    );
    stage.file("deploy/auth.service.json", service_definition().to_string());
    stage
}

fn service_definition() -> Value {
    json!({
        "desiredCount": 2,
        "launchType": "FARGATE",
        "deploymentConfiguration": { "deploymentCircuitBreaker": { "enable": true, "rollback": true } },
        "networkConfiguration": { "awsvpcConfiguration": {
            "subnets": ["subnet-0a1b2c3d4e5f60718"], "securityGroups": ["sg-0a1b2c3d4e5f60718"], "assignPublicIp": "DISABLED",
        } },
        "tags": [{ "key": "team", "value": "${ENVIRONMENT}" }],
    })
}

#[tokio::test(start_paused = true)]
async fn a_service_is_made_when_that_is_asked_for() {
    let stage = empty_shop("serves");
    let ran = deploy(&stage, &[("create", "true")]).await;
    ends(&ran, "deployed", 0);
    assert_eq!(running(&stage), ("shop-auth:1".to_owned(), 2));
    assert_eq!(
        written(&stage),
        [
            "lock",
            "ledger: release 1 deploying",
            "register shop-auth:1",
            "create auth with shop-auth:1",
            "ledger: release 1 deployed",
            "unlock"
        ]
    );
    assert_snapshot!(told(&ran));
    let again = deploy(&stage, &[("create", "true")]).await;
    ends(&again, "unchanged", 0);
}

#[tokio::test(start_paused = true)]
async fn a_service_is_not_made_unasked() {
    let stage = empty_shop("serves");
    let ran = deploy(&stage, &[]).await;
    ends(&ran, "refused", 2);
    assert!(written(&stage).is_empty());
    assert_snapshot!(ran.annotations().join("\n"));
}

#[tokio::test(start_paused = true)]
async fn a_service_cannot_be_made_from_nothing() {
    let stage = empty_shop("serves");
    stage.file("delivery.toml", DELIVERY);
    let ran = deploy(&stage, &[("create", "true")]).await;
    ends(&ran, "refused", 2);
    assert!(written(&stage).is_empty());
    assert_snapshot!(ran.annotations().join("\n"));
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_makes_nothing() {
    let stage = empty_shop("serves");
    let ran = deploy(&stage, &[("create", "true"), ("dry-run", "true")]).await;
    ends(&ran, "planned", 0);
    assert!(written(&stage).is_empty());
    assert_snapshot!(told(&ran));
}

#[tokio::test(start_paused = true)]
async fn a_first_deployment_that_fails_has_nothing_to_go_back_to() {
    for (inputs, desired) in
        [(&[("create", "true")][..], 2), (&[("create", "true"), ("on-first-failure", "scale-to-zero")][..], 0)]
    {
        let stage = empty_shop("exits 1 after 1 s: no such table");
        let ran = deploy(&stage, inputs).await;
        ends(&ran, "failed", 1);
        assert_eq!(auth(&stage).desired, desired);
        assert_eq!(ledger(&stage)["s"], "failed");
        assert_snapshot!(format!("{}\n\n{}", written(&stage).join("\n"), told(&ran)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_definition_that_ecs_refuses_or_that_is_none() {
    let stage = empty_shop("serves");
    let mut definition = service_definition();
    definition["networkConfiguration"] = json!(null);
    stage.file("deploy/auth.service.json", definition.to_string());
    let ran = deploy(&stage, &[("create", "true")]).await;
    assert_eq!((ran.output("result"), ran.exit_code), ("failed", 2), "{}", ran.log);
    assert_snapshot!(ran.annotations().join("\n"));
    stage.file("deploy/auth.service.json", "{ \"desiredCount\": ${COUNT} }");
    let ran = deploy(&stage, &[("create", "true")]).await;
    ends(&ran, "refused", 2);
    assert_snapshot!(ran.annotations().join("\n"));
}
