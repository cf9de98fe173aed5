//! Paths of a repository as text: relative to its root, with `/`, without `./`. A blank path is the root.

use memchr::memrchr;

/// The folder that a path lies in.
pub(crate) fn folder(path: &str) -> &str {
    memrchr(b'/', path.as_bytes()).map_or("", |end| &path[..end])
}

/// The last part of a path.
pub(crate) fn name(path: &str) -> &str {
    memrchr(b'/', path.as_bytes()).map_or(path, |end| &path[end + 1..])
}

/// A folder and those around it, from the inside out; the last is the root.
pub(crate) fn around(inside: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(inside), |inside| (!inside.is_empty()).then(|| folder(inside)))
}

/// A path as seen from a folder that it lies in, blank for the folder itself; `None` if it lies elsewhere.
pub(crate) fn below<'p>(path: &'p str, folder: &str) -> Option<&'p str> {
    match folder {
        "" => Some(path),
        folder => match path.strip_prefix(folder)? {
            "" => Some(""),
            rest => rest.strip_prefix('/'),
        },
    }
}

/// A path below a folder.
pub(crate) fn join(folder: &str, path: &str) -> String {
    match (folder, path) {
        ("", path) => path.to_owned(),
        (folder, "") => folder.to_owned(),
        (folder, path) => [folder, "/", path].concat(),
    }
}

/// A path that may go up (`../x`), from a folder; `None` if it leaves the repository.
pub(crate) fn resolve(folder: &str, path: &str) -> Option<String> {
    let mut resolved = String::with_capacity(folder.len() + 1 + path.len());
    for part in folder.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." if resolved.is_empty() => return None,
            ".." => resolved.truncate(resolved.rfind('/').unwrap_or(0)),
            part => {
                if !resolved.is_empty() {
                    resolved.push('/');
                }
                resolved.push_str(part);
            }
        }
    }
    Some(resolved)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_its_folder_and_its_name() {
        assert_eq!((folder("a/b/c"), name("a/b/c")), ("a/b", "c"));
        assert_eq!((folder("a"), name("a"), folder(""), name("")), ("", "a", "", ""));
        assert_eq!((join("a", "b"), join("", "b"), join("a", "")), ("a/b".into(), "b".into(), "a".into()));
        assert_eq!(around("a/b").collect::<Vec<_>>(), ["a/b", "a", ""]);
        assert_eq!(around("").collect::<Vec<_>>(), [""]);
    }

    #[test]
    fn a_path_is_seen_from_its_folder() {
        let check = |path, folder, expected: Option<&str>| assert_eq!(below(path, folder), expected, "{path} {folder}");
        check("a/b", "a", Some("b"));
        check("a", "a", Some(""));
        check("a", "", Some("a"));
        check("ab", "a", None);
        check("a", "a/b", None);
    }

    #[test]
    fn a_path_stays_in_the_repository() {
        let check = |folder, path, expected: Option<&str>| {
            assert_eq!(resolve(folder, path).as_deref(), expected, "{folder} {path}")
        };
        check("a/b", "../c/./d.ts", Some("a/c/d.ts"));
        check("a", "..", Some(""));
        check("", "./x//y/", Some("x/y"));
        check("a", "../..", None);
    }
}
