//! What a runner does to a push: images that are damaged or none, full disks, jobs that are cancelled.

use std::fs;

use common::edges::Edges;
use common::names::Digest;
use common::push::{Destination, LayerMap, Pusher};
use common::registry::{Keys, Registry};
use common::runner::Runner;
use insta::assert_snapshot;
use stage::images::{Form, Layout, docker_archive, layer};
use world::Fault;

use super::{Scene, layers, open, told};
use crate::aws::REGISTRY;

#[tokio::test(start_paused = true)]
async fn damage_on_this_side_is_found_before_the_registry_has_it() {
    for (name, mend) in [
        ("cut", (|bytes: &[u8]| bytes[..bytes.len() - 1].to_vec()) as fn(&[u8]) -> Vec<u8>),
        ("changed", |bytes| bytes.iter().rev().copied().collect()),
    ] {
        let scene = Scene::new().await;
        let layers = [layer("app")];
        let image = scene.layout("image", &layers, Form::Compressed).await;
        let digest = Digest::of_bytes(&stage::images::gzip(&layers[0]));
        let file = scene.path("image/blobs/sha256").join(digest.hexadecimal());
        // After the image was opened: what is seen at once is refused at once.
        let bytes = mend(&fs::read(&file).unwrap());
        fs::write(&file, bytes).unwrap();
        let text = told(scene.push(&image).await).replace(&scene.path("").display().to_string(), "");
        assert_snapshot!(format!("damage_{name}"), text.replace(digest.hexadecimal(), "…"));
        assert_eq!(scene.tagged(), None, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_is_no_image_is_refused_at_once() {
    let scene = Scene::new().await;
    let layers = layers();
    Layout::of(&layers, Form::Compressed).write_to(&scene.path("cut"));
    let digest = Digest::of_bytes(&stage::images::gzip(&layers[1]));
    fs::write(scene.path("cut/blobs/sha256").join(digest.hexadecimal()), "x").unwrap();
    fs::create_dir(scene.path("empty")).unwrap();
    fs::write(scene.path("zipped.tar.gz"), stage::images::gzip(&docker_archive(&layers))).unwrap();
    fs::write(scene.path("half.tar"), &docker_archive(&layers)[..1000]).unwrap();
    let mut told = String::new();
    for source in
        ["oci:nowhere", "oci:empty", "oci:cut", "oci-archive:zipped.tar.gz", "docker-archive:half.tar", "oci:"]
    {
        let source = match source.split_once(':').unwrap() {
            (_, "") => source.to_owned(),
            (kind, name) => format!("{kind}:{}", scene.path(name).display()),
        };
        told += &format!("{}\n\n", open(&source).await.unwrap_err());
    }
    let told = told.replace(&format!("{}/", scene.stage.workspace().display()), "");
    assert_snapshot!(told.replace(digest.hexadecimal(), "…"));
}

#[tokio::test(start_paused = true)]
async fn a_runner_without_room_is_told_where_room_is_needed() {
    let scene = Scene::new().await;
    // A folder that cannot hold a file, as one on a full disk.
    let environment = [("RUNNER_TEMP", "/proc/self/fd")].into_iter().collect();
    let runner = Runner::new(environment, Box::new(scene.page.clone()));
    let edges = Edges { runner, ..scene.stage.edges(&[]) };
    // More than is kept in memory, and what cannot be compressed.
    let mut state = 1_u64;
    let noise = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    });
    let image = scene.layout("image", &[noise.take(5 << 20).collect()], Form::Plain).await;
    let registry = Registry::new(&edges, REGISTRY, Keys::Ecr(scene.aws.ecr.clone()));
    let repository = registry.repository("shop/auth".parse().unwrap());
    let destination = Destination { repository, ecr: None };
    let pushed = Pusher::new(&edges).push("auth", &image, &destination, &LayerMap::default(), &[]).await;
    let text = told(pushed);
    assert!(text.contains("make room on the runner"), "{text}");
    assert_eq!(scene.tagged(), None);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_run_ends_its_waits() {
    let scene = Scene::new().await;
    let image = scene.layout("image", &[layer("app")], Form::Compressed).await;
    scene.stage.world.script("PUT /v2/shop/auth/blobs/uploads/*", Fault::Unavailable, 12);
    scene.stage.stopper.raise();
    let failure = scene.push(&image).await.unwrap_err();
    assert_eq!(failure.kind, common::failure::Kind::Cancelled);
}
