//! The contents of files: read when they are asked for, from as many threads as ask.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use gix::ObjectId;
use gix::odb::pack::cache::lru::MemoryCappedHashmap;
use monorepo::files::{BlobId, Contents, LARGEST};

use super::order;

/// How many bytes each reader keeps: a pack tells most contents by what differs from another, mostly from the one before.
const KEPT: usize = 512 * 1024;

/// The contents of files.
pub(super) struct Blobs {
    repository: gix::ThreadSafeRepository,
    /// One repository may be read by one thread at a time: those that nobody reads now.
    idle: Mutex<Vec<gix::Repository>>,
}

impl Blobs {
    pub(super) fn of(repository: gix::ThreadSafeRepository) -> Self {
        Self { repository, idle: Mutex::default() }
    }

    /// The repository, for one thread.
    pub(super) fn repository(&self) -> gix::Repository {
        self.repository.to_thread_local()
    }
}

impl Contents for Blobs {
    fn read(&self, id: BlobId) -> Result<Vec<u8>, String> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let mine = idle().pop();
        let repository = mine.unwrap_or_else(|| keeping(self.repository()));
        let content = content(&repository, ObjectId::from(id.0));
        idle().push(repository);
        content
    }

    fn places(&self, ids: &[BlobId]) -> Vec<usize> {
        order::places(self.repository.objects_dir(), ids)
    }
}

impl fmt::Debug for Blobs {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Blobs").field("repository", &self.repository).finish_non_exhaustive()
    }
}

/// Has a reader keep what it unpacked for as long as others are told by it: it would be unpacked anew for each of them.
pub(super) fn keeping(mut repository: gix::Repository) -> gix::Repository {
    repository.objects.set_pack_cache(|| Box::new(MemoryCappedHashmap::new(KEPT)));
    repository
}

fn content(repository: &gix::Repository, id: ObjectId) -> Result<Vec<u8>, String> {
    match repository.try_find_object(id) {
        Ok(Some(object)) if object.kind == gix::objs::Kind::Blob && object.data.len() as u64 <= LARGEST => {
            // The object's own memory is larger than it, and is what the next one is unpacked in.
            Ok(object.data.to_vec())
        }
        found => Err(unreadable(repository, id, found.err())),
    }
}

/// Why a content was not read.
fn unreadable(repository: &gix::Repository, id: ObjectId, error: Option<gix::Error>) -> String {
    match (repository.try_find_header(id), error) {
        (Ok(None), _) => "its content is not in the clone: leave out `filter` of actions/checkout".to_owned(),
        (Ok(Some(header)), _) if header.kind() != gix::objs::Kind::Blob => {
            format!("not a file, but a {}", header.kind())
        }
        (Ok(Some(header)), _) if header.size() > LARGEST => format!("larger than {} MiB", LARGEST / 1024 / 1024),
        (Ok(Some(_)), None) => "the clone changed while it was read".to_owned(),
        (Ok(Some(_)), Some(error)) | (Err(error), _) => format!("the clone cannot be read: {error}"),
    }
}
