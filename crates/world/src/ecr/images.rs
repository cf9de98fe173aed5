//! Images: manifests, layers and tags.

use bytes::Bytes;
use serde_json::{Value, json};

use super::repository::{Manifest, Pushed, Repository};
use super::{listing, named, no_repository, required, scans, violation};
use crate::state::State;
use crate::wire::{self, Refusal};
use crate::{oci, registry};

pub(super) fn describe(state: &State, body: &Value) -> Result<Value, Refusal> {
    let (repository, name) = named(state, body)?;
    let digests = match body["imageIds"].as_array() {
        None => repository.manifests.keys().cloned().collect(),
        Some(ids) if ids.is_empty() || ids.len() > 100 => {
            return Err(violation("imageIds", "Member must have length between 1 and 100, inclusive"));
        }
        Some(ids) => ids
            .iter()
            .map(|id| {
                find(repository, id).map(|(digest, _)| digest.to_owned()).ok_or_else(|| not_found(state, &name, id))
            })
            .collect::<Result<Vec<_>, _>>()?,
    };
    let wanted = body["filter"]["tagStatus"].as_str();
    let details = digests
        .iter()
        .filter(|digest| has_tag_status(repository, digest, wanted))
        .filter_map(|digest| repository.manifests.get(digest).map(|manifest| (digest, manifest)))
        .map(|(digest, manifest)| detail(state, &name, repository, digest, manifest))
        .collect();
    listing("imageDetails", details, body)
}

pub(super) fn list(state: &State, body: &Value) -> Result<Value, Refusal> {
    let (repository, _) = named(state, body)?;
    let wanted = body["filter"]["tagStatus"].as_str();
    let ids = repository.manifests.keys().filter(|digest| has_tag_status(repository, digest, wanted));
    let ids = ids.flat_map(|digest| match tags_of(repository, digest) {
        tags if tags.is_empty() => vec![json!({ "imageDigest": digest })],
        tags => tags.iter().map(|tag| json!({ "imageDigest": digest, "imageTag": tag })).collect(),
    });
    listing("imageIds", ids.collect(), body)
}

pub(super) fn batch_get(state: &State, body: &Value) -> Result<Value, Refusal> {
    let (repository, name) = named(state, body)?;
    let (mut images, mut failures) = (Vec::new(), Vec::new());
    let ids = body["imageIds"].as_array().ok_or_else(|| violation("imageIds", "must not be null"))?;
    if ids.is_empty() || ids.len() > 100 {
        return Err(violation("imageIds", "Member must have length between 1 and 100, inclusive"));
    }
    for id in ids {
        match find(repository, id) {
            Some((digest, manifest)) => images.push(view(state, &name, digest, id["imageTag"].as_str(), manifest)),
            None => failures.push(failure(repository, id)),
        }
    }
    Ok(json!({ "images": images, "failures": failures }))
}

pub(super) fn batch_check_layer_availability(state: &State, body: &Value) -> Result<Value, Refusal> {
    let (repository, _) = named(state, body)?;
    let digests = body["layerDigests"].as_array().ok_or_else(|| violation("layerDigests", "must not be null"))?;
    if digests.is_empty() || digests.len() > 100 {
        return Err(violation("layerDigests", "Member must have length between 1 and 100, inclusive"));
    }
    let (mut layers, mut failures) = (Vec::new(), Vec::new());
    for digest in digests.iter().map(|digest| digest.as_str().unwrap_or_default()) {
        if !digest.starts_with("sha256:") {
            let reason = "Invalid layer digest";
            failures
                .push(json!({ "layerDigest": digest, "failureCode": "InvalidLayerDigest", "failureReason": reason }));
        } else if let Some(blob) = repository.blob(digest) {
            let size = blob.len();
            layers.push(json!({
                "layerDigest": digest, "layerAvailability": "AVAILABLE", "layerSize": size, "mediaType": oci::LAYER,
            }));
        } else {
            layers.push(json!({ "layerDigest": digest, "layerAvailability": "UNAVAILABLE" }));
        }
    }
    Ok(json!({ "layers": layers, "failures": failures }))
}

