//! Building the affected images, wave by wave. Total: whatever happens on the way is an [`Outcome`], never a `?`.
//!
//! `recipe` (how each image is built, settled before anything is) → `queue` (what comes after what) → here. `places` says how
//! many are built at a time.

mod cache;
mod places;
mod queue;
mod recipe;

use std::collections::BTreeMap;
use std::time::Duration;

use common::docker::{Docker, Examined, LocalImage};
use common::edges::Edges;
use common::failure::Failure;
use common::names::ServiceKey;
use common::policy::{Violation, examine};
use common::poll::pause;
use futures_util::stream::{self, StreamExt};
use tokio::time::Instant;

pub(crate) use cache::cache;
pub(crate) use recipe::{Recipe, Source, recipes};

use crate::config::Config;
use crate::inputs::Output;
use crate::plan::Plan;
use queue::{Queue, Turn};

/// What came of building.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) images: Vec<ImageOutcome>,
    pub(crate) took: Duration,
}

/// What came of one image.
#[derive(Debug)]
pub(crate) struct ImageOutcome {
    pub(crate) key: ServiceKey,
    /// What it is called: `repository:commit`.
    pub(crate) reference: String,
    pub(crate) fate: Fate,
    pub(crate) took: Duration,
}

/// How it ended for one image.
#[derive(Debug)]
pub(crate) enum Fate {
    /// It is there, and keeps the policy.
    Built(LocalImage),
    /// It is there, and does not.
    Refused(LocalImage, Vec<Violation>),
    /// It is not.
    Failed(Failure),
    /// The time was up.
    TimedOut,
    /// The run was cancelled.
    Cancelled,
    /// One that it comes after is not as it should be.
    Blocked(ServiceKey),
}

impl Fate {
    fn is_good(&self) -> bool {
        matches!(self, Self::Built(_))
    }
}

/// Builds the affected images, and those that they are made of. An image is begun when all that it comes after are as they
/// should be; what is wrong with one keeps back no other.
pub(crate) async fn apply(
    config: &Config,
    plan: &Plan,
    recipes: &BTreeMap<ServiceKey, Recipe>,
    docker: &Docker,
    edges: &Edges,
) -> Outcome {
    let queue = Queue::of(plan, recipes);
    let places = places::places(config.parallel, docker, edges).await;
    let width = queue.turns().map(|turn| turn.key.as_str().len()).max().unwrap_or(0);
    let mut builder = Builder { config, docker, edges, width, began: Instant::now(), done: BTreeMap::new() };
    for wave in queue.waves() {
        let title = match builder.ready(wave).map(|turn| turn.key.as_str()).collect::<Vec<_>>().as_slice() {
            [] => None,
            keys => Some(format!("Build {}", keys.join(", "))),
        };
        let builds: Vec<_> = wave.iter().map(|turn| builder.take(turn)).collect();
        let builds = stream::iter(builds).buffered(places).collect::<Vec<_>>();
        let built = match title {
            Some(title) => edges.runner.grouped(&title, builds).await,
            None => builds.await,
        };
        builder.done.extend(built.into_iter().map(|image| (image.key.clone(), image)));
    }
    let took = builder.began.elapsed();
    let mut done = builder.done;
    let images = queue.turns().filter_map(|turn| done.remove(turn.key).map(|image| (turn, image)));
    // Of those that are not affected, only what went wrong is worth a word.
    let images = images.filter(|(turn, image)| turn.is_affected || !image.fate.is_good()).map(|(_, image)| image);
    Outcome { images: images.collect(), took }
}

/// What all builds share.
struct Builder<'a> {
    config: &'a Config,
    docker: &'a Docker,
    edges: &'a Edges,
    /// The length of the longest key, so that the lines of all builds stand below each other.
    width: usize,
    began: Instant,
    done: BTreeMap<ServiceKey, ImageOutcome>,
}

