//! The files of a commit, listed at once, and what differs between two of them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;
use std::sync::Arc;

use gix::ObjectId;
use gix::bstr::BString;
use gix::objs::tree::{EntryKind, EntryMode};
use monorepo::files::{BlobId, Entry, Files, Kind};
use monorepo::parallel::in_parallel;

use super::blobs::keeping;
use super::{Git, broken};
use crate::failure::Failure;
use crate::names::CommitSha;

/// Folders within folders, as deep as git itself goes (`core.maxTreeDepth`).
const DEEPEST: usize = 2048;

/// One path that differs between two commits. A renamed file is two of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The path.
    pub path: String,
    /// What the base has there.
    pub base: Option<Entry>,
    /// What the head has there.
    pub head: Option<Entry>,
}

impl Git {
    /// The files of a commit: links and submodules too. A name that is not UTF-8 has its other bytes written as `\xff`, and
    /// no two names are written the same.
    pub fn files(&self, commit: &CommitSha) -> Result<Files<'_>, Failure> {
        let listed = self.list(self.root(commit)?);
        let entries = listed.map_err(|failure| failure.context(format!("list the files of {}", commit.short())))?;
        Ok(Files::new(entries, self.blobs.as_ref()))
    }

    /// What differs between two commits, in order of the paths. Folders that are the same are not looked into: it costs
    /// what differs, not what there is.
    pub fn changed(&self, base: &CommitSha, head: &CommitSha) -> Result<Vec<Change>, Failure> {
        let (old, new) = (self.root(base)?, self.root(head)?);
        let mut changes = Vec::new();
        self.compare(Some(old), Some(new), &mut String::new(), 0, &mut changes)
            .map_err(|failure| failure.context(format!("compare {} with {}", base.short(), head.short())))?;
        changes.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(changes)
    }

    /// The files of the base, from those of the head and what differs between the two.
    pub fn files_before<'a>(&'a self, head: &Files<'a>, changes: &[Change]) -> Files<'a> {
        head.but(changes.iter().map(|change| (change.path.as_str(), change.base)))
    }

    fn root(&self, commit: &CommitSha) -> Result<ObjectId, Failure> {
        let tree = self.commit(commit)?.tree_id().map(gix::Id::detach);
        tree.map_err(|error| broken(&format!("read commit {}", commit.short()), &error))
    }

    /// The files below a tree, in order. Where folders are many, in the root and right below, they are listed on all cores.
    fn list(&self, tree: ObjectId) -> Result<Vec<(Arc<str>, Entry)>, Failure> {
        let mut found = vec![Found::Folder(String::new(), tree)];
        for depth in 0..2 {
            let mut below = Vec::new();
            for found in found {
                match found {
                    Found::File(path, entry) => below.push(Found::File(path, entry)),
                    Found::Folder(path, tree) => below.extend(children(&self.repository, &path, tree, depth)?),
                }
            }
            found = below;
        }
        let blobs = &self.blobs;
        let list = |repository: &mut gix::Repository, portion: Range<usize>| {
            let mut entries = Vec::new();
            for found in &found[portion] {
                match found {
                    Found::File(path, entry) => entries.push((Arc::clone(path), *entry)),
                    Found::Folder(path, tree) => list_below(repository, path, *tree, 2, &mut entries)?,
                }
            }
            Ok(entries)
        };
        let listed = in_parallel(
            found.len(),
            || keeping(blobs.repository()),
            |repository, portion| vec![list(repository, portion)],
        );
        Ok(listed.into_iter().collect::<Result<Vec<_>, Failure>>()?.into_iter().flatten().collect())
    }

    fn compare(
        &self,
        old: Option<ObjectId>,
        new: Option<ObjectId>,
        path: &mut String,
        depth: usize,
        changes: &mut Vec<Change>,
    ) -> Result<(), Failure> {
        if old == new {
            return Ok(());
        }
        let mut names: BTreeMap<BString, [Option<(EntryMode, ObjectId)>; 2]> = BTreeMap::new();
        for (side, tree) in [old, new].into_iter().enumerate() {
            let Some(tree) = tree else { continue };
            for entry in folder(&self.repository, tree, path, depth)?.iter() {
                let entry = entry.map_err(|error| broken(&format!("list folder `{path}`"), &error))?;
                names.entry(entry.filename().to_owned()).or_default()[side] = Some((entry.mode(), entry.object_id()));
            }
        }
        let length = path.len();
        for (name, sides) in names {
            path.push_str(&written(&name));
            let [base, head] =
                sides.map(|side| side.and_then(|(mode, id)| Some(Entry { kind: is(mode)?, id: blob(&id) })));
            if base != head {
                changes.push(Change { path: path.clone(), base, head });
            }
            path.push('/');
            let [old, new] = sides.map(|side| side.filter(|(mode, _)| mode.is_tree()).map(|(_, id)| id));
            self.compare(old, new, path, depth + 1, changes)?;
            path.truncate(length);
        }
        Ok(())
    }
}

/// What is at a path.
enum Found {
    File(Arc<str>, Entry),
    Folder(String, ObjectId),
}

