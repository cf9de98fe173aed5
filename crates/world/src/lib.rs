//! A world to deliver into: AWS, GitHub and a Docker engine, simulated behind the wire protocols that they really speak.
//!
//! One [`World`] is either *mounted* in-process under the real SDKs ([`World::mount`]), so that tokio's paused clock turns
//! a fifteen-minute deployment into milliseconds, or *served* on loopback ([`World::serve`]) for real binaries.
//! Nothing in here is linked into an action.
//!
//! # Invariants
//! - A request is answered from [`State`] alone, and every request first lets the world catch up with its clock.
//! - Nothing sleeps: what happens later is computed when somebody looks.
//! - What is answered has the shape that AWS's own service models describe; `cargo xtask e2e` holds it to that.

mod behaviour;
mod calls;
mod cbor;
mod clock;
mod cloudwatch;
mod death;
mod docker;
mod ecr;
mod ecs;
mod elb;
mod github;
mod iam;
mod logs;
mod mount;
mod oci;
mod oidc;
mod rds;
mod registry;
mod route;
mod secretsmanager;
mod serve;
mod ssm;
mod state;
mod sts;
mod tagging;
mod throttle;
mod traffic;
mod wildcard;
mod wire;

pub use behaviour::Behaviour;
pub use calls::{Call, Fault};
pub use clock::Timing;
pub use docker::ServedDocker;
pub use ecr::{ImageSeed, RepositorySeed, ScanSeed};
pub use ecs::{CircuitBreaker, ServiceSeed, ServiceView, TaskView};
pub use github::{Comment, Deployment, DeploymentStatus, RunSeed};
pub use rds::{DatabaseSeed, DatabaseView, SnapshotView};
pub use serve::Served;
pub use state::{State, World};
