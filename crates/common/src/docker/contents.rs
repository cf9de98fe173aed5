//! What is in an image: its layers, the instruction that made each, and their files, read while the engine sends them.
//!
//! An engine of 25 or later sends an OCI image layout, one before it the layout of `docker save`; both hold a `manifest.json`
//! that names the configuration and the layers in order.
//! <https://github.com/moby/moby/blob/master/image/spec/spec.md>

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufReader, Read};
use std::path::{Component, Path};

use flate2::read::MultiGzDecoder;
use futures_util::{Stream, StreamExt};
use serde_json::Value;
use tar::{Archive, EntryType};
use tokio::sync::mpsc;

use super::{Docker, LocalImage};
use crate::delivery::ImagePolicy;
use crate::extent::Extent;
use crate::failure::Failure;

/// How many of a layer's files are kept: the biggest.
const BIGGEST: usize = 5;

/// The largest text that is held in memory: a configuration or a manifest.
const TEXT: u64 = 8 << 20;

/// How a compressed layer begins: an engine whose images containerd stores sends them as they came.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// What is in an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// From the bottom.
    pub layers: Vec<Layer>,
    /// Those of the wanted files that are not in it.
    pub missing: Vec<String>,
}

/// A layer of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layer {
    /// The instruction that made it.
    pub instruction: String,
    /// The bytes of its files.
    pub size: u64,
    /// Its biggest files, and how big they are.
    pub biggest: Vec<(String, u64)>,
}

/// An image, and what its configuration alone does not tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Examined {
    /// Its configuration.
    pub image: LocalImage,
    /// The instructions that made it, the last one first.
    pub history: Vec<String>,
    /// What is in it, if the policy asks for that.
    pub contents: Option<Contents>,
}

impl Docker {
    /// Looks at an image as closely as a policy asks for: its files are read if some have to be there, or if it is too big.
    pub async fn examine(&self, image: LocalImage, policy: &ImagePolicy) -> Result<Examined, Failure> {
        let id = image.id.to_string();
        let is_read = image.size > policy.max_size.bytes() || !policy.required_files.is_empty();
        let contents = if is_read { Some(self.contents(&id, &policy.required_files).await?) } else { None };
        Ok(Examined { history: self.history(&id).await?, contents, image })
    }

    /// Reads what is in an image, and which of these files are not: `/app/main.js` is a whole path, `remoteEntry.js` a file of
    /// this name in any folder. No more of it is in memory at a time than a piece.
    pub async fn contents(&self, image: &str, wanted: &[String]) -> Result<Contents, Failure> {
        let wanted = wanted.to_vec();
        let read = self.saved(image, move |archive| scan(archive, wanted)).await;
        read.map_err(|error| error.context(format!("read what is in image `{image}`")))
    }

    /// Writes an image as an OCI image layout (<https://github.com/opencontainers/image-spec/blob/main/image-layout.md>).
    pub async fn write_layout(&self, image: &str, folder: &Path) -> Result<(), Failure> {
        let to = folder.to_owned();
        let written = self.saved(image, move |archive| unpack(archive, &to)).await;
        let is_layout =
            written.map_err(|error| error.context(format!("write image `{image}` to `{}`", folder.display())))?;
        if is_layout {
            return Ok(());
        }
        Err(Failure::input("the Docker engine writes no OCI image layout").hint(
            "Docker 25 and later do; with an older engine, leave the output at `docker`, which ecr-push reads as well",
        ))
    }

    /// Hands the archive of an image to a reader, while the engine sends it.
    pub(super) async fn saved<T: Send + 'static>(
        &self,
        image: &str,
        read: impl FnOnce(Pieces) -> io::Result<T> + Send + 'static,
    ) -> Result<T, Failure> {
        let (sender, receiver) = mpsc::channel(4);
        let reader = tokio::task::spawn_blocking(move || read(Pieces { receiver, piece: bytes::Bytes::new() }));
        let sent = hand_on(self.engine.export_image(image), &sender).await;
        drop(sender);
        let read = reader.await.map_err(|error| Failure::bug(format!("an archive's reader ended: {error}")))?;
        sent?;
        read.map_err(|error| Failure::remote(format!("the Docker engine sent an archive that cannot be read: {error}")))
    }
}

