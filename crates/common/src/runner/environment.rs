//! What the runner tells a step: its environment variables, read once.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::names::Secret;

/// The environment variables of this process, read once at its start.
#[derive(Clone, Debug, Default)]
pub struct Environment(BTreeMap<String, Hidden>);

/// A value that may be a credential, so that a dump of the environment shows none.
#[derive(Clone)]
struct Hidden(String);

impl std::fmt::Debug for Hidden {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("…")
    }
}

impl Environment {
    /// The variables of this process. Those that are not Unicode are left out: nothing that we read is ever one of them.
    #[expect(clippy::disallowed_methods, reason = "the one home of the process's environment")]
    pub fn of_process() -> Self {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect()
    }

    /// A variable's value; blank is absent.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.0.as_str()).filter(|value| !value.trim().is_empty())
    }

    /// A variable's value that must not be shown.
    pub fn secret(&self, name: &str) -> Option<Secret> {
        self.get(name).map(Secret::new)
    }

    /// Every variable whose name begins with `prefix`: the rest of the name, and the value.
    pub fn with_prefix<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0.iter().filter_map(move |(name, value)| Some((name.strip_prefix(prefix)?, value.0.as_str())))
    }

    /// The checkout: `GITHUB_WORKSPACE`, or the working directory.
    pub fn workspace(&self) -> PathBuf {
        PathBuf::from(self.get("GITHUB_WORKSPACE").unwrap_or("."))
    }

    /// Whether the runner was asked for debug logging.
    pub fn debug(&self) -> bool {
        self.get("RUNNER_DEBUG") == Some("1")
    }

    /// The page of this run, for people.
    pub fn run_url(&self) -> Option<String> {
        let server = self.get("GITHUB_SERVER_URL")?;
        Some(format!("{server}/{}/actions/runs/{}", self.get("GITHUB_REPOSITORY")?, self.get("GITHUB_RUN_ID")?))
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name.into(), Hidden(value.into()))).collect())
    }
}
