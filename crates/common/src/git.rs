//! git, read from the object database of the checkout: no other program, no network, nothing written.

use std::collections::BTreeMap;
use std::path::Path;

use gix::ObjectId;
use gix::bstr::ByteSlice;

use crate::failure::Failure;
use crate::names::CommitSha;

/// The repository of the checkout.
#[derive(Clone, Debug)]
pub struct Git(gix::Repository);

/// The files of one commit.
#[derive(Clone, Debug)]
pub struct Tree<'git> {
    git: &'git Git,
    commit: CommitSha,
    files: BTreeMap<String, ObjectId>,
}

impl Git {
    /// Opens the repository whose root is `workspace`, whoever owns its files.
    ///
    /// In a container action the owner of the workspace is another one than the process, which makes git itself refuse it as
    /// "dubious ownership" (actions/checkout#1048). What that protects from is configuration that runs programs: none is run
    /// here, and only the repository's own configuration is read.
    pub fn open(workspace: &Path) -> Result<Self, Failure> {
        let options = gix::open::Options::isolated().with(gix::sec::Trust::Full);
        let mut repository = gix::open_opts(workspace, options).map_err(|error| {
            let why = if workspace.join(".git").exists() { format!(": {error}") } else { String::new() };
            Failure::input(format!("`{}` is not a git repository{why}", workspace.display()))
                .hint("run actions/checkout before this step, into the workspace itself")
        })?;
        // Enough for the trees of a large repository, which a comparison of two commits visits twice.
        repository.object_cache_size_if_unset(16 * 1024 * 1024);
        Ok(Self(repository))
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
            let Ok(id) = self.0.rev_parse_single(candidate.as_str()) else { continue };
            let commit = id.object().and_then(|object| object.peel_to_commit());
            if let Ok(commit) = commit {
                return sha(commit.id).map(Some);
            }
        }
        Ok(None)
    }

    /// Whether the clone lacks a part of its history.
    pub fn is_shallow(&self) -> Result<bool, Failure> {
        self.0.is_shallow().map_err(|error| broken("read where the history is cut off", &error))
    }

    /// The first parent of a commit; `None` for the first commit of all. A parent that was not fetched is a failure.
    pub fn parent(&self, commit: &CommitSha) -> Result<Option<CommitSha>, Failure> {
        let Some(parent) = self.parents(commit)?.into_iter().next() else { return Ok(None) };
        match self.0.try_find_object(id(&parent)?) {
            Ok(Some(_)) => Ok(Some(parent)),
            _ => Err(self.missing(format!("the clone has no parent of commit {}", commit.short()))),
        }
    }

    /// The parents that a commit names, fetched or not.
    pub fn parents(&self, commit: &CommitSha) -> Result<Vec<CommitSha>, Failure> {
        let commit = self.commit(commit)?;
        commit.parent_ids().map(|parent| sha(parent.detach())).collect()
    }

    /// The best common ancestor of two commits; `None` if the clone has none.
    pub fn merge_base(&self, one: &CommitSha, other: &CommitSha) -> Result<Option<CommitSha>, Failure> {
        let (first, second) = (self.commit(one)?.id, self.commit(other)?.id);
        let base = self.0.merge_base(first, second);
        let base = base.map_err(|error| {
            broken(&format!("find the merge base of {} and {}", one.short(), other.short()), &error)
        })?;
        base.map(|base| sha(base.detach())).transpose()
    }

    /// Whether a commit is in another one's history.
    pub fn is_ancestor(&self, ancestor: &CommitSha, descendant: &CommitSha) -> Result<bool, Failure> {
        Ok(self.merge_base(ancestor, descendant)?.as_ref() == Some(ancestor))
    }

    /// The paths of the files that differ between two commits, in order. A renamed file is two paths: the old and the new.
    pub fn changed_paths(&self, base: &CommitSha, head: &CommitSha) -> Result<Vec<String>, Failure> {
        let doing = format!("compare {} with {}", base.short(), head.short());
        let reading = |error: gix::Error| broken(&doing, &error);
        let (old, new) = (self.commit(base)?.tree().map_err(reading)?, self.commit(head)?.tree().map_err(reading)?);
        let options = gix::diff::Options::default().with_rewrites(None);
        let changes = self.0.diff_tree_to_tree(Some(&old), Some(&new), options).map_err(reading)?;
        let files = changes.iter().filter(|change| !change.entry_mode().is_tree());
        let mut paths: Vec<String> = files.map(|change| change.location().to_str_lossy().into_owned()).collect();
        paths.sort_unstable();
        paths.dedup();
        Ok(paths)
    }

    /// The files of a commit.
    pub fn tree(&self, commit: &CommitSha) -> Result<Tree<'_>, Failure> {
        let reading = |error: gix::Error| broken(&format!("list the files of {}", commit.short()), &error);
        let entries =
            self.commit(commit)?.tree().and_then(|tree| tree.traverse().breadthfirst.files()).map_err(reading)?;
        let files = entries.into_iter().filter(|entry| entry.mode.is_blob());
        let files = files.map(|entry| (entry.filepath.to_str_lossy().into_owned(), entry.oid)).collect();
        Ok(Tree { git: self, commit: commit.clone(), files })
    }

    fn commit(&self, commit: &CommitSha) -> Result<gix::Commit<'_>, Failure> {
        self.0.find_commit(id(commit)?).map_err(|_| self.missing(format!("the clone has no commit {commit}")))
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

