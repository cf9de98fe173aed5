//! The image into the registry, and read back: what counts is what is there, not what was sent.

use common::docker::LocalImage;
use common::failure::Failure;
use common::image_source::SourceImage;
use common::push::Tally;
use common::registry::Artifact;

use super::{Arrived, Run};
use crate::config::Target;
use crate::existing::keep;
use crate::facts::{self, Pushed};
use crate::send::Address;

impl Run<'_> {
    /// Pushes an image. Where another run pushed the same commit meanwhile, the first image stays, as it does in a run that
    /// comes later.
    pub(super) async fn push(
        &self,
        target: &Target,
        host: &str,
        local: &LocalImage,
        source: Option<&SourceImage>,
    ) -> Result<Arrived, Failure> {
        let sent = self.send(target, host, local, source).await;
        let there = facts::pushed(self.config, self.aws, &target.repository).await;
        let (pushed, tally) = match (sent, there) {
            (Ok(tally), Ok(Some(pushed))) => (pushed, tally),
            (Ok(_), Ok(None)) => {
                return Err(Failure::remote(format!(
                    "`{}:{}` was pushed, and ECR does not show it",
                    target.repository, self.config.tag
                ))
                .hint("check that the registry is the one of this account and region, then run again"));
            }
            (Err(_), Ok(Some(pushed))) => (pushed, None),
            (Err(failure), _) | (Ok(_), Err(failure)) => return Err(failure),
        };
        if pushed.manifest.digests.contains(&local.id) {
            self.tag_contents(target, local, &pushed).await?;
            let image = format!("{host}/{}", target.repository);
            let artifacts = self.config.attachments.of(&image, &pushed.manifest.digest, &self.config.commit);
            self.attach(target, host, &pushed, &artifacts).await?;
            return Ok(Arrived { pushed, is_new: true, tally, remark: None });
        }
        let details = self.aws.ecr.image_by_digest(&target.repository, &pushed.manifest.digest).await?;
        let pushed = Pushed { details, ..pushed };
        let remark = keep(self.config, &pushed, Some(local))?;
        let remark = remark.map(|remark| format!("another run pushed this commit at the same time; {remark}"));
        Ok(Arrived { pushed, is_new: false, tally, remark })
    }

    async fn send(
        &self,
        target: &Target,
        host: &str,
        local: &LocalImage,
        source: Option<&SourceImage>,
    ) -> Result<Option<Tally>, Failure> {
        let address = self.address(target, host);
        if let Some(source) = source {
            return self.sender.send_source(&address, source).await.map(Some);
        }
        let docker =
            self.docker.as_ref().ok_or_else(|| Failure::bug("there is an image to push, and no engine to push it"))?;
        self.sender.send_local(&address, docker, local).await
    }

    /// What is known of an image, beside it.
    pub(super) async fn attach(
        &self,
        target: &Target,
        host: &str,
        pushed: &Pushed,
        artifacts: &[Artifact],
    ) -> Result<(), Failure> {
        self.sender.attach(&self.address(target, host), &pushed.manifest.digest, artifacts).await
    }

    fn address<'t>(&'t self, target: &'t Target, host: &'t str) -> Address<'t> {
        Address { key: &target.key, host, repository: &target.repository, tag: &self.config.tag }
    }

    /// Lets a later run find the image by what it is made of. The first image with these contents keeps the tag.
    async fn tag_contents(&self, target: &Target, local: &LocalImage, pushed: &Pushed) -> Result<(), Failure> {
        let Some(tag) = local.contents_tag().transpose()? else { return Ok(()) };
        self.aws.ecr.claim_tag(&target.repository, &pushed.manifest.digest, &tag).await.map(drop)
    }
}
