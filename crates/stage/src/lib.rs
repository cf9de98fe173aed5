//! Puts an action on a simulated world: inputs in; log, outputs, summary and exit code out. For tests alone.
//!
//! The action runs in this process, between real clients; time may be paused.

#![expect(clippy::expect_used, reason = "a test's furniture has nobody to tell but the test")]

mod github;
pub mod images;
mod line;
mod permissions;
mod repository;

pub use repository::{commit, git};

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use aws_smithy_async::time::TimeSource;
use clap::Parser;
use common::edges::Edges;
use common::failure::Failure;
use common::http::Http;
use common::inputs::CommonInputs;
use common::manifest::Action;
use common::report::Report;
use common::runner::{Environment, Runner};
use common::stop::{Stop, Stopper};
use serde_json::Value;
use tempfile::TempDir;
use world::World;

use line::Line;

/// The commit that the event is about.
pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// A world, a checkout and a runner.
pub struct Stage {
    /// The world that the action acts on.
    pub world: World,
    /// Cancels the run.
    pub stopper: Stopper,
    stop: Stop,
    folder: Arc<TempDir>,
    environment: BTreeMap<String, String>,
    line: Line,
    skew: Skew,
    last: Mutex<Option<Last>>,
}

/// The run whose post step comes next: its inputs, and where it kept its state.
#[derive(Clone)]
struct Last {
    inputs: BTreeMap<String, String>,
    state: PathBuf,
}

/// What a run left behind.
#[derive(Debug)]
pub struct Ran {
    /// The process's exit code.
    pub exit_code: u8,
    /// What it printed, workflow commands included.
    pub log: String,
    /// Its outputs, as the runner reads them.
    pub outputs: BTreeMap<String, String>,
    /// What it kept for its post step.
    pub state: BTreeMap<String, String>,
    /// The job summary.
    pub summary: String,
}

