//! Building an image with BuildKit, which every engine since 18.09 carries: no `buildx` is needed.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use bollard::errors::Error;
use bollard::models::{BuildInfo, BuildInfoAux};
use bollard::query_parameters::{BuildImageOptionsBuilder, BuilderVersion};
use bollard::service::ImageId;
use futures_util::TryStreamExt;

use super::context::Context;
use super::{Docker, LocalImage, refused};
use crate::failure::Failure;

/// How many lines of a failed step are told.
const LINES: usize = 20;

/// An image to build.
#[derive(Clone, Debug)]
pub struct Build {
    /// The folder that the Dockerfile copies from.
    pub context: PathBuf,
    /// The Dockerfile, in the context or elsewhere.
    pub dockerfile: PathBuf,
    /// What the image is called: `repository:tag`.
    pub reference: String,
    /// The values of the Dockerfile's `ARG`s.
    pub arguments: BTreeMap<String, String>,
    /// Labels beside those that the Dockerfile gives.
    pub labels: BTreeMap<String, String>,
    /// The platform to build for, `linux/arm64`; `None` is the engine's own.
    pub platform: Option<String>,
}

impl Docker {
    /// Builds an image. What the builder does goes to `say`, line by line; a failure tells the step that failed.
    pub async fn build(&self, build: &Build, mut say: impl FnMut(String)) -> Result<LocalImage, Failure> {
        let context = Context::new(&build.context, &build.dockerfile)?;
        let map = |map: &BTreeMap<String, String>| -> HashMap<String, String> { map.clone().into_iter().collect() };
        let options = BuildImageOptionsBuilder::new()
            .t(&build.reference)
            .dockerfile(&context.dockerfile_name)
            .buildargs(&map(&build.arguments))
            .labels(&map(&build.labels))
            .platform(build.platform.as_deref().unwrap_or_default())
            .version(BuilderVersion::BuilderBuildKit)
            .session(&session()?)
            .build();
        let body = bollard::body_try_stream(context.stream());
        let mut answer = self.engine.build_image(options, None, Some(body));
        let mut progress = Progress::default();
        loop {
            match answer.try_next().await {
                Ok(Some(info)) => progress.read(info).into_iter().for_each(&mut say),
                Ok(None) => break,
                Err(error) => return Err(progress.explain(&error).context(format!("build `{}`", build.reference))),
            }
        }
        let reference = progress.image.unwrap_or_else(|| build.reference.clone());
        match self.inspect(&reference).await? {
            Some(image) => Ok(image),
            None => Err(Failure::remote(format!("the Docker engine ended the build without an image `{reference}`"))
                .hint("look at the engine's own log, then run again")),
        }
    }
}

/// A name that no other build of the engine has.
fn session() -> Result<String, Failure> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(|error| Failure::bug(format!("no randomness: {error}")))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// What is known of a build while it goes on.
#[derive(Debug, Default)]
struct Progress {
    steps: BTreeMap<String, Step>,
    /// The step that failed.
    failed: Option<(String, String)>,
    image: Option<String>,
}

/// Whether the builder made a step up for itself. It tells a reader nothing, unless it fails.
fn is_internal(step: &str) -> bool {
    step.starts_with("[internal]") || step == "copy /context /"
}

/// A step of the build: BuildKit's "vertex".
#[derive(Debug, Default)]
struct Step {
    name: String,
    is_told: bool,
    lines: Vec<String>,
}

impl Progress {
    /// Takes in one message of the builder; answers what to tell of it.
    fn read(&mut self, info: BuildInfo) -> Vec<String> {
        let mut told = Vec::new();
        match info.aux {
            Some(BuildInfoAux::BuildKit(status)) => {
                for vertex in status.vertexes {
                    let step = self.steps.entry(vertex.digest.clone()).or_default();
                    step.name = vertex.name.clone();
                    if !step.is_told && (vertex.cached || vertex.started.is_some()) && !is_internal(&vertex.name) {
                        step.is_told = true;
                        told.push(format!("{}{}", vertex.name, if vertex.cached { " (cached)" } else { "" }));
                    }
                    // When one step fails, those beside it end as "canceled".
                    if !vertex.error.is_empty() && !vertex.error.contains("context canceled") {
                        self.failed.get_or_insert((vertex.digest, vertex.error));
                    }
                }
                for log in status.logs {
                    let text = String::from_utf8_lossy(&log.msg).into_owned();
                    let lines = text.lines().map(str::to_owned);
                    self.steps.entry(log.vertex).or_default().lines.extend(lines.clone());
                    told.extend(lines.map(|line| format!("  {line}")));
                }
            }
            Some(BuildInfoAux::Default(ImageId { id: Some(id) })) => self.image = Some(id),
            Some(BuildInfoAux::Default(ImageId { id: None })) | None => {}
        }
        // What a builder without BuildKit would say.
        told.extend(
            info.stream.iter().flat_map(|text| text.lines()).map(str::to_owned).filter(|line| !line.trim().is_empty()),
        );
        told
    }

