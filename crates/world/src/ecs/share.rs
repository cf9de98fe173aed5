//! How a load balancer shares the requests to a service out between the revision that comes and the one that was there.

use super::deployments::Rollout;
use super::services::Service;
use super::tasks::Task;

/// The share of a revision in the traffic.
#[derive(Debug)]
pub(crate) struct Share<'a> {
    /// The deployment of the new revision.
    new: &'a str,
    /// The deployment that ran before.
    old: &'a str,
    /// The percentage of the requests that the new revision gets.
    percent: f64,
    /// The old revision is on its way back.
    goes_back: bool,
}

impl Service {
    /// The share of the latest revision in the traffic, while something shifts it.
    pub(crate) fn share(&self) -> Option<Share<'_>> {
        let deployment = self.service_deployments.last()?;
        let traffic = deployment.journey.traffic?;
        let new = deployment.deployment.as_str();
        let others = || self.deployments.iter().filter(|one| one.id != new);
        let back = others().find(|one| one.id == self.primary);
        let completed = || others().find(|one| one.rollout == Rollout::Completed);
        // Once it is over, and whatever it replaced is gone, there is nothing to share out.
        let old = back.or_else(completed).or_else(|| others().next())?;
        let goes_back = deployment.status == "ROLLBACK_IN_PROGRESS";
        Some(Share { new, old: &old.id, percent: traffic.production, goes_back })
    }
}

impl Share<'_> {
    /// How many of this many requests the new revision gets.
    pub(crate) fn requests(&self, of: usize) -> usize {
        // In tenths of a percent, which is how finely ECS counts.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1000")]
        let share = (self.percent * 10.0).round() as usize;
        of * share / 1000
    }

    /// Whether the new revision stands in while nothing of the old one runs: its tasks may have been gone already when it was
    /// put back.
    pub(crate) fn stands_in(&self) -> bool {
        self.goes_back
    }

    /// Whether a request that is for the new revision, or is not, may go to this task.
    pub(crate) fn sends_to(&self, task: &Task, is_new: bool) -> bool {
        task.deployment.as_deref() == Some(if is_new { self.new } else { self.old })
    }
}
