//! The context of a build: a folder as a tar, without what its `.dockerignore` leaves out. Read while it is sent, so that it
//! may be larger than memory.

use std::fs::{self, File, Metadata};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_util::Stream;
use monorepo::ignore::Ignore;
use tar::{Builder, EntryType, Header};
use tokio::sync::mpsc;

use crate::failure::Failure;

/// What a Dockerfile is called that does not lie in the context.
const FOREIGN_DOCKERFILE: &str = ".dockerfile.of-this-build";

/// Where the files of a context lie whose image is a folder.
const FOLDER: &str = "folder/";

/// How much is sent at a time.
const CHUNK: usize = 256 * 1024;

/// What a build can copy from.
#[derive(Debug)]
pub(super) struct Context {
    root: PathBuf,
    dockerfile: PathBuf,
    /// The Dockerfile's path within the context.
    pub(super) dockerfile_name: String,
    ignore: Ignore,
    /// The time of every file, in seconds: when a checkout wrote it says nothing of what is in it.
    epoch: Option<i64>,
    /// The Dockerfile's text, if it is another than its file's.
    pub(super) dockerfile_text: Option<String>,
    /// Where the files lie in what is sent; blank is at its top.
    within: &'static str,
}

impl Context {
    /// A context. Nothing is read yet but the `.dockerignore`: the Dockerfile's own (`Dockerfile.dockerignore`) if there is
    /// one, else that of the folder.
    pub(super) fn new(root: &Path, dockerfile: &Path, epoch: Option<i64>) -> Result<Self, Failure> {
        for (path, what) in [(root, "context"), (dockerfile, "Dockerfile")] {
            if !path.exists() {
                return Err(Failure::input(format!("there is no {what} `{}`", path.display())).hint(
                    "its path is relative to the workspace: check `path`, `dockerfile` and `context` in delivery.toml",
                ));
            }
        }
        let within = dockerfile.strip_prefix(root).ok().and_then(Path::to_str);
        Ok(Self {
            root: root.to_owned(),
            dockerfile: dockerfile.to_owned(),
            dockerfile_name: within.unwrap_or(FOREIGN_DOCKERFILE).to_owned(),
            ignore: read_ignore(root, dockerfile)?,
            epoch,
            dockerfile_text: None,
            within: "",
        })
    }

    /// A context whose image is a folder as it is, without what its own `.dockerignore` leaves out.
    pub(super) fn of_folder(root: &Path, epoch: Option<i64>) -> Result<Self, Failure> {
        if !root.is_dir() {
            return Err(Failure::input(format!("there is no folder `{}`", root.display()))
                .hint("its path is relative to the workspace: check `contexts` in delivery.toml"));
        }
        Ok(Self {
            root: root.to_owned(),
            dockerfile: PathBuf::new(),
            dockerfile_name: FOREIGN_DOCKERFILE.to_owned(),
            ignore: read_ignore(root, &root.join("Dockerfile"))?,
            epoch,
            dockerfile_text: Some(format!("FROM scratch\nCOPY {FOLDER} /\n")),
            within: FOLDER,
        })
    }

