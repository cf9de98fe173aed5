//! What is told of a build while it goes on: lines that survive a log, and, if it fails, the step that did.

use std::collections::BTreeMap;
use std::time::Duration;

use bollard::moby::buildkit::v1::Vertex;
use bollard::models::{BuildInfo, BuildInfoAux};
use bollard::service::ImageId;
use tokio::time::Instant;

use super::dockerfile::Dockerfile;
use crate::duration::human;
use crate::failure::Failure;
use crate::names::Secret;

/// How many lines of a failed step are told.
const LINES: usize = 20;

/// How long a step of the build may take without being told of twice.
const BRIEF: Duration = Duration::from_secs(1);

/// What is known of a build while it goes on.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// The image that came of it.
    pub(super) image: Option<String>,
    /// The path of the Dockerfile, as people call it, and what it says.
    file: String,
    dockerfile: Option<Dockerfile>,
    /// What is never shown, whatever the build's commands print.
    secrets: Vec<Secret>,
    /// By digest.
    steps: BTreeMap<String, Step>,
    /// The steps that were cached and are not told of yet.
    cached: Vec<String>,
    /// The step that failed.
    failed: Option<(String, String)>,
}

/// A step of the build: BuildKit's "vertex".
#[derive(Debug)]
struct Step {
    name: String,
    state: State,
    /// Since when it runs, as seen from here.
    since: Instant,
    lines: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting,
    Running,
    Told,
}

impl Progress {
    pub(super) fn of(file: &str, dockerfile: Option<Dockerfile>, secrets: Vec<Secret>) -> Self {
        Self { file: file.to_owned(), dockerfile, secrets, ..Self::default() }
    }

    /// Takes in one message of the builder; answers what to tell of it.
    pub(super) fn read(&mut self, info: BuildInfo) -> Vec<String> {
        let mut told = Vec::new();
        match info.aux {
            Some(BuildInfoAux::BuildKit(status)) => {
                status.vertexes.into_iter().for_each(|vertex| told.extend(self.advance(vertex)));
                for log in status.logs {
                    let text = self.redacted(&String::from_utf8_lossy(&log.msg));
                    let lines = text.lines().map(str::to_owned);
                    self.step(&log.vertex).lines.extend(lines.clone());
                    told.extend(lines.map(|line| format!("  {line}")));
                }
            }
            Some(BuildInfoAux::Default(ImageId { id: Some(id) })) => self.image = Some(id),
            Some(BuildInfoAux::Default(ImageId { id: None })) | None => {}
        }
        told
    }

    /// Takes in how far a step is.
    fn advance(&mut self, vertex: Vertex) -> Vec<String> {
        let name = self.redacted(&vertex.name);
        let step = self.step(&vertex.digest);
        step.name.clone_from(&name);
        let state = step.state;
        // When one step fails, those beside it end as "canceled".
        if !vertex.error.is_empty() && !vertex.error.contains("context canceled") {
            self.failed.get_or_insert((vertex.digest.clone(), vertex.error));
        }
        if is_internal(&name) || state == State::Told {
            return Vec::new();
        }
        if vertex.cached {
            self.step(&vertex.digest).state = State::Told;
            self.cached.push(name);
            return Vec::new();
        }
        let took = vertex.started.zip(vertex.completed).map(|(started, completed)| {
            let nanoseconds =
                (completed.seconds - started.seconds) * 1_000_000_000 + i64::from(completed.nanos - started.nanos);
            Duration::from_nanos(nanoseconds.max(0).unsigned_abs())
        });
        let told = match (took, vertex.started) {
            // A step that was told of when it began, and was brief, is not told of again.
            (Some(took), _) if state == State::Running && took < BRIEF => None,
            (Some(took), _) if took < BRIEF => Some(name),
            (Some(took), _) => Some(format!("{name}  {}", human(took))),
            (None, Some(_)) if state == State::Waiting => Some(name),
            (None, _) => return Vec::new(),
        };
        let step = self.step(&vertex.digest);
        step.state = if took.is_some() { State::Told } else { State::Running };
        if state == State::Waiting {
            step.since = Instant::now();
        }
        self.cached_line().into_iter().chain(told).collect()
    }

