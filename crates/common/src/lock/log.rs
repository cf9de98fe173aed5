//! Everything that was written to a lock since it was made, and who holds it by that. Pure.
//!
//! Parameter Store writes unconditionally, but it numbers and dates what it is told, in one order for everybody. So nobody
//! takes a lock by being the last to write: whoever takes one over says *which version* of whose it replaces, and everybody
//! who reads the versions in order comes to the same holder. A write that came too late has no effect.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Held, Holder};
use crate::aws::Parameter;
use crate::failure::Failure;

/// What a lock says: one version of its parameter.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Word {
    #[serde(flatten)]
    pub(super) holder: Holder,
    /// How long the lock lasts from the moment that Parameter Store dates this version.
    pub(super) seconds: u64,
    /// What this replaces; left out where the holder made the lock, or renews it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) over: Option<Over>,
}

/// Whose lock is taken over.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Over {
    pub(super) holder: String,
    pub(super) version: i64,
    /// Whether it is, however fresh it may be.
    #[serde(default)]
    pub(super) forced: bool,
}

/// One version of the parameter.
#[derive(Clone, Debug)]
struct Line {
    version: i64,
    at: Option<Timestamp>,
    word: Word,
}

/// All versions of the parameter, oldest first: the last hundred.
#[derive(Clone, Debug, Default)]
pub(super) struct Log(Vec<Line>);

/// Who holds a lock.
#[derive(Clone, Debug)]
pub(super) struct Standing {
    pub(super) held: Held,
    /// The version that the holder wrote last.
    pub(super) version: i64,
    lasts: Duration,
}

impl Word {
    pub(super) fn read(parameter: &Parameter) -> Option<Self> {
        serde_json::from_str(parameter.value.expose()).ok()
    }

    pub(super) fn text(&self) -> Result<String, Failure> {
        serde_json::to_string(self).map_err(Failure::bug)
    }
}

impl Log {
    /// Reads a parameter's history. What is no word of a lock has no effect; a parameter without any is none of ours.
    pub(super) fn read(path: &str, history: &[Parameter]) -> Result<Self, Failure> {
        let line = |parameter: &Parameter| {
            let word = Word::read(parameter)?;
            Some(Line { version: parameter.version, at: parameter.modified_at, word })
        };
        let lines: Vec<Line> = history.iter().filter_map(line).collect();
        if lines.is_empty() && !history.is_empty() {
            return Err(Failure::input(format!("`{path}` holds something else than a lock"))
                .context("take the environment's lock")
                .hint("move that parameter elsewhere: this path belongs to the lock of the delivery file's `name`"));
        }
        Ok(Self(lines))
    }

    /// Who holds the lock; `None` if it does not exist.
    pub(super) fn standing(&self) -> Option<Standing> {
        let (first, others) = self.0.split_first()?;
        let mut standing = Standing::of(first);
        for line in others {
            if line.word.holder.id == standing.held.holder.id {
                let since = standing.held.since;
                standing = Standing::of(line);
                standing.held.since = since;
            } else if line.word.over.as_ref().is_some_and(|over| standing.yields_to(over, line.at)) {
                standing = Standing::of(line);
            }
        }
        Some(standing)
    }

    /// Whether this version is one that this holder wrote: the lock was not deleted since.
    pub(super) fn has(&self, version: i64, holder: &str) -> bool {
        self.0.iter().any(|line| line.version == version && line.word.holder.id == holder)
    }

    /// Whether nobody else wrote anything.
    pub(super) fn is_all_of(&self, holder: &str) -> bool {
        self.0.iter().all(|line| line.word.holder.id == holder)
    }
}

impl Standing {
    fn of(line: &Line) -> Self {
        let held = Held { holder: line.word.holder.clone(), since: line.at, renewed: line.at };
        Self { held, version: line.version, lasts: Duration::from_secs(line.word.seconds) }
    }

