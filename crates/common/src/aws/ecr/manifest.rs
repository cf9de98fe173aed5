//! The manifest of an image, as the registry holds it.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::names::Digest;

/// The manifest of an image, as the registry holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Its digest, which is the image's.
    pub digest: Digest,
    /// Every digest that an engine could know the image by: that of the manifest, of the configuration, and of the manifests
    /// of its platforms.
    pub digests: BTreeSet<Digest>,
    /// The images that it consists of: those of its platforms, or itself.
    pub images: Vec<Digest>,
    /// Its size in the registry, in bytes, as ECR counts it; `None` for an index, which does not tell.
    pub size: Option<u64>,
    pub(super) text: String,
    pub(super) media_type: Option<String>,
}

impl Manifest {
    pub(super) fn new(digest: Digest, text: &str, media_type: Option<&str>) -> Self {
        let json: Value = serde_json::from_str(text).unwrap_or_default();
        let children = || json["manifests"].as_array().into_iter().flatten();
        // BuildKit's attestations are entries too, of platform `unknown/unknown`
        // (<https://docs.docker.com/build/metadata/attestations/attestation-storage/>).
        let images = children().filter(|child| child["platform"]["architecture"] != "unknown");
        let images: Vec<Digest> = images.filter_map(|child| digest_of(&child["digest"])).collect();
        let inner = children().map(|child| &child["digest"]).chain([&json["config"]["digest"]]).filter_map(digest_of);
        Self {
            digests: inner.chain([digest.clone()]).collect(),
            images: if images.is_empty() { vec![digest.clone()] } else { images },
            size: size(&json),
            text: text.to_owned(),
            media_type: media_type.map(str::to_owned),
            digest,
        }
    }
}

fn digest_of(value: &Value) -> Option<Digest> {
    value.as_str()?.parse().ok()
}

fn size(json: &Value) -> Option<u64> {
    let layers = json["layers"].as_array()?.iter().map(|layer| layer["size"].as_u64());
    layers.chain([json["config"]["size"].as_u64()]).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_may_know_an_image_by_any_of_its_digests() {
        let digest = |digit: &str| -> Digest { format!("sha256:{}", digit.repeat(64)).parse().unwrap() };
        let (manifest, config, other) = (digest("a"), digest("b"), digest("c"));
        let read = |text: &str| Manifest::new(manifest.clone(), text, None);
        let text = format!(
            r#"{{"config":{{"digest":"{config}","size":2}},"layers":[{{"digest":"{other}","size":40}},{{"size":400}}]}}"#
        );
        let single = read(&text);
        assert_eq!(single.digests, BTreeSet::from([manifest.clone(), config.clone()]));
        assert_eq!((single.images, single.size), (vec![manifest.clone()], Some(442)));
        let attestation = r#"{"digest":"x","platform":{"architecture":"unknown","os":"unknown"}}"#;
        let text = format!(r#"{{"manifests":[{{"digest":"{config}"}},{{"digest":"{other}"}},{attestation}]}}"#);
        let index = read(&text);
        assert_eq!(index.digests, BTreeSet::from([manifest.clone(), config.clone(), other.clone()]));
        assert_eq!((index.images, index.size), (vec![config, other], None));
        assert_eq!(read("not JSON").digests, BTreeSet::from([manifest.clone()]));
    }
}
