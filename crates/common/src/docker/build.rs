//! Building an image with BuildKit, which every engine since 18.09 carries: no `buildx` is needed.
//! <https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Image/operation/ImageBuild>

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::models::BuildInfo;
use bytes::{Buf, Bytes, BytesMut};
use futures_util::TryStreamExt;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use monorepo::dockerfile;

use super::context::Context;
use super::dockerfile::Dockerfile;
use super::progress::Progress;
use super::session::Session;
use super::wire::{self, Connection};
use super::{Docker, LocalImage};
use crate::aws::Login;
use crate::failure::Failure;
use crate::inputs::nearest;
use crate::names::Secret;

/// After how long without a word it is said that the build goes on.
const SILENCE: Duration = Duration::from_secs(30);

/// An image to build.
#[derive(Clone, Debug)]
pub struct Build {
    /// The folder that the Dockerfile copies from.
    pub context: PathBuf,
    /// The Dockerfile, in the context or elsewhere.
    pub dockerfile: PathBuf,
    /// What people call the Dockerfile: its path in the repository.
    pub dockerfile_name: String,
    /// What the image is called: `repository:tag`.
    pub reference: String,
    /// The stage to build; `None` is the last one.
    pub target: Option<String>,
    /// The values of the Dockerfile's `ARG`s.
    pub arguments: BTreeMap<String, String>,
    /// The local images that the Dockerfile means by the names of others, in `FROM` and wherever it copies from an image. They
    /// stand in its text, in the place of those names: so it gets them whatever a registry has under the same name.
    pub images: BTreeMap<String, String>,
    /// Those of the names that are named contexts: they win over a stage, and may be left unused.
    pub contexts: BTreeSet<String>,
    /// What `RUN --mount=type=secret,id=…` sees, by id.
    pub secrets: BTreeMap<String, Secret>,
    /// Labels beside those that the Dockerfile gives.
    pub labels: BTreeMap<String, String>,
    /// The platform to build for, `linux/arm64`; `None` is the engine's own.
    pub platform: Option<String>,
    /// `SOURCE_DATE_EPOCH`: the time of all that the build makes, and of the files in its context.
    pub epoch: Option<i64>,
    /// Where steps come from that were built before.
    pub cache: Cache,
}

/// Where steps come from that were built before.
#[derive(Clone, Debug, Default)]
pub enum Cache {
    /// Every step is built.
    None,
    /// What the engine keeps.
    #[default]
    Engine,
    /// What the engine keeps, and what images of a registry say of themselves. The image says it of itself, too
    /// (<https://docs.docker.com/build/cache/backends/inline/>).
    Registry {
        /// The images, with their tags. One that is not there is none.
        images: Vec<String>,
        /// By the registry's host.
        logins: BTreeMap<String, Login>,
    },
}

impl Docker {
    /// Builds an image. What the builder does goes to `say`, line by line; a failure tells the step that failed.
    pub async fn build(&self, build: &Build, mut say: impl FnMut(String)) -> Result<LocalImage, Failure> {
        let mut context = Context::new(&build.context, &build.dockerfile, build.epoch)?;
        let text = std::fs::read_to_string(&build.dockerfile).ok();
        let dockerfile = text.as_deref().and_then(Dockerfile::parse);
        if !build.images.is_empty() {
            context.dockerfile_text = Some(build.with_images(text.as_deref())?);
        }
        if let Some(dockerfile) = &dockerfile {
            build.check(dockerfile)?;
        }
        let secrets = build.secrets.values().cloned().collect();
        let progress = Progress::of(&build.dockerfile_name, dockerfile, secrets);
        let built = self.send(build, context, progress, &mut say).await;
        built.map_err(|error| error.context(format!("build `{}`", build.reference)))
    }