/// Takes configurations as well as layers. <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_GetDownloadUrlForLayer.html>
pub(super) fn get_download_url_for_layer(state: &State, body: &Value) -> Result<Value, Refusal> {
    let (repository, name) = named(state, body)?;
    let digest = required(body, "layerDigest")?;
    if repository.blob(&digest).is_none() {
        let message = format!(
            "The layer with digest '{digest}' does not exist in the repository with name '{name}' in the registry with id '{}'",
            state.account
        );
        return Err(Refusal::new("LayersNotFoundException", message));
    }
    if !repository.refers_to(&digest) {
        let message = "The specified layer is not available because it is not associated with an image.";
        return Err(Refusal::new("LayerInaccessibleException", message));
    }
    Ok(json!({ "downloadUrl": registry::layer_url(state, &name, &digest), "layerDigest": digest }))
}

pub(super) fn put(state: &mut State, body: &Value) -> Result<Value, Refusal> {
    let manifest = Bytes::from(required(body, "imageManifest")?);
    let (account, now) = (state.account.clone(), state.now);
    let (_, name) = named(state, body)?;
    let digest = oci::digest(&manifest);
    if body["imageDigest"].as_str().is_some_and(|expected| expected != digest) {
        let message = "The provided digest does not match the digest of the manifest";
        return Err(Refusal::new("ImageDigestDoesNotMatchException", message));
    }
    let tag = body["imageTag"].as_str();
    let media_type = media_type(body, &manifest);
    let pushed = state.ecr.push(&name, &media_type, &manifest, tag, now);
    if let Pushed::Unchanged(digest) = pushed.ok_or_else(|| no_repository(state, &name))?? {
        let tag = tag.unwrap_or("null");
        let message = format!(
            "Image with digest '{digest}' and tag '{tag}' already exists in the repository with name '{name}' in registry \
             with id '{account}'"
        );
        return Err(Refusal::new("ImageAlreadyExistsException", message));
    }
    let (repository, name) = named(state, body)?;
    let stored =
        repository.manifests.get(&digest).ok_or_else(|| not_found(state, &name, &json!({ "imageDigest": digest })))?;
    Ok(json!({ "image": view(state, &name, &digest, tag, stored) }))
}

/// The image that an `imageId` names: by tag, by digest, or by both if they agree.
pub(super) fn find<'a>(repository: &'a Repository, id: &Value) -> Option<(&'a str, &'a Manifest)> {
    let (digest, tag) = (id["imageDigest"].as_str(), id["imageTag"].as_str());
    let (found, manifest) = repository.manifest(tag.or(digest)?)?;
    digest.is_none_or(|digest| digest == found).then_some((found, manifest))
}

pub(super) fn not_found(state: &State, name: &str, id: &Value) -> Refusal {
    let part = |member: &str| id[member].as_str().unwrap_or("null").to_owned();
    let message = format!(
        "The image with imageId {{imageDigest:'{}', imageTag:'{}'}} does not exist within the repository with name \
         '{name}' in the registry with id '{}'",
        part("imageDigest"),
        part("imageTag"),
        state.account
    );
    Refusal::new("ImageNotFoundException", message)
}

fn failure(repository: &Repository, id: &Value) -> Value {
    let (code, reason) = match (id["imageDigest"].as_str(), id["imageTag"].as_str()) {
        (None, None) => ("MissingDigestAndTag", "Invalid request parameters: both tag and digest cannot be null"),
        (Some(digest), Some(_)) if repository.manifests.contains_key(digest) => {
            ("ImageTagDoesNotMatchDigest", "Requested image tag does not match the image digest")
        }
        _ => ("ImageNotFound", "Requested image not found"),
    };
    json!({ "imageId": id, "failureCode": code, "failureReason": reason })
}

fn view(state: &State, name: &str, digest: &str, tag: Option<&str>, manifest: &Manifest) -> Value {
    let mut id = json!({ "imageDigest": digest });
    if let Some(tag) = tag {
        id["imageTag"] = json!(tag);
    }
    json!({
        "registryId": state.account,
        "repositoryName": name,
        "imageId": id,
        "imageManifest": String::from_utf8_lossy(&manifest.body),
        "imageManifestMediaType": manifest.media_type,
    })
}

