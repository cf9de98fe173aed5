//! What an action says when its work is done: plain data that [`entry`](crate::entry()) publishes.

use serde_json::Value;

use crate::failure::Kind;

/// The end of an action that did its work, whatever the answer was.
#[derive(Clone, Debug)]
pub struct Report {
    /// The action's `result` output: one of the words of its contract.
    pub result: &'static str,
    /// Whether that is what was asked for.
    pub verdict: Verdict,
    /// The action's own outputs, by name.
    pub outputs: Vec<(&'static str, String)>,
    /// The whole report as data: the `json` output.
    pub json: Value,
    /// The report for people, in Markdown: the job summary and the pull request's comment.
    pub summary: String,
}

/// Whether a report is what was asked for; decides the exit code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is: exit code 0.
    Good,
    /// It is not: exit code 1, and one annotation with the cause and the next step.
    Bad {
        /// The cause, first things first.
        why: String,
        /// The next step.
        hint: String,
    },
    /// It is not, because a call failed on the way: the exit code of that failure.
    Broken {
        /// Whose move it is.
        kind: Kind,
        /// The cause, first things first.
        why: String,
        /// The next step.
        hint: String,
    },
    /// The run was cancelled on the way: exit code 130.
    Cancelled {
        /// How far it came, and what goes on without it.
        why: String,
        /// The next step.
        hint: String,
    },
}

impl Verdict {
    /// The process's exit code.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Good => 0,
            Self::Bad { .. } => 1,
            Self::Broken { kind, .. } => kind.exit_code(),
            Self::Cancelled { .. } => Kind::Cancelled.exit_code(),
        }
    }

    /// The text of the annotation, if there is one to make.
    pub fn annotation(&self) -> Option<String> {
        match self {
            Self::Good => None,
            Self::Bad { why, hint } | Self::Broken { why, hint, .. } | Self::Cancelled { why, hint } => {
                Some(format!("{why}\nhint: {hint}"))
            }
        }
    }
}