impl Builder<'_> {
    /// The turns that nothing keeps back.
    fn ready<'t>(&self, wave: &'t [Turn<'t>]) -> impl Iterator<Item = &'t Turn<'t>> {
        wave.iter().filter(|turn| self.obstacle(turn).is_none())
    }

    /// Which of those that it comes after is not as it should be.
    fn obstacle<'t>(&self, turn: &Turn<'t>) -> Option<&'t ServiceKey> {
        let is_bad = |key: &&ServiceKey| self.done.get(*key).is_some_and(|image| !image.fate.is_good());
        turn.after.iter().copied().find(is_bad)
    }

    async fn take(&self, turn: &Turn<'_>) -> ImageOutcome {
        let began = Instant::now();
        let fate = match self.obstacle(turn) {
            Some(key) => Fate::Blocked(key.clone()),
            None => self.build(turn).await,
        };
        let took = if matches!(fate, Fate::Blocked(_)) { Duration::ZERO } else { began.elapsed() };
        ImageOutcome { key: turn.key.clone(), reference: turn.recipe.build.reference.clone(), fate, took }
    }

    /// Builds one image, unless the time is up or the run is cancelled: the engine ends a build that nobody listens to.
    async fn build(&self, turn: &Turn<'_>) -> Fate {
        let left = self.config.timeout.saturating_sub(self.began.elapsed());
        tokio::select! {
            biased;
            is_up = pause(left, &self.edges.stop) => if is_up { Fate::TimedOut } else { Fate::Cancelled },
            built = self.made(turn) => match built {
                Ok((examined, violations)) if violations.is_empty() || !turn.is_affected => Fate::Built(examined.image),
                Ok((examined, violations)) => Fate::Refused(examined.image, violations),
                Err(failure) => Fate::Failed(failure),
            },
        }
    }

    /// Builds it, looks at it, and hands it over.
    async fn made(&self, turn: &Turn<'_>) -> Result<(Examined, Vec<Violation>), Failure> {
        let Recipe { build, policy, .. } = turn.recipe;
        let mut build = build.clone();
        build.images = self.sources(turn).await?;
        let say = |line: String| self.edges.runner.say(format!("{:width$}  {line}", turn.key, width = self.width));
        let image = self.docker.build(&build, say).await?;
        let examined = self.docker.examine(image, policy).await?;
        let violations = examine(&examined, policy);
        if let (Output::Layout(folder), true, true) = (&self.config.output, turn.is_affected, violations.is_empty()) {
            let folder = self.config.workspace.join(folder).join(turn.key.as_str());
            self.docker.write_layout(&build.reference, &folder).await?;
        }
        Ok((examined, violations))
    }

    /// The local images that the Dockerfile means by its names. Each is called after what it is, so that a build from the same
    /// one is the same build, and one from another never is.
    async fn sources(&self, turn: &Turn<'_>) -> Result<BTreeMap<String, String>, Failure> {
        let mut images = BTreeMap::new();
        for (name, source) in &turn.recipe.sources {
            let image = match source {
                Source::Image(image) => image.clone(),
                Source::Folder(folder) => {
                    let reference = format!("delivery-context/{}", turn.key.as_str().to_lowercase());
                    let folder = self.config.workspace.join(folder);
                    let image = self.docker.build_folder(&folder, &reference, turn.recipe.build.epoch).await?;
                    self.named(&image, &reference).await?
                }
                Source::Service(key) => match self.done.get(key).map(|image| (&image.fate, &image.reference)) {
                    Some((Fate::Built(image), reference)) => {
                        let repository = reference.rsplit_once(':').map_or(reference.as_str(), |(before, _)| before);
                        self.named(image, repository).await?
                    }
                    _ => {
                        let why = format!("it is made of the image of `{key}`, which was not built before it");
                        return Err(Failure::input(why).hint("two services cannot be made of each other"));
                    }
                },
            };
            images.insert(name.clone(), image);
        }
        Ok(images)
    }

    async fn named(&self, image: &LocalImage, repository: &str) -> Result<String, Failure> {
        let reference = format!("{repository}:source-{}", image.id.short().trim_start_matches("sha256:"));
        self.docker.tag(image.id.as_ref(), &reference).await?;
        Ok(reference)
    }
}
