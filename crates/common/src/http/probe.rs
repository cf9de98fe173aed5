//! Asking a service as an outsider does: over a connection of its own, so that every look resolves the name, opens a
//! connection and shakes hands anew, and can tell whom it spoke to and until when their certificate is valid.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::HttpConnector;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use bytes::{Bytes, BytesMut};
use http::header::HOST;
use http::{Request, Response, Uri, Version};
use http_body_util::{BodyExt, Full};
use hyper::body::Body;
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::{TokioExecutor, TokioIo};
use jiff::Timestamp;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use x509_cert::der::Decode;

use super::{Http, Unanswered, root_cause, unanswered};
use crate::poll::within;

/// The most of a body that is read: a health endpoint that answers more than a mebibyte, or without end, is judged by what
/// came first.
const BODY_LIMIT: usize = 1024 * 1024;

/// What was asked, and whom.
#[derive(Clone, Debug)]
pub struct Probe {
    /// What to ask, with an absolute URL.
    pub request: Request<Bytes>,
    /// The address to ask; `None` for whichever of the name's addresses answers first.
    pub address: Option<IpAddr>,
    /// The most time from looking the name up to the last byte.
    pub limit: Duration,
}

/// An answer, and what the connection told of who gave it.
#[derive(Debug)]
pub struct Exchange {
    /// The answer; its body ends after a mebibyte.
    pub response: Response<Bytes>,
    /// Who answered; `None` where a proxy stands between.
    pub peer: Option<IpAddr>,
    /// When the certificate expires; `None` without TLS, and where a proxy stands between.
    pub certificate_expires: Option<Timestamp>,
}

/// How connections for probes are made; what TLS needs is read when it is first asked for.
#[derive(Debug)]
pub(super) struct Dialler {
    certificates: Vec<Vec<u8>>,
    tls: OnceLock<Result<Arc<ClientConfig>, String>>,
    proxies: Matcher,
}

impl Http {
    /// Asks once, and collects the answer, whatever its status. Redirects are answers too. Where a proxy is set for the URL, it
    /// is asked through that.
    pub async fn probe(&self, probe: Probe) -> Result<Exchange, Unanswered> {
        let limit = probe.limit;
        let asked = async {
            match &self.dialler {
                Some(dialler) if dialler.proxies.intercept(probe.request.uri()).is_none() => dialler.ask(probe).await,
                _ => self.ask_by_connector(probe.request).await,
            }
        };
        within(limit, asked).await.unwrap_or(Err(Unanswered::TimedOut(limit)))
    }

    /// Every address of the host of this URL; empty where others connect in our place and none is known.
    pub async fn addresses(&self, url: &Uri, limit: Duration) -> Result<Vec<IpAddr>, Unanswered> {
        match &self.dialler {
            Some(dialler) if dialler.proxies.intercept(url).is_none() => {
                let found = within(limit, resolve(url)).await.unwrap_or(Err(Unanswered::TimedOut(limit)))?;
                let mut addresses: Vec<IpAddr> = found.iter().map(SocketAddr::ip).collect();
                addresses.sort_unstable();
                addresses.dedup();
                Ok(addresses)
            }
            _ => Ok(Vec::new()),
        }
    }

    async fn ask_by_connector(&self, request: Request<Bytes>) -> Result<Exchange, Unanswered> {
        let request = HttpRequest::try_from(request.map(SdkBody::from))
            .map_err(|error| Unanswered::Unsendable(error.to_string()))?;
        let response =
            self.connector.call(request).await.map_err(|error| Unanswered::Disconnected(root_cause(&error)))?;
        let response = response.try_into_http1x().map_err(|error| Unanswered::Disconnected(error.to_string()))?;
        let (parts, body) = response.into_parts();
        let body = beginning(body).await.map_err(|error| Unanswered::Disconnected(root_cause(error.as_ref())))?;
        let response = Response::from_parts(parts, body);
        Ok(Exchange { response, peer: None, certificate_expires: None })
    }
}

impl Dialler {
    /// One that trusts the system's roots and these.
    pub(super) fn new(certificates: Vec<Vec<u8>>) -> Self {
        Self { certificates, tls: OnceLock::new(), proxies: Matcher::from_env() }
    }

