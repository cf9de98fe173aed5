//! `operation: rotate`: a secret gets a new value, and what uses it starts anew; or all is as it was.

use insta::assert_snapshot;
use serde_json::json;
use stage::{Ran, Stage};
use world::Fault;

use crate::fleet::{THREE, push, runs, three_of};
use crate::shop::{deploy, ends, is_locked, ledger, told, written};

const OLD: &str = "0ld-passw0rd";
const NEW: &str = "n3w-passw0rd";
const PARAMETER: &str = "/shop/staging/database-password";

const ROTATE: (&str, &str) = ("operation", "rotate");

/// `auth` and `nginx` are given this secret, `api` is not. Their images are tags, so that somebody can move them.
fn shop_with_secret(stage_of: impl Fn(&Stage) -> String) -> Stage {
    // The secret has an ARN only once it is made, and the services name it.
    let probe = Stage::new();
    let reference = stage_of(&probe);
    let stage = three_of(["serves"; 3], |name, seed| {
        let container = &mut seed.task_definition["containerDefinitions"][0];
        container["image"] = json!(format!("111122223333.dkr.ecr.eu-west-1.amazonaws.com/shop/{name}:old"));
        if name != "api" {
            container["secrets"] = json!([{ "name": "DATABASE_PASSWORD", "valueFrom": reference }]);
        }
    });
    assert_eq!(stage_of(&stage), reference);
    stage
}

fn shop_with_parameter() -> Stage {
    shop_with_secret(|stage| {
        stage.world.put_secure_parameter(PARAMETER, OLD, Some("alias/shop"));
        PARAMETER.to_owned()
    })
}

/// No value of a secret is anywhere to be seen, but where the runner is asked to mask it.
#[track_caller]
fn keeps_the_secret(stage: &Stage, ran: &Ran) {
    let masks = format!("::add-mask::{NEW}");
    assert!(ran.log.lines().any(|line| line.starts_with(&masks)), "{}", ran.log);
    let log: Vec<&str> = ran.log.lines().filter(|line| !line.starts_with("::add-mask::")).collect();
    let outputs: Vec<&String> = ran.outputs.values().chain(ran.state.values()).collect();
    let everything = format!("{log:?}{}{outputs:?}{}", ran.summary, ledger(stage));
    assert!(!everything.contains(NEW) && !everything.contains(OLD), "{everything}");
    assert!(stage.world.deployments("org/shop").iter().all(|one| !format!("{one:?}").contains(NEW)));
}

/// What was written, without the lock and the ledger.
fn changes(stage: &Stage) -> Vec<String> {
    let is_ours = |write: &String| !["lock", "unlock"].contains(&write.as_str()) && !write.starts_with("ledger");
    written(stage).into_iter().filter(is_ours).collect()
}