/// What is in a folder, in order.
fn children(repository: &gix::Repository, path: &str, tree: ObjectId, depth: usize) -> Result<Vec<Found>, Failure> {
    let tree = folder(repository, tree, path, depth)?;
    let found = |entry: Result<gix::object::tree::EntryRef<'_, '_>, _>| {
        let entry = entry.map_err(|error| broken(&format!("list folder `{path}`"), &error))?;
        let name = written(entry.filename());
        let path = if path.is_empty() { name.into_owned() } else { [path, "/", &name].concat() };
        Ok(match is(entry.mode()) {
            Some(kind) => Found::File(path.into(), Entry { kind, id: blob(entry.oid()) }),
            None => Found::Folder(path, entry.object_id()),
        })
    };
    tree.iter().map(found).collect()
}

/// Adds all that is below a folder, in order.
fn list_below(
    repository: &gix::Repository,
    path: &str,
    tree: ObjectId,
    depth: usize,
    entries: &mut Vec<(Arc<str>, Entry)>,
) -> Result<(), Failure> {
    for found in children(repository, path, tree, depth)? {
        match found {
            Found::File(path, entry) => entries.push((path, entry)),
            Found::Folder(path, tree) => list_below(repository, &path, tree, depth + 1, entries)?,
        }
    }
    Ok(())
}

fn folder<'r>(
    repository: &'r gix::Repository,
    tree: ObjectId,
    path: &str,
    depth: usize,
) -> Result<gix::Tree<'r>, Failure> {
    if depth > DEEPEST {
        let name: String = path.chars().take(60).collect();
        return Err(Failure::input(format!("`{name}…` has more than {DEEPEST} folders within each other"))
            .hint("git refuses to check that out as well: remove them"));
    }
    repository.find_tree(tree).map_err(|error| {
        Failure::input(error).context(format!("list folder `{}`", path.trim_end_matches('/'))).hint(
            "check it out anew; a clone that lacks the list of its files cannot be read: leave out `filter` of actions/checkout",
        )
    })
}

/// What a path is; `None` for a folder.
fn is(mode: EntryMode) -> Option<Kind> {
    match mode.kind() {
        EntryKind::Tree => None,
        EntryKind::Blob => Some(Kind::File),
        EntryKind::BlobExecutable => Some(Kind::Executable),
        EntryKind::Link => Some(Kind::Link),
        EntryKind::Commit => Some(Kind::Submodule),
    }
}

fn blob(id: &gix::oid) -> BlobId {
    let mut bytes = [0; 20];
    // Only repositories of 20 bytes are opened: their commits' names are.
    bytes.iter_mut().zip(id.as_bytes()).for_each(|(to, from)| *to = *from);
    BlobId(bytes)
}

