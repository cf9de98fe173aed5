//! A stretch of bytes in a file or in memory, which can be read from its beginning as often as somebody needs it.
//!
//! Layers are handed around as these: nothing larger than a piece is in memory at a time, and an upload that has to begin
//! again reads again.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::digest::Hasher;
use crate::failure::Failure;
use crate::http::Upload;
use crate::names::Digest;

/// How much is read, and sent, at a time.
const PIECE: usize = 256 << 10;

/// A stretch of bytes.
#[derive(Clone, Debug)]
pub struct Extent {
    origin: Origin,
    offset: u64,
    length: u64,
    /// What it is, for people: `/tmp/image.tar: blobs/sha256/…`.
    name: Arc<str>,
}

#[derive(Clone, Debug)]
enum Origin {
    File(Arc<File>),
    /// A file without a name, which was hashed while it was written: nobody else can change it.
    OwnFile(Arc<File>),
    Memory(Bytes),
}

impl Extent {
    /// A stretch of a file.
    pub fn of_file(file: Arc<File>, offset: u64, length: u64, name: impl Into<Arc<str>>) -> Self {
        Self { origin: Origin::File(file), offset, length, name: name.into() }
    }

    /// All of a file that has no name, and was hashed while it was written: its upload does not hash it again.
    pub(crate) fn of_own_file(file: File, length: u64, name: impl Into<Arc<str>>) -> Self {
        Self { origin: Origin::OwnFile(Arc::new(file)), offset: 0, length, name: name.into() }
    }

    /// Bytes in memory.
    pub fn of_bytes(bytes: impl Into<Bytes>, name: impl Into<Arc<str>>) -> Self {
        let bytes = bytes.into();
        let length = bytes.len() as u64;
        Self { origin: Origin::Memory(bytes), offset: 0, length, name: name.into() }
    }

    /// How many bytes it is.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// What it is, for people.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reads it from its beginning. Reading waits, so it is for threads that may.
    pub fn reader(&self) -> Reader {
        Reader { extent: self.clone(), at: 0 }
    }

    /// All of it in memory: for what is small, a configuration or a manifest.
    pub fn read(&self, most: u64) -> io::Result<Bytes> {
        if self.length > most {
            return Err(io::Error::other(format!("{} is {} bytes, and should be small", self.name, self.length)));
        }
        let mut bytes = Vec::new();
        self.reader().read_to_end(&mut bytes)?;
        if bytes.len() as u64 != self.length {
            return Err(self.is_cut());
        }
        Ok(bytes.into())
    }

    /// Reads it on a thread of its own into the body of an upload. The last piece is held back until the whole of it has been
    /// found to have this digest: what is cut or changed is never finished, and what was wrong with it is the task's answer.
    pub fn upload(&self, digest: &Digest, moved: Arc<AtomicU64>) -> (Upload, JoinHandle<Result<(), Failure>>) {
        let (sender, receiver) = mpsc::channel(4);
        let (extent, digest) = (self.clone(), digest.clone());
        let reading = tokio::task::spawn_blocking(move || {
            let read = extent.hand_on(&digest, &sender);
            if let Err(error) = &read {
                // The connection ends with it. Whoever listened may be gone already.
                drop(sender.blocking_send(Err(io::Error::other(error.to_string()))));
            }
            read.map_err(|error| unreadable(&extent, &error))
        });
        (Upload::new(self.length, receiver, moved), reading)
    }

    fn hand_on(&self, digest: &Digest, sender: &mpsc::Sender<io::Result<Bytes>>) -> io::Result<()> {
        let mut hasher = match self.origin {
            Origin::OwnFile(_) => None,
            Origin::File(_) | Origin::Memory(_) => Some(Hasher::new()),
        };
        let mut reader = self.reader();
        let mut left = self.length;
        while left > 0 {
            let mut piece = vec![0; PIECE.min(usize::try_from(left).unwrap_or(PIECE))];
            reader.read_exact(&mut piece).map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => self.is_cut(),
                _ => error,
            })?;
            left -= piece.len() as u64;
            if let Some(hasher) = &mut hasher {
                hasher.update(&piece);
            }
            if let Some(hasher) = hasher.take_if(|_| left == 0) {
                compare(digest, &hasher.finish())?;
            }
            if sender.blocking_send(Ok(piece.into())).is_err() {
                // The upload ended first; it says itself why.
                return Ok(());
            }
        }
        Ok(())
    }

    fn is_cut(&self) -> io::Error {
        io::Error::other(format!("it is cut off before its {} bytes are read", self.length))
    }
}

fn compare(digest: &Digest, found: &Digest) -> io::Result<()> {
    match digest == found {
        true => Ok(()),
        false => Err(io::Error::other(format!("it should be {digest} and is {found}"))),
    }
}

/// What is wrong with bytes of ours.
pub(crate) fn unreadable(extent: &Extent, error: &io::Error) -> Failure {
    Failure::input(format!("read {}: {error}", extent.name()))
        .hint("the image on this side is damaged or was changed while it was read: build it again, then push it")
}

/// Reads an [`Extent`].
#[derive(Debug)]
pub struct Reader {
    extent: Extent,
    at: u64,
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.extent.length - self.at).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(left);
        let count = match &self.extent.origin {
            Origin::File(file) | Origin::OwnFile(file) => {
                file.read_at(&mut buffer[..wanted], self.extent.offset + self.at)?
            }
            Origin::Memory(bytes) => {
                let at = usize::try_from(self.extent.offset + self.at).unwrap_or(usize::MAX);
                let rest = bytes.get(at..).unwrap_or_default();
                let count = wanted.min(rest.len());
                buffer[..count].copy_from_slice(&rest[..count]);
                count
            }
        };
        self.at += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn of_file(content: &[u8], length: u64) -> Extent {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        Extent::of_file(Arc::new(file), 1, length, "layer")
    }

    async fn uploaded(extent: &Extent, digest: &Digest) -> (Vec<u8>, Result<(), String>) {
        let (_upload, reading) = extent.upload(digest, Arc::default());
        let (sender, mut receiver) = mpsc::channel(64);
        let (copy, digest) = (extent.clone(), digest.clone());
        tokio::task::spawn_blocking(move || copy.hand_on(&digest, &sender)).await.unwrap().ok();
        let mut sent = Vec::new();
        while let Some(Ok(piece)) = receiver.recv().await {
            sent.extend_from_slice(&piece);
        }
        (sent, reading.await.unwrap().map_err(|failure| failure.error.to_string()))
    }

    #[tokio::test]
    async fn what_has_its_digest_is_sent_whole() {
        let extent = of_file(b"xlayer", 5);
        assert_eq!(extent.read(5).unwrap(), "layer");
        assert_eq!(uploaded(&extent, &Digest::of_bytes(b"layer")).await, (b"layer".to_vec(), Ok(())));
    }

    #[tokio::test]
    async fn what_is_cut_or_changed_is_never_sent_to_its_end() {
        let (sent, told) = uploaded(&of_file(b"xlay", 5), &Digest::of_bytes(b"layer")).await;
        assert_eq!((sent.len(), told), (0, Err("read layer: it is cut off before its 5 bytes are read".to_owned())));
        let (sent, told) = uploaded(&of_file(b"xlabel", 5), &Digest::of_bytes(b"layer")).await;
        assert!(sent.is_empty());
        assert!(told.unwrap_err().starts_with("read layer: it should be sha256:"));
    }

    #[test]
    fn what_should_be_small_is_not_read_when_it_is_not() {
        assert!(of_file(b"xlayer", 5).read(4).is_err());
    }
}
