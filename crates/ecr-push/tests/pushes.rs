//! Pushes that do their work, or find it done, or fail on the way.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use insta::assert_snapshot;
use serde_json::Value;
use stage::{COMMIT, steady};
use world::Fault;

use crate::shop::{push, shop};

#[tokio::test]
async fn an_image_is_pushed_once_and_found_ever_after() {
    let mut shop = shop().await;
    let (ran, writes) = shop.push(&[("services", "auth")]).await;
    assert_eq!((ran.output("result"), ran.exit_code), ("pushed", 0), "{}", ran.log);
    assert_snapshot!("pushed_log", steady(&ran.log));
    assert_snapshot!("pushed_summary", steady(&ran.summary));
    let digest = shop.digest("shop/auth", COMMIT);
    let registry = "111122223333.dkr.ecr.eu-west-1.amazonaws.com";
    assert_eq!(
        ["digest", "repository", "registry", "tags"].map(|name| ran.output(name)),
        [digest.as_str(), "shop/auth", registry, COMMIT]
    );
    let images: Value = serde_json::from_str(ran.output("images")).unwrap();
    assert_eq!(images["auth"]["image"], format!("{registry}/shop/auth@{digest}"));
    assert!(!writes.iter().any(|write| write.contains("/push")), "the engine does not send it: {writes:?}");
    // By what it is made of it is found, too, whatever the commit.
    assert_eq!(shop.digest("shop/auth", "key-auth-1"), digest);

    // A job that comes later needs no engine to find it.
    shop.stage.set("DOCKER_HOST", "unix:///nowhere/docker.sock");
    let (again, writes) = shop.push(&[("services", "auth")]).await;
    assert_eq!(
        (again.output("result"), again.output("digest"), again.exit_code),
        ("unchanged", digest.as_str(), 0),
        "{}",
        again.log
    );
    assert_eq!(writes, [""; 0]);
    assert_snapshot!("unchanged_summary", steady(&again.summary));
}

#[tokio::test]
async fn all_services_are_pushed_side_by_side() {
    let shop = shop().await;
    let (ran, _) = shop.push(&[]).await;
    assert_eq!((ran.output("result"), ran.output("digest"), ran.exit_code), ("pushed", "", 0), "{}", ran.log);
    let images: Value = serde_json::from_str(ran.output("images")).unwrap();
    for service in ["auth", "api"] {
        assert_eq!(images[service]["digest"], shop.digest(&format!("shop/{service}"), COMMIT));
        assert_eq!(images[service]["result"], "pushed");
    }
    let (again, writes) = shop.push(&[]).await;
    assert_eq!((again.output("result"), again.exit_code), ("unchanged", 0), "{}", again.log);
    assert_eq!(writes, [""; 0]);
}

#[tokio::test]
async fn tags_move_to_the_image_and_only_if_they_are_elsewhere() {
    let shop = shop().await;
    let inputs = [("services", "auth"), ("tags", "main, latest")];
    let (ran, _) = shop.push(&inputs).await;
    assert_eq!(
        (ran.output("result"), ran.output("tags")),
        ("pushed", format!("{COMMIT}\nmain\nlatest").as_str()),
        "{}",
        ran.log
    );
    let digest = shop.digest("shop/auth", COMMIT);
    assert_eq!([shop.digest("shop/auth", "main"), shop.digest("shop/auth", "latest")], [digest.clone(), digest]);
    let (again, writes) = shop.push(&inputs).await;
    assert_eq!((again.output("result"), writes.len()), ("unchanged", 0), "{writes:?}");
    // A tag can follow without a push, and without an engine.
    let (more, writes) = shop.push(&[("services", "auth"), ("tags", "stable")]).await;
    assert_eq!((more.output("result"), writes), ("unchanged", vec!["ecr:PutImage".to_owned()]));
}

#[tokio::test]
async fn a_tag_that_cannot_move_fails_and_the_image_is_there() {
    let shop = shop().await;
    shop.stage.world.script("ecr:PutImage", Fault::Denied, 1);
    let (ran, _) = shop.push(&[("services", "auth"), ("tags", "main")]).await;
    // The first one is the tag of the contents.
    assert_eq!((ran.output("result"), ran.exit_code), ("failed", 3), "{}", ran.log);
    let (ran, _) = shop.push(&[("services", "auth"), ("tags", "main")]).await;
    assert_eq!((ran.output("result"), ran.exit_code), ("unchanged", 0), "{}", ran.log);
    shop.stage.world.script("ecr:PutImage", Fault::Denied, 1);
    let (ran, _) = shop.push(&[("services", "auth"), ("tags", "main, stable")]).await;
    assert_eq!((ran.output("result"), ran.exit_code), ("failed", 3), "{}", ran.log);
    assert_eq!(ran.output("digest"), shop.digest("shop/auth", COMMIT));
    assert_snapshot!("unmovable_annotation", steady(&ran.annotations().join("\n")));
}

