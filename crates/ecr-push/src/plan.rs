//! What will be pushed. Pure: everything that can be refused is refused here, all at once, before any write.

use std::fmt;

use common::aws::Repository;
use common::docker::{Docker, Examined, LocalImage};
use common::failure::Failure;
use common::image_source::SourceImage;
use common::names::{RepositoryName, ServiceKey, Tag};
use common::policy::{self, Violation};
use common::registry::Artifact;
use jiff::Timestamp;

use crate::config::{Config, Target};
use crate::existing::keep;
use crate::facts::{Facts, ImageFacts, Pushed, TargetFacts};
use crate::gate::{Checked, check};
use crate::upkeep::{Upkeep, forbidden_tags, of_existing, of_missing, of_present};

/// What will be pushed. [`plan`] is its only mint.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) changes: Vec<Change>,
    pub(crate) docker: Option<Docker>,
    pub(crate) moving: Vec<Tag>,
}

/// What will be done about one image.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) target: Target,
    /// The repository's address; `None` as long as there is no such repository.
    pub(crate) uri: Option<String>,
    pub(crate) upkeep: Upkeep,
    pub(crate) step: Step,
}

/// How an image gets to where it should be.
#[derive(Debug)]
pub(crate) enum Step {
    /// It is there. What may be missing beside it is attached.
    Keep { pushed: Pushed, remark: Option<&'static str>, missing: Vec<Artifact> },
    /// Push this one.
    Push { local: LocalImage, source: Option<Box<SourceImage>>, checked: Checked },
    /// It does not pass.
    Block { local: LocalImage, checked: Checked },
}

impl Change {
    pub(crate) fn key(&self) -> &ServiceKey {
        &self.target.key
    }

    pub(crate) fn repository(&self) -> &RepositoryName {
        &self.target.repository
    }

