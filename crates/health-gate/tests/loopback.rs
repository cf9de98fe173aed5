//! Gates before real servers on loopback that behave as servers do: slow, flapping, half-open, endless, behind a login, with the
//! wrong certificate. Nothing is simulated here but the server.

#![expect(clippy::unwrap_used, reason = "a test's furniture has nobody to tell but the test")]

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use common::edges::Edges;
use common::http::Http;
use common::runner::{Environment, Runner};
use common::stop::Stop;
use health_gate::{ACTION, run};
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

/// What a gate came to.
struct Ended {
    exit_code: u8,
    result: String,
    /// The whole report.
    json: Value,
}

impl Ended {
    /// What was seen last of the check of this name.
    fn observed(&self, check: &str) -> &str {
        let checks = self.json["services"][0]["checks"].as_array().map(Vec::as_slice).unwrap_or_default();
        let found = checks.iter().find(|found| found["check"] == check);
        found.and_then(|found| found["observed"].as_str()).unwrap_or_default()
    }
}

/// Runs the gate as its program does, with quick looks.
async fn gate(inputs: &[(&str, &str)]) -> Ended {
    let folder = TempDir::new().unwrap();
    let quick = [("interval", "10ms"), ("request-timeout", "250ms"), ("timeout", "1s"), ("comment", "never")];
    let quick = quick.into_iter().filter(|(name, _)| !inputs.iter().any(|(given, _)| given == name));
    let inputs = quick.chain(inputs.iter().copied());
    let inputs = inputs.map(|(name, value)| (format!("INPUT_{}", name.to_uppercase()), value.to_owned()));
    let file = |name: &str| folder.path().join(name).display().to_string();
    let own = [
        ("GITHUB_WORKSPACE", folder.path().display().to_string()),
        ("GITHUB_OUTPUT", file("output")),
        ("GITHUB_STEP_SUMMARY", file("summary")),
        ("SSL_CERT_FILE", certificate("ca.pem").display().to_string()),
    ];
    let environment: Environment =
        own.map(|(name, value)| (name.to_owned(), value)).into_iter().chain(inputs).collect();
    let (_stopper, stop) = Stop::new();
    let http = Http::connect(&environment).unwrap();
    let edges = Edges { runner: Runner::new(environment, Box::new(std::io::sink())), stop, http };
    let exit_code = common::perform(&ACTION, &edges, run).await;
    let outputs = stage::entries(&std::fs::read_to_string(folder.path().join("output")).unwrap());
    Ended { exit_code, result: outputs["result"].clone(), json: serde_json::from_str(&outputs["json"]).unwrap() }
}

fn certificate(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/certificates").join(file)
}

/// A server that does this with each connection, of which it is told the number and the request; answers its base URL.
async fn server<F>(act: impl Fn(usize, String, TcpStream) -> F + Send + Sync + 'static) -> String
where
    F: Future<Output = std::io::Result<()>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        for number in 0.. {
            let Ok((mut stream, _)) = listener.accept().await else { return };
            let mut request = vec![0; 16 * 1024];
            let read = stream.read(&mut request).await.unwrap_or_default();
            let request = String::from_utf8_lossy(&request[..read]).into_owned();
            tokio::spawn(act(number, request, stream));
        }
    });
    url
}

/// A server that gives these answers in turns.
async fn answers(answers: Vec<String>) -> String {
    server(move |number, _, mut stream| {
        let answer = answers[number % answers.len()].clone();
        async move { stream.write_all(answer.as_bytes()).await }
    })
    .await
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{headers}\r\n{body}", body.len())
}

/// A TLS server with this certificate that speaks these protocols; answers its URL.
async fn tls_server(name: &str, protocols: &[&[u8]], served: Arc<AtomicUsize>) -> String {
    let chain: Vec<_> =
        CertificateDer::pem_file_iter(certificate(&format!("{name}.pem"))).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(certificate(&format!("{name}.key"))).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let versions = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = versions.with_no_client_auth().with_single_cert(chain, key).unwrap();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, served) = (acceptor.clone(), Arc::clone(&served));
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                let service = service_fn(move |_| {
                    served.fetch_add(1, Ordering::Relaxed);
                    async {
                        Ok::<_, Infallible>(hyper::Response::new(Full::new(Bytes::from_static(b"{\"status\":\"ok\"}"))))
                    }
                });
                let stream = TokioIo::new(stream);
                let done = match is_http2 {
                    true => {
                        hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                            .serve_connection(stream, service)
                            .await
                    }
                    false => hyper::server::conn::http1::Builder::new().serve_connection(stream, service).await,
                };
                drop(done);
            });
        }
    });
    format!("https://127.0.0.1:{port}/health")
}

