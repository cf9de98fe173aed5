//! The AWS of the end-to-end test: ministack, whose ECS tasks are real containers and whose ECR is a real registry.
//! <https://pypi.org/project/ministack/>

use anyhow::Result;

use super::aws_api::{ACCOUNT, AwsApi, REGION};
use super::registry_name::RegistryName;
use super::server::{Server, tied};
use crate::docker;
use crate::process::say;
use crate::tools;

/// Where AWS's APIs and the load balancer's data plane answer, in plain HTTP.
pub(crate) const URL: &str = "http://127.0.0.1:4566";

/// ministack, running with empty state. Stopped, and its containers removed, when dropped.
pub(crate) struct Ministack {
    pub(crate) api: AwsApi,
    server: Option<Server>,
}

impl Ministack {
    /// Starts ministack: its APIs on [`URL`], its registry by ECR's own name over TLS.
    pub(crate) fn start(registry: &RegistryName) -> Result<Self> {
        docker::remove_containers(TASKS)?;
        // hypercorn is what the `ministack` command runs; called by itself it serves TLS and plain HTTP at once, and without
        // workers it is one process, which takes its listeners with it.
        let mut command = tied(tools::python("hypercorn")?);
        command
            .args([
                "ministack.app:app",
                "--workers",
                "0",
                "--bind",
                "127.0.0.1:443",
                "--insecure-bind",
                "127.0.0.1:4566",
            ])
            .arg("--certfile")
            .arg(registry.certificate())
            .arg("--keyfile")
            .arg(registry.key())
            .envs([("GATEWAY_PORT", "4566"), ("IOT_MTLS_ENABLED", "0")])
            // Signatures are checked, and each call is held against the caller's policies.
            .env("AUTH", "true")
            // What a request without credentials belongs to: the load balancer's data plane.
            .envs([("MINISTACK_ACCOUNT_ID", ACCOUNT), ("MINISTACK_REGION", REGION)]);
        let server = Server::start("ministack", &mut command, health)?;
        say(format!("ministack answers on {URL}; its log is {}", Server::log("ministack").display()));
        Ok(Self { api: AwsApi(URL), server: Some(server) })
    }
}

impl Drop for Ministack {
    fn drop(&mut self) {
        // It would start others for those that are removed.
        drop(self.server.take());
        if let Err(error) = docker::remove_containers(TASKS) {
            say(format!("the containers of ministack could not be removed: {error:#}"));
        }
    }
}

/// The containers that ministack starts for tasks.
const TASKS: &str = "name=^ministack-ecs-";

fn health() -> Result<()> {
    ureq::get(format!("{URL}/_ministack/health")).call()?;
    Ok(())
}
