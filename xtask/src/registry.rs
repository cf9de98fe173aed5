//! A registry on loopback, empty until something is pushed.

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::process::{Run, program, target};
use crate::samples::Image;
use crate::{poll, tools};

/// A registry of its own folder on a free port, until dropped. <https://distribution.github.io/distribution/>
pub(crate) struct Registry {
    process: Child,
    /// `127.0.0.1:PORT`
    pub(crate) address: String,
    folder: PathBuf,
}

impl Registry {
    pub(crate) fn start() -> Result<Self> {
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let folder = target().join(format!("registries/{port}"));
        std::fs::create_dir_all(&folder)?;
        let address = format!("127.0.0.1:{port}");
        let config = format!(
            "version: 0.1\nlog: {{ level: error, accesslog: {{ disabled: true }} }}\n\
             storage: {{ filesystem: {{ rootdirectory: {} }} }}\nhttp: {{ addr: \"{address}\" }}\n",
            folder.join("data").display()
        );
        std::fs::write(folder.join("config.yml"), config)?;
        let process = program(tools::debian("docker-registry")?.join("usr/bin/docker-registry"))
            .arg("serve")
            .arg(folder.join("config.yml"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start docker-registry")?;
        let registry = Self { process, address, folder };
        poll::until("the registry", Duration::from_secs(10), || Ok(std::net::TcpStream::connect(&registry.address)?))?;
        Ok(registry)
    }

    /// Has it hold what another machine pushed before.
    pub(crate) fn seed(&self, image: &Image) -> Result<()> {
        program("skopeo")
            .args(["copy", "--quiet", "--dest-tls-verify=false", &image.layout_reference()])
            .arg(format!("docker://{}", image.at(&self.address)))
            .read()
            .map(drop)
    }

    /// The bytes of all that it holds.
    pub(crate) fn stored(&self) -> Result<u64> {
        size_of(&self.folder)
    }
}

fn size_of(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let found = entry.metadata()?;
        bytes += if found.is_dir() { size_of(&entry.path())? } else { found.len() };
    }
    Ok(bytes)
}

impl Drop for Registry {
    fn drop(&mut self) {
        let ended = self.process.kill().and_then(|()| self.process.wait());
        if let Err(error) = ended.and_then(|_| std::fs::remove_dir_all(&self.folder)) {
            crate::process::say(format!("the registry at {} is left behind: {error}", self.folder.display()));
        }
    }
}
