//! Where an image is before it is pushed: in the Docker engine, in an OCI image layout (a folder or an archive), in an archive of
//! `docker save`. Whatever it is, it is looked at and pushed in one shape.

mod archive;
mod layout;
mod shelf;

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use bytes::Bytes;
use serde_json::Value;

pub(crate) use shelf::{Files, Shelf};

use crate::delivery::ImagePolicy;
use crate::docker::{Examined, LocalImage, instruction, read_layers};
use crate::extent::Extent;
use crate::failure::Failure;
use crate::names::Digest;
use crate::registry::{Descriptor, Manifest};

/// The largest configuration or manifest that is read: ECR and the specification agree on 4 MiB for a manifest.
pub(crate) const TEXT: u64 = 8 << 20;

/// Where an image is, as the input `image` says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageSource {
    /// What the Docker engine knows by this name.
    Engine(String),
    /// `oci:DIR`.
    Layout(PathBuf),
    /// `oci-archive:FILE` or `docker-archive:FILE`: what it is, is seen from what is in it.
    Archive(PathBuf),
}

/// An image that is here, with all that it is made of.
#[derive(Clone, Debug)]
pub struct SourceImage {
    /// What it is, as the Docker engine would tell it.
    pub image: LocalImage,
    /// The instructions that made it, the last one first.
    pub history: Vec<String>,
    /// What it is made of.
    pub content: Content,
    /// The configuration, and the layers that are here, of what runs: for several platforms, of the first.
    files: (Bytes, Vec<Extent>),
}

/// What an image is made of.
#[derive(Clone, Debug)]
pub enum Content {
    /// It is compressed and has its manifests: they are pushed byte for byte, so that it keeps its digest.
    Whole {
        /// Those of an index before the index: the last one is the image.
        manifests: Vec<Manifest>,
        /// All that they lead to.
        blobs: Vec<Blob>,
    },
    /// It is to be compressed, and gets a manifest by that.
    Layers {
        /// The configuration, byte for byte.
        config: Bytes,
        /// From the bottom.
        layers: Vec<Layer>,
    },
}

/// Content with its digest.
#[derive(Clone, Debug)]
pub struct Blob {
    /// What points to it.
    pub descriptor: Descriptor,
    /// Its bytes.
    pub extent: Extent,
}

/// A layer of an image that is to be compressed.
#[derive(Clone, Debug)]
pub struct Layer {
    /// The digest of its uncompressed bytes.
    pub diff_id: Digest,
    /// Its bytes; `None` if they were left where they are because the registry has them.
    pub extent: Option<Extent>,
    /// What points to the bytes if they are compressed as they are.
    pub compressed: Option<Descriptor>,
}

impl FromStr for ImageSource {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        let path = |path: &str| match path {
            "" => Err(Failure::input(format!("`{text}` names no file")).hint("write its path after the colon")),
            path => Ok(PathBuf::from(path)),
        };
        match text.split_once(':') {
            Some(("oci", folder)) => Ok(Self::Layout(path(folder)?)),
            Some(("oci-archive" | "docker-archive", file)) => Ok(Self::Archive(path(file)?)),
            _ => Ok(Self::Engine(text.to_owned())),
        }
    }
}

impl fmt::Display for ImageSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Engine(name) => write!(formatter, "{name}"),
            Self::Layout(path) | Self::Archive(path) => write!(formatter, "{}", path.display()),
        }
    }
}

impl ImageSource {
    /// The same, with paths that begin at this folder.
    #[must_use]
    pub fn within(self, folder: &Path) -> Self {
        match self {
            Self::Engine(name) => Self::Engine(name),
            Self::Layout(path) => Self::Layout(folder.join(path)),
            Self::Archive(path) => Self::Archive(folder.join(path)),
        }
    }

    /// Opens what is in a file or a folder; `None` for what is in the Docker engine. Nothing large is read yet.
    pub async fn open(&self) -> Result<Option<SourceImage>, Failure> {
        let source = self.clone();
        let opening = tokio::task::spawn_blocking(move || match &source {
            Self::Engine(_) => Ok(None),
            Self::Layout(folder) => layout::read(&Shelf::folder(folder)?).map(Some),
            Self::Archive(file) => open(&Shelf::archive(file)?).map(Some),
        });
        let opened = opening.await.map_err(Failure::bug)?;
        opened.map_err(|failure| failure.context(format!("open image `{self}`")))
    }
}

