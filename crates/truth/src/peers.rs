//! The tools that are used today, asked the same questions: for the benchmark, and for the report of where we differ.
//!
//! They are the real ones, installed from npm. Each answers in projects, which are mapped to the services built from them;
//! none of them knows of services that are gone.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::check::Answer;
use crate::estate::{Repository, Scenario};
use crate::history::{git, program, run};

/// The versions that are compared with.
const PACKAGES: [&str; 4] = ["nx@24.0.6", "typescript@5.9.3", "turbo@2.11.11", "pnpm@12.21.0"];

/// A tool that says what a change affects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// `nx show projects --affected`: by project.
    Nx,
    /// `nx show projects --affected --withTarget build`: by the inputs of a task.
    NxTask,
    /// `turbo ls --affected`.
    Turbo,
    /// `pnpm ls --recursive --filter '...[base]'`.
    Pnpm,
}

impl Peer {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Turbo, Self::Pnpm, Self::Nx, Self::NxTask];
}

/// The tools, installed in a folder of their own.
#[derive(Clone, Debug)]
pub struct Peers {
    modules: PathBuf,
    /// What starts them.
    starter: Vec<PathBuf>,
}

impl Peers {
    /// Installs them by npm, unless they are in this folder already.
    ///
    /// # Errors
    /// If npm is missing, or the registry cannot be reached.
    pub fn install(directory: &Path) -> Result<Self> {
        let peers = Self { modules: directory.join("node_modules"), starter: Vec::new() };
        if ["nx", "turbo", "pnpm"].iter().any(|name| !peers.binary(name).exists()) {
            let mut npm = program(Path::new("npm"));
            npm.current_dir(directory).args(["install", "--no-audit", "--no-fund", "--ignore-scripts", "--no-save"]);
            run(npm.arg("--prefix").arg(directory).args(PACKAGES))?;
        }
        Ok(peers)
    }

    /// The same, started by another program with these words: one that measures them, say.
    #[must_use]
    pub fn started_by(self, starter: Vec<PathBuf>) -> Self {
        Self { starter, ..self }
    }

    /// What a tool says of a scenario. The head gets checked out, as every tool but ours wants it.
    ///
    /// # Errors
    /// If the tool fails, or says something that cannot be read.
    pub fn answer(&self, peer: Peer, repository: &Repository, scenario: &Scenario) -> Result<Answer> {
        self.prepare(peer, repository, &scenario.head)?;
        self.ask(peer, repository, scenario)
    }

    /// Checks a commit out and makes it what the tool wants to see, apart from the time that it takes to answer.
    ///
    /// # Errors
    /// If git refuses.
    pub fn prepare(&self, peer: Peer, repository: &Repository, head: &str) -> Result<()> {
        repository.check_out(head)?;
        if matches!(peer, Peer::Nx | Peer::NxTask) {
            self.look_installed(&repository.path)?;
        }
        Ok(())
    }

    /// Asks a tool about the commit that is checked out.
    ///
    /// # Errors
    /// If the tool fails, or says something that cannot be read.
    pub fn ask(&self, peer: Peer, repository: &Repository, scenario: &Scenario) -> Result<Answer> {
        let (base, head) = (scenario.base.as_str(), scenario.head.as_str());
        let projects = match peer {
            Peer::Nx => self.nx(&repository.path, base, head, &[])?,
            Peer::NxTask => self.nx(&repository.path, base, head, &["--withTarget", "build"])?,
            Peer::Turbo => self.turbo(&repository.path, base, head)?,
            Peer::Pnpm => self.pnpm(&repository.path, base)?,
        };
        let services = scenario.services_of(&projects);
        Ok(Answer { services, removed: BTreeSet::new(), projects: Some(projects) })
    }

    /// Whether pnpm finds the lockfile to be that of the manifests, which are checked out.
    ///
    /// # Errors
    /// If it does not: with what it says.
    pub fn accepts_lockfile(&self, directory: &Path) -> Result<()> {
        let mut pnpm = self.tool("pnpm", directory);
        // It would ask the registry how old packages are that nobody ever published.
        pnpm.env("pnpm_config_minimum_release_age", "0");
        run(pnpm.args(["install", "--frozen-lockfile", "--lockfile-only", "--offline", "--ignore-scripts"]))
    }

    /// Nx reads a pnpm lockfile only in a workspace that looks installed, and looks at imports only where it finds
    /// TypeScript: links to this folder's modules are enough for it.
    fn look_installed(&self, directory: &Path) -> Result<()> {
        let modules = directory.join("node_modules");
        if modules.join(".modules.yaml").exists() {
            return Ok(());
        }
        std::fs::create_dir_all(&modules)?;
        std::fs::write(modules.join(".modules.yaml"), "layoutVersion: 5\nnodeLinker: isolated\n")?;
        for name in ["nx", "typescript"] {
            link(&self.modules.join(name), &modules.join(name))?;
        }
        Ok(())
    }

