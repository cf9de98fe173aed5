//! Layers and configurations by the URLs of `GetDownloadUrlForLayer`: signed, for an hour, and without a token, as those of
//! the bucket behind ECR are.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};

use crate::state::State;
use crate::{ecr, oci, wire};

/// Where these URLs lie.
pub(crate) const LAYERS: &str = "/_layers/";

const LIFETIME: Duration = Duration::from_secs(60 * 60);

/// The URL at which a blob can be had for an hour.
pub(crate) fn layer_url(state: &State, repository: &str, digest: &str) -> String {
    let expires = (state.now + LIFETIME).as_second();
    let signature = signature(repository, digest, expires);
    format!("{}{LAYERS}{repository}/{digest}?Expires={expires}&Signature={signature}", ecr::endpoint(state))
}

pub(super) fn answer(state: &State, request: &Request<Bytes>) -> Response<Bytes> {
    let path = request.uri().path().trim_start_matches(LAYERS);
    let (repository, digest) = path.rsplit_once('/').unwrap_or(("", path));
    let query = wire::query(request);
    let parameter = |wanted: &str| query.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
    let expires: i64 = parameter("Expires").and_then(|expires| expires.parse().ok()).unwrap_or_default();
    if parameter("Signature") != Some(signature(repository, digest, expires).as_str()) {
        return refuse(StatusCode::FORBIDDEN, "SignatureDoesNotMatch", "The request signature does not match");
    }
    if expires <= state.now.as_second() {
        return refuse(StatusCode::FORBIDDEN, "AccessDenied", "Request has expired");
    }
    match state.ecr.repository(repository).and_then(|repository| repository.blob(digest)) {
        Some(blob) if *request.method() == Method::GET => {
            wire::respond(StatusCode::OK, "application/octet-stream", blob.clone())
        }
        Some(_) => refuse(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", "The method is not allowed"),
        None => refuse(StatusCode::NOT_FOUND, "NoSuchKey", "The specified key does not exist."),
    }
}

fn signature(repository: &str, digest: &str, expires: i64) -> String {
    oci::hexadecimal(&format!("{repository} {digest} {expires}"))
}

fn refuse(status: StatusCode, code: &str, message: &str) -> Response<Bytes> {
    let body = format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>");
    wire::respond(status, "application/xml", body)
}