    /// What does not pass, if the image is blocked.
    pub(crate) fn violations(&self) -> Option<&[Violation]> {
        match &self.step {
            Step::Block { checked, .. } => Some(&checked.violations),
            Step::Keep { .. } | Step::Push { .. } => None,
        }
    }
}

impl Plan {
    /// Whether an image does not pass. Then none is pushed: half a release helps nobody.
    pub(crate) fn is_blocked(&self) -> bool {
        self.changes.iter().any(|change| change.violations().is_some())
    }
}

/// Decides what will be pushed. All that stands in the way is told at once.
pub(crate) fn plan(config: &Config, facts: Facts) -> Result<Plan, Failure> {
    let Facts { targets, docker, now } = facts;
    let mut refusals = Vec::new();
    let mut changes = Vec::new();
    for (target, facts) in targets {
        let key = target.key.clone();
        match change(config, target, facts, now) {
            Ok(change) => changes.push(change),
            Err(refused) => refusals.extend(refused.into_iter().map(|it| it.context(format!("service `{key}`")))),
        }
    }
    Failure::all(refusals).map_or(Ok(Plan { changes, docker, moving: config.moving.clone() }), Err)
}

/// What will be done about one image, or all that speaks against it.
fn change(config: &Config, target: Target, facts: TargetFacts, now: Timestamp) -> Result<Change, Vec<Failure>> {
    let TargetFacts { repository, image, source } = facts;
    let (upkeep, mut refusals) = upkeep(config, &target, repository.as_ref(), &image);
    let pushed = match &image {
        ImageFacts::Pushed(pushed, _) => Some(pushed),
        ImageFacts::Local(..) | ImageFacts::Nowhere => None,
    };
    if let Some(repository) = &repository {
        refusals.extend(forbidden_tags(config, &target.repository, &repository.settings, pushed, &upkeep));
    }
    let step = match image {
        ImageFacts::Pushed(pushed, local) => step_of_pushed(config, pushed, local.as_ref()),
        ImageFacts::Local(examined, _) => step_of_local(config, &target, examined, source, now),
        ImageFacts::Nowhere => Err(Failure::input(format!("the Docker engine has no image `{}`", target.image))
            .hint("build it in this job before this step: build-affected with `build: true`, or `docker build`; or name it by the input `image`")),
    };
    match (step, refusals.is_empty()) {
        (Ok(step), true) => Ok(Change { target, uri: repository.map(|repository| repository.uri), upkeep, step }),
        (step, _) => Err(refusals.into_iter().chain(step.err()).collect()),
    }
}

/// What is done about the repository.
fn upkeep(
    config: &Config,
    target: &Target,
    repository: Option<&Repository>,
    image: &ImageFacts,
) -> (Upkeep, Vec<Failure>) {
    match (repository, image) {
        (None, _) => match of_missing(config, &target.repository) {
            Ok(upkeep) => (upkeep, Vec::new()),
            Err(refusal) => (Upkeep::default(), vec![refusal]),
        },
        (Some(repository), ImageFacts::Local(_, known)) => {
            match of_existing(config, &target.repository, &repository.settings, known) {
                Ok(upkeep) => (upkeep, Vec::new()),
                Err(refusals) => (Upkeep::default(), refusals),
            }
        }
        (Some(repository), ImageFacts::Pushed(pushed, _)) => {
            (of_present(config, &repository.settings, pushed), Vec::new())
        }
        (Some(_), ImageFacts::Nowhere) => (Upkeep::default(), Vec::new()),
    }
}

fn step_of_pushed(config: &Config, pushed: Pushed, local: Option<&LocalImage>) -> Result<Step, Failure> {
    let remark = keep(config, &pushed, local)?;
    // What was given is about the image that is here. If that is the one that is there, the run that pushed it may have been cut
    // off before it attached this.
    let missing = match remark {
        None => config.attachments.of_another_run().to_vec(),
        Some(_) => Vec::new(),
    };
    Ok(Step::Keep { pushed, remark, missing })
}

fn step_of_local(
    config: &Config,
    target: &Target,
    examined: Examined,
    source: Option<SourceImage>,
    now: Timestamp,
) -> Result<Step, Failure> {
    // An image of another commit would lie to every job that finds it by this one.
    if let Some(revision) = examined.image.revision().filter(|revision| *revision != config.commit.as_str()) {
        return Err(Failure::input(format!(
            "image `{}` was built from commit {revision}, and {} is to be pushed",
            target.image, config.commit
        ))
        .hint("build the commit that is to be delivered, or set the input `commit` to the one that was built"));
    }
    let checked = check(config, target, &examined, now);
    let local = examined.image;
    Ok(match checked.violations.is_empty() {
        true => Step::Push { local, source: source.map(Box::new), checked },
        false => Step::Block { local, checked },
    })
}

impl fmt::Display for Plan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for change in &self.changes {
            let Change { target, upkeep, step, .. } = change;
            let key = &target.key;
            let repository = &target.repository;
            match step {
                Step::Keep { pushed, remark, .. } => {
                    writeln!(formatter, "{key}: {repository} has it already ({})", pushed.manifest.digest.short())?;
                    remark.iter().try_for_each(|remark| writeln!(formatter, "  note: {remark}"))?;
                }
                Step::Push { local, .. } => {
                    let (id, size) = (local.id.short(), policy::human(local.size));
                    writeln!(formatter, "{key}: push {} ({id}, {size}) to {repository}", target.image)?;
                }
                Step::Block { local, checked } => {
                    writeln!(formatter, "{key}: blocked, {} does not keep the image policy", local.id.short())?;
                    checked.violations.iter().try_for_each(|Violation { rule, found, fix }| {
                        writeln!(formatter, "  {rule}: {found}; {fix}")
                    })?;
                }
            }
            write!(formatter, "{upkeep}")?;
        }
        match self.moving.as_slice() {
            [] => Ok(()),
            tags => {
                let tags: Vec<&str> = tags.iter().map(Tag::as_str).collect();
                writeln!(formatter, "then move the tags {}", tags.join(", "))
            }
        }
    }
}