impl Stage {
    /// An empty world, an empty checkout, and credentials that work.
    pub fn new() -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        fs::create_dir(folder.path().join("workspace")).expect("a workspace");
        let (stopper, stop) = Stop::new();
        let (world, environment, folder) = (World::new(), BTreeMap::new(), Arc::new(folder));
        let (line, skew, last) = (Line::default(), Skew::default(), Mutex::default());
        let mut stage = Self { world, stopper, stop, folder, environment, line, skew, last };
        let workspace = stage.workspace().display().to_string();
        for (name, value) in [
            ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
            ("AWS_REGION", "eu-west-1"),
            ("GITHUB_API_URL", "https://github.example.com/api/v3"),
            ("GITHUB_SERVER_URL", "https://github.example.com"),
            ("GITHUB_REPOSITORY", "org/shop"),
            ("GITHUB_SHA", COMMIT),
            ("GITHUB_REF_NAME", "main"),
            ("GITHUB_REF_TYPE", "branch"),
            ("GITHUB_EVENT_NAME", "push"),
            ("GITHUB_RUN_ID", "7"),
            ("GITHUB_RUN_ATTEMPT", "1"),
            ("GITHUB_WORKSPACE", &workspace),
            // Whatever engine the machine has is none of a test's business.
            ("DOCKER_HOST", "unix:///nowhere/docker.sock"),
        ] {
            stage.set(name, value);
        }
        stage
    }

    /// Another run of the workflow: the same world and checkout, a number of its own, and nobody has cancelled it.
    pub fn another_run(&self) -> Self {
        let (stopper, stop) = Stop::new();
        let (world, folder, environment) = (self.world.clone(), Arc::clone(&self.folder), self.environment.clone());
        let (line, skew, last) = (Line::default(), self.skew, Mutex::default());
        let mut stage = Self { world, stopper, stop, folder, environment, line, skew, last };
        let number = self.environment.get("GITHUB_RUN_ID").and_then(|number| number.parse::<u64>().ok()).unwrap_or(0);
        stage.set("GITHUB_RUN_ID", &(number + 1).to_string());
        stage
    }

    /// Sets an environment variable of the runner; blank unsets it.
    pub fn set(&mut self, name: &str, value: &str) {
        self.environment.insert(name.to_owned(), value.to_owned());
    }

    /// Has the runner's clock go wrong: ahead of the world's by so much.
    pub fn clock_is_ahead(&mut self, by: Duration) {
        self.skew = Skew { ahead: by, behind: Duration::ZERO };
    }

    /// Has the runner's clock go wrong: behind the world's by so much.
    pub fn clock_is_behind(&mut self, by: Duration) {
        self.skew = Skew { ahead: Duration::ZERO, behind: by };
    }

    /// Tells of each request of this run, by its number (from one), before it reaches the world.
    pub fn on_request(&self, asked: impl Fn(usize) + Send + Sync + 'static) {
        self.line.on_request(asked);
    }

    /// Tells of each answer in JSON that this run gets, by its operation (`DescribeServices`), and lets it be changed: for what
    /// AWS may answer and the world does not.
    pub fn on_answer(&self, answered: impl Fn(&str, &mut Value) + Send + Sync + 'static) {
        self.line.on_answer(answered);
    }

    /// Writes a file into the checkout.
    pub fn file(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.workspace().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, text).expect("a file");
    }

    /// The checkout.
    pub fn workspace(&self) -> PathBuf {
        self.folder.path().join("workspace")
    }

    /// The outside worlds as an action sees them with these variables beside the stage's own.
    pub fn edges(&self, variables: &[(&str, &str)]) -> Edges {
        let own = self.environment.clone();
        let given = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        self.between(own.into_iter().chain(given).collect(), &self.stop, &Page::default())
    }

    /// Runs an action with these inputs.
    pub async fn run<I: Parser + AsRef<CommonInputs>>(
        &self,
        action: &Action,
        run: impl AsyncFnOnce(I, &Edges) -> Result<Report, Failure>,
        inputs: &[(&str, &str)],
    ) -> Ran {
        let input = |(name, value): &(&str, &str)| (format!("INPUT_{}", name.to_uppercase()), (*value).to_owned());
        let inputs: BTreeMap<String, String> = inputs.iter().map(input).collect();
        let step = Step::new(self.folder.path());
        // Kept before the run: one that is killed has a post step as well.
        let last = Last { inputs: inputs.clone(), state: step.file("GITHUB_STATE") };
        *self.last.lock().expect("no panic while keeping") = Some(last);
        let edges = self.between(self.variables(&step, inputs), &self.stop, &step.page);
        let asked = self.world.calls().len();
        let exit_code = common::perform(action, &edges, run).await;
        permissions::check(action, &self.world, asked);
        github::note(&self.world, asked);
        step.ran(exit_code)
    }

    /// Runs the `post-entrypoint` of the action that ran last, with its inputs and its state, in a process of its own.
    ///
    /// # Panics
    /// If no action ran yet.
    pub async fn run_post(&self, action: &Action, post: impl AsyncFnOnce(&Edges) -> Result<(), Failure>) -> Ran {
        let last = self.last.lock().expect("no panic while keeping").clone().expect("an action that ran");
        let step = Step::new(self.folder.path());
        let state = entries(&text(&last.state)).into_iter().map(|(name, value)| (format!("STATE_{name}"), value));
        let variables = self.variables(&step, last.inputs.into_iter().chain(state).collect());
        // The signal that ended the main step is not sent to this one.
        let (_stopper, stop) = Stop::new();
        let asked = self.world.calls().len();
        let exit_code = common::perform_post(action, &self.between(variables, &stop, &step.page), post).await;
        permissions::check(action, &self.world, asked);
        github::note(&self.world, asked);
        step.ran(exit_code)
    }

    /// The variables of a step: the runner's, the files that it reads back, and those given.
    fn variables(&self, step: &Step, given: BTreeMap<String, String>) -> BTreeMap<String, String> {
        let file = |name: &str| (name.to_owned(), step.file(name).display().to_string());
        let files = ["GITHUB_OUTPUT", "GITHUB_STATE", "GITHUB_STEP_SUMMARY"].map(file);
        self.environment.clone().into_iter().chain(given).chain(files).collect()
    }

    fn between(&self, variables: BTreeMap<String, String>, stop: &Stop, page: &Page) -> Edges {
        let environment: Environment = variables.into_iter().collect();
        Edges {
            runner: Runner::new(environment, Box::new(page.clone())),
            stop: stop.clone(),
            http: Http::over(self.line.to(&self.world))
                .by_clock(RunnersClock { world: self.world.clone(), skew: self.skew }),
        }
    }
}

