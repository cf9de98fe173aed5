//! A repository as it should be.

use common::failure::Failure;

use super::Run;
use crate::plan::Change;
use crate::settings::Setting;

impl Run<'_> {
    /// Makes a repository, or changes what the plan changes of it. Answers its address.
    pub(super) async fn keep_up(&self, change: &Change) -> Result<String, Failure> {
        let (ecr, name, wanted) = (&self.aws.ecr, change.repository(), &self.config.wanted);
        let key = change.key();
        let uri = match &change.uri {
            Some(uri) => uri.clone(),
            None => match ecr.create_repository(name, &wanted.settings).await? {
                Some(made) => {
                    ecr.put_lifecycle_policy(name, &wanted.lifecycle).await?;
                    self.edges.runner.say(format!("{key}: made repository {name}"));
                    made.uri
                }
                // Another run was faster. What it made is compared with what is wanted the next time.
                None => match ecr.repository(name).await? {
                    Some(found) => found.uri,
                    None => return Err(Failure::remote(format!("repository `{name}` was made, and is gone again"))),
                },
            },
        };
        for drift in &change.upkeep.mended {
            match drift.setting {
                Setting::TagMutability => ecr.put_image_tag_mutability(name, &wanted.settings).await?,
                Setting::Scanning => {
                    ecr.put_image_scanning_configuration(name, wanted.settings.scan_on_push).await?;
                }
                Setting::Lifecycle => ecr.put_lifecycle_policy(name, &wanted.lifecycle).await?,
                Setting::Encryption => return Err(Failure::bug("the encryption of a repository was to be changed")),
            }
            self.edges.runner.say(format!("{key}: {} of {name} is {} now", drift.setting.name(), drift.wanted));
        }
        Ok(uri)
    }
}
