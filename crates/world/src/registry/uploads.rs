//! Uploads of blobs, session by session.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::header::{CONTENT_RANGE, LOCATION, RANGE};
use http::{HeaderName, Request, Response, StatusCode};

use super::{CONTENT_DIGEST, refuse, refuse_as, set};
use crate::ecr;
use crate::oci;
use crate::state::State;
use crate::wire;

const UPLOAD_ID: HeaderName = HeaderName::from_static("docker-upload-uuid");

/// The sessions that are open, and how many there were.
#[derive(Debug, Default)]
pub(crate) struct Uploads {
    open: BTreeMap<String, Upload>,
    started: usize,
}

#[derive(Debug)]
struct Upload {
    repository: String,
    bytes: Vec<u8>,
    /// The end of the first part, at which ECR's `Range` header stays.
    first_part: Option<usize>,
}

/// `POST`: opens a session, or mounts a blob of another repository.
pub(super) fn start(state: &mut State, name: &str, request: &Request<Bytes>) -> Response<Bytes> {
    let query = wire::query(request);
    let parameter = |wanted: &str| query.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
    if let (Some(digest), Some(from)) = (parameter("mount"), parameter("from"))
        && let Some(response) = mount(state, name, digest, from, request)
    {
        return response;
    }
    state.ecr.uploads.started += 1;
    let id = oci::hexadecimal(&format!("upload {}", state.ecr.uploads.started))[..32].to_owned();
    let upload = Upload { repository: name.to_owned(), bytes: Vec::new(), first_part: None };
    state.ecr.uploads.open.insert(id.clone(), upload);
    session(StatusCode::ACCEPTED, request, name, &id, 0)
}

/// `PATCH`: the next part. ECR answers 201 where the specification says 202, with the `Range` of the first part for ever.
/// <https://github.com/aws/containers-roadmap/issues/2831>
pub(super) fn append(state: &mut State, name: &str, id: &str, request: &Request<Bytes>) -> Response<Bytes> {
    let Some(upload) = upload(state, name, id) else { return unknown() };
    let start: Option<usize> =
        request.headers().get(CONTENT_RANGE).and_then(|range| range.to_str().ok()?.split('-').next()?.parse().ok());
    if let Some(start) = start
        && start != upload.bytes.len()
    {
        let message = format!("First byte of the layer part is {start} instead of {}", upload.bytes.len());
        return refuse(StatusCode::RANGE_NOT_SATISFIABLE, "BLOB_UPLOAD_INVALID", &message);
    }
    upload.bytes.extend_from_slice(request.body());
    let end = *upload.first_part.get_or_insert(upload.bytes.len());
    session(StatusCode::CREATED, request, name, id, end)
}

/// `PUT`: the last part, or all of it, and the digest that it must have.
pub(super) fn finish(state: &mut State, name: &str, id: &str, request: &Request<Bytes>) -> Response<Bytes> {
    let Some(expected) = wire::query(request).into_iter().find(|(name, _)| name == "digest").map(|(_, value)| value)
    else {
        return refuse(StatusCode::BAD_REQUEST, "DIGEST_INVALID", "provided digest did not match uploaded content");
    };
    let Some(upload) = upload(state, name, id) else { return unknown() };
    upload.bytes.extend_from_slice(request.body());
    let bytes = Bytes::from(std::mem::take(&mut upload.bytes));
    state.ecr.uploads.open.remove(id);
    if oci::digest(&bytes) != expected {
        return refuse(StatusCode::BAD_REQUEST, "DIGEST_INVALID", "provided digest did not match uploaded content");
    }
    let Some(repository) = state.ecr.repository_mut(name) else { return refuse_as(&ecr::no_repository(state, name)) };
    repository.put_blob(bytes);
    stored(request, name, &expected)
}

/// Mounts a blob. Only one that a manifest of the other repository refers to can be mounted; any other is uploaded instead.
fn mount(state: &mut State, name: &str, digest: &str, from: &str, request: &Request<Bytes>) -> Option<Response<Bytes>> {
    let source = state.ecr.repository(from).filter(|source| source.refers_to(digest))?;
    let blob = source.blob(digest)?.clone();
    state.ecr.repository_mut(name)?.put_blob(blob);
    Some(stored(request, name, digest))
}

fn upload<'a>(state: &'a mut State, name: &str, id: &str) -> Option<&'a mut Upload> {
    state.ecr.uploads.open.get_mut(id).filter(|upload| upload.repository == name)
}

fn unknown() -> Response<Bytes> {
    refuse(StatusCode::NOT_FOUND, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
}

fn session(status: StatusCode, request: &Request<Bytes>, name: &str, id: &str, end: usize) -> Response<Bytes> {
    let mut response = wire::respond(status, "text/plain", "");
    set(&mut response, LOCATION, &format!("{}/v2/{name}/blobs/uploads/{id}", wire::base(request)));
    set(&mut response, RANGE, &format!("0-{}", end.saturating_sub(1)));
    set(&mut response, UPLOAD_ID, id);
    response
}

fn stored(request: &Request<Bytes>, name: &str, digest: &str) -> Response<Bytes> {
    let mut response = wire::respond(StatusCode::CREATED, "text/plain", "");
    set(&mut response, LOCATION, &format!("{}/v2/{name}/blobs/{digest}", wire::base(request)));
    set(&mut response, CONTENT_DIGEST, digest);
    response
}
