//! Which files of a commit a source is.

use std::collections::BTreeSet;

use foldhash::HashSet;

use super::{Matched, Origin, Source};
use crate::files::{Entry, Files, Kind};
use crate::ignore::Ignore;
use crate::path;
use crate::problem::Problem;

/// How many links are followed one after the other; a loop is longer.
const LINKS: usize = 10;

impl Source {
    /// What a commit has of it; `context` is the folder that the patterns are relative to: the build's, or the named one's. A
    /// link counts with what it leads to. Nothing, if nothing is tracked: it is made outside of git.
    pub fn matched<'f>(&self, files: &'f Files<'_>, context: &str) -> Vec<Matched<'f>> {
        if matches!(self.origin, Origin::Remote(_)) {
            return Vec::new();
        }
        let context = normal(context);
        let steps: Vec<Step> = parts(&self.pattern).into_iter().map(Step::new).collect();
        let can_repeat = steps.iter().filter(|step| **step == Step::Folders).count() > 1;
        let mut walk = Walk { files, context: &context, can_repeat, been: HashSet::default(), found: BTreeSet::new() };
        walk.go(&context, &steps, 0);
        let mut found = walk.found;
        if let Ok(excluded) = self.exclusions()
            && !self.exclude.is_empty()
        {
            found.retain(|one| !matches!(one, Matched::File(path) if excluded.leaves_out(path::name(path))));
        }
        found.into_iter().collect()
    }

    /// The `--exclude`s, for paths relative to a folder that matched; files that matched are without them already.
    pub fn exclusions(&self) -> Result<Ignore, Problem> {
        Ignore::from_patterns(self.exclude.iter().map(|pattern| (self.line, pattern.as_str())), "Dockerfile")
    }
}

/// A path without `./`, `//` and `..`; nothing leads out of the root.
pub(crate) fn normal(path: &str) -> String {
    parts(path).join("/")
}

fn parts(path: &str) -> Vec<&str> {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            // Twice is once, and would take the time of twice.
            "**" if parts.last() == Some(&"**") => {}
            part => parts.push(part),
        }
    }
    parts
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Step {
    Name(String),
    Wild(Vec<char>),
    /// `**`: any number of folders.
    Folders,
}

impl Step {
    fn new(part: &str) -> Self {
        match part {
            "**" => Self::Folders,
            part if part.contains(['*', '?', '[', '\\']) => Self::Wild(part.chars().collect()),
            part => Self::Name(part.to_owned()),
        }
    }
}

struct Walk<'w, 'f, 'c> {
    files: &'f Files<'c>,
    context: &'w str,
    /// Whether there are several ways to one place.
    can_repeat: bool,
    been: HashSet<(String, Vec<Step>)>,
    found: BTreeSet<Matched<'f>>,
}

impl<'f> Walk<'_, 'f, '_> {
    /// From a folder, or from what was just stepped on.
    fn go(&mut self, at: &str, steps: &[Step], links: usize) {
        if (self.can_repeat || links > 0) && !self.been.insert((at.to_owned(), steps.to_vec())) {
            return;
        }
        let Some((step, rest)) = steps.split_first() else {
            if self.files.has_folder(at) {
                self.found.insert(Matched::Folder(at.to_owned()));
            }
            return;
        };
        match step {
            Step::Name(name) => self.enter(&path::join(at, name), rest, links),
            Step::Wild(pattern) => {
                for (path, entry) in self.files.children(at) {
                    let name = path::name(path);
                    match entry {
                        _ if !is_match(pattern, name) => {}
                        Some(_) => self.enter(path, rest, links),
                        None => self.go(path, rest, links),
                    }
                }
            }
            Step::Folders => {
                self.go(at, rest, links);
                if !rest.is_empty() {
                    let folders = self.files.children(at).filter(|(_, entry)| entry.is_none());
                    folders.for_each(|(path, _)| self.go(path, steps, links));
                }
            }
        }
    }

