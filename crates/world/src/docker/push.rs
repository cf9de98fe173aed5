//! Pushing an image to the world's registry.

use base64::Engine;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use http::{Request, Response};
use serde_json::{Value, json};

use super::{failure, stream};
use crate::ecr::{self, Password, Reference};
use crate::oci;
use crate::registry;
use crate::state::State;
use crate::wire::{self, Refusal};

/// Answers `POST /images/{name}/push`.
pub(super) fn answer(state: &mut State, name: &str, request: &Request<Bytes>) -> Response<Bytes> {
    let tag = wire::query(request).into_iter().find(|(name, tag)| name == "tag" && !tag.is_empty()).map(|(_, tag)| tag);
    let mut lines = vec![json!({ "status": format!("The push refers to repository [{name}]") })];
    let tags = tag.map_or_else(|| state.docker.tags_of(name), |tag| vec![tag]);
    if tags.is_empty() {
        lines.push(failure(&format!("An image does not exist locally with the tag: {name}")));
    }
    for tag in tags {
        if let Err(message) = push(state, name, &tag, request, &mut lines) {
            lines.push(failure(&message));
            break;
        }
    }
    stream(&lines)
}

fn push(
    state: &mut State,
    name: &str,
    tag: &str,
    request: &Request<Bytes>,
    lines: &mut Vec<Value>,
) -> Result<(), String> {
    let local = format!("{name}:{tag}");
    let Some((_, image)) = state.docker.find(&local) else {
        return Err(format!("An image does not exist locally with the tag: {name}"));
    };
    let image = image.clone();
    let reference = Reference::parse(&local);
    if !reference.is_ours(state) {
        let host = reference.host.unwrap_or("registry-1.docker.io");
        return Err(format!("Get \"https://{host}/v2/\": dial tcp: lookup {host}: no such host"));
    }
    authenticate(state, request)?;
    let missing = ecr::no_repository(state, reference.repository);
    let now = state.now;
    let repository = state.ecr.repository_mut(reference.repository).ok_or_else(|| put(&missing))?;
    let mut layers = Vec::new();
    for layer in &image.layers {
        let blob = oci::gzip(&layer.tar).map_err(|error| error.to_string())?;
        let id = &oci::digest(&layer.tar)["sha256:".len()..][..12];
        let status = if repository.blob(&oci::digest(&blob)).is_some() { "Layer already exists" } else { "Pushed" };
        lines.push(json!({ "status": "Preparing", "progressDetail": {}, "id": id }));
        lines.push(json!({ "status": status, "progressDetail": {}, "id": id }));
        repository.put_blob(blob.clone());
        layers.push(blob);
    }
    repository.put_blob(image.config.clone());
    let manifest = oci::manifest(&image.config, &layers);
    let pushed = state.ecr.push(reference.repository, oci::MANIFEST, &manifest, Some(tag), now);
    pushed.ok_or_else(|| put(&missing))?.map_err(|refusal| put(&refusal))?;
    let (digest, size) = (oci::digest(&manifest), manifest.len());
    lines.push(json!({ "status": format!("{tag}: digest: {digest} size: {size}") }));
    lines.push(json!({ "progressDetail": {}, "aux": { "Tag": tag, "Digest": digest, "Size": size } }));
    remember(state, &local, &format!("{name}@{digest}"));
    Ok(())
}

fn remember(state: &mut State, local: &str, digest: &str) {
    if let Some(image) = state.docker.find_mut(local)
        && !image.digests.iter().any(|known| known == digest)
    {
        image.digests.push(digest.to_owned());
    }
}

fn authenticate(state: &State, request: &Request<Bytes>) -> Result<(), String> {
    let header = request.headers().get("x-registry-auth").and_then(|value| value.to_str().ok());
    let credentials = header.and_then(decode).unwrap_or(Value::Null);
    let (Some("AWS"), Some(password)) = (credentials["username"].as_str(), credentials["password"].as_str()) else {
        return Err("no basic auth credentials".to_owned());
    };
    match state.ecr.password(password, state.now) {
        Password::Valid => Ok(()),
        Password::Expired => {
            Err("denied: Your authorization token has expired. Reauthenticate and try again.".to_owned())
        }
        Password::Unknown => Err("denied: Not Authorized".to_owned()),
    }
}

/// The header's JSON. The API asks for base64's URL-safe alphabet, and there are clients that send the standard one.
fn decode(header: &str) -> Option<Value> {
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let bytes =
        [URL_SAFE, STANDARD].iter().find_map(|alphabet| GeneralPurpose::new(alphabet, config).decode(header).ok());
    serde_json::from_slice(&bytes?).ok()
}

/// The registry's refusal in the words in which the engine passes it on: `tag invalid: The image tag …`.
fn put(refusal: &Refusal) -> String {
    let (code, _) = registry::code_of(refusal);
    format!("{}: {}", code.to_lowercase().replace('_', " "), refusal.message)
}
