//! Puts an action on a simulated world: inputs in; log, outputs, summary and exit code out. For tests alone.
//!
//! The action runs in this process, between real clients; time may be paused.

#![expect(clippy::expect_used, reason = "a test's furniture has nobody to tell but the test")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use clap::Parser;
use common::edges::Edges;
use common::failure::Failure;
use common::http::Http;
use common::inputs::CommonInputs;
use common::manifest::Action;
use common::report::Report;
use common::runner::{Environment, Runner};
use common::stop::{Stop, Stopper};
use tempfile::TempDir;
use world::World;

/// The commit that the event is about.
pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// A world, a checkout and a runner.
pub struct Stage {
    /// The world that the action acts on.
    pub world: World,
    /// Cancels the run.
    pub stopper: Stopper,
    stop: Stop,
    folder: TempDir,
    environment: BTreeMap<String, String>,
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
    /// The job summary.
    pub summary: String,
}

impl Stage {
    /// An empty world, an empty checkout, and credentials that work.
    pub fn new() -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        fs::create_dir(folder.path().join("workspace")).expect("a workspace");
        let (stopper, stop) = Stop::new();
        let mut stage = Self { world: World::new(), stopper, stop, folder, environment: BTreeMap::new() };
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

    /// Sets an environment variable of the runner; blank unsets it.
    pub fn set(&mut self, name: &str, value: &str) {
        self.environment.insert(name.to_owned(), value.to_owned());
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

    /// Runs an action with these inputs.
    pub async fn run<I: Parser + AsRef<CommonInputs>>(
        &self,
        action: &Action,
        run: impl AsyncFnOnce(I, &Edges) -> Result<Report, Failure>,
        inputs: &[(&str, &str)],
    ) -> Ran {
        let page = Page::default();
        let files = TempDir::new_in(self.folder.path()).expect("a temporary folder");
        let file = |name: &str| files.path().join(name);
        let mut variables = self.environment.clone();
        for (name, value) in inputs {
            variables.insert(format!("INPUT_{}", name.to_uppercase()), (*value).to_owned());
        }
        for name in ["GITHUB_OUTPUT", "GITHUB_STATE", "GITHUB_STEP_SUMMARY"] {
            variables.insert(name.to_owned(), file(name).display().to_string());
        }
        let environment: Environment = variables.into_iter().collect();
        let edges = Edges {
            runner: Runner::new(environment, Box::new(page.clone())),
            stop: self.stop.clone(),
            http: Http::over(self.world.mount()),
        };
        let exit_code = common::perform(action, &edges, run).await;
        Ran {
            exit_code,
            log: page.text(),
            outputs: entries(&text(&file("GITHUB_OUTPUT"))),
            summary: text(&file("GITHUB_STEP_SUMMARY")),
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
        let is_unit = matches!(unit.as_str(), "ms" | "s" | "B" | "kB");
        if let Some(number) = words[index - 1].strip_prefix('(').or(Some(&words[index - 1]))
            && is_unit
            && number.parse::<f64>().is_ok()
        {
            words[index - 1] = words[index - 1].replace(number, "N");
            words[index] = words[index].replacen(&unit, if unit.ends_with('B') { "B" } else { "ms" }, 1);
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
