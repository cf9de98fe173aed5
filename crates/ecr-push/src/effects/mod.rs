//! Pushing: all images side by side, and step by step: each repository as it should be and each image there; what they have to
//! pass once they are there; and, if all of them do, the tags that move. Total: whatever happens on the way is an [`Outcome`].

mod push;
mod repository;
mod verify;

use std::time::Duration;

use common::aws::Aws;
use common::docker::Docker;
use common::edges::Edges;
use common::failure::Failure;
use common::names::{Digest, Tag};
use common::policy::Violation;
use common::poll::pause;
use common::push::Tally;
use futures_util::future::join_all;
use tokio::time::Instant;

use crate::config::{Config, Target};
use crate::facts::Pushed;
use crate::gate::Scanned;
use crate::plan::{Change, Plan, Step};
use crate::send::Sender;
use crate::upkeep::Upkeep;

/// What came of a plan.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) images: Vec<ImageOutcome>,
    /// The tags that moved to the images, or were there.
    pub(crate) moved: Vec<Tag>,
    pub(crate) took: Duration,
}

/// What came of one image.
#[derive(Debug)]
pub(crate) struct ImageOutcome {
    pub(crate) target: Target,
    /// The registry's host; blank if the repository was never there.
    pub(crate) registry: String,
    pub(crate) fate: Fate,
    /// What the registry has; `None` if the image is not there.
    pub(crate) pushed: Option<Pushed>,
    pub(crate) upkeep: Upkeep,
    /// What was found in it, by everybody who looked.
    pub(crate) scanned: Vec<Scanned>,
    /// The profile that ECR signed it with.
    pub(crate) signed: Option<String>,
    pub(crate) remark: Option<String>,
    /// What became of its blobs, if this run sent them by itself.
    pub(crate) tally: Option<Tally>,
    pub(crate) took: Duration,
}

/// How it ended for one image.
#[derive(Debug)]
pub(crate) enum Fate {
    /// It was there.
    Unchanged,
    /// It is there now.
    Pushed,
    /// It is there, and does not pass.
    Blocked(Vec<Violation>),
    /// Something failed.
    Failed(Failure),
    /// The time was up.
    TimedOut,
    /// The run was cancelled.
    Cancelled,
}

impl Fate {
    fn is_good(&self) -> bool {
        matches!(self, Self::Unchanged | Self::Pushed)
    }
}

impl ImageOutcome {
    /// Its digest, if it is in the registry.
    pub(crate) fn digest(&self) -> Option<&Digest> {
        self.pushed.as_ref().map(|pushed| &pushed.manifest.digest)
    }

    /// Its size in the registry, as far as it is known.
    pub(crate) fn size(&self) -> Option<u64> {
        let pushed = self.pushed.as_ref()?;
        let counted = || u64::try_from(pushed.details.as_ref()?.size?).ok();
        pushed.manifest.size.or_else(counted)
    }
}

/// Applies a plan.
pub(crate) async fn apply(config: &Config, plan: Plan, aws: &Aws, edges: &Edges) -> Outcome {
    let Plan { changes, docker, moving } = plan;
    let run = Run { config, docker, aws, edges, sender: Sender::new(aws, edges), began: Instant::now() };
    let pushed = changes.iter().filter(|change| matches!(change.step, Step::Push { .. }));
    let keys: Vec<String> = pushed.map(|change| change.key().to_string()).collect();
    let delivered = join_all(changes.into_iter().map(|change| run.deliver(change)));
    let mut images = match keys.as_slice() {
        [] => delivered.await,
        keys => edges.runner.grouped(&format!("Push {}", keys.join(", ")), delivered).await,
    };
    join_all(images.iter_mut().filter(|image| image.fate.is_good()).map(|image| run.verify(image))).await;
    // Half a release helps nobody: the tags move together, or stay where they are.
    let mut moved = Vec::new();
    if images.iter().all(|image| image.fate.is_good()) {
        join_all(images.iter_mut().map(|image| run.move_tags(image, &moving))).await;
        moved = moving;
    }
    Outcome { images, moved, took: run.began.elapsed() }
}

/// What all images of a run share.
struct Run<'a> {
    config: &'a Config,
    docker: Option<Docker>,
    aws: &'a Aws,
    edges: &'a Edges,
    sender: Sender<'a>,
    began: Instant,
}

/// An image that is in the registry.
struct Arrived {
    pushed: Pushed,
    is_new: bool,
    tally: Option<Tally>,
    remark: Option<String>,
}

impl Run<'_> {
    /// The time that is left to the run.
    fn left(&self) -> Duration {
        self.config.timeout.saturating_sub(self.began.elapsed())
    }

    /// Takes one image to where it should be, unless the time is up or the run is cancelled: the engine ends a push that
    /// nobody listens to.
    async fn deliver(&self, change: Change) -> ImageOutcome {
        let began = Instant::now();
        let mut uri = change.uri.clone();
        let arrived = tokio::select! {
            arrived = self.bring(&change, &mut uri) => arrived.map_err(Fate::Failed),
            is_up = pause(self.left(), &self.edges.stop) => Err(if is_up { Fate::TimedOut } else { Fate::Cancelled }),
        };
        let (fate, pushed, remark, tally) = match arrived {
            Ok(Arrived { pushed, is_new, remark, tally }) => {
                (if is_new { Fate::Pushed } else { Fate::Unchanged }, Some(pushed), remark, tally)
            }
            Err(fate) => (fate, None, None, None),
        };
        let scanned = match change.step {
            Step::Push { checked, .. } | Step::Block { checked, .. } => checked.scanned.into_iter().collect(),
            Step::Keep { .. } => Vec::new(),
        };
        let registry = uri.map(|uri| self.host(&change.target, &uri)).unwrap_or_default();
        let Change { target, upkeep, .. } = change;
        let took = began.elapsed();
        ImageOutcome { target, registry, fate, pushed, upkeep, scanned, signed: None, remark, tally, took }
    }

    /// The host of a repository's address, unless the caller reaches the registry by another.
    fn host(&self, target: &Target, uri: &str) -> String {
        let own = uri.strip_suffix(&format!("/{}", target.repository)).unwrap_or(uri);
        self.config.registry.as_deref().unwrap_or(own).to_owned()
    }

    /// The repository, and then the image.
    async fn bring(&self, change: &Change, uri: &mut Option<String>) -> Result<Arrived, Failure> {
        let address = self.keep_up(change).await?;
        let host = self.host(&change.target, &address);
        *uri = Some(address);
        match &change.step {
            Step::Keep { pushed, remark, missing } => {
                self.attach(&change.target, &host, pushed, missing).await?;
                let remark = remark.map(str::to_owned);
                Ok(Arrived { pushed: pushed.clone(), is_new: false, tally: None, remark })
            }
            Step::Push { local, source, .. } => self.push(&change.target, &host, local, source.as_deref()).await,
            Step::Block { .. } => Err(Failure::bug("a blocked image was to be pushed")),
        }
    }

    /// Moves the tags that are to move, last: they never name an image that is not there, or does not pass.
    async fn move_tags(&self, image: &mut ImageOutcome, moving: &[Tag]) {
        let Some(pushed) = &image.pushed else { return };
        for tag in moving.iter().filter(|tag| !pushed.tags.contains(tag)) {
            if let Err(failure) = self.aws.ecr.move_tag(&image.target.repository, &pushed.manifest, tag).await {
                image.fate = Fate::Failed(failure);
                return;
            }
            let digest = pushed.manifest.digest.short();
            self.edges.runner.say(format!("{}: {tag} is {digest} now", image.target.key));
        }
    }
}
