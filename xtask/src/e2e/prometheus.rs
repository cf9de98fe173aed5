//! Prometheus on loopback: Debian's, asking one target every second. <https://prometheus.io/docs/prometheus/latest/configuration/configuration/>

use std::path::Path;

use anyhow::{Context, Result};

use super::server::{Server, tied};
use crate::tools;

/// Where it answers.
pub(crate) const URL: &str = "http://127.0.0.1:19090";

/// Prometheus with empty storage. Stopped when dropped.
pub(crate) struct Prometheus {
    _server: Server,
}

impl Prometheus {
    /// Starts it with one target, `host:port`, whose `/metrics` it reads.
    pub(crate) fn start(folder: &Path, target: &str) -> Result<Self> {
        let folder = folder.join("prometheus");
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let configuration = folder.join("prometheus.yml");
        let text = format!(
            "global: {{ scrape_interval: 1s }}\nscrape_configs:\n  - {{ job_name: shop, static_configs: [{{ targets: ['{target}'] }}] }}\n"
        );
        std::fs::write(&configuration, text).context("cannot write prometheus.yml")?;
        let mut command = tied(tools::debian("prometheus")?.join("usr/bin/prometheus"));
        command
            .arg(format!("--config.file={}", configuration.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address={}", URL.trim_start_matches("http://")));
        let server = Server::start("prometheus", &mut command, || {
            ureq::get(format!("{URL}/-/ready")).call()?;
            Ok(())
        })?;
        Ok(Self { _server: server })
    }
}
