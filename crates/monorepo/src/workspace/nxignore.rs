//! `.nxignore`: what Nx does not see, in the syntax of `.gitignore` (<https://nx.dev/reference/nxignore>).

use globset::GlobMatcher;

use super::patterns::glob;
use crate::path;

/// The patterns of a `.nxignore`.
#[derive(Debug)]
pub(crate) struct Ignored {
    folder: String,
    rules: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    glob: GlobMatcher,
    is_exception: bool,
    for_folders: bool,
}

impl Ignored {
    /// Reads the patterns; `None` if there are none. A pattern that cannot be understood ignores nothing.
    pub(crate) fn parse(folder: &str, text: &str) -> Option<Self> {
        let rules: Vec<Rule> = text.lines().filter_map(Rule::parse).collect();
        (!rules.is_empty()).then(|| Self { folder: folder.to_owned(), rules })
    }

    /// Whether a path of the repository is ignored, by itself or with a folder that it lies in.
    pub(crate) fn has(&self, path: &str) -> bool {
        let Some(path) = path::below(path, &self.folder) else { return false };
        let folders = path.match_indices('/').map(|(end, _)| (&path[..end], true));
        folders.chain([(path, false)]).any(|(path, is_folder)| self.leaves_out(path, is_folder))
    }

    fn leaves_out(&self, path: &str, is_folder: bool) -> bool {
        let mut rules = self.rules.iter().rev().filter(|rule| is_folder || !rule.for_folders);
        rules.find(|rule| rule.glob.is_match(path)).is_some_and(|rule| !rule.is_exception)
    }
}

impl Rule {
    fn parse(line: &str) -> Option<Self> {
        let line = line.trim_end();
        if line.is_empty() || line.starts_with('#') {
            return None;
        }
        let (is_exception, pattern) = line.strip_prefix('!').map_or((false, line), |pattern| (true, pattern));
        let (for_folders, pattern) = pattern.strip_suffix('/').map_or((false, pattern), |pattern| (true, pattern));
        // A `/` anywhere but at the end ties a pattern to the file's folder.
        let pattern = match pattern.strip_prefix('/') {
            Some(pattern) => pattern.to_owned(),
            None if pattern.contains('/') => pattern.to_owned(),
            None => format!("**/{pattern}"),
        };
        Some(Self { glob: glob(&pattern).ok()?.compile_matcher(), is_exception, for_folders })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignores_as_git_does() {
        let text = "# generated\r\ndocs/\n*.snap\n!keep.snap\n/top\nlibs/*/tmp\n\n[bad\n";
        let ignored = Ignored::parse("web", text).unwrap();
        for (path, expected) in [
            ("web/docs/a", true),
            ("web/a/docs/b/c", true),
            ("web/docs", false),
            ("web/a/b.snap", true),
            ("web/a/keep.snap", false),
            ("web/top", true),
            ("web/a/top", false),
            ("web/libs/x/tmp/y", true),
            ("docs/a", false),
        ] {
            assert_eq!(ignored.has(path), expected, "{path}");
        }
        assert!(Ignored::parse("", "# nothing\n").is_none());
    }
}