/// Whoever looks at the clock on the stage sees the world's, as far as the runner's is right: the SDK would think its own
/// wrong otherwise.
#[derive(Debug)]
struct RunnersClock {
    world: World,
    skew: Skew,
}

/// How wrong the runner's clock is.
#[derive(Clone, Copy, Debug, Default)]
struct Skew {
    ahead: Duration,
    behind: Duration,
}

impl TimeSource for RunnersClock {
    fn now(&self) -> SystemTime {
        SystemTime::from(self.world.now()) + self.skew.ahead - self.skew.behind
    }
}

/// One step of a job: the files that the runner reads back, and what was printed.
struct Step {
    folder: PathBuf,
    page: Page,
}

impl Step {
    fn new(parent: &Path) -> Self {
        // It goes with the stage.
        let folder = TempDir::new_in(parent).expect("a temporary folder").keep();
        Self { folder, page: Page::default() }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn ran(&self, exit_code: u8) -> Ran {
        Ran {
            exit_code,
            log: self.page.text(),
            outputs: entries(&text(&self.file("GITHUB_OUTPUT"))),
            state: entries(&text(&self.file("GITHUB_STATE"))),
            summary: text(&self.file("GITHUB_STEP_SUMMARY")),
        }
    }
}

impl Default for Stage {
    fn default() -> Self {
        Self::new()
    }
}

impl Ran {
    /// An output; blank if it was not written.
    pub fn output(&self, name: &str) -> &str {
        self.outputs.get(name).map_or("", String::as_str)
    }

    /// The annotations, unescaped.
    pub fn annotations(&self) -> Vec<String> {
        let lines = self
            .log
            .lines()
            .filter(|line| ["::error ", "::warning ", "::notice "].iter().any(|mark| line.starts_with(mark)));
        lines.map(|line| line.replace("%0A", "\n").replace("%0D", "\r").replace("%25", "%")).collect()
    }
}

/// A text without what no two runs have in common: how long they took in real time, the sizes and the digests of what they
/// made.
pub fn steady(text: &str) -> String {
    let mut words: Vec<String> = text.split(' ').map(without_digest).collect();
    for index in 1..words.len() {
        let unit = words[index].split(['\n', ')', ',']).next().unwrap_or_default().to_owned();
        let is_unit = matches!(unit.as_str(), "ms" | "s" | "B" | "kB" | "bytes");
        if let Some(number) = words[index - 1].strip_prefix('(').or(Some(&words[index - 1]))
            && is_unit
            && number.parse::<f64>().is_ok()
        {
            words[index - 1] = words[index - 1].replace(number, "N");
            let steady = match unit.as_str() {
                "bytes" => "bytes",
                "B" | "kB" => "B",
                _ => "ms",
            };
            words[index] = words[index].replacen(&unit, steady, 1);
        }
    }
    words.join(" ")
}

fn without_digest(word: &str) -> String {
    let mut parts = word.split("sha256:");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + "sha256:…" + part.trim_start_matches(|digit: char| digit.is_ascii_hexdigit()))
}

/// What the runner makes of a file of entries (actions/runner, `FileCommandManager.cs`).
///
/// # Panics
/// If a line is no entry: the runner would fail the step.
pub fn entries(text: &str) -> BTreeMap<String, String> {
    let mut lines = text.lines();
    let mut entries = BTreeMap::new();
    while let Some(line) = lines.next() {
        let (name, delimiter) = line.split_once("<<").expect("an entry between delimiters");
        let value: Vec<&str> = lines.by_ref().take_while(|line| *line != delimiter).collect();
        entries.insert(name.to_owned(), value.join("\n"));
    }
    entries
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// Keeps what is printed.
#[derive(Clone, Debug, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl Page {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().expect("no panic while printing")).into_owned()
    }
}

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic while printing").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
