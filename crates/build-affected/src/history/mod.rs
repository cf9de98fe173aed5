//! Which commit to compare with. Each case is exact, or says what it is instead and why; what a clone does not tell is
//! "unknown", and then every service is affected. Only what the caller named and is not there is a failure.

mod success;

use common::edges::Edges;
use common::failure::Failure;
use common::git::Git;
use common::names::CommitSha;

use crate::config::Config;
use crate::inputs::BaseFrom;

/// What to do about a clone that lacks what is needed.
const DEEPER: &str = "give actions/checkout `fetch-depth: 0`, and only what changed is affected";

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
        /// What was to be compared with first, and why it was not.
        remark: Option<String>,
    },
    /// None, and why.
    Unknown {
        /// `first-run` if there was nothing before, else `unknown`.
        word: &'static str,
        why: String,
        /// What to do about it, if anything.
        remark: Option<String>,
    },
}

impl Base {
    /// How it was found, as a word.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Known { word, .. } | Self::Unknown { word, .. } => word,
        }
    }

    /// What a reader should know of how it was found.
    pub(crate) fn remark(&self) -> Option<&str> {
        match self {
            Self::Known { remark, .. } | Self::Unknown { remark, .. } => remark.as_deref(),
        }
    }

    pub(crate) fn known(commit: CommitSha, word: &'static str, sentence: impl Into<String>) -> Self {
        Self::Known { commit, word, sentence: sentence.into(), remark: None }
    }

    pub(crate) fn unknown(why: impl Into<String>) -> Self {
        Self::Unknown { word: "unknown", why: why.into(), remark: None }
    }

    fn first_run(why: impl Into<String>) -> Self {
        Self::Unknown { word: "first-run", why: why.into(), remark: None }
    }

    /// With something that a reader should know first.
    fn but(mut self, why: impl Into<String>) -> Self {
        let (Self::Known { remark, .. } | Self::Unknown { remark, .. }) = &mut self;
        let why = why.into();
        *remark = Some(match remark.take() {
            Some(more) => format!("{why}; {more}"),
            None => why,
        });
        self
    }
}

/// The commit whose services are meant.
pub(crate) fn head(config: &Config, git: &Git) -> Result<CommitSha, Failure> {
    match (&config.head_name, &config.head) {
        (Some(name), _) => git.resolve(name).map_err(|failure| failure.context("input `head`")),
        (None, Some(commit)) => Ok(commit.clone()),
        (None, None) => git.head(),
    }
}

/// Finds the commit to compare `head` with. Where that is another one for each service, it is the event's.
pub(crate) async fn base(config: &Config, edges: &Edges, git: &Git, head: &CommitSha) -> Result<Base, Failure> {
    if let Some(base) = &config.base {
        let commit = git.resolve(base).map_err(|failure| failure.context("input `base`"))?;
        return parting(git, head, &commit, "input", base);
    }
    match config.base_from {
        BaseFrom::MergeBase => of_default_branch(config, git, head),
        BaseFrom::LastSuccess => success::base(config, edges, git, head).await,
        BaseFrom::Event | BaseFrom::Registry | BaseFrom::Deployed => of_event(config, git, head),
    }
}

/// As the event tells.
fn of_event(config: &Config, git: &Git, head: &CommitSha) -> Result<Base, Failure> {
    let event = &config.event;
    if let Some(base) = of_proposal(config, git, head)? {
        return Ok(base);
    }
    match (event.name.as_str(), event.before()) {
        ("push", Some(before)) => before_push(config, git, head, before),
        ("push", None) if config.is_tag => new_tag(config, git, head),
        ("push", None) => new_branch(config, git, head),
        (name, _) => parent(git, head, name),
    }
}

