//! The Docker engine of the runner's host, through the socket that the runner mounts into every container action.

mod build;
mod contents;
mod context;
mod dockerfile;
mod progress;
mod save;
mod session;
mod wire;

use std::collections::BTreeMap;
use std::time::Duration;

use bollard::API_DEFAULT_VERSION;
use bollard::auth::DockerCredentials;
use bollard::errors::Error;
use bollard::models::ImageInspect;
use bollard::query_parameters::{PushImageOptionsBuilder, TagImageOptionsBuilder};
use futures_util::TryStreamExt;
use jiff::Timestamp;

pub use build::{Build, Cache};
pub use contents::{Contents, Examined, Layer};
pub(crate) use contents::{instruction, read_layers};
pub use save::Store;

use wire::Address;

use crate::aws::Login;
use crate::failure::Failure;
use crate::http::root_cause;
use crate::names::{Digest, Tag};
use crate::runner::Environment;

/// Where the runner mounts the engine's socket (actions/runner, `ContainerActionHandler.cs`).
const SOCKET: &str = "/var/run/docker.sock";

/// How long the engine may take to say that it is there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);

/// How long an answer may take to begin. A build or a push may take hours: what limits it is the action's own `timeout`.
const ANSWER_TIMEOUT_SECONDS: u64 = 24 * 60 * 60;

/// The Docker engine.
#[derive(Clone, Debug)]
pub struct Docker {
    engine: bollard::Docker,
    address: Address,
}

/// An image that the engine holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalImage {
    /// What the engine calls it by: the digest of its configuration, or of its manifest where containerd stores the images.
    pub id: Digest,
    /// Its size as the engine counts it: unpacked, or compressed where containerd stores the images.
    pub size: u64,
    /// What it was built for: `linux/arm64`; blank for an image for several platforms.
    pub platform: String,
    /// The user that it runs as; blank is root.
    pub user: String,
    /// Whether it tells how its health is checked.
    pub has_healthcheck: bool,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The environment that it runs with, `NAME=value`.
    pub environment: Vec<String>,
    /// The digests of its layers before compression, from the bottom (OCI image specification, "Layer DiffID"): every engine
    /// tells the same.
    pub layers: Vec<Digest>,
    /// When it was made, as it says itself.
    pub created: Option<Timestamp>,
}

impl LocalImage {
    /// The commit that it was built from, if it tells (OCI image specification, "Pre-Defined Annotation Keys").
    pub fn revision(&self) -> Option<&str> {
        self.labels.get(REVISION).map(String::as_str)
    }

    /// The tag of all images with its contents, if its builder told what it is made of.
    pub fn contents_tag(&self) -> Option<Result<Tag, Failure>> {
        self.labels.get(KEY).map(|key| contents_tag(key))
    }
}

/// The label that names the commit that an image was built from.
pub const REVISION: &str = "org.opencontainers.image.revision";

/// The label with the content key of an image: what it was built from, whatever the commit.
pub const KEY: &str = "delivery.content-key";

/// The tag by which an image is found by what it is made of, whatever the commit.
pub fn contents_tag(key: &str) -> Result<Tag, Failure> {
    format!("key-{key}").parse().map_err(Failure::input)
}

/// The label that names the repository that an image was built from.
pub const SOURCE: &str = "org.opencontainers.image.source";

impl Docker {
    /// Connects to the engine at `DOCKER_HOST`, or at the socket that the runner mounts, and asks whether it is there.
    #[expect(clippy::disallowed_methods, reason = "a time limit is not a wait: it ends one")]
    pub(crate) async fn connect(environment: &Environment) -> Result<Self, Failure> {
        let address = environment.get("DOCKER_HOST").map_or_else(|| format!("unix://{SOCKET}"), str::to_owned);
        let engine = match address.split_once("://") {
            Some(("unix", path)) => {
                bollard::Docker::connect_with_unix(path, ANSWER_TIMEOUT_SECONDS, API_DEFAULT_VERSION)
            }
            Some(("tcp" | "http", _)) if environment.get("DOCKER_TLS_VERIFY").is_none() => {
                bollard::Docker::connect_with_http(&address, ANSWER_TIMEOUT_SECONDS, API_DEFAULT_VERSION)
            }
            _ => {
                return Err(Failure::input(format!(
                    "`DOCKER_HOST` is `{address}`, which this action cannot connect to"
                ))
                .hint("use an engine at `unix:///path` or, without TLS, at `tcp://host:port`"));
            }
        };
        let engine = engine.map_err(|error| unreachable(&address, &error))?;
        let Some(place) = Address::parse(&address) else {
            return Err(Failure::bug(format!("connected to `{address}`, which is no address")));
        };
        match tokio::time::timeout(CONNECT_TIMEOUT, engine.ping()).await {
            Ok(Ok(_)) => Ok(Self { engine, address: place }),
            Ok(Err(error)) => Err(unreachable(&address, &error)),
            Err(_) => Err(unreachable(&address, &Error::RequestTimeoutError)),
        }
    }

