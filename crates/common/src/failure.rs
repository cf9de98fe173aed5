//! Why an action could not do its work, and what its caller should do next.
//!
//! A *negative outcome* ("the deployment was rolled back") is not a failure: it is a [`Report`](crate::report::Report).

use std::fmt;

/// The end of an action that could not do its work.
#[derive(Debug)]
pub struct Failure {
    /// Whose move it is; decides the exit code.
    pub kind: Kind,
    /// What failed, where and why. Printed with `{:#}`, never with `{:?}`.
    pub error: anyhow::Error,
    /// The next step, as an imperative sentence fragment.
    pub hint: Option<String>,
}

/// Whose move it is after a [`Failure`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nobody's yet: everything is as it should be written, and the answer is no all the same.
    Refused,
    /// The caller's: an input, a configuration file or the checkout is wrong. Nothing was touched.
    Input,
    /// An administrator's: credentials are missing or lack a permission.
    Denied,
    /// The remote's: it is unreachable, or answered with an error.
    Remote,
    /// Nobody's: the run was cancelled.
    Cancelled,
    /// Ours.
    Bug,
}

impl Kind {
    /// The process's exit code. 0 belongs to reports alone.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Refused => 1,
            Self::Input => 2,
            Self::Denied => 3,
            Self::Remote => 4,
            Self::Bug => 70,
            Self::Cancelled => 130,
        }
    }
}

impl Failure {
    /// A failure of this kind, without a hint.
    pub fn new(kind: Kind, error: impl Into<anyhow::Error>) -> Self {
        Self { kind, error: error.into(), hint: None }
    }

    /// Something out there speaks against doing what was asked for.
    pub fn refused(message: impl fmt::Display) -> Self {
        Self::message(Kind::Refused, message)
    }

    /// Something that the caller wrote is wrong.
    pub fn input(message: impl fmt::Display) -> Self {
        Self::message(Kind::Input, message)
    }

    /// Credentials are missing or lack a permission.
    pub fn denied(message: impl fmt::Display) -> Self {
        Self::message(Kind::Denied, message)
    }

    /// A remote is unreachable or answered with an error.
    pub fn remote(message: impl fmt::Display) -> Self {
        Self::message(Kind::Remote, message)
    }

    /// The run was cancelled while this went on.
    pub fn cancelled(message: impl fmt::Display) -> Self {
        Self::message(Kind::Cancelled, message)
    }

    /// Something that cannot be, and is: our mistake.
    pub fn bug(message: impl fmt::Display) -> Self {
        Self::message(Kind::Bug, message).hint("please report this, it is a mistake in the action")
    }

    /// Adds the next step. The first hint stays: it is the one nearest to the cause.
    #[must_use]
    pub fn hint(mut self, hint: impl fmt::Display) -> Self {
        self.hint.get_or_insert_with(|| hint.to_string());
        self
    }

    /// The same again, for another who meets it too.
    #[must_use]
    pub fn again(&self) -> Self {
        Self { kind: self.kind, error: anyhow::anyhow!("{:#}", self.error), hint: self.hint.clone() }
    }

    /// Says what was being done, as a fragment: "register task definition `auth`".
    #[must_use]
    pub fn context(mut self, doing: impl fmt::Display) -> Self {
        self.error = self.error.context(doing.to_string());
        self
    }

    /// Several failures as one, so that a caller can mend everything in one go. `None` if there are none.
    ///
    /// The kind is that of the gravest, by exit code: what is wrong in a file comes before what merely speaks against it now.
    pub fn all(failures: impl IntoIterator<Item = Self>) -> Option<Self> {
        let mut failures = failures.into_iter().peekable();
        let first = failures.next()?;
        if failures.peek().is_none() {
            return Some(first);
        }
        let failures: Vec<Self> = std::iter::once(first).chain(failures).collect();
        let kind = failures.iter().map(|failure| failure.kind).max_by_key(|kind| kind.exit_code()).unwrap_or(Kind::Bug);
        let lines: Vec<String> = failures
            .iter()
            .map(|failure| match &failure.hint {
                Some(hint) => format!("- {:#} ({hint})", failure.error),
                None => format!("- {:#}", failure.error),
            })
            .collect();
        Some(Self::message(kind, format!("{} problems:\n{}", lines.len(), lines.join("\n"))))
    }

    /// What every one of these came to, or all their failures as one.
    pub fn collect<T, C: FromIterator<T>>(results: impl IntoIterator<Item = Result<T, Self>>) -> Result<C, Self> {
        let mut failures = Vec::new();
        let values = results.into_iter().filter_map(|result| result.map_err(|failure| failures.push(failure)).ok());
        let values = values.collect();
        Self::all(failures).map_or(Ok(values), Err)
    }

    fn message(kind: Kind, message: impl fmt::Display) -> Self {
        Self { kind, error: anyhow::anyhow!("{message}"), hint: None }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:#}", self.error)?;
        match &self.hint {
            Some(hint) => write!(formatter, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_from_the_outside_in_and_ends_with_the_next_step() {
        let failure =
            Failure::denied("access denied").hint("allow `ecs:UpdateService`").context("update service `auth`");
        assert_eq!(failure.to_string(), "update service `auth`: access denied\nhint: allow `ecs:UpdateService`");
    }

    #[test]
    fn several_failures_are_told_at_once() {
        let all = Failure::all([Failure::input("a is wrong").hint("mend a"), Failure::input("b is wrong")]);
        assert_eq!(all.unwrap().to_string(), "2 problems:\n- a is wrong (mend a)\n- b is wrong");
        assert_eq!(Failure::all([Failure::input("a is wrong").hint("mend a")]).unwrap().hint.unwrap(), "mend a");
        assert!(Failure::all([]).is_none());
        let results = |texts: [&str; 3]| -> Result<Vec<u8>, Failure> {
            Failure::collect(
                texts.map(|text| text.parse::<u8>().map_err(|_| Failure::input(format!("`{text}` is none")))),
            )
        };
        assert_eq!(results(["1", "2", "3"]).unwrap(), [1, 2, 3]);
        assert_eq!(results(["1", "x", "y"]).unwrap_err().to_string(), "2 problems:\n- `x` is none\n- `y` is none");
    }

    #[test]
    fn a_kind_decides_the_exit_code() {
        for (kind, code) in
            [(Kind::Input, 2), (Kind::Denied, 3), (Kind::Remote, 4), (Kind::Bug, 70), (Kind::Cancelled, 130)]
        {
            assert_eq!(kind.exit_code(), code);
        }
    }
}
