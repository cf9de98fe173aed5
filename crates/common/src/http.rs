//! The one connector through which every HTTP request leaves the process: AWS, GitHub and the probes of services.
//!
//! Being one, it is the one place for TLS roots, proxies and time limits, and the one seam at which tests put a simulated
//! world under the real clients. The calendar comes with it: requests are signed with the time, and a world has its own.

mod probe;

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use std::{fmt, io};

use aws_smithy_async::time::{SharedTimeSource, SystemTimeSource, TimeSource};
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, SizeHint};
use jiff::Timestamp;
use tokio::sync::mpsc;

use self::probe::Dialler;
use crate::calendar;
use crate::failure::Failure;
use crate::runner::Environment;

pub use self::probe::{Exchange, Probe};

/// How long a connection may take to come about. An endpoint that cannot be reached is reported after this time.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);

/// How long an answer may take to begin.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// The process's HTTP client. Cheap to clone: connections are shared.
#[derive(Clone, Debug)]
pub struct Http {
    connector: SharedHttpConnector,
    /// The same without a limit on how long an answer may take to begin: that of an upload begins when all of it is there.
    uploads: SharedHttpConnector,
    clock: SharedTimeSource,
    /// Probes have connections of their own; `None` where a connector was given, which then is the way for all.
    dialler: Option<Arc<Dialler>>,
}

/// Why a request had no answer. Reads as a fragment: "could not connect: connection refused".
#[derive(Debug, thiserror::Error)]
pub enum Unanswered {
    /// The request cannot be sent at all.
    #[error("the request cannot be sent: {0}")]
    Unsendable(String),
    /// No connection, or it broke.
    #[error("{0}")]
    Disconnected(String),
    /// Whoever answered has a certificate that proves nothing: it expired, is for another name, or nobody trusted signed it.
    #[error("its certificate is not valid: {0}")]
    Distrusted(String),
    /// No answer in time.
    #[error("no answer within {}", crate::duration::human(*.0))]
    TimedOut(Duration),
}

impl Http {
    /// A client that trusts the system's roots and those of `AWS_CA_BUNDLE` (which the SDK for Rust ignores by itself), and
    /// goes through the proxies of `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`.
    pub fn connect(environment: &Environment) -> Result<Self, Failure> {
        let mut roots = TrustStore::default().with_native_roots(true);
        let mut certificates = Vec::new();
        for variable in ["AWS_CA_BUNDLE", "SSL_CERT_FILE"] {
            if let Some(path) = environment.get(variable) {
                let pem = std::fs::read(path).map_err(|error| {
                    Failure::input(format!("read the certificates `{path}`: {error}"))
                        .hint(format!("check `{variable}`: a container action sees the workspace and the runner's temporary folder only"))
                })?;
                roots.add_pem_certificate(pem.clone());
                certificates.push(pem);
            }
        }
        let context = TlsContext::builder()
            .with_trust_store(roots)
            .build()
            .map_err(|error| Failure::input(format!("read the TLS roots: {error}")))?;
        let settings = || HttpConnectorSettings::builder().connect_timeout(CONNECT_TIMEOUT);
        let connector = |settings: HttpConnectorSettings| {
            let connector = Connector::builder()
                .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
                .tls_context(context.clone())
                .connector_settings(settings)
                .proxy_config(ProxyConfig::from_env())
                .build();
            SharedHttpConnector::new(connector)
        };
        let uploads = connector(settings().build());
        let dialler = Some(Arc::new(Dialler::new(certificates)));
        Ok(Self { uploads, dialler, ..Self::over(connector(settings().read_timeout(READ_TIMEOUT).build())) })
    }

    /// A client over this connector, with the machine's own clock.
    pub fn over(connector: SharedHttpConnector) -> Self {
        let clock = SharedTimeSource::new(SystemTimeSource::new());
        Self { uploads: connector.clone(), connector, clock, dialler: None }
    }

    /// The same, with another clock.
    #[must_use]
    pub fn by_clock(self, clock: impl TimeSource + 'static) -> Self {
        Self { clock: SharedTimeSource::new(clock), ..self }
    }

    /// The present moment, for people and for comparing with AWS's timestamps. Durations are measured by tokio's clock.
    pub fn now(&self) -> Timestamp {
        Timestamp::try_from(self.clock.now()).unwrap_or_else(|_| calendar::now())
    }

    /// The clock in the form that the AWS SDK takes.
    pub(crate) fn clock(&self) -> SharedTimeSource {
        self.clock.clone()
    }

    /// The same connector in the form that the AWS SDK takes.
    pub(crate) fn for_sdk(&self) -> SharedHttpClient {
        let connector = self.connector.clone();
        http_client_fn(move |_, _| connector.clone())
    }