    /// An image by name, tag or id. `None` if the engine has no such image.
    pub async fn inspect(&self, reference: &str) -> Result<Option<LocalImage>, Failure> {
        let doing = || format!("inspect image `{reference}`");
        match self.engine.inspect_image(reference).await {
            Ok(image) => local_image(image).map(Some).map_err(|error| error.context(doing())),
            Err(Error::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
            Err(error) => Err(refused(&error).context(doing())),
        }
    }

    /// The instructions that an image was made by, the last one first.
    pub async fn history(&self, image: &str) -> Result<Vec<String>, Failure> {
        let history = self.engine.image_history(image).await;
        let history =
            history.map_err(|error| refused(&error).context(format!("read the history of image `{image}`")))?;
        Ok(history.into_iter().map(|step| contents::instruction(&step.created_by)).collect())
    }

    /// How many processors the engine has.
    pub async fn processors(&self) -> Result<usize, Failure> {
        let info = self.engine.info().await;
        let info = info.map_err(|error| refused(&error).context("ask the Docker engine what it runs on"))?;
        Ok(info.ncpu.and_then(|count| usize::try_from(count).ok()).unwrap_or(1).max(1))
    }

    /// Gives an image one more name: `host/repository:tag`.
    pub async fn tag(&self, image: &str, reference: &str) -> Result<(), Failure> {
        let (repository, tag) = split(reference);
        let options = TagImageOptionsBuilder::new().repo(repository).tag(tag).build();
        let tagged = self.engine.tag_image(image, Some(options)).await;
        tagged.map_err(|error| refused(&error).context(format!("tag image `{image}` as `{reference}`")))
    }

    /// Pushes an image to the registry that its name begins with. What the engine says on the way goes to `say`.
    ///
    /// The engine retries by itself, and says what went wrong within an answer that begins with "200 OK".
    pub async fn push(&self, reference: &str, login: &Login, mut say: impl FnMut(String)) -> Result<(), Failure> {
        let (repository, tag) = split(reference);
        let credentials = DockerCredentials {
            username: Some(login.user.clone()),
            password: Some(login.password.expose().to_owned()),
            serveraddress: repository.split('/').next().map(str::to_owned),
            ..DockerCredentials::default()
        };
        let options = PushImageOptionsBuilder::new().tag(tag).build();
        let mut answer = self.engine.push_image(repository, Some(options), Some(credentials));
        let doing = || format!("push image `{reference}`");
        let (mut sent, mut known) = (0, 0);
        while let Some(progress) = answer.try_next().await.map_err(|error| push_refused(&error).context(doing()))? {
            let status = progress.status.unwrap_or_default();
            match progress.progress_detail {
                None if status.is_empty() => {}
                None => say(status),
                // Of the layers' bars, which a terminal shows, only how they end is kept.
                Some(_) if status == "Pushed" => sent += 1,
                Some(_) if status == "Layer already exists" || status.starts_with("Mounted from") => known += 1,
                Some(_) => {}
            }
        }
        say(format!("layers: {sent} sent, {known} there already"));
        Ok(())
    }
}

/// `host/repository` and the tag.
fn split(reference: &str) -> (&str, &str) {
    match reference.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, tag),
        _ => (reference, "latest"),
    }
}

fn local_image(image: ImageInspect) -> Result<LocalImage, Failure> {
    let id = image.id.unwrap_or_default().parse().map_err(Failure::remote)?;
    let config = image.config.unwrap_or_default();
    // `HEALTHCHECK NONE` takes away the one of the base image.
    let healthcheck = config.healthcheck.and_then(|healthcheck| healthcheck.test).unwrap_or_default();
    let layers = image.root_fs.and_then(|files| files.layers).unwrap_or_default();
    let platform = format!("{}/{}", image.os.unwrap_or_default(), image.architecture.unwrap_or_default());
    Ok(LocalImage {
        id,
        platform,
        size: image.size.unwrap_or_default().unsigned_abs(),
        user: config.user.unwrap_or_default(),
        has_healthcheck: healthcheck.first().is_some_and(|kind| kind != "NONE"),
        labels: config.labels.unwrap_or_default().into_iter().collect(),
        environment: config.env.unwrap_or_default(),
        layers: layers.iter().map(|layer| layer.parse()).collect::<Result<_, _>>().map_err(Failure::remote)?,
        created: image.created.and_then(|moment| Timestamp::from_nanosecond(moment.unix_timestamp_nanos()).ok()),
    })
}

