//! How commits stand to each other, as far as the clone can tell.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use gix::ObjectId;
use gix::revision::walk::Sorting;
use gix::traverse::commit::simple::CommitTimeOrder;
use jiff::Timestamp;

use super::{Git, broken, id, sha};
use crate::failure::Failure;
use crate::names::CommitSha;

/// How many commits are looked at to find the nearest one, as many as `git describe` does.
const CANDIDATES: usize = 10;

/// A tag of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// Its name, without `refs/tags/`.
    pub name: String,
    /// The commit that it is at.
    pub commit: CommitSha,
}

impl Git {
    /// The parents that a commit names, fetched or not.
    pub fn parents(&self, commit: &CommitSha) -> Result<Vec<CommitSha>, Failure> {
        let commit = self.commit(commit)?;
        commit.parent_ids().map(|parent| sha(parent.detach())).collect()
    }

    /// Whether the clone has a commit.
    pub fn has(&self, commit: &CommitSha) -> Result<bool, Failure> {
        Ok(self.repository.has_object(id(commit)?))
    }

    /// When a commit was made.
    pub fn commit_time(&self, commit: &CommitSha) -> Result<Timestamp, Failure> {
        let unreadable = |error: &dyn std::fmt::Display| {
            Failure::input(error.to_string()).context(format!("read the time of {}", commit.short()))
        };
        let time = self.commit(commit)?.time().map_err(|error| unreadable(&error))?;
        Timestamp::from_second(time.seconds).map_err(|error| unreadable(&error))
    }

    /// The best common ancestor of two commits, whichever of them comes first; of several that are as good, the newest.
    /// `None` if the clone has none, or its history is cut off before one can be told.
    pub fn merge_base(&self, one: &CommitSha, other: &CommitSha) -> Result<Option<CommitSha>, Failure> {
        let mut bases = Vec::new();
        for base in self.merge_bases(one, other)? {
            bases.push((Reverse(self.commit_time(&base)?), base));
        }
        let Some((_, base)) = bases.into_iter().min() else { return Ok(None) };
        Ok(self.is_whole(&base, [one, other])?.then_some(base))
    }

    /// Whether a commit is in another one's history. In a clone whose history is cut off, `false` may be "not that it is known".
    pub fn is_ancestor(&self, ancestor: &CommitSha, descendant: &CommitSha) -> Result<bool, Failure> {
        Ok(self.merge_bases(ancestor, descendant)?.contains(ancestor))
    }

    /// How many commits a commit has in its history that an ancestor has not.
    pub fn distance(&self, ancestor: &CommitSha, descendant: &CommitSha) -> Result<usize, Failure> {
        Ok(self.beyond(ancestor, [descendant])?.len())
    }

    /// The nearest of some commits in the history of another, which is in its own history too.
    pub fn nearest(
        &self,
        commit: &CommitSha,
        is_candidate: impl Fn(&CommitSha) -> bool,
    ) -> Result<Option<CommitSha>, Failure> {
        let failed = |error: gix::Error| broken(&format!("walk the history of {}", commit.short()), &error);
        let newest_first = Sorting::ByCommitTime(CommitTimeOrder::NewestFirst);
        let mut found: Vec<(usize, CommitSha)> = Vec::new();
        for step in self.repository.rev_walk([id(commit)?]).sorting(newest_first).all().map_err(failed)? {
            let candidate = sha(step.map_err(failed)?.id)?;
            if !is_candidate(&candidate) {
                continue;
            }
            // By time alone a commit of a branch that was merged late could come first.
            found.push((self.distance(&candidate, commit)?, candidate));
            if found.len() == CANDIDATES {
                break;
            }
        }
        // Of those that are as near, the first is the newest.
        Ok(found.into_iter().min_by_key(|(distance, _)| *distance).map(|(_, commit)| commit))
    }

    /// The nearest tag in a commit's history, of those that are meant, apart from those that the commit itself has.
    pub fn previous_tag(&self, commit: &CommitSha, is_meant: impl Fn(&str) -> bool) -> Result<Option<Tag>, Failure> {
        let tags: Vec<Tag> =
            self.tags()?.into_iter().filter(|tag| is_meant(&tag.name) && tag.commit != *commit).collect();
        if tags.is_empty() {
            return Ok(None);
        }
        let tagged: BTreeSet<&CommitSha> = tags.iter().map(|tag| &tag.commit).collect();
        let nearest = self.nearest(commit, |candidate| tagged.contains(candidate))?;
        // Of several at one commit it is the commit that counts.
        Ok(tags.iter().filter(|tag| Some(&tag.commit) == nearest.as_ref()).max_by_key(|tag| &tag.name).cloned())
    }