    /// Sends a request and collects its answer, whatever its status. Redirects are answers too.
    #[expect(clippy::disallowed_methods, reason = "a time limit is not a wait: it ends one")]
    pub async fn send(
        &self,
        request: http::Request<Bytes>,
        limit: Duration,
    ) -> Result<http::Response<Bytes>, Unanswered> {
        let answer = answer(&self.connector, request.map(SdkBody::from));
        tokio::time::timeout(limit, answer).await.unwrap_or(Err(Unanswered::TimedOut(limit)))
    }

    /// Sends a request whose body is read while it is sent, and collects its answer, whatever its status.
    ///
    /// How long that may take depends on how much it is; what is limited is how long nothing may move.
    #[expect(clippy::disallowed_methods, reason = "a time limit is not a wait: it ends one")]
    pub async fn upload(
        &self,
        request: http::Request<Upload>,
        stalled: Duration,
    ) -> Result<http::Response<Bytes>, Unanswered> {
        let moved = request.body().moved.clone();
        let mut answer = pin!(answer(&self.uploads, request.map(SdkBody::from_body_1_x)));
        loop {
            let before = moved.load(Ordering::Relaxed);
            match tokio::time::timeout(stalled, answer.as_mut()).await {
                Ok(answer) => return answer,
                Err(_) if moved.load(Ordering::Relaxed) == before => return Err(Unanswered::TimedOut(stalled)),
                Err(_) => {}
            }
        }
    }
}

async fn answer(
    connector: &SharedHttpConnector,
    request: http::Request<SdkBody>,
) -> Result<http::Response<Bytes>, Unanswered> {
    let request = HttpRequest::try_from(request).map_err(|error| Unanswered::Unsendable(error.to_string()))?;
    let response = connector.call(request).await.map_err(|error| unanswered(&error))?;
    let response = response.try_into_http1x().map_err(|error| Unanswered::Disconnected(error.to_string()))?;
    let (parts, body) = response.into_parts();
    let body = body.collect().await.map_err(|error| Unanswered::Disconnected(root_cause(error.as_ref())))?;
    Ok(http::Response::from_parts(parts, body.to_bytes()))
}

/// The body of an upload: pieces that somebody reads while they are sent, and how many bytes they are together.
#[derive(Debug)]
pub struct Upload {
    left: u64,
    pieces: mpsc::Receiver<io::Result<Bytes>>,
    moved: Arc<AtomicU64>,
}

impl Upload {
    /// A body of this many bytes. Every one that is sent is counted in `moved`.
    pub fn new(length: u64, pieces: mpsc::Receiver<io::Result<Bytes>>, moved: Arc<AtomicU64>) -> Self {
        Self { left: length, pieces, moved }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let piece = ready!(self.pieces.poll_recv(context));
        if let Some(Ok(piece)) = &piece {
            let length = piece.len() as u64;
            self.left = self.left.saturating_sub(length);
            self.moved.fetch_add(length, Ordering::Relaxed);
        }
        Poll::Ready(piece.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// Why there was no answer: a certificate that proves nothing will not be better in a moment, a broken connection may be.
fn unanswered(error: &(dyn std::error::Error + 'static)) -> Unanswered {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(rustls::Error::InvalidCertificate(why)) = error.downcast_ref() {
            return Unanswered::Distrusted(why.to_string());
        }
        // What an error of reading or writing was made of is not what it names as its source.
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        cause = inner.map(|inner| inner as _).or_else(|| error.source());
    }
    Unanswered::Disconnected(root_cause(error))
}

/// The innermost error: "connection refused" says more than the three wrappings around it.
pub(crate) fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// A base URL and what is appended to it, without a doubled slash.
pub fn join(base: &str, path: impl fmt::Display) -> String {
    format!("{}/{}", base.trim_end_matches('/'), path.to_string().trim_start_matches('/'))
}

#[cfg(test)]
mod tests {
    use rustls::CertificateError;

    use super::*;

    #[test]
    fn a_certificate_that_proves_nothing_is_told_from_a_connection_that_broke() {
        let tls = |error| io::Error::new(io::ErrorKind::InvalidData, rustls::Error::InvalidCertificate(error));
        let wrapped = || io::Error::other(tls(CertificateError::UnknownIssuer));
        for error in [tls(CertificateError::UnknownIssuer), wrapped()] {
            let told = unanswered(&error).to_string();
            assert_eq!(told, "its certificate is not valid: UnknownIssuer");
        }
        let broken = io::Error::other(io::Error::other("connection reset by peer"));
        assert_eq!(unanswered(&broken).to_string(), "connection reset by peer");
    }
}
