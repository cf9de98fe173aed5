//! Building the affected images, wave by wave. Total: whatever happens on the way is an [`Outcome`], never a `?`.

use std::collections::BTreeMap;
use std::time::Duration;

use common::docker::{Build, Docker, LocalImage, REVISION, SOURCE};
use common::edges::Edges;
use common::failure::Failure;
use common::names::{CommitSha, ServiceKey};
use common::policy::{Violation, violations};
use common::poll::pause;
use futures_util::future::join_all;
use tokio::time::Instant;

use crate::config::Config;
use crate::facts::Service;
use crate::plan::{Candidate, Plan};

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
    /// One that it comes after is not as it should be, or the run was cancelled.
    NotStarted,
}

impl Fate {
    fn is_good(&self) -> bool {
        matches!(self, Self::Built(_))
    }
}

/// Builds the affected images. A wave begins when all of the waves before are as they should be.
pub(crate) async fn apply(config: &Config, plan: &Plan, docker: &Docker, edges: &Edges) -> Outcome {
    let builder = Builder { config, head: &plan.head, docker, edges, began: Instant::now() };
    let mut images: Vec<ImageOutcome> = Vec::new();
    for wave in plan.waves() {
        if images.iter().all(|image| image.fate.is_good()) && !edges.stop.is_raised() {
            let keys: Vec<&str> = wave.iter().map(|candidate| candidate.service.key.as_str()).collect();
            let builds = join_all(wave.iter().map(|candidate| builder.build(&candidate.service)));
            images.extend(edges.runner.grouped(&format!("Build {}", keys.join(", ")), builds).await);
        } else {
            images.extend(
                wave.into_iter()
                    .map(|Candidate { service, .. }| builder.outcome(service, Fate::NotStarted, Duration::ZERO)),
            );
        }
    }
    Outcome { images, took: builder.began.elapsed() }
}

/// What all builds share.
struct Builder<'a> {
    config: &'a Config,
    head: &'a CommitSha,
    docker: &'a Docker,
    edges: &'a Edges,
    began: Instant,
}

impl Builder<'_> {
    /// Builds one image, unless the time is up or the run is cancelled: the engine ends a build that nobody listens to.
    async fn build(&self, service: &Service) -> ImageOutcome {
        let began = Instant::now();
        let left = self.config.timeout.saturating_sub(self.began.elapsed());
        let build = self.recipe(service);
        let say = |line: String| self.edges.runner.say(format!("{}: {line}", service.key));
        let fate = tokio::select! {
            built = self.docker.build(&build, say) => match built {
                Ok(image) => self.judged(image),
                Err(failure) => Fate::Failed(failure),
            },
            is_up = pause(left, &self.edges.stop) => if is_up { Fate::TimedOut } else { Fate::Cancelled },
        };
        self.outcome(service, fate, began.elapsed())
    }

    fn judged(&self, image: LocalImage) -> Fate {
        match violations(&image, &self.config.policy) {
            violations if violations.is_empty() => Fate::Built(image),
            violations => Fate::Refused(image, violations),
        }
    }

    fn recipe(&self, service: &Service) -> Build {
        let mut labels = BTreeMap::from([(REVISION.to_owned(), self.head.to_string())]);
        labels.extend(self.config.source.iter().map(|source| (SOURCE.to_owned(), source.clone())));
        Build {
            context: self.config.workspace.join(&service.context),
            dockerfile: self.config.workspace.join(&service.dockerfile),
            reference: self.reference(service),
            arguments: BTreeMap::new(),
            labels,
            platform: None,
        }
    }

    fn reference(&self, service: &Service) -> String {
        format!("{}:{}", service.repository, self.head)
    }

    fn outcome(&self, service: &Service, fate: Fate, took: Duration) -> ImageOutcome {
        ImageOutcome { key: service.key.clone(), reference: self.reference(service), fate, took }
    }
}
