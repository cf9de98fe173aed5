//! What the caller meant: every string is checked here, every file read, and nothing has left the process yet.

use std::time::Duration;

use common::aws::Place;
use common::delivery::ImagePolicy;
use common::edges::Edges;
use common::failure::Failure;
use common::names::{CommitSha, RepositoryName, ServiceKey, Tag};
use common::scope::Scope;

use crate::inputs::Inputs;

/// A push, as the caller meant it.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) place: Place,
    pub(crate) commit: CommitSha,
    /// The commit as a tag.
    pub(crate) tag: Tag,
    pub(crate) targets: Vec<Target>,
    /// The registry's host, if it is not the repository's own.
    pub(crate) registry: Option<String>,
    /// The tags that move to the images.
    pub(crate) moving: Vec<Tag>,
    pub(crate) policy: ImagePolicy,
    pub(crate) dry_run: bool,
    pub(crate) timeout: Duration,
}

/// One image to push.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) key: ServiceKey,
    pub(crate) repository: RepositoryName,
    /// What the engine knows it by.
    pub(crate) image: String,
}

impl Config {
    pub(crate) fn read(inputs: Inputs, edges: &Edges) -> Result<Self, Failure> {
        let Inputs { common, image, repository, registry, tags } = inputs;
        let scope = Scope::resolve(&common, edges)?;
        let commit = scope.require_commit()?.clone();
        let tag: Tag = commit.as_str().parse().map_err(Failure::bug)?;
        let moving = tags.map(|list| list.0).unwrap_or_default();
        if moving.contains(&tag) {
            return Err(Failure::input("input `tags`: the commit's own tag never moves")
                .hint("leave it out: every image gets it"));
        }
        Ok(Self {
            targets: targets(&scope, &commit, image, repository)?,
            policy: scope.delivery.as_ref().map(|delivery| delivery.image_policy.clone()).unwrap_or_default(),
            place: scope.place,
            commit,
            tag,
            registry: registry.map(|registry| host(&registry)).transpose()?,
            moving,
            dry_run: common.dry_run,
            timeout: common.timeout,
        })
    }
}

fn targets(
    scope: &Scope,
    commit: &CommitSha,
    image: Option<String>,
    repository: Option<RepositoryName>,
) -> Result<Vec<Target>, Failure> {
    let local = |repository: &RepositoryName| image.clone().unwrap_or_else(|| format!("{repository}:{commit}"));
    let given = image.as_ref().map(|_| "image").or(repository.as_ref().map(|_| "repository"));
    let Some(delivery) = &scope.delivery else {
        let Some(repository) = repository else {
            scope.require_delivery("set the input `repository`")?;
            return Ok(Vec::new());
        };
        let key = match scope.services.as_slice() {
            [key] => key.clone(),
            _ => repository
                .as_str()
                .rsplit('/')
                .next()
                .unwrap_or_default()
                .replace('.', "-")
                .parse()
                .map_err(Failure::input)?,
        };
        return Ok(vec![Target { key, image: local(&repository), repository }]);
    };
    if let (Some(input), true) = (given, scope.services.len() > 1) {
        return Err(Failure::input(format!(
            "input `{input}` speaks of one service, and there are {} to act on",
            scope.services.len()
        ))
        .hint("name that one in the input `services`"));
    }
    let declared = scope.services.iter().filter_map(|key| Some((key, delivery.services.get(key)?)));
    let target = |(key, service): (&ServiceKey, &common::delivery::Service)| {
        let repository = repository.clone().unwrap_or_else(|| service.repository.clone());
        Target { key: key.clone(), image: local(&repository), repository }
    };
    Ok(declared.map(target).collect())
}

fn host(text: &str) -> Result<String, Failure> {
    let is_host = !text.contains("://") && !text.contains('/') && !text.contains(char::is_whitespace);
    match is_host {
        true => Ok(text.to_owned()),
        false => Err(Failure::input(format!("input `registry`: `{text}` is not a host")).hint(
            "write it without a scheme and without a path, as in `111122223333.dkr.ecr.eu-west-1.amazonaws.com`",
        )),
    }
}