    /// Why the build failed, with the last lines of the step that did.
    fn explain(&self, error: &Error) -> Failure {
        let Error::DockerStreamError { error: told } = error else { return refused(error) };
        let hint = "mend the Dockerfile or what it copies; `docker build` shows the same on any machine";
        let Some((digest, cause)) = &self.failed else { return Failure::input(told.trim()).hint(hint) };
        let step = self.steps.get(digest);
        let name = step.map_or("a step", |step| step.name.as_str());
        let lines = step.map(|step| &step.lines[step.lines.len().saturating_sub(LINES)..]).unwrap_or_default();
        let lines: String = lines.iter().map(|line| format!("\n  {line}")).collect();
        Failure::input(format!("`{name}` failed: {}{lines}", cause.trim())).hint(hint)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What an engine sends of one status: protobuf in base64 (`control.proto`, `StatusResponse`). Field 1 is a vertex
    /// (1 digest, 3 name, 5 started, 7 error), field 3 a log (1 vertex, 4 text).
    fn trace(vertexes: &[(&str, &str, &str)], logs: &[(&str, &str)]) -> BuildInfo {
        use base64::Engine as _;

        let field = |number: u8, bytes: &[u8]| [&[number << 3 | 2, u8::try_from(bytes.len()).unwrap()], bytes].concat();
        let vertex = |(digest, name, error): &(&str, &str, &str)| {
            field(
                1,
                &[
                    field(1, digest.as_bytes()),
                    field(3, name.as_bytes()),
                    field(5, &[8, 1]),
                    field(7, error.as_bytes()),
                ]
                .concat(),
            )
        };
        let log = |(vertex, text): &(&str, &str)| {
            field(3, &[field(1, vertex.as_bytes()), field(4, text.as_bytes())].concat())
        };
        let bytes: Vec<u8> = vertexes.iter().flat_map(vertex).chain(logs.iter().flat_map(log)).collect();
        let aux = base64::engine::general_purpose::STANDARD.encode(bytes);
        serde_json::from_value(json!({ "id": "moby.buildkit.trace", "aux": aux })).unwrap()
    }

    #[test]
    fn steps_are_told_once_and_a_failed_one_with_its_last_lines() {
        let mut progress = Progress::default();
        let steps = [
            ("a", "[internal] load build definition", ""),
            ("b", "[1/2] COPY app /app", ""),
            ("c", "[2/2] RUN make", ""),
        ];
        assert_eq!(progress.read(trace(&steps, &[])), ["[1/2] COPY app /app", "[2/2] RUN make"]);
        assert_eq!(progress.read(trace(&steps[1..], &[("c", "hello\noops\n")])), ["  hello", "  oops"]);
        let ended = [("b", "[1/2] COPY app /app", "context canceled"), ("c", "[2/2] RUN make", "exit code: 2")];
        assert_eq!(progress.read(trace(&ended, &[])), [""; 0]);
        let failure = progress.explain(&Error::DockerStreamError { error: "failed to solve".to_owned() });
        assert_eq!(failure.error.to_string(), "`[2/2] RUN make` failed: exit code: 2\n  hello\n  oops");
    }

    #[test]
    fn the_image_s_id_is_kept() {
        let mut progress = Progress::default();
        let info = json!({ "id": "moby.image.id", "aux": { "ID": "sha256:1" } });
        assert_eq!(progress.read(serde_json::from_value(info).unwrap()), [""; 0]);
        assert_eq!(progress.image.as_deref(), Some("sha256:1"));
        let failure = progress.explain(&Error::DockerStreamError { error: "dockerfile parse error".to_owned() });
        assert_eq!(failure.error.to_string(), "dockerfile parse error");
    }
}