    fn step(&mut self, digest: &str) -> &mut Step {
        self.steps.entry(digest.to_owned()).or_insert_with(|| Step {
            name: String::new(),
            state: State::Waiting,
            since: Instant::now(),
            lines: Vec::new(),
        })
    }

    /// The steps that were cached since the last line, in one.
    pub(super) fn cached_line(&mut self) -> Option<String> {
        let cached = std::mem::take(&mut self.cached);
        match cached.as_slice() {
            [] => None,
            [step] => Some(format!("cached: {step}")),
            steps => {
                let places: Vec<&str> =
                    steps.iter().map(|step| step.split_inclusive(']').next().unwrap_or(step)).collect();
                Some(format!("cached: {} steps, {}", steps.len(), places.join(" ")))
            }
        }
    }

    /// What to tell when nothing was heard for a while: the steps that run.
    pub(super) fn still(&self) -> Vec<String> {
        let running = self.steps.values().filter(|step| step.state == State::Running);
        let lines: Vec<String> =
            running.map(|step| format!("{}  still running after {}", step.name, human(step.since.elapsed()))).collect();
        if lines.is_empty() { vec!["waits for the engine".to_owned()] } else { lines }
    }

    /// Why the build failed, with the last lines of the step that did, and where it stands.
    pub(super) fn explain(&self, error: &str) -> Failure {
        let error = self.redacted(error);
        let hint = "mend the Dockerfile or what it copies; `docker build` shows the same on any machine";
        let Some((digest, cause)) = &self.failed else {
            let place = parse_error_line(&error).map(|line| format!("{}:{line}: ", self.file)).unwrap_or_default();
            return Failure::input(format!("{place}{}", error.trim())).hint(hint);
        };
        let step = self.steps.get(digest);
        let name = step.map_or("a step", |step| step.name.as_str());
        let line = self.dockerfile.as_ref().and_then(|dockerfile| dockerfile.line_of(name));
        let place = line.map(|line| format!("{}:{line}: ", self.file)).unwrap_or_default();
        let lines = step.map(|step| &step.lines[step.lines.len().saturating_sub(LINES)..]).unwrap_or_default();
        let lines: String = lines.iter().map(|line| format!("\n  {line}")).collect();
        Failure::input(format!("{place}`{name}` failed: {}{lines}", self.redacted(cause).trim())).hint(hint)
    }

    /// The text without the build's secrets.
    fn redacted(&self, text: &str) -> String {
        let values = self.secrets.iter().map(|secret| secret.expose().trim()).filter(|value| !value.is_empty());
        values.fold(text.to_owned(), |text, value| text.replace(value, "***"))
    }
}

/// Whether the builder made a step up for itself. It tells a reader nothing, unless it fails.
fn is_internal(step: &str) -> bool {
    step.starts_with("[internal]") || step == "copy /context /" || step.starts_with("exporting to ")
}

