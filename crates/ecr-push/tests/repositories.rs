//! Repositories: made where they are missing, compared with what is wanted where they are there.

use insta::assert_snapshot;
use serde_json::{Value, json};
use stage::{COMMIT, steady};
use world::{Fault, RepositorySeed};

use crate::refusals::check;
use crate::shop::{DELIVERY, Shop, as_wanted, shop};

/// A shop whose registry has no repository for `auth`.
async fn without_repository() -> Shop {
    let shop = shop().await;
    shop.stage.file("delivery.toml", DELIVERY.replace("\"shop/auth\"", "\"shop/login\""));
    let image = shop.local("auth").await;
    let docker = shop.stage.edges(&[]).docker().await.unwrap();
    docker.tag(image.id.as_str(), &format!("shop/login:{COMMIT}")).await.unwrap();
    shop
}

/// The body of the last call of this name.
fn asked(shop: &Shop, name: &str) -> Value {
    let calls = shop.stage.world.calls();
    calls.into_iter().rev().find(|call| call.name == name).map(|call| call.body).unwrap_or_default()
}

fn written(writes: &[String]) -> Vec<&str> {
    writes.iter().map(String::as_str).filter(|name| name.starts_with("ecr:")).collect()
}

#[tokio::test]
async fn a_repository_that_is_missing_is_made_as_it_should_be() {
    let shop = without_repository().await;
    let (ran, writes) = shop.push(&[("services", "auth"), ("tags", "main")]).await;
    assert_eq!((ran.output("result"), ran.exit_code), ("pushed", 0), "{}", ran.log);
    assert_eq!(written(&writes), ["ecr:CreateRepository", "ecr:PutLifecyclePolicy", "ecr:PutImage", "ecr:PutImage"]);
    let made = asked(&shop, "ecr:CreateRepository");
    let filter = |tag: &str| json!({ "filterType": "WILDCARD", "filter": tag });
    assert_eq!(
        made,
        json!({
            "repositoryName": "shop/login",
            "imageTagMutability": "IMMUTABLE_WITH_EXCLUSION",
            "imageTagMutabilityExclusionFilters": [filter("latest"), filter("main"), filter("stable")],
            "imageScanningConfiguration": { "scanOnPush": true },
            "encryptionConfiguration": { "encryptionType": "AES256" },
        })
    );
    let policy: Value =
        serde_json::from_str(asked(&shop, "ecr:PutLifecyclePolicy")["lifecyclePolicyText"].as_str().unwrap()).unwrap();
    let counts = [0, 1].map(|rule| policy["rules"][rule]["selection"]["countNumber"].as_u64());
    assert_eq!(counts, [Some(7), Some(10)]);
    assert_eq!(ran.output("registry"), "111122223333.dkr.ecr.eu-west-1.amazonaws.com");
    assert_snapshot!("made_summary", steady(&ran.summary));
    // What was made is what is wanted.
    shop.stage.world.delete_image("shop/login", COMMIT);
    let (ran, writes) = shop.push(&[("services", "auth")]).await;
    assert_eq!((ran.output("result"), written(&writes)), ("pushed", vec!["ecr:PutImage"]), "{}", ran.log);
    assert!(!ran.summary.contains("**Repositories**"), "{}", ran.summary);
}

#[tokio::test]
async fn encryption_and_what_is_kept_are_the_delivery_file_s_to_say() {
    let shop = without_repository().await;
    let text = std::fs::read_to_string(shop.stage.workspace().join("delivery.toml")).unwrap();
    shop.stage.file(
        "delivery.toml",
        text + "encryption = \"KMS\"\nkms-key = \"alias/shop\"\nkeep-images = 30\nexpire-untagged-days = 1\n",
    );
    let (ran, _) = shop.push(&[("services", "auth")]).await;
    assert_eq!((ran.output("result"), ran.exit_code), ("pushed", 0), "{}", ran.log);
    let made = asked(&shop, "ecr:CreateRepository");
    assert_eq!(made["encryptionConfiguration"], json!({ "encryptionType": "KMS", "kmsKey": "alias/shop" }));
    assert!(asked(&shop, "ecr:PutLifecyclePolicy")["lifecyclePolicyText"].as_str().unwrap().contains(":30"));
}

#[tokio::test]
async fn two_runs_may_make_the_same_repository() {
    let shop = without_repository().await;
    let world = shop.stage.world.clone();
    shop.stage.on_answer(move |operation, _| {
        if operation == "GetRegistryScanningConfiguration" {
            world.set_up_repository(as_wanted("shop/login"));
        }
    });
    let (ran, writes) = shop.push(&[("services", "auth")]).await;
    assert_eq!((ran.output("result"), ran.exit_code), ("pushed", 0), "{}", ran.log);
    assert_eq!(written(&writes), ["ecr:CreateRepository", "ecr:PutImage"]);
}

#[tokio::test]
async fn a_role_that_may_not_make_a_repository_is_told_the_permission() {
    let shop = without_repository().await;
    shop.stage.world.script("ecr:CreateRepository", Fault::Denied, 1);
    let (ran, _) = shop.push(&[("services", "auth")]).await;
    assert_eq!((ran.output("result"), ran.exit_code), ("failed", 3), "{}", ran.log);
    assert_snapshot!(steady(&ran.annotations().join("\n")));
}