    /// The tar, chunk by chunk. An error on the way ends it.
    pub(super) fn stream(self) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
        let (sender, receiver) = mpsc::channel(4);
        tokio::task::spawn_blocking(move || {
            let mut chunks = Chunks { sender, chunk: Vec::with_capacity(CHUNK) };
            let written = self.write(&mut chunks).and_then(|()| (&mut chunks).flush());
            if let Err(error) = written {
                // If nobody receives any more, there is nobody to tell.
                let _ = chunks.sender.blocking_send(Err(error));
            }
        });
        futures_util::stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver)))
    }

    fn write(&self, output: impl Write) -> io::Result<()> {
        let mut tar = Builder::new(output);
        self.append_folder(&mut tar, &self.root, "")?;
        match &self.dockerfile_text {
            Some(text) => append_text(&mut tar, text, &self.dockerfile_name, self.epoch)?,
            None if self.dockerfile_name == FOREIGN_DOCKERFILE => {
                append(&mut tar, &self.dockerfile, FOREIGN_DOCKERFILE, self.epoch)?;
            }
            None => {}
        }
        tar.finish()
    }

    fn append_folder(&self, tar: &mut Builder<impl Write>, folder: &Path, prefix: &str) -> io::Result<()> {
        let mut entries = fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let Some(name) = entry.file_name().to_str().map(|name| format!("{prefix}{name}")) else {
                return Err(io::Error::other(format!("`{}` is not Unicode", entry.path().display())));
            };
            let is_folder = entry.file_type()?.is_dir();
            // The builder reads these two itself: they are always sent (docker/cli, `TrimBuildFilesFromExcludes`).
            let is_needed = name == self.dockerfile_name || name == ".dockerignore";
            let is_replaced = self.dockerfile_text.is_some() && self.within.is_empty() && name == self.dockerfile_name;
            let is_left_out = is_replaced || (self.ignore.leaves_out(&name) && !is_needed);
            if !is_left_out {
                append(tar, &entry.path(), &format!("{}{name}", self.within), self.epoch)?;
            }
            let has_needed = self.dockerfile_name.starts_with(&format!("{name}/"));
            if is_folder && (!is_left_out || has_needed || self.ignore.has_exceptions()) {
                self.append_folder(tar, &entry.path(), &format!("{name}/"))?;
            }
        }
        Ok(())
    }
}

fn read_ignore(root: &Path, dockerfile: &Path) -> Result<Ignore, Failure> {
    let mut own = dockerfile.as_os_str().to_owned();
    own.push(".dockerignore");
    for file in [PathBuf::from(own), root.join(".dockerignore")] {
        let name = file.display().to_string();
        match fs::read_to_string(&file) {
            Ok(text) => {
                let hint = "see <https://pkg.go.dev/path/filepath#Match>";
                return Ignore::parse(&text, &name).map_err(|problem| Failure::input(problem.to_string()).hint(hint));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(Failure::input(error)
                    .context(format!("read `{name}`"))
                    .hint("check that it is a text file"));
            }
        }
    }
    Ok(Ignore::default())
}

/// Appends a file, a folder without its content, or a link. Other things (sockets, devices) are no part of a context.
fn append(tar: &mut Builder<impl Write>, path: &Path, name: &str, epoch: Option<i64>) -> io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    let kind = metadata.file_type();
    let mut header = header(&metadata, epoch);
    let appended = if kind.is_dir() {
        header.set_size(0);
        tar.append_data(&mut header, name, io::empty())
    } else if kind.is_symlink() {
        header.set_entry_type(EntryType::Symlink);
        header.set_size(0);
        tar.append_link(&mut header, name, fs::read_link(path)?)
    } else if kind.is_file() {
        let exactly = Exactly { file: File::open(path)?, left: metadata.len() };
        tar.append_data(&mut header, name, exactly)
    } else {
        Ok(())
    };
    appended.map_err(|error| io::Error::new(error.kind(), format!("read `{name}`: {error}")))
}

/// Appends a file of this text.
fn append_text(tar: &mut Builder<impl Write>, text: &str, name: &str, epoch: Option<i64>) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_size(text.len() as u64);
    header.set_mode(0o644);
    header.set_mtime(epoch.and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or_default());
    tar.append_data(&mut header, name, text.as_bytes())
}

/// Whoever owns a file here, root owns it in the context, as with `docker build`.
fn header(metadata: &Metadata, epoch: Option<i64>) -> Header {
    let mut header = Header::new_gnu();
    header.set_metadata(metadata);
    if let Some(seconds) = epoch.and_then(|seconds| u64::try_from(seconds).ok()) {
        header.set_mtime(seconds);
    }
    header.set_uid(0);
    header.set_gid(0);
    header
}

/// A file that is as long as it was when its header was written.
struct Exactly {
    file: File,
    left: u64,
}

impl Read for Exactly {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.file.read(&mut buffer[..most])?;
        if count == 0 && most > 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it became shorter while it was read"));
        }
        self.left -= count as u64;
        Ok(count)
    }
}

/// Hands what is written on, chunk by chunk.
struct Chunks {
    sender: mpsc::Sender<io::Result<Bytes>>,
    chunk: Vec<u8>,
}