    /// Makes an image of a folder: what a Dockerfile can copy from by the image's name.
    pub async fn build_folder(&self, folder: &Path, name: &str, epoch: Option<i64>) -> Result<LocalImage, Failure> {
        let build = Build {
            context: folder.to_owned(),
            dockerfile: PathBuf::new(),
            dockerfile_name: format!("context `{name}`"),
            reference: name.to_owned(),
            target: None,
            arguments: BTreeMap::new(),
            images: BTreeMap::new(),
            contexts: BTreeSet::new(),
            secrets: BTreeMap::new(),
            labels: BTreeMap::new(),
            platform: None,
            epoch,
            cache: Cache::Engine,
        };
        let progress = Progress::of(&build.dockerfile_name, None, Vec::new());
        let built = self.send(&build, Context::of_folder(folder, epoch)?, progress, &mut drop).await;
        built.map_err(|error| error.context(format!("make the context `{name}` of `{}`", folder.display())))
    }

    async fn send(
        &self,
        build: &Build,
        context: Context,
        mut progress: Progress,
        say: &mut impl FnMut(String),
    ) -> Result<LocalImage, Failure> {
        let nobody = BTreeMap::new();
        let logins = match &build.cache {
            Cache::Registry { logins, .. } => logins,
            Cache::None | Cache::Engine => &nobody,
        };
        let session = Session::open(&self.address, &build.secrets, logins).await?;
        let query = build.query(&session.id, &context.dockerfile_name)?;
        let body = StreamBody::new(context.stream().map_ok(Frame::data)).boxed_unsync();
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("/build?{query}"))
            .header("content-type", "application/x-tar")
            .body(body)
            .map_err(|error| Failure::bug(format!("a build: {error}")))?;
        let (response, connection) = self.address.send(request).await?;
        let mut answer = Answer::of(response, connection).await?;
        while let Some(info) = answer.next(&progress, say).await? {
            if let Some(error) = info.error_detail.as_ref().and_then(|detail| detail.message.as_deref()) {
                return Err(progress.explain(error));
            }
            progress.read(info).into_iter().for_each(&mut *say);
        }
        progress.cached_line().into_iter().for_each(say);
        let reference = progress.image.unwrap_or_else(|| build.reference.clone());
        match self.inspect(&reference).await? {
            Some(image) => Ok(image),
            None => Err(Failure::remote(format!("the Docker engine ended the build without an image `{reference}`"))
                .hint("look at the engine's own log, then run again")),
        }
    }
}

impl Build {
    /// The Dockerfile's text with the images that it is given.
    fn with_images(&self, text: Option<&str>) -> Result<String, Failure> {
        let file = &self.dockerfile_name;
        let text = text.ok_or_else(|| {
            Failure::input(format!("{file} cannot be read as text"))
                .hint("check that it is UTF-8, and that this user may read it")
        })?;
        let recipe = dockerfile::read(file, text, &self.arguments, self.target.as_deref(), &self.contexts);
        let recipe = recipe.map_err(|problem| {
            Failure::input(problem).hint("check its syntax: `docker build --check` tells what is wrong")
        })?;
        let is_used =
            |name: &String| !self.contexts.contains(name) || recipe.places.iter().any(|place| place.name == *name);
        let images = self.images.iter().filter(|(name, _)| is_used(name));
        let images = images.map(|(name, image)| (name.clone(), image.clone())).collect();
        recipe.with_images(text, &images).map_err(|missing| {
            Failure::input(format!("{file} names no image `{}`, which it is to be given", missing.join("`, `"))).hint(
                "a build argument may name another image than the one that the services were put in order by: give the `ARG` a default that names the service's repository",
            )
        })
    }

    /// What the Dockerfile does not know would be built as something else, or refused in words that name no line.
    fn check(&self, dockerfile: &Dockerfile) -> Result<(), Failure> {
        let name = &self.dockerfile_name;
        let advise = |failure: Failure, wanted: &str, known: &[&str]| match nearest(wanted, known.iter().copied()) {
            Some(near) => failure.hint(format!("did you mean `{near}`?")),
            None if known.is_empty() => failure.hint("it has none"),
            None => failure.hint(format!("it has `{}`", known.join("`, `"))),
        };
        let target = self.target.as_deref().and_then(|target| Some((target, dockerfile.unknown_target(target)?)));
        let target = target
            .map(|(target, known)| advise(Failure::input(format!("{name} has no stage `{target}`")), target, &known));
        let arguments = self.arguments.keys().filter_map(|argument| {
            let known = dockerfile.unknown_argument(argument)?;
            Some(advise(Failure::input(format!("{name} has no `ARG {argument}`")), argument, &known))
        });
        Failure::all(target.into_iter().chain(arguments)).map_or(Ok(()), Err)
    }

