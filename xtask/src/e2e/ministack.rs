//! The AWS of the end-to-end test: ministack, whose ECS tasks are real containers and whose ECR is a real registry.
//! <https://pypi.org/project/ministack/>

use std::path::Path;
use std::process::Child;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;

use super::registry_name::RegistryName;
use crate::docker;
use crate::poll;
use crate::process::{create, program, say, target};
use crate::tools;

/// Where AWS's APIs and the load balancer's data plane answer, in plain HTTP.
pub(crate) const URL: &str = "http://127.0.0.1:4566";
/// A twelve-digit access key is ministack's account number.
pub(crate) const ACCOUNT: &str = "111122223333";
pub(crate) const REGION: &str = "eu-west-1";

/// ministack, running with empty state. Stopped, and its containers removed, when dropped.
pub(crate) struct Ministack {
    process: Child,
}

impl Ministack {
    /// Starts ministack: its APIs on [`URL`], its registry by ECR's own name over TLS.
    pub(crate) fn start(registry: &RegistryName) -> Result<Self> {
        if ureq::get(format!("{URL}/_ministack/health")).call().is_ok() {
            bail!("something answers on {URL} already; stop it (an earlier ministack?) and start again");
        }
        docker::remove_containers(TASKS)?;
        let log = target().join("e2e/ministack.log");
        let stdout = create(&log)?;
        let stderr = stdout.try_clone()?;
        // hypercorn is what the `ministack` command runs; called by itself it serves TLS and plain HTTP at once, and without
        // workers it is one process, which takes its listeners with it. setpriv has
        // the kernel stop it with this task, however this task ends.
        let process = program("setpriv")
            .args(["--pdeathsig", "TERM"])
            .arg(tools::python("hypercorn")?)
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
            // What a request without credentials belongs to: the load balancer's data plane.
            .envs([("MINISTACK_ACCOUNT_ID", ACCOUNT), ("MINISTACK_REGION", REGION)])
            .stdout(stdout)
            .stderr(stderr)
            .spawn()
            .context("cannot start ministack by way of `setpriv` (util-linux)")?;
        let mut ministack = Self { process };
        poll::until("ministack", Duration::from_secs(60), || ministack.health(&log))?;
        say(format!("ministack answers on {URL}; its log is {}", log.display()));
        Ok(ministack)
    }

    /// A call of one of AWS's JSON services. `target` is the service's prefix and the operation.
    pub(crate) fn json(&self, service: &str, target: &str, request: &Value) -> Result<Value> {
        let mut response = agent()
            .post(URL)
            .header("authorization", authorization(service))
            .header("x-amz-target", target)
            .header("content-type", "application/x-amz-json-1.1")
            .send(request.to_string())
            .with_context(|| format!("{target} was not answered"))?;
        let body = response.body_mut().read_to_string()?;
        if !response.status().is_success() {
            bail!("{target} was refused: {body}");
        }
        serde_json::from_str(&body).with_context(|| format!("{target} answered something else than JSON: {body}"))
    }

    /// A call of Amazon ECS.
    pub(crate) fn ecs(&self, operation: &str, request: &Value) -> Result<Value> {
        self.json("ecs", &format!("AmazonEC2ContainerServiceV20141113.{operation}"), request)
    }

    /// A call of Systems Manager.
    pub(crate) fn ssm(&self, operation: &str, request: &Value) -> Result<Value> {
        self.json("ssm", &format!("AmazonSSM.{operation}"), request)
    }

    /// A call of Elastic Load Balancing, whose answer is the text of one XML element.
    pub(crate) fn elb(&self, action: &str, parameters: &[(&str, &str)], element: &str) -> Result<String> {
        self.query("elasticloadbalancing", "2015-12-01", action, parameters, element)
    }

    /// A call of IAM, whose answer is the text of one XML element.
    pub(crate) fn iam(&self, action: &str, parameters: &[(&str, &str)], element: &str) -> Result<String> {
        self.query("iam", "2010-05-08", action, parameters, element)
    }

    /// A call of one of AWS's query services.
    fn query(
        &self,
        service: &str,
        version: &str,
        action: &str,
        parameters: &[(&str, &str)],
        element: &str,
    ) -> Result<String> {
        let common = [("Action", action), ("Version", version)];
        let mut response = agent()
            .post(URL)
            .header("authorization", authorization(service))
            .send_form(common.iter().chain(parameters).copied())
            .with_context(|| format!("{action} was not answered"))?;
        let body = response.body_mut().read_to_string()?;
        let after = body.split_once(&format!("<{element}>")).map(|(_, after)| after);
        let text = after.and_then(|after| after.split_once(&format!("</{element}>"))).map(|(text, _)| text);
        text.map(str::to_owned).ok_or_else(|| anyhow!("{action} answered no {element}: {body}"))
    }

    fn health(&mut self, log: &Path) -> Result<()> {
        if let Some(status) = self.process.try_wait()? {
            let said = std::fs::read_to_string(log)?;
            bail!("ministack ended with {status}; ports 443 and 4566 must be free:\n{said}");
        }
        ureq::get(format!("{URL}/_ministack/health")).call()?;
        Ok(())
    }
}

impl Drop for Ministack {
    fn drop(&mut self) {
        let stopped = self.process.kill().and_then(|()| self.process.wait());
        if let Err(error) = stopped {
            say(format!("ministack, process {}, could not be stopped: {error}", self.process.id()));
        }
        if let Err(error) = docker::remove_containers(TASKS) {
            say(format!("the containers of ministack could not be removed: {error:#}"));
        }
    }
}

/// The containers that ministack starts for tasks.
const TASKS: &str = "name=^ministack-ecs-";

/// An agent that hands error answers over instead of taking them for failures of its own.
fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(30)))
        .build()
        .into()
}

/// Account, region and service, as ministack reads them from the credential scope. It checks no signature.
fn authorization(service: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential={ACCOUNT}/20260101/{REGION}/{service}/aws4_request, SignedHeaders=host, Signature=0"
    )
}
