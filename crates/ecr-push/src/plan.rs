//! What will be pushed. Pure: everything that can be refused is refused here, all at once, before any write.

use std::fmt;

use common::docker::{Docker, LocalImage};
use common::failure::Failure;
use common::names::{RepositoryName, ServiceKey};
use common::policy::{self, Violation, violations};

use crate::config::{Config, Target};
use crate::facts::{Facts, Pushed, TargetFacts};

/// What will be pushed. [`plan`] is its only mint.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) changes: Vec<Change>,
    pub(crate) docker: Option<Docker>,
    pub(crate) moving: Vec<String>,
}

/// What will be done about one image.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) key: ServiceKey,
    pub(crate) repository: RepositoryName,
    /// The registry's host.
    pub(crate) registry: String,
    /// What the image will be called: `<registry>/<repository>:<commit>`.
    pub(crate) reference: String,
    pub(crate) step: Step,
}

/// How an image gets to where it should be.
#[derive(Debug)]
pub(crate) enum Step {
    /// It is there.
    Keep { pushed: Pushed, remark: Option<&'static str> },
    /// Push this one, which the engine knows as `image`.
    Push { image: String, local: LocalImage },
    /// It does not keep the policy.
    Block(LocalImage, Vec<Violation>),
}

impl Plan {
    /// Whether an image does not keep the policy. Then none is pushed: half a release helps nobody.
    pub(crate) fn is_blocked(&self) -> bool {
        self.changes.iter().any(|change| matches!(change.step, Step::Block(..)))
    }
}

/// Decides what will be pushed. All that stands in the way is told at once.
pub(crate) fn plan(config: &Config, facts: Facts) -> Result<Plan, Failure> {
    let Facts { targets, docker } = facts;
    let mut refusals = Vec::new();
    let mut changes = Vec::new();
    for (target, facts) in targets {
        let key = target.key.clone();
        match change(config, target, facts) {
            Ok(change) => changes.push(change),
            Err(refusal) => refusals.push(refusal.context(format!("service `{key}`"))),
        }
    }
    let moving = config.moving.iter().map(ToString::to_string).collect();
    Failure::all(refusals).map_or(Ok(Plan { changes, docker, moving }), Err)
}

fn change(config: &Config, target: Target, facts: TargetFacts) -> Result<Change, Failure> {
    let Target { key, repository, image } = target;
    let Some(uri) = &facts.uri else {
        return Err(Failure::input(format!("there is no repository `{repository}`")).hint(format!(
            "check `repository` and the region, or create it: `aws ecr create-repository --repository-name {repository} --image-tag-mutability IMMUTABLE`"
        )));
    };
    let registry =
        config.registry.as_deref().or_else(|| uri.strip_suffix(&format!("/{repository}"))).unwrap_or(uri).to_owned();
    let step = match (facts.pushed, facts.local) {
        (Some(pushed), local) => keep(config, pushed, local)?,
        (None, None) => {
            return Err(Failure::input(format!("the Docker engine has no image `{image}`"))
                .hint("build it in this job before this step: build-affected with `build: true`, or `docker build`; or name it by the input `image`"));
        }
        (None, Some(local)) => push(config, image, local)?,
    };
    let reference = format!("{registry}/{repository}:{}", config.commit);
    Ok(Change { key, repository, registry, reference, step })
}

/// The commit's tag is there. Another image must not hide behind it.
///
/// Two builds of one commit are hardly ever the same to the bit. The first one stays, for it may run already; that is what
/// makes a job that is run again succeed (aws/containers-roadmap#2380).
fn keep(config: &Config, pushed: Pushed, local: Option<LocalImage>) -> Result<Step, Failure> {
    let remark = match &local {
        None => Some("there was no image here to compare it with"),
        Some(local) if pushed.manifest.digests.contains(&local.id) => None,
        Some(local) if local.revision() == Some(config.commit.as_str()) => {
            Some("the image here was built anew from the same commit; the one in the registry stays")
        }
        Some(local) => return Err(other_image(config, &pushed, local)),
    };
    Ok(Step::Keep { pushed, remark })
}

fn other_image(config: &Config, pushed: &Pushed, local: &LocalImage) -> Failure {
    let revision = match local.revision() {
        Some(revision) => format!("built from commit {revision}"),
        None => "which does not tell what it was built from".to_owned(),
    };
    Failure::input(format!(
        "commit {} has an image in the registry already, {}, and here is another one, {}, {revision}",
        config.commit.short(),
        pushed.image.digest,
        local.id
    ))
    .hint("commit the change, so that it gets a tag of its own; if it is the same commit built again, label it with `org.opencontainers.image.revision` as build-affected does")
}

fn push(config: &Config, image: String, local: LocalImage) -> Result<Step, Failure> {
    // An image of another commit would lie to every job that finds it by this one.
    if let Some(revision) = local.revision().filter(|revision| *revision != config.commit.as_str()) {
        return Err(Failure::input(format!(
            "image `{image}` was built from commit {revision}, and {} is to be pushed",
            config.commit
        ))
        .hint("build the commit that is to be delivered, or set the input `commit` to the one that was built"));
    }
    Ok(match violations(&local, &config.policy) {
        violations if violations.is_empty() => Step::Push { image, local },
        violations => Step::Block(local, violations),
    })
}

impl fmt::Display for Plan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Change { key, reference, step, .. } in &self.changes {
            match step {
                Step::Keep { pushed, remark } => {
                    writeln!(formatter, "{key}: {reference} is there already ({})", pushed.image.digest.short())?;
                    remark.iter().try_for_each(|remark| writeln!(formatter, "  note: {remark}"))?;
                }
                Step::Push { image, local } => {
                    writeln!(
                        formatter,
                        "{key}: push {image} ({}, {}) to {reference}",
                        local.id.short(),
                        policy::human(local.size)
                    )?;
                }
                Step::Block(local, violations) => {
                    writeln!(formatter, "{key}: blocked, {} does not keep the image policy", local.id.short())?;
                    violations.iter().try_for_each(|Violation { rule, found, fix }| {
                        writeln!(formatter, "  {rule}: {found}; {fix}")
                    })?;
                }
            }
        }
        match self.moving.as_slice() {
            [] => Ok(()),
            tags => writeln!(formatter, "then move the tags {}", tags.join(", ")),
        }
    }
}