async fn hand_on(
    pieces: impl Stream<Item = Result<bytes::Bytes, bollard::errors::Error>>,
    sender: &mpsc::Sender<bytes::Bytes>,
) -> Result<(), Failure> {
    let mut pieces = std::pin::pin!(pieces);
    while let Some(piece) = pieces.next().await {
        // A reader that is gone says itself why.
        if sender.send(piece.map_err(|error| super::refused(&error))?).await.is_err() {
            break;
        }
    }
    Ok(())
}

/// What the engine sends, to be read where waiting is allowed.
pub(super) struct Pieces {
    receiver: mpsc::Receiver<bytes::Bytes>,
    piece: bytes::Bytes,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.receiver.blocking_recv() {
                Some(piece) => self.piece = piece,
                None => return Ok(0),
            }
        }
        let count = buffer.len().min(self.piece.len());
        buffer[..count].copy_from_slice(&self.piece.split_to(count));
        Ok(count)
    }
}

/// What one layer holds, as far as it is asked for.
#[derive(Debug, Default)]
struct Scanned {
    size: u64,
    biggest: Vec<(String, u64)>,
    /// The files that somebody wants.
    wanted: BTreeSet<String>,
    /// What it takes away from the layers below: files and folders, and folders whose whole content goes.
    removed: Vec<String>,
}

fn scan(archive: impl Read, wanted: Vec<String>) -> io::Result<Contents> {
    let mut layers: BTreeMap<String, Scanned> = BTreeMap::new();
    let mut links: BTreeMap<String, String> = BTreeMap::new();
    let mut texts: BTreeMap<String, Value> = BTreeMap::new();
    let mut archive = Archive::new(archive);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let name = entry.path()?.display().to_string();
        if let Some(target) = entry.link_name()? {
            // `docker save` writes a layer that comes twice as a link: `../<id>/layer.tar`.
            links.insert(name, target.display().to_string().trim_start_matches("../").to_owned());
            continue;
        }
        let mut head = Vec::new();
        entry.by_ref().take(512).read_to_end(&mut head)?;
        if head.starts_with(&GZIP) {
            layers.insert(name, layer(MultiGzDecoder::new(head.as_slice().chain(entry)), &wanted)?);
        } else if head.get(257..262) == Some(b"ustar") {
            layers.insert(name, layer(head.as_slice().chain(entry), &wanted)?);
        } else if head.first().is_some_and(|first| b"{[".contains(first)) && entry.size() <= TEXT {
            entry.read_to_end(&mut head)?;
            texts.extend(serde_json::from_slice(&head).ok().map(|value| (name, value)));
        }
    }
    let broken = || io::Error::other("it has no manifest.json");
    let manifest = texts.get("manifest.json").and_then(|manifest| manifest.get(0)).ok_or_else(broken)?;
    let config = manifest["Config"].as_str().and_then(|config| texts.get(config)).unwrap_or(&Value::Null);
    let paths = manifest["Layers"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let paths: Vec<&str> = paths.map(|path| links.get(path).map_or(path, String::as_str)).collect();
    Ok(contents(&paths, &layers, config, wanted))
}

/// Reads what is in layers that are at hand, compressed or not.
pub(crate) fn read_layers(layers: &[Extent], config: &[u8], wanted: Vec<String>) -> io::Result<Contents> {
    let names: Vec<String> = (0..layers.len()).map(|index| index.to_string()).collect();
    let mut scanned = BTreeMap::new();
    for (extent, name) in layers.iter().zip(&names) {
        let mut head = Vec::new();
        extent.reader().take(2).read_to_end(&mut head)?;
        let read = match head == GZIP {
            true => layer(MultiGzDecoder::new(BufReader::new(extent.reader())), &wanted),
            false => layer(BufReader::new(extent.reader()), &wanted),
        };
        scanned.insert(name.clone(), read.map_err(|error| io::Error::other(format!("{}: {error}", extent.name())))?);
    }
    let config: Value = serde_json::from_slice(config)?;
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    Ok(contents(&names, &scanned, &config, wanted))
}

