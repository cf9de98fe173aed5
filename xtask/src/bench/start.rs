//! `cargo xtask bench start`: the weight of the image, what one AWS call costs each binary from its start to its end, beside a
//! JavaScript action's least in the same run, and how many requests a release makes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use flate2::Compression;
use flate2::write::GzEncoder;

use super::{Gauge, median};
use crate::e2e::{Emulated, requests};
use crate::image::{ACTIONS, Build, TAG, architecture};
use crate::process::{Run, program, root, say, target};
use crate::{docker, image, tools};

const RUNS: usize = 21;

/// Measures and prints.
pub(super) fn run() -> Result<()> {
    docker::require()?;
    image::image(Build::Shipped)?;
    say(format!("image, compressed: {:.1} MB", compressed_size()? as f64 / 1e6));
    let aws = Emulated::start()?;
    let contestants = contestants(&aws)?;
    let mut durations: BTreeMap<String, Vec<Duration>> = BTreeMap::new();
    // In turns, so that whatever else the machine does meets all alike.
    for _ in 0..RUNS {
        for contestant in &contestants {
            durations.entry(contestant.name.clone()).or_default().push(contestant.time()?);
        }
    }
    say(format!("{:<34} {:>9} {:>9}", format!("one AWS call, median of {RUNS}"), "wall", "memory"));
    let gauge = Gauge::new()?;
    for contestant in &contestants {
        let median = median(durations.remove(&contestant.name).unwrap_or_default());
        let memory = contestant.memory(&gauge)?;
        say(format!("{:<34} {:>6.1} ms {memory:>5.1} MiB", contestant.name, median.as_secs_f64() * 1e3));
    }
    say("");
    requests(&target().join("e2e/requests.jsonl")).run()
}

/// A program and the exit code that shows that it did what is measured.
struct Contestant {
    name: String,
    program: PathBuf,
    arguments: Vec<PathBuf>,
    environment: BTreeMap<String, String>,
    exit_code: i32,
}

impl Contestant {
    fn time(&self) -> Result<Duration> {
        let started = Instant::now();
        self.perform(&mut self.command(&self.program))?;
        Ok(started.elapsed())
    }

    /// The most memory that was resident, in MiB.
    fn memory(&self, gauge: &Gauge) -> Result<f64> {
        let starter = gauge.starter();
        let (time, words) = starter.split_first().context("nothing to start it with")?;
        let mut command = self.command(time);
        self.perform(command.args(words).arg(&self.program).args(&self.arguments))?;
        gauge.read()
    }

    fn command(&self, name: &Path) -> Command {
        let mut command = program(name);
        if name == self.program {
            command.args(&self.arguments);
        }
        command.env_clear().envs(&self.environment).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn perform(&self, command: &mut Command) -> Result<()> {
        let status = command.status().with_context(|| format!("cannot start {}", self.name))?;
        if status.code() != Some(self.exit_code) {
            bail!("{} ended with {status}, expected exit code {}", self.name, self.exit_code);
        }
        Ok(())
    }
}

fn contestants(aws: &Emulated) -> Result<Vec<Contestant>> {
    let binaries = target().join("rootfs").join(architecture()?);
    let mut contestants = Vec::new();
    for action in ACTIONS {
        // Credentials of an account that may not be touched: an action asks whose they are, and stops there. What changed since
        // a commit is answered from the clone, without AWS.
        let (name, input, exit_code) = match action {
            "build-affected" => (format!("{action}, no call"), ("BASE", "HEAD"), 0),
            _ => (action.to_owned(), ("ALLOWED-ACCOUNT-IDS", "999999999999"), 3),
        };
        let inputs = [("ENVIRONMENT", "production"), ("SERVICES", "auth-service"), input];
        let inputs = inputs.map(|(name, value)| (format!("INPUT_{name}"), value.to_owned()));
        contestants.push(Contestant {
            name,
            program: binaries.join(action),
            arguments: Vec::new(),
            environment: aws.environment().into_iter().chain(inputs).collect(),
            exit_code,
        });
    }
    contestants.push(Contestant {
        name: "node + @aws-sdk/client-sts, bundled".to_owned(),
        program: node()?,
        arguments: vec![bundle()?],
        environment: aws.environment(),
        exit_code: 0,
    });
    Ok(contestants)
}

/// Bundles the peer as JavaScript actions are.
fn bundle() -> Result<PathBuf> {
    let folder = tools::node_packages("start", &["@aws-sdk/client-sts@3.1169.0", "esbuild@0.28.2"])?;
    let source = folder.join("bench.mjs");
    let bundle = folder.join("bundle.mjs");
    std::fs::copy(root().join("xtask/src/bench/start.mjs"), &source)?;
    program(folder.join("node_modules/.bin/esbuild"))
        .current_dir(&folder)
        .args(["--bundle", "--minify", "--platform=node", "--format=esm", "--log-level=error"])
        // The SDK holds CommonJS parts, which need a `require` that modules do not have.
        .arg("--banner:js=import{createRequire}from'node:module';const require=createRequire(import.meta.url);")
        .arg(format!("--outfile={}", bundle.display()))
        .arg(&source)
        .read()?;
    Ok(bundle)
}

/// The size of the image as a registry stores it.
fn compressed_size() -> Result<u64> {
    let mut save = program("docker").args(["save", TAG]).stdout(Stdio::piped()).spawn()?;
    let mut compressed = GzEncoder::new(Counter(0), Compression::default());
    std::io::copy(&mut save.stdout.take().context("no output")?, &mut compressed)?;
    let status = save.wait()?;
    if !status.success() {
        bail!("`docker save {TAG}` ended with {status}");
    }
    Ok(compressed.finish()?.0)
}

/// A writer that keeps only the length.
struct Counter(u64);

impl std::io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The program itself: a shim of a version manager would be measured with it.
fn node() -> Result<PathBuf> {
    Ok(program("node").args(["--eval", "console.log(process.execPath)"]).read()?.trim().into())
}