impl Tree<'_> {
    /// The paths of all files, in order.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// Whether there is a file at this path.
    pub fn has(&self, path: &str) -> bool {
        self.files.contains_key(path)
    }

    /// The text of a file; `None` if there is no such file.
    pub fn text(&self, path: &str) -> Result<Option<String>, Failure> {
        let Some(id) = self.files.get(path) else { return Ok(None) };
        let blob = self.git.0.find_blob(*id).map_err(|error| {
            broken(&format!("read `{path}` of {}", self.commit.short()), &error)
                .hint("a clone without its files' contents cannot be read: leave out `filter` of actions/checkout")
        })?;
        Ok(Some(blob.data.to_str_lossy().into_owned()))
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
mod tests {
    #![expect(clippy::disallowed_methods, reason = "repositories to read are made by git itself")]

    use std::fs;
    use std::process::Command;

    use tempfile::TempDir;

    use super::*;

    /// A repository that git made.
    struct Made(TempDir);

    impl Made {
        fn new() -> Self {
            let made = Self(TempDir::new().unwrap());
            made.git(&["init", "--quiet", "--initial-branch=main"]);
            made
        }

        fn git(&self, arguments: &[&str]) -> String {
            let output = Command::new("git")
                .args([
                    "-c",
                    "user.name=Someone",
                    "-c",
                    "user.email=someone@example.com",
                    "-c",
                    "protocol.file.allow=always",
                ])
                .args(arguments)
                .current_dir(self.0.path())
                .env("GIT_CONFIG_GLOBAL", "/dev/null")
                .output()
                .unwrap();
            assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        }

        fn commit(&self, files: &[(&str, Option<&str>)]) -> CommitSha {
            for (path, text) in files {
                let path = self.0.path().join(path);
                match text {
                    Some(text) => {
                        fs::create_dir_all(path.parent().unwrap()).unwrap();
                        fs::write(path, text).unwrap();
                    }
                    None => fs::remove_file(path).unwrap(),
                }
            }
            self.git(&["add", "--all"]);
            self.git(&["commit", "--quiet", "--allow-empty", "--message", "x"]);
            self.git(&["rev-parse", "HEAD"]).parse().unwrap()
        }

        fn open(&self) -> Git {
            Git::open(self.0.path()).unwrap()
        }
    }

    #[test]
    fn a_rename_is_two_paths_and_a_folder_is_none() {
        let made = Made::new();
        let base = made.commit(&[("a/x.txt", Some("one\n")), ("b.txt", Some("2")), ("ä ö/\n.txt", Some("3"))]);
        let head = made.commit(&[("a/x.txt", None), ("c/d/y.txt", Some("one\n")), ("ä ö/\n.txt", Some("4"))]);
        assert_eq!(made.open().changed_paths(&base, &head).unwrap(), ["a/x.txt", "c/d/y.txt", "ä ö/\n.txt"]);
        assert_eq!(made.open().changed_paths(&head, &head).unwrap(), [""; 0]);
    }

    #[test]
    fn files_are_those_of_the_commit_not_of_the_folder() {
        let made = Made::new();
        let commit = made.commit(&[("a/x.txt", Some("one")), ("b.txt", Some("2"))]);
        made.commit(&[("b.txt", Some("3")), ("c.txt", Some("4"))]);
        let git = made.open();
        let tree = git.tree(&commit).unwrap();
        assert_eq!(tree.paths().collect::<Vec<_>>(), ["a/x.txt", "b.txt"]);
        assert_eq!(tree.text("b.txt").unwrap().as_deref(), Some("2"));
        assert_eq!(tree.text("c.txt").unwrap(), None);
        assert!(tree.has("a/x.txt") && !tree.has("a"));
    }

    #[test]
    fn history_knows_parents_ancestors_and_where_branches_part() {
        let made = Made::new();
        let first = made.commit(&[]);
        made.git(&["checkout", "--quiet", "-b", "topic"]);
        let topic = made.commit(&[("a", Some("1"))]);
        made.git(&["checkout", "--quiet", "main"]);
        let main = made.commit(&[("b", Some("1"))]);
        let git = made.open();
        assert_eq!(git.merge_base(&topic, &main).unwrap().as_ref(), Some(&first));
        assert!(git.is_ancestor(&first, &main).unwrap() && !git.is_ancestor(&topic, &main).unwrap());
        assert_eq!((git.parent(&main).unwrap(), git.parent(&first).unwrap()), (Some(first.clone()), None));
        assert_eq!((git.resolve("topic").unwrap(), git.head().unwrap()), (topic, main));
        assert_eq!(git.resolve("HEAD~1").unwrap(), first);
        assert!(!git.is_shallow().unwrap());
    }

    #[test]
    fn a_branch_of_the_remote_is_found_and_a_cut_off_history_is_told() {
        let origin = Made::new();
        origin.commit(&[]);
        let main = origin.commit(&[("a", Some("1"))]);
        origin.git(&["checkout", "--quiet", "-b", "topic", "HEAD~1"]);
        let topic = origin.commit(&[("b", Some("1"))]);
        let clone = Made(TempDir::new().unwrap());
        let url = format!("file://{}", origin.0.path().display());
        clone.git(&["clone", "--quiet", "--depth=1", "--no-single-branch", "--branch=topic", &url, "."]);
        let git = clone.open();
        assert!(git.is_shallow().unwrap());
        assert_eq!(git.resolve("main").unwrap(), main);
        assert_eq!(git.merge_base(&main, &topic).unwrap(), None);
        assert_eq!(
            git.parent(&topic).unwrap_err().to_string(),
            format!(
                "the clone has no parent of commit {}: its history is cut off\nhint: give actions/checkout `fetch-depth: 0`",
                topic.short()
            )
        );
    }

    #[test]
    fn what_is_not_there_is_a_clear_failure() {
        let folder = TempDir::new().unwrap();
        let told = Git::open(folder.path()).unwrap_err();
        assert_eq!(told.kind, crate::failure::Kind::Input);
        assert_eq!(told.hint.unwrap(), "run actions/checkout before this step, into the workspace itself");

        let made = Made::new();
        made.commit(&[]);
        let told = made.open().resolve("nonsense").unwrap_err().to_string();
        assert!(told.starts_with("the clone has no commit `nonsense`\nhint: check the name"), "{told}");
        let absent: CommitSha = "0123456789abcdef0123456789abcdef01234567".parse().unwrap();
        assert!(made.open().tree(&absent).is_err());
    }
}
