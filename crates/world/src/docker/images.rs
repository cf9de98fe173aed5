//! The engine's images.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{Response, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::refuse;
use crate::oci;
use crate::wire;

/// What the engine knows.
#[derive(Debug, Default)]
pub(crate) struct Docker {
    /// By id, which is the digest of the configuration.
    images: BTreeMap<String, Image>,
    /// From `name:tag` to id.
    tags: BTreeMap<String, String>,
    /// When what was built for the first time: the build cache, as far as it can be seen from outside.
    pub(super) first_built: BTreeMap<String, Timestamp>,
}

/// An image in the engine's store.
#[derive(Clone, Debug)]
pub(super) struct Image {
    pub(super) config: Bytes,
    pub(super) layers: Vec<Layer>,
    pub(super) created: Timestamp,
    /// `repository@digest`, for every repository that it was pushed to.
    pub(super) digests: Vec<String>,
}

/// A layer, uncompressed.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    pub(super) tar: Bytes,
}

impl Image {
    /// The configuration, as the `config` of it is read in many places.
    pub(super) fn parse(&self) -> Value {
        serde_json::from_slice(&self.config).unwrap_or(Value::Null)
    }

    fn size(&self) -> usize {
        self.layers.iter().map(|layer| layer.tar.len()).sum()
    }
}

impl Docker {
    pub(super) fn count(&self) -> usize {
        self.images.len()
    }

    /// Stores an image and answers its id.
    pub(super) fn store(&mut self, image: Image) -> String {
        let id = oci::digest(&image.config);
        self.images.entry(id.clone()).or_insert(image);
        id
    }

    pub(super) fn put_tag(&mut self, name: &str, id: &str) {
        self.tags.insert(normal(name), id.to_owned());
    }

    /// An image by its name, its id or the beginning of it, or a digest under which it was pushed.
    pub(super) fn find(&self, name: &str) -> Option<(&str, &Image)> {
        let id = name.strip_prefix("sha256:").unwrap_or(name);
        let is_id = id.len() >= 4 && id.chars().all(|digit| digit.is_ascii_hexdigit());
        let by_tag = self.tags.get(&normal(name)).and_then(|id| self.images.get_key_value(id));
        let by_digest = || self.images.iter().find(|(_, image)| image.digests.iter().any(|digest| digest == name));
        let by_id = || self.images.iter().find(|(found, _)| is_id && found["sha256:".len()..].starts_with(id));
        by_tag.or_else(by_digest).or_else(by_id).map(|(id, image)| (id.as_str(), image))
    }

    pub(super) fn find_mut(&mut self, name: &str) -> Option<&mut Image> {
        let id = self.find(name)?.0.to_owned();
        self.images.get_mut(&id)
    }

    /// The tags under which a repository is known here.
    pub(super) fn tags_of(&self, repository: &str) -> Vec<String> {
        let repository = normal(repository);
        let repository = repository.trim_end_matches(":latest");
        let tags = self.tags.keys().filter_map(|name| name.rsplit_once(':'));
        tags.filter(|(name, _)| *name == repository).map(|(_, tag)| tag.to_owned()).collect()
    }

    pub(super) fn list(&self) -> Response<Bytes> {
        let images = self.images.iter().map(|(id, image)| {
            let labels = &image.parse()["config"]["Labels"];
            json!({
                "Id": id,
                "ParentId": "",
                "RepoTags": self.names(id),
                "RepoDigests": image.digests,
                "Created": image.created.as_second(),
                "Size": image.size(),
                "SharedSize": -1,
                "Labels": if labels.is_object() { labels.clone() } else { json!({}) },
                "Containers": -1,
            })
        });
        wire::json_response(StatusCode::OK, &images.collect())
    }

    pub(super) fn inspect(&self, name: &str) -> Response<Bytes> {
        let Some((id, image)) = self.find(name) else { return missing(name) };
        let config = image.parse();
        let mut view = json!({
            "Id": id,
            "RepoTags": self.names(id),
            "RepoDigests": image.digests,
            "Created": image.created.to_string(),
            "Config": config["config"],
            "Architecture": config["architecture"],
            "Os": "linux",
            "Size": image.size(),
            "RootFS": { "Type": "layers", "Layers": config["rootfs"]["diff_ids"] },
            "GraphDriver": { "Name": "overlay2", "Data": {} },
        });
        if config["variant"].is_string() {
            view["Variant"] = config["variant"].clone();
        }
        wire::json_response(StatusCode::OK, &view)
    }

    pub(super) fn tag(&mut self, name: &str, query: &BTreeMap<String, String>) -> Response<Bytes> {
        let Some(id) = self.find(name).map(|(id, _)| id.to_owned()) else { return missing(name) };
        let repository = query.get("repo").map_or("", String::as_str);
        if repository.is_empty() {
            return refuse(StatusCode::BAD_REQUEST, "invalid reference format: repository name must not be empty");
        }
        let tag = query.get("tag").map_or("latest", |tag| if tag.is_empty() { "latest" } else { tag });
        self.put_tag(&format!("{repository}:{tag}"), &id);
        wire::respond(StatusCode::CREATED, "text/plain", "")
    }

    pub(super) fn remove(&mut self, name: &str, is_forced: bool) -> Response<Bytes> {
        let Some(id) = self.find(name).map(|(id, _)| id.to_owned()) else { return missing(name) };
        let names = self.names(&id);
        let is_name = names.contains(&normal(name));
        if !is_name && names.len() > 1 && !is_forced {
            let short = &id["sha256:".len()..][..12];
            let message = format!(
                "conflict: unable to delete {short} (must be forced) - image is referenced in multiple repositories"
            );
            return refuse(StatusCode::CONFLICT, &message);
        }
        let untagged = if is_name { vec![normal(name)] } else { names.clone() };
        self.tags.retain(|name, _| !untagged.contains(name));
        let mut lines: Vec<Value> = untagged.iter().map(|name| json!({ "Untagged": name })).collect();
        if untagged.len() >= names.len() {
            self.images.remove(&id);
            lines.push(json!({ "Deleted": id }));
        }
        wire::json_response(StatusCode::OK, &json!(lines))
    }

    fn names(&self, id: &str) -> Vec<String> {
        self.tags.iter().filter(|(_, tagged)| *tagged == id).map(|(name, _)| name.clone()).collect()
    }
}

/// The name in full: with a tag, without Docker Hub's host.
pub(super) fn normal(name: &str) -> String {
    let name = name.strip_prefix("docker.io/").unwrap_or(name);
    let name = name.strip_prefix("library/").unwrap_or(name);
    let has_tag = name.rsplit('/').next().is_some_and(|last| last.contains([':', '@']));
    if has_tag { name.to_owned() } else { format!("{name}:latest") }
}

pub(super) fn missing(name: &str) -> Response<Bytes> {
    refuse(StatusCode::NOT_FOUND, &format!("No such image: {}", normal(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_full_has_a_tag_and_no_hub() {
        for (name, expected) in [
            ("nginx", "nginx:latest"),
            ("docker.io/library/nginx:1.27", "nginx:1.27"),
            ("127.0.0.1:5000/shop/auth", "127.0.0.1:5000/shop/auth:latest"),
            ("127.0.0.1:5000/shop/auth:v1", "127.0.0.1:5000/shop/auth:v1"),
        ] {
            assert_eq!(normal(name), expected);
        }
    }
}
