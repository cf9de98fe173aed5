//! Pushing images: what the registry has is left where it is, what is new is compressed and sent, each thing once, and nothing is
//! called by a name before all of it is there.
//!
//! # Invariants
//! - A manifest goes up when all that it leads to is there: first by its own digest, then, when that was read back, at its tags.
//!   Whatever happens before leaves blobs that nobody sees.
//! - Bytes that somebody else wrote are hashed where they leave, those of a layer that is compressed here before and after: a layer
//!   that is not what its image says ends the push.
//! - A layer is compressed once and sent once to each repository, however many images of a run have it.

mod compress;
mod layer_map;
mod progress;
mod provenance;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::{join_all, try_join_all};
use serde_json::json;
use tokio::sync::{Mutex, OnceCell, Semaphore};

pub use layer_map::LayerMap;
pub use progress::{Amount, Tally};
pub use provenance::Provenance;

use crate::aws::Ecr;
use crate::edges::Edges;
use crate::extent::{Extent, unreadable};
use crate::failure::Failure;
use crate::image_source::{Blob, Content, Layer, SourceImage};
use crate::names::{Digest, RepositoryName, Tag};
use crate::registry::{Arrived, Descriptor, Manifest, MediaType, Repository};
use compress::{Packed, compress};
use progress::{Fate, Progress};

/// How many layers are compressed side by side: each keeps all processors busy but while it is read and hashed.
const COMPRESSIONS: usize = 2;

/// Where an image goes.
#[derive(Clone)]
pub struct Destination<'a> {
    /// The repository.
    pub repository: Repository<'a>,
    /// ECR itself, if it is one of its registries: it tells of a hundred blobs at once.
    pub ecr: Option<&'a Ecr>,
}

/// An image that is there.
#[derive(Clone, Debug)]
pub struct Pushed {
    /// What points to it.
    pub descriptor: Descriptor,
    /// What became of its blobs.
    pub tally: Tally,
}

/// The repositories that have a blob: from the first of them, others may take it.
type Homes = Arc<Mutex<Vec<RepositoryName>>>;

/// Pushes the images of a run.
pub struct Pusher<'a> {
    edges: &'a Edges,
    folder: PathBuf,
    compressions: Arc<Semaphore>,
    /// Layers that were compressed, by what they were before.
    packed: Mutex<BTreeMap<Digest, Arc<OnceCell<Packed>>>>,
    /// Where blobs went, by registry and digest.
    homes: Mutex<BTreeMap<(String, Digest), Homes>>,
}

impl<'a> Pusher<'a> {
    /// A pusher that keeps what does not fit into memory in the runner's temporary folder.
    pub fn new(edges: &'a Edges) -> Self {
        let folder = edges.runner.environment().get("RUNNER_TEMP").unwrap_or("/tmp");
        Self {
            edges,
            folder: folder.into(),
            compressions: Arc::new(Semaphore::new(COMPRESSIONS)),
            packed: Mutex::default(),
            homes: Mutex::default(),
        }
    }

    /// Where that is.
    pub fn folder(&self) -> &std::path::Path {
        &self.folder
    }

    /// Pushes an image, and puts it at these tags when it is whole. `known` tells which of its layers the registry has, or had.
    pub async fn push(
        &self,
        name: &str,
        image: &SourceImage,
        destination: &Destination<'_>,
        known: &LayerMap,
        tags: &[Tag],
    ) -> Result<Pushed, Failure> {
        let blobs = match &image.content {
            Content::Whole { blobs, .. } => blobs.len(),
            Content::Layers { layers, .. } => layers.len() + 1,
        };
        let work = Work { pusher: self, destination, known, progress: Progress::new(name, blobs) };
        let work = &work;
        let pushed = work.progress.told(&self.edges.runner, &self.edges.stop, Box::pin(work.push(image, tags)));
        let pushed = pushed.await?;
        self.edges.runner.say(format!("{name}: {}", pushed.tally.line()));
        Ok(pushed)
    }

