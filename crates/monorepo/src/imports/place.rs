//! Paths and specifiers as text.

/// The folder of a path; blank is the root.
pub(super) fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// A path below a folder.
pub(super) fn inside(folder: &str, path: &str) -> String {
    match (folder, path) {
        ("", path) => path.to_owned(),
        (folder, "") => folder.to_owned(),
        (folder, path) => format!("{folder}/{path}"),
    }
}

/// A relative path from a folder; `None` if it leaves the repository.
pub(super) fn join(folder: &str, path: &str) -> Option<String> {
    if path.starts_with('/') {
        return None;
    }
    let mut joined = folder.to_owned();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." if joined.is_empty() => return None,
            ".." => joined.truncate(joined.rfind('/').unwrap_or(0)),
            segment => {
                if !joined.is_empty() {
                    joined.push('/');
                }
                joined.push_str(segment);
            }
        }
    }
    Some(joined)
}

/// The package that a specifier names, and what comes after its name; `None` if it names none (`@/x`, `~/x`, `./x`).
pub(super) fn package_of(specifier: &str) -> Option<(&str, &str)> {
    let end = match specifier.strip_prefix('@') {
        Some(scoped) => {
            let (scope, name) = scoped.split_once('/')?;
            let length = name.find('/').unwrap_or(name.len());
            if scope.is_empty() || length == 0 {
                return None;
            }
            1 + scope.len() + 1 + length
        }
        None => specifier.find('/').unwrap_or(specifier.len()),
    };
    let (package, rest) = specifier.split_at(end);
    // <https://docs.npmjs.com/cli/configuring-npm/package-json#name>, upper case of old packages included.
    let is_name = package.chars().all(|letter| letter.is_ascii_alphanumeric() || "@/-_.~".contains(letter));
    (is_name && !package.is_empty() && !package.starts_with(['.', '~', '/']))
        .then(|| (package, rest.trim_start_matches('/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_in_the_repository() {
        let check = |folder, path, expected: Option<&str>| {
            assert_eq!(join(folder, path).as_deref(), expected, "{folder} {path}")
        };
        check("a/b", "../c/./d.ts", Some("a/c/d.ts"));
        check("a", "..", Some(""));
        check("", "./x//y/", Some("x/y"));
        check("a", "../..", None);
        check("a", "/etc", None);
    }

    #[test]
    fn a_package_is_the_beginning_of_a_specifier() {
        let check = |specifier, expected| assert_eq!(package_of(specifier), expected, "{specifier}");
        check("pg", Some(("pg", "")));
        check("lodash/fp", Some(("lodash", "fp")));
        check("@acme/db", Some(("@acme/db", "")));
        check("@acme/db/a/b.js", Some(("@acme/db", "a/b.js")));
        check("buffer/", Some(("buffer", "")));
        for specifier in ["", "@acme", "@/x", "~/x", "@acme/", "/x", "./x", "..", "a b", "§"] {
            check(specifier, None);
        }
    }
}
