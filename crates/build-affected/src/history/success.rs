//! The nearest commit before the head with a successful run of this workflow.
//!
//! GitHub's listing is neither in order of the commits nor always whole, so it proves nothing by itself: each run's commit is
//! looked up in the clone's history, and the nearest one there is wins
//! (<https://github.com/nrwl/nx-set-shas/issues/217>, <https://github.com/nrwl/nx-set-shas/issues/219>).

use std::collections::BTreeSet;

use common::edges::Edges;
use common::failure::Failure;
use common::git::Git;
use common::github::{GitHub, Run};
use common::names::CommitSha;

use super::{Base, DEEPER, Leaving, leaving, of_proposal};
use crate::config::Config;

/// Events whose runs deliver nothing: what they ran for is no part of the branch yet.
const PROPOSALS: [&str; 3] = ["pull_request", "pull_request_target", "merge_group"];

/// The runs that may tell what was delivered before.
struct Successes<'a> {
    git: &'a Git,
    head: &'a CommitSha,
    run: Option<u64>,
    repository: &'a str,
    /// The names of the clone's tags, if this run is for one: a run for another counts.
    tags: Option<BTreeSet<String>>,
    /// How many runs GitHub listed.
    listed: usize,
}

pub(super) async fn base(config: &Config, edges: &Edges, git: &Git, head: &CommitSha) -> Result<Base, Failure> {
    if let Some(base) = of_proposal(config, git, head)? {
        return Ok(base.but("a pull request delivers nothing: it is compared with its base, not with the last success"));
    }
    let (github, workflow, reference, repository) = asked(config, edges)?;
    let tags = match config.is_tag {
        true => Some(git.tags()?.into_iter().map(|tag| tag.name).collect()),
        false => None,
    };
    let mut successes = Successes { git, head, run: config.run.id, repository, tags, listed: 0 };
    let branch = (!config.is_tag).then_some(reference);
    let of = match branch {
        Some(branch) => format!("`{workflow}` on branch `{branch}`"),
        None => format!("`{workflow}` for a tag"),
    };
    if let Some(commit) = successes.nearest(&github, workflow, branch).await? {
        return Ok(Base::known(commit, "last-success", format!("the nearest commit with a successful run of {of}")));
    }
    let shallow = if git.is_shallow()? { format!(" as far as it was fetched: {DEEPER}") } else { String::new() };
    let why = match successes.listed {
        0 => format!("{of} has no successful run yet"),
        listed => format!("of {listed} successful runs of {of}, none is of a commit in the history{shallow}"),
    };
    Ok(match leaving(config, git, head)? {
        Leaving::Known(base) => base.but(why),
        _ if successes.listed == 0 => Base::first_run(why),
        _ => Base::unknown(why),
    })
}

/// Whom to ask, and for which workflow, branch or tag, and repository.
fn asked<'a>(config: &'a Config, edges: &Edges) -> Result<(GitHub, &'a str, &'a str, &'a str), Failure> {
    let missing = |what: &str, hint: &str| Failure::input(format!("`base-from: last-success` needs {what}")).hint(hint);
    let run = &config.run;
    let (Some(workflow), Some(reference), Some(repository)) = (&run.workflow, &run.reference, &run.repository) else {
        return Err(missing("to run in a workflow, whose runs it asks for", "set the input `base` instead"));
    };
    let github = edges.github(&config.github_token).ok_or_else(|| {
        missing("a token to ask GitHub with", "leave out the input `github-token`, or give it one with `actions: read`")
    })?;
    Ok((github, workflow, reference, repository))
}

impl Successes<'_> {
    /// The nearest commit with a successful run. Pages are read until no run that follows can be of a nearer one: a commit's
    /// runs begin after it was made.
    async fn nearest(
        &mut self,
        github: &GitHub,
        workflow: &str,
        branch: Option<&str>,
    ) -> Result<Option<CommitSha>, Failure> {
        let mut commits = BTreeSet::new();
        let mut nearest = None;
        let mut pages = github.successful_runs(workflow, branch);
        while let Some(page) = pages.next().await? {
            self.listed += page.len();
            let oldest = page.iter().map(|run| run.created_at).min();
            let mut is_new = false;
            for run in page.into_iter().filter(|run| self.counts(run, branch)) {
                is_new |= self.git.has(&run.commit)? && commits.insert(run.commit);
            }
            if is_new {
                nearest = self.git.nearest(self.head, |commit| commits.contains(commit))?;
            }
            if let (Some(found), Some(oldest)) = (&nearest, oldest)
                && oldest < self.git.commit_time(found)?
            {
                break;
            }
        }
        Ok(nearest)
    }

    fn counts(&self, run: &Run, branch: Option<&str>) -> bool {
        let is_for = match &self.tags {
            Some(tags) => tags.contains(&run.branch),
            // A fork's branch may have the same name.
            None => Some(run.branch.as_str()) == branch,
        };
        is_for
            && Some(run.id) != self.run
            && run.repository.eq_ignore_ascii_case(self.repository)
            && !PROPOSALS.contains(&run.event.as_str())
    }
}