/// Of a pull request or a merge queue; `None` for any other event.
fn of_proposal(config: &Config, git: &Git, head: &CommitSha) -> Result<Option<Base>, Failure> {
    let event = &config.event;
    if let Some(base) = event.merge_group_base() {
        return in_clone(git, base, "the merge queue's base").map(|found| {
            Some(found.map_or_else(
                |unknown| unknown,
                |commit| Base::known(commit, "merge-group", "the commit that the merge queue built on"),
            ))
        });
    }
    let Some(tip) = event.pull_request_base() else { return Ok(None) };
    // The branch as it was fetched, for the payload's may be older: then what was merged from the branch since would be
    // changes of this pull request.
    let fetched = match event.pull_request_base_branch() {
        Some(branch) => git.find(&format!("refs/remotes/origin/{branch}"))?,
        None => None,
    };
    let tip = match fetched {
        Some(commit) => Ok(commit),
        None => in_clone(git, tip, "the pull request's base branch")?,
    };
    match tip {
        Ok(commit) => parting(git, head, &commit, "merge-base", "the base branch").map(Some),
        Err(unknown) => Ok(Some(unknown)),
    }
}

/// A commit that the event names, or why there is nothing to compare with.
fn in_clone(git: &Git, revision: &str, what: &str) -> Result<Result<CommitSha, Base>, Failure> {
    Ok(match git.find(revision)? {
        Some(commit) => Ok(commit),
        None => Err(Base::unknown(format!("the clone does not have {what}")).but(DEEPER)),
    })
}

/// The point where a revision and `head` parted: what happened on the other side since is no change of this one.
fn parting(git: &Git, head: &CommitSha, other: &CommitSha, word: &'static str, name: &str) -> Result<Base, Failure> {
    Ok(match git.merge_base(head, other)? {
        Some(commit) if commit == *other => Base::known(commit, word, name),
        Some(commit) => Base::known(commit, word, format!("the point where {} left {name}", head.short())),
        None => {
            let (head, other) = (head.short(), other.short());
            match git.is_shallow()? {
                true => Base::unknown(format!("the clone does not have the commit where {head} left {name} ({other})"))
                    .but(DEEPER),
                false => Base::unknown(format!("{head} and {name} ({other}) have no common history")),
            }
        }
    })
}

/// What the branch was before. Compared are the two commits as they are: what a forced push takes away is a change too.
/// After one, that commit is in nobody's history, and few clones have it.
fn before_push(config: &Config, git: &Git, head: &CommitSha, before: &str) -> Result<Base, Failure> {
    let is_forced = config.event.is_forced();
    let (what, gone) = match config.is_tag {
        true => ("the tag's commit", "as after it was moved"),
        false => ("the branch's commit", "as after a forced push"),
    };
    Ok(match git.find(before)? {
        Some(commit) if is_forced || (!git.is_shallow()? && !git.is_ancestor(&commit, head)?) => {
            Base::known(commit, "forced-push", format!("{what} before it was forced to another"))
        }
        Some(commit) => Base::known(commit, "before", format!("{what} before this push")),
        None if git.is_shallow()? && !is_forced => {
            Base::unknown(format!("the clone does not have {what} before this push")).but(DEEPER)
        }
        None => Base::unknown(format!("{what} before this push is gone, {gone}")),
    })
}

/// The tag before this one. Of the same form alone: `api-v2` tells nothing of what `web-v5` delivered, nor does `v2.0.0-rc.1` of
/// what `v1.9.0` did.
fn new_tag(config: &Config, git: &Git, head: &CommitSha) -> Result<Base, Failure> {
    let Some(name) = &config.run.reference else {
        return Ok(Base::unknown("the tag is new, and its name is not known"));
    };
    let (form, is_shallow) = (form(name), git.is_shallow()?);
    Ok(match git.previous_tag(head, |tag| tag != name && self::form(tag) == form)? {
        Some(tag) => Base::known(tag.commit, "tag", format!("the tag `{}`, the one before `{name}`", tag.name)),
        None if is_shallow => Base::unknown(format!("the clone has no tag before `{name}`")).but(DEEPER),
        None => Base::unknown(format!("the history has no tag like `{name}` before it")),
    })
}

/// A tag's name, each of its numbers the same: `v1.20.3` is `v0.0.0`.
fn form(tag: &str) -> String {
    let mut form = String::new();
    for letter in tag.chars() {
        match letter.is_ascii_digit() {
            true if form.ends_with('0') => {}
            true => form.push('0'),
            false => form.push(letter),
        }
    }
    form
}

