//! The registry behind ECR's host name: the OCI distribution API, with ECR's own ways.
//!
//! <https://github.com/opencontainers/distribution-spec/blob/main/spec.md>

mod layers;
mod uploads;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, WWW_AUTHENTICATE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use serde_json::{Value, json};

pub(crate) use layers::{LAYERS, layer_url};
pub(crate) use uploads::Uploads;

use crate::ecr::{self, Password};
use crate::oci;
use crate::state::State;
use crate::wire::{self, Refusal};

const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
const SUBJECT: HeaderName = HeaderName::from_static("oci-subject");

/// Answers a request under `/v2/`, or for a layer by its URL.
pub(crate) fn answer(state: &mut State, request: &Request<Bytes>) -> Response<Bytes> {
    if request.uri().path().starts_with(LAYERS) {
        return layers::answer(state, request);
    }
    if let Some(refusal) = refuse_stranger(state, request) {
        return refusal;
    }
    let path = request.uri().path().trim_start_matches("/v2").trim_matches('/');
    let mut response = match Resource::of(path) {
        Some(Resource::Root) => wire::respond(StatusCode::OK, "application/json", "{}"),
        Some(resource) => match state.ecr.repository(resource.repository()) {
            Some(_) => resource.answer(state, request),
            None => refuse_as(&ecr::no_repository(state, resource.repository())),
        },
        None => refuse(StatusCode::NOT_FOUND, "NOT_FOUND", "no such resource"),
    };
    response.headers_mut().insert("docker-distribution-api-version", HeaderValue::from_static("registry/2.0"));
    if request.method() == Method::HEAD {
        // A HEAD has the length of what a GET would bring, and brings nothing.
        let length = response.body().len();
        response.headers_mut().entry(CONTENT_LENGTH).or_insert(HeaderValue::from(length));
        *response.body_mut() = Bytes::new();
    }
    response
}

/// A refusal in the distribution API's shape.
pub(crate) fn refuse(status: StatusCode, code: &str, message: &str) -> Response<Bytes> {
    let body = json!({ "errors": [{ "code": code, "message": message }] });
    wire::respond(status, "application/json; charset=utf-8", body.to_string())
}

/// How the distribution API puts what ECR's API refuses: the code and the status.
pub(crate) fn code_of(refusal: &Refusal) -> (&'static str, StatusCode) {
    match refusal.code.as_str() {
        "RepositoryNotFoundException" => ("NAME_UNKNOWN", StatusCode::NOT_FOUND),
        "ImageTagAlreadyExistsException" => ("TAG_INVALID", StatusCode::BAD_REQUEST),
        "LayersNotFoundException" => ("BLOB_UNKNOWN", StatusCode::NOT_FOUND),
        "ReferencedImagesNotFoundException" => ("MANIFEST_BLOB_UNKNOWN", StatusCode::NOT_FOUND),
        _ => ("MANIFEST_INVALID", StatusCode::BAD_REQUEST),
    }
}

fn refuse_as(refusal: &Refusal) -> Response<Bytes> {
    let (code, status) = code_of(refusal);
    refuse(status, code, &refusal.message)
}

/// ECR takes `AWS` and a password of `GetAuthorizationToken`, by HTTP's basic authentication.
fn refuse_stranger(state: &State, request: &Request<Bytes>) -> Option<Response<Bytes>> {
    let credentials = request.headers().get(AUTHORIZATION).and_then(|value| {
        let encoded = value.to_str().ok()?.strip_prefix("Basic ")?;
        String::from_utf8(STANDARD.decode(encoded).ok()?).ok()
    });
    let password = credentials.as_deref().and_then(|text| text.strip_prefix("AWS:"));
    match password.map(|password| state.ecr.password(password, state.now)) {
        Some(Password::Valid) => None,
        Some(Password::Expired) => Some(refuse(
            StatusCode::FORBIDDEN,
            "DENIED",
            "Your authorization token has expired. Reauthenticate and try again.",
        )),
        Some(Password::Unknown) | None => {
            let mut response = wire::respond(StatusCode::UNAUTHORIZED, "text/plain; charset=utf-8", "Not Authorized\n");
            let challenge = format!("Basic realm=\"{}/\",service=\"ecr.amazonaws.com\"", wire::base(request));
            set(&mut response, WWW_AUTHENTICATE, &challenge);
            Some(response)
        }
    }
}

