//! What is refused, before anything is touched, and what a person reads of it.

use insta::assert_snapshot;
use stage::{COMMIT, Stage};
use world::Fault;

use crate::shop::{DELIVERY, deploy, shop};

/// Asserts that a run is refused with this exit code, within one annotation and a hint, and that nothing was written.
async fn check(stage: &Stage, inputs: &[(&str, &str)], exit_code: u8) -> String {
    let ran = deploy(stage, inputs).await;
    assert_eq!((ran.output("result"), ran.exit_code), ("refused", exit_code), "{}", ran.log);
    assert!(stage.world.writes().is_empty(), "{:?}", stage.world.writes());
    let annotations = ran.annotations();
    assert_eq!(annotations.len(), 1, "{annotations:?}");
    assert!(annotations[0].contains("\nhint: "), "{annotations:?}");
    annotations[0].clone()
}

#[tokio::test(start_paused = true)]
async fn without_a_delivery_file_or_inputs() {
    assert_snapshot!(check(&Stage::new(), &[], 2).await);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_service_and_an_unknown_input() {
    let stage = shop("serves");
    assert_snapshot!(check(&stage, &[("services", "atuh")], 2).await);
    assert_snapshot!(check(&stage, &[("service-name", "auth")], 2).await);
}

#[tokio::test(start_paused = true)]
async fn a_task_definition_that_is_not_json_or_uses_an_unknown_variable() {
    let stage = shop("serves");
    stage.file("deploy/auth.json", "{\n  family: \"shop-auth\"\n}\n");
    assert_snapshot!(check(&stage, &[], 2).await);
    stage.file("deploy/auth.json", "{\n  \"family\": \"shop-auth\",\n  \"cpu\": \"${CPUS}\"\n}\n");
    assert_snapshot!(check(&stage, &[], 2).await);
}

#[tokio::test(start_paused = true)]
async fn an_image_that_nobody_pushed_and_a_service_that_is_not_there() {
    let stage = shop("serves");
    let nobody_pushed = COMMIT.replace('0', "f");
    assert_snapshot!(check(&stage, &[("commit", &nobody_pushed)], 2).await);
    stage.file("delivery.toml", DELIVERY.replace("container = \"app\"", "container = \"app\"\nservice = \"login\""));
    assert_snapshot!(check(&stage, &[], 2).await);
    let both = deploy(&stage, &[("commit", &nobody_pushed)]).await;
    assert_snapshot!(both.annotations().join("\n"));
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_is_not_there() {
    assert_snapshot!(check(&shop("serves"), &[("cluster", "store")], 2).await);
}

#[tokio::test(start_paused = true)]
async fn a_role_that_lacks_a_permission_is_told_which() {
    let stage = shop("serves");
    stage.world.script("ecs:DescribeTaskDefinition", Fault::Denied, 1);
    assert_snapshot!(check(&stage, &[], 3).await);
}

#[tokio::test(start_paused = true)]
async fn a_job_without_an_identity_token() {
    let stage = shop("serves");
    assert_snapshot!(check(&stage, &[("role-to-assume", "arn:aws:iam::111122223333:role/deliver")], 3).await);
}

#[tokio::test(start_paused = true)]
async fn the_wrong_account() {
    let stage = shop("serves");
    assert_snapshot!(check(&stage, &[("allowed-account-ids", "444455556666")], 3).await);
}

#[tokio::test(start_paused = true)]
async fn no_region() {
    let mut stage = shop("serves");
    stage.set("AWS_REGION", "");
    stage.file("delivery.toml", DELIVERY.replace("region = \"eu-west-1\"\n", ""));
    assert_snapshot!(check(&stage, &[], 2).await);
}