/// The image of an archive, by what is in it. Engines from 25 on write a layout, with the older description beside it.
pub(crate) fn open(shelf: &Shelf) -> Result<SourceImage, Failure> {
    if shelf.get("oci-layout").is_some() && shelf.get("index.json").is_some() {
        return layout::read(shelf);
    }
    archive::read(shelf, &BTreeSet::new())
}

/// The image that an engine sent without the layers that are known elsewhere.
pub(crate) fn open_without(shelf: &Shelf, known: &BTreeSet<Digest>) -> Result<SourceImage, Failure> {
    archive::read(shelf, known)
}

impl SourceImage {
    /// Its digest in a registry, if it is known before it is pushed.
    pub fn digest(&self) -> Option<Digest> {
        match &self.content {
            Content::Whole { manifests, .. } => manifests.last().map(Manifest::digest),
            Content::Layers { .. } => None,
        }
    }

    /// Whether a manifest is that of this image: compressed by somebody else it has other digests, and the same configuration.
    pub fn is(&self, manifest: &Manifest) -> bool {
        self.digest() == Some(manifest.digest()) || manifest.is_of(&self.image.id)
    }

    /// Looks at it as closely as a policy asks for: its files are read if some have to be there, or if it is too big.
    pub async fn examine(&self, policy: &ImagePolicy) -> Result<Examined, Failure> {
        let mut examined = Examined { image: self.image.clone(), history: self.history.clone(), contents: None };
        if self.image.size > policy.max_size.bytes() || !policy.required_files.is_empty() {
            let ((config, layers), wanted) = (self.files.clone(), policy.required_files.clone());
            let reading = tokio::task::spawn_blocking(move || read_layers(&layers, &config, wanted));
            let read = reading.await.map_err(Failure::bug)?;
            examined.contents = Some(read.map_err(|error| damaged(format!("read what is in the image: {error}")))?);
        }
        Ok(examined)
    }

    fn of_layers(config: Bytes, layers: Vec<Layer>) -> Result<Self, Failure> {
        let files: Vec<Extent> = layers.iter().filter_map(|layer| layer.extent.clone()).collect();
        let (image, history) = describe(&config, files.iter().map(Extent::length).sum())?;
        let files = (config.clone(), files);
        Ok(Self { image, history, content: Content::Layers { config, layers }, files })
    }
}

/// What a configuration says of its image: the image, its history.
fn describe(config: &[u8], size: u64) -> Result<(LocalImage, Vec<String>), Failure> {
    let json: Value = serde_json::from_slice(config).map_err(|error| damaged(format!("its configuration: {error}")))?;
    let run = &json["config"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    // `HEALTHCHECK NONE` takes away the one of the base image.
    let healthcheck = run["Healthcheck"]["Test"][0].as_str();
    let labels = run["Labels"].as_object().into_iter().flatten();
    let image = LocalImage {
        id: Digest::of_bytes(config),
        size,
        platform: format!("{}/{}", text(&json["os"]), text(&json["architecture"])),
        user: text(&run["User"]),
        has_healthcheck: healthcheck.is_some_and(|kind| kind != "NONE"),
        labels: labels.map(|(name, value)| (name.clone(), text(value))).collect(),
        environment: run["Env"].as_array().into_iter().flatten().map(text).collect(),
        layers: diff_ids(config)?,
        created: json["created"].as_str().and_then(|moment| moment.parse().ok()),
    };
    let steps = json["history"].as_array().into_iter().flatten().rev();
    let history = steps.map(|step| instruction(step["created_by"].as_str().unwrap_or_default())).collect();
    Ok((image, history))
}

/// The diff ids of a configuration, from the bottom.
pub(crate) fn diff_ids(config: &[u8]) -> Result<Vec<Digest>, Failure> {
    let json: Value = serde_json::from_slice(config).map_err(|error| damaged(format!("its configuration: {error}")))?;
    let ids = json["rootfs"]["diff_ids"].as_array().into_iter().flatten();
    ids.map(|id| {
        id.as_str().unwrap_or_default().parse().map_err(|error| damaged(format!("its configuration: {error}")))
    })
    .collect()
}

/// What should be an image is none.
fn damaged(why: impl fmt::Display) -> Failure {
    Failure::input(why).hint("build the image again, and check that the job wrote all of it")
}
