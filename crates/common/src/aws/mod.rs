//! AWS, as the actions see it: one account and region, our types, AWS's own verbs as method names (so that a reader finds the
//! IAM action), and failures that name the call, the resource and the next step.

mod connect;
mod ecr;
mod ecs;
mod elb;
mod identity;
mod logs;
mod raw;
mod refusal;

pub use connect::{Aws, Place};
pub use ecr::{Ecr, Image, Login, Manifest};
pub use ecs::{
    CircuitBreaker, Container, Deployment, Ecs, LoadBalancer, Network, RunTask, Service, ServiceDeployment,
    ServiceEvent, Started, Task,
};
pub use elb::{Elb, Target};
pub use logs::{LogEvent, LogPage, LogStream, Logs};

use aws_smithy_types::DateTime;
use jiff::Timestamp;

/// AWS's moment as ours. A moment outside of the calendar is a moment that nobody told.
fn moment(time: &DateTime) -> Option<Timestamp> {
    Timestamp::new(time.secs(), i32::try_from(time.subsec_nanos()).ok()?).ok()
}
