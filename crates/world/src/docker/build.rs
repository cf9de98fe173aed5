//! A small, honest builder: it copies what a Dockerfile copies and configures what it configures, and notes commands
//! without running them.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{Request, Response};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::dockerfile::{self, Instruction};
use super::files::Files;
use super::images::{Docker, Image, Layer};
use super::stage::{Sources, Stage};
use super::words::words;
use super::{failure, stream};
use crate::oci;
use crate::state::State;
use crate::wire;

/// Answers `POST /build`.
pub(super) fn answer(state: &mut State, request: &Request<Bytes>) -> Response<Bytes> {
    let query = wire::query(request);
    let parameter = |wanted: &str| {
        query.iter().rev().find(|(name, value)| name == wanted && !value.is_empty()).map(|(_, value)| value.as_str())
    };
    let is_buildkit = parameter("version") == Some("2");
    let image = match build(&state.docker, request.body(), parameter) {
        Ok(image) => image,
        Err(message) => return stream(&[failure(&message)]),
    };
    let id = keep(state, image, parameter("nocache").is_some_and(|value| value != "false" && value != "0"));
    let tags = query.iter().filter(|(name, value)| name == "t" && !value.is_empty());
    let tags: Vec<&str> = tags.map(|(_, value)| value.as_str()).collect();
    for tag in &tags {
        state.docker.put_tag(tag, &id);
    }
    if is_buildkit {
        return stream(&[json!({ "id": "moby.image.id", "aux": { "ID": id } })]);
    }
    let mut lines = vec![json!({ "aux": { "ID": id } })];
    lines.push(json!({ "stream": format!("Successfully built {}\n", &id["sha256:".len()..][..12]) }));
    lines.extend(tags.iter().map(|tag| json!({ "stream": format!("Successfully tagged {tag}\n") })));
    stream(&lines)
}

/// An image that is not yet dated.
struct Built {
    config: Value,
    layers: Vec<Layer>,
    history: Vec<(String, bool)>,
    /// The build argument `SOURCE_DATE_EPOCH`.
    epoch: Option<Timestamp>,
}

/// Dates the image and stores it. The same content has the date, and so the id, of its first build.
fn keep(state: &mut State, built: Built, is_uncached: bool) -> String {
    let key = oci::digest(built.config.to_string().as_bytes());
    let now = state.now;
    if is_uncached {
        state.docker.first_built.remove(&key);
    }
    let first = *state.docker.first_built.entry(key).or_insert(now);
    let created = built.epoch.unwrap_or(first);
    let Built { mut config, layers, history, .. } = built;
    config["created"] = json!(created.to_string());
    // All files of the build lie in one layer, that of the last instruction that brought any.
    let last = history.iter().rposition(|(_, brings)| *brings);
    let history = history.iter().enumerate().map(|(index, (text, _))| {
        json!({
            "created": created.to_string(),
            "created_by": text,
            "comment": "buildkit.dockerfile.v0",
            "empty_layer": Some(index) != last,
        })
    });
    config["history"] = history.collect();
    state.docker.store(Image { config: Bytes::from(config.to_string()), layers, created, digests: Vec::new() })
}

