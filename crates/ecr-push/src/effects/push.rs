//! The image into the registry, and read back: what counts is what is there, not what was sent.

use common::docker::LocalImage;
use common::failure::Failure;

use super::{Arrived, Run};
use crate::config::Target;
use crate::existing::keep;
use crate::facts::{self, Pushed};

impl Run<'_> {
    /// Pushes an image. Where another run pushed the same commit meanwhile, the first image stays, as it does in a run that
    /// comes later.
    pub(super) async fn push(&self, target: &Target, host: &str, local: &LocalImage) -> Result<Arrived, Failure> {
        let sent = self.send(target, host, local).await;
        let there = facts::pushed(self.config, self.aws, &target.repository).await;
        let pushed = match (sent, there) {
            (Ok(()), Ok(Some(pushed))) => pushed,
            (Ok(()), Ok(None)) => {
                return Err(Failure::remote(format!(
                    "`{}:{}` was pushed, and ECR does not show it",
                    target.repository, self.config.tag
                ))
                .hint("check that the registry is the one of this account and region, then run again"));
            }
            (Err(_), Ok(Some(pushed))) => pushed,
            (Err(failure), _) | (Ok(()), Err(failure)) => return Err(failure),
        };
        if pushed.manifest.digests.contains(&local.id) {
            self.tag_contents(target, local, &pushed).await?;
            return Ok(Arrived { pushed, is_new: true, remark: None });
        }
        let details = self.aws.ecr.image_by_digest(&target.repository, &pushed.manifest.digest).await?;
        let pushed = Pushed { details, ..pushed };
        let remark = keep(self.config, &pushed, Some(local))?;
        let remark = remark.map(|remark| format!("another run pushed this commit at the same time; {remark}"));
        Ok(Arrived { pushed, is_new: false, remark })
    }

    async fn send(&self, target: &Target, host: &str, local: &LocalImage) -> Result<(), Failure> {
        let docker =
            self.docker.as_ref().ok_or_else(|| Failure::bug("there is an image to push, and no engine to push it"))?;
        let reference = format!("{host}/{}:{}", target.repository, self.config.tag);
        let login = self.aws.ecr.get_authorization_token().await?;
        docker.tag(local.id.as_str(), &reference).await?;
        docker.push(&reference, &login, |line| self.edges.runner.say(format!("{}: {line}", target.key))).await
    }

    /// Lets a later run find the image by what it is made of. The first image with these contents keeps the tag.
    async fn tag_contents(&self, target: &Target, local: &LocalImage, pushed: &Pushed) -> Result<(), Failure> {
        let Some(tag) = local.contents_tag().transpose()? else { return Ok(()) };
        self.aws.ecr.claim_tag(&target.repository, &pushed.manifest.digest, &tag).await.map(drop)
    }
}
