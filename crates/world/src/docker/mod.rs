//! A Docker engine: images are built, tagged, looked at and pushed. Nothing is run.
//!
//! It is an engine with the graph driver's image store and BuildKit, as on GitHub's Ubuntu runners.
//! <https://docs.docker.com/reference/api/engine/version/v1.44/>

mod build;
mod dockerfile;
mod files;
mod images;
mod push;
mod save;
mod socket;
mod stage;
mod words;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

pub(crate) use images::Docker;
pub use socket::ServedDocker;

use crate::state::State;
use crate::wire;

const API_VERSION: (u32, u32) = (1, 44);

/// A path of the engine's API without the version that clients put before it.
pub(crate) fn unversioned(path: &str) -> &str {
    version(path).map_or(path, |(_, rest)| rest)
}

/// Answers a request to the engine.
pub(crate) fn answer(state: &mut State, request: &Request<Bytes>) -> Response<Bytes> {
    let path = request.uri().path();
    if let Some(((major, minor), _)) = version(path)
        && (major, minor) > API_VERSION
    {
        let most = format!("{}.{}", API_VERSION.0, API_VERSION.1);
        let message = format!("client version {major}.{minor} is too new. Maximum supported API version is {most}");
        return refuse(StatusCode::BAD_REQUEST, &message);
    }
    let path = unversioned(path);
    let image = path.strip_prefix("/images/").map(|name| percent_decode_str(name).decode_utf8_lossy());
    match (request.method(), path, image.as_deref()) {
        (&Method::GET | &Method::HEAD, "/_ping", _) => ping(),
        (&Method::GET, "/version", _) => wire::json_response(StatusCode::OK, &engine_version()),
        (&Method::GET, "/info", _) => wire::json_response(StatusCode::OK, &info(state)),
        (&Method::POST, "/build", _) => build::answer(state, request),
        (&Method::GET, _, Some("json")) => state.docker.list(),
        (&Method::DELETE, _, Some(name)) => {
            let is_forced = wire::query(request).iter().any(|(name, value)| name == "force" && value != "false");
            state.docker.remove(name, is_forced)
        }
        (&Method::GET, _, Some(image)) if image.ends_with("/json") => {
            state.docker.inspect(image.trim_end_matches("/json"))
        }
        (&Method::GET, _, Some(image)) if image.ends_with("/get") => state.docker.save(image.trim_end_matches("/get")),
        (&Method::GET, _, Some(image)) if image.ends_with("/history") => {
            state.docker.history(image.trim_end_matches("/history"))
        }
        (&Method::POST, _, Some(image)) if image.ends_with("/tag") => {
            state.docker.tag(image.trim_end_matches("/tag"), &wire::query(request).into_iter().collect())
        }
        (&Method::POST, _, Some(image)) if image.ends_with("/push") => {
            push::answer(state, image.trim_end_matches("/push"), request)
        }
        _ => refuse(StatusCode::NOT_FOUND, "page not found"),
    }
}

fn version(path: &str) -> Option<((u32, u32), &str)> {
    let (version, _) = path.strip_prefix("/v")?.split_once('/')?;
    let (major, minor) = version.split_once('.')?;
    Some(((major.parse().ok()?, minor.parse().ok()?), &path["/v".len() + version.len()..]))
}

fn refuse(status: StatusCode, message: &str) -> Response<Bytes> {
    wire::json_response(status, &json!({ "message": message }))
}

/// What happened, line by line. A failure is a line too, under HTTP 200.
fn stream(lines: &[Value]) -> Response<Bytes> {
    let body: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    wire::respond(StatusCode::OK, "application/json", body)
}

fn failure(message: &str) -> Value {
    json!({ "errorDetail": { "message": message }, "error": message })
}

fn ping() -> Response<Bytes> {
    let mut response = wire::respond(StatusCode::OK, "text/plain; charset=utf-8", "OK");
    let headers =
        [("api-version", "1.44"), ("builder-version", "2"), ("docker-experimental", "false"), ("ostype", "linux")];
    for (name, value) in headers {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

fn engine_version() -> Value {
    json!({
        "Version": "25.0.0",
        "ApiVersion": format!("{}.{}", API_VERSION.0, API_VERSION.1),
        "MinAPIVersion": "1.24",
        "Os": "linux",
        "Arch": "amd64",
        "GitCommit": "world",
        "GoVersion": "none",
    })
}

fn info(state: &State) -> Value {
    json!({
        "ID": "world",
        "Name": "world",
        "Images": state.docker.count(),
        "Containers": 0,
        "Driver": "overlay2",
        "DriverStatus": [["Backing Filesystem", "extfs"], ["Supports d_type", "true"]],
        "OSType": "linux",
        "Architecture": "x86_64",
        "ServerVersion": "25.0.0",
        "NCPU": 2,
    })
}

#[cfg(test)]
mod tests;
