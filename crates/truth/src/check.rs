//! Holding an answer against the truth.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use crate::estate::{Repository, Scenario};

/// What a tool says of two commits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The services that it finds affected.
    pub services: BTreeSet<String>,
    /// The services that it finds gone.
    pub removed: BTreeSet<String>,
    /// The projects that it finds affected, if it tells them.
    pub projects: Option<BTreeSet<String>>,
}

/// How a tool's answer to one scenario compares with the truth.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The scenario's name.
    pub name: String,
    /// Why the truth is what it is.
    pub why: String,
    /// How many services are affected in truth.
    pub truth: usize,
    /// The services that would not have been built, and should have been.
    pub missed: BTreeSet<String>,
    /// The services that would have been built for nothing.
    pub extra: BTreeSet<String>,
    /// What is wrong with the removed services: `-` not told, `+` told and not so.
    pub removed: BTreeSet<String>,
    /// What is wrong with the projects, where the scenario and the tool both name them.
    pub projects: BTreeSet<String>,
    /// Why there was no answer. Everything is missed then.
    pub error: Option<String>,
    /// How long the answer took.
    pub took: Duration,
}

/// How a tool did in all scenarios.
#[derive(Clone, Debug, Default)]
pub struct Score {
    /// Scenario by scenario.
    pub verdicts: Vec<Verdict>,
}

/// Asks for an answer to every scenario of a repository.
///
/// The closure is given the repository's folder, the base and the head.
pub fn check(repository: &Repository, mut answer: impl FnMut(&Path, &str, &str) -> Result<Answer>) -> Score {
    let verdicts = repository.scenarios.iter().map(|scenario| {
        let started = now();
        let answer = answer(&repository.path, &scenario.base, &scenario.head);
        Verdict::of(scenario, answer, started.elapsed())
    });
    Score { verdicts: verdicts.collect() }
}

impl Score {
    /// How many affected services were not found, in all scenarios.
    #[must_use]
    pub fn missed(&self) -> usize {
        self.verdicts.iter().map(|verdict| verdict.missed.len()).sum()
    }

    /// How many services were found that are not affected, in all scenarios.
    #[must_use]
    pub fn extra(&self) -> usize {
        self.verdicts.iter().map(|verdict| verdict.extra.len()).sum()
    }

    /// The scenarios that were not answered exactly.
    pub fn wrong(&self) -> impl Iterator<Item = &Verdict> {
        self.verdicts.iter().filter(|verdict| !verdict.is_exact())
    }

    /// The median time of an answer.
    #[must_use]
    pub fn median(&self) -> Duration {
        let mut times: Vec<Duration> = self.verdicts.iter().map(|verdict| verdict.took).collect();
        times.sort();
        times.get(times.len() / 2).copied().unwrap_or_default()
    }
}

impl Verdict {
    /// Whether the answer is the truth: nothing missed, nothing extra, nothing wrong with what is removed.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.error.is_none()
            && self.missed.is_empty()
            && self.extra.is_empty()
            && self.removed.is_empty()
            && self.projects.is_empty()
    }

    fn of(scenario: &Scenario, answer: Result<Answer>, took: Duration) -> Self {
        let (answer, error) = match answer {
            Ok(answer) => (answer, None),
            Err(error) => (Answer::default(), Some(format!("{error:#}"))),
        };
        let projects = match (&scenario.projects, &answer.projects) {
            (Some(truth), Some(told)) => signed(truth, told),
            _ => BTreeSet::new(),
        };
        Self {
            name: scenario.name.clone(),
            why: scenario.why.clone(),
            truth: scenario.truth.len(),
            missed: scenario.truth.difference(&answer.services).cloned().collect(),
            extra: answer.services.difference(&scenario.truth).cloned().collect(),
            removed: signed(&scenario.removed, &answer.removed),
            projects,
            error,
            took,
        }
    }
}

/// One row per scenario that was not answered exactly, and the sum.
impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for verdict in self.wrong() {
            writeln!(
                f,
                "{:<32} truth {:>3}  -{} +{}",
                verdict.name,
                verdict.truth,
                verdict.missed.len(),
                verdict.extra.len()
            )?;
            writeln!(f, "    truth: {}", verdict.why)?;
            row(f, "missed", &verdict.missed)?;
            row(f, "extra", &verdict.extra)?;
            row(f, "removed", &verdict.removed)?;
            row(f, "projects", &verdict.projects)?;
            if let Some(error) = &verdict.error {
                writeln!(f, "    error: {error}")?;
            }
        }
        let exact = self.verdicts.len() - self.wrong().count();
        let (missed, extra, median) = (self.missed(), self.extra(), self.median().as_secs_f64() * 1e3);
        write!(
            f,
            "{exact} of {} scenarios exact, {missed} missed, {extra} extra, median {median:.0} ms",
            self.verdicts.len()
        )
    }
}

fn row(f: &mut fmt::Formatter<'_>, title: &str, names: &BTreeSet<String>) -> fmt::Result {
    if names.is_empty() {
        return Ok(());
    }
    let shown: Vec<&str> = names.iter().take(8).map(String::as_str).collect();
    let more = names.len() - shown.len();
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    writeln!(f, "    {title}: {}{rest}", shown.join(" "))
}

fn signed(truth: &BTreeSet<String>, told: &BTreeSet<String>) -> BTreeSet<String> {
    let missing = truth.difference(told).map(|name| format!("-{name}"));
    missing.chain(told.difference(truth).map(|name| format!("+{name}"))).collect()
}

#[expect(clippy::disallowed_methods, reason = "real tools are timed here, by the clock on the wall")]
pub(crate) fn now() -> std::time::Instant {
    std::time::Instant::now()
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;
    use crate::{Estate, Shape, Tool};

    fn repository(directory: &Path) -> Repository {
        Estate::new(Shape { service_every: 5, ..Shape::of(Tool::Nx, 50) }).with_named().write(directory).unwrap()
    }

    #[test]
    fn the_truth_is_exact() {
        let directory = tempfile::tempdir().unwrap();
        let repository = repository(directory.path());
        let score = check(&repository, |_, _, head| {
            let scenario = repository.scenarios.iter().find(|scenario| scenario.head == head).unwrap();
            Ok(Answer {
                services: scenario.truth.clone(),
                removed: scenario.removed.clone(),
                projects: scenario.projects.clone(),
            })
        });
        assert_eq!((score.missed(), score.extra(), score.wrong().count()), (0, 0, 0), "{score}");
    }

    #[test]
    fn nothing_found_is_all_missed() {
        let directory = tempfile::tempdir().unwrap();
        let repository = repository(directory.path());
        let all: usize = repository.scenarios.iter().map(|scenario| scenario.truth.len()).sum();
        let score = check(&repository, |_, _, _| Ok(Answer::default()));
        assert_eq!((score.missed(), score.extra()), (all, 0));
        let score = check(&repository, |_, _, _| bail!("it broke"));
        assert_eq!((score.missed(), score.wrong().count()), (all, repository.scenarios.len()));
        assert!(score.to_string().contains("error: it broke"));
    }

    #[test]
    fn a_service_too_many_is_extra() {
        let directory = tempfile::tempdir().unwrap();
        let repository = repository(directory.path());
        let services: BTreeSet<String> = repository.scenarios[0].services.keys().cloned().collect();
        let score = check(&repository, |_, _, _| Ok(Answer { services: services.clone(), ..Answer::default() }));
        let docs = score.verdicts.iter().find(|verdict| verdict.name == "docs").unwrap();
        assert_eq!((docs.missed.len(), docs.extra.len()), (0, services.len()));
    }
}