/// A name as text: `\xff` for a byte that is not UTF-8, and `\x5c` for a backslash where the two could be mistaken.
fn written(name: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(name)
        && !text.contains('\\')
    {
        return Cow::Borrowed(text);
    }
    let mut text = String::new();
    for chunk in name.utf8_chunks() {
        for (place, letter) in chunk.valid().char_indices() {
            match looks_escaped(&chunk.valid().as_bytes()[place..]) {
                true => text.push_str("\\x5c"),
                false => text.push(letter),
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    Cow::Owned(text)
}

fn looks_escaped(text: &[u8]) -> bool {
    matches!(text, [b'\\', b'x', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use monorepo::files::LARGEST;
    use proptest::prelude::*;

    use super::super::tests::made::Made;
    use super::*;

    fn listed(files: &Files<'_>) -> Vec<String> {
        files.iter().map(|(path, entry)| format!("{:?} {path}", entry.kind)).collect()
    }

    /// The name that was written.
    fn read(text: &str) -> Vec<u8> {
        let (bytes, mut name, mut place) = (text.as_bytes(), Vec::new(), 0);
        while let Some(byte) = bytes.get(place) {
            let is_escaped = looks_escaped(&bytes[place..]);
            name.push(if is_escaped { u8::from_str_radix(&text[place + 2..place + 4], 16).unwrap() } else { *byte });
            place += if is_escaped { 4 } else { 1 };
        }
        name
    }

    proptest! {
        #[test]
        fn no_two_names_are_written_the_same(name in prop::collection::vec(prop::sample::select(b"\\x5cf\xff\xc3\xa4".to_vec()), 0..12)) {
            prop_assert_eq!(read(&written(&name)), name);
        }
    }

    #[test]
    fn a_name_is_written_as_it_is_where_it_can_be() {
        for (name, text) in [
            (b"a b\n.txt".as_slice(), "a b\n.txt"),
            ("ä".as_bytes(), "ä"),
            (b"a\xff", "a\\xff"),
            (b"a\\xff", "a\\x5cxff"),
            (b"a\\b\\x", "a\\b\\x"),
        ] {
            assert_eq!(written(name), text);
        }
    }

    #[test]
    fn links_submodules_and_what_may_be_run_are_told_apart() {
        let made = Made::new();
        let file = |path: &str| made.path().join(path);
        made.commit(&[("a-b", Some("1")), ("a/run", Some("2")), ("z", Some("3"))]);
        fs::set_permissions(file("a/run"), fs::Permissions::from_mode(0o755)).unwrap();
        symlink("../z", file("a/link")).unwrap();
        let commit = made.commit(&[]);
        made.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{commit},sub")]);
        made.git(&["commit", "--quiet", "--message", "x"]);
        let git = made.open();
        let files = git.files(&git.head().unwrap()).unwrap();
        assert_eq!(listed(&files), ["File a-b", "Link a/link", "Executable a/run", "Submodule sub", "File z"]);
        assert_eq!(files.bytes("a/run").unwrap().as_deref(), Some(b"2".as_slice()));
        assert_eq!(files.read(files.get("a/link").unwrap().id).unwrap(), b"../z");
        assert_eq!(files.get("sub").unwrap().id.to_string(), commit.as_str());
        assert!(files.read(files.get("sub").unwrap().id).is_err());
    }

    #[test]
    fn the_files_of_the_base_are_those_of_the_head_but_for_what_differs() {
        let made = Made::new();
        let base = made.commit(&[("a", Some("1")), ("b/x", Some("1")), ("c/d/e", Some("1")), ("same/x", Some("1"))]);
        let head = made.commit(&[
            ("a", None),
            ("a/now-a-folder", Some("1")),
            ("b/x", None),
            ("b", Some("now a file")),
            ("c/d/e", Some("2")),
            ("new/ä\n", Some("1")),
        ]);
        let git = made.open();
        let (old, new) = (git.files(&base).unwrap(), git.files(&head).unwrap());
        let changes = git.changed(&base, &head).unwrap();
        let paths: Vec<&str> = changes.iter().map(|change| change.path.as_str()).collect();
        assert_eq!(paths, ["a", "a/now-a-folder", "b", "b/x", "c/d/e", "new/ä\n"]);
        let derived = git.files_before(&new, &changes);
        assert_eq!(derived.iter().collect::<Vec<_>>(), old.iter().collect::<Vec<_>>());
        let back = git.files_before(&old, &git.changed(&head, &base).unwrap());
        assert_eq!(back.iter().collect::<Vec<_>>(), new.iter().collect::<Vec<_>>());
    }

    #[test]
    fn a_change_of_the_mode_alone_is_a_change() {
        let made = Made::new();
        let base = made.commit(&[("run", Some("1"))]);
        fs::set_permissions(made.path().join("run"), fs::Permissions::from_mode(0o755)).unwrap();
        let head = made.commit(&[]);
        let changes = made.open().changed(&base, &head).unwrap();
        let kinds: Vec<_> =
            changes.iter().map(|change| (change.base.unwrap().kind, change.head.unwrap().kind)).collect();
        assert_eq!(kinds, [(Kind::File, Kind::Executable)]);
    }

    #[test]
    fn names_that_are_not_utf_8_are_told_apart() {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt as _;
        let made = Made::new();
        for name in [b"a\xff".as_slice(), b"a\xfe", b"a\\xff"] {
            fs::write(made.path().join(OsStr::from_bytes(name)), "1").unwrap();
        }
        let commit = made.commit(&[]);
        let git = made.open();
        assert_eq!(listed(&git.files(&commit).unwrap()), ["File a\\x5cxff", "File a\\xfe", "File a\\xff"]);
    }

    #[test]
    fn what_is_too_large_or_not_in_the_clone_is_said() {
        let made = Made::new();
        let file = fs::File::create(made.path().join("large")).unwrap();
        file.set_len(LARGEST + 1).unwrap();
        let commit = made.commit(&[("gone", Some("gone"))]);
        let gone = made.git(&["rev-parse", "HEAD:gone"]);
        fs::remove_file(made.path().join(".git/objects").join(&gone[..2]).join(&gone[2..])).unwrap();
        let git = made.open();
        let files = git.files(&commit).unwrap();
        assert_eq!(files.bytes("large").unwrap_err().to_string(), "large: larger than 32 MiB");
        assert_eq!(
            files.bytes("gone").unwrap_err().to_string(),
            "gone: its content is not in the clone: leave out `filter` of actions/checkout"
        );
    }

    #[test]
    fn contents_are_read_by_many_threads_at_once() {
        let made = Made::new();
        let names: Vec<String> = (0..64).map(|number| format!("{number}")).collect();
        let commit = made.commit(&names.iter().map(|name| (name.as_str(), Some(name.as_str()))).collect::<Vec<_>>());
        let git = made.open();
        let files = git.files(&commit).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope
                    .spawn(|| names.iter().for_each(|name| assert_eq!(files.text(name).unwrap().as_ref(), Some(name))));
            }
        });
    }

    #[test]
    fn a_commit_without_its_list_of_files_says_what_to_do() {
        let made = Made::new();
        let commit = made.commit(&[("folder/x", Some("1"))]);
        let tree = made.git(&["rev-parse", "HEAD:folder"]);
        fs::remove_file(made.path().join(".git/objects").join(&tree[..2]).join(&tree[2..])).unwrap();
        let told = made.open().files(&commit).unwrap_err().to_string();
        assert!(told.contains("list folder `folder`") && told.contains("leave out `filter`"), "{told}");
    }
}
