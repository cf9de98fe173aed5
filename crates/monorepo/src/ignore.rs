//! `.dockerignore`: what of a folder is no part of the build's context
//! (<https://docs.docker.com/build/concepts/context/#dockerignore-files>).
//!
//! The matching itself is globset's; its dialect is bent here to that of moby/patternmatcher: patterns are rooted, a pattern
//! that matches a folder matches all that is in it, and the last pattern that matches decides.

use globset::{Glob, GlobBuilder, GlobSet, GlobSetBuilder};

use crate::files::{Entry, Files, Kind};
use crate::path;
use crate::problem::Problem;

/// The rules of one `.dockerignore`.
#[derive(Clone, Debug, Default)]
pub struct Ignore {
    file: Option<String>,
    /// In order, each with a pattern in the set.
    rules: Vec<Rule>,
    patterns: GlobSet,
}

#[derive(Clone, Debug)]
struct Rule {
    is_exception: bool,
    /// The folders that the pattern starts with, as they are written: what it matches lies in them.
    within: Vec<String>,
}

/// The number of the last rule that matches; none does at 0.
type Decided = usize;

impl Ignore {
    /// The rules that hold for a build, see [`Self::file_for`]. Without any, nothing is left out.
    pub fn of(files: &Files<'_>, context: &str, dockerfile: &str) -> Result<Self, Problem> {
        Self::file_for(files, context, dockerfile).map_or_else(|| Ok(Self::default()), |file| Self::open(files, &file))
    }

    /// The file with the rules that hold for a build: the Dockerfile's own (`<Dockerfile>.dockerignore`) if it is there, else that of
    /// its context. All paths are relative to the repository's root.
    pub fn file_for(files: &Files<'_>, context: &str, dockerfile: &str) -> Option<String> {
        let context = crate::dockerfile::normal(context);
        let shared = if context.is_empty() { ".dockerignore".to_owned() } else { format!("{context}/.dockerignore") };
        let own = format!("{}.dockerignore", crate::dockerfile::normal(dockerfile));
        let is_file =
            |path: &String| files.get(path).is_some_and(|entry| matches!(entry.kind, Kind::File | Kind::Executable));
        [own, shared].into_iter().find(is_file)
    }

    /// Reads the rules of a file of the commit.
    pub fn open(files: &Files<'_>, file: &str) -> Result<Self, Problem> {
        let text = files.text(file)?.unwrap_or_default();
        Ok(Self { file: Some(file.to_owned()), ..Self::parse(&text, file)? })
    }

    /// Reads the rules; `file` is what they are called in messages.
    pub fn parse(text: &str, file: &str) -> Result<Self, Problem> {
        let lines = text.trim_start_matches('\u{feff}').lines().enumerate();
        let lines = lines.filter(|(_, line)| !line.starts_with('#')).map(|(number, line)| (number, line.trim()));
        let lines = lines.filter(|(_, line)| !line.is_empty());
        Self::from_patterns(lines.map(|(number, line)| (number + 1, line)), file)
    }

    /// Rules, each with its line.
    pub(crate) fn from_patterns<'p>(
        patterns: impl Iterator<Item = (usize, &'p str)>,
        file: &str,
    ) -> Result<Self, Problem> {
        let mut rules = Vec::new();
        let mut set = GlobSetBuilder::new();
        for (number, line) in patterns {
            let (rule, glob) = rule(line).map_err(|why| Problem::new(file, why).at(number))?;
            rules.push(rule);
            set.add(glob);
        }
        let patterns = set.build().map_err(|error| Problem::new(file, error.kind().to_string()))?;
        Ok(Self { file: None, rules, patterns })
    }

    /// The file that the rules were read from; `None` if there is none.
    pub fn file(&self) -> Option<&str> {
        self.file.as_deref()
    }

    /// Whether a path, relative to the context, is left out.
    pub fn leaves_out(&self, path: &str) -> bool {
        self.is_left_out(ancestors(path).fold(0, |decided, path| self.decide(path, decided)))
    }

    /// Whether something below a folder that is left out may be let in again.
    pub fn has_exceptions(&self) -> bool {
        self.rules.iter().any(|rule| rule.is_exception)
    }

    /// The files below a folder that are part of the context, in order; both are relative to the repository's root. A folder
    /// that is left out as a whole is not walked through.
    pub fn kept<'f>(&self, files: &'f Files<'_>, context: &str, folder: &str) -> Vec<(&'f str, Entry)> {
        let (context, folder) = (crate::dockerfile::normal(context), crate::dockerfile::normal(folder));
        let Some(within) = path::below(&folder, &context) else { return Vec::new() };
        let decided = if within.is_empty() { 0 } else { ancestors(within).fold(0, |at, path| self.decide(path, at)) };
        let start = if context.is_empty() { 0 } else { context.len() + 1 };
        let mut kept = Vec::new();
        self.walk(files, &folder, start, decided, &mut kept);
        kept
    }

    fn walk<'f>(
        &self,
        files: &'f Files<'_>,
        folder: &str,
        start: usize,
        decided: Decided,
        kept: &mut Vec<(&'f str, Entry)>,
    ) {
        if self.rules.is_empty() {
            kept.extend(files.below(folder));
            return;
        }
        for (path, entry) in files.children(folder) {
            let name = path.get(start..).unwrap_or_default();
            let decided = self.decide(name, decided);
            let is_left_out = self.is_left_out(decided);
            match entry {
                Some(entry) if !is_left_out => kept.push((path, entry)),
                Some(_) => {}
                None if is_left_out && !self.lets_in_below(name, decided) => {}
                None => self.walk(files, path, start, decided, kept),
            }
        }
    }

    /// The last rule that matches a path, given that of the folder that it lies in.
    fn decide(&self, path: &str, decided: Decided) -> Decided {
        let last = self.patterns.matches(path).last().map_or(0, |place| place + 1);
        decided.max(last)
    }

    fn is_left_out(&self, decided: Decided) -> bool {
        decided.checked_sub(1).and_then(|place| self.rules.get(place)).is_some_and(|rule| !rule.is_exception)
    }

    /// Whether a rule after the one that decided may let something below a folder in.
    fn lets_in_below(&self, folder: &str, decided: Decided) -> bool {
        let later = self.rules.iter().skip(decided).filter(|rule| rule.is_exception);
        later.into_iter().any(|rule| rule.within.iter().zip(folder.split('/')).all(|(one, other)| one == other))
    }
}

