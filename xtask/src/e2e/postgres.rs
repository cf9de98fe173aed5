//! A PostgreSQL server for migrations to run against: Debian's, on the Docker bridge's own address, which tasks reach.
//! <https://packages.debian.org/stable/postgresql>

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::server::Server;
use crate::process::{Run, program, say};
use crate::tools;

const PORT: &str = "54329";
/// PostgreSQL refuses to run as root, and Debian has a user for it.
const USER: &str = "postgres";

/// A server with empty databases. Stopped when dropped.
pub(crate) struct Postgres {
    server: Option<Server>,
    programs: PathBuf,
    host: String,
}

impl Postgres {
    /// Starts a server with these databases, in a folder that is made anew.
    pub(crate) fn start(folder: &Path, databases: &[&str]) -> Result<Self> {
        let programs = programs()?;
        let data = folder.join("postgres");
        std::fs::create_dir_all(&data)?;
        program("chown").arg(format!("{USER}:{USER}")).arg(&data).read()?;
        // Its way there may be closed to others.
        program("chmod").arg("0755").arg(folder).read()?;
        as_postgres(&programs.join("initdb"))
            .args(["--auth=trust", "--no-sync", "--encoding=UTF8", "--pgdata"])
            .arg(&data)
            .read()?;
        std::fs::write(data.join("pg_hba.conf"), "host all all 0.0.0.0/0 trust\n")?;
        let gateway = "{{(index .IPAM.Config 0).Gateway}}";
        let host = program("docker").args(["network", "inspect", "bridge", "--format", gateway]).read()?;
        let host = host.trim().to_owned();
        let mut command = as_postgres(&programs.join("postgres"));
        command.arg("-D").arg(&data).args(["-h", &host, "-p", PORT, "-k", "", "-c", "fsync=off"]);
        let mut postgres = Self { server: None, programs, host };
        let is_ready = || postgres.ask("postgres", "SELECT 1").map(drop);
        postgres.server = Some(Server::start("postgres", &mut command, is_ready)?);
        for database in databases {
            postgres.ask("postgres", &format!("CREATE DATABASE {database}"))?;
        }
        say(format!("PostgreSQL answers on {}:{PORT}", postgres.host));
        Ok(postgres)
    }

    /// Where a task reaches a database.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://{USER}@{}:{PORT}/{database}?sslmode=disable", self.host)
    }

    /// What a query answers, without its headings.
    pub(crate) fn ask(&self, database: &str, query: &str) -> Result<String> {
        let mut psql = program(self.programs.join("psql"));
        psql.args(["--no-psqlrc", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1", "--dbname"]);
        Ok(psql.arg(self.url(database)).args(["--command", query]).read()?.trim().to_owned())
    }
}

/// A program as the server's user, which goes with this one.
fn as_postgres(name: &Path) -> std::process::Command {
    let mut command = program("setpriv");
    command.args(["--reuid", USER, "--regid", USER, "--clear-groups", "--pdeathsig", "KILL"]).arg(name);
    command
}

/// The server's programs, which are installed if they are not there.
fn programs() -> Result<PathBuf> {
    if let Some(programs) = installed() {
        return Ok(programs);
    }
    say("installs postgresql with apt-get");
    tools::debian_package("postgresql")?;
    installed().context("there is no PostgreSQL server in /usr/lib/postgresql after installing Debian's `postgresql`")
}

/// Debian keeps them by version.
fn installed() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let programs = versions.map(|version| version.path().join("bin"));
    programs.filter(|programs| programs.join("initdb").is_file()).max()
}