fn build<'a>(docker: &Docker, context: &[u8], parameter: impl Fn(&str) -> Option<&'a str>) -> Result<Built, String> {
    let map = |name: &str| -> Result<BTreeMap<String, Option<String>>, String> {
        let text = parameter(name).unwrap_or("{}");
        serde_json::from_str(text).map_err(|error| format!("error reading {name}: {error}"))
    };
    let context = Files::read(context).map_err(|error| format!("failed to read the build context: {error}"))?;
    let name = parameter("dockerfile").unwrap_or("Dockerfile");
    let text = context
        .content(name)
        .ok_or_else(|| format!("failed to read dockerfile: open {name}: no such file or directory"))?;
    let instructions = dockerfile::parse(&String::from_utf8_lossy(text))?;
    let platform = Platform::of(parameter("platform").unwrap_or("linux/amd64"));
    let mut builder = Builder::new(docker, &context, instructions, map("buildargs")?, &platform)?;
    let index = match parameter("target") {
        None => builder.sources.len().checked_sub(1).ok_or("no build stage in current context")?,
        Some(target) => {
            builder.position(target).ok_or_else(|| format!("target stage \"{target}\" could not be found"))?
        }
    };
    let mut stage = builder.stage(index)?;
    for (name, value) in map("labels")? {
        stage.config["Labels"][name] = json!(value.unwrap_or_default());
    }
    let epoch = builder.arguments.get("SOURCE_DATE_EPOCH").and_then(|text| text.as_ref()?.parse().ok());
    finish(stage, &platform, epoch.and_then(|seconds| Timestamp::from_second(seconds).ok()))
}

fn finish(mut stage: Stage, platform: &Platform, epoch: Option<Timestamp>) -> Result<Built, String> {
    if !stage.added.is_empty() {
        stage.layers.push(Layer { tar: stage.added.write().map_err(|error| error.to_string())?.into() });
    }
    let digests: Vec<String> = stage.layers.iter().map(|layer| oci::digest(&layer.tar)).collect();
    let mut config = json!({
        "architecture": platform.architecture,
        "os": platform.system,
        "config": stage.config,
        "rootfs": { "type": "layers", "diff_ids": digests },
    });
    if let Some(variant) = &platform.variant {
        config["variant"] = json!(variant);
    }
    Ok(Built { config, layers: stage.layers, history: stage.history, epoch })
}

/// `linux/arm64/v8`, in its parts.
struct Platform {
    system: String,
    architecture: String,
    variant: Option<String>,
}

impl Platform {
    fn of(text: &str) -> Self {
        let mut parts = text.split('/').map(str::to_owned);
        Self {
            system: parts.next().unwrap_or_default(),
            architecture: parts.next().unwrap_or_else(|| "amd64".to_owned()),
            variant: parts.next(),
        }
    }

    /// <https://docs.docker.com/reference/dockerfile/#automatic-platform-args-in-the-global-scope>
    fn arguments(&self) -> BTreeMap<String, String> {
        let platform = format!("{}/{}", self.system, self.architecture);
        let own =
            [("TARGETPLATFORM", platform.as_str()), ("TARGETOS", &self.system), ("TARGETARCH", &self.architecture)];
        let host = [("BUILDPLATFORM", "linux/amd64"), ("BUILDOS", "linux"), ("BUILDARCH", "amd64")];
        own.iter().chain(&host).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }
}

/// A stage as it is written.
struct StageSource {
    from: Instruction,
    name: Option<String>,
    instructions: Vec<Instruction>,
}

/// Builds the stages that are needed, each once.
struct Builder<'a> {
    docker: &'a Docker,
    context: &'a Files,
    sources: Vec<StageSource>,
    /// The build arguments that the client gave.
    arguments: BTreeMap<String, Option<String>>,
    /// The `ARG`s before the first stage, and those of the platform.
    globals: BTreeMap<String, String>,
    done: BTreeMap<usize, Stage>,
}

impl<'a> Builder<'a> {
    fn new(
        docker: &'a Docker,
        context: &'a Files,
        instructions: Vec<Instruction>,
        arguments: BTreeMap<String, Option<String>>,
        platform: &Platform,
    ) -> Result<Self, String> {
        let globals = platform.arguments();
        let mut builder = Self { docker, context, sources: Vec::new(), arguments, globals, done: BTreeMap::new() };
        for instruction in instructions {
            match (instruction.keyword.as_str(), builder.sources.last_mut()) {
                ("FROM", _) => {
                    let name = instruction.arguments.split_whitespace().nth(2).map(str::to_lowercase);
                    builder.sources.push(StageSource { from: instruction, name, instructions: Vec::new() });
                }
                (_, Some(stage)) => stage.instructions.push(instruction),
                ("ARG", None) => {
                    let globals = builder.globals.clone();
                    for (name, value) in builder.declared(&instruction, &globals, &globals)? {
                        builder.globals.insert(name, value);
                    }
                }
                (_, None) => return Err(instruction.error("no build stage in current context")),
            }
        }
        Ok(builder)
    }