    async fn ask(&self, Probe { request, address, limit }: Probe) -> Result<Exchange, Unanswered> {
        let mut candidates = resolve(request.uri()).await?;
        if let Some(address) = address {
            candidates.retain(|candidate| candidate.ip() == address);
        }
        let stream = connect(&candidates, limit).await?;
        let peer = stream.peer_addr().ok().map(|peer| peer.ip());
        if request.uri().scheme_str() != Some("https") {
            let response = converse(stream, request, false).await?;
            return Ok(Exchange { response, peer, certificate_expires: None });
        }
        let tls = self.tls.get_or_init(|| self.trust()).clone().map_err(Unanswered::Unsendable)?;
        let host = request.uri().host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let name = ServerName::try_from(host).map_err(|error| Unanswered::Unsendable(error.to_string()))?;
        let stream = TlsConnector::from(tls).connect(name, stream).await.map_err(|error| unanswered(&error))?;
        let session = stream.get_ref().1;
        let is_http2 = session.alpn_protocol() == Some(b"h2");
        let certificate_expires = session.peer_certificates().and_then(|chain| expiry(chain.first()?));
        let response = converse(stream, request, is_http2).await?;
        Ok(Exchange { response, peer, certificate_expires })
    }

    fn trust(&self) -> Result<Arc<ClientConfig>, String> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        for pem in &self.certificates {
            roots.add_parsable_certificates(CertificateDer::pem_slice_iter(pem).filter_map(Result::ok));
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let mut tls = versions.map_err(|error| error.to_string())?.with_root_certificates(roots).with_no_client_auth();
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(tls))
    }
}

async fn resolve(url: &Uri) -> Result<Vec<SocketAddr>, Unanswered> {
    let host = url.host().unwrap_or_default().trim_matches(['[', ']']);
    let port = url.port_u16().unwrap_or(if url.scheme_str() == Some("https") { 443 } else { 80 });
    let found = lookup_host((host, port)).await;
    let found: Vec<SocketAddr> =
        found.map_err(|error| Unanswered::Disconnected(format!("look up `{host}`: {error}")))?.collect();
    Ok(found)
}

/// The first address that answers, each with its share of the time: one that swallows packets does not take it all.
async fn connect(candidates: &[SocketAddr], limit: Duration) -> Result<TcpStream, Unanswered> {
    let share = limit / u32::try_from(candidates.len()).unwrap_or(u32::MAX).max(1);
    let mut refused = Unanswered::Disconnected("the name has no such address any more".to_owned());
    for candidate in candidates {
        match within(share, TcpStream::connect(candidate)).await {
            Some(Ok(stream)) => return Ok(stream),
            Some(Err(error)) => refused = Unanswered::Disconnected(format!("connect to {candidate}: {error}")),
            None => refused = Unanswered::TimedOut(limit),
        }
    }
    Err(refused)
}

/// One request and its answer over a connection that is closed after it.
async fn converse(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: Request<Bytes>,
    is_http2: bool,
) -> Result<Response<Bytes>, Unanswered> {
    let broken = |error: hyper::Error| Unanswered::Disconnected(root_cause(&error));
    let (mut parts, body) = request.into_parts();
    let body = Full::new(body);
    let (response, _connection) = if is_http2 {
        parts.version = Version::HTTP_2;
        let shaken = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
        let (mut sender, connection) = shaken.map_err(broken)?;
        let connection = Background(tokio::spawn(async { drop(connection.await) }));
        (sender.send_request(Request::from_parts(parts, body)).await.map_err(broken)?, connection)
    } else {
        if let Some(authority) = parts.uri.authority()
            && let Ok(host) = authority.as_str().parse()
        {
            parts.headers.entry(HOST).or_insert(host);
        }
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        parts.uri = path.parse().map_err(|error: http::uri::InvalidUri| Unanswered::Unsendable(error.to_string()))?;
        let shaken = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = shaken.map_err(broken)?;
        let connection = Background(tokio::spawn(async { drop(connection.await) }));
        (sender.send_request(Request::from_parts(parts, body)).await.map_err(broken)?, connection)
    };
    let (parts, body) = response.into_parts();
    Ok(Response::from_parts(parts, beginning(body).await.map_err(broken)?))
}

/// The work of a connection, which ends with its last user.
struct Background(JoinHandle<()>);

impl Drop for Background {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// As much of a body as is read.
async fn beginning<B: Body<Data = Bytes> + Unpin>(mut body: B) -> Result<Bytes, B::Error> {
    let mut read = BytesMut::new();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            read.extend_from_slice(&data[..data.len().min(BODY_LIMIT - read.len())]);
        }
        if read.len() == BODY_LIMIT {
            break;
        }
    }
    Ok(read.freeze())
}

/// When a certificate stops being valid.
fn expiry(certificate: &CertificateDer<'_>) -> Option<Timestamp> {
    let certificate = x509_cert::Certificate::from_der(certificate).ok()?;
    let seconds = certificate.tbs_certificate.validity.not_after.to_unix_duration().as_secs();
    Timestamp::from_second(i64::try_from(seconds).ok()?).ok()
}