fn detail(state: &State, name: &str, repository: &Repository, digest: &str, manifest: &Manifest) -> Value {
    let parsed = manifest.parse();
    let blobs = oci::blobs(&parsed);
    let size: usize = blobs.iter().filter_map(|blob| repository.blob(blob)).map(Bytes::len).sum();
    let mut detail = json!({
        "registryId": state.account,
        "repositoryName": name,
        "imageDigest": digest,
        "imageSizeInBytes": size,
        "imagePushedAt": wire::epoch(manifest.pushed_at),
        "imageManifestMediaType": manifest.media_type,
        "imageStatus": "ACTIVE",
    });
    let tags = tags_of(repository, digest);
    if !tags.is_empty() {
        detail["imageTags"] = json!(tags);
    }
    if let Some(media_type) = parsed["config"]["mediaType"].as_str() {
        detail["artifactMediaType"] = json!(media_type);
    }
    if let Some(scan) = scans::stage(repository, manifest, state.now) {
        detail["imageScanStatus"] = json!({ "status": scan.status, "description": scan.description });
    }
    detail
}

fn tags_of<'a>(repository: &'a Repository, digest: &str) -> Vec<&'a str> {
    repository.tags.iter().filter(|(_, tagged)| *tagged == digest).map(|(tag, _)| tag.as_str()).collect()
}

fn has_tag_status(repository: &Repository, digest: &str, wanted: Option<&str>) -> bool {
    let is_tagged = repository.tags.values().any(|tagged| tagged == digest);
    match wanted {
        Some("TAGGED") => is_tagged,
        Some("UNTAGGED") => !is_tagged,
        _ => true,
    }
}