    /// The stage of this name or number.
    fn position(&self, name: &str) -> Option<usize> {
        let by_name = self.sources.iter().rposition(|stage| stage.name.as_deref() == Some(&name.to_lowercase()));
        by_name.or_else(|| name.parse().ok().filter(|index| *index < self.sources.len()))
    }

    fn stage(&mut self, index: usize) -> Result<Stage, String> {
        if let Some(stage) = self.done.get(&index) {
            return Ok(stage.clone());
        }
        let mut stage = self.base(index)?;
        for at in 0..self.sources[index].instructions.len() {
            let instruction = self.sources[index].instructions[at].clone();
            match instruction.keyword.as_str() {
                "ARG" => {
                    let declared = self.declared(&instruction, &stage.arguments, &self.globals)?;
                    stage.arguments.extend(declared);
                    stage.history.push((instruction.text(), false));
                }
                "COPY" | "ADD" => self.copy(&mut stage, &instruction, index)?,
                _ => stage.apply(&instruction)?,
            }
        }
        self.done.insert(index, stage.clone());
        Ok(stage)
    }

    /// What a stage begins with: nothing, an earlier stage, an image.
    fn base(&mut self, index: usize) -> Result<Stage, String> {
        let from = self.sources[index].from.clone();
        let words =
            words(&from.arguments, &|name| self.globals.get(name).cloned()).map_err(|error| from.error(&error))?;
        let name = words.first().filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| from.error("base name should not be blank"))?;
        match self.sources[..index].iter().rposition(|stage| stage.name.as_deref() == Some(&name.to_lowercase())) {
            Some(earlier) => Ok(self.stage(earlier)?.next()),
            None => self.image(name),
        }
    }

    /// An image. One that is not here is assumed to be found elsewhere.
    fn image(&self, name: &str) -> Result<Stage, String> {
        if name == "scratch" {
            return Ok(Stage::scratch());
        }
        let Some((_, image)) = self.docker.find(name) else { return Ok(Stage::unknown()) };
        Stage::of(image).map_err(|error| format!("failed to read {name}: {error}"))
    }

    fn copy(&mut self, stage: &mut Stage, instruction: &Instruction, index: usize) -> Result<(), String> {
        let Some(from) = instruction.flag("from") else {
            return stage.copy(instruction, Sources { files: self.context, are_open: false });
        };
        let expanded = words(from, &|name| stage.variable(name).or_else(|| self.globals.get(name).cloned()));
        let from = expanded.map_err(|error| instruction.error(&error))?.join("");
        let source = match self.position(&from).filter(|earlier| *earlier < index) {
            Some(earlier) => self.stage(earlier)?,
            None => self.image(&from)?,
        };
        stage.copy(instruction, Sources { files: &source.files, are_open: source.is_open })
    }

    /// The values of the names that an `ARG` declares: the client's, else the instruction's own, else the global one's.
    fn declared(
        &self,
        instruction: &Instruction,
        known: &BTreeMap<String, String>,
        globals: &BTreeMap<String, String>,
    ) -> Result<Vec<(String, String)>, String> {
        let words = words(&instruction.arguments, &|name| known.get(name).cloned());
        let words = words.map_err(|error| instruction.error(&error))?;
        let values = words.into_iter().filter_map(|word| {
            let (name, default) =
                word.split_once('=').map_or((word.as_str(), None), |(name, value)| (name, Some(value)));
            let given = self.arguments.get(name).cloned().flatten();
            let value = given.or_else(|| default.map(str::to_owned)).or_else(|| globals.get(name).cloned());
            value.map(|value| (name.to_owned(), value))
        });
        Ok(values.collect())
    }
}
