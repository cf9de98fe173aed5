//! ECR's own name on this machine: a repository URI then reads in the test as it does in production, and engine, actions and
//! tasks all reach the same registry by it, over TLS.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::aws_api::{ACCOUNT, REGION};
use super::certificate::Certificate;
use crate::process::{create, require_root, target};

const HOSTS: &str = "/etc/hosts";
/// Ends the line that is added to the hosts file, so that a run that was killed is cleaned up after by the next.
const MARK: &str = "# delivery suite, end-to-end test";

/// The name of the registry, pointing at this machine until dropped.
pub(crate) struct RegistryName {
    certificate: Certificate,
    /// Held open: the lock goes with it.
    _lock: File,
}

impl RegistryName {
    pub(crate) fn claim() -> Result<Self> {
        require_root(
            "serving a registry by ECR's own name (a line in /etc/hosts, a folder in /etc/docker/certs.d, port 443)",
        )?;
        let lock = create(Path::new("/var/lock/delivery-suite-e2e"))?;
        lock.try_lock().context("another end-to-end test or benchmark has the registry's name; wait for its end")?;
        let claimed = Self { certificate: Certificate::issue(&target().join("e2e/registry"), &host())?, _lock: lock };
        // The engine reads this folder at every connection. https://docs.docker.com/engine/security/certificates/
        std::fs::create_dir_all(trusted()).with_context(|| format!("cannot create {}", trusted().display()))?;
        std::fs::copy(claimed.certificate(), trusted().join("ca.crt"))?;
        let others = hosts_without_ours()?;
        write_hosts(&format!("{others}127.0.0.1 {} {MARK}\n", host()))?;
        Ok(claimed)
    }

    pub(crate) fn certificate(&self) -> &Path {
        &self.certificate.certificate
    }

    pub(crate) fn key(&self) -> &Path {
        &self.certificate.key
    }
}

impl Drop for RegistryName {
    fn drop(&mut self) {
        let undone = hosts_without_ours()
            .and_then(|others| write_hosts(&others))
            .and_then(|()| std::fs::remove_dir_all(trusted()).context("cannot remove the trusted certificate"));
        if let Err(error) = undone {
            crate::process::say(format!("the name {} could not be given back: {error:#}", host()));
        }
    }
}

/// `ACCOUNT.dkr.ecr.REGION.amazonaws.com`
pub(crate) fn host() -> String {
    format!("{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com")
}

fn trusted() -> PathBuf {
    Path::new("/etc/docker/certs.d").join(host())
}

fn hosts_without_ours() -> Result<String> {
    let hosts = std::fs::read_to_string(HOSTS).with_context(|| format!("cannot read {HOSTS}"))?;
    Ok(hosts.lines().filter(|line| !line.ends_with(MARK)).map(|line| format!("{line}\n")).collect())
}

/// Writes in place: in a container /etc/hosts is a mount, which cannot be replaced.
fn write_hosts(text: &str) -> Result<()> {
    std::fs::write(HOSTS, text).with_context(|| format!("cannot write {HOSTS}"))
}
