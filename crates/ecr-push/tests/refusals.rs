//! What is refused, before anything is touched, and what a person reads of it.

use insta::assert_snapshot;
use stage::{COMMIT, Stage, steady};
use world::Fault;

use crate::shop::{DELIVERY, Shop, push, shop};

/// Asserts that a run is refused with this exit code, within one annotation and a hint, and that nothing was written.
async fn check(stage: &Stage, inputs: &[(&str, &str)], exit_code: u8) -> String {
    let (ran, writes) = push(stage, inputs).await;
    assert_eq!((ran.output("result"), ran.exit_code), ("failed", exit_code), "{}", ran.log);
    assert_eq!(writes, [""; 0]);
    let annotations = ran.annotations();
    assert_eq!(annotations.len(), 1, "{annotations:?}");
    assert!(annotations[0].contains("\nhint: ") || annotations[0].contains(" problems:\n"), "{annotations:?}");
    steady(&annotations[0])
}

/// A shop whose registry has the commit's image of `auth` already.
async fn pushed() -> Shop {
    let shop = shop().await;
    let (ran, _) = shop.push(&[("services", "auth")]).await;
    assert_eq!(ran.output("result"), "pushed", "{}", ran.log);
    shop
}

#[tokio::test]
async fn another_image_behind_the_commit_s_tag() {
    let shop = pushed().await;
    shop.build("auth", "2", None).await;
    assert_snapshot!("other_image", check(&shop.stage, &[("services", "auth")], 2).await);
    shop.build("auth", "2", Some(&COMMIT.replace('0', "f"))).await;
    assert_snapshot!("other_image_of_another_commit", check(&shop.stage, &[("services", "auth")], 2).await);
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
    shop.stage.file("delivery.toml", delivery);
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
    assert_snapshot!("one_image_for_two_services", check(&shop.stage, &[("image", "x:1")], 2).await);
    assert_snapshot!("without_a_delivery_file", check(&Stage::new(), &[], 2).await);
}

#[tokio::test]
async fn a_role_that_lacks_a_permission_is_told_which() {
    let shop = shop().await;
    shop.stage.world.script("ecr:DescribeImages", Fault::Denied, 1);
    assert_snapshot!(check(&shop.stage, &[("services", "auth")], 3).await);
}
