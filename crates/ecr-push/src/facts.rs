//! What the registry and the engine have, before anything is done. Reads only. An engine is asked for where it is needed, and
//! where it happens to be there: an image that is in the registry needs none.

use common::aws::{Aws, Image, Manifest};
use common::docker::{Docker, LocalImage};
use common::edges::Edges;
use common::failure::Failure;
use common::names::RepositoryName;
use futures_util::future::try_join_all;

use crate::config::{Config, Target};

/// What the registry and the engine have.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) targets: Vec<(Target, TargetFacts)>,
    /// The engine; `None` if nothing needs it and there is none.
    pub(crate) docker: Option<Docker>,
}

/// What is true of one image.
#[derive(Debug)]
pub(crate) struct TargetFacts {
    /// The repository's address, `<registry>/<repository>`; `None` if there is no such repository.
    pub(crate) uri: Option<String>,
    /// What carries the commit's tag.
    pub(crate) pushed: Option<Pushed>,
    /// What the engine has; `None` if it has no such image, or nobody could be asked.
    pub(crate) local: Option<LocalImage>,
}

/// An image that the registry has.
#[derive(Clone, Debug)]
pub(crate) struct Pushed {
    pub(crate) image: Image,
    pub(crate) manifest: Manifest,
}

impl Facts {
    pub(crate) async fn read(config: &Config, aws: &Aws, edges: &Edges) -> Result<Self, Failure> {
        let registry = try_join_all(config.targets.iter().map(async |target| {
            let Some(uri) = aws.ecr.repository_uri(&target.repository).await? else { return Ok((None, None)) };
            Ok::<_, Failure>((Some(uri), pushed(config, aws, &target.repository).await?))
        }))
        .await?;
        let is_needed = registry.iter().any(|(uri, pushed)| uri.is_some() && pushed.is_none());
        let docker = match edges.docker().await {
            Ok(docker) => Some(docker),
            Err(failure) if is_needed => return Err(failure),
            Err(_) => None,
        };
        let mut targets = Vec::new();
        for (target, (uri, pushed)) in config.targets.iter().zip(registry) {
            let local = match &docker {
                Some(docker) => docker.inspect(&target.image).await?,
                None => None,
            };
            targets.push((target.clone(), TargetFacts { uri, pushed, local }));
        }
        Ok(Self { targets, docker })
    }
}

/// What carries the commit's tag.
pub(crate) async fn pushed(config: &Config, aws: &Aws, repository: &RepositoryName) -> Result<Option<Pushed>, Failure> {
    let Some(image) = aws.ecr.image_by_tag(repository, &config.tag).await? else { return Ok(None) };
    let manifest = aws.ecr.manifest(repository, &image.digest).await?;
    Ok(Some(Pushed { image, manifest }))
}
