//! An estate with its scenarios, in memory and as commits.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::grow::grow;
use crate::history::{Commit, check_out, write};
use crate::model::Model;
use crate::reach::{Reach, difference};
use crate::render::{Change, Ground, tree};
use crate::shape::Shape;
use crate::{named, random};

/// A repository that is not written yet, and what is going to happen to it.
pub struct Estate {
    shape: Shape,
    base: Model,
    plans: Vec<Plan>,
}

/// Something that happens to an estate.
pub(crate) struct Plan {
    pub(crate) name: String,
    pub(crate) why: String,
    /// What comes of it.
    pub(crate) head: Model,
    /// The two branches that are merged, if it is a merge.
    pub(crate) sides: Vec<Model>,
}

/// Two commits, and what is true between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// Its name; its branch is `scenario/<name>`.
    pub name: String,
    /// The commit that is compared with.
    pub base: String,
    /// The commit that is asked about.
    pub head: String,
    /// The services whose image can be another one.
    pub truth: BTreeSet<String>,
    /// The services that the base had and the head has no more.
    pub removed: BTreeSet<String>,
    /// The projects that what is built can differ of; nothing where tools may rightly disagree.
    pub projects: Option<BTreeSet<String>>,
    /// Every service of the head, with the name of its project.
    pub services: BTreeMap<String, String>,
    /// Why that is the truth.
    pub why: String,
}

/// An estate on disk.
#[derive(Clone, Debug)]
pub struct Repository {
    /// Where it is. Nothing is checked out until somebody asks for it.
    pub path: PathBuf,
    /// The commit that every scenario starts from.
    pub base: String,
    /// What happens to it.
    pub scenarios: Vec<Scenario>,
}

impl Estate {
    /// An estate of this shape, to which nothing happens yet.
    #[must_use]
    pub fn new(shape: Shape) -> Self {
        Self { shape, base: grow(&shape), plans: Vec::new() }
    }

    /// Adds every named scenario that is possible with its tool and size.
    #[must_use]
    pub fn with_named(mut self) -> Self {
        self.plans.extend(named::plans(&self.base));
        self
    }

    /// Adds scenarios of one to six edits each, drawn by chance from the shape's seed.
    #[must_use]
    pub fn with_random(mut self, count: usize) -> Self {
        self.plans.extend(random::plans(&self.base, self.shape.seed, count));
        self
    }

    /// Adds the three changes that tools are timed with: `leaf`, `root` and `lockfile`.
    #[must_use]
    pub fn with_races(mut self) -> Self {
        self.plans.extend(named::races(&self.base));
        self
    }

    /// Writes it as commits into an empty folder.
    ///
    /// # Errors
    /// If git is missing or refuses.
    pub fn write(&self, directory: &Path) -> Result<Repository> {
        let everything = tree(&self.base).into_iter().map(|(path, blob)| (path, Some(blob))).collect();
        let mut commits = vec![Commit { branch: "main".to_owned(), parents: Vec::new(), changes: everything }];
        let (ground, before) = (Ground::new(&self.base), Reach::of(&self.base));
        let mut scenarios = Vec::new();
        for plan in &self.plans {
            let changes = ground.changes(&plan.head);
            let scenario = self.scenario(&before, plan, &changes);
            let branch = format!("scenario/{}", plan.name);
            let commit = match plan.sides.first() {
                None => Commit { branch, parents: vec![0], changes },
                Some(first) => {
                    let sides = plan.sides.iter().enumerate().map(|(nth, side)| {
                        let branch = format!("side/{}-{nth}", plan.name);
                        Commit { branch, parents: vec![0], changes: ground.changes(side) }
                    });
                    let start = commits.len();
                    commits.extend(sides);
                    let parents = (start..commits.len()).collect();
                    Commit { branch, parents, changes: Ground::new(first).changes(&plan.head) }
                }
            };
            scenarios.push((scenario, commits.len()));
            commits.push(commit);
        }
        let ids = write(directory, &commits)?;
        let named = |(scenario, head): (Scenario, usize)| Scenario {
            base: ids[0].clone(),
            head: ids[head].clone(),
            ..scenario
        };
        Ok(Repository {
            path: directory.to_owned(),
            base: ids[0].clone(),
            scenarios: scenarios.into_iter().map(named).collect(),
        })
    }

