//! Images as builders leave them, for tests that push them. What cannot be made fails the test.

use std::fs;
use std::io::Write;
use std::path::Path;

use common::names::Digest;
use serde_json::{Value, json};
use tar::{Builder, Header};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// How the layers of a layout are written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As BuildKit writes them.
    Compressed,
    /// As Docker writes them from 25 on.
    Plain,
}

fn tar(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut tar = Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, content.as_slice()).expect("an image can be made");
    }
    tar.into_inner().expect("an image can be made")
}

/// A layer with one file.
pub fn layer(content: &str) -> Vec<u8> {
    tar(&[("app/file".to_owned(), content.as_bytes().to_vec())])
}

fn config(layers: &[Vec<u8>], architecture: &str) -> Vec<u8> {
    let ids: Vec<Digest> = layers.iter().map(|layer| Digest::of_bytes(layer)).collect();
    let history: Vec<Value> = ids.iter().map(|id| json!({ "created_by": format!("COPY {}", id.short()) })).collect();
    let config = json!({
        "architecture": architecture,
        "os": "linux",
        "config": { "User": "65532", "Healthcheck": { "Test": ["CMD", "/app"] } },
        "rootfs": { "type": "layers", "diff_ids": ids },
        "history": history,
    });
    config.to_string().into_bytes()
}

/// Files by their names: a layout, before it is a folder or an archive.
#[derive(Default)]
pub struct Layout(Vec<(String, Vec<u8>)>);

impl Layout {
    /// The layout of an image for one platform.
    pub fn of(layers: &[Vec<u8>], form: Form) -> Self {
        let mut layout = Self::default();
        let manifest = layout.image(layers, form, "amd64");
        layout.finish(&manifest)
    }

    /// The layout of an image for two platforms.
    pub fn for_two_platforms(layers: &[Vec<u8>]) -> Self {
        let mut layout = Self::default();
        let children: Vec<Value> = ["amd64", "arm64"]
            .into_iter()
            .map(|architecture| {
                let mut child = layout.image(layers, Form::Compressed, architecture);
                child["platform"] = json!({ "os": "linux", "architecture": architecture });
                child
            })
            .collect();
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": children }).to_string().into_bytes();
        let index = layout.blob(&index, INDEX);
        layout.finish(&index)
    }

    /// Writes it as a folder.
    ///
    /// # Panics
    /// If the folder cannot be written.
    pub fn write_to(&self, folder: &Path) {
        for (name, content) in &self.0 {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().expect("an image can be made")).expect("an image can be made");
            fs::write(path, content).expect("an image can be made");
        }
    }

    /// The same as an archive.
    pub fn archive(&self) -> Vec<u8> {
        tar(&self.0)
    }

    fn image(&mut self, layers: &[Vec<u8>], form: Form, architecture: &str) -> Value {
        let config = self.blob(&config(layers, architecture), CONFIG);
        let layers: Vec<Value> = layers
            .iter()
            .map(|layer| match form {
                Form::Compressed => self.blob(&gzip(layer), "application/vnd.oci.image.layer.v1.tar+gzip"),
                Form::Plain => self.blob(layer, "application/vnd.oci.image.layer.v1.tar"),
            })
            .collect();
        let manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers });
        self.blob(manifest.to_string().as_bytes(), MANIFEST)
    }

    fn blob(&mut self, content: &[u8], media_type: &str) -> Value {
        let digest = Digest::of_bytes(content);
        let name = format!("blobs/sha256/{}", digest.hexadecimal());
        if !self.0.iter().any(|(known, _)| *known == name) {
            self.0.push((name, content.to_vec()));
        }
        json!({ "mediaType": media_type, "digest": digest, "size": content.len() })
    }

    fn finish(mut self, top: &Value) -> Self {
        let index = json!({ "schemaVersion": 2, "manifests": [top] });
        self.0.push(("oci-layout".to_owned(), b"{\"imageLayoutVersion\":\"1.0.0\"}".to_vec()));
        self.0.push(("index.json".to_owned(), index.to_string().into_bytes()));
        self
    }
}

/// The archive that `docker save` wrote before 25: a layer that comes again is a link.
///
/// # Panics
/// If memory is short.
pub fn docker_archive(layers: &[Vec<u8>]) -> Vec<u8> {
    let mut tar = Builder::new(Vec::new());
    let mut names: Vec<(Vec<u8>, String)> = Vec::new();
    let mut paths = Vec::new();
    let mut append = |name: &str, content: &[u8]| {
        let mut header = Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, content).expect("an image can be made");
    };
    let mut links = Vec::new();
    for (index, layer) in layers.iter().enumerate() {
        let path = format!("{index:064}/layer.tar");
        match names.iter().find(|(known, _)| known == layer) {
            Some((_, first)) => links.push((path.clone(), format!("../{first}"))),
            None => {
                append(&path, layer);
                names.push((layer.clone(), path.clone()));
            }
        }
        paths.push(path);
    }
    let config = config(layers, "amd64");
    append("config.json", &config);
    let manifest = json!([{ "Config": "config.json", "RepoTags": ["shop/auth:1"], "Layers": paths }]).to_string();
    append("manifest.json", manifest.as_bytes());
    for (path, target) in links {
        let mut header = Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        tar.append_link(&mut header, path, target).expect("an image can be made");
    }
    tar.into_inner().expect("an image can be made")
}

/// Compressed by somebody else than us.
///
/// # Panics
/// If memory is short.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(bytes).expect("an image can be made");
    packed.finish().expect("an image can be made")
}

/// What was compressed, in one member or in many.
///
/// # Panics
/// If it is damaged.
pub fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::MultiGzDecoder::new(bytes), &mut plain)
        .expect("an image can be made");
    plain
}
