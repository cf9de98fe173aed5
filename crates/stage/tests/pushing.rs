//! Images are pushed to the simulated ECR, whatever it does meanwhile, and a person reads what happened.

mod attachments;
mod registries;
mod runners;

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use common::aws::Aws;
use common::edges::Edges;
use common::failure::Failure;
use common::image_source::{ImageSource, SourceImage};
use common::names::{Digest, Tag};
use common::push::{Destination, LayerMap, Pushed, Pusher, Tally};
use common::registry::{Keys, Registry, Repository};
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
            Some(digest) => LayerMap::read(repository, digest.as_str(), &image.image.platform).await?,
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

/// Waits are random.
fn without_waits(text: &str) -> String {
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
    assert!(pushed.tally.line().ends_with(" B more than the image before"), "{}", pushed.tally.line());
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
