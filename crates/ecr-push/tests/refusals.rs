//! What is refused, before anything is touched, and what a person reads of it.

use insta::assert_snapshot;
use stage::{COMMIT, Stage, steady};
use world::Fault;

use crate::shop::{DELIVERY, push, shop};

/// Asserts that a run is refused with this exit code, within one annotation and a hint, and that nothing was written.
pub(crate) async fn check(stage: &Stage, inputs: &[(&str, &str)], exit_code: u8) -> String {
    let (ran, writes) = push(stage, inputs).await;
    assert_eq!((ran.output("result"), ran.exit_code), ("failed", exit_code), "{}", ran.log);
    assert_eq!(writes, [""; 0]);
    let annotations = ran.annotations();
    assert_eq!(annotations.len(), 1, "{annotations:?}");
    assert!(annotations[0].contains("\nhint: ") || annotations[0].contains(" problems:\n"), "{annotations:?}");
    steady(&annotations[0])
}

#[tokio::test]
async fn an_image_of_another_commit() {
    let shop = shop().await;
    shop.build("auth", "2", Some(&COMMIT.replace('0', "f"))).await;
    assert_snapshot!(check(&shop.stage, &[("services", "auth")], 2).await);
}

#[tokio::test]
async fn a_repository_and_an_image_that_are_not_there_are_told_at_once() {
    let shop = shop().await;
    let delivery = DELIVERY.replace("repository = \"shop/auth\"", "repository = \"shop/login\"");
    shop.stage.file("delivery.toml", delivery.replace("[repositories]", "[repositories]\ncreate = false"));
    let other = COMMIT.replace('0', "f");
    assert_snapshot!(check(&shop.stage, &[("commit", other.as_str())], 2).await);
}

#[tokio::test]
async fn no_engine_to_push_from() {
    let mut shop = shop().await;
    shop.stage.set("DOCKER_HOST", "unix:///nowhere/docker.sock");
    assert_snapshot!("no_engine", check(&shop.stage, &[], 4).await);
    shop.stage.set("DOCKER_HOST", "ssh://builder");
    assert_snapshot!("no_such_scheme", check(&shop.stage, &[], 2).await);
}

#[tokio::test]
async fn inputs_that_make_no_sense() {
    let shop = shop().await;
    assert_snapshot!(
        "malformed_inputs",
        check(&shop.stage, &[("repository", "Shop"), ("tags", ".x"), ("registy", "x")], 2).await
    );
    assert_snapshot!(
        "registry_with_a_scheme",
        check(&shop.stage, &[("registry", "https://registry.example.com")], 2).await
    );
    assert_snapshot!("moving_the_commit", check(&shop.stage, &[("tags", COMMIT)], 2).await);
    assert_snapshot!("moving_contents", check(&shop.stage, &[("tags", "key-1234")], 2).await);
    assert_snapshot!("too_many_to_move", check(&shop.stage, &[("tags", "a, b, c")], 2).await);
    assert_snapshot!("unknown_gate", check(&shop.stage, &[("gate", "ecr, trivy")], 2).await);
    let address = "111122223333.dkr.ecr.eu-west-1.amazonaws.com/shop/auth:latest";
    assert_snapshot!("a_repository_by_its_address", check(&shop.stage, &[("repository", address)], 2).await);
    assert_snapshot!("one_image_for_two_services", check(&shop.stage, &[("image", "x:1")], 2).await);
    assert_snapshot!("without_a_delivery_file", check(&Stage::new(), &[], 2).await);
}

#[tokio::test]
async fn a_role_that_lacks_a_permission_is_told_which() {
    let shop = shop().await;
    shop.stage.world.script("ecr:BatchGetImage", Fault::Denied, 1);
    assert_snapshot!(check(&shop.stage, &[("services", "auth")], 3).await);
}

#[tokio::test]
async fn patterns_that_would_let_a_commit_move() {
    let shop = shop().await;
    shop.stage.file("delivery.toml", DELIVERY.replace("\"stable\"", "\"*\""));
    assert_snapshot!(check(&shop.stage, &[], 2).await);
}

#[tokio::test]
async fn a_lifecycle_policy_that_is_none() {
    let shop = shop().await;
    shop.add_to_delivery("lifecycle-policy = \"lifecycle.json\"");
    assert_snapshot!("no_lifecycle_policy", check(&shop.stage, &[], 2).await);
    shop.stage.file("lifecycle.json", "{}");
    assert_snapshot!("a_lifecycle_policy_without_rules", check(&shop.stage, &[], 2).await);
}

#[tokio::test]
async fn a_tag_that_could_not_move_is_refused_before_the_push() {
    let shop = shop().await;
    shop.stage.world.make_tags_immutable("shop/auth");
    assert_snapshot!(check(&shop.stage, &[("services", "auth"), ("tags", "main")], 2).await);
}