    /// All tags of commits.
    pub fn tags(&self) -> Result<Vec<Tag>, Failure> {
        let reading = |error: &gix::Error| broken("list the tags", error);
        let references = self.repository.references().map_err(|error| reading(&error))?;
        let mut tags = Vec::new();
        for reference in references.tags().map_err(|error| reading(&error))? {
            // One that cannot be read, or leads nowhere, is nobody's base.
            let Ok(mut reference) = reference else { continue };
            let Ok(commit) = reference.peel_to_commit() else { continue };
            tags.push(Tag { name: reference.name().shorten().to_string(), commit: sha(commit.id)? });
        }
        Ok(tags)
    }

    fn merge_bases(&self, one: &CommitSha, other: &CommitSha) -> Result<Vec<CommitSha>, Failure> {
        let (first, second) = (self.commit(one)?.id, self.commit(other)?.id);
        let bases = self.repository.merge_bases_many(first, &[second]).map_err(|error| {
            broken(&format!("find the merge base of {} and {}", one.short(), other.short()), &error)
        })?;
        bases.into_iter().map(|base| sha(base.detach())).collect()
    }

    /// Whether all that lies between a common ancestor and the two commits is in the clone. If not, a better one may lie
    /// where the history is cut off.
    fn is_whole(&self, base: &CommitSha, tips: [&CommitSha; 2]) -> Result<bool, Failure> {
        let cut = self.repository.shallow_commits();
        let Some(cut) = cut.map_err(|error| broken("read where the history is cut off", &error))? else {
            return Ok(true);
        };
        Ok(!self.beyond(base, tips)?.iter().any(|commit| cut.contains(commit)))
    }