/// Puts the layers in order, each with the instruction that made it.
fn contents(paths: &[&str], layers: &BTreeMap<String, Scanned>, config: &Value, wanted: Vec<String>) -> Contents {
    let history = config["history"].as_array().into_iter().flatten();
    let instructions = history.filter(|step| step["empty_layer"] != true).map(|step| &step["created_by"]);
    let mut instructions = instructions.map(|text| instruction(text.as_str().unwrap_or_default()));
    let empty = Scanned::default();
    let mut found: BTreeSet<&str> = BTreeSet::new();
    let mut read = Contents::default();
    for path in paths {
        let scanned = layers.get(*path).unwrap_or(&empty);
        let is_removed = |file: &&str| scanned.removed.iter().any(|removed| lies_in(file, removed));
        found.retain(|file| !is_removed(file));
        found.extend(scanned.wanted.iter().map(String::as_str));
        read.layers.push(Layer {
            instruction: instructions.next().unwrap_or_default(),
            size: scanned.size,
            biggest: scanned.biggest.clone(),
        });
    }
    read.missing = wanted.into_iter().filter(|wanted| !found.iter().any(|file| is_meant(file, wanted))).collect();
    read
}

fn layer(tar: impl Read, wanted: &[String]) -> io::Result<Scanned> {
    let mut scanned = Scanned::default();
    let mut archive = Archive::new(tar);
    for entry in archive.entries()? {
        let entry = entry?;
        let path = entry.path()?.display().to_string();
        let path = format!("/{}", path.trim_start_matches("./").trim_matches('/'));
        let (folder, name) = path.rsplit_once('/').unwrap_or_default();
        // What is taken away: <https://github.com/opencontainers/image-spec/blob/main/layer.md#whiteouts>
        if name == ".wh..wh..opq" {
            scanned.removed.push(format!("{folder}/"));
        } else if let Some(name) = name.strip_prefix(".wh.") {
            scanned.removed.push(format!("{folder}/{name}"));
        } else if !matches!(entry.header().entry_type(), EntryType::Directory) {
            let size = entry.size();
            scanned.size += size;
            if wanted.iter().any(|wanted| is_meant(&path, wanted)) {
                scanned.wanted.insert(path.clone());
            }
            keep_biggest(&mut scanned.biggest, path, size);
        }
    }
    Ok(scanned)
}

fn keep_biggest(biggest: &mut Vec<(String, u64)>, path: String, size: u64) {
    let at = biggest.partition_point(|(_, other)| *other >= size);
    if size > 0 && at < BIGGEST {
        biggest.insert(at, (path, size));
        biggest.truncate(BIGGEST);
    }
}

/// Whether a file is the wanted one: by its whole path, or by the end of it.
fn is_meant(file: &str, wanted: &str) -> bool {
    file.strip_suffix(wanted)
        .is_some_and(|before| if wanted.starts_with('/') { before.is_empty() } else { before.ends_with('/') })
}

fn lies_in(file: &str, folder: &str) -> bool {
    file.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || folder.ends_with('/'))
}

/// An instruction as the Dockerfile has it: without what the builder writes around it.
pub(crate) fn instruction(created_by: &str) -> String {
    let text = created_by.trim_end_matches("# buildkit").trim();
    let text = text.strip_prefix("/bin/sh -c #(nop)").map_or(text, str::trim);
    match text.strip_prefix("/bin/sh -c ") {
        Some(command) => format!("RUN {command}"),
        None => text.replace("RUN /bin/sh -c ", "RUN "),
    }
}

