//! An image's bytes into the registry: by ourselves, or by the engine where it is quicker.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use common::aws::Aws;
use common::docker::{Docker, LocalImage, Store};
use common::edges::Edges;
use common::failure::Failure;
use common::image_source::SourceImage;
use common::names::{Digest, RepositoryName, ServiceKey, Tag};
use common::push::{Destination, LayerMap, Pusher, Tally};
use common::registry::{Artifact, Keys, Registry};
use tokio::sync::Mutex;

/// Sends the images of a run.
pub(crate) struct Sender<'a> {
    aws: &'a Aws,
    edges: &'a Edges,
    pusher: Pusher<'a>,
    registries: Mutex<BTreeMap<String, Arc<Registry<'a>>>>,
}

/// Where an image goes.
pub(crate) struct Address<'a> {
    pub(crate) key: &'a ServiceKey,
    pub(crate) host: &'a str,
    pub(crate) repository: &'a RepositoryName,
    pub(crate) tag: &'a Tag,
}

impl<'a> Sender<'a> {
    pub(crate) fn new(aws: &'a Aws, edges: &'a Edges) -> Self {
        Self { aws, edges, pusher: Pusher::new(edges), registries: Mutex::default() }
    }

    /// Sends an image that is in files.
    pub(crate) async fn send_source(&self, address: &Address<'_>, image: &SourceImage) -> Result<Tally, Failure> {
        let destination = self.destination(address).await;
        let known = self.known(address, &destination, &image.image.platform).await;
        self.put(address, image, &destination, &known).await
    }

    /// Sends an image that is in the engine.
    ///
    /// An engine that stores images as they were built sends them as they are, and asks for each by its digest; what became of the
    /// layers is its own affair then: `None`. One that stores them unpacked compresses all of it again on a runner that is new, one
    /// processor a layer. There the image is taken out of it, without what the registry has.
    pub(crate) async fn send_local(
        &self,
        address: &Address<'_>,
        docker: &Docker,
        local: &LocalImage,
    ) -> Result<Option<Tally>, Failure> {
        if docker.store().await? == Store::GraphDriver {
            let destination = self.destination(address).await;
            let known = self.known(address, &destination, &local.platform).await;
            let candidates = local.layers.iter().filter_map(|layer| Some((layer, &known.get(layer)?.digest)));
            let candidates: BTreeMap<&Digest, &Digest> = candidates.collect();
            let there = destination.present(candidates.values().map(|digest| (*digest).clone()).collect()).await?;
            let is_there = |(_, digest): &(&&Digest, &&Digest)| there.contains(**digest);
            let left_out: BTreeSet<Digest> =
                candidates.iter().filter(is_there).map(|(layer, _)| (*layer).clone()).collect();
            match docker.take(local.id.as_str(), left_out, self.pusher.folder()).await {
                Ok(image) => return self.put(address, &image, &destination, &known).await.map(Some),
                // It needs room in the runner's temporary folder, which the engine's own way does not.
                Err(failure) => {
                    let told =
                        format!("{}: left to the Docker engine, for this failed: {:#}", address.key, failure.error);
                    self.edges.runner.say(told);
                }
            }
        }
        let reference = format!("{}/{}:{}", address.host, address.repository, address.tag);
        let login = self.aws.ecr.get_authorization_token().await?;
        docker.tag(local.id.as_str(), &reference).await?;
        docker.push(&reference, &login, |line| self.edges.runner.say(format!("{}: {line}", address.key))).await?;
        Ok(None)
    }

    /// Attaches what is known of an image that is there.
    pub(crate) async fn attach(
        &self,
        address: &Address<'_>,
        digest: &Digest,
        artifacts: &[Artifact],
    ) -> Result<(), Failure> {
        if artifacts.is_empty() {
            return Ok(());
        }
        let repository = self.destination(address).await.repository;
        let Some(manifest) = repository.manifest(digest.as_str()).await? else {
            return Err(Failure::remote(format!("`{}@{digest}` is not there to attach something to", repository.name)));
        };
        for artifact in artifacts {
            let attached = repository.attach(&manifest.descriptor(), artifact).await?;
            self.edges.runner.say(format!("{}: {} is attached ({})", address.key, artifact.title, attached.short()));
        }
        Ok(())
    }

    async fn put(
        &self,
        address: &Address<'_>,
        image: &SourceImage,
        destination: &Destination<'_>,
        known: &LayerMap,
    ) -> Result<Tally, Failure> {
        let (name, tags) = (address.key.as_str(), std::slice::from_ref(address.tag));
        self.pusher.push(name, image, destination, known, tags).await.map(|pushed| pushed.tally)
    }

    async fn destination(&self, address: &Address<'_>) -> Destination<'a> {
        let mut registries = self.registries.lock().await;
        let registry = registries
            .entry(address.host.to_owned())
            .or_insert_with(|| Registry::new(self.edges, address.host, Keys::Ecr(self.aws.ecr.clone())));
        Destination { repository: registry.repository(address.repository.clone()), ecr: Some(&self.aws.ecr) }
    }

    /// Which layers the repository's newest image has. Without it, all is sent: that takes longer, and is as right.
    async fn known(&self, address: &Address<'_>, destination: &Destination<'_>, platform: &str) -> LayerMap {
        let read = async {
            match self.aws.ecr.newest_image(address.repository).await? {
                Some(newest) => LayerMap::read(&destination.repository, newest.as_str(), platform).await,
                None => Ok(LayerMap::default()),
            }
        };
        read.await.unwrap_or_else(|failure| {
            let told = format!("{}: every layer is looked at, for the newest image cannot be: {failure}", address.key);
            self.edges.runner.say(told);
            LayerMap::default()
        })
    }
}