    /// The parameters of the request.
    fn query(&self, session: &str, dockerfile: &str) -> Result<String, Failure> {
        let json = |value: &BTreeMap<String, String>| {
            serde_json::to_string(value).map_err(|error| Failure::bug(format!("a build's parameters: {error}")))
        };
        let mut arguments = self.arguments.clone();
        if let Some(epoch) = self.epoch {
            arguments.entry("SOURCE_DATE_EPOCH".to_owned()).or_insert_with(|| epoch.to_string());
        }
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("version", "2").append_pair("session", session).append_pair("rm", "1");
        query.append_pair("t", &self.reference).append_pair("dockerfile", dockerfile);
        if let Some(target) = &self.target {
            query.append_pair("target", target);
        }
        if let Some(platform) = &self.platform {
            query.append_pair("platform", platform);
        }
        match &self.cache {
            Cache::None => {
                query.append_pair("nocache", "1");
            }
            Cache::Engine => {}
            Cache::Registry { images, .. } => {
                arguments.insert("BUILDKIT_INLINE_CACHE".to_owned(), "1".to_owned());
                let images =
                    serde_json::to_string(images).map_err(|error| Failure::bug(format!("a cache: {error}")))?;
                query.append_pair("cachefrom", &images);
            }
        }
        query.append_pair("buildargs", &json(&arguments)?).append_pair("labels", &json(&self.labels)?);
        Ok(query.finish())
    }
}

/// What the engine says of a build, one JSON value in a line.
struct Answer {
    body: Incoming,
    read: BytesMut,
    _connection: Connection,
}

impl Answer {
    async fn of(response: http::Response<Incoming>, connection: Connection) -> Result<Self, Failure> {
        let status = response.status();
        let body = response.into_body();
        if status == StatusCode::OK {
            return Ok(Self { body, read: BytesMut::new(), _connection: connection });
        }
        let said = body.collect().await.map_err(wire::broken)?.to_bytes();
        let message: Option<String> = serde_json::from_slice::<serde_json::Value>(&said)
            .ok()
            .and_then(|said| Some(said.get("message")?.as_str()?.to_owned()));
        let message = message.unwrap_or_else(|| String::from_utf8_lossy(&said).trim().to_owned());
        Err(Failure::remote(format!("the Docker engine answered {}: {message}", status.as_u16())))
    }

    /// The next message; `None` when there are no more. While none comes, it is said that the build goes on.
    async fn next(&mut self, progress: &Progress, say: &mut impl FnMut(String)) -> Result<Option<BuildInfo>, Failure> {
        loop {
            if let Some(line) = self.line() {
                if line.iter().all(u8::is_ascii_whitespace) {
                    continue;
                }
                let info = serde_json::from_slice(&line)
                    .map_err(|error| Failure::remote(format!("the Docker engine told something unknown: {error}")))?;
                return Ok(Some(info));
            }
            match heard(&mut self.body).await {
                Heard::Nothing => progress.still().into_iter().for_each(&mut *say),
                Heard::Frame(frame) => {
                    if let Ok(data) = frame.map_err(wire::broken)?.into_data() {
                        self.read.extend_from_slice(&data);
                    }
                }
                Heard::End if self.read.is_empty() => return Ok(None),
                Heard::End => self.read.extend_from_slice(b"\n"),
            }
        }
    }

    fn line(&mut self) -> Option<Bytes> {
        let end = self.read.iter().position(|byte| *byte == b'\n')?;
        let line = self.read.split_to(end);
        self.read.advance(1);
        Some(line.freeze())
    }
}

enum Heard {
    Frame(Result<Frame<Bytes>, hyper::Error>),
    End,
    Nothing,
}

#[expect(clippy::disallowed_methods, reason = "a time limit is not a wait: it ends one")]
async fn heard(body: &mut Incoming) -> Heard {
    match tokio::time::timeout(SILENCE, body.frame()).await {
        Ok(Some(frame)) => Heard::Frame(frame),
        Ok(None) => Heard::End,
        Err(_) => Heard::Nothing,
    }
}
