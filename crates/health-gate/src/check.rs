//! One thing that has to hold, and how much depends on it.

use crate::tally::{Policy, Verdict};

/// One thing that has to hold.
#[derive(Clone, Debug)]
pub(crate) struct Check {
    /// What is looked at: `tasks`, `json(/version)`, `alarm api-5xx`.
    pub(crate) subject: String,
    /// What it has to be: `all run`, `== 'abc'`.
    pub(crate) expected: String,
    /// Whether it tells which version it is.
    pub(crate) is_identity: bool,
    pub(crate) importance: Importance,
    /// How many looks decide.
    pub(crate) policy: Policy,
}

/// How much depends on a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Importance {
    /// The service is healthy only if it passes.
    Required,
    /// Whatever it comes to, the service is degraded at worst.
    Optional,
    /// It is shown, and never counted.
    Observed,
}

impl Check {
    /// A required check.
    pub(crate) fn new(subject: impl Into<String>, expected: impl Into<String>, policy: Policy) -> Self {
        let (subject, expected) = (subject.into(), expected.into());
        Self { subject, expected, is_identity: false, importance: Importance::Required, policy }
    }

    /// The same, of which one good look is enough: what it shows is a judgement over time already.
    pub(crate) fn judged_elsewhere(self) -> Self {
        let policy = Policy { passes: Policy::LATEST.passes, ..self.policy };
        Self { policy, ..self }
    }

    /// Whether this is what somebody calls it: its subject, or all of it.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        let without_blanks = |text: &str| text.split_whitespace().collect::<String>();
        let name = without_blanks(name);
        [self.subject.clone(), format!("{} {}", self.subject, self.expected)]
            .iter()
            .any(|own| without_blanks(own) == name)
    }
}

impl Importance {
    /// What a verdict on the check makes of the service; `None` if nothing.
    pub(crate) fn weigh(self, verdict: Verdict) -> Option<Verdict> {
        match self {
            Self::Required => Some(verdict),
            Self::Optional => Some(verdict.min(Verdict::Warn)),
            Self::Observed => None,
        }
    }

    /// The word for it, where it is not the usual one.
    pub(crate) const fn note(self) -> &'static str {
        match self {
            Self::Required => "",
            Self::Optional => "optional",
            Self::Observed => "observed",
        }
    }
}
