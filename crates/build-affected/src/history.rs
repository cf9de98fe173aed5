//! Which commit to compare with. A base that a deeper clone would have is a failure; a base that no clone has is "unknown",
//! and then every service is affected.

use common::failure::Failure;
use common::git::Git;
use common::names::CommitSha;

use crate::config::Config;

/// The commit to compare with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Base {
    /// This one.
    Known {
        commit: CommitSha,
        /// How it was found: a word of the output `history`.
        word: &'static str,
        /// The same for people, as a fragment: "the parent commit".
        sentence: String,
    },
    /// None, and why.
    Unknown { why: String },
}

impl Base {
    /// How it was found, as a word.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Known { word, .. } => word,
            Self::Unknown { .. } => "unknown",
        }
    }
}

/// Finds the commit to compare `head` with.
pub(crate) fn base(config: &Config, git: &Git, head: &CommitSha) -> Result<Base, Failure> {
    let event = &config.event;
    if let Some(base) = &config.base {
        let commit = git.resolve(base).map_err(|failure| failure.context("input `base`"))?;
        return parting(git, head, &commit, "input", base);
    }
    if let Some(base) = event.pull_request_base() {
        let commit = git.resolve(base).map_err(|failure| failure.context("the pull request's base"))?;
        return parting(git, head, &commit, "merge-base", "the base branch");
    }
    if let Some(base) = event.merge_group_base() {
        let commit = git.resolve(base).map_err(|failure| failure.context("the merge queue's base"))?;
        return Ok(known(commit, "merge-group", "the commit that the merge queue built on"));
    }
    match (event.name.as_str(), event.before()) {
        ("push", Some(before)) => before_push(git, before),
        ("push", None) if config.is_tag => Ok(unknown("a new tag tells nothing of what was delivered before")),
        ("push", None) => new_branch(config, git, head),
        (name, _) => parent(git, head, name),
    }
}

/// The point where a revision and `head` parted: what happened on the other side since is no change of this one.
fn parting(git: &Git, head: &CommitSha, other: &CommitSha, word: &'static str, name: &str) -> Result<Base, Failure> {
    match git.merge_base(head, other)? {
        Some(commit) if commit == *other => Ok(known(commit, word, name)),
        Some(commit) => Ok(known(commit, word, &format!("the point where {} left {name}", head.short()))),
        None => Err(Failure::input(format!(
            "{} and {name} ({}) have no common history in this clone",
            head.short(),
            other.short()
        ))
        .hint("give actions/checkout `fetch-depth: 0`")),
    }
}

/// What the branch was before. After a force-push that commit is in nobody's history, and no clone has it. Compared are the
/// two commits as they are: what a force-push takes away is a change too.
fn before_push(git: &Git, before: &str) -> Result<Base, Failure> {
    match git.find(before)? {
        Some(commit) => Ok(known(commit, "before", "the branch's commit before this push")),
        None if git.is_shallow()? => git
            .resolve(before)
            .map(|commit| known(commit, "before", ""))
            .map_err(|failure| failure.context("the commit before this push")),
        None => Ok(unknown("the branch's commit before this push is gone, as after a force-push")),
    }
}

/// A branch that was not there before: it left the default branch somewhere.
fn new_branch(config: &Config, git: &Git, head: &CommitSha) -> Result<Base, Failure> {
    let Some(branch) = config.event.default_branch() else { return Ok(unknown("the branch is new")) };
    match git.find(&format!("origin/{branch}"))? {
        // All that this branch has is in the default branch: that tells nothing of what was delivered before.
        Some(tip) if git.is_ancestor(head, &tip)? => Ok(unknown("the branch is new, and has nothing of its own")),
        Some(tip) => parting(git, head, &tip, "merge-base", &format!("the default branch `{branch}`")),
        None => {
            Err(Failure::input(format!("the branch is new, and the clone has no `origin/{branch}` to compare it with"))
                .hint("give actions/checkout `fetch-depth: 0`, or set the input `base`"))
        }
    }
}

fn parent(git: &Git, head: &CommitSha, event: &str) -> Result<Base, Failure> {
    let event = if event.is_empty() { "a run outside of a workflow".to_owned() } else { format!("the event {event}") };
    match git.parent(head)? {
        Some(commit) => Ok(known(commit, "parent", &format!("the parent commit, for {event} names no other"))),
        None => Ok(unknown("it is the first commit of all")),
    }
}

fn known(commit: CommitSha, word: &'static str, sentence: &str) -> Base {
    Base::Known { commit, word, sentence: sentence.to_owned() }
}

fn unknown(why: &str) -> Base {
    Base::Unknown { why: why.to_owned() }
}
