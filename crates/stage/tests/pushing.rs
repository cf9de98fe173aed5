//! Images are pushed to the simulated ECR, whatever it does meanwhile, and a person reads what happened.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use common::aws::Aws;
use common::edges::Edges;
use common::failure::Failure;
use common::image_source::{ImageSource, SourceImage};
use common::names::{Digest, Tag};
use common::push::{Destination, LayerMap, Provenance, Pushed, Pusher, Tally};
use common::registry::{Artifact, Keys, Registry, Repository};
use common::runner::Runner;
use insta::assert_snapshot;
use stage::images::{Form, Layout, docker_archive, gunzip, layer};
use stage::{COMMIT, Stage, steady};
use world::Fault;

use crate::aws::{REGISTRY, aws};

/// Keeps what is printed.
#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl io::Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A registry, what is pushed to it, and what is said.
struct Scene {
    stage: Stage,
    edges: Edges,
    aws: Aws,
    page: Page,
}

impl Scene {
    async fn new() -> Self {
        let stage = Stage::new();
        stage.world.create_repository("shop/auth");
        let aws = aws(&stage).await;
        let page = Page::default();
        let temporary = stage.workspace().display().to_string();
        let runner = Runner::new([("RUNNER_TEMP", temporary.as_str())].into_iter().collect(), Box::new(page.clone()));
        let edges = Edges { runner, ..stage.edges(&[]) };
        Self { stage, edges, aws, page }
    }

    fn registry(&self) -> Arc<Registry<'_>> {
        Registry::new(&self.edges, REGISTRY, Keys::Ecr(self.aws.ecr.clone()))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.stage.workspace().join(name)
    }

    async fn layout(&self, name: &str, layers: &[Vec<u8>], form: Form) -> SourceImage {
        let folder = self.path(name);
        Layout::of(layers, form).write_to(&folder);
        open(&format!("oci:{}", folder.display())).await.unwrap()
    }

    /// Pushes to `shop/auth` at the commit's tag.
    async fn push(&self, image: &SourceImage) -> Result<Pushed, Failure> {
        let registry = self.registry();
        let repository = registry.repository("shop/auth".parse().unwrap());
        self.push_to(&repository, image).await
    }

    async fn push_to(&self, repository: &Repository<'_>, image: &SourceImage) -> Result<Pushed, Failure> {
        let known = match self.aws.ecr.newest_image(&repository.name).await? {
            Some(digest) => LayerMap::read(repository, digest.as_str(), &image.platform).await?,
            None => LayerMap::default(),
        };
        let destination = Destination { repository: repository.clone(), ecr: Some(&self.aws.ecr) };
        let tag: Tag = COMMIT.parse().unwrap();
        Pusher::new(&self.edges).push("auth", image, &destination, &known, &[tag]).await
    }

    fn tagged(&self) -> Option<String> {
        self.stage.world.image_digest("shop/auth", COMMIT)
    }

    fn said(&self) -> String {
        steady(&String::from_utf8(self.page.0.lock().unwrap().clone()).unwrap())
    }

    /// The blobs that were sent: requests that finished an upload.
    fn sent(&self) -> usize {
        self.stage
            .world
            .writes()
            .iter()
            .filter(|write| write.starts_with("PUT /v2/") && write.contains("/uploads/"))
            .count()
    }
}

async fn open(source: &str) -> Result<SourceImage, Failure> {
    Ok(source.parse::<ImageSource>()?.open().await?.unwrap())
}

/// What a person reads of a failure, without what differs from run to run.
fn told(pushed: Result<Pushed, Failure>) -> String {
    without_waits(&steady(&pushed.unwrap_err().to_string()))
}