/// Unpacks an image layout; `false` if the archive is none.
fn unpack(archive: impl Read, folder: &Path) -> io::Result<bool> {
    if folder.exists() {
        std::fs::remove_dir_all(folder)?;
    }
    std::fs::create_dir_all(folder)?;
    let mut archive = Archive::new(archive);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        let mut parts = path.components();
        // The rest is `docker load`'s: `manifest.json`, `repositories`.
        let is_layout = matches!(parts.next(), Some(Component::Normal(first)) if first == "blobs")
            || path == Path::new("oci-layout")
            || path == Path::new("index.json");
        if is_layout {
            entry.unpack_in(folder)?;
        }
    }
    Ok(folder.join("oci-layout").exists())
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tar::{Builder, Header};

    use super::*;

    fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut tar = Builder::new(Vec::new());
        for (name, content) in files {
            let mut header = Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, name, *content).unwrap();
        }
        tar.into_inner().unwrap()
    }

    fn saved(layers: &[&[(&str, &[u8])]]) -> Vec<u8> {
        let names: Vec<String> = (0..layers.len()).map(|index| format!("{index}/layer.tar")).collect();
        let history: Vec<Value> = (0..layers.len())
            .map(|index| json!({ "created_by": format!("RUN /bin/sh -c step {index} # buildkit") }))
            .chain([json!({ "created_by": "USER 1", "empty_layer": true })])
            .collect();
        let config = json!({ "history": history }).to_string();
        let manifest = json!([{ "Config": "c.json", "Layers": names }]).to_string();
        let layers: Vec<Vec<u8>> = layers.iter().map(|files| tar(files)).collect();
        let mut files: Vec<(&str, &[u8])> =
            names.iter().map(String::as_str).zip(layers.iter().map(Vec::as_slice)).collect();
        files.extend([("c.json", config.as_bytes()), ("manifest.json", manifest.as_bytes())]);
        tar(&files)
    }

    #[test]
    fn layers_have_their_instruction_and_their_biggest_files() {
        let big = vec![0; 5000];
        let archive = saved(&[&[("a/small", b"1"), ("a/big", &big)], &[("b", b"22")]]);
        let read = scan(archive.as_slice(), Vec::new()).unwrap();
        assert_eq!(
            read.layers,
            [
                Layer {
                    instruction: "RUN step 0".into(),
                    size: 5001,
                    biggest: vec![("/a/big".into(), 5000), ("/a/small".into(), 1)]
                },
                Layer { instruction: "RUN step 1".into(), size: 2, biggest: vec![("/b".into(), 2)] },
            ]
        );
    }

    fn check(layers: &[&[(&str, &[u8])]], wanted: &str, is_there: bool) {
        let read = scan(saved(layers).as_slice(), vec![wanted.to_owned()]).unwrap();
        assert_eq!(read.missing.is_empty(), is_there, "{wanted}: {layers:?}");
    }

    #[test]
    fn a_wanted_file_is_there_unless_a_later_layer_takes_it_away() {
        let file: &[(&str, &[u8])] = &[("srv/app/remoteEntry.js", b"1")];
        check(&[file], "remoteEntry.js", true);
        check(&[file], "app/remoteEntry.js", true);
        check(&[file], "/srv/app/remoteEntry.js", true);
        check(&[file], "/remoteEntry.js", false);
        check(&[file], "Entry.js", false);
        check(&[file, &[("srv/app/.wh.remoteEntry.js", b"")]], "remoteEntry.js", false);
        check(&[file, &[("srv/.wh.app", b"")]], "remoteEntry.js", false);
        check(&[file, &[("srv/app/.wh..wh..opq", b"")]], "remoteEntry.js", false);
        check(&[file, &[("srv/.wh.ap", b"")]], "remoteEntry.js", true);
        check(&[file, &[("srv/.wh.app", b"")], file], "remoteEntry.js", true);
        check(&[], "remoteEntry.js", false);
    }

    #[test]
    fn what_is_no_image_is_refused() {
        assert!(scan(tar(&[("x", b"1")]).as_slice(), Vec::new()).is_err());
    }

    #[test]
    fn an_instruction_is_told_as_it_was_written() {
        for (created_by, expected) in [
            ("COPY app /app # buildkit", "COPY app /app"),
            ("RUN /bin/sh -c npm ci # buildkit", "RUN npm ci"),
            ("RUN |1 A=b /bin/sh -c npm ci # buildkit", "RUN |1 A=b /bin/sh -c npm ci"),
            ("/bin/sh -c #(nop) COPY file:1 in /", "COPY file:1 in /"),
            ("/bin/sh -c apt-get update", "RUN apt-get update"),
        ] {
            assert_eq!(instruction(created_by), expected);
        }
    }
}