/// The line in what BuildKit's parser says: `dockerfile parse error on line 3: …`, `Dockerfile:3`.
fn parse_error_line(error: &str) -> Option<usize> {
    let (_, after) = error.split_once("parse error on line ").or_else(|| error.split_once("parse error line "))?;
    after.split(|character: char| !character.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A vertex: digest, name, seconds of its start and end, whether it was cached, its error.
    #[derive(Clone, Copy, Default)]
    struct Seen<'a>(&'a str, &'a str, Option<u8>, Option<u8>, bool, &'a str);

    /// What an engine sends of one status: protobuf in base64 (`control.proto`, `StatusResponse`). Field 1 is a vertex
    /// (1 digest, 3 name, 4 cached, 5 started, 6 completed, 7 error), field 3 a log (1 vertex, 4 text).
    fn trace(vertexes: &[Seen<'_>], logs: &[(&str, &str)]) -> BuildInfo {
        use base64::Engine as _;

        let field = |number: u8, bytes: &[u8]| [&[number << 3 | 2, u8::try_from(bytes.len()).unwrap()], bytes].concat();
        let time = |number: u8, time: Option<u8>| time.map(|time| field(number, &[8, time])).unwrap_or_default();
        let vertex = |Seen(digest, name, started, completed, cached, error): &Seen<'_>| {
            let mut bytes = [field(1, digest.as_bytes()), field(3, name.as_bytes())].concat();
            bytes.extend(cached.then_some([4 << 3, 1]).into_iter().flatten());
            bytes.extend([time(5, *started), time(6, *completed), field(7, error.as_bytes())].concat());
            field(1, &bytes)
        };
        let log = |(vertex, text): &(&str, &str)| {
            field(3, &[field(1, vertex.as_bytes()), field(4, text.as_bytes())].concat())
        };
        let bytes: Vec<u8> = vertexes.iter().flat_map(vertex).chain(logs.iter().flat_map(log)).collect();
        let aux = base64::engine::general_purpose::STANDARD.encode(bytes);
        serde_json::from_value(json!({ "id": "moby.buildkit.trace", "aux": aux })).unwrap()
    }

    fn progress() -> Progress {
        let dockerfile = Dockerfile::parse("FROM node\nCOPY app /app\nRUN make\n");
        Progress::of("apps/auth/Dockerfile", dockerfile, vec![Secret::new("hunter2\n")])
    }

    #[test]
    fn a_step_is_told_when_it_starts_and_when_it_ends_with_its_time() {
        let mut progress = progress();
        let internal = Seen("a", "[internal] load build definition", Some(1), Some(9), false, "");
        let copy = Seen("b", "[2/3] COPY app /app", Some(1), Some(1), false, "");
        let run = |end| Seen("c", "[3/3] RUN make", Some(1), end, false, "");
        assert_eq!(progress.read(trace(&[internal, copy, run(None)], &[])), ["[2/3] COPY app /app", "[3/3] RUN make"]);
        assert_eq!(progress.read(trace(&[run(None)], &[("c", "hello\nhunter2\n")])), ["  hello", "  ***"]);
        assert!(progress.still()[0].starts_with("[3/3] RUN make  still running after "));
        assert_eq!(progress.read(trace(&[run(Some(13))], &[])), ["[3/3] RUN make  12 s"]);
        assert_eq!(progress.read(trace(&[run(Some(13))], &[])), [""; 0]);
    }

    #[test]
    fn cached_steps_are_one_line() {
        let mut progress = progress();
        let cached = [
            Seen("a", "[1/3] FROM node", None, None, true, ""),
            Seen("b", "[2/3] COPY app /app", None, None, true, ""),
        ];
        assert_eq!(progress.read(trace(&cached, &[])), [""; 0]);
        let run = Seen("c", "[3/3] RUN make", Some(1), Some(2), false, "");
        assert_eq!(progress.read(trace(&[run], &[])), ["cached: 2 steps, [1/3] [2/3]", "[3/3] RUN make  1.0 s"]);
        assert_eq!(progress.cached_line(), None);
    }

    #[test]
    fn a_failed_step_is_told_with_its_line_and_its_last_lines() {
        let mut progress = progress();
        progress.read(trace(&[], &[("c", "hello\noops hunter2\n")]));
        let ended = [
            Seen("b", "[2/3] COPY app /app", Some(1), Some(1), false, "context canceled"),
            Seen("c", "[3/3] RUN make", Some(1), Some(1), false, "exit code: 2"),
        ];
        progress.read(trace(&ended, &[]));
        let failure = progress.explain("failed to solve");
        let told = "apps/auth/Dockerfile:3: `[3/3] RUN make` failed: exit code: 2\n  hello\n  oops ***";
        assert_eq!(failure.error.to_string(), told);
    }

    #[test]
    fn the_image_s_id_is_kept() {
        let mut progress = progress();
        let info = json!({ "id": "moby.image.id", "aux": { "ID": "sha256:1" } });
        assert_eq!(progress.read(serde_json::from_value(info).unwrap()), [""; 0]);
        assert_eq!(progress.image.as_deref(), Some("sha256:1"));
        let failure = progress.explain("dockerfile parse error on line 7: unknown instruction: COPPY");
        let told = "apps/auth/Dockerfile:7: dockerfile parse error on line 7: unknown instruction: COPPY";
        assert_eq!(failure.error.to_string(), told);
    }
}