impl Write for &mut Chunks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.chunk.extend_from_slice(bytes);
        if self.chunk.len() >= CHUNK {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        let chunk = Bytes::from(std::mem::replace(&mut self.chunk, Vec::with_capacity(CHUNK)));
        self.sender.blocking_send(Ok(chunk)).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use tempfile::TempDir;

    use super::*;

    fn folder(files: &[(&str, &str)]) -> TempDir {
        let folder = TempDir::new().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        folder
    }

    fn names(root: &Path, dockerfile: &str) -> Vec<String> {
        let mut bytes = Vec::new();
        Context::new(root, &root.join(dockerfile), None).unwrap().write(&mut bytes).unwrap();
        let mut archive = tar::Archive::new(bytes.as_slice());
        archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().display().to_string()).collect()
    }

    #[test]
    fn what_is_ignored_stays_here_and_what_the_builder_reads_goes() {
        let folder = folder(&[
            (".dockerignore", "**\n!src\n"),
            ("apps/auth/Dockerfile", "FROM scratch"),
            ("apps/auth/x", ""),
            ("src/main.ts", ""),
            ("secret", ""),
        ]);
        assert_eq!(
            names(folder.path(), "apps/auth/Dockerfile"),
            [".dockerignore", "apps/auth/Dockerfile", "src", "src/main.ts"]
        );
    }

    #[test]
    fn a_dockerfile_has_its_own_ignore_file_and_may_lie_elsewhere() {
        let folder = folder(&[
            ("Dockerfile", ""),
            ("Dockerfile.dockerignore", "b"),
            ("app/.dockerignore", "a"),
            ("app/a", ""),
            ("app/b", ""),
        ]);
        let mut bytes = Vec::new();
        let context = Context::new(&folder.path().join("app"), &folder.path().join("Dockerfile"), None).unwrap();
        assert_eq!(context.dockerfile_name, FOREIGN_DOCKERFILE);
        context.write(&mut bytes).unwrap();
        let mut archive = tar::Archive::new(bytes.as_slice());
        let names: Vec<_> =
            archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().display().to_string()).collect();
        assert_eq!(names, [".dockerignore", "a", FOREIGN_DOCKERFILE]);
    }

    #[test]
    fn files_keep_their_mode_and_links_stay_links() {
        let folder = folder(&[("Dockerfile", ""), ("run", "#!")]);
        fs::set_permissions(folder.path().join("run"), fs::Permissions::from_mode(0o755)).unwrap();
        symlink("../outside", folder.path().join("way")).unwrap();
        let mut bytes = Vec::new();
        Context::new(folder.path(), &folder.path().join("Dockerfile"), None).unwrap().write(&mut bytes).unwrap();
        let mut archive = tar::Archive::new(bytes.as_slice());
        let entries: Vec<_> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let header = entry.header();
                let link = entry.link_name().unwrap().map(|link| link.display().to_string());
                (
                    entry.path().unwrap().display().to_string(),
                    header.mode().unwrap() & 0o111,
                    header.uid().unwrap(),
                    link,
                )
            })
            .collect();
        assert_eq!(entries[1], ("run".to_owned(), 0o111, 0, None));
        assert_eq!(entries[2].3.as_deref(), Some("../outside"));
    }

    #[tokio::test]
    async fn a_context_larger_than_a_chunk_arrives_whole() {
        use futures_util::TryStreamExt;

        let folder = folder(&[("Dockerfile", ""), ("big", &"x".repeat(3 * CHUNK + 7))]);
        let context = Context::new(folder.path(), &folder.path().join("Dockerfile"), None).unwrap();
        let chunks: Vec<Bytes> = Box::pin(context.stream()).try_collect().await.unwrap();
        assert!(chunks.len() > 2);
        let bytes = chunks.concat();
        let mut archive = tar::Archive::new(bytes.as_slice());
        let sizes: Vec<u64> = archive.entries().unwrap().map(|entry| entry.unwrap().size()).collect();
        assert_eq!(sizes, [0, 3 * CHUNK as u64 + 7]);
    }

    #[test]
    fn what_is_missing_is_named() {
        let folder = folder(&[("x", "")]);
        let told = Context::new(folder.path(), &folder.path().join("Dockerfile"), None).unwrap_err().to_string();
        assert!(told.starts_with("there is no Dockerfile `") && told.contains("hint: "), "{told}");
    }
}
