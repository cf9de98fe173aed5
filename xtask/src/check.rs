//! `cargo xtask check`: everything about the tree that a machine can judge without running it.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::process::{Run, cargo, program, root, say, target};
use crate::{policies, snippets, tools};

/// How a step that did not fail ended.
pub(crate) enum Passed {
    Checked,
    /// Not checked, and why.
    Skipped(String),
}

/// A step writes what it has to say to the file and fails with its end.
type Step = fn(&Path) -> Result<Passed>;

const STEPS: [(&str, Step); 11] = [
    ("fmt", fmt),
    ("clippy", clippy),
    ("doc", doc),
    ("deny", deny),
    ("advisories", advisories),
    ("generated", generated),
    ("policies", policies),
    ("github", github),
    ("actionlint", actionlint),
    ("snippets", snippets),
    ("zizmor", zizmor),
];

/// Runs every step, or those that are named, whatever the others say, and fails with the list of those that failed.
pub(crate) fn check(named: &[String]) -> Result<()> {
    let known = STEPS.map(|(name, _)| name);
    if let Some(unknown) = named.iter().find(|name| !known.contains(&name.as_str())) {
        bail!("there is no check `{unknown}`; there are `{}`", known.join("`, `"));
    }
    let is_wanted = |name: &str| named.is_empty() || named.iter().any(|wanted| wanted == name);
    let mut failures = Vec::new();
    for (name, step) in STEPS.into_iter().filter(|(name, _)| is_wanted(name)) {
        let started = Instant::now();
        let outcome = step(&target().join("check").join(format!("{name}.log")));
        let seconds = started.elapsed().as_secs_f64();
        match outcome {
            Ok(Passed::Checked) => say(format!("ok      {name:<10} {seconds:6.1} s")),
            Ok(Passed::Skipped(why)) => say(format!("skipped {name:<10} {seconds:6.1} s  {why}")),
            Err(failure) => {
                say(format!("FAILED  {name:<10} {seconds:6.1} s\n{failure:#}\n"));
                failures.push(name);
            }
        }
    }
    if failures.is_empty() { Ok(()) } else { bail!("failed: {}", failures.join(", ")) }
}

fn fmt(log: &Path) -> Result<Passed> {
    cargo().args(["fmt", "--all", "--", "--check", "--color=never"]).log(log)?;
    Ok(Passed::Checked)
}

fn clippy(log: &Path) -> Result<Passed> {
    let all = ["clippy", "--quiet", "--workspace", "--all-targets", "--locked", "--", "--deny", "warnings"];
    cargo().args(all).log(log)?;
    Ok(Passed::Checked)
}

fn doc(log: &Path) -> Result<Passed> {
    let mut doc = cargo();
    doc.env("RUSTDOCFLAGS", "--deny warnings");
    doc.args(["doc", "--quiet", "--workspace", "--no-deps", "--document-private-items", "--locked"]).log(log)?;
    Ok(Passed::Checked)
}

fn deny(log: &Path) -> Result<Passed> {
    cargo_deny()?.args(["check", "--hide-inclusion-graph", "bans", "licenses", "sources"]).log(log)?;
    Ok(Passed::Checked)
}

/// Needs the network beyond the package registry. Where that is missing the step says so; where it is there, it decides.
fn advisories(log: &Path) -> Result<Passed> {
    if let Err(failure) = cargo_deny()?.args(["fetch", "db"]).log(log) {
        let why = failure.to_string().lines().last().unwrap_or_default().trim().to_owned();
        return Ok(Passed::Skipped(format!("the RustSec database cannot be fetched: {why}")));
    }
    cargo_deny()?.args(["check", "--disable-fetch", "advisories"]).log(log)?;
    Ok(Passed::Checked)
}

fn generated(log: &Path) -> Result<Passed> {
    cargo()
        .args(["xtask", "generate", "--check"])
        .log(log)
        .context("run `cargo xtask generate` and commit what it wrote")?;
    Ok(Passed::Checked)
}

