//! Pushes an image to any registry, without AWS: the engine of `ecr-push` alone, for its benchmark.
//!
//! ```sh
//! IMAGE=oci:DIR TO=127.0.0.1:5000/shop/auth:v2 KNOWN=v1 cargo run -p pusher
//! ```
//!
//! `IMAGE` is anything that the action's input `image` takes; `KNOWN` names an image in the same repository to read the layer
//! map from. Several images are pushed side by side: separate them, and their `TO`s, by spaces.

use std::collections::BTreeSet;
use std::process::ExitCode;

use common::docker::Docker;
use common::edges::Edges;
use common::failure::Failure;
use common::http::Http;
use common::image_source::{ImageSource, SourceImage};
use common::names::Tag;
use common::push::{Destination, LayerMap, Pusher};
use common::registry::{Keys, Manifest, Registry, Repository};
use common::runner::Runner;
use common::stop::Stop;
use futures_util::future::try_join_all;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let runner = Runner::of_process();
    let edges = match (Stop::on_signals(), Http::connect(runner.environment())) {
        (Ok(stop), Ok(http)) => Edges { runner, stop, http },
        (Err(failure), _) | (_, Err(failure)) => {
            runner.say(failure.to_string());
            return ExitCode::FAILURE;
        }
    };
    match push_all(&edges).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            edges.runner.say(failure.to_string());
            ExitCode::from(failure.kind.exit_code())
        }
    }
}

async fn push_all(edges: &Edges) -> Result<(), Failure> {
    let variable = |name: &str| edges.runner.environment().get(name).unwrap_or_default();
    let images: Vec<&str> = variable("IMAGE").split_whitespace().collect();
    let destinations: Vec<&str> = variable("TO").split_whitespace().collect();
    let host = destinations.first().and_then(|to| to.split_once('/')).map_or("", |(host, _)| host);
    let registry = Registry::new(edges, host, Keys::None);
    let pusher = Pusher::new(edges);
    let pushes = images.iter().zip(&destinations).map(async |(image, to)| {
        let reference = to.split_once('/').and_then(|(_, path)| path.rsplit_once(':'));
        let (name, tag) = reference.ok_or_else(|| Failure::input(format!("`{to}` is not HOST/REPOSITORY:TAG")))?;
        let repository = registry.repository(name.parse().map_err(Failure::input)?);
        push(edges, &pusher, image, repository, tag.parse().map_err(Failure::input)?, variable("KNOWN")).await
    });
    try_join_all(pushes).await.map(drop)
}

async fn push(
    edges: &Edges,
    pusher: &Pusher<'_>,
    source: &str,
    repository: Repository<'_>,
    tag: Tag,
    known: &str,
) -> Result<(), Failure> {
    let opened = source.parse::<ImageSource>()?.open().await?;
    let map = match known {
        "" => LayerMap::default(),
        known => LayerMap::read(&repository, known, "linux/amd64").await?,
    };
    let destination = Destination { repository, ecr: None };
    let there = destination.repository.manifest(tag.as_str()).await?;
    let image = match opened {
        Some(image) => (!there.is_some_and(|there| image.is(&there))).then_some(image),
        None => taken(edges, pusher, source, &destination, &map, there.as_ref()).await?,
    };
    match image {
        Some(image) => pusher.push(source, &image, &destination, &map, &[tag]).await.map(drop),
        None => {
            edges.runner.say(format!("{source}: unchanged"));
            Ok(())
        }
    }
}

/// An image of the Docker engine, without the layers that the registry has; `None` if the registry has it.
async fn taken(
    edges: &Edges,
    pusher: &Pusher<'_>,
    name: &str,
    destination: &Destination<'_>,
    map: &LayerMap,
    there: Option<&Manifest>,
) -> Result<Option<SourceImage>, Failure> {
    let docker: Docker = edges.docker().await?;
    let local = docker.inspect(name).await?.ok_or_else(|| Failure::input(format!("there is no image `{name}`")))?;
    if there.is_some_and(|there| there.is_of(&local.id)) {
        return Ok(None);
    }
    let there = destination.present(map.blobs().cloned().collect()).await?;
    let is_there = |id: &&common::names::Digest| map.get(id).is_some_and(|layer| there.contains(&layer.digest));
    let known: BTreeSet<_> = local.layers.iter().filter(is_there).cloned().collect();
    docker.take(name, known, pusher.folder()).await.map(Some)
}