/// Waits are random, and of blobs that go up side by side either may meet what is wrong: the layer, or the configuration.
fn without_waits(text: &str) -> String {
    let text = text.replace("(94 bytes) to", "(N bytes) to").replace("(269 bytes) to", "(N bytes) to");
    let lines = text.lines().map(|line| match line.rsplit_once(" in ") {
        Some((head, wait)) if wait.ends_with('s') && line.contains("attempt ") => format!("{head} in N s"),
        _ => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn layers() -> Vec<Vec<u8>> {
    vec![layer("base"), layer("app")]
}

fn counts(tally: &Tally) -> (usize, usize, usize) {
    (tally.uploaded.blobs, tally.mounted.blobs, tally.present.blobs)
}

#[tokio::test(start_paused = true)]
async fn a_layout_keeps_its_digest_and_is_sent_once() {
    let scene = Scene::new().await;
    let image = scene.layout("image", &layers(), Form::Compressed).await;
    let pushed = scene.push(&image).await.unwrap();
    assert_eq!(image.digest(), Some(pushed.descriptor.digest.clone()));
    assert_eq!(scene.tagged().as_deref(), Some(pushed.descriptor.digest.as_str()));
    assert_eq!(counts(&pushed.tally), (3, 0, 0));
    let again = scene.push(&image).await.unwrap();
    assert_eq!((counts(&again.tally), scene.sent()), ((0, 0, 3), 3));
    assert_snapshot!(scene.said());
}

#[tokio::test(start_paused = true)]
async fn an_index_is_pushed_whole_and_its_images_by_digest() {
    let scene = Scene::new().await;
    let folder = scene.path("image");
    Layout::for_two_platforms(&layers()).write_to(&folder);
    let image = open(&format!("oci:{}", folder.display())).await.unwrap();
    let pushed = scene.push(&image).await.unwrap();
    assert_eq!(scene.tagged().as_deref(), Some(pushed.descriptor.digest.as_str()));
    // Two configurations; the layers are the same.
    assert_eq!(counts(&pushed.tally), (4, 0, 0));
    let puts: Vec<String> =
        scene.stage.world.writes().into_iter().filter(|write| write.contains("/manifests/")).collect();
    assert!(puts[..3].iter().all(|put| put.contains("/manifests/sha256:")), "{puts:?}");
    assert!(puts[3].ends_with(COMMIT), "{puts:?}");
}

#[tokio::test(start_paused = true)]
async fn whatever_wrote_it_an_image_that_is_not_compressed_is_the_same_image() {
    let twice = vec![layer("base"), layer("app"), layer("base")];
    let mut digests = Vec::new();
    for form in ["folder", "archive", "docker"] {
        let scene = Scene::new().await;
        let image = match form {
            "folder" => scene.layout("image", &twice, Form::Plain).await,
            "archive" => {
                fs::write(scene.path("image.tar"), Layout::of(&twice, Form::Plain).archive()).unwrap();
                open(&format!("oci-archive:{}", scene.path("image.tar").display())).await.unwrap()
            }
            _ => {
                fs::write(scene.path("image.tar"), docker_archive(&twice)).unwrap();
                open(&format!("docker-archive:{}", scene.path("image.tar").display())).await.unwrap()
            }
        };
        assert_eq!((image.image.user.as_str(), image.image.has_healthcheck), ("65532", true));
        let pushed = scene.push(&image).await.unwrap();
        digests.push(pushed.descriptor.digest);
        let registry = scene.registry();
        let repository = registry.repository("shop/auth".parse().unwrap());
        let manifest = repository.manifest(COMMIT).await.unwrap().unwrap();
        assert!(image.is(&manifest));
        let manifest: serde_json::Value = serde_json::from_slice(&manifest.bytes).unwrap();
        for (index, plain) in twice.iter().enumerate() {
            let digest: Digest = manifest["layers"][index]["digest"].as_str().unwrap().parse().unwrap();
            assert_eq!(gunzip(&repository.blob(&digest).await.unwrap()), *plain, "{form}");
        }
    }
    digests.dedup();
    assert_eq!(digests.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_fresh_runner_sends_what_is_new_and_compresses_nothing_else() {
    let scene = Scene::new().await;
    // Pushed by somebody else, compressed in another way.
    scene.push(&scene.layout("first", &layers(), Form::Compressed).await).await.unwrap();
    let changed = vec![layer("base"), layer("app"), layer("changed")];
    let pushed = scene.push(&scene.layout("second", &changed, Form::Plain).await).await.unwrap();
    // The changed layer and the configuration.
    assert_eq!(counts(&pushed.tally), (2, 0, 2));
    assert_eq!(scene.sent(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_layer_that_went_missing_in_the_registry_is_sent_again() {
    let scene = Scene::new().await;
    scene.push(&scene.layout("first", &layers(), Form::Compressed).await).await.unwrap();
    scene.stage.world.script(
        "ecr:BatchCheckLayerAvailability",
        Fault::answer(200, r#"{"layers":[],"failures":[]}"#),
        1,
    );
    let pushed = scene.push(&scene.layout("second", &layers(), Form::Plain).await).await.unwrap();
    assert_eq!(pushed.tally.uploaded.blobs, 3, "{:?}", pushed.tally);
}

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
            Fault::Answer {
                status: 201,
                headers: vec![(
                    "docker-content-digest",
                    "sha256:0000000000000000000000000000000000000000000000000000000000000000",
                )],
                body: "",
            },
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
async fn two_images_share_what_they_have_in_common() {
    let scene = Scene::new().await;
    scene.stage.world.create_repository("shop/api");
    let registry = scene.registry();
    let pusher = Pusher::new(&scene.edges);
    let images = [
        scene.layout("auth", &[layer("base"), layer("auth")], Form::Plain).await,
        scene.layout("api", &[layer("base"), layer("api")], Form::Plain).await,
    ];
    let known = LayerMap::default();
    let destinations = ["shop/auth", "shop/api"]
        .map(|name| Destination { repository: registry.repository(name.parse().unwrap()), ecr: Some(&scene.aws.ecr) });
    let (one, other) = tokio::join!(
        pusher.push("auth", &images[0], &destinations[0], &known, &[]),
        pusher.push("api", &images[1], &destinations[1], &known, &[]),
    );
    let (one, other) = (one.unwrap().tally, other.unwrap().tally);
    assert_eq!(one.uploaded.blobs + other.uploaded.blobs + one.mounted.blobs + other.mounted.blobs, 6);
    // ECR mounts what an image refers to, which is not yet so: it is sent into the session that the answer opened.
    let mounts = scene.stage.world.writes().into_iter().filter(|write| write.starts_with("POST ")).count();
    assert_eq!(mounts, 6, "no blob has two sessions");
}

#[tokio::test(start_paused = true)]
async fn what_is_known_of_an_image_is_attached_to_it() {
    let scene = Scene::new().await;
    let pushed = scene.push(&scene.layout("image", &layers(), Form::Compressed).await).await.unwrap();
    let environment =
        [("GITHUB_SERVER_URL", "https://github.com"), ("GITHUB_REPOSITORY", "org/shop"), ("GITHUB_RUN_ID", "42")];
    let provenance = Provenance::of_run(&environment.into_iter().collect()).unwrap();
    let registry = scene.registry();
    let repository = registry.repository("shop/auth".parse().unwrap());
    let artifact = provenance.artifact(&repository.address(), &pushed.descriptor.digest, &COMMIT.parse().unwrap());
    let first = repository.attach(&pushed.descriptor, &artifact).await.unwrap();
    let writes = scene.stage.world.writes().len();
    assert_eq!(repository.attach(&pushed.descriptor, &artifact).await.unwrap(), first);
    assert_eq!(scene.stage.world.writes().len(), writes, "what is attached is not attached again");
    let manifest = repository.manifest(first.as_str()).await.unwrap().unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest.bytes).unwrap();
    assert_eq!(manifest["subject"]["digest"], pushed.descriptor.digest.as_str());
    assert_eq!(manifest["artifactType"], "application/vnd.in-toto+json");
    assert_eq!(
        scene.stage.world.image_digest("shop/auth", &format!("sha256-{}", pushed.descriptor.digest.hexadecimal())),
        None
    );
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_keeps_no_list_of_what_is_attached_is_given_one() {
    let scene = Scene::new().await;
    scene.stage.world.forget_referrers();
    let pushed = scene.push(&scene.layout("image", &layers(), Form::Compressed).await).await.unwrap();
    let registry = scene.registry();
    let repository = registry.repository("shop/auth".parse().unwrap());
    let artifact = |title: &str| Artifact {
        media_type: "application/spdx+json".to_owned(),
        content: format!("{{ \"name\": \"{title}\" }}").into(),
        title: title.to_owned(),
    };
    let tag = format!("sha256-{}", pushed.descriptor.digest.hexadecimal());
    let mut expected = Vec::new();
    // The last one was attached by a run before.
    for title in ["sbom.spdx.json", "tools.spdx.json", "sbom.spdx.json"] {
        let attached = repository.attach(&pushed.descriptor, &artifact(title)).await.unwrap().to_string();
        if !expected.contains(&attached) {
            expected.push(attached);
        }
        let list = repository.manifest(&tag).await.unwrap().unwrap();
        let list: serde_json::Value = serde_json::from_slice(&list.bytes).unwrap();
        let listed = list["manifests"].as_array().unwrap().iter().map(|entry| entry["digest"].as_str().unwrap());
        assert_eq!(listed.collect::<Vec<_>>(), expected, "{title}");
    }
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