    /// The commits in the history of some that are not in that of another.
    fn beyond<const N: usize>(&self, hidden: &CommitSha, tips: [&CommitSha; N]) -> Result<Vec<ObjectId>, Failure> {
        let failed = |error: gix::Error| broken(&format!("walk the history since {}", hidden.short()), &error);
        let tips = tips.into_iter().map(id).collect::<Result<Vec<_>, _>>()?;
        let walk = self.repository.rev_walk(tips).with_hidden([id(hidden)?]).all().map_err(failed)?;
        walk.map(|step| step.map(|step| step.id)).collect::<Result<_, _>>().map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::made::Made;
    use super::*;

    #[test]
    fn history_knows_parents_ancestors_and_where_branches_part() {
        let made = Made::new();
        let first = made.commit(&[]);
        made.git(&["checkout", "--quiet", "-b", "topic"]);
        let topic = made.commit(&[("a", Some("1"))]);
        made.git(&["checkout", "--quiet", "main"]);
        let main = made.commit(&[("b", Some("1"))]);
        let git = made.open();
        assert_eq!(git.merge_base(&topic, &main).unwrap().as_ref(), Some(&first));
        assert!(git.is_ancestor(&first, &main).unwrap() && !git.is_ancestor(&topic, &main).unwrap());
        assert_eq!((git.parents(&main).unwrap(), git.parents(&first).unwrap()), (vec![first.clone()], Vec::new()));
        assert_eq!((git.resolve("topic").unwrap(), git.head().unwrap()), (topic.clone(), main.clone()));
        assert_eq!(git.resolve("HEAD~1").unwrap(), first);
        assert!(!git.is_shallow().unwrap());
        made.git(&["merge", "--quiet", "--no-ff", "--message", "x", "topic"]);
        let merge = git.head().unwrap();
        let distances = [&merge, &main, &topic, &first].map(|from| git.distance(from, &merge).unwrap());
        assert_eq!(distances, [0, 2, 2, 3]);
        assert!(git.has(&merge).unwrap() && git.commit_time(&merge).unwrap() > Timestamp::UNIX_EPOCH);
    }

    /// Two branches, each of which merged the other: two common ancestors, none better than the other.
    #[test]
    fn of_two_merge_bases_it_is_always_the_same_one() {
        let made = Made::new();
        made.commit(&[]);
        made.git(&["branch", "topic"]);
        let left = made.commit(&[("left", Some("1"))]);
        made.git(&["checkout", "--quiet", "topic"]);
        let right = made.commit_at(2_000_000_000, &[("right", Some("1"))]);
        made.git(&["merge", "--quiet", "--no-ff", "--message", "x", left.as_str()]);
        let topic = made.commit(&[("topic", Some("1"))]);
        made.git(&["checkout", "--quiet", "main"]);
        made.git(&["merge", "--quiet", "--no-ff", "--message", "x", right.as_str()]);
        let main = made.commit(&[("main", Some("1"))]);
        let git = made.open();
        assert_eq!(git.merge_bases(&main, &topic).unwrap().len(), 2);
        assert_eq!(git.merge_base(&main, &topic).unwrap().as_ref(), Some(&right), "the newer one");
        assert_eq!(git.merge_base(&topic, &main).unwrap(), Some(right));
    }

    #[test]
    fn the_previous_tag_is_the_nearest_in_the_history() {
        let made = Made::new();
        made.commit(&[]);
        made.git(&["tag", "v1"]);
        made.commit(&[]);
        made.git(&["tag", "--annotate", "--message", "x", "v2"]);
        made.git(&["tag", "other"]);
        made.git(&["checkout", "--quiet", "-b", "side"]);
        made.commit(&[("side", Some("1"))]);
        made.git(&["tag", "v9-of-a-branch"]);
        made.git(&["checkout", "--quiet", "main"]);
        let head = made.commit(&[]);
        made.git(&["tag", "v3"]);
        made.git(&["tag", "v3-again"]);
        let git = made.open();
        let previous = |commit: &CommitSha, start: &str| {
            git.previous_tag(commit, |name| name.starts_with(start)).unwrap().map(|tag| tag.name)
        };
        assert_eq!(previous(&head, "v").as_deref(), Some("v2"));
        assert_eq!(previous(&head, "other").as_deref(), Some("other"));
        assert_eq!(previous(&head, "none"), None);
        assert_eq!(previous(&git.resolve("v1").unwrap(), "v"), None);
    }

    fn shallow(origin: &Made, depth: usize, branch: &str) -> Made {
        let url = format!("file://{}", origin.path().display());
        Made::cloned(&["--no-single-branch", &format!("--depth={depth}"), &format!("--branch={branch}"), &url])
    }

    #[test]
    fn a_branch_of_the_remote_is_found_and_a_cut_off_history_is_told() {
        let origin = Made::new();
        origin.commit(&[]);
        let main = origin.commit(&[("a", Some("1"))]);
        origin.git(&["checkout", "--quiet", "-b", "topic", "HEAD~1"]);
        let topic = origin.commit(&[("b", Some("1"))]);
        let clone = shallow(&origin, 1, "topic");
        let git = clone.open();
        assert!(git.is_shallow().unwrap());
        assert_eq!(git.resolve("main").unwrap(), main);
        assert_eq!(git.merge_base(&main, &topic).unwrap(), None);
        assert!(!git.has(&git.parents(&topic).unwrap()[0]).unwrap());
    }

    /// `topic` merged what was made on top of `later` by a long line, and `fork` by a short one: where the long one is cut off,
    /// `fork` looks like the best common ancestor of `topic` and `main`, and is not.
    #[test]
    fn a_merge_base_that_a_cut_off_history_only_seems_to_have_is_none() {
        let origin = Made::new();
        let fork = origin.commit(&[("fork", Some("1"))]);
        let later = origin.commit(&[("main", Some("1"))]);
        let main = origin.commit(&[("main", Some("2"))]);
        origin.git(&["checkout", "--quiet", "-b", "long", later.as_str()]);
        for number in ["1", "2", "3"] {
            origin.commit(&[("long", Some(number))]);
        }
        origin.git(&["checkout", "--quiet", "-b", "topic", fork.as_str()]);
        origin.commit(&[("topic", Some("1"))]);
        origin.git(&["merge", "--quiet", "--no-ff", "--message", "x", "long"]);
        let topic = origin.git(&["rev-parse", "HEAD"]).parse().unwrap();
        origin.git(&["branch", "--quiet", "-D", "long"]);
        for (depth, expected) in [(1, None), (2, None), (3, None), (4, None), (5, Some(&later)), (6, Some(&later))] {
            let clone = shallow(&origin, depth, "topic");
            let git = clone.open();
            assert_eq!(git.merge_base(&main, &topic).unwrap().as_ref(), expected, "depth {depth}");
            if depth == 3 {
                assert_eq!(git.merge_bases(&main, &topic).unwrap(), std::slice::from_ref(&fork), "what it looks like");
            }
        }
    }
}
