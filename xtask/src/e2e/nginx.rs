//! nginx on loopback: Debian's, as a team has it in front of its services. <https://nginx.org/en/docs/>

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::server::{Server, tied};
use crate::tools;

/// nginx with the servers that it was told of. Stopped when dropped.
pub(crate) struct Nginx {
    _server: Server,
}

impl Nginx {
    /// Starts it with these blocks inside `http`; `url` is one that it answers then.
    pub(crate) fn start(folder: &Path, blocks: &str, url: &str) -> Result<Self> {
        let folder = folder.join("nginx");
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        write(&folder, blocks)?;
        let mut command = tied(binary()?);
        command.arg("-p").arg(&folder).args(["-c", "nginx.conf", "-g", "daemon off;"]);
        let server = Server::start("nginx", &mut command, || {
            ureq::get(url).call()?;
            Ok(())
        })?;
        Ok(Self { _server: server })
    }
}

fn write(folder: &Path, blocks: &str) -> Result<()> {
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let temporary: String = temporary.iter().map(|name| format!("  {name}_temp_path {name};\n")).collect();
    // One process: workers would outlive a master that is killed.
    let text = format!(
        "pid nginx.pid;\nerror_log stderr;\nmaster_process off;\nevents {{}}\nhttp {{\n  access_log off;\n{temporary}{blocks}}}\n"
    );
    std::fs::write(folder.join("nginx.conf"), text).context("cannot write nginx.conf")
}

fn binary() -> Result<PathBuf> {
    Ok(tools::debian("nginx")?.join("usr/sbin/nginx"))
}
