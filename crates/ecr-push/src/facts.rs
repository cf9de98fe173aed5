//! What the registry and the engine have, before anything is done. Reads only. An engine is asked for where it is needed, and
//! where it happens to be there: an image that is in the registry needs none. What a repository is like is read where
//! something is to be pushed.

use std::collections::BTreeMap;

use common::aws::{Aws, Image, Manifest, RegistryScanning, Repository};
use common::docker::{Docker, Examined, LocalImage};
use common::edges::Edges;
use common::failure::Failure;
use common::image_source::{ImageSource, SourceImage};
use common::names::{RepositoryName, Tag};
use futures_util::future::{try_join, try_join_all};
use jiff::Timestamp;
use serde_json::Value;

use crate::config::{Config, Target};

/// What the registry and the engine have.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) targets: Vec<(Target, TargetFacts)>,
    /// The engine; `None` if nothing needs it and there is none.
    pub(crate) docker: Option<Docker>,
    pub(crate) now: Timestamp,
}

/// What is true of one image.
#[derive(Debug)]
pub(crate) struct TargetFacts {
    /// `None` if there is no such repository.
    pub(crate) repository: Option<Repository>,
    pub(crate) image: ImageFacts,
    /// The image itself, where it is in files.
    pub(crate) source: Option<SourceImage>,
}

/// Where the image is.
#[derive(Debug)]
pub(crate) enum ImageFacts {
    /// The registry has one behind the commit's tag; the engine may have one, too.
    Pushed(Pushed, Option<LocalImage>),
    /// The registry has none; the engine does.
    Local(Examined, Upkeep),
    /// Nobody has it.
    Nowhere,
}

/// An image that the registry has.
#[derive(Clone, Debug)]
pub(crate) struct Pushed {
    pub(crate) manifest: Manifest,
    /// Those of the run's tags that it has.
    pub(crate) tags: Vec<Tag>,
    /// What else ECR knows of it, where that was asked for.
    pub(crate) details: Option<Image>,
}

/// How a repository is kept, as far as the role may know it.
#[derive(Debug)]
pub(crate) struct Upkeep {
    /// Its lifecycle policy, if it has one.
    pub(crate) lifecycle: Result<Option<Value>, Failure>,
    /// What the registry says of scanning.
    pub(crate) scanning: Result<RegistryScanning, Failure>,
}

impl Facts {
    pub(crate) async fn read(config: &Config, aws: &Aws, edges: &Edges) -> Result<Self, Failure> {
        let found = try_join_all(config.targets.iter().map(async |target| {
            let name = &target.repository;
            try_join(aws.ecr.repository(name), pushed(config, aws, name)).await
        }))
        .await?;
        let docker = match edges.docker().await {
            Ok(docker) => Some(docker),
            Err(failure) if config.targets.iter().zip(&found).any(needs_engine) => return Err(failure),
            Err(_) => None,
        };
        let rest = config.targets.iter().zip(found);
        let targets = rest.map(async |(target, (repository, pushed))| {
            let facts = target_facts(aws, target, repository, pushed, docker.as_ref()).await?;
            Ok::<_, Failure>((target.clone(), facts))
        });
        let targets = try_join_all(targets).await?;
        Ok(Self { targets, docker, now: edges.now() })
    }
}

/// What is true of one image.
async fn target_facts(
    aws: &Aws,
    target: &Target,
    repository: Option<Repository>,
    pushed: Option<Pushed>,
    docker: Option<&Docker>,
) -> Result<TargetFacts, Failure> {
    let source = match target.source.open().await {
        Ok(source) => source,
        // What is in the registry needs nothing here.
        Err(_) if pushed.is_some() => None,
        Err(failure) => return Err(failure),
    };
    let local = match (&source, &target.source, docker) {
        (Some(source), ..) => Some(source.image.clone()),
        (None, ImageSource::Engine(name), Some(docker)) => docker.inspect(name).await?,
        (None, ..) => None,
    };
    let image = match (pushed, local) {
        (Some(pushed), local) => ImageFacts::Pushed(dated(aws, target, pushed, local.as_ref()).await?, local),
        (None, Some(local)) => {
            let examined = examine(target, local, source.as_ref(), docker).await?;
            ImageFacts::Local(examined, upkeep(aws, &target.repository, repository.is_some()).await)
        }
        (None, None) => ImageFacts::Nowhere,
    };
    Ok(TargetFacts { repository, image, source })
}

/// Whether an image is to be pushed that only the engine can have.
fn needs_engine<T>((target, (_, pushed)): (&Target, &(T, Option<Pushed>))) -> bool {
    pushed.is_none() && matches!(target.source, ImageSource::Engine(_))
}

/// Looks at an image as closely as its policy asks for, wherever it is.
async fn examine(
    target: &Target,
    local: LocalImage,
    source: Option<&SourceImage>,
    docker: Option<&Docker>,
) -> Result<Examined, Failure> {
    match (source, docker) {
        (Some(source), _) => source.examine(&target.policy).await,
        (None, Some(docker)) => docker.examine(local, &target.policy).await,
        (None, None) => Err(Failure::bug("an image was found, and nobody has it")),
    }
}

/// What carries the commit's tag, by one request. `None` if nothing does, or there is no such repository.
pub(crate) async fn pushed(config: &Config, aws: &Aws, repository: &RepositoryName) -> Result<Option<Pushed>, Failure> {
    let asked: Vec<Tag> = config.moving.iter().chain([&config.tag]).cloned().collect();
    let mut found: BTreeMap<Tag, Manifest> = aws.ecr.manifests_by_tag(repository, &asked).await?.unwrap_or_default();
    let Some(manifest) = found.remove(&config.tag) else { return Ok(None) };
    let is_same = |(_, other): &(Tag, Manifest)| other.digest == manifest.digest;
    let tags = found.into_iter().filter(is_same).map(|(tag, _)| tag).collect();
    Ok(Some(Pushed { manifest, tags, details: None }))
}

/// An image that is not the one here, with the moment of its push: somebody will have to choose between the two. And one
/// whose manifest does not tell its size.
async fn dated(aws: &Aws, target: &Target, pushed: Pushed, local: Option<&LocalImage>) -> Result<Pushed, Failure> {
    let is_other = local.is_some_and(|local| !pushed.manifest.digests.contains(&local.id));
    let needs_size = pushed.manifest.size.is_none() && target.policy.max_compressed_size.is_some();
    if !is_other && !needs_size {
        return Ok(pushed);
    }
    let details = aws.ecr.image_by_digest(&target.repository, &pushed.manifest.digest).await?;
    Ok(Pushed { details, ..pushed })
}

/// Both are asked for side by side. A role that may not read them can push all the same.
async fn upkeep(aws: &Aws, name: &RepositoryName, is_there: bool) -> Upkeep {
    let lifecycle = async {
        match is_there {
            true => aws.ecr.lifecycle_policy(name).await,
            false => Ok(None),
        }
    };
    let (lifecycle, scanning) = futures_util::future::join(lifecycle, aws.ecr.registry_scanning()).await;
    Upkeep { lifecycle, scanning }
}
