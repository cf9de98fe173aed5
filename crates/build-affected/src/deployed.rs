//! The commit that each service runs, for `base-from: deployed`.
//!
//! What runs is an image. The commits that it was pushed for are its tags: several, where the service did not change between
//! them. The nearest of them in the head's history is the one to compare with.

use std::collections::BTreeMap;

use common::aws::{Aws, EcrImage, ImageVersion, Service};
use common::failure::Failure;
use common::git::Git;
use common::names::{ClusterName, CommitSha, ContainerName, ServiceKey, ServiceName};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use crate::history::Base;

/// How many services are asked about at once: AWS throttles who asks about more.
const AT_ONCE: usize = 8;

/// The label that names the commit an image was built from (OCI image specification, "Pre-Defined Annotation Keys").
const REVISION: &str = "org.opencontainers.image.revision";

/// A service, and where it runs.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    pub(crate) key: ServiceKey,
    pub(crate) service: ServiceName,
    /// The container that runs its image.
    pub(crate) container: ContainerName,
}

/// What to look at, and with what.
#[derive(Clone, Copy)]
struct Looking<'a> {
    aws: &'a Aws,
    cluster: &'a ClusterName,
    git: &'a Git,
    head: &'a CommitSha,
}

/// What is known of an image that runs.
enum Origin {
    /// It was pushed for these commits.
    Commits(Vec<CommitSha>),
    /// Nobody can tell, and why.
    Unknown(String),
}

/// What to compare each service with: the commit that it runs.
pub(crate) async fn deployed(
    aws: &Aws,
    cluster: &ClusterName,
    placed: &[Placed],
    git: &Git,
    head: &CommitSha,
) -> Result<BTreeMap<ServiceKey, Base>, Failure> {
    let names: Vec<&ServiceName> = placed.iter().map(|placed| &placed.service).collect();
    let services = aws.ecs.describe_services(cluster, &names).await?;
    let looking = Looking { aws, cluster, git, head };
    let bases = placed.iter().map(|placed| {
        let running = services.iter().find(|service| service.name == placed.service.as_str());
        async move {
            let base = match running.filter(|service| service.status == "ACTIVE") {
                Some(service) => looking.base(placed, service).await?,
                None => Base::Unknown {
                    word: "first-run",
                    why: format!("it was never deployed to cluster `{cluster}`"),
                    remark: None,
                },
            };
            Ok((placed.key.clone(), base))
        }
    });
    stream::iter(bases).buffered(AT_ONCE).try_collect().await
}

impl Looking<'_> {
    async fn base(self, placed: &Placed, service: &Service) -> Result<Base, Failure> {
        let commits = match self.origin(placed, service).await? {
            Origin::Commits(commits) => commits,
            Origin::Unknown(why) => return Ok(Base::unknown(why)),
        };
        if let Some(commit) = self.git.nearest(self.head, |commit| commits.contains(commit))? {
            return Ok(Base::known(commit, "deployed", format!("the commit that runs in cluster `{}`", self.cluster)));
        }
        // It need not be in the history: what was deployed from a branch is compared as it is.
        for commit in &commits {
            if self.git.has(commit)? {
                let sentence = format!("the commit that runs in cluster `{}`, of another branch", self.cluster);
                return Ok(Base::known(commit.clone(), "deployed", sentence));
            }
        }
        let commits: Vec<&str> = commits.iter().map(CommitSha::short).collect();
        Ok(Base::unknown(format!(
            "it runs {}, which the clone does not have: give actions/checkout `fetch-depth: 0`",
            commits.join(" or ")
        )))
    }

    /// The commits of the image that the service is to run: of its primary deployment, whose rollout may go on still.
    async fn origin(self, placed: &Placed, service: &Service) -> Result<Origin, Failure> {
        let primary = service.primary().map(|deployment| &deployment.task_definition);
        let revision = primary.unwrap_or(&service.task_definition);
        let definition = self.aws.ecs.describe_task_definition(revision).await?;
        let containers = definition["containerDefinitions"].as_array().into_iter().flatten();
        let mut images = containers
            .filter(|container| container["name"] == placed.container.as_str())
            .filter_map(|container| container["image"].as_str());
        let Some(reference) = images.next() else {
            return Ok(Origin::Unknown(format!("its task definition has no container `{}`", placed.container)));
        };
        let Some(image) = EcrImage::parse(reference) else {
            return Ok(Origin::Unknown(format!("its image `{reference}` is none of ECR")));
        };
        let digest = match &image.version {
            ImageVersion::Digest(_) => Some(image),
            ImageVersion::Tag(tag) => {
                if let Ok(commit) = tag.as_str().parse() {
                    return Ok(Origin::Commits(vec![commit]));
                }
                self.pulled(placed, revision, image).await?
            }
        };
        match digest {
            Some(image) => self.pushed_for(&image).await,
            None => Ok(Origin::Unknown(format!("`{reference}` moves, and no task says which image it was"))),
        }
    }

    /// The image that the tasks of a task definition pulled, when the tag was where it was then. The tag may have moved since.
    async fn pulled(self, placed: &Placed, revision: &str, image: EcrImage) -> Result<Option<EcrImage>, Failure> {
        let tasks = self.aws.ecs.running_tasks(self.cluster, placed.service.as_str()).await?;
        let tasks = tasks.into_iter().filter(|task| task.task_definition == revision);
        let mut containers = tasks.flat_map(|task| task.containers);
        let container = containers
            .find(|container| container.name == placed.container.as_str() && container.image_digest.is_some());
        let digest = container.and_then(|container| container.image_digest?.parse().ok());
        Ok(digest.map(|digest| EcrImage { version: ImageVersion::Digest(digest), ..image }))
    }

    async fn pushed_for(self, image: &EcrImage) -> Result<Origin, Failure> {
        let Some(tags) = self.aws.ecr.tags(image).await? else {
            return Ok(Origin::Unknown(format!("its image `{image}` is gone from the registry")));
        };
        let commits: Vec<CommitSha> = tags.iter().filter_map(|tag| tag.parse().ok()).collect();
        if !commits.is_empty() {
            return Ok(Origin::Commits(commits));
        }
        let labels = self.aws.ecr.labels(image).await?.unwrap_or_default();
        Ok(match labels.get(REVISION).and_then(|revision| revision.parse().ok()) {
            Some(commit) => Origin::Commits(vec![commit]),
            None => Origin::Unknown(format!(
                "its image `{image}` says of no commit, neither by a tag nor by the label `{REVISION}`"
            )),
        })
    }
}

#[cfg(test)]
mod tests;
