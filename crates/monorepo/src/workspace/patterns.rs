//! Lists of patterns of files, compiled.

use std::collections::BTreeSet;

use globset::{Candidate, Glob, GlobBuilder, GlobMatcher, GlobSet, GlobSetBuilder};

use crate::path;

/// Which files count: those that a pattern includes and none excludes. No included one at all is every file.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Patterns {
    pub(crate) included: BTreeSet<String>,
    pub(crate) excluded: BTreeSet<String>,
}

impl Patterns {
    /// Takes a pattern, to exclude with a leading `!`; `!(…)` is none, but a pattern of what is not.
    pub(crate) fn push(&mut self, pattern: &str) {
        match pattern.strip_prefix('!').filter(|rest| !rest.starts_with('(')) {
            Some(pattern) => self.excluded.insert(pattern.to_owned()),
            None => self.included.insert(pattern.to_owned()),
        };
    }

    /// Compiles them.
    pub(crate) fn compile(&self) -> Compiled {
        // A folder's name stands for what is in it.
        let folders = self.included.iter().filter(|pattern| !pattern.ends_with('*'));
        let folders = folders.map(|pattern| format!("{}/**", pattern.trim_end_matches('/')));
        let included = self.included.iter().cloned().chain(folders);
        Compiled {
            included: (!self.included.is_empty()).then(|| Globs::new(included, true)),
            excluded: Globs::new(self.excluded.iter().cloned(), false),
        }
    }
}

/// Patterns that are compiled.
#[derive(Debug)]
pub(crate) struct Compiled {
    included: Option<Globs>,
    excluded: Globs,
}

impl Compiled {
    /// Whether a path matches.
    pub(crate) fn has(&self, path: &str) -> bool {
        let path = Candidate::new(path);
        self.included.as_ref().is_none_or(|globs| globs.has(&path)) && !self.excluded.has(&path)
    }
}

/// Several patterns.
#[derive(Debug, Default)]
struct Globs {
    set: GlobSet,
    /// Those with a `!(…)` in them, each with what it does not mean.
    narrowed: Vec<(GlobMatcher, GlobMatcher)>,
    /// One of them cannot be understood, and may mean any file.
    is_any: bool,
}

impl Globs {
    fn new(patterns: impl Iterator<Item = String>, include: bool) -> Self {
        let (mut set, mut globs) = (GlobSetBuilder::new(), Self::default());
        for pattern in patterns {
            match (glob(&widest(&pattern)), pattern.contains("!(").then(|| glob(&exception(&pattern)))) {
                (Ok(glob), None) => drop(set.add(glob)),
                (Ok(glob), Some(Ok(except))) => {
                    globs.narrowed.push((glob.compile_matcher(), except.compile_matcher()));
                }
                // What is not understood counts: it is included, or not excluded.
                (Err(_), _) | (_, Some(Err(_))) => globs.is_any |= include,
            }
        }
        match set.build() {
            Ok(set) => globs.set = set,
            Err(_) => globs.is_any |= include,
        }
        globs
    }

    fn has(&self, path: &Candidate<'_>) -> bool {
        let narrowed = |(glob, except): &(GlobMatcher, GlobMatcher)| {
            glob.is_match_candidate(path) && !except.is_match_candidate(path)
        };
        self.is_any || self.set.is_match_candidate(path) || self.narrowed.iter().any(narrowed)
    }
}

/// Why a pattern cannot be understood, if so.
pub(crate) fn complaint(pattern: &str) -> Option<String> {
    glob(&widest(pattern)).and_then(|_| glob(&exception(pattern))).err().map(|error| error.kind().to_string())
}

/// A pattern in which `*` ends at a `/`.
pub(crate) fn glob(pattern: &str) -> Result<Glob, globset::Error> {
    GlobBuilder::new(pattern).literal_separator(true).empty_alternates(true).build()
}

/// Whether a text is a pattern, and not just a path.
pub(crate) fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '[', '{', '('])
}

/// The part of a pattern before the first folder that is one.
pub(crate) fn literal(pattern: &str) -> &str {
    match pattern.find(['*', '?', '[', '{', '(', '!', '+', '@']) {
        Some(end) => path::folder(&pattern[..end]),
        None => pattern.trim_end_matches('/'),
    }
}

/// A pattern with the extended forms of bash, which Nx's own generators write (`?(*.)+(spec|test).[jt]s?(x)`), as alternatives.
/// `+(…)` and `*(…)` stand for one, as in Nx; `!(…)` for anything.
fn widest(pattern: &str) -> String {
    alternatives(pattern, false)
}

