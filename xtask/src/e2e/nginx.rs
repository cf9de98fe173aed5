//! nginx on loopback: Debian's, as a team has it in front of its services. <https://nginx.org/en/docs/>

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::server::{Server, tied};
use crate::process::{Run, program};
use crate::tools;

/// nginx with the servers that it was told of. Stopped when dropped.
pub(crate) struct Nginx {
    folder: PathBuf,
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
        Ok(Self { folder, _server: server })
    }

    /// Has it take other blocks; requests that are being answered are answered to their end.
    pub(crate) fn reload(&self, blocks: &str) -> Result<()> {
        write(&self.folder, blocks)?;
        program(binary()?).arg("-p").arg(&self.folder).args(["-c", "nginx.conf", "-s", "reload"]).read().map(drop)
    }
}

fn write(folder: &Path, blocks: &str) -> Result<()> {
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let temporary: String = temporary.iter().map(|name| format!("  {name}_temp_path {name};\n")).collect();
    let text = format!(
        "pid nginx.pid;\nerror_log stderr;\nworker_processes 1;\nevents {{}}\nhttp {{\n  access_log off;\n{temporary}{blocks}}}\n"
    );
    std::fs::write(folder.join("nginx.conf"), text).context("cannot write nginx.conf")
}

fn binary() -> Result<PathBuf> {
    Ok(tools::debian("nginx")?.join("usr/sbin/nginx"))
}
