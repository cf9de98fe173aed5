//! `cargo xtask bench affected`: what a change affects, asked of build-affected and of the tools that are used today, in turns,
//! in the same repositories, whose right answer is known.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use truth::peers::{Peer, Peers, clean};
use truth::{Answer, Estate, Repository, Scenario, Shape, Tool};

use super::{Gauge, median};
use crate::image::{self, Build};
use crate::process::{Run, program, say, target};

/// How many projects the repositories have.
const SIZES: [usize; 3] = [10, 200, 2000];
/// There are as many turns at most, and no further one when they have taken `ENOUGH` in all.
const RUNS: usize = 9;
const ENOUGH: Duration = Duration::from_secs(60);

/// Measures and prints the lines with these words in them; all, if there are no words.
pub(super) fn run(only: &[String]) -> Result<()> {
    let ours = image::rootfs(Build::Shipped)?.join("build-affected");
    let tools = target().join("tools/peers");
    std::fs::create_dir_all(&tools)?;
    let peers = Peers::install(&tools)?;
    let gauge = Gauge::new()?;
    let peer = |peer| Contestant::Peer(&peers, peer);
    // Nx has to find the repository installed, which the others are not to see.
    let groups =
        [vec![Contestant::Ours(&ours), peer(Peer::Turbo), peer(Peer::Pnpm)], vec![peer(Peer::Nx), peer(Peer::NxTask)]];
    say(format!(
        "{:<9} {:<9} {:<22} {:>9} {:>5} {:>9} {:>7} {:>8}",
        "projects", "change", "what is affected", "wall", "runs", "memory", "missed", "needless"
    ));
    for size in SIZES {
        let directory = tempfile::tempdir()?;
        let repository = Estate::new(Shape::of(Tool::Nx, size)).with_races().write(directory.path())?;
        pack(&repository)?;
        for (scenario, group) in
            repository.scenarios.iter().flat_map(|scenario| groups.iter().map(move |group| (scenario, group)))
        {
            let is_wanted = |contestant: &&Contestant<'_>| {
                let line = format!("{size} {} {}", scenario.name, contestant.name());
                only.iter().all(|word| line.contains(word.as_str()))
            };
            let group: Vec<&Contestant<'_>> = group.iter().filter(is_wanted).collect();
            for (contestant, measured) in group.iter().zip(race(&group, &repository, scenario, &gauge)?) {
                say(format!("{size:<9} {:<9} {:<22} {}", scenario.name, contestant.name(), measured.line(scenario)));
            }
        }
    }
    Ok(())
}

/// Has all of them say what is affected, in turns: whatever disturbs one disturbs the others. The first turn fills whatever is kept
/// between runs, and tells the memory and the answer: none of it is timed.
fn race(
    group: &[&Contestant<'_>],
    repository: &Repository,
    scenario: &Scenario,
    gauge: &Gauge,
) -> Result<Vec<Measured>> {
    clean(repository)?;
    let first = group.iter().map(|contestant| {
        contestant.prepare(repository, scenario)?;
        let answer = contestant.ask(&gauge.starter(), repository, scenario)?;
        Ok(Measured { walls: Vec::new(), memory: gauge.read()?, answer })
    });
    let mut measured: Vec<Measured> = first.collect::<Result<_>>()?;
    let began = Instant::now();
    for turn in 0..RUNS {
        if turn > 0 && began.elapsed() > ENOUGH {
            break;
        }
        for (contestant, measured) in group.iter().zip(&mut measured) {
            let started = Instant::now();
            contestant.ask(&[], repository, scenario)?;
            measured.walls.push(started.elapsed());
        }
    }
    Ok(measured)
}

/// Packs a repository as a server does for a clone: what made it stores each file as what differs from the one before.
fn pack(repository: &Repository) -> Result<()> {
    let mut git = program("git");
    git.current_dir(&repository.path).args(["repack", "-a", "-d", "-f", "--quiet"]).read().map(drop)
}

/// Who says what is affected.
enum Contestant<'a> {
    /// The program that the image holds.
    Ours(&'a Path),
    Peer(&'a Peers, Peer),
}

/// What came of a contestant's runs.
struct Measured {
    walls: Vec<Duration>,
    /// In MiB.
    memory: f64,
    answer: Answer,
}

impl Measured {
    fn line(&self, scenario: &Scenario) -> String {
        format!(
            "{:>6.0} ms {:>5} {:>5.0} MiB {:>7} {:>8}",
            median(self.walls.clone()).as_secs_f64() * 1e3,
            self.walls.len(),
            self.memory,
            scenario.truth.difference(&self.answer.services).count(),
            self.answer.services.difference(&scenario.truth).count(),
        )
    }
}

impl Contestant<'_> {
    fn name(&self) -> &'static str {
        match self {
            Self::Ours(_) => "build-affected",
            Self::Peer(_, Peer::Turbo) => "turbo ls --affected",
            Self::Peer(_, Peer::Pnpm) => "pnpm ls --filter ...[]",
            Self::Peer(_, Peer::Nx) => "nx show --affected",
            Self::Peer(_, Peer::NxTask) => "nx show --withTarget",
        }
    }

    fn ask(&self, starter: &[PathBuf], repository: &Repository, scenario: &Scenario) -> Result<Answer> {
        match self {
            Self::Ours(binary) => ask(starter, binary, repository, scenario),
            Self::Peer(peers, peer) => (*peers).clone().started_by(starter.to_vec()).ask(*peer, repository, scenario),
        }
    }

    fn prepare(&self, repository: &Repository, scenario: &Scenario) -> Result<()> {
        match self {
            Self::Ours(_) => repository.check_out(&scenario.head),
            Self::Peer(peers, peer) => peers.prepare(*peer, repository, &scenario.head),
        }
    }
}

/// Runs the action as a runner does, and reads its output.
fn ask(starter: &[PathBuf], binary: &Path, repository: &Repository, scenario: &Scenario) -> Result<Answer> {
    let output = target().join("e2e/affected-output");
    std::fs::write(&output, "")?;
    let mut command = match starter.split_first() {
        Some((starter, words)) => {
            let mut command = program(starter);
            command.args(words).arg(binary);
            command
        }
        None => program(binary),
    };
    let environment = [
        ("GITHUB_ACTIONS", "true"),
        ("GITHUB_EVENT_NAME", "workflow_dispatch"),
        ("GITHUB_REPOSITORY", "org/estate"),
        ("INPUT_BASE", &scenario.base),
        ("INPUT_HEAD", &scenario.head),
    ];
    command
        .env_clear()
        .envs(image::environment()?)
        .envs(environment)
        .env("GITHUB_WORKSPACE", &repository.path)
        .env("GITHUB_OUTPUT", &output);
    let said = quiet(&mut command)?;
    let text = std::fs::read_to_string(&output)?;
    let services = value(&text, "services").with_context(|| format!("no output `services`: {said}"))?;
    let services: Value = serde_json::from_str(services)?;
    let services = services.as_array().context("`services` is no list")?;
    let services: BTreeSet<String> = services.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    Ok(Answer { services, ..Answer::default() })
}

fn quiet(command: &mut Command) -> Result<String> {
    let output = command.stderr(Stdio::piped()).output()?;
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "build-affected ended with {}: {said}", output.status);
    Ok(said)
}

/// An output in the runner's file: `name<<delimiter`, the value, the delimiter.
/// <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands#multiline-strings>
fn value<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let (_, rest) = text.split_once(&format!("{name}<<"))?;
    let (delimiter, rest) = rest.split_once('\n')?;
    Some(rest.split_once(&format!("\n{delimiter}"))?.0)
}
