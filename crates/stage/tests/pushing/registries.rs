//! What registries do to a push: what passes is tried again, what does not is told, and no tag is on what is not whole.

use common::names::Digest;
use common::push::{Destination, LayerMap, Pusher};
use common::registry::{Keys, Registry};
use insta::assert_snapshot;
use stage::images::{Form, layer};
use world::Fault;

use super::{Scene, told, without_waits};
use crate::aws::REGISTRY;

/// The digest of nothing that anybody has.
const NOTHING: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

#[tokio::test(start_paused = true)]
async fn what_passes_is_tried_again_and_said() {
    let upload = "PUT /v2/shop/auth/blobs/uploads/*";
    for (name, call, fault) in [
        ("reset", upload, Fault::Closed),
        ("answer_lost", upload, Fault::AnswerLost),
        ("unavailable", upload, Fault::Unavailable),
        ("internal", "POST /v2/shop/auth/blobs/uploads/", Fault::answer(500, "")),
        (
            "throttled",
            "POST /v2/shop/auth/blobs/uploads/",
            Fault::Answer {
                status: 429,
                headers: vec![("retry-after", "7")],
                body: r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"Rate exceeded"}]}"#,
            },
        ),
        (
            "lost_session",
            upload,
            Fault::answer(404, r#"{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN","message":"blob upload unknown"}]}"#),
        ),
        (
            "stale_range",
            upload,
            Fault::answer(
                416,
                r#"{"errors":[{"code":"BLOB_UPLOAD_INVALID","message":"First byte is 0 instead of 5"}]}"#,
            ),
        ),
        ("damaged", upload, Fault::answer(400, r#"{"errors":[{"code":"DIGEST_INVALID","message":"did not match"}]}"#)),
        (
            "other_blob",
            upload,
            Fault::Answer { status: 201, headers: vec![("docker-content-digest", NOTHING)], body: "" },
        ),
        ("manifest", "PUT /v2/shop/auth/manifests/*", Fault::AnswerLost),
    ] {
        let scene = Scene::new().await;
        let image = scene.layout("image", &[layer("app")], Form::Compressed).await;
        scene.stage.world.script(call, fault, 1);
        let pushed = scene.push(&image).await;
        assert_eq!(pushed.unwrap().descriptor.digest.to_string(), scene.tagged().unwrap(), "{name}");
        assert_snapshot!(format!("again_{name}"), without_waits(&scene.said()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_asks_for_time_gets_it() {
    let scene = Scene::new().await;
    let image = scene.layout("image", &[layer("app")], Form::Compressed).await;
    let wait = Fault::Answer { status: 503, headers: vec![("retry-after", "20")], body: "" };
    scene.stage.world.script("POST /v2/shop/auth/blobs/uploads/", wait, 1);
    let began = tokio::time::Instant::now();
    scene.push(&image).await.unwrap();
    assert!((20..22).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn what_does_not_pass_ends_and_no_tag_is_on_it() {
    let upload = "PUT /v2/shop/auth/blobs/uploads/*";
    for (name, call, fault, times) in [
        ("never_again", upload, Fault::Unavailable, 12),
        ("silence", "POST /v2/shop/auth/blobs/uploads/", Fault::Closed, 12),
        ("denied_without_a_word", upload, Fault::answer(403, ""), 2),
        ("denied_manifest", "PUT /v2/shop/auth/manifests/*", Fault::Denied, 1),
        (
            "incomplete",
            "PUT /v2/shop/auth/manifests/*",
            Fault::answer(
                404,
                r#"{"errors":[{"code":"BLOB_UNKNOWN","message":"Layers with digests '[…]' do not exist"}]}"#,
            ),
            1,
        ),
        (
            "lying_registry",
            "PUT /v2/shop/auth/manifests/*",
            Fault::Answer { status: 201, headers: vec![("docker-content-digest", NOTHING)], body: "" },
            1,
        ),
        ("forgetful_registry", "GET /v2/shop/auth/manifests/*", Fault::answer(404, ""), 1),
    ] {
        let scene = Scene::new().await;
        let image = scene.layout("image", &[layer("app")], Form::Compressed).await;
        scene.stage.world.script(call, fault, times);
        assert_snapshot!(format!("end_{name}"), told(scene.push(&image).await));
        assert_eq!(scene.tagged(), None, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_repository_that_is_not_there_is_named() {
    let scene = Scene::new().await;
    let image = scene.layout("image", &[layer("app")], Form::Compressed).await;
    let registry = Registry::new(&scene.edges, REGISTRY, Keys::Ecr(scene.aws.ecr.clone()));
    let repository = registry.repository("shop/login".parse().unwrap());
    let destination = Destination { repository, ecr: None };
    let pushed = Pusher::new(&scene.edges).push("auth", &image, &destination, &LayerMap::default(), &[]).await;
    assert_snapshot!(told(pushed));
}

#[tokio::test(start_paused = true)]
async fn a_tag_that_somebody_took_meanwhile_is_told() {
    let scene = Scene::new().await;
    scene.push(&scene.layout("first", &[layer("one")], Form::Compressed).await).await.unwrap();
    let first = scene.tagged();
    scene.stage.world.make_tags_immutable("shop/auth");
    assert_snapshot!(told(scene.push(&scene.layout("second", &[layer("two")], Form::Compressed).await).await));
    assert_eq!(scene.tagged(), first);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_ends_in_the_middle_is_renewed() {
    for (name, fault) in [
        (
            "expired",
            Fault::answer(
                403,
                r#"{"errors":[{"code":"DENIED","message":"Your authorization token has expired. Reauthenticate and try again."}]}"#,
            ),
        ),
        (
            "unauthorized",
            Fault::Answer {
                status: 401,
                headers: vec![("www-authenticate", "Basic realm=\"https://ecr/\",service=\"ecr.amazonaws.com\"")],
                body: "Not Authorized",
            },
        ),
    ] {
        let scene = Scene::new().await;
        let image = scene.layout("image", &[layer("app")], Form::Compressed).await;
        let registry = scene.registry();
        let repository = registry.repository("shop/auth".parse().unwrap());
        // The token is an hour old when the registry has enough of it.
        assert!(!repository.has(&Digest::of_bytes(b"none")).await.unwrap());
        tokio::time::advance(std::time::Duration::from_secs(3600)).await;
        scene.stage.world.script("PUT /v2/shop/auth/blobs/uploads/*", fault, 1);
        scene.push_to(&repository, &image).await.unwrap();
        let tokens = scene.stage.world.calls();
        let tokens = tokens.iter().filter(|call| call.name == "ecr:GetAuthorizationToken").count();
        assert_eq!(tokens, 2, "{name}: {}", scene.said());
        // At half of its life the next one is fetched before anybody is refused.
        tokio::time::advance(std::time::Duration::from_secs(7 * 3600)).await;
        assert!(!repository.has(&Digest::of_bytes(b"none")).await.unwrap());
        let calls = scene.stage.world.calls();
        assert_eq!(calls.iter().filter(|call| call.name == "ecr:GetAuthorizationToken").count(), 3, "{name}");
        assert_eq!(calls.last().unwrap().status, 404, "{name}");
    }
}
