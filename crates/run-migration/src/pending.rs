//! Which migrations are pending: the files that are new since the commit that runs, or since a pull request's base. Read from
//! the checkout's git objects; no database is asked.

use std::path::Path;

use common::delivery::RelativePath;
use common::failure::Failure;
use common::git::Git;
use common::names::CommitSha;

use crate::lint::{Finding, Script, in_order, is_rollback_safe, is_script, lint};

/// What else can be a migration: tools whose migrations are programs.
const PROGRAMS: [&str; 12] = ["ts", "mts", "js", "mjs", "cjs", "py", "rb", "go", "java", "kt", "php", "xml"];

/// Which migrations are pending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Pending {
    /// Nothing says where they are.
    NotAsked,
    /// It cannot be told, and this is why.
    Unknown(String),
    /// These.
    Known(Known),
}

/// Pending migrations, and what is to be said of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    /// The commit that they are pending since.
    pub(crate) base: CommitSha,
    /// In the order in which they are applied.
    pub(crate) scripts: Vec<Script>,
    /// Migrations that are no SQL: nobody knows what they do.
    pub(crate) programs: Vec<String>,
    pub(crate) findings: Vec<Finding>,
}

/// Where to begin.
#[derive(Clone, Debug)]
pub(crate) enum Since {
    /// This revision, which the caller named.
    Revision(String),
    /// Where the pull request's branch parted from this one.
    Parting {
        /// The base branch's tip, by the event.
        tip: String,
        /// The base branch's name.
        branch: Option<String>,
    },
    /// The commit that the service runs.
    Running,
}

impl Pending {
    /// What is pending at `head` since `base`.
    pub(crate) fn read(workspace: &Path, sources: &RelativePath, base: &CommitSha, head: &CommitSha) -> Self {
        read(workspace, sources, base, head)
            .unwrap_or_else(|failure| Self::Unknown(failure.to_string().replace('\n', ", ")))
    }

    /// Whether it is known that none is.
    pub(crate) fn is_none(&self) -> bool {
        matches!(self, Self::Known(known) if known.scripts.is_empty() && known.programs.is_empty())
    }

    /// Whether it is known that some are.
    pub(crate) fn is_some(&self) -> bool {
        matches!(self, Self::Known(_)) && !self.is_none()
    }

    /// What is to be said of them.
    pub(crate) fn findings(&self) -> &[Finding] {
        match self {
            Self::Known(known) => &known.findings,
            Self::NotAsked | Self::Unknown(_) => &[],
        }
    }

    /// What stands in the way.
    pub(crate) fn blocking(&self) -> impl Iterator<Item = &Finding> {
        self.findings().iter().filter(|finding| finding.blocks())
    }

    /// Whether the version before can run on the database afterwards; `None` if nobody knows.
    pub(crate) fn is_rollback_safe(&self) -> Option<bool> {
        match self {
            Self::NotAsked | Self::Unknown(_) => None,
            Self::Known(known) if !is_rollback_safe(&known.findings) => Some(false),
            Self::Known(known) => known.programs.is_empty().then_some(true),
        }
    }
}

/// The base of a comparison in this checkout. Of a running service's, `running` knows.
pub(crate) fn base(
    workspace: &Path,
    since: &Since,
    head: &CommitSha,
    running: Result<CommitSha, String>,
) -> Result<CommitSha, String> {
    let told = |failure: Failure| failure.to_string().replace('\n', ", ");
    let git = || Git::open(workspace).map_err(told);
    match since {
        Since::Running => running,
        Since::Revision(revision) => git()?.resolve(revision).map_err(told),
        Since::Parting { tip, branch } => {
            let git = git()?;
            // The branch as it was fetched: the event's tip may be older.
            let fetched = branch.as_ref().and_then(|branch| git.find(&format!("refs/remotes/origin/{branch}")).ok()?);
            let tip = match fetched {
                Some(commit) => commit,
                None => git.resolve(tip).map_err(told)?,
            };
            let parting = git.merge_base(head, &tip).map_err(told)?;
            parting.ok_or_else(|| {
                "where the pull request parted from its base branch is not known: give actions/checkout `fetch-depth: 0`".to_owned()
            })
        }
    }
}

fn read(workspace: &Path, sources: &RelativePath, base: &CommitSha, head: &CommitSha) -> Result<Pending, Failure> {
    let git = Git::open(workspace)?;
    let files = git.files(head)?;
    let folder = if sources.as_str() == "." { "" } else { sources.as_str() };
    if files.below(folder).next().is_none() {
        return Err(Failure::input(format!("commit {} has no folder `{sources}`", head.short()))
            .hint("check `sources` of the migration in delivery.toml"));
    }
    let (mut scripts, mut programs) = (Vec::new(), Vec::new());
    for change in git.changed(base, head)? {
        let is_below = folder.is_empty() || change.path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
        if !is_below || change.head.is_none() {
            continue;
        }
        if is_script(&change.path) {
            let text = files.text(&change.path).map_err(|problem| Failure::input(problem.to_string()))?;
            let is_edited = change.base.is_some();
            scripts.push(Script { text: text.unwrap_or_default(), path: change.path, is_edited });
        } else if change.base.is_none() && is_program(&change.path) {
            programs.push(change.path);
        }
    }
    in_order(&mut scripts);
    let findings = lint(&scripts);
    Ok(Pending::Known(Known { base: base.clone(), scripts, programs, findings }))
}

fn is_program(path: &str) -> bool {
    path.rsplit_once('.').is_some_and(|(_, extension)| PROGRAMS.contains(&extension))
}
