//! Specifiers as text.

use crate::path;

/// A relative path from a folder; `None` if it leaves the repository.
pub(super) fn resolve(folder: &str, relative: &str) -> Option<String> {
    if relative.starts_with('/') { None } else { path::resolve(folder, relative) }
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
    fn what_starts_at_the_root_of_the_machine_is_nowhere() {
        assert_eq!((resolve("a", "b"), resolve("a", "/etc")), (Some("a/b".to_owned()), None));
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
