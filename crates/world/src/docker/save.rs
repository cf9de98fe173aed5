//! `GET /images/{name}/get` and `/history`: an image as an archive, and how it was made.

use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::{Value, json};
use tar::{Builder, Header};

use super::images::{Docker, Image, missing};
use crate::oci;
use crate::wire;

impl Docker {
    /// The image as an OCI image layout, with the `manifest.json` of `docker save` beside it, as engines from 25 on write it.
    pub(super) fn save(&self, name: &str) -> Response<Bytes> {
        let Some((_, image)) = self.find(name) else { return missing(name) };
        match archive(image) {
            Ok(archive) => wire::respond(StatusCode::OK, "application/x-tar", archive),
            Err(error) => super::refuse(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        }
    }

    /// The steps that made it, the last one first.
    pub(super) fn history(&self, name: &str) -> Response<Bytes> {
        let Some((id, image)) = self.find(name) else { return missing(name) };
        let config = image.parse();
        let mut sizes = image.layers.iter().map(|layer| layer.tar.len());
        let steps = config["history"].as_array().into_iter().flatten();
        let mut steps: Vec<Value> = steps
            .map(|step| {
                let is_empty = step["empty_layer"] == true;
                json!({
                    "Id": "<missing>",
                    "Created": image.created.as_second(),
                    "CreatedBy": step["created_by"],
                    "Tags": [],
                    "Size": if is_empty { 0 } else { sizes.next().unwrap_or_default() },
                    "Comment": step["comment"],
                })
            })
            .collect();
        steps.reverse();
        if let Some(last) = steps.first_mut() {
            last["Id"] = json!(id);
        }
        wire::json_response(StatusCode::OK, &json!(steps))
    }
}

fn archive(image: &Image) -> std::io::Result<Vec<u8>> {
    let config = oci::digest(&image.config);
    let digests: Vec<String> = image.layers.iter().map(|layer| oci::digest(&layer.tar)).collect();
    let layers = image.layers.iter().zip(&digests).map(|(layer, digest)| {
        json!({ "mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest, "size": layer.tar.len() })
    });
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": config,
            "size": image.config.len(),
        },
        "layers": layers.collect::<Vec<_>>(),
    })
    .to_string();
    let manifest_digest = oci::digest(manifest.as_bytes());
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [{
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": manifest_digest,
            "size": manifest.len(),
        }],
    });
    let old = json!([{
        "Config": blob(&config),
        "Layers": digests.iter().map(|digest| blob(digest)).collect::<Vec<_>>(),
    }]);
    let mut tar = Builder::new(Vec::new());
    for (digest, layer) in digests.iter().zip(&image.layers) {
        append(&mut tar, &blob(digest), &layer.tar)?;
    }
    append(&mut tar, &blob(&config), &image.config)?;
    append(&mut tar, &blob(&manifest_digest), manifest.as_bytes())?;
    append(&mut tar, "index.json", index.to_string().as_bytes())?;
    append(&mut tar, "manifest.json", old.to_string().as_bytes())?;
    append(&mut tar, "oci-layout", br#"{"imageLayoutVersion": "1.0.0"}"#)?;
    tar.into_inner()
}

fn blob(digest: &str) -> String {
    format!("blobs/{}", digest.replace(':', "/"))
}

fn append(tar: &mut Builder<Vec<u8>>, name: &str, content: &[u8]) -> std::io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, name, content)
}