    /// Whether the lock has run out by this moment of AWS's clock.
    pub(super) fn is_stale(&self, now: Timestamp) -> bool {
        let age = self.held.renewed.and_then(|renewed| Duration::try_from(now.duration_since(renewed)).ok());
        age.is_some_and(|age| age > self.lasts)
    }

    pub(super) fn lasts(&self) -> Duration {
        self.lasts
    }

    fn yields_to(&self, over: &Over, at: Option<Timestamp>) -> bool {
        let is_meant = over.version == self.version && over.holder == self.held.holder.id;
        is_meant && (over.forced || at.is_some_and(|at| self.is_stale(at)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Secret;

    /// Lines as `seconds holder`, `seconds holder over version-of holder` and the same with `forced`; each is one version.
    fn log(lines: &[&str]) -> Log {
        let parameter = |(index, line): (usize, &&str)| {
            let words: Vec<&str> = line.split(' ').collect();
            let over = words.get(3).map(|version| Over {
                holder: words[4].to_owned(),
                version: version.parse().unwrap(),
                forced: words.contains(&"forced"),
            });
            let holder = Holder { id: words[1].to_owned(), run: None, by: None };
            let text = Word { holder, seconds: 120, over }.text().unwrap();
            Parameter {
                name: "/lock".to_owned(),
                value: Secret::new(text),
                version: index as i64 + 1,
                modified_at: Some(Timestamp::from_second(words[0].parse().unwrap()).unwrap()),
                kind: "String".to_owned(),
            }
        };
        Log::read("/lock", &lines.iter().enumerate().map(parameter).collect::<Vec<_>>()).unwrap()
    }

    fn check(lines: &[&str], holder: &str, version: i64, since: i64) {
        let standing = log(lines).standing().unwrap();
        let since_second = standing.held.since.unwrap().as_second();
        assert_eq!(
            (standing.held.holder.id.as_str(), standing.version, since_second),
            (holder, version, since),
            "{lines:?}"
        );
    }

    #[test]
    fn everybody_comes_to_the_same_holder() {
        check(&["0 a"], "a", 1, 0);
        check(&["0 a", "30 a", "60 a"], "a", 3, 0);
        // Taken over when it had run out, of two at once by the first.
        check(&["0 a", "121 b over 1 a"], "b", 2, 121);
        check(&["0 a", "121 b over 1 a", "121 c over 1 a"], "b", 2, 121);
        check(&["0 a", "121 b over 1 a", "121 c over 1 a", "150 b"], "b", 4, 121);
        // What comes too early, for another version or for another holder has no effect.
        check(&["0 a", "120 b over 1 a"], "a", 1, 0);
        check(&["0 a", "119 a", "130 b over 1 a"], "a", 2, 0);
        check(&["0 a", "300 b over 1 x"], "a", 1, 0);
        check(&["0 a", "10 b"], "a", 1, 0);
        // A holder that wakes up late has lost it.
        check(&["0 a", "121 b over 1 a", "122 a", "123 a"], "b", 2, 121);
        // A lock can be taken by force, once.
        check(&["0 a", "5 b over 1 a forced", "6 c over 1 a forced"], "b", 2, 5);
        check(&["0 a", "5 b over 1 a forced", "200 c over 2 b"], "c", 3, 200);
        assert!(log(&[]).standing().is_none());
    }

    #[test]
    fn a_lock_that_was_made_again_in_between_is_another() {
        let log = log(&["0 c", "30 c", "31 a"]);
        assert!(log.has(3, "a") && !log.has(2, "a") && !log.is_all_of("a"));
    }

    #[test]
    fn something_else_than_a_lock_is_said_to_be_so_without_showing_it() {
        let foreign = Parameter {
            name: "/lock".to_owned(),
            value: Secret::new("hunter2"),
            version: 1,
            modified_at: None,
            kind: "SecureString".to_owned(),
        };
        let failure = Log::read("/lock", &[foreign]).unwrap_err().to_string();
        assert!(
            failure.contains("`/lock` holds something else than a lock") && !failure.contains("hunter2"),
            "{failure}"
        );
    }
}
