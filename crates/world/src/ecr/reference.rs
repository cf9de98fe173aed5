//! Image references, as a task definition or `docker push` writes them.

use std::collections::BTreeMap;

use serde_json::Value;

use super::repository::Repository;
use crate::oci;
use crate::state::State;

/// `host/repository:tag@digest`, in its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reference<'a> {
    /// `None` for an image of Docker Hub.
    pub(crate) host: Option<&'a str>,
    pub(crate) repository: &'a str,
    pub(crate) tag: Option<&'a str>,
    pub(crate) digest: Option<&'a str>,
}

/// What the one who runs an image needs to know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ImageFacts {
    pub(crate) digest: String,
    pub(crate) labels: BTreeMap<String, String>,
    /// The architectures that it was built for: several for an index.
    pub(crate) architectures: Vec<String>,
    pub(crate) config_digest: String,
}

impl<'a> Reference<'a> {
    /// Splits as Docker does: a first part with a dot or a port, or `localhost`, is a host.
    pub(crate) fn parse(text: &'a str) -> Self {
        let (text, digest) = match text.split_once('@') {
            Some((text, digest)) => (text, Some(digest)),
            None => (text, None),
        };
        let (host, rest) = match text.split_once('/') {
            Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => (Some(host), rest),
            _ => (None, text),
        };
        let (repository, tag) = match rest.rsplit_once(':') {
            Some((repository, tag)) => (repository, Some(tag)),
            None => (rest, None),
        };
        Self { host, repository, tag, digest }
    }

    /// Whether the image lies in this account's registry, under ECR's name or the one at which the world serves it.
    pub(crate) fn is_ours(&self, state: &State) -> bool {
        let name = format!("{}.dkr.ecr.{}.amazonaws.com", state.account, state.region);
        self.host.is_some_and(|host| host == state.registry_host || host == name)
    }

    /// What the registry is asked for: a digest wins over a tag, and no tag means `latest`.
    pub(crate) fn wanted(&self) -> &'a str {
        self.digest.or(self.tag).unwrap_or("latest")
    }
}

/// Looks an image up, as the one who pulls it. `None` if this account's registry has no such image; an image of another
/// registry is assumed to exist, for every architecture.
pub(crate) fn image(state: &State, reference: &str) -> Option<ImageFacts> {
    let parsed = Reference::parse(reference);
    if parsed.is_ours(state) {
        return facts(state.ecr.repository(parsed.repository)?, parsed.wanted());
    }
    let digest = parsed.digest.map_or_else(|| oci::digest(reference.as_bytes()), str::to_owned);
    Some(ImageFacts {
        config_digest: oci::digest(digest.as_bytes()),
        digest,
        labels: BTreeMap::new(),
        architectures: vec!["amd64".to_owned(), "arm64".to_owned()],
    })
}

fn facts(repository: &Repository, wanted: &str) -> Option<ImageFacts> {
    let (digest, manifest) = repository.manifest(wanted)?;
    let parsed = manifest.parse();
    let children = oci::children(&parsed);
    // The images of an index are alike but for their architecture: one speaks for all.
    if let Some((child, _)) = children.iter().find(|(_, architecture)| *architecture == "amd64").or(children.first()) {
        let architectures = children.iter().map(|(_, architecture)| (*architecture).to_owned()).collect();
        return facts(repository, child).map(|facts| ImageFacts { digest: digest.to_owned(), architectures, ..facts });
    }
    let config_digest = parsed["config"]["digest"].as_str()?;
    let config: Value = serde_json::from_slice(repository.blob(config_digest)?).ok()?;
    let labels = config["config"]["Labels"].as_object().into_iter().flatten();
    Some(ImageFacts {
        digest: digest.to_owned(),
        labels: labels.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect(),
        architectures: vec![config["architecture"].as_str().unwrap_or("amd64").to_owned()],
        config_digest: config_digest.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::ImageSeed;
    use super::*;
    use crate::state::World;

    #[test]
    fn a_reference_is_split_as_docker_does() {
        let check = |text, host, repository, tag, digest| {
            assert_eq!(Reference::parse(text), Reference { host, repository, tag, digest }, "{text}");
        };
        check("nginx", None, "nginx", None, None);
        check("library/nginx:1.27", None, "library/nginx", Some("1.27"), None);
        check("127.0.0.1:5000/shop/auth", Some("127.0.0.1:5000"), "shop/auth", None, None);
        check("public.ecr.aws/x/y:1@sha256:0a", Some("public.ecr.aws"), "x/y", Some("1"), Some("sha256:0a"));
    }

    #[test]
    fn an_image_is_found_by_every_form_of_its_name() {
        let world = World::new();
        let digest = world.push_image(ImageSeed {
            repository: "shop/auth".into(),
            tag: "v1".into(),
            labels: vec![("world.serves".into(), "is unhealthy".into())],
            ..Default::default()
        });
        world.with(|state| state.registry_host = "127.0.0.1:4321".to_owned());
        for name in [
            "111122223333.dkr.ecr.eu-west-1.amazonaws.com/shop/auth:v1".to_owned(),
            "127.0.0.1:4321/shop/auth:v1".to_owned(),
            format!("127.0.0.1:4321/shop/auth@{digest}"),
            format!("127.0.0.1:4321/shop/auth:v1@{digest}"),
        ] {
            let found = world.with(|state| image(state, &name)).expect(&name);
            assert_eq!(
                (found.digest.as_str(), found.labels["world.serves"].as_str()),
                (digest.as_str(), "is unhealthy")
            );
        }
        assert_eq!(world.with(|state| image(state, "127.0.0.1:4321/shop/auth:v2")), None);
        assert_eq!(world.with(|state| image(state, "127.0.0.1:4321/shop/nope:v1")), None);
    }

    #[test]
    fn an_image_has_the_architectures_that_it_was_built_for() {
        let world = World::new();
        let architectures = |platforms: &[&'static str]| {
            let seed = ImageSeed { repository: "app".into(), platforms: platforms.to_vec(), ..Default::default() };
            let digest = world.push_image(seed);
            let image = world.with(|state| {
                let name = format!("{}/app@{digest}", state.registry_host);
                image(state, &name)
            });
            image.map(|image| (image.digest == digest, image.architectures.join(" "))).expect("an image")
        };
        assert_eq!(architectures(&[]), (true, "amd64".to_owned()));
        assert_eq!(architectures(&["linux/arm64"]), (true, "arm64".to_owned()));
        assert_eq!(architectures(&["linux/arm64", "linux/amd64"]), (true, "arm64 amd64".to_owned()));
    }

    #[test]
    fn an_image_of_another_registry_is_assumed_to_exist() {
        let found = World::new().with(|state| image(state, "nginx:1.27")).unwrap();
        assert!(found.labels.is_empty() && found.digest.starts_with("sha256:"));
    }
}
