//! Workflow commands, escaped as actions/toolkit does (`packages/core/src/command.ts`).

use std::fmt;

/// One line that GitHub shows beside the run.
#[derive(Clone, Debug)]
pub struct Annotation<'a> {
    /// How grave it is.
    pub level: Level,
    /// Who speaks: the action's name.
    pub title: &'a str,
    /// What is said; cut by GitHub at 4,096 characters, so the cause comes first.
    pub message: &'a str,
}

/// How grave an [`Annotation`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Worth knowing.
    Notice,
    /// Worth mending, and the step goes on.
    Warning,
    /// Why the step fails.
    Error,
}

impl fmt::Display for Annotation<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Notice => "notice",
            Level::Warning => "warning",
            Level::Error => "error",
        };
        write!(formatter, "::{level} title={}::{}", escape_property(self.title), escape_data(self.message))
    }
}

pub(super) fn escape_data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn escape_property(text: &str) -> String {
    escape_data(text).replace(':', "%3A").replace(',', "%2C")
}

/// A word that nobody can have put into a text beforehand.
pub(crate) fn token() -> String {
    let mut bytes = [0_u8; 16];
    if getrandom::fill(&mut bytes).is_err() {
        // Without randomness the process's own address space is the next best thing that a text cannot know.
        bytes = (std::ptr::from_ref(&bytes) as u128).to_be_bytes();
    }
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What the runner makes of an escaped text (actions/runner, `ActionCommand.cs`).
    fn unescape(text: &str) -> String {
        text.replace("%3A", ":").replace("%2C", ",").replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%")
    }

    proptest! {
        #[test]
        fn the_runner_reads_what_was_meant(text in "[%:,\r\na-z0-9]{0,40}") {
            let escaped = escape_property(&text);
            prop_assert!(!escaped.contains(['\r', '\n', ':', ',']));
            prop_assert_eq!(unescape(&escaped), text.clone());
            prop_assert_eq!(unescape(&escape_data(&text)), text);
        }
    }

    #[test]
    fn an_annotation_is_one_line() {
        let annotation = Annotation { level: Level::Error, title: "ecs-deploy", message: "50 %\nhint: wait" };
        assert_eq!(annotation.to_string(), "::error title=ecs-deploy::50 %25%0Ahint: wait");
    }
}
