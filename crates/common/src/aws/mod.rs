//! AWS, as the actions see it: one account and region, our types, AWS's own verbs as method names (so that a reader finds the
//! IAM action), and failures that name the call, the resource and the next step.

mod clock;
mod cloudwatch;
mod connect;
mod ecr;
mod ecs;
mod elb;
mod iam;
mod identity;
mod logs;
mod raw;
mod rds;
mod refusal;
mod secretsmanager;
mod ssm;
mod tagging;

pub use cloudwatch::{Alarm, CloudWatch, MetricQuery, MetricSeries, MetricSource};
pub use connect::{Aws, Place};
pub use ecr::{
    Ecr, EcrImage, Image, ImageVersion, Login, Manifest, Platform, RegistryScanning, Repository, RepositorySettings,
    Scan, ScanStart, Signature,
};
pub use ecs::{
    CircuitBreaker, Container, Deployment, Ecs, LifecycleHook, LoadBalancer, Network, RunTask, Service,
    ServiceDeployment, ServiceEvent, Started, Stopped, Task, Update,
};
pub use elb::{Elb, Target, TargetGroup};
pub use iam::{Denial, Iam};
pub use logs::{LogEvent, LogPage, LogStream, Logs};
pub use rds::{Database, DatabaseName, Rds, Restore, Snapshot};
pub use secretsmanager::{CURRENT, SecretDescription, SecretKeys, SecretsManager};
pub use ssm::{Parameter, Rotated, Ssm};
pub use tagging::Tagging;

use aws_smithy_types::DateTime;
use jiff::Timestamp;

/// AWS's moment as ours. A moment outside of the calendar is a moment that nobody told.
fn moment(time: &DateTime) -> Option<Timestamp> {
    Timestamp::new(time.secs(), i32::try_from(time.subsec_nanos()).ok()?).ok()
}