fn unreachable(address: &str, error: &Error) -> Failure {
    let why = match error {
        Error::SocketNotFoundError(_) => "there is no such socket".to_owned(),
        Error::RequestTimeoutError => format!("no answer within {}", crate::duration::human(CONNECT_TIMEOUT)),
        error => root_cause(error),
    };
    Failure::remote(format!("no Docker engine at `{address}`: {why}")).hint(
        "run the job on a runner with Docker, such as `ubuntu-24.04`: `ubuntu-slim` and runner sets in Kubernetes mode have none; \
         a rootless engine is found by `DOCKER_HOST`",
    )
}

/// The engine's "no" to a request.
fn refused(error: &Error) -> Failure {
    match error {
        Error::DockerResponseServerError { status_code, message } => {
            Failure::remote(format!("the Docker engine answered {status_code}: {}", message.trim()))
        }
        Error::DockerStreamError { error } => Failure::remote(error.trim()),
        error => Failure::remote(format!("the Docker engine broke off: {}", root_cause(error)))
            .hint("look at the engine's own log, then run again"),
    }
}

fn push_refused(error: &Error) -> Failure {
    let failure = refused(error);
    let text = failure.error.to_string();
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if says(&["no basic auth credentials", "denied:", "unauthorized", "403 Forbidden"]) {
        return Failure::denied(text).hint(
            "allow `ecr:InitiateLayerUpload`, `ecr:UploadLayerPart`, `ecr:CompleteLayerUpload`, `ecr:BatchCheckLayerAvailability` and \
             `ecr:PutImage` on the repository",
        );
    }
    if says(&["immutable"]) {
        return Failure::input(text)
            .hint("another run pushed this tag meanwhile, with another image: run again to use that one");
    }
    failure.hint("run again: layers that arrived are not sent twice")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_a_repository_and_a_tag() {
        for (reference, expected) in [
            ("shop/auth:1", ("shop/auth", "1")),
            ("127.0.0.1:5000/auth", ("127.0.0.1:5000/auth", "latest")),
            ("127.0.0.1:5000/auth:v2", ("127.0.0.1:5000/auth", "v2")),
        ] {
            assert_eq!(split(reference), expected);
        }
    }

    #[test]
    fn an_image_without_a_check_has_none() {
        let inspect = |healthcheck: &str| {
            let json =
                format!(r#"{{"Id":"sha256:{}","Size":7,"Config":{{"User":"65532"{healthcheck}}}}}"#, "a".repeat(64));
            local_image(serde_json::from_str(&json).unwrap()).unwrap().has_healthcheck
        };
        assert!(inspect(r#","Healthcheck":{"Test":["CMD","/check"]}"#));
        assert!(!inspect(r#","Healthcheck":{"Test":["NONE"]}"#));
        assert!(!inspect(r#","Healthcheck":{}"#));
        assert!(!inspect(""));
    }

    #[tokio::test]
    async fn an_engine_that_is_not_there_is_named() {
        let connect = async |host: &str| {
            let environment = [("DOCKER_HOST", host)].into_iter().collect();
            Docker::connect(&environment).await.unwrap_err().to_string()
        };
        let told = connect("unix:///nowhere/docker.sock").await;
        assert!(
            told.starts_with(
                "no Docker engine at `unix:///nowhere/docker.sock`: there is no such socket\nhint: run the job"
            ),
            "{told}"
        );
        let told = connect("tcp://127.0.0.1:1").await;
        assert!(told.starts_with("no Docker engine at `tcp://127.0.0.1:1`: Connection refused"), "{told}");
        let told = connect("ssh://somewhere").await;
        assert!(told.starts_with("`DOCKER_HOST` is `ssh://somewhere`, which"), "{told}");
    }

    #[test]
    fn a_refused_push_names_the_permissions() {
        let push = |text: &str| push_refused(&Error::DockerStreamError { error: text.to_owned() });
        assert_eq!(push("denied: User is not authorized").kind, crate::failure::Kind::Denied);
        assert_eq!(
            push(
                "tag invalid: The image tag '1' already exists and cannot be overwritten because the tag is immutable."
            )
            .kind,
            crate::failure::Kind::Input
        );
        assert_eq!(push("EOF").kind, crate::failure::Kind::Remote);
    }
}