/// The same with `!(…)` standing for what it is not.
fn exception(pattern: &str) -> String {
    alternatives(pattern, true)
}

fn alternatives(pattern: &str, is_exception: bool) -> String {
    // Nearly all have none, and what nests deeper than anybody writes stays as it is.
    if !["?(", "*(", "+(", "@(", "!("].iter().any(|form| pattern.contains(form)) || pattern.matches('(').count() > 32 {
        return pattern.to_owned();
    }
    let mut out = String::with_capacity(pattern.len());
    // What each open parenthesis ends with; `None` for one that is just a character. `is_hidden`: inside of a `!(…)`.
    let mut open: Vec<Option<bool>> = Vec::new();
    let mut characters = pattern.chars().peekable();
    let mut hidden = 0_usize;
    while let Some(character) = characters.next() {
        let is_form = matches!(character, '?' | '*' | '+' | '@' | '!') && characters.peek() == Some(&'(');
        if is_form {
            characters.next();
            let hides = character == '!' && !is_exception;
            open.push(Some(hides));
            hidden += usize::from(hides);
            match character {
                _ if hides && hidden == 1 => out.push('*'),
                _ if hidden > 0 => {}
                '?' | '*' => out.push_str("{,"),
                _ => out.push('{'),
            }
            continue;
        }
        match (character, open.last()) {
            ('(', _) => {
                open.push(None);
                if hidden == 0 {
                    out.push('(');
                }
            }
            (')', Some(Some(hides))) => {
                if hidden == 0 {
                    out.push('}');
                }
                hidden -= usize::from(*hides);
                open.pop();
            }
            (')', Some(None)) => {
                open.pop();
                if hidden == 0 {
                    out.push(')');
                }
            }
            ('|', Some(Some(_))) if hidden == 0 => out.push(','),
            _ if hidden == 0 => out.push(character),
            _ => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(patterns: &[&str], counted: &[&str], left_out: &[&str]) {
        let mut list = Patterns::default();
        patterns.iter().for_each(|pattern| list.push(pattern));
        let compiled = list.compile();
        counted.iter().for_each(|path| assert!(compiled.has(path), "{patterns:?} {path}"));
        left_out.iter().for_each(|path| assert!(!compiled.has(path), "{patterns:?} {path}"));
    }

    #[test]
    fn patterns_match_as_in_the_tools_that_have_them() {
        check(&["**/*"], &["a", "a/b", ".env", "a/.b/c"], &[]);
        check(&["src/*.ts"], &["src/a.ts"], &["src/a/b.ts", "a.ts", "src/a.tsx"]);
        check(&["src"], &["src", "src/a/b"], &["srcs/a"]);
        check(&["src/"], &["src/a/b"], &["srcs/a"]);
        check(&["!**/*.md"], &["a.ts"], &["README.md", "docs/x.md"]);
        check(&["**/*", "!**/*.md", "!docs/**/*"], &["a.ts"], &["README.md", "docs/x.ts"]);
        check(&["*.{ts,js}"], &["a.ts", "a.js"], &["a.css"]);
        check(&["src/[a"], &["anything"], &[]);
        check(&["**/*", "![a"], &["anything", "a"], &[]);
    }

    #[test]
    fn extended_patterns_match_as_in_bash() {
        let specs = "!**/?(*.)+(spec|test).[jt]s?(x)?(.snap)";
        check(
            &["**/*", specs],
            &["a.ts", "spec/a.ts", "contest.ts", "a.spec.css"],
            &["a.spec.ts", "b/a.test.tsx", "test.js", "a/b.spec.jsx.snap"],
        );
        check(&["!(dist|out)/**"], &["src/a", "lib/b/c"], &["dist/a", "out/b/c"]);
        check(&["**/*.@(ts|js)"], &["a/b.ts", "c.js"], &["a.tsx"]);
        check(&["app/(group)/*"], &["app/(group)/page"], &["app/group/page"]);
        check(&["*.!(d).ts"], &["a.b.ts"], &["a.d.ts"]);
    }

    #[test]
    fn what_is_no_pattern_is_told() {
        assert_eq!(complaint("src/**/*.ts"), None);
        assert!(complaint("src/[a").is_some() && complaint("{a").is_some());
        assert_eq!((literal("a/b/*.ts"), literal("a/b"), literal("**/x"), literal("a/b*/c")), ("a/b", "a/b", "", "a"));
    }
}
