//! What it means that the commit's tag is there already. Pure.
//!
//! Two builds of one commit are hardly ever the same to the bit. The first one stays, for it may run already; that is what
//! makes a job that is run again succeed (<https://github.com/aws/containers-roadmap/issues/2380>).

use common::docker::LocalImage;
use common::failure::Failure;
use jiff::Timestamp;

use crate::config::Config;
use crate::facts::Pushed;
use crate::inputs::OnExisting;

/// Whether the image that is there will do; what is to be said of it. Another image must not hide behind the commit's tag.
pub(crate) fn keep(
    config: &Config,
    pushed: &Pushed,
    local: Option<&LocalImage>,
) -> Result<Option<&'static str>, Failure> {
    let Some(local) = local else { return Ok(Some("there was no image here to compare it with")) };
    if pushed.manifest.digests.contains(&local.id) {
        return Ok(None);
    }
    let is_same_commit = local.revision() == Some(config.commit.as_str());
    match config.on_existing {
        Some(OnExisting::Keep) => {
            Ok(Some("the image here is another one; the one in the registry stays, as `on-existing` says"))
        }
        None if is_same_commit => {
            Ok(Some("the image here was built anew from the same commit; the one in the registry stays"))
        }
        None | Some(OnExisting::Fail) => Err(other_image(config, pushed, local)),
    }
}

fn other_image(config: &Config, pushed: &Pushed, local: &LocalImage) -> Failure {
    let at = |verb: &str, moment: Option<Timestamp>| match moment {
        Some(moment) => format!("{verb} {}", moment.strftime("%Y-%m-%d %H:%M UTC")),
        None => format!("{verb} nobody knows when"),
    };
    let revision = match local.revision() {
        Some(revision) => format!("from commit {revision}"),
        None => "from a commit that it does not tell".to_owned(),
    };
    let pushed_at = pushed.details.as_ref().and_then(|details| details.pushed_at);
    Failure::input(format!(
        "commit {} has an image in the registry already, {} ({}), and here is another one, {} ({}, {revision})",
        config.commit.short(),
        pushed.manifest.digest,
        at("pushed", pushed_at),
        local.id,
        at("built", local.created),
    ))
    .hint("commit the change, so that it gets a tag of its own; if the first one is to stay, set `on-existing: keep`; if it is the same commit built again, label it with `org.opencontainers.image.revision` as build-affected does")
}