/// As the caller says, else as the manifest itself says.
fn media_type(body: &Value, manifest: &Bytes) -> String {
    let parsed: Value = serde_json::from_slice(manifest).unwrap_or(Value::Null);
    let said = body["imageManifestMediaType"].as_str().or_else(|| parsed["mediaType"].as_str());
    said.unwrap_or(oci::MANIFEST).to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::{ImageSeed, answer};
    use super::*;
    use crate::state::World;

    fn ask(world: &World, operation: &str, body: Value) -> Result<Value, String> {
        world.with(|state| answer(state, operation, &body)).map_err(|refusal| refusal.code)
    }

    fn world_with_an_image() -> (World, String) {
        let world = World::new();
        let digest = world.push_image(ImageSeed { repository: "app".into(), tag: "v1".into(), ..Default::default() });
        (world, digest)
    }

    #[test]
    fn a_retag_puts_the_same_manifest_under_another_tag() {
        let (world, digest) = world_with_an_image();
        let get = json!({ "repositoryName": "app", "imageIds": [{ "imageTag": "v1" }, { "imageTag": "v2" }] });
        let got = ask(&world, "BatchGetImage", get).unwrap();
        assert_eq!(got["images"][0]["imageId"]["imageDigest"], digest);
        assert_eq!(got["failures"][0]["failureCode"], "ImageNotFound");

        let manifest = &got["images"][0]["imageManifest"];
        let put = |tag: &str| json!({ "repositoryName": "app", "imageManifest": manifest, "imageTag": tag });
        assert_eq!(ask(&world, "PutImage", put("v2")).unwrap()["image"]["imageId"]["imageDigest"], digest);
        assert_eq!(ask(&world, "PutImage", put("v2")), Err("ImageAlreadyExistsException".to_owned()));
        let described = ask(&world, "DescribeImages", json!({ "repositoryName": "app" })).unwrap();
        assert_eq!(described["imageDetails"][0]["imageTags"], json!(["v1", "v2"]));
    }

    #[test]
    fn an_immutable_tag_keeps_its_image() {
        let (world, _) = world_with_an_image();
        let immutable = json!({ "repositoryName": "app", "imageTagMutability": "IMMUTABLE" });
        ask(&world, "PutImageTagMutability", immutable).unwrap();
        let other = json!({ "repositoryName": "app", "imageManifest": "{\"other\":1}", "imageTag": "v1" });
        assert_eq!(ask(&world, "PutImage", other), Err("ImageTagAlreadyExistsException".to_owned()));
    }

    #[test]
    fn layers_are_there_or_not() {
        let (world, digest) = world_with_an_image();
        let config = world.with(|state| {
            let manifest = state.ecr.repository("app").unwrap().manifest(&digest).unwrap().1.parse();
            manifest["config"]["digest"].clone()
        });
        let missing = oci::digest(b"nowhere");
        let body = json!({ "repositoryName": "app", "layerDigests": [config, missing, "md5:0"] });
        let answer = ask(&world, "BatchCheckLayerAvailability", body).unwrap();
        assert_eq!(answer["layers"][0]["layerAvailability"], "AVAILABLE");
        assert_eq!(answer["layers"][1]["layerAvailability"], "UNAVAILABLE");
        assert_eq!(answer["failures"][0]["failureCode"], "InvalidLayerDigest");
    }

    #[test]
    fn an_index_is_had_with_its_images() {
        let world = World::new();
        let platforms = vec!["linux/amd64", "linux/arm64"];
        let seed = ImageSeed { repository: "app".into(), tag: "v1".into(), platforms, ..Default::default() };
        let digest = world.push_image(seed);
        let get = |id: Value| {
            let body = json!({ "repositoryName": "app", "imageIds": [id] });
            let answer = ask(&world, "BatchGetImage", body).unwrap();
            let manifest = answer["images"][0]["imageManifest"].as_str().expect("a manifest").to_owned();
            (answer["images"][0].clone(), serde_json::from_str::<Value>(&manifest).unwrap())
        };
        let (image, index) = get(json!({ "imageTag": "v1" }));
        assert_eq!(
            (&image["imageManifestMediaType"], &image["imageId"]["imageDigest"]),
            (&json!(oci::INDEX), &json!(digest))
        );
        assert_eq!(index["manifests"][1]["platform"], json!({ "architecture": "arm64", "os": "linux" }));
        let (_, manifest) = get(json!({ "imageDigest": index["manifests"][1]["digest"] }));
        let config = download(&world, manifest["config"]["digest"].as_str().unwrap());
        let config: Value = serde_json::from_slice(&config).unwrap();
        assert_eq!((&config["architecture"], &config["os"]), (&json!("arm64"), &json!("linux")));
    }

    /// What lies behind the URL of a layer or a configuration.
    fn download(world: &World, digest: &str) -> Bytes {
        let body = json!({ "repositoryName": "app", "layerDigest": digest });
        let url = ask(world, "GetDownloadUrlForLayer", body).unwrap()["downloadUrl"].as_str().unwrap().to_owned();
        let request = http::Request::get(url).body(Bytes::new()).unwrap();
        let response = world.answer(&request).unwrap();
        assert_eq!(response.status(), http::StatusCode::OK);
        response.into_body()
    }

    #[test]
    fn a_layer_of_no_image_is_not_to_be_had() {
        let (world, _) = world_with_an_image();
        let orphan = world.with(|state| state.ecr.repository_mut("app").unwrap().put_blob(Bytes::from("orphan")));
        let ask = |digest: &str| {
            ask(&world, "GetDownloadUrlForLayer", json!({ "repositoryName": "app", "layerDigest": digest }))
        };
        assert_eq!(ask(&orphan), Err("LayerInaccessibleException".to_owned()));
        assert_eq!(ask(&oci::digest(b"nowhere")), Err("LayersNotFoundException".to_owned()));
    }

    #[test]
    fn a_missing_image_is_named_in_the_refusal() {
        let (world, _) = world_with_an_image();
        let body = json!({ "repositoryName": "app", "imageIds": [{ "imageTag": "v9" }] });
        let refusal = world.with(|state| answer(state, "DescribeImages", &body)).unwrap_err();
        assert_eq!(refusal.code, "ImageNotFoundException");
        assert!(
            refusal.message.starts_with("The image with imageId {imageDigest:'null', imageTag:'v9'} does not exist")
        );
    }

    #[test]
    fn listings_are_paged_and_filtered() {
        let (world, _) = world_with_an_image();
        for tag in ["v2", "v3"] {
            world.push_image(ImageSeed {
                repository: "app".into(),
                tag: tag.into(),
                env: vec![format!("V={tag}")],
                ..Default::default()
            });
        }
        let first = ask(&world, "ListImages", json!({ "repositoryName": "app", "maxResults": 2 })).unwrap();
        let rest = json!({ "repositoryName": "app", "maxResults": 2, "nextToken": first["nextToken"] });
        assert_eq!(ask(&world, "ListImages", rest).unwrap()["imageIds"].as_array().unwrap().len(), 1);
        let untagged = json!({ "repositoryName": "app", "filter": { "tagStatus": "UNTAGGED" } });
        assert_eq!(ask(&world, "ListImages", untagged).unwrap()["imageIds"], json!([]));
    }
}