    /// A layer, compressed: by the first who asks, for all who do.
    async fn pack(&self, layer: &Layer, extent: &Extent) -> Result<Packed, Failure> {
        let cell = self.packed.lock().await.entry(layer.diff_id.clone()).or_default().clone();
        let packed = cell.get_or_try_init(async || {
            let _permit = self.compressions.acquire().await.map_err(Failure::bug)?;
            let (source, folder) = (extent.clone(), self.folder.clone());
            let packing = tokio::task::spawn_blocking(move || compress(&source, &folder));
            let packed = packing.await.map_err(Failure::bug)?.map_err(|error| unpackable(extent, &error))?;
            match packed.diff_id == layer.diff_id {
                true => Ok(packed),
                false => {
                    let told = format!("it should be {} and is {}", layer.diff_id, packed.diff_id);
                    Err(unreadable(extent, &std::io::Error::other(told)))
                }
            }
        });
        packed.await.cloned()
    }
}

fn unpackable(extent: &Extent, error: &std::io::Error) -> Failure {
    match error.to_string() {
        told if told.starts_with("write to") => Failure::remote(format!("compress {}: {told}", extent.name()))
            .hint("make room on the runner: a compressed layer is kept in its temporary folder until it is sent"),
        _ => unreadable(extent, error),
    }
}

/// The push of one image.
struct Work<'a> {
    pusher: &'a Pusher<'a>,
    destination: &'a Destination<'a>,
    known: &'a LayerMap,
    progress: Progress,
}