#[tokio::test(start_paused = true)]
async fn a_parameter_gets_its_new_value_and_only_what_uses_it_starts_anew() {
    let stage = shop_with_parameter();
    let ran = deploy(&stage, &[ROTATE, ("secret", PARAMETER), ("secret-value", NEW)]).await;
    ends(&ran, "deployed", 0);
    assert_eq!(stage.world.parameter(PARAMETER).as_deref(), Some(NEW));
    assert_eq!(
        changes(&stage),
        [
            "ssm:PutParameter",
            "update auth to shop-auth:1, forceNewDeployment true",
            "update nginx to shop-nginx:1, forceNewDeployment true",
        ]
    );
    let put = stage.world.calls().into_iter().find(|call| call.body["Name"] == PARAMETER && call.is_write()).unwrap();
    assert_eq!(put.body["KeyId"], "alias/shop", "it stays encrypted by the key that it was encrypted by");
    assert_eq!(runs(&stage, &THREE), THREE.map(|name| format!("shop-{name}:1 × 2")));
    assert_eq!(stage.world.service("shop", "api").unwrap().service_deployments.len(), 1);
    assert_eq!(ran.output("services"), r#"{"auth":"deployed","nginx":"deployed"}"#);
    assert_eq!((&ledger(&stage)["o"], &ledger(&stage)["s"]), (&json!("rotate"), &json!("deployed")));
    assert!(!is_locked(&stage));
    keeps_the_secret(&stage, &ran);
    assert_snapshot!(told(&ran));
}

#[tokio::test(start_paused = true)]
async fn a_rotation_can_be_planned() {
    let stage = shop_with_parameter();
    let ran = deploy(&stage, &[ROTATE, ("secret", PARAMETER), ("secret-value", NEW), ("dry-run", "true")]).await;
    ends(&ran, "planned", 0);
    assert_eq!(written(&stage), Vec::<String>::new());
    assert_eq!(stage.world.parameter(PARAMETER).as_deref(), Some(OLD));
    keeps_the_secret(&stage, &ran);
    assert_snapshot!(told(&ran));
}

#[tokio::test(start_paused = true)]
async fn services_that_do_not_come_up_get_the_old_value_back() {
    let stage = shop_with_parameter();
    push(&stage, "nginx", "old", "exits 1 after 1 s: access denied for user shop");
    let ran = deploy(&stage, &[ROTATE, ("secret", PARAMETER), ("secret-value", NEW)]).await;
    assert_eq!(ran.exit_code, 1, "{}", ran.log);
    assert_eq!(stage.world.parameter(PARAMETER).as_deref(), Some(OLD));
    assert_eq!(runs(&stage, &THREE), THREE.map(|name| format!("shop-{name}:1 × 2")));
    assert!(!is_locked(&stage));
    assert_ne!(ledger(&stage)["s"], "deploying");
    keeps_the_secret(&stage, &ran);
    assert_eq!(
        changes(&stage),
        [
            "ssm:PutParameter",
            "update auth to shop-auth:1, forceNewDeployment true",
            "update nginx to shop-nginx:1, forceNewDeployment true",
            "ssm:PutParameter",
            "update auth to shop-auth:1, forceNewDeployment true",
        ],
        "what has taken up the new value takes up the old one again"
    );
    assert_snapshot!(told(&ran));
}

#[tokio::test(start_paused = true)]
async fn a_secret_is_rotated_by_its_name_or_its_arn() {
    for by_arn in [false, true] {
        let stage = shop_with_secret(|stage| stage.world.put_secret("shop/database", OLD));
        let arn = stage.world.put_secret("shop/database", OLD);
        let named = if by_arn { arn.as_str() } else { "shop/database" };
        let ran = deploy(&stage, &[ROTATE, ("secret", named), ("secret-value", NEW)]).await;
        ends(&ran, "deployed", 0);
        assert_eq!(stage.world.secret("shop/database").as_deref(), Some(NEW), "{named}");
        assert_eq!(ran.output("services"), r#"{"auth":"deployed","nginx":"deployed"}"#);
        keeps_the_secret(&stage, &ran);
    }
}

#[tokio::test(start_paused = true)]
async fn a_secret_whose_new_value_does_not_work_has_its_old_one_again() {
    let stage = shop_with_secret(|stage| stage.world.put_secret("shop/database", OLD));
    push(&stage, "auth", "old", "exits 1 after 1 s: access denied for user shop");
    let ran = deploy(&stage, &[ROTATE, ("secret", "shop/database"), ("secret-value", NEW)]).await;
    assert_eq!(ran.exit_code, 1, "{}", ran.log);
    assert_eq!(stage.world.secret("shop/database").as_deref(), Some(OLD));
    assert_eq!(stage.world.service("shop", "nginx").unwrap().service_deployments.len(), 1, "a later wave");
    keeps_the_secret(&stage, &ran);
    assert_snapshot!(told(&ran));
}

#[tokio::test(start_paused = true)]
async fn a_key_of_a_json_secret_has_to_be_in_the_new_value() {
    let stage = shop_with_secret(|stage| {
        format!(
            "{}:password::",
            stage.world.put_secret("shop/database", r#"{"user":"shop","password":"0ld-passw0rd"}"#)
        )
    });
    let ran = deploy(&stage, &[ROTATE, ("secret", "shop/database"), ("secret-value", NEW)]).await;
    ends(&ran, "refused", 2);
    assert_eq!(written(&stage), Vec::<String>::new());
    keeps_the_secret(&stage, &ran);
    assert_snapshot!(told(&ran));
    let whole = r#"{"user":"shop","password":"n3w-passw0rd"}"#;
    let ran = deploy(&stage, &[ROTATE, ("secret", "shop/database"), ("secret-value", whole)]).await;
    ends(&ran, "deployed", 0);
    assert_eq!(stage.world.secret("shop/database").as_deref(), Some(whole));
    let log: Vec<&str> = ran.log.lines().filter(|line| !line.starts_with("::add-mask::")).collect();
    assert!(!format!("{log:?}{}{:?}", ran.summary, ran.outputs).contains(NEW));
}

#[tokio::test(start_paused = true)]
async fn a_value_that_was_written_already_is_only_taken_up() {
    let stage = shop_with_parameter();
    let ran = deploy(&stage, &[ROTATE, ("secret", PARAMETER)]).await;
    ends(&ran, "deployed", 0);
    assert_eq!(
        changes(&stage),
        [
            "update auth to shop-auth:1, forceNewDeployment true",
            "update nginx to shop-nginx:1, forceNewDeployment true",
        ]
    );
    assert_eq!(stage.world.parameter(PARAMETER).as_deref(), Some(OLD));
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_nobody_uses_or_that_is_not_there_is_refused() {
    let stage = shop_with_parameter();
    stage.world.put_secure_parameter("/shop/staging/other", OLD, None);
    let mut told = String::new();
    for secret in ["/shop/staging/other", "/shop/staging/databse-password"] {
        let ran = deploy(&stage, &[ROTATE, ("secret", secret), ("secret-value", NEW)]).await;
        ends(&ran, "refused", 2);
        keeps_the_secret(&stage, &ran);
        told += &crate::shop::told(&ran);
    }
    assert_eq!(written(&stage), Vec::<String>::new());
    assert_snapshot!(told);
}

#[tokio::test(start_paused = true)]
async fn a_value_that_may_not_be_written_changes_nothing() {
    let stage = shop_with_parameter();
    // The key of a parameter is kept, and so has to be known.
    stage.world.script("ssm:DescribeParameters", Fault::Denied, 99);
    let ran = deploy(&stage, &[ROTATE, ("secret", PARAMETER), ("secret-value", NEW)]).await;
    assert_ne!(ran.output("result"), "deployed", "{}", ran.log);
    assert_eq!(stage.world.parameter(PARAMETER).as_deref(), Some(OLD));
    assert!(!changes(&stage).iter().any(|write| write.starts_with("update")), "{:?}", changes(&stage));
    assert!(!is_locked(&stage));
    assert_snapshot!(told(&ran));
}