#[tokio::test]
async fn a_server_that_answers_as_expected_is_healthy() {
    let url = answers(vec![answer("200 OK", "x-version: v2\r\n", r#"{"db": "ok", "load": 0.9}"#)]).await;
    let expect = "status == 200\njson(/db) == 'ok'\njson(/load) < 1\nheader(x-version) == 'v2'\nlatency < 200ms";
    let ended = gate(&[("url", &url), ("expect", expect)]).await;
    assert_eq!((ended.exit_code, ended.result.as_str()), (0, "healthy"), "{}", ended.json);
    let latency = ended.json["services"][0]["series"][0].clone();
    assert_eq!((latency["name"].as_str(), latency["values"].as_array().map(Vec::len)), (Some("latency"), Some(2)));
}

#[tokio::test]
async fn a_slow_server_and_one_that_stops_half_way_do_not_answer_in_time() {
    let silent = server(|_, _, stream| async move {
        let _held = stream;
        std::future::pending().await
    })
    .await;
    let half_open = server(|_, _, mut stream| async move {
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf").await?;
        std::future::pending().await
    })
    .await;
    for url in [silent, half_open] {
        let ended = gate(&[("url", &url), ("request-timeout", "50ms"), ("failures", "2")]).await;
        assert_eq!((ended.exit_code, ended.result.as_str()), (1, "unhealthy"), "{}", ended.json);
        assert_eq!(ended.observed("status"), "no answer within 50 ms");
    }
}

#[tokio::test]
async fn a_server_that_flaps_is_never_called_healthy() {
    let url = answers(vec![answer("200 OK", "", ""), answer("500 Internal Server Error", "", "")]).await;
    let ended = gate(&[("url", &url), ("timeout", "200ms")]).await;
    assert_eq!((ended.exit_code, ended.result.as_str()), (1, "undecided"), "{}", ended.json);
}

#[tokio::test]
async fn a_login_page_and_an_error_with_status_200_are_no_health() {
    let login = answers(vec![answer("302 Found", "location: /login\r\n", "")]).await;
    let ended = gate(&[("url", &login)]).await;
    assert_eq!((ended.result.as_str(), ended.observed("status")), ("unhealthy", "302, to /login"));
    let lying = answers(vec![answer("200 OK", "", r#"{"status": "database is down"}"#)]).await;
    let ended = gate(&[("url", &lying), ("expect", "status == 200\njson(/status) == 'ok'")]).await;
    assert_eq!((ended.result.as_str(), ended.observed("json(/status)")), ("unhealthy", "'database is down'"));
}

#[tokio::test]
async fn one_instance_of_three_with_the_old_version_is_noticed() {
    let body = |task: &str, version: &str| format!(r#"{{"version": "{version}", "task": "{task}"}}"#);
    let turns = |third: &str| {
        let bodies = [body("a", "new"), body("b", "new"), body("c", third)];
        bodies.iter().map(|body| answer("200 OK", "", body)).collect::<Vec<_>>()
    };
    let inputs = |url: &'static str| {
        [("url", url), ("expect", "json(/version) == 'new'"), ("distinct", "3"), ("distinct-by", "json(/task)")]
    };
    let all_new = answers(turns("new")).await.leak();
    let ended = gate(&inputs(all_new)).await;
    assert_eq!((ended.exit_code, ended.result.as_str()), (0, "healthy"), "{}", ended.json);
    assert_eq!(ended.observed("instances by json(/task)"), "3 of 3 seen");
    let one_old = answers(turns("old")).await.leak();
    let [url, expect, distinct, by] = inputs(one_old);
    let ended = gate(&[url, expect, distinct, by, ("timeout", "300ms")]).await;
    assert_eq!((ended.exit_code, ended.result.as_str()), (1, "undecided"), "{}", ended.json);
    assert_eq!(ended.observed("instances by json(/task)"), "2 of 3 seen");
}

#[tokio::test]
async fn a_body_without_end_is_judged_by_its_beginning() {
    let url = server(|_, _, mut stream| async move {
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nready").await?;
        loop {
            stream.write_all(&[b'.'; 64 * 1024]).await?;
        }
    })
    .await;
    let inputs =
        [("url", url.as_str()), ("expect", "body contains 'ready'"), ("request-timeout", "5s"), ("timeout", "30s")];
    let ended = gate(&inputs).await;
    assert_eq!((ended.exit_code, ended.result.as_str()), (0, "healthy"), "{}", ended.json);
}

#[tokio::test]
async fn what_is_sent_is_what_was_said() {
    let url = server(|_, request, mut stream| async move {
        let expected =
            ["POST /check?deep=1 HTTP/1.1\r\n", "host: 127.0.0.1:", "x-api-key: abc\r\n", "{\"probe\":true}"];
        let status =
            if expected.iter().all(|part| request.contains(part)) { "204 No Content" } else { "400 Bad Request" };
        stream.write_all(answer(status, "", "").as_bytes()).await
    })
    .await;
    let url = format!("{url}/check?deep=1");
    let inputs = [
        ("url", url.as_str()),
        ("method", "POST"),
        ("headers", "x-api-key: abc"),
        ("body", "{\"probe\":true}"),
        ("expect", "status == 204"),
    ];
    let ended = gate(&inputs).await;
    assert_eq!((ended.exit_code, ended.result.as_str()), (0, "healthy"), "{}", ended.json);
}

#[tokio::test]
async fn a_server_that_only_speaks_http_2_and_one_that_only_speaks_http_1_are_both_understood() {
    for protocols in [&[b"h2".as_slice()][..], &[b"http/1.1".as_slice()][..], &[][..]] {
        let served = Arc::new(AtomicUsize::new(0));
        let url = tls_server("valid", protocols, Arc::clone(&served)).await;
        let expect = "status == 200\njson(/status) == 'ok'\ncertificate > 14d";
        let ended = gate(&[("url", &url), ("expect", expect)]).await;
        assert_eq!((ended.exit_code, ended.result.as_str()), (0, "healthy"), "{}", ended.json);
        assert_eq!(served.load(Ordering::Relaxed), 2);
    }
}

#[tokio::test]
async fn a_certificate_that_proves_nothing_is_no_health() {
    for (name, why) in [("expired", "expired"), ("self-signed", "UnknownIssuer")] {
        let served = Arc::new(AtomicUsize::new(0));
        let url = tls_server(name, &[], Arc::clone(&served)).await;
        let ended = gate(&[("url", &url)]).await;
        assert_eq!((ended.exit_code, ended.result.as_str()), (1, "unhealthy"), "{}", ended.json);
        let observed = ended.observed("status");
        assert!(observed.starts_with("its certificate is not valid: ") && observed.contains(why), "{observed}");
        assert_eq!(served.load(Ordering::Relaxed), 0, "nothing was asked");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_decides_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/health", listener.local_addr().unwrap());
    drop(listener);
    let ended = gate(&[("url", &url)]).await;
    assert_eq!((ended.exit_code, ended.result.as_str()), (1, "undecided"), "{}", ended.json);
    assert!(ended.observed("status").starts_with("not reached: connect to 127.0.0.1:"), "{}", ended.observed("status"));
}

#[tokio::test]
async fn everything_has_to_hold_as_long_as_it_is_to_bake() {
    let url = answers(vec![answer("200 OK", "", "")]).await;
    let began = Instant::now();
    let ended = gate(&[("url", &url), ("bake", "300ms"), ("timeout", "5s")]).await;
    assert_eq!((ended.exit_code, ended.result.as_str()), (0, "healthy"), "{}", ended.json);
    assert!(began.elapsed() >= Duration::from_millis(300));
    // One that breaks on the way is told at once.
    let breaking = server(|number, _, mut stream| async move {
        let status = if number < 4 { "200 OK" } else { "500 Internal Server Error" };
        stream.write_all(answer(status, "", "").as_bytes()).await
    })
    .await;
    let began = Instant::now();
    let ended = gate(&[("url", &breaking), ("bake", "30s"), ("timeout", "1m")]).await;
    assert_eq!((ended.exit_code, ended.result.as_str()), (1, "unhealthy"), "{}", ended.json);
    assert!(began.elapsed() < Duration::from_secs(30));
}

#[tokio::test]
async fn further_urls_have_to_answer_too() {
    let good = answers(vec![answer("200 OK", "", "")]).await;
    let bad = answers(vec![answer("503 Service Unavailable", "", "")]).await;
    let smoke = format!("{good}/login\n{bad}/cart");
    let ended = gate(&[("url", &good), ("smoke", &smoke)]).await;
    assert_eq!((ended.exit_code, ended.result.as_str()), (1, "unhealthy"), "{}", ended.json);
    assert_eq!(ended.observed(&format!("status of {bad}/cart")), "503");
    assert_eq!(ended.observed(&format!("status of {good}/login")), "200");
}