fn rule(line: &str) -> Result<(Rule, Glob), String> {
    let (is_exception, pattern) = match line.strip_prefix('!') {
        Some(pattern) => (true, pattern.trim()),
        None => (false, line),
    };
    let parts = parts(pattern);
    let glob = GlobBuilder::new(&translate(&parts)).literal_separator(true).backslash_escape(true).build();
    let glob = glob.map_err(|error| format!("`{line}` is not a pattern: {}", error.kind()))?;
    let within = parts.iter().take_while(|part| !part.contains(['*', '?', '[', '\\'])).map(|part| (*part).to_owned());
    Ok((Rule { is_exception, within: within.collect() }, glob))
}

/// The parts of a path as `filepath.Clean` leaves them: nothing leads out of the context.
fn parts(pattern: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    for part in pattern.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts
}

/// A pattern in globset's dialect. Braces mean themselves in Docker's, and `**` goes over folders wherever it stands.
fn translate(parts: &[&str]) -> String {
    let parts = parts.iter().map(|part| match *part {
        "**" => "**".to_owned(),
        part => part.replace('{', "[{]").replace('}', "[}]").replace("**", "{*,*/**/*}"),
    });
    parts.collect::<Vec<_>>().join("/")
}

/// A path and the folders that it lies in, from the outermost.
fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    let folders = path.match_indices('/').map(|(end, _)| &path[..end]);
    folders.chain(std::iter::once(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::tests::Made;

    fn check(rules: &str, left_out: &[&str], kept: &[&str]) {
        let ignore = Ignore::parse(rules, ".dockerignore").unwrap();
        for path in left_out {
            assert!(ignore.leaves_out(path), "{rules:?} should leave out {path}");
        }
        for path in kept {
            assert!(!ignore.leaves_out(path), "{rules:?} should keep {path}");
        }
        // The walk cuts folders; it must come to what the paths come to one by one. What is a folder and a file here at once
        // is no commit.
        for (path, is_kept) in left_out.iter().map(|path| (path, false)).chain(kept.iter().map(|path| (path, true))) {
            let made = Made::new(&[(&format!("app/{path}"), ""), (&format!("other/{path}"), "")]);
            let found = ignore.kept(&made.files(), "app", "app").len();
            assert_eq!(found, usize::from(is_kept), "{rules:?} walks to {path}");
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
        check("a/../b/../../c", &["c"], &["a", "b"]);
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
        check("**\n!**/*.json", &["a/b/c"], &["x.json", "a/b/package.json"]);
        check("a\n!a/*/b", &["a/x/c", "a/b"], &["a/x/b/c"]);
        check("a\n!b/a\n!a/../a/b", &["a/a"], &["a/b", "b/a"]);
    }

    #[test]
    fn the_dockerfiles_own_file_wins_over_that_of_the_context() {
        let of = |files: &[(&str, &str)], context: &str| {
            let made = Made::new(files);
            Ignore::of(&made.files(), context, "apps/auth/Dockerfile").map(|ignore| ignore.file().map(str::to_owned))
        };
        let (own, shared) = (("apps/auth/Dockerfile.dockerignore", "a"), ("apps/.dockerignore", "b"));
        let root = (".dockerignore", "c");
        assert_eq!(of(&[own, shared, root], "apps"), Ok(Some(own.0.to_owned())));
        assert_eq!(of(&[shared, root], "./apps/"), Ok(Some(shared.0.to_owned())));
        assert_eq!(of(&[shared, root], "."), Ok(Some(root.0.to_owned())));
        assert_eq!(of(&[("x", "")], ""), Ok(None));
    }

    #[test]
    fn a_folder_of_the_context_is_walked_as_its_paths_say() {
        let made = Made::new(&[
            ("web/apps/auth/a.ts", ""),
            ("web/apps/auth/node_modules/x", ""),
            ("web/apps/api/a.ts", ""),
            ("web/libs/a.md", ""),
            ("webs/apps/auth/b.ts", ""),
        ]);
        let files = made.files();
        let ignore = Ignore::parse("**/node_modules\n*/*.md\napps\n!apps/auth/a*", "").unwrap();
        let kept = |folder| ignore.kept(&files, "web", folder).into_iter().map(|(path, _)| path).collect::<Vec<_>>();
        assert_eq!(kept("web"), ["web/apps/auth/a.ts"]);
        assert_eq!(kept("web/apps"), ["web/apps/auth/a.ts"]);
        assert!(kept("web/libs").is_empty());
        assert!(kept("webs").is_empty(), "no part of the context");
        assert_eq!(Ignore::default().kept(&files, "", "web/apps").len(), 3);
    }

    #[test]
    fn a_broken_pattern_is_named_with_its_line() {
        let told = Ignore::parse("a\n[b", "apps/.dockerignore").unwrap_err().to_string();
        assert!(told.starts_with("apps/.dockerignore:2: `[b` is not a pattern: "), "{told}");
    }
}