/// What a path under `/v2/` names. A repository's name may hold slashes, hence the search from the end.
enum Resource<'a> {
    Root,
    Manifest { repository: &'a str, reference: &'a str },
    Blob { repository: &'a str, digest: &'a str },
    Uploads { repository: &'a str },
    Upload { repository: &'a str, id: &'a str },
    Tags { repository: &'a str },
    Referrers { repository: &'a str, subject: &'a str },
}

impl<'a> Resource<'a> {
    fn of(path: &'a str) -> Option<Self> {
        if path.is_empty() {
            return Some(Self::Root);
        }
        if let Some(repository) = path.strip_suffix("/tags/list") {
            return Some(Self::Tags { repository });
        }
        if let Some(repository) = path.strip_suffix("/blobs/uploads") {
            return Some(Self::Uploads { repository });
        }
        let (head, name) = path.rsplit_once('/')?;
        if let Some(repository) = head.strip_suffix("/manifests") {
            Some(Self::Manifest { repository, reference: name })
        } else if let Some(repository) = head.strip_suffix("/blobs/uploads") {
            Some(Self::Upload { repository, id: name })
        } else if let Some(repository) = head.strip_suffix("/referrers") {
            Some(Self::Referrers { repository, subject: name })
        } else {
            head.strip_suffix("/blobs").map(|repository| Self::Blob { repository, digest: name })
        }
    }

    fn repository(&self) -> &'a str {
        match self {
            Self::Root => "",
            Self::Manifest { repository, .. }
            | Self::Blob { repository, .. }
            | Self::Uploads { repository }
            | Self::Upload { repository, .. }
            | Self::Referrers { repository, .. }
            | Self::Tags { repository } => repository,
        }
    }

    fn answer(&self, state: &mut State, request: &Request<Bytes>) -> Response<Bytes> {
        let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
        match (self, request.method()) {
            (Self::Manifest { repository, reference }, _) if is_read => get_manifest(state, repository, reference),
            (Self::Manifest { repository, reference }, &Method::PUT) => {
                put_manifest(state, repository, reference, request)
            }
            (Self::Blob { repository, digest }, _) if is_read => get_blob(state, repository, digest),
            (Self::Uploads { repository }, &Method::POST) => uploads::start(state, repository, request),
            (Self::Upload { repository, id }, &Method::PATCH) => uploads::append(state, repository, id, request),
            (Self::Upload { repository, id }, &Method::PUT) => uploads::finish(state, repository, id, request),
            (Self::Tags { repository }, _) if is_read => list_tags(state, repository),
            (Self::Referrers { repository, subject }, _) if is_read => list_referrers(state, repository, subject),
            _ => refuse(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", "The operation is unsupported."),
        }
    }
}

fn get_manifest(state: &State, name: &str, reference: &str) -> Response<Bytes> {
    match state.ecr.repository(name).and_then(|repository| repository.manifest(reference)) {
        Some((digest, manifest)) => {
            let mut response = wire::respond(StatusCode::OK, &manifest.media_type, manifest.body.clone());
            set(&mut response, CONTENT_DIGEST, digest);
            response
        }
        None => refuse(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN", "Requested image not found"),
    }
}

fn put_manifest(state: &mut State, name: &str, reference: &str, request: &Request<Bytes>) -> Response<Bytes> {
    let now = state.now;
    let media_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or(oci::MANIFEST);
    let digest = oci::digest(request.body());
    let tag = (!reference.starts_with("sha256:")).then_some(reference);
    if tag.is_none() && reference != digest {
        return refuse(StatusCode::BAD_REQUEST, "DIGEST_INVALID", "The provided digest does not match the manifest");
    }
    match state.ecr.push(name, media_type, request.body(), tag, now) {
        None => refuse_as(&ecr::no_repository(state, name)),
        Some(Ok(_)) => {
            // ECR sends no Location here, whatever the specification says.
            let mut response = wire::respond(StatusCode::CREATED, "text/plain", "");
            set(&mut response, CONTENT_DIGEST, &digest);
            // The registry keeps the list of what refers to an image, and says so ("Pushing Manifests with Subject").
            let manifest: Value = serde_json::from_slice(request.body()).unwrap_or_default();
            if let Some(subject) = manifest["subject"]["digest"].as_str().filter(|_| !state.ecr.lists_no_referrers) {
                set(&mut response, SUBJECT, subject);
            }
            response
        }
        Some(Err(refusal)) => refuse_as(&refusal),
    }
}

fn get_blob(state: &State, name: &str, digest: &str) -> Response<Bytes> {
    match state.ecr.repository(name).and_then(|repository| repository.blob(digest)) {
        Some(blob) => {
            let mut response = wire::respond(StatusCode::OK, "application/octet-stream", blob.clone());
            set(&mut response, CONTENT_DIGEST, digest);
            response
        }
        None => refuse(StatusCode::NOT_FOUND, "BLOB_UNKNOWN", "blob unknown to registry"),
    }
}

fn list_tags(state: &State, name: &str) -> Response<Bytes> {
    let tags: Vec<&str> = state.ecr.repository(name).into_iter().flat_map(ecr::Repository::tags).collect();
    wire::json_response(StatusCode::OK, &json!({ "name": name, "tags": tags }))
}

fn list_referrers(state: &State, name: &str, subject: &str) -> Response<Bytes> {
    if state.ecr.lists_no_referrers {
        return refuse(StatusCode::NOT_FOUND, "NOT_FOUND", "no such resource");
    }
    let referrers: Vec<Value> =
        state.ecr.repository(name).map(|repository| repository.referrers(subject)).unwrap_or_default();
    let media_type = "application/vnd.oci.image.index.v1+json";
    let index = json!({ "schemaVersion": 2, "mediaType": media_type, "manifests": referrers });
    wire::respond(StatusCode::OK, media_type, index.to_string())
}

fn set(response: &mut Response<Bytes>, name: HeaderName, value: &str) {
    // What cannot be a header's value came in through a URL, and no such URL reaches the world.
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

#[cfg(test)]
mod tests;