#[tokio::test]
async fn without_a_delivery_file_two_inputs_will_do() {
    let shop = shop().await;
    std::fs::remove_file(shop.stage.workspace().join("delivery.toml")).unwrap();
    let (ran, _) = shop.push(&[("repository", "shop/auth"), ("image", &format!("shop/auth:{COMMIT}"))]).await;
    assert_eq!((ran.output("result"), ran.exit_code), ("pushed", 0), "{}", ran.log);
    // Without a delivery file, no tag is known to move: that is told, and left.
    assert!(
        ran.summary.contains("IMMUTABLE\\_WITH\\_EXCLUSION (latest, main, stable) | IMMUTABLE |"),
        "{}",
        ran.summary
    );
    assert_eq!(ran.output("digest"), shop.digest("shop/auth", COMMIT));
}

#[tokio::test]
async fn an_image_against_the_policy_blocks_all() {
    let shop = shop().await;
    shop.build_by("auth", "1", Some(COMMIT), "FROM scratch\nCOPY app /app\n").await;
    let (ran, writes) = shop.push(&[]).await;
    assert_eq!((ran.output("result"), ran.exit_code), ("blocked", 1), "{}", ran.log);
    assert_eq!(writes, [""; 0]);
    assert_snapshot!("blocked_annotation", steady(&ran.annotations().join("\n")));
    assert_snapshot!("blocked_summary", steady(&ran.summary));
}

#[tokio::test]
async fn a_dry_run_pushes_nothing() {
    let shop = shop().await;
    let (ran, writes) = shop.push(&[("dry-run", "true"), ("tags", "main")]).await;
    assert_eq!((ran.output("result"), ran.exit_code), ("planned", 0), "{}", ran.log);
    assert_eq!(writes, [""; 0]);
    assert_snapshot!("dry_run_summary", steady(&ran.summary));
}

#[tokio::test]
async fn a_push_that_is_refused_is_told_in_the_registry_s_words() {
    let shop = shop().await;
    shop.stage.world.script("ecr:GetAuthorizationToken", Fault::Denied, 1);
    let (ran, _) = shop.push(&[("services", "auth")]).await;
    assert_eq!((ran.output("result"), ran.exit_code), ("failed", 3), "{}", ran.log);
    assert_snapshot!("denied_annotation", steady(&ran.annotations().join("\n")));
    assert_eq!(shop.digest("shop/auth", COMMIT), "");
}

#[tokio::test]
async fn an_engine_that_dies_while_it_sends_the_image_is_told_and_no_tag_is_there() {
    let shop = shop().await;
    shop.stage.world.script("docker:GET /images/*/get", Fault::CutOff, 1);
    shop.stage.world.script("docker:POST /images/*/tag", Fault::Closed, 1);
    let (ran, _) = shop.push(&[("services", "auth")]).await;
    assert_eq!((ran.output("result"), ran.exit_code), ("failed", 4), "{}", ran.log);
    assert_snapshot!("dying_engine_log", steady(&ran.log));
    assert_eq!(shop.digest("shop/auth", COMMIT), "");
}

#[tokio::test]
async fn an_image_that_cannot_be_taken_out_of_the_engine_is_sent_by_the_engine() {
    let shop = shop().await;
    shop.stage.world.script("docker:GET /images/*/get", Fault::CutOff, 1);
    let (ran, writes) = shop.push(&[("services", "auth")]).await;
    assert_eq!((ran.output("result"), ran.exit_code), ("pushed", 0), "{}", ran.log);
    assert!(writes.iter().any(|write| write.contains("/push")), "{writes:?}");
    assert_snapshot!("sent_by_the_engine_log", steady(&ran.log));
    assert_eq!(shop.digest("shop/auth", COMMIT), ran.output("digest"));
}

#[tokio::test]
async fn a_cancelled_run_says_so() {
    let shop = shop().await;
    shop.stage.stopper.raise();
    let (ran, _) = push(&shop.stage, &[("services", "auth")]).await;
    assert_eq!((ran.output("result"), ran.exit_code), ("failed", 130), "{}", ran.log);
    assert_snapshot!("cancelled_annotation", steady(&ran.annotations().join("\n")));
}

#[tokio::test]
async fn none_affected_is_none_pushed() {
    let shop = shop().await;
    let (ran, writes) = shop.push(&[("services", "[]")]).await;
    assert_eq!((ran.output("result"), ran.output("images"), ran.exit_code), ("unchanged", "{}", 0), "{}", ran.log);
    assert_eq!(writes, [""; 0]);
}

#[tokio::test]
async fn the_password_is_printed_nowhere() {
    let shop = shop().await;
    let (ran, _) = shop.push(&[]).await;
    let calls = shop.stage.world.calls();
    let token = calls.iter().find(|call| call.name == "ecr:GetAuthorizationToken").unwrap();
    let token = token.answer["authorizationData"][0]["authorizationToken"].as_str().unwrap();
    let pair = String::from_utf8(STANDARD.decode(token).unwrap()).unwrap();
    let password = pair.strip_prefix("AWS:").unwrap();
    // The runner is told what to keep out of its log, and prints none of that itself.
    let log: String = ran.log.lines().filter(|line| !line.starts_with("::add-mask::")).collect();
    for text in [&log, &ran.summary, &format!("{:?}", ran.outputs)] {
        assert!(!text.contains(token) && !text.contains(password), "{text}");
    }
}
