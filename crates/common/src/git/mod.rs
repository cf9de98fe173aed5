//! git, read from the object database of the checkout: no other program, no network, nothing written.

mod blobs;
mod files;
mod history;
mod order;

use std::path::Path;
use std::sync::Arc;

use gix::ObjectId;
use monorepo::files::LARGEST;

pub use self::files::Change;
pub use self::history::Tag;

use self::blobs::{Blobs, keeping};
use crate::failure::Failure;
use crate::names::CommitSha;

/// The most memory that an object may take while it is read: its own, that of the one which it is told by, and what differs. What
/// is too large is not to be in memory at all.
const ALLOCATED: u64 = 3 * LARGEST;

/// The repository of the checkout.
#[derive(Clone, Debug)]
pub struct Git {
    repository: gix::Repository,
    blobs: Arc<Blobs>,
}

impl Git {
    /// Opens the repository whose root is `workspace`, whoever owns its files.
    ///
    /// In a container action the owner of the workspace is another one than the process, which makes git itself refuse it as
    /// "dubious ownership" (actions/checkout#1048). What that protects from is configuration that runs programs: none is run
    /// here, and only the repository's own configuration is read.
    pub fn open(workspace: &Path) -> Result<Self, Failure> {
        let options = gix::open::Options::isolated()
            .with(gix::sec::Trust::Full)
            .config_overrides([format!("gitoxide.objects.allocLimit={ALLOCATED}")]);
        let repository = gix::open_opts(workspace, options).map_err(|error| {
            let why = if workspace.join(".git").exists() { format!(": {error}") } else { String::new() };
            Failure::input(format!("`{}` is not a git repository{why}", workspace.display()))
                .hint("run actions/checkout before this step, into the workspace itself")
        })?;
        let blobs = Arc::new(Blobs::of(repository.clone().into_sync()));
        Ok(Self { repository: keeping(repository), blobs })
    }

    /// The commit that the checkout is at.
    pub fn head(&self) -> Result<CommitSha, Failure> {
        self.resolve("HEAD")
    }

    /// The commit that a revision stands for: a SHA, a branch, a tag, `HEAD~2`. A branch may exist at the remote only, as
    /// all but one do in the clone of actions/checkout.
    pub fn resolve(&self, revision: &str) -> Result<CommitSha, Failure> {
        match self.find(revision)? {
            Some(commit) => Ok(commit),
            None => Err(self.missing(format!("the clone has no commit `{revision}`"))),
        }
    }

    /// The commit that a revision stands for; `None` if the clone has none.
    pub fn find(&self, revision: &str) -> Result<Option<CommitSha>, Failure> {
        for candidate in [revision.to_owned(), format!("origin/{revision}")] {
            // Whatever is wrong with it, it is no commit of this clone.
            let Ok(id) = self.repository.rev_parse_single(candidate.as_str()) else { continue };
            let commit = id.object().and_then(|object| object.peel_to_commit());
            if let Ok(commit) = commit {
                return sha(commit.id).map(Some);
            }
        }
        Ok(None)
    }

    /// Whether the clone lacks a part of its history.
    pub fn is_shallow(&self) -> Result<bool, Failure> {
        self.repository.is_shallow().map_err(|error| broken("read where the history is cut off", &error))
    }

    fn commit(&self, commit: &CommitSha) -> Result<gix::Commit<'_>, Failure> {
        let found = self.repository.find_commit(id(commit)?);
        found.map_err(|_| self.missing(format!("the clone has no commit {commit}")))
    }

    /// A failure for what the clone does not have.
    fn missing(&self, what: String) -> Failure {
        match self.is_shallow() {
            Ok(true) => {
                Failure::input(format!("{what}: its history is cut off")).hint("give actions/checkout `fetch-depth: 0`")
            }
            _ => Failure::input(what)
                .hint("check the name; actions/checkout fetches all branches and tags with `fetch-depth: 0`"),
        }
    }
}

fn id(commit: &CommitSha) -> Result<ObjectId, Failure> {
    ObjectId::from_hex(commit.as_str().as_bytes()).map_err(|error| Failure::bug(format!("`{commit}`: {error}")))
}

fn sha(id: ObjectId) -> Result<CommitSha, Failure> {
    id.to_string()
        .parse()
        .map_err(|error| Failure::input(error).hint("repositories with SHA-256 object names are not supported"))
}

fn broken(doing: &str, error: &gix::Error) -> Failure {
    Failure::input(error).context(doing.to_owned()).hint("the clone cannot be read: check it out anew")
}

#[cfg(test)]
mod tests;