    fn enter(&mut self, path: &str, rest: &[Step], links: usize) {
        match self.files.find(path) {
            Some((path, Entry { kind: Kind::Link, id })) => {
                self.found.insert(Matched::File(path));
                if links < LINKS {
                    match self.files.read(id) {
                        Ok(target) => self.follow(path, &String::from_utf8_lossy(&target), rest, links + 1),
                        // Where it leads cannot be known: it may be anything of the context.
                        Err(_) => drop(self.found.insert(Matched::Folder(self.context.to_owned()))),
                    }
                }
            }
            // What is below a submodule is told by the commit that it is at.
            Some((path, entry)) if rest.is_empty() || entry.kind == Kind::Submodule => {
                self.found.insert(Matched::File(path));
            }
            Some(_) => {}
            None if self.files.has_folder(path) => self.go(path, rest, links),
            None => {}
        }
    }

    fn follow(&mut self, link: &str, target: &str, rest: &[Step], links: usize) {
        let folder = path::folder(link);
        let from = if target.starts_with('/') { self.context } else { folder };
        let target = format!("{from}/{target}");
        let names = parts(&target).into_iter().map(|part| Step::Name(part.to_owned()));
        let steps: Vec<Step> = names.chain(rest.iter().cloned()).collect();
        self.go("", &steps, links);
    }
}

/// Go's `filepath.Match`, for one part of a path (<https://pkg.go.dev/path/filepath#Match>). A broken pattern matches nothing.
fn is_match(pattern: &[char], name: &str) -> bool {
    let name: Vec<char> = name.chars().collect();
    let (mut at, mut letter) = (0, 0);
    // Where to go on if it does not match: after the last `*`, which then takes one letter more.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        if pattern.get(at) == Some(&'*') {
            at += 1;
            retry = Some((at, letter));
            continue;
        }
        if at == pattern.len() && letter == name.len() {
            return true;
        }
        match name.get(letter).and_then(|letter| one(pattern, at, *letter)) {
            Some(next) => (at, letter) = (next, letter + 1),
            None => match retry {
                Some((after, taken)) if taken < name.len() => {
                    retry = Some((after, taken + 1));
                    (at, letter) = (after, taken + 1);
                }
                _ => return false,
            },
        }
    }
}

/// Where the pattern goes on if its part at a place matches a letter.
fn one(pattern: &[char], at: usize, letter: char) -> Option<usize> {
    match pattern.get(at)? {
        '?' => Some(at + 1),
        '[' => class(pattern, at + 1, letter),
        '\\' => (*pattern.get(at + 1)? == letter).then_some(at + 2),
        one => (*one == letter).then_some(at + 1),
    }
}

