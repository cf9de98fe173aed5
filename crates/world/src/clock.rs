//! The world's time: tokio's clock (so that a test may pause it) mapped onto a calendar.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

/// How long the world takes for what AWS takes time for.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// From a change of a service until its scheduler acts on it. Until then its service deployment is PENDING.
    pub schedule: Duration,
    /// From RunTask or a scheduling decision until the task is PENDING.
    pub provision: Duration,
    /// From PENDING until the image is pulled (or was found impossible to pull).
    pub pull: Duration,
    /// From a pulled image until the container is RUNNING.
    pub start: Duration,
    /// From RUNNING until health checks pass (container and target group).
    pub healthy: Duration,
    /// From the moment a task is asked to stop until it is STOPPED (deregistration delay included).
    pub drain: Duration,
    /// From a container's own end, or a failure to start, until its task is STOPPED.
    pub deprovision: Duration,
    /// From the moment the last old task is gone until the deployment is COMPLETED.
    pub settle: Duration,
}

impl Timing {
    /// What Fargate takes on an ordinary day.
    pub const FARGATE: Self = Self {
        schedule: Duration::from_secs(2),
        provision: Duration::from_secs(12),
        pull: Duration::from_secs(10),
        start: Duration::from_secs(3),
        healthy: Duration::from_secs(20),
        drain: Duration::from_secs(30),
        deprovision: Duration::from_secs(8),
        settle: Duration::from_secs(5),
    };

    /// For a person who watches: the same steps, a fraction of the time.
    pub const BRISK: Self = Self {
        schedule: Duration::from_millis(100),
        provision: Duration::from_millis(200),
        pull: Duration::from_millis(200),
        start: Duration::from_millis(100),
        healthy: Duration::from_millis(300),
        drain: Duration::from_millis(300),
        deprovision: Duration::from_millis(100),
        settle: Duration::from_millis(200),
    };
}

/// Maps tokio's monotonic clock onto calendar time.
#[derive(Debug)]
pub(crate) struct Clock {
    started: Instant,
    epoch: Timestamp,
}

impl Clock {
    pub(crate) fn starting_at(epoch: Timestamp) -> Self {
        Self { started: Instant::now(), epoch }
    }

    /// The present moment on the world's calendar.
    pub(crate) fn now(&self) -> Timestamp {
        self.epoch + self.started.elapsed()
    }
}
