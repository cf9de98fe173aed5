//! The world on loopback, for real binaries.

use std::io;
use std::net::TcpListener as StandardListener;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use anyhow::Context;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::state::World;

/// A world that listens on loopback until this is dropped.
#[derive(Debug)]
pub struct Served {
    url: String,
    task: JoinHandle<()>,
}

impl World {
    /// Listens on a free port of 127.0.0.1, on the tokio runtime that this is called in. From now on the registry's host is
    /// this address.
    pub fn serve(&self) -> anyhow::Result<Served> {
        let runtime = tokio::runtime::Handle::try_current().context("the world is served by a tokio runtime")?;
        let listener = StandardListener::bind("127.0.0.1:0").context("listen on loopback")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let listener = TcpListener::from_std(listener)?;
        self.with(|state| state.registry_host = address.to_string());
        let task = runtime.spawn(accept(self.clone(), listener));
        Ok(Served { url: format!("http://{address}"), task })
    }
}

impl Served {
    /// `http://127.0.0.1:PORT`: AWS's endpoint; GitHub's API lies under `/api/v3`, the job's token under `/_oidc/token`, and
    /// services under `/_service/CLUSTER/SERVICE/`.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A request with its body read.
pub(crate) async fn collect(request: Request<Incoming>) -> Result<Request<Bytes>, hyper::Error> {
    let (parts, body) = request.into_parts();
    Ok(Request::from_parts(parts, body.collect().await?.to_bytes()))
}

/// Marks an answer that breaks off half-way.
#[derive(Clone, Copy)]
pub(crate) struct IsCutOff;

/// The answer as the connection sends it. A lost answer is an error, upon which hyper closes the connection.
pub(crate) fn deliver(answer: Option<Response<Bytes>>) -> io::Result<Response<Content>> {
    let answer = answer.ok_or_else(|| io::Error::new(io::ErrorKind::ConnectionReset, "the answer is lost"))?;
    let is_cut_off = answer.extensions().get::<IsCutOff>().is_some();
    Ok(answer.map(|bytes| Content { left: bytes.len(), next: Next::Bytes(bytes), is_cut_off }))
}

/// What an answer holds, as the connection sends it.
#[derive(Debug, Default)]
pub(crate) struct Content {
    left: usize,
    next: Next,
    is_cut_off: bool,
}

/// What is next of a content.
#[derive(Debug, Default)]
enum Next {
    Bytes(Bytes),
    /// What was sent leaves before the connection ends.
    Pause,
    #[default]
    End,
}

impl Body for Content {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match std::mem::take(&mut self.next) {
            Next::Bytes(mut bytes) => {
                if self.is_cut_off {
                    bytes.truncate(bytes.len() / 2);
                    self.next = Next::Pause;
                }
                self.left -= bytes.len();
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Next::Pause => {
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Next::End => Poll::Ready((self.left > 0).then(|| Err(io::ErrorKind::ConnectionReset.into()))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left as u64)
    }
}

async fn accept(world: World, listener: TcpListener) {
    // Dropped with this task, which ends the connections with it.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(converse(world.clone(), stream));
        while connections.try_join_next().is_some() {}
    }
}

async fn converse(world: World, stream: TcpStream) {
    let service = service_fn(|request| async {
        let request = collect(request).await.map_err(io::Error::other)?;
        deliver(world.exchange(&request).await)
    });
    // How a connection ends is the client's business: it sees the same end.
    drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::calls::Fault;

    async fn send(address: &str, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn a_served_world_answers_until_it_is_dropped() {
        let world = World::new();
        let served = world.serve().unwrap();
        let address = served.url().strip_prefix("http://").unwrap().to_owned();
        assert_eq!(world.with(|state| state.registry_host.clone()), address);
        let request = format!("GET /v2/ HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
        let answer = send(&address, &request).await;
        assert!(answer.starts_with("HTTP/1.1 401 Unauthorized"), "{answer}");
        assert!(answer.contains(&format!("realm=\"http://{address}/\"")), "{answer}");
        drop(served);
        tokio::task::yield_now().await;
        assert!(TcpStream::connect(&address).await.is_err());
    }

    #[tokio::test]
    async fn a_lost_answer_is_a_closed_connection_after_the_deed() {
        let world = World::new();
        let served = world.serve().unwrap();
        let address = served.url().strip_prefix("http://").unwrap().to_owned();
        world.script("ssm:PutParameter", Fault::AnswerLost, 1);
        let body = r#"{"Name":"a","Value":"b","Type":"String"}"#;
        let request = format!(
            "POST / HTTP/1.1\r\nhost: x\r\nx-amz-target: AmazonSSM.PutParameter\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        assert_eq!(send(&address, &request).await, "");
        assert_eq!(world.parameter("a").as_deref(), Some("b"));
    }
}