fn policies(_log: &Path) -> Result<Passed> {
    policies::check()
}

/// What the scenarios asked GitHub for, and what the simulated one answered, against GitHub's own description of its API.
fn github(log: &Path) -> Result<Passed> {
    let exchanges = target().join("scenarios/github");
    if !exchanges.is_dir() {
        return Ok(Passed::Skipped("no scenario was played: run `cargo test --workspace` first".to_owned()));
    }
    let script = root().join("xtask/src/github.py");
    program(tools::python("python")?).arg(script).arg(tools::github_description()?).arg(exchanges).log(log)?;
    Ok(Passed::Checked)
}

fn actionlint(log: &Path) -> Result<Passed> {
    lint(log, workflows()?, &[])
}

/// What the documentation shows is a part of a workflow: the jobs that come before are in another.
fn snippets(log: &Path) -> Result<Passed> {
    let elsewhere =
        ["needs job \"[a-z-]+\" which does not exist", "property \"[a-z-]+\" is not defined in object type {}"];
    let files = snippets::write()?;
    lint(log, files.clone(), &elsewhere)?;
    // A snippet is short: it need not say why it has which permission, as a workflow of ours does. Actions of GitHub's own are named
    // there by a version that people know.
    let rules = root().join(".github/zizmor-snippets.yml");
    audit(&log.with_extension("zizmor.log"), &["--persona=regular"], &rules, files)
}

fn lint(log: &Path, files: Vec<PathBuf>, ignored: &[&str]) -> Result<Passed> {
    // Its optional companions are switched off, so that the verdict does not depend on what a machine happens to have.
    let plain = ["-no-color", "-shellcheck=", "-pyflakes="];
    // It looks for an image's entry points beside action.yml, and does not know the queue of 2026-05
    // (https://github.blog/changelog/2026-05-07-github-actions-concurrency-groups-now-allow-larger-queues).
    let always =
        ["it is specified at \"(post-)?entrypoint\" key", "unexpected key \"queue\" for \"concurrency\" section"];
    let ignored = always.iter().chain(ignored).flat_map(|ignored| ["-ignore", ignored]);
    program(tools::actionlint()?).args(plain).args(ignored).args(files).log(log)?;
    Ok(Passed::Checked)
}

fn zizmor(log: &Path) -> Result<Passed> {
    let files = [workflows()?, actions()?].concat();
    audit(log, &["--persona=pedantic"], &root().join(".github/zizmor.yml"), files)
}

fn audit(log: &Path, arguments: &[&str], rules: &Path, files: Vec<PathBuf>) -> Result<Passed> {
    let plain = ["--quiet", "--offline", "--no-progress", "--color=never", "--strict-collection"];
    program(tools::python("zizmor")?).args(plain).args(arguments).arg("--config").arg(rules).args(files).log(log)?;
    Ok(Passed::Checked)
}

fn cargo_deny() -> Result<std::process::Command> {
    let mut command = program(tools::cargo_deny()?);
    command.args(["--color", "never", "--log-level", "error", "--locked"]);
    Ok(command)
}

fn workflows() -> Result<Vec<PathBuf>> {
    let folder = root().join(".github/workflows");
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "yml") {
            files.push(path);
        }
    }
    files.sort();
    found(files, "workflow below .github/workflows")
}

fn actions() -> Result<Vec<PathBuf>> {
    let files = crate::image::ACTIONS.map(|name| root().join("actions").join(name).join("action.yml"));
    if let Some(missing) = files.iter().find(|file| !file.is_file()) {
        bail!("{} is missing; `cargo xtask generate` writes it", missing.display());
    }
    Ok(files.into())
}

/// A linter that is given nothing finds nothing wrong.
fn found(files: Vec<PathBuf>, what: &str) -> Result<Vec<PathBuf>> {
    if files.is_empty() { bail!("there is no {what}") } else { Ok(files) }
}
