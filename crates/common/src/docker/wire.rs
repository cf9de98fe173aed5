//! Plain HTTP to the engine, for the two requests that go together as bollard does not send them: a build, and the session
//! that hands it its secrets and logins.

use std::io;
use std::path::PathBuf;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinHandle;

use crate::failure::Failure;
use crate::http::root_cause;

/// Where the engine listens.
#[derive(Clone, Debug)]
pub(super) enum Address {
    /// A socket of this machine.
    Socket(PathBuf),
    /// `host:port`.
    Host(String),
}

/// What is sent.
pub(super) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// A connection; it ends when this is dropped, and the engine ends what it did for it.
#[derive(Debug)]
pub(super) struct Connection(JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Address {
    /// The address in `DOCKER_HOST`, if it is one that can be connected to.
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text.split_once("://")? {
            ("unix", path) => Some(Self::Socket(path.into())),
            ("tcp" | "http", host) => Some(Self::Host(host.trim_end_matches('/').to_owned())),
            _ => None,
        }
    }

    /// Sends a request over a connection of its own.
    pub(super) async fn send(&self, mut request: Request<Body>) -> Result<(Response<Incoming>, Connection), Failure> {
        request.headers_mut().entry(header::HOST).or_insert(HeaderValue::from_static("docker"));
        match self {
            Self::Socket(path) => exchange(UnixStream::connect(path).await.map_err(broken)?, request).await,
            Self::Host(host) => exchange(TcpStream::connect(host).await.map_err(broken)?, request).await,
        }
    }
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: Request<Body>,
) -> Result<(Response<Incoming>, Connection), Failure> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    // How a connection ends is told by the answer that it breaks off.
    let connection = Connection(tokio::spawn(async move { drop(connection.with_upgrades().await) }));
    let response = sender.send_request(request).await.map_err(broken)?;
    Ok((response, connection))
}

/// A connection that broke.
pub(super) fn broken(error: impl std::error::Error + 'static) -> Failure {
    Failure::remote(format!("the Docker engine broke off: {}", root_cause(&error)))
        .hint("look at the engine's own log, then run again")
}