    /// What is true of a plan; its commits are still to be written.
    fn scenario(&self, before: &Reach<'_>, plan: &Plan, changes: &[Change]) -> Scenario {
        let difference = difference(before, &plan.head);
        // Tests and docs reach a project's tests but not its image, and root settings reach every project in ways of their
        // own: both are answers that tools may give differently.
        let clear = |path: &str| {
            let in_image = !path.ends_with(".md") && !path.contains(".spec.");
            let at_root = !path.contains('/') && path != "delivery.toml" && Some(path) != self.base.tool.lockfile();
            in_image && !at_root
        };
        let clear = changes.iter().all(|(path, _)| clear(path)) && plan.head.services.len() == self.base.services.len();
        Scenario {
            name: plan.name.clone(),
            base: String::new(),
            head: String::new(),
            truth: difference.services,
            removed: difference.removed,
            projects: clear.then_some(difference.projects),
            services: services(&plan.head),
            why: plan.why.clone(),
        }
    }
}

impl Repository {
    /// Checks a commit out, for a tool that reads the working tree.
    ///
    /// # Errors
    /// If git refuses.
    pub fn check_out(&self, commit: &str) -> Result<()> {
        check_out(&self.path, commit)
    }
}

impl Scenario {
    /// The services that are built from these projects.
    #[must_use]
    pub fn services_of(&self, projects: &BTreeSet<String>) -> BTreeSet<String> {
        let built = self.services.iter().filter(|(_, project)| projects.contains(*project));
        built.map(|(service, _)| service.clone()).collect()
    }
}

fn services(model: &Model) -> BTreeMap<String, String> {
    let project = |home: &str| model.projects.get(home).map(|project| project.name.clone()).unwrap_or_default();
    model.services.iter().map(|(key, service)| (key.clone(), project(&service.home))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{git, run};
    use crate::shape::Tool;

    fn of(tool: Tool, projects: usize) -> Shape {
        Shape { service_every: 5, ..Shape::of(tool, projects) }
    }

    #[test]
    fn every_tool_gives_a_repository_that_git_finds_sound() {
        for tool in Tool::ALL {
            let directory = tempfile::tempdir().unwrap();
            let repository = Estate::new(of(tool, 50)).with_named().with_random(20).write(directory.path()).unwrap();
            run(git(directory.path()).args(["fsck", "--strict", "--no-dangling"])).unwrap();
            for scenario in &repository.scenarios {
                assert_ne!(scenario.base, scenario.head, "{tool:?}: {}", scenario.name);
            }
        }
    }

    #[test]
    fn the_same_shape_gives_the_same_commits() {
        let write = |shape| {
            let directory = tempfile::tempdir().unwrap();
            Estate::new(shape).with_named().with_random(30).write(directory.path()).unwrap().scenarios
        };
        let shape = of(Tool::Nx, 50);
        assert_eq!(write(shape), write(shape));
        assert_ne!(write(shape), write(Shape { seed: 2, ..shape }));
    }

    /// Had the names of the files been read otherwise than they were meant, a checkout of it would not be clean.
    #[test]
    fn a_checkout_is_what_was_written() {
        let directory = tempfile::tempdir().unwrap();
        let repository = Estate::new(of(Tool::Nx, 50)).with_named().write(directory.path()).unwrap();
        for scenario in &repository.scenarios {
            repository.check_out(&scenario.head).unwrap();
            run(git(directory.path()).args(["diff", "--exit-code", "HEAD"])).unwrap();
        }
    }

    #[test]
    fn chance_reaches_nobody_somebody_and_everybody() {
        let directory = tempfile::tempdir().unwrap();
        let repository = Estate::new(of(Tool::Nx, 50)).with_random(200).write(directory.path()).unwrap();
        let reached: Vec<usize> = repository.scenarios.iter().map(|scenario| scenario.truth.len()).collect();
        assert!(reached.iter().filter(|count| **count == 0).count() > 5, "{reached:?}");
        assert!(reached.iter().filter(|count| (1..8).contains(*count)).count() > 80, "{reached:?}");
        assert!(reached.iter().filter(|count| **count >= 10).count() > 5, "{reached:?}");
    }
}
