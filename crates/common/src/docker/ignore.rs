//! `.dockerignore`: what of a folder is no part of the build's context
//! (<https://docs.docker.com/build/concepts/context/#dockerignore-files>).
//!
//! The matching itself is globset's; its dialect is bent here to that of moby/patternmatcher: patterns are rooted, a pattern
//! that matches a folder matches all that is in it, and the last pattern that matches decides.

use globset::{GlobBuilder, GlobMatcher};

use crate::failure::Failure;

/// The rules of one `.dockerignore`, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Ignore(Vec<Rule>);

#[derive(Clone, Debug)]
struct Rule {
    pattern: GlobMatcher,
    is_exception: bool,
}

impl Ignore {
    /// Reads the rules; `file` is what they are called in messages.
    pub(super) fn parse(text: &str, file: &str) -> Result<Self, Failure> {
        let lines = text.trim_start_matches('\u{feff}').lines().enumerate();
        let lines = lines.filter(|(_, line)| !line.starts_with('#')).map(|(number, line)| (number, line.trim()));
        lines
            .filter(|(_, line)| !line.is_empty())
            .map(|(number, line)| rule(line, number + 1, file))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether a path, relative to the context, is left out.
    pub(super) fn leaves_out(&self, path: &str) -> bool {
        let matches = |rule: &&Rule| ancestors(path).any(|path| rule.pattern.is_match(path));
        self.0.iter().rev().find(matches).is_some_and(|rule| !rule.is_exception)
    }

    /// Whether something below a folder that is left out may be let in again.
    pub(super) fn has_exceptions(&self) -> bool {
        self.0.iter().any(|rule| rule.is_exception)
    }
}

fn rule(line: &str, number: usize, file: &str) -> Result<Rule, Failure> {
    let (is_exception, pattern) = match line.strip_prefix('!') {
        Some(pattern) => (true, pattern.trim()),
        None => (false, line),
    };
    let glob = GlobBuilder::new(&translate(pattern)).literal_separator(true).backslash_escape(true).build();
    let glob = glob.map_err(|error| {
        Failure::input(format!("{file}:{number}: `{line}` is not a pattern: {}", error.kind()))
            .hint("see <https://pkg.go.dev/path/filepath#Match>")
    })?;
    Ok(Rule { pattern: glob.compile_matcher(), is_exception })
}

/// A pattern in globset's dialect. Braces mean themselves in Docker's, and `**` goes over folders wherever it stands.
fn translate(pattern: &str) -> String {
    let parts: Vec<&str> = pattern.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    let parts = parts.into_iter().map(|part| match part {
        "**" => part.to_owned(),
        part => part.replace('{', "[{]").replace('}', "[}]").replace("**", "{*,*/**/*}"),
    });
    parts.collect::<Vec<_>>().join("/")
}

/// A path and the folders that it lies in.
fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    let folders = path.match_indices('/').map(|(end, _)| &path[..end]);
    folders.chain(std::iter::once(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rules: &str, left_out: &[&str], kept: &[&str]) {
        let ignore = Ignore::parse(rules, ".dockerignore").unwrap();
        for path in left_out {
            assert!(ignore.leaves_out(path), "{rules:?} should leave out {path}");
        }
        for path in kept {
            assert!(!ignore.leaves_out(path), "{rules:?} should keep {path}");
        }
    }

    // The cases are those of moby/patternmatcher's own tests and of Docker's documentation.
    #[test]
    fn patterns_mean_what_docker_means() {
        check("", &[], &["a"]);
        check("# a\n\n  \n", &[], &["a", "# a"]);
        check("node_modules", &["node_modules", "node_modules/a/b"], &["apps/node_modules", "node_modules2"]);
        check("/node_modules/", &["node_modules/a"], &["apps/node_modules"]);
        check("./a/./b", &["a/b"], &["b"]);
        check("**/node_modules", &["node_modules", "apps/auth/node_modules/a"], &["node_module"]);
        check("*/temp*", &["somedir/temporary.txt", "somedir/temp"], &["temp", "a/b/temp"]);
        check("*.md", &["README.md"], &["docs/README.md"]);
        check("**.md", &["README.md", "docs/a/README.md"], &["README.mdx"]);
        check("dir/**", &["dir/file", "dir/dir2/file"], &["dir", "other/dir/file"]);
        check("**", &["file", "dir/file"], &[]);
        check("a/**/z", &["a/z", "a/b/c/z"], &["z", "a/b"]);
        check("temp?", &["tempa"], &["temp", "temp/b", "tempab"]);
        check("a[b-d]e", &["ace"], &["aee"]);
        check("a[^b-d]e", &["aee"], &["ace"]);
        check("a\\*b", &["a*b"], &["axb"]);
        check("{a,b}", &["{a,b}"], &["a", "b"]);
    }

    #[test]
    fn the_last_pattern_that_matches_decides() {
        check("*.md\n!README.md", &["a.md"], &["README.md"]);
        check("!README.md\n*.md", &["README.md"], &[]);
        check("**\n!apps/auth", &["apps/api/x", "x"], &["apps/auth", "apps/auth/src/x"]);
        check("apps\n!apps/auth\napps/auth/dist", &["apps/api", "apps/auth/dist/x"], &["apps/auth/x"]);
    }

    #[test]
    fn a_broken_pattern_is_named_with_its_line() {
        let told = Ignore::parse("a\n[b", "apps/.dockerignore").unwrap_err().to_string();
        assert!(told.starts_with("apps/.dockerignore:2: `[b` is not a pattern: "), "{told}");
    }
}
