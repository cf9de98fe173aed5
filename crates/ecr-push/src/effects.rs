//! Pushing: tag, push, read back, move tags; all images side by side. Total: whatever happens on the way is an [`Outcome`].

use std::time::Duration;

use common::aws::{Aws, Login};
use common::docker::{Docker, LocalImage};
use common::edges::Edges;
use common::failure::Failure;
use common::names::{Digest, RepositoryName, ServiceKey};
use common::poll::pause;
use futures_util::future::join_all;
use tokio::time::Instant;

use crate::config::Config;
use crate::facts::{self, Pushed};
use crate::plan::{Change, Plan, Step};

/// What came of a plan.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) images: Vec<ImageOutcome>,
    pub(crate) took: Duration,
}

/// What came of one image.
#[derive(Debug)]
pub(crate) struct ImageOutcome {
    pub(crate) key: ServiceKey,
    pub(crate) repository: RepositoryName,
    pub(crate) registry: String,
    pub(crate) fate: Fate,
    /// Its compressed size, as ECR counts it.
    pub(crate) size: Option<i64>,
    pub(crate) took: Duration,
    pub(crate) remark: Option<&'static str>,
}

/// How it ended for one image.
#[derive(Debug)]
pub(crate) enum Fate {
    /// It was there.
    Unchanged(Digest),
    /// It is there now.
    Pushed(Digest),
    /// Something failed. The digest is known if the image is there, and only a tag did not move.
    Failed(Failure, Option<Digest>),
    /// The time was up.
    TimedOut,
    /// The run was cancelled.
    Cancelled,
}

impl Fate {
    /// The digest, if the image is in the registry.
    pub(crate) fn digest(&self) -> Option<&Digest> {
        match self {
            Self::Unchanged(digest) | Self::Pushed(digest) => Some(digest),
            Self::Failed(_, digest) => digest.as_ref(),
            Self::TimedOut | Self::Cancelled => None,
        }
    }
}

/// Applies a plan: all images side by side, and the failure of one is not that of another.
pub(crate) async fn apply(config: &Config, plan: Plan, aws: &Aws, edges: &Edges) -> Outcome {
    let began = Instant::now();
    let Plan { changes, docker, .. } = plan;
    let pusher = Pusher { config, docker, aws, edges, began };
    let pushed = changes.iter().filter(|change| matches!(change.step, Step::Push { .. }));
    let keys: Vec<String> = pushed.map(|change| change.key.to_string()).collect();
    let images = join_all(changes.into_iter().map(|change| pusher.settle(change)));
    let images = match keys.as_slice() {
        [] => images.await,
        keys => edges.runner.grouped(&format!("Push {}", keys.join(", ")), images).await,
    };
    Outcome { images, took: began.elapsed() }
}

/// What all pushes share.
struct Pusher<'a> {
    config: &'a Config,
    docker: Option<Docker>,
    aws: &'a Aws,
    edges: &'a Edges,
    began: Instant,
}

impl Pusher<'_> {
    /// Takes one image to where it should be, unless the time is up or the run is cancelled: the engine ends a push that
    /// nobody listens to.
    async fn settle(&self, change: Change) -> ImageOutcome {
        let began = Instant::now();
        let left = self.config.timeout.saturating_sub(self.began.elapsed());
        let settled = tokio::select! {
            settled = self.push(&change) => settled,
            is_up = pause(left, &self.edges.stop) => if is_up { (Fate::TimedOut, None) } else { (Fate::Cancelled, None) },
        };
        let (fate, size) = settled;
        let remark = match &change.step {
            Step::Keep { remark, .. } => *remark,
            Step::Push { .. } | Step::Block(..) => None,
        };
        let Change { key, repository, registry, .. } = change;
        ImageOutcome { key, repository, registry, fate, size, took: began.elapsed(), remark }
    }

    async fn push(&self, change: &Change) -> (Fate, Option<i64>) {
        let (pushed, is_new) = match &change.step {
            Step::Keep { pushed, .. } => (Ok(pushed.clone()), false),
            Step::Push { image, local } => (self.push_image(change, image, local).await, true),
            Step::Block(..) => (Err(Failure::bug("a blocked image was to be pushed")), false),
        };
        let pushed = match pushed {
            Ok(pushed) => pushed,
            Err(failure) => return (Fate::Failed(failure, None), None),
        };
        let Pushed { image, .. } = &pushed;
        let fate = match self.move_tags(change, &pushed).await {
            Err(failure) => Fate::Failed(failure, Some(image.digest.clone())),
            Ok(()) if is_new => Fate::Pushed(image.digest.clone()),
            Ok(()) => Fate::Unchanged(image.digest.clone()),
        };
        (fate, image.size)
    }

    /// Pushes an image and reads back what the registry made of it: what counts is what is there, not what was sent.
    async fn push_image(&self, change: &Change, image: &str, local: &LocalImage) -> Result<Pushed, Failure> {
        let Change { key, reference, repository, .. } = change;
        let docker =
            self.docker.as_ref().ok_or_else(|| Failure::bug("there is an image to push, and no engine to push it"))?;
        let login: Login = self.aws.ecr.get_authorization_token().await?;
        docker.tag(image, reference).await?;
        docker.push(reference, &login, |line| self.edges.runner.say(format!("{key}: {line}"))).await?;
        let pushed = facts::pushed(self.config, self.aws, repository).await?.ok_or_else(|| {
            Failure::remote(format!("`{reference}` was pushed, and ECR does not show it"))
                .hint("check that the registry is the one of this account and region, then run again")
        })?;
        match pushed.manifest.digests.contains(&local.id) {
            true => self.tag_contents(change, local, &pushed).await.map(|()| pushed),
            false => Err(Failure::remote(format!(
                "`{reference}` was pushed from {}, and the registry shows {}, which is another image",
                local.id, pushed.image.digest
            ))
            .hint("another run pushed this commit at the same time: run again to use that image")),
        }
    }

    /// Lets a later run find the image by what it is made of. The first image with these contents keeps the tag.
    async fn tag_contents(&self, change: &Change, local: &LocalImage, pushed: &Pushed) -> Result<(), Failure> {
        let Some(tag) = local.contents_tag().transpose()? else { return Ok(()) };
        match self.aws.ecr.image_by_tag(&change.repository, &tag).await? {
            Some(_) => Ok(()),
            None => self.aws.ecr.put_tag(&change.repository, &pushed.manifest, &tag).await,
        }
    }

    /// Moves the tags that are to move, last: they never name an image that is not there.
    async fn move_tags(&self, change: &Change, pushed: &Pushed) -> Result<(), Failure> {
        let is_there = |tag: &str| pushed.image.tags.iter().any(|known| known == tag);
        for tag in self.config.moving.iter().filter(|tag| !is_there(tag.as_str())) {
            self.aws.ecr.put_tag(&change.repository, &pushed.manifest, tag).await?;
            self.edges.runner.say(format!("{}: {tag} is {} now", change.key, pushed.image.digest.short()));
        }
        Ok(())
    }
}
