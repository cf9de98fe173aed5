//! Which release a caller means. Pure.

use std::fmt;
use std::str::FromStr;

use super::Entry;
use crate::failure::Failure;

/// A release as people name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The last that succeeded before what runs now.
    Previous,
    /// By its number.
    Release(u64),
    /// By its commit, or the beginning of it.
    Commit(String),
}

/// How many releases a failure lists.
const LISTED: usize = 8;

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // Releases never have seven digits, and a commit is never shorter than that: the two cannot be mistaken.
        let is_number = text.len() < 7 && text.bytes().all(|byte| byte.is_ascii_digit());
        let is_commit = (7..=40).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        match text.parse() {
            _ if text == "previous" => Ok(Self::Previous),
            Ok(number) if is_number => Ok(Self::Release(number)),
            _ if is_commit => Ok(Self::Commit(text.to_ascii_lowercase())),
            _ => Err(format!(
                "`{text}` names no release: write its number, at least seven digits of its commit, or `previous`"
            )),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Previous => formatter.write_str("previous"),
            Self::Release(number) => write!(formatter, "{number}"),
            Self::Commit(commit) => formatter.write_str(commit),
        }
    }
}

impl Entry {
    /// The release that is meant, among these entries, newest first. By number it may be any; by commit, or as the previous
    /// one, it is one that succeeded.
    pub fn find<'a>(entries: &'a [Self], to: &Target) -> Result<&'a Self, Failure> {
        match to {
            Target::Previous => previous(entries),
            Target::Release(number) => {
                let found = entries.iter().find(|entry| entry.release == *number);
                found.ok_or_else(|| none(format!("the ledger has no release {number}"), entries))
            }
            Target::Commit(prefix) => by_commit(entries, prefix),
        }
    }

    /// Whether what the release was to bring runs since then.
    pub fn has_succeeded(&self) -> bool {
        matches!(self.outcome.as_str(), "deployed" | "unchanged")
    }

    /// Whether the release left everything as it was.
    fn has_changed_nothing(&self) -> bool {
        matches!(self.outcome.as_str(), "rolled-back" | "refused" | "planned")
    }

    /// Whether both have every service run the same.
    fn places_the_same(&self, other: &Self) -> bool {
        self.services.len() == other.services.len()
            && self.services.iter().all(|(key, placed)| {
                let other = other.services.get(key);
                other.is_some_and(|other| {
                    (&other.task_definition, &other.image) == (&placed.task_definition, &placed.image)
                })
            })
    }
}

/// The last that succeeded before what runs now.
///
/// What brings release 2 back *is* release 2 from there on: two rollbacks in a row go back two releases. A rollback that
/// failed is as if it had not been tried: the next one tries again. A deployment that failed, and was not rolled back, may
/// run in part: what precedes it is the last that succeeded.
fn previous(entries: &[Entry]) -> Result<&Entry, Failure> {
    let running = entries
        .iter()
        .find(|entry| entry.has_succeeded() || (entry.restores.is_none() && !entry.has_changed_nothing()));
    let Some(running) = running else {
        return Err(none("the ledger has no release that runs now".to_owned(), entries));
    };
    let bound = origin(entries, running).release;
    // Restarting, scaling and the like place nothing else: going back to them would go nowhere.
    let goes_nowhere = |entry: &Entry| !running.services.is_empty() && entry.places_the_same(running);
    let before = entries.iter().find(|entry| entry.release < bound && entry.has_succeeded() && !goes_nowhere(entry));
    match before {
        Some(entry) => Ok(origin(entries, entry)),
        None => Err(none(format!("no release before {bound}, which runs now, has succeeded"), entries)),
    }
}