/// The same for a class, `a-z]`.
fn class(pattern: &[char], mut at: usize, letter: char) -> Option<usize> {
    let is_negated = pattern.get(at) == Some(&'^');
    at += usize::from(is_negated);
    let (mut is_in, mut count) = (false, 0);
    let next = |at: &mut usize| {
        *at += usize::from(pattern.get(*at) == Some(&'\\'));
        let letter = pattern.get(*at).copied();
        *at += 1;
        letter
    };
    while count == 0 || *pattern.get(at)? != ']' {
        let low = next(&mut at)?;
        let high = if pattern.get(at) == Some(&'-') {
            at += 1;
            next(&mut at)?
        } else {
            low
        };
        is_in |= (low..=high).contains(&letter);
        count += 1;
    }
    (is_in != is_negated).then_some(at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dockerfile::By;
    use crate::files::tests::Made;

    fn made() -> Made {
        let mut made = Made::new(&[
            ("package.json", ""),
            ("tsconfig.json", ""),
            ("README.md", ""),
            ("apps/auth/package.json", ""),
            ("apps/auth/src/main.ts", ""),
            ("apps/auth-api/package.json", ""),
            ("apps/deep/web/package.json", ""),
            ("app/[slug]/page.ts", ""),
        ]);
        for (path, target) in [
            ("link.json", "package.json"),
            ("current", "apps/auth"),
            ("again", "./current/src/../src"),
            ("loop", "pool"),
            ("pool", "loop"),
            ("apps/auth/up", "../../README.md"),
            ("apps/auth/root", "/package.json"),
            ("outside", "../../etc/passwd"),
        ] {
            made.put(path, Kind::Link, target.as_bytes());
        }
        made.put("vendor/lib", Kind::Submodule, b"commit");
        made
    }

    fn check_in(context: &str, pattern: &str, exclude: &[&str], expected: &[&str]) {
        let source = Source {
            origin: Origin::Context,
            pattern: pattern.to_owned(),
            exclude: exclude.iter().map(|pattern| (*pattern).to_owned()).collect(),
            is_final: true,
            line: 1,
            by: By::Copy,
        };
        let made = made();
        let files = made.files();
        let found: Vec<String> = source
            .matched(&files, context)
            .into_iter()
            .map(|one| match one {
                Matched::File(path) => path.to_owned(),
                Matched::Folder(path) => format!("{path}/"),
            })
            .collect();
        assert_eq!(found, expected, "{pattern} in {context:?}");
    }

    fn check(pattern: &str, expected: &[&str]) {
        check_in(".", pattern, &[], expected);
    }

    #[test]
    fn sources_are_relative_to_the_context() {
        check(".", &["/"]);
        check("./", &["/"]);
        check("/", &["/"]);
        check("package.json", &["package.json"]);
        check("/package.json", &["package.json"]);
        check("./apps/auth/", &["apps/auth/"]);
        check("apps//auth/./src", &["apps/auth/src/"]);
        check("../package.json", &["package.json"]);
        check("../../..", &["/"]);
        check("dist", &[]);
        check("package.json/x", &[]);
        check("app/x/y", &[]);
        check_in("./apps/auth/", ".", &[], &["apps/auth/"]);
        check_in("apps/auth", "package.json", &[], &["apps/auth/package.json"]);
        check_in("apps/auth", "../../package.json", &[], &["apps/auth/package.json"]);
        check_in("nowhere", ".", &[], &[]);
    }

    #[test]
    fn wildcards_are_gos() {
        check("*.json", &["link.json", "package.json", "tsconfig.json"]);
        check("package*.json", &["package.json"]);
        check("apps/*/package.json", &["apps/auth-api/package.json", "apps/auth/package.json"]);
        check("apps/auth*", &["apps/auth/", "apps/auth-api/"]);
        check("apps/*-api/", &["apps/auth-api/"]);
        check("?????????.md", &[]);
        check("README.??", &["README.md"]);
        check("[pt]*.json", &["package.json", "tsconfig.json"]);
        check("[^pl]*.json", &["tsconfig.json"]);
        check("app/[[]slug]/page.ts", &["app/[slug]/page.ts"]);
        check("app/\\[slug]/page.ts", &["app/[slug]/page.ts"]);
        check("app/[slug]/page.ts", &[]);
        check("[p", &[]);
        check(
            "**/package.json",
            &["apps/auth-api/package.json", "apps/auth/package.json", "apps/deep/web/package.json", "package.json"],
        );
        check("**/apps/**/web", &["apps/deep/web/"]);
        check("**", &["/"]);
    }

    #[test]
    fn links_count_with_what_they_lead_to() {
        check("link.json", &["link.json", "package.json"]);
        check("current", &["current", "apps/auth/"]);
        check("current/src/main.ts", &["apps/auth/src/main.ts", "current"]);
        check("again/main.ts", &["again", "apps/auth/src/main.ts", "current"]);
        check("loop", &["loop", "pool"]);
        check("loop/x", &["loop", "pool"]);
        check("outside", &["outside"]);
        check_in("apps/auth", "up", &[], &["README.md", "apps/auth/up"]);
        check_in("apps/auth", "root", &[], &["apps/auth/package.json", "apps/auth/root"]);
        check("vendor/lib/src/x.c", &["vendor/lib"]);
        // A link in a folder that is copied is copied as a link.
        check("apps/auth", &["apps/auth/"]);
    }

    #[test]
    fn what_is_excluded_is_not_copied() {
        check_in("", "apps/auth*/package.json", &["*.json"], &[]);
        check_in("", "*.md", &["*.json"], &["README.md"]);
        check_in("", "apps", &["*.json"], &["apps/"]);
    }
}
