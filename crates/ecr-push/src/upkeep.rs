//! What is done about a repository before an image is pushed to it. Pure.

use std::fmt;

use common::aws::{RegistryScanning, RepositorySettings};
use common::delivery::Reconcile;
use common::failure::Failure;
use common::names::{RepositoryName, Tag};

use crate::config::Config;
use crate::facts::{self, Pushed};
use crate::settings::{self, Drift};

/// What is done about a repository.
#[derive(Debug, Default)]
pub(crate) struct Upkeep {
    /// It is made.
    pub(crate) is_made: bool,
    /// These of its settings are changed.
    pub(crate) mended: Vec<Drift>,
    /// These of its settings are other than wanted, and stay.
    pub(crate) left: Vec<Drift>,
    /// What else there is to say of it.
    pub(crate) notes: Vec<String>,
}

/// A repository that is not there.
pub(crate) fn of_missing(config: &Config, name: &RepositoryName) -> Result<Upkeep, Failure> {
    match config.repositories.create {
        true => Ok(Upkeep { is_made: true, ..Upkeep::default() }),
        false => Err(Failure::input(format!("there is no repository `{name}`")).hint(
            "check `repository` and the region, make it, or let this action make it: `create = true` in [repositories]",
        )),
    }
}

/// A repository that is there, and gets an image.
pub(crate) fn of_existing(
    config: &Config,
    name: &RepositoryName,
    found: &RepositorySettings,
    known: &facts::Upkeep,
) -> Result<Upkeep, Vec<Failure>> {
    let wanted = &config.wanted;
    let is_enforced = config.repositories.reconcile == Reconcile::Enforce;
    let mut upkeep = Upkeep::default();
    let mut refusals = Vec::new();
    let mut unknown = |failure: &Failure| match is_enforced {
        // Whoever wants a setting enforced is not helped by a setting that nobody can see.
        true => refusals.push(failure.again()),
        false => upkeep.notes.push(format!("could not be compared: {}", failure.to_string().replace("\nhint:", ";"))),
    };
    let mut drifts = Vec::new();
    match &known.scanning {
        Ok(scanning) => drifts.extend(settings::drift(&wanted.settings, found, scanning, name)),
        Err(failure) => {
            unknown(failure);
            // As if the repository's own setting were right: whether it has an effect is not known.
            let like = RepositorySettings { scan_on_push: wanted.settings.scan_on_push, ..found.clone() };
            drifts.extend(settings::drift(&wanted.settings, &like, &RegistryScanning::default(), name));
        }
    }
    match &known.lifecycle {
        Ok(lifecycle) => drifts.extend(settings::lifecycle(&wanted.lifecycle, lifecycle.as_ref())),
        Err(failure) => unknown(failure),
    }
    if !refusals.is_empty() {
        return Err(refusals);
    }
    if let Ok(scanning) = &known.scanning
        && let (true, Some(frequency)) = (scanning.decides(), scanning.frequency(name))
    {
        upkeep.notes.push(format!("scanned by the registry's {} rules ({frequency})", scanning.scan_type));
    }
    let is_ours = |drift: &Drift| is_enforced && drift.advice.is_none();
    (upkeep.mended, upkeep.left) = drifts.into_iter().partition(is_ours);
    Ok(upkeep)
}

/// A repository whose image is there already: only a tag that is to move asks anything of it.
pub(crate) fn of_present(config: &Config, found: &RepositorySettings, pushed: &Pushed) -> Upkeep {
    let is_enforced = config.repositories.reconcile == Reconcile::Enforce;
    let mended = match is_enforced && forbidden(config, found, Some(pushed)).is_some() {
        true => settings::tag_mutability(&config.wanted.settings, found).into_iter().collect(),
        false => Vec::new(),
    };
    Upkeep { mended, ..Upkeep::default() }
}

/// The tags that would have to move, and cannot, once the upkeep is done.
pub(crate) fn forbidden_tags(
    config: &Config,
    name: &RepositoryName,
    found: &RepositorySettings,
    pushed: Option<&Pushed>,
    upkeep: &Upkeep,
) -> Option<Failure> {
    let is_mended = upkeep.mended.iter().any(|drift| drift.setting == settings::Setting::TagMutability);
    let settings = if is_mended { &config.wanted.settings } else { found };
    let tags = forbidden(config, settings, pushed)?;
    Some(
        Failure::input(format!(
            "repository `{name}` is {}, and `{tags}` could not move there",
            settings.tag_mutability
        ))
        .hint(format!(
            "set `reconcile: enforce`, which makes it {}, or leave these tags out of the input `tags`",
            config.wanted.settings.tag_mutability
        )),
    )
}

/// Those of the run's tags that are not at the image and that these settings do not let move.
fn forbidden(config: &Config, settings: &RepositorySettings, pushed: Option<&Pushed>) -> Option<String> {
    let is_there = |tag: &Tag| pushed.is_some_and(|pushed| pushed.tags.contains(tag));
    let tags = config.moving.iter().filter(|tag| !is_there(tag) && !settings.lets_move(tag.as_str()));
    let tags: Vec<&str> = tags.map(Tag::as_str).collect();
    (!tags.is_empty()).then(|| tags.join("`, `"))
}

impl fmt::Display for Upkeep {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_made {
            writeln!(formatter, "  the repository is made")?;
        }
        for Drift { setting, found, wanted, .. } in &self.mended {
            writeln!(formatter, "  change {}: {found} → {wanted}", setting.name())?;
        }
        for Drift { setting, found, wanted, .. } in &self.left {
            writeln!(formatter, "  note: {} is {found}, not {wanted}", setting.name())?;
        }
        self.notes.iter().try_for_each(|note| writeln!(formatter, "  note: {note}"))
    }
}
