//! Elastic Container Service: services and their deployments, tasks, task definitions.
//!
//! No SDK waiters: they hide why, and call a rollback stable
//! (<https://github.com/aws-actions/amazon-ecs-deploy-task-definition/issues/191>).

mod deployment;
mod service;
mod task;
mod task_definition;

pub use deployment::{LifecycleHook, ServiceDeployment, Stopped};
pub use service::{CircuitBreaker, Deployment, LoadBalancer, Network, Service, ServiceEvent, Update};
pub use task::{Container, RunTask, Started, Task};

use aws_config::SdkConfig;

/// The ECS API.
#[derive(Clone, Debug)]
pub struct Ecs(aws_sdk_ecs::Client);

impl Ecs {
    pub(super) fn new(config: &SdkConfig) -> Self {
        Self(aws_sdk_ecs::Client::new(config))
    }
}