/// A branch that was not there before: it left the default branch somewhere.
fn new_branch(config: &Config, git: &Git, head: &CommitSha) -> Result<Base, Failure> {
    match leaving(config, git, head)? {
        Leaving::Known(base) => Ok(base),
        Leaving::Nowhere if config.run.reference.as_deref() == config.event.default_branch() => {
            Ok(Base::first_run("it is the default branch's first push"))
        }
        Leaving::Nowhere => Ok(Base::unknown("the branch is new, and has nothing of its own")),
        Leaving::NotThere(branch) => {
            Ok(Base::unknown(format!("the branch is new, and the clone has no `origin/{branch}` to compare it with"))
                .but(DEEPER))
        }
        Leaving::Unnamed => Ok(Base::unknown("the branch is new")),
    }
}

/// Where the head left the default branch, whatever the event; on the default branch itself, as the event tells.
fn of_default_branch(config: &Config, git: &Git, head: &CommitSha) -> Result<Base, Failure> {
    if let Some(base) = of_proposal(config, git, head)? {
        return Ok(base);
    }
    let why = match leaving(config, git, head)? {
        Leaving::Known(base) => return Ok(base),
        Leaving::Nowhere => "the default branch has the commit already: there is no point where it left".to_owned(),
        Leaving::NotThere(branch) => format!("the clone has no `origin/{branch}`: {DEEPER}"),
        Leaving::Unnamed => "the event does not name the default branch".to_owned(),
    };
    Ok(of_event(config, git, head)?.but(why))
}

/// How the head stands to the default branch.
enum Leaving<'a> {
    /// It left it here, or nobody can tell where.
    Known(Base),
    /// It is in it.
    Nowhere,
    /// The clone does not have the branch of this name.
    NotThere(&'a str),
    /// Nobody says which one it is.
    Unnamed,
}

fn leaving<'a>(config: &'a Config, git: &Git, head: &CommitSha) -> Result<Leaving<'a>, Failure> {
    let Some(branch) = config.event.default_branch() else { return Ok(Leaving::Unnamed) };
    Ok(match git.find(&format!("refs/remotes/origin/{branch}"))? {
        // All that the commit has is in the default branch: that tells nothing of what was delivered before.
        Some(tip) if git.is_ancestor(head, &tip)? => Leaving::Nowhere,
        Some(tip) => Leaving::Known(parting(git, head, &tip, "merge-base", &format!("the default branch `{branch}`"))?),
        None => Leaving::NotThere(branch),
    })
}

fn parent(git: &Git, head: &CommitSha, event: &str) -> Result<Base, Failure> {
    let event = if event.is_empty() { "a run outside of a workflow".to_owned() } else { format!("the event {event}") };
    Ok(match git.parents(head)?.into_iter().next() {
        None => Base::first_run("it is the first commit of all"),
        Some(parent) if git.has(&parent)? => {
            Base::known(parent, "parent", format!("the parent commit, for {event} names no other"))
        }
        Some(_) => Base::unknown(format!("the clone has no parent of commit {}", head.short())).but(DEEPER),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_follows_those_of_its_own_form() {
        let check =
            |one: &str, other: &str, is_same: bool| assert_eq!(form(one) == form(other), is_same, "{one} {other}");
        check("v1.2.3", "v1.20.0", true);
        check("release/2026-01-05", "release/2025-12-31", true);
        check("@shop/api@1.0.0", "@shop/api@0.9.12", true);
        check("v2.0.0-rc.2", "v2.0.0-rc.1", true);
        check("v2.0.0", "v2.0.0-rc.1", false);
        check("api-v2", "web-v5", false);
        check("v1.2", "v1.2.1", false);
        check("nightly", "weekly", false);
    }

    #[test]
    fn what_is_said_first_comes_first() {
        let base = Base::unknown("x").but("inner").but("outer");
        assert_eq!((base.remark(), base.word()), (Some("outer; inner"), "unknown"));
        assert_eq!(Base::first_run("x").word(), "first-run");
    }
}
