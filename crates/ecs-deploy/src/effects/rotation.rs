//! A new value for a secret, and the old one again if what uses it does not come up with it.

use common::aws::{Aws, Rotated};
use common::edges::Edges;
use common::failure::Failure;
use common::names::Secret;
use common::preflight::{SecretSource, secrets_of};
use common::runner::{Annotation, Level};

use crate::ACTION;
use crate::config::{Config, Operation};
use crate::facts::Facts;

/// A value that was written, and the way back.
pub(super) enum Rotation {
    /// Nothing was written.
    Nothing,
    /// A parameter of Parameter Store.
    Parameter(Rotated),
    /// A secret of Secrets Manager, and the version that was current before.
    Secret { id: String, earlier: Option<String> },
}

impl Rotation {
    /// Writes the new value, if the operation has one.
    pub(super) async fn write(config: &Config, facts: &Facts, aws: &Aws, edges: &Edges) -> Result<Self, Failure> {
        let Operation::Rotate { secret, value: Some(value) } = &config.operation else { return Ok(Self::Nothing) };
        let written = match is_in_secrets_manager(secret, facts) {
            true => Self::secret(secret, value, aws).await?,
            false => Self::Parameter(aws.ssm.rotate_parameter(secret, value).await?),
        };
        edges.runner.say(format!("`{secret}` has its new value"));
        Ok(written)
    }

    async fn secret(id: &str, value: &Secret, aws: &Aws) -> Result<Self, Failure> {
        let Some(before) = aws.secrets.describe_secret(id).await? else {
            return Err(Failure::input(format!("there is no secret `{id}`")).hint("check its name and the region"));
        };
        aws.secrets.put_secret_value(id, value).await?;
        let earlier = before.version_with(common::aws::CURRENT).map(str::to_owned);
        Ok(Self::Secret { id: id.to_owned(), earlier })
    }

    /// Makes the old value the current one again. That it cannot be is a warning: services still have to go back.
    pub(super) async fn restore(self, aws: &Aws, edges: &Edges) {
        let (name, restored) = match self {
            Self::Nothing => return,
            Self::Parameter(rotated) => {
                let restored = aws.ssm.restore_parameter(&rotated.name, rotated.earlier).await.map(|_| ());
                (rotated.name, restored)
            }
            Self::Secret { id, earlier: Some(earlier) } => {
                let restored = aws.secrets.restore_previous(&id, &earlier).await;
                (id, restored)
            }
            Self::Secret { id, earlier: None } => {
                let none = Failure::refused("it had no value before").hint("put a value that works");
                (id, Err(none))
            }
        };
        match restored {
            Ok(()) => edges.runner.say(format!("`{name}` has its old value again")),
            Err(failure) => {
                let message = format!("`{name}` keeps its new value: {failure}");
                edges.runner.annotate(&Annotation { level: Level::Warning, title: ACTION.name, message: &message });
            }
        }
    }
}

/// Where a secret lies, is told by those who use it.
fn is_in_secrets_manager(secret: &str, facts: &Facts) -> bool {
    let running = facts.services.values().filter_map(|facts| facts.running.as_ref());
    let mut references = running.flat_map(secrets_of).filter(|reference| reference.is_of(secret));
    references.any(|reference| matches!(reference.source, SecretSource::Secret { .. }))
}