#[tokio::test]
async fn a_blocked_image_gets_no_repository() {
    let shop = without_repository().await;
    let (ran, writes) = shop.push(&[("services", "auth"), ("gate", "report")]).await;
    assert_eq!((ran.output("result"), ran.exit_code), ("blocked", 1), "{}", ran.log);
    assert_eq!(writes, [""; 0]);
    let (ran, writes) = shop.push(&[("services", "auth"), ("dry-run", "true")]).await;
    assert_eq!((ran.output("result"), writes.len()), ("planned", 0), "{}", ran.log);
    assert!(ran.log.contains("  the repository is made\n"), "{}", ran.log);
}

/// A shop whose repository of `auth` is as ECR makes it of a name.
async fn drifted() -> Shop {
    let shop = shop().await;
    shop.stage.world.set_up_repository(RepositorySeed { name: "shop/auth".to_owned(), ..RepositorySeed::default() });
    shop
}

#[tokio::test]
async fn settings_that_drifted_are_told_and_stay() {
    let shop = drifted().await;
    let (ran, writes) = shop.push(&[("services", "auth"), ("tags", "main")]).await;
    assert_eq!((ran.output("result"), ran.exit_code), ("pushed", 0), "{}", ran.log);
    assert_eq!(written(&writes), ["ecr:PutImage", "ecr:PutImage"]);
    assert_snapshot!("drift_summary", steady(&ran.summary));
}

#[tokio::test]
async fn settings_that_drifted_are_changed_where_that_is_asked_for() {
    let shop = drifted().await;
    let (ran, writes) = shop.push(&[("services", "auth"), ("reconcile", "enforce")]).await;
    assert_eq!((ran.output("result"), ran.exit_code), ("pushed", 0), "{}", ran.log);
    let changed = ["ecr:PutImageTagMutability", "ecr:PutImageScanningConfiguration", "ecr:PutLifecyclePolicy"];
    assert_eq!(written(&writes)[..3], changed);
    assert_snapshot!("enforced_summary", steady(&ran.summary));
    shop.stage.world.delete_image("shop/auth", COMMIT);
    let (again, writes) = shop.push(&[("services", "auth"), ("reconcile", "enforce")]).await;
    assert_eq!(written(&writes), ["ecr:PutImage"], "{}", again.log);
}

#[tokio::test]
async fn a_repository_that_lets_no_tag_move_is_changed_for_one_that_has_to() {
    let shop = shop().await;
    shop.stage.world.make_tags_immutable("shop/auth");
    let (ran, _) = shop.push(&[("services", "auth"), ("tags", "main"), ("reconcile", "enforce")]).await;
    assert_eq!((ran.output("result"), ran.exit_code), ("pushed", 0), "{}", ran.log);
    assert_eq!(shop.digest("shop/auth", "main"), shop.digest("shop/auth", COMMIT));
    // The image is there now: only the setting is in the way of another tag.
    shop.stage.world.make_tags_immutable("shop/auth");
    let inputs = [("services", "auth"), ("tags", "stable"), ("reconcile", "enforce")];
    let (ran, writes) = shop.push(&inputs).await;
    assert_eq!((ran.output("result"), ran.exit_code), ("unchanged", 0), "{}", ran.log);
    assert_eq!(written(&writes), ["ecr:PutImageTagMutability", "ecr:PutImage"]);
}

#[tokio::test]
async fn what_the_registry_decides_about_scanning_is_respected() {
    let shop = drifted().await;
    shop.stage.world.scan_registry("ENHANCED", &[("CONTINUOUS_SCAN", "shop/*")]);
    let (ran, writes) = shop.push(&[("services", "auth"), ("reconcile", "enforce")]).await;
    assert_eq!((ran.output("result"), ran.exit_code), ("pushed", 0), "{}", ran.log);
    assert!(!writes.contains(&"ecr:PutImageScanningConfiguration".to_owned()), "{writes:?}");
    assert!(ran.summary.contains("scanned by the registry's ENHANCED rules (CONTINUOUS\\_SCAN)"), "{}", ran.summary);
    shop.stage.world.scan_registry("BASIC", &[("SCAN_ON_PUSH", "bank/*")]);
    shop.stage.world.delete_image("shop/auth", COMMIT);
    let (ran, _) = shop.push(&[("services", "auth"), ("reconcile", "enforce")]).await;
    assert_snapshot!("not_covered_summary", steady(&ran.summary));
}

#[tokio::test]
async fn a_role_that_may_not_look_can_push_and_the_report_says_so() {
    let shop = shop().await;
    shop.stage.world.script("ecr:GetLifecyclePolicy", Fault::Denied, 1);
    let (ran, _) = shop.push(&[("services", "auth")]).await;
    assert_eq!((ran.output("result"), ran.exit_code), ("pushed", 0), "{}", ran.log);
    assert_snapshot!("could_not_look_log", steady(&ran.log));
    // Who wants settings enforced cannot do without.
    shop.stage.world.script("ecr:GetLifecyclePolicy", Fault::Denied, 1);
    assert_snapshot!("enforce_denied", check(&shop.stage, &[("services", "api"), ("reconcile", "enforce")], 3).await);
}
