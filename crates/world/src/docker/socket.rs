//! The engine's socket, and the sessions that BuildKit's clients open on it.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http::header::{CONNECTION, UPGRADE};
use http::{HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use super::{failure, stream, unversioned};
use crate::serve::{Content, collect, deliver};
use crate::state::World;
use crate::wire;

/// How long BuildKit waits for the client's session.
const SESSION_LIMIT: Duration = Duration::from_secs(5);

/// A Docker engine that listens on its socket until this is dropped.
#[derive(Debug)]
pub struct ServedDocker {
    path: PathBuf,
    task: JoinHandle<()>,
}

/// The ids of the sessions that are open. A connection is held for as long as its session's id is in here.
type Sessions = watch::Sender<BTreeSet<String>>;

impl World {
    /// Lets the world's Docker engine listen on a socket at this path, on the tokio runtime that this is called in.
    pub fn serve_docker(&self, path: &Path) -> anyhow::Result<ServedDocker> {
        let runtime = tokio::runtime::Handle::try_current().context("the engine is served by a tokio runtime")?;
        let listener = UnixListener::bind(path).with_context(|| format!("listen on {}", path.display()))?;
        let task = runtime.spawn(accept(self.clone(), listener));
        Ok(ServedDocker { path: path.to_owned(), task })
    }
}

impl ServedDocker {
    /// The socket's path, for `DOCKER_HOST=unix://…`.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for ServedDocker {
    fn drop(&mut self) {
        self.task.abort();
        // The socket may have been removed by whoever owns its folder.
        drop(std::fs::remove_file(&self.path));
    }
}

async fn accept(world: World, listener: UnixListener) {
    let sessions = Sessions::default();
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(converse(world.clone(), sessions.clone(), stream));
        while connections.try_join_next().is_some() {}
    }
}

async fn converse(world: World, sessions: Sessions, stream: UnixStream) {
    let service = service_fn(|request| handle(&world, &sessions, request));
    // How a connection ends is the client's business: it sees the same end.
    drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades().await);
}

async fn handle(world: &World, sessions: &Sessions, request: Request<Incoming>) -> io::Result<Response<Content>> {
    match unversioned(request.uri().path()) {
        "/session" => {
            let id = request.headers().get("x-docker-expose-session-uuid").and_then(|id| id.to_str().ok());
            let id = id.unwrap_or_default().to_owned();
            sessions.send_modify(|open| {
                open.insert(id.clone());
            });
            Ok(hold(request, sessions.subscribe(), id))
        }
        // The client's way to BuildKit's own API, which the builds of this world do without.
        "/grpc" => Ok(hold(request, sessions.subscribe(), String::new())),
        "/build" => {
            let request = collect(request).await.map_err(io::Error::other)?;
            build(world, sessions, &request).await
        }
        _ => {
            let request = collect(request).await.map_err(io::Error::other)?;
            deliver(world.answer_docker(&request))
        }
    }
}

/// A build of BuildKit's begins when its client's session is there, and ends the session.
#[expect(clippy::disallowed_methods, reason = "a time limit is not a wait: it ends one")]
async fn build(world: &World, sessions: &Sessions, request: &Request<Bytes>) -> io::Result<Response<Content>> {
    let session = wire::query(request).into_iter().find(|(name, id)| name == "session" && !id.is_empty());
    let Some((_, id)) = session else { return deliver(world.answer_docker(request)) };
    let mut open = sessions.subscribe();
    let came = tokio::time::timeout(SESSION_LIMIT, open.wait_for(|open| open.contains(&id))).await.is_ok();
    if !came {
        let message = format!("no active session for {id}: context deadline exceeded");
        return deliver(Some(stream(&[failure(&message)])));
    }
    let answer = world.answer_docker(request);
    sessions.send_modify(|open| {
        open.remove(&id);
    });
    deliver(answer)
}

/// Switches protocols and listens, without a word, until the client hangs up or the session ends.
fn hold(request: Request<Incoming>, mut sessions: watch::Receiver<BTreeSet<String>>, id: String) -> Response<Content> {
    let upgrade = hyper::upgrade::on(request);
    tokio::spawn(async move {
        let Ok(connection) = upgrade.await else { return };
        let (mut connection, mut nowhere) = (TokioIo::new(connection), tokio::io::sink());
        tokio::select! {
            _ = tokio::io::copy(&mut connection, &mut nowhere) => {}
            // Also when the engine goes, and the channel with it.
            _ = sessions.wait_for(|open| !id.is_empty() && !open.contains(&id)) => {}
        }
    });
    let mut response = Response::new(Content::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    response.headers_mut().insert(UPGRADE, HeaderValue::from_static("h2c"));
    response
}
