//! The `paths` of a `tsconfig.json` (<https://www.typescriptlang.org/tsconfig/#paths>), found quickly among thousands.

use std::collections::BTreeSet;

use foldhash::HashMap;
use serde_json::Value;

/// The `paths` that one file declares.
#[derive(Debug, Default)]
pub(super) struct Paths {
    /// The file that declares them.
    pub(super) file: String,
    exact: HashMap<String, Vec<String>>,
    /// By what comes before the `*`.
    patterns: HashMap<String, Vec<Pattern>>,
    /// The lengths of the prefixes, the longest first.
    lengths: Vec<usize>,
}

#[derive(Debug)]
struct Pattern {
    entry: String,
    suffix: String,
    targets: Vec<String>,
}

/// The entry that a specifier is looked up by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Match<'p, 's> {
    /// The entry, as it is written.
    pub(super) entry: &'p str,
    /// Where it may lead, `*` included.
    pub(super) targets: &'p [String],
    /// What the `*` stands for.
    pub(super) star: &'s str,
}

impl Paths {
    /// Reads the `paths` of a file.
    pub(super) fn new(file: &str, value: &Value) -> Self {
        let mut paths = Self { file: file.to_owned(), ..Self::default() };
        let mut lengths = BTreeSet::new();
        for (entry, targets) in value.as_object().into_iter().flatten() {
            let targets: Vec<_> = targets
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|target| target.as_str().map(str::to_owned))
                .collect();
            match entry.split_once('*') {
                None => {
                    paths.exact.insert(entry.clone(), targets);
                }
                Some((prefix, suffix)) => {
                    lengths.insert(prefix.len());
                    let pattern = Pattern { entry: entry.clone(), suffix: suffix.to_owned(), targets };
                    paths.patterns.entry(prefix.to_owned()).or_default().push(pattern);
                }
            }
        }
        paths.lengths = lengths.into_iter().rev().collect();
        paths
    }

    /// The entry for a specifier: an exact one, else the one with the longest prefix.
    pub(super) fn find<'p, 's>(&'p self, specifier: &'s str) -> Option<Match<'p, 's>> {
        if let Some((entry, targets)) = self.exact.get_key_value(specifier) {
            return Some(Match { entry, targets, star: "" });
        }
        self.lengths.iter().find_map(|length| {
            let (prefix, rest) = specifier.split_at_checked(*length)?;
            self.patterns.get(prefix)?.iter().find_map(|Pattern { entry, suffix, targets }| {
                Some(Match { entry, targets, star: rest.strip_suffix(suffix.as_str())? })
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_longest_prefix_wins() {
        let paths = Paths::new(
            "tsconfig.json",
            &json!({
                "*": ["types/*"], "@a/*": ["a/*"], "@a/b/*": ["b/*"], "@a/b/c": ["c"], "@a/*.css": ["styles/*"], "broken": 1,
            }),
        );
        let find = |specifier| paths.find(specifier).map(|found| (found.entry, found.star));
        assert_eq!(find("@a/b/c"), Some(("@a/b/c", "")));
        assert_eq!(find("@a/b/d"), Some(("@a/b/*", "d")));
        assert_eq!(find("@a/d/e"), Some(("@a/*", "d/e")));
        assert_eq!(find("react"), Some(("*", "react")));
        assert_eq!(find("ü"), Some(("*", "ü")));
        assert_eq!(find("broken"), Some(("broken", "")));
        assert_eq!(Paths::new("", &json!([])).find("@a/b"), None);
    }
}