fn by_commit<'a>(entries: &'a [Entry], prefix: &str) -> Result<&'a Entry, Failure> {
    let matching =
        entries.iter().filter(|entry| entry.commit.as_ref().is_some_and(|commit| commit.as_str().starts_with(prefix)));
    let Some(first) = matching.clone().next() else {
        return Err(none(format!("the ledger has no release of commit `{prefix}`"), entries));
    };
    if matching.clone().any(|entry| entry.commit != first.commit) {
        return Err(none(format!("`{prefix}` begins more than one commit of the ledger"), entries));
    }
    match matching.clone().find(|entry| entry.has_succeeded()) {
        Some(entry) => Ok(origin(entries, entry)),
        None => {
            let message =
                format!("no release of commit `{prefix}` has succeeded: {} ended `{}`", first.release, first.outcome);
            Err(none(message, entries))
        }
    }
}

/// The release that an entry brought back, as far as the ledger still has it.
fn origin<'a>(entries: &'a [Entry], entry: &'a Entry) -> &'a Entry {
    let restored = entry.restores.filter(|restored| *restored < entry.release);
    match restored.and_then(|restored| entries.iter().find(|entry| entry.release == restored)) {
        Some(restored) => origin(entries, restored),
        None => entry,
    }
}

/// A refusal that lists what there is.
fn none(message: String, entries: &[Entry]) -> Failure {
    let listed = entries.iter().take(LISTED).map(|entry| {
        let commit = entry.commit.as_ref().map(|commit| format!("{}, ", commit.short())).unwrap_or_default();
        format!("{} ({commit}{}, {})", entry.release, entry.outcome, entry.at.strftime("%Y-%m-%d %H:%M UTC"))
    });
    let listed: Vec<String> = listed.collect();
    let failure = Failure::input(message);
    match (listed.is_empty(), entries.len() > LISTED) {
        (true, _) => failure.hint("it is empty: name a commit with the operation `deploy` instead"),
        (false, false) => failure.hint(format!("it has {}", listed.join(", "))),
        (false, true) => failure.hint(format!("the newest are {}", listed.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Placed;

    /// Entries newest first, from their story oldest first: `deployed`, `failed`, `back 2` (a rollback to 2 that succeeded),
    /// `back 2 failed`, `restart` (of what ran before). Each deployment brings a task definition and a commit of its own.
    fn entries(story: &[&str]) -> Vec<Entry> {
        let mut entries: Vec<Entry> = Vec::new();
        for (index, told) in story.iter().enumerate() {
            let release = index as u64 + 1;
            let words: Vec<&str> = told.split(' ').collect();
            let restores = (words[0] == "back").then(|| words[1].parse().unwrap());
            let outcome = match words.as_slice() {
                ["back", _] | ["restart"] => "deployed",
                ["back", _, outcome] | [outcome] => outcome,
                _ => panic!("{told}"),
            };
            let placed_by = |number: u64| entries.iter().find(|entry| entry.release == number).cloned();
            let like = match words[0] {
                "restart" => placed_by(release - 1),
                _ => restores.and_then(placed_by),
            };
            let (commit, services) = match like {
                Some(entry) => (entry.commit, entry.services),
                None => {
                    let commit = Some(format!("{release:040x}").replace("00", "ab").parse().unwrap());
                    let task_definition = format!("shop-auth:{release}");
                    let placed = Placed { task_definition, image: None, commit: commit.clone() };
                    (commit, [("auth".parse().unwrap(), placed)].into())
                }
            };
            let at = "2026-01-05T09:00:00Z".parse().unwrap();
            let (operation, outcome) = (words[0].to_owned(), outcome.to_owned());
            entries.push(Entry { release, operation, outcome, commit, by: None, run: None, at, restores, services });
        }
        entries.reverse();
        entries
    }

    fn check(story: &[&str], to: &str, expected: Result<u64, &str>) {
        let entries = entries(story);
        let found = Entry::find(&entries, &to.parse().unwrap());
        match (found, expected) {
            (Ok(entry), Ok(release)) => assert_eq!(entry.release, release, "{story:?}"),
            (Err(failure), Err(why)) => {
                assert!(failure.to_string().contains(why), "{story:?}: {failure}");
            }
            (found, expected) => panic!("{story:?}: {found:?}, and not {expected:?}"),
        }
    }

    #[test]
    fn the_previous_release_is_the_last_good_one_before_what_runs() {
        for (story, expected) in [
            (vec!["deployed", "deployed"], Ok(1)),
            (vec!["deployed", "deployed", "deployed"], Ok(2)),
            // What failed is not gone back to; what failed last is gone back from.
            (vec!["deployed", "failed", "deployed"], Ok(1)),
            (vec!["deployed", "deployed", "failed"], Ok(2)),
            (vec!["deployed", "deployed", "deploying"], Ok(2)),
            (vec!["deployed", "deployed", "rollback-failed"], Ok(2)),
            (vec!["deployed", "deployed", "timed-out", "cancelled"], Ok(2)),
            // What ECS or the run has rolled back already has changed nothing.
            (vec!["deployed", "deployed", "rolled-back"], Ok(1)),
            (vec!["deployed", "deployed", "rolled-back", "refused"], Ok(1)),
            // Two rollbacks in a row go back two releases.
            (vec!["deployed", "deployed", "deployed", "back 2"], Ok(1)),
            (vec!["deployed", "deployed", "deployed", "back 2", "back 1"], Err("no release before 1")),
            (vec!["deployed", "deployed", "deployed", "deployed", "back 3", "back 2"], Ok(1)),
            // A rollback that failed is tried again.
            (vec!["deployed", "deployed", "deployed", "back 2 failed"], Ok(2)),
            (vec!["deployed", "deployed", "failed", "back 2 timed-out"], Ok(2)),
            // A new release after a rollback goes back to what the rollback brought, never to what it left.
            (vec!["deployed", "deployed", "back 1", "deployed"], Ok(1)),
            (vec!["deployed", "deployed", "back 1", "deployed", "deployed", "back 4"], Ok(1)),
            (vec!["deployed", "deployed", "deployed", "back 2", "deployed"], Ok(2)),
            (vec!["deployed", "deployed", "deployed", "back 2", "deployed", "back 2"], Ok(1)),
            // A rollback to a rollback is one to what that one brought.
            (vec!["deployed", "deployed", "back 1", "deployed", "back 3", "deployed"], Ok(1)),
            // What places nothing else is not gone back to.
            (vec!["deployed", "deployed", "restart"], Ok(1)),
            (vec!["deployed", "deployed", "restart", "deployed"], Ok(3)),
            (vec!["deployed"], Err("no release before 1")),
            (vec!["failed"], Err("no release before 1")),
            (vec!["rolled-back"], Err("no release that runs now")),
            (vec![], Err("it is empty")),
        ] {
            check(&story, "previous", expected);
        }
    }

    #[test]
    fn a_release_that_the_ledger_has_forgotten_is_found_in_the_rollback_to_it() {
        let mut entries = entries(&["deployed", "deployed", "back 1", "deployed"]);
        entries.truncate(2);
        assert_eq!(Entry::find(&entries, &Target::Previous).unwrap().release, 3);
    }

    #[test]
    fn a_release_is_found_by_number_and_by_commit() {
        let story = ["deployed", "failed", "deployed", "back 1"];
        let commit =
            |release: usize| entries(&story)[story.len() - release].commit.clone().unwrap().as_str().to_owned();
        check(&story, "2", Ok(2));
        check(&story, "9", Err("the ledger has no release 9\nhint: it has 4 ("));
        check(&story, &commit(3), Ok(3));
        check(&story, &commit(1), Ok(1));
        check(&story, &commit(2), Err("has succeeded: 2 ended `failed`"));
        check(&story, &commit(1)[..7], Err("begins more than one commit"));
        check(&story, "fffffff", Err("no release of commit `fffffff`"));
    }

    #[test]
    fn a_target_is_a_number_a_commit_or_the_previous_one() {
        for (text, expected) in [
            ("previous", Some(Target::Previous)),
            ("41", Some(Target::Release(41))),
            ("1234567", Some(Target::Commit("1234567".to_owned()))),
            ("ABCDEF0", Some(Target::Commit("abcdef0".to_owned()))),
            ("abc", None),
            ("", None),
            ("latest", None),
            ("-1", None),
        ] {
            assert_eq!(text.parse::<Target>().ok(), expected, "{text}");
        }
    }
}