impl Work<'_> {
    async fn push(&self, image: &SourceImage, tags: &[Tag]) -> Result<Pushed, Failure> {
        let manifests = match &image.content {
            Content::Whole { manifests, blobs } => {
                self.put_blobs(blobs).await?;
                manifests.clone()
            }
            Content::Layers { config, layers } => vec![self.put_layers(config, layers).await?],
        };
        let repository = &self.destination.repository;
        for manifest in &manifests {
            repository.put_manifest(manifest, manifest.digest().as_str()).await?;
        }
        let Some(manifest) = manifests.last() else { return Err(Failure::bug("an image without a manifest")) };
        self.read_back(manifest).await?;
        for tag in tags {
            repository.put_manifest(manifest, tag.as_str()).await?;
        }
        // An index is as large as its images together, and one alone is known.
        let before = self.known.size().filter(|_| manifests.len() == 1);
        Ok(Pushed { descriptor: manifest.descriptor(), tally: Tally { before, ..self.progress.tally() } })
    }

    /// What counts is what is there, not what was sent.
    async fn read_back(&self, manifest: &Manifest) -> Result<(), Failure> {
        let Destination { repository, .. } = self.destination;
        let digest = manifest.digest();
        match repository.manifest(digest.as_str()).await? {
            Some(there) if there.bytes == manifest.bytes => Ok(()),
            _ => Err(Failure::remote(format!(
                "`{}@{digest}` was pushed, and the registry does not show it",
                repository.address()
            ))
            .hint("run again; no tag names this image")),
        }
    }

    async fn put_blobs(&self, blobs: &[Blob]) -> Result<(), Failure> {
        let digests = blobs.iter().map(|blob| blob.descriptor.digest.clone()).collect();
        let there = self.destination.present(digests).await?;
        let mut seen = BTreeSet::new();
        let blobs = blobs.iter().filter(|blob| seen.insert(&blob.descriptor.digest));
        let puts = blobs.map(async |blob| {
            let Descriptor { digest, size, .. } = &blob.descriptor;
            if there.contains(digest) {
                self.progress.settle(digest, *size, Fate::Present);
                return Ok(());
            }
            self.put(digest, &blob.extent).await
        });
        // All of them come to their end: what arrived is not sent again the next time.
        join_all(puts).await.into_iter().collect()
    }

    /// Brings all layers there, and writes the manifest that leads to them.
    async fn put_layers(&self, config: &Bytes, layers: &[Layer]) -> Result<Manifest, Failure> {
        let config_digest = Digest::of_bytes(config);
        let candidates = layers.iter().filter_map(|layer| Some(self.candidate(layer)?.digest.clone()));
        let there = self.destination.present(candidates.chain([config_digest.clone()]).collect()).await?;
        let puts = layers.iter().map(async |layer| self.put_layer(layer, &there).await);
        let put_config = async {
            if there.contains(&config_digest) {
                self.progress.settle(&config_digest, config.len() as u64, Fate::Present);
                return Ok(());
            }
            self.put(&config_digest, &Extent::of_bytes(config.clone(), "the configuration")).await
        };
        let (layers, config_put) = tokio::join!(join_all(puts), put_config);
        config_put?;
        let layers = layers.into_iter().collect::<Result<Vec<Descriptor>, Failure>>()?;
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MediaType::MANIFEST,
            "config": Descriptor::of(MediaType::CONFIG, config),
            "layers": layers,
        });
        Ok(Manifest { media_type: MediaType::MANIFEST.to_owned(), bytes: manifest.to_string().into() })
    }

    /// What the registry may have of a layer.
    fn candidate<'l>(&'l self, layer: &'l Layer) -> Option<&'l Descriptor> {
        layer.compressed.as_ref().or_else(|| self.known.get(&layer.diff_id))
    }

    async fn put_layer(&self, layer: &Layer, there: &BTreeSet<Digest>) -> Result<Descriptor, Failure> {
        if let Some(candidate) = self.candidate(layer).filter(|candidate| there.contains(&candidate.digest)) {
            self.progress.settle(&candidate.digest, candidate.size, Fate::Present);
            return Ok(in_oci_words(candidate));
        }
        let extent = layer.extent.as_ref().ok_or_else(|| {
            Failure::remote(format!(
                "the registry had layer {} a moment ago, and has it no more",
                layer.diff_id.short()
            ))
            .hint("run again: the layer is sent then")
        })?;
        if let Some(compressed) = &layer.compressed {
            self.put(&compressed.digest, extent).await?;
            return Ok(in_oci_words(compressed));
        }
        self.progress.packing(true);
        let packed = self.pusher.pack(layer, extent).await;
        self.progress.packing(false);
        let Packed { descriptor, extent, .. } = packed?;
        match self.destination.repository.has(&descriptor.digest).await? {
            true => self.progress.settle(&descriptor.digest, descriptor.size, Fate::Present),
            false => self.put(&descriptor.digest, &extent).await?,
        }
        Ok(descriptor)
    }

    /// Brings a blob to where it is not. The images of a run that share it wait for the first of them, and have the registry take
    /// it from there if it can.
    async fn put(&self, digest: &Digest, extent: &Extent) -> Result<(), Failure> {
        let repository = &self.destination.repository;
        let key = (repository.address().trim_end_matches(repository.name.as_str()).to_owned(), digest.clone());
        let homes = self.pusher.homes.lock().await.entry(key).or_default().clone();
        let mut homes = homes.lock().await;
        if homes.contains(&repository.name) {
            self.progress.settle(digest, extent.length(), Fate::Present);
            return Ok(());
        }
        self.progress.expect(extent.length());
        let arrived = repository.put_blob(digest, extent, homes.first(), &self.progress.moved).await?;
        let fate = match arrived {
            Arrived::Uploaded => Fate::Uploaded,
            Arrived::Mounted => Fate::Mounted,
        };
        self.progress.settle(digest, extent.length(), fate);
        homes.push(repository.name.clone());
        Ok(())
    }
}

impl Destination<'_> {
    /// Which of these blobs the repository has.
    pub async fn present(&self, digests: BTreeSet<Digest>) -> Result<BTreeSet<Digest>, Failure> {
        let Self { repository, ecr } = self;
        if let Some(ecr) = ecr {
            return ecr.available_layers(&repository.name, &digests).await;
        }
        let asked = digests.into_iter().map(async |digest| {
            let has = repository.has(&digest).await?;
            Ok::<_, Failure>(has.then_some(digest))
        });
        Ok(try_join_all(asked).await?.into_iter().flatten().collect())
    }
}

/// A layer of a Docker manifest in a manifest of ours, which is OCI's: the bytes are the same.
fn in_oci_words(layer: &Descriptor) -> Descriptor {
    let media_type = match layer.media_type.as_str() {
        "application/vnd.docker.image.rootfs.diff.tar.gzip" => MediaType::LAYER.to_owned(),
        other => other.to_owned(),
    };
    Descriptor { media_type, digest: layer.digest.clone(), size: layer.size, more: serde_json::Map::new() }
}