    fn nx(&self, directory: &Path, base: &str, head: &str, more: &[&str]) -> Result<BTreeSet<String>> {
        let mut nx = self.tool("nx", directory);
        nx.args(["show", "projects", "--affected", "--json", "--base", base, "--head", head]).args(more);
        nx.env("NX_DAEMON", "false").env("NX_NO_CLOUD", "true").env("NX_TUI", "false");
        let told = json(&mut nx)?;
        let names = told.as_array().context("nx did not answer with a list")?;
        Ok(names.iter().filter_map(Value::as_str).map(str::to_owned).collect())
    }

    fn turbo(&self, directory: &Path, base: &str, head: &str) -> Result<BTreeSet<String>> {
        let mut turbo = self.tool("turbo", directory);
        turbo.args(["ls", "--affected", "--output=json"]).env("TURBO_SCM_BASE", base).env("TURBO_SCM_HEAD", head);
        let told = json(&mut turbo)?;
        let items = told["packages"]["items"].as_array().context("turbo did not answer with packages")?;
        Ok(items.iter().filter_map(|item| item["name"].as_str()).map(str::to_owned).collect())
    }

    fn pnpm(&self, directory: &Path, base: &str) -> Result<BTreeSet<String>> {
        let mut pnpm = self.tool("pnpm", directory);
        pnpm.args(["ls", "--recursive", "--depth=-1", "--json", "--filter", &format!("...[{base}]")]);
        let output = output(&mut pnpm)?;
        if output.trim().is_empty() || !output.trim_start().starts_with('[') {
            return Ok(BTreeSet::new());
        }
        let told: Value = serde_json::from_str(&output).context("pnpm did not answer with JSON")?;
        let items = told.as_array().context("pnpm did not answer with a list")?;
        Ok(items.iter().filter_map(|item| item["name"].as_str()).map(str::to_owned).collect())
    }

    fn binary(&self, name: &str) -> PathBuf {
        // What npm links to for pnpm is a script that its own install step replaces, and that step does not run here.
        let native = match std::env::consts::ARCH {
            "aarch64" => "@pnpm/exe.linux-arm64/pnpm",
            _ => "@pnpm/exe.linux-x64/pnpm",
        };
        if name == "pnpm" { self.modules.join(native) } else { self.modules.join(".bin").join(name) }
    }

    fn tool(&self, name: &str, directory: &Path) -> Command {
        let binary = self.binary(name);
        let mut command = match self.starter.split_first() {
            Some((starter, words)) => {
                let mut command = program(starter);
                command.args(words).arg(binary);
                command
            }
            None => program(&binary),
        };
        command.current_dir(directory).env("CI", "true").env("NO_COLOR", "1");
        command.env("TURBO_TELEMETRY_DISABLED", "1").env("DO_NOT_TRACK", "1").env("NX_SKIP_NX_CACHE", "true");
        // One process instead of one for each plugin: quicker where there are few cores.
        command.env("NX_ISOLATE_PLUGINS", "false");
        // The estate names the pnpm of its time; the one installed here is to answer all the same.
        command.env("pnpm_config_pm_on_fail", "ignore");
        // Otherwise turbo and nx take their base from the pull request that a benchmark may run for.
        for name in ["GITHUB_ACTIONS", "GITHUB_BASE_REF", "GITHUB_EVENT_PATH", "NX_BASE", "NX_HEAD"] {
            command.env_remove(name);
        }
        command
    }
}

/// Has git forget what tools left in the working tree, so that each repository is asked in the same state.
///
/// # Errors
/// If git refuses.
pub fn clean(repository: &Repository) -> Result<()> {
    run(git(&repository.path).args(["clean", "--quiet", "-ffdx"]))
}

fn json(command: &mut Command) -> Result<Value> {
    let text = output(command)?;
    serde_json::from_str(&text).with_context(|| format!("{command:?} did not answer with JSON: {text}"))
}

fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("{command:?} could not be started"))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "{command:?} ended with {}: {errors}{text}", output.status);
    Ok(text)
}

#[cfg(unix)]
fn link(target: &Path, at: &Path) -> Result<()> {
    std::os::unix::fs::symlink(target, at).with_context(|| format!("{} could not be linked", at.display()))
}

#[cfg(not(unix))]
fn link(target: &Path, at: &Path) -> Result<()> {
    anyhow::bail!("{} could not be linked to {}: links need a Unix", at.display(), target.display())
}
