//! One service on its way, and how that ended.

use std::time::Duration;

use common::aws::{ServiceDeployment, Task};
use common::failure::Failure;
use common::names::TaskDefinitionRevision;
use jiff::Timestamp;

use crate::diagnosis::Diagnosis;
use crate::plan::{Change, Step};
use crate::rollout::{Rollout, Sight};

/// The phase of a service that runs what it should: nothing happens in it, unless it goes back.
pub(crate) const DEPLOYED: &str = "deployed";

/// One service on its way.
#[derive(Debug)]
pub(crate) struct Flight {
    pub(crate) change: Change,
    /// The wave that it belongs to, from zero.
    pub(crate) wave: usize,
    /// What was to run; `None` if it came to no such thing.
    pub(crate) to: Option<TaskDefinitionRevision>,
    pub(crate) fate: Fate,
    pub(crate) back: Back,
    /// What happened when, counted from the beginning of the release: `registered`, `updated`, `BAKE_TIME`, …
    pub(crate) phases: Vec<(Duration, String)>,
    /// When it was over, counted from the beginning of the release.
    pub(crate) ended: Duration,
    /// What a reader needs in order to mend it; blank if there is nothing to mend.
    pub(crate) diagnosis: Diagnosis,
    /// Our deployment, once there is one.
    pub(super) rollout: Option<Rollout>,
    /// AWS's own record of it.
    pub(super) record: Option<ServiceDeployment>,
    pub(super) sight: Sight,
    pub(super) way: Option<Way>,
    pub(super) stopped: Vec<Task>,
    pub(super) looks: u32,
    pub(super) said: String,
}

/// How it ended for one service, before anything was put back.
#[derive(Debug)]
pub(crate) enum Fate {
    /// An earlier wave failed, or the run was cancelled: nothing was touched.
    NotStarted,
    /// It runs what it should, and was left alone.
    Unchanged,
    /// It is on its way.
    Going,
    /// It runs what it should.
    Deployed,
    /// A hook waits for somebody's answer.
    Paused { hook: String, until: Option<Timestamp> },
    /// The new version failed.
    Failed { why: String },
    /// Another deployment took its place.
    Superseded { by: String },
    /// No end came in time.
    TimedOut,
    /// The run was cancelled on the way.
    Cancelled,
    /// A call failed.
    Broken(Failure),
}

/// What was put back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Back {
    /// Nothing: there was no need, or nobody wanted it.
    No,
    /// It runs again what ran before.
    Done,
    /// It was asked for, and nobody watched to its end.
    Asked,
    /// It was tried, and failed.
    Failed { why: String },
    /// There is nothing to go back to.
    Nowhere,
    /// There is nothing to go back to, and its tasks were stopped.
    ScaledToZero,
}

/// How a service goes back.
#[derive(Clone, Debug)]
pub(super) enum Way {
    /// ECS takes our deployment back: its own decision, or StopServiceDeployment.
    Recall,
    /// By another deployment, of what ran before.
    Redeploy(Rollout),
    /// To this many tasks.
    Rescale(u32),
}

impl Flight {
    pub(super) fn of(change: Change, wave: usize) -> Self {
        Self {
            change,
            wave,
            to: None,
            fate: Fate::NotStarted,
            back: Back::No,
            phases: Vec::new(),
            ended: Duration::ZERO,
            diagnosis: Diagnosis::default(),
            rollout: None,
            record: None,
            sight: Sight::Going,
            way: None,
            stopped: Vec::new(),
            looks: 0,
            said: String::new(),
        }
    }

    /// Whether it is on its way.
    pub(super) fn is_going(&self) -> bool {
        matches!(self.fate, Fate::Going)
    }

    /// Whether this run changed it.
    pub(crate) fn is_touched(&self) -> bool {
        self.is_begun() || self.back != Back::No
    }

    /// Whether this run took it on its way.
    fn is_begun(&self) -> bool {
        // A task definition alone runs nowhere.
        self.phases.iter().any(|(_, phase)| phase != "registered")
            && !matches!(self.fate, Fate::NotStarted | Fate::Unchanged)
    }

    /// Whether there is something to put back: this run changed it, or one before that was cut off.
    pub(super) fn has_to_go_back(&self) -> bool {
        self.is_begun() || self.change.good != self.change.completed
    }

    /// Whether it runs what it should.
    pub(crate) fn is_good(&self) -> bool {
        matches!(self.fate, Fate::Unchanged | Fate::Deployed) && self.back == Back::No
    }

    /// Whether the release may go on.
    pub(super) fn holds_up(&self) -> bool {
        !matches!(self.fate, Fate::Unchanged | Fate::Deployed | Fate::NotStarted)
    }

    /// When it began, counted from the beginning of the release. A task definition may be registered long before.
    pub(crate) fn began(&self) -> Duration {
        let updated = self.phases.iter().find(|(_, phase)| phase == "updated");
        updated.or(self.phases.first()).map_or(self.ended, |(at, _)| *at)
    }

    /// What it ran before: of a deployment that was on its way already, what that one replaces.
    pub(crate) fn stood(&self) -> Option<&TaskDefinitionRevision> {
        match self.change.step {
            Step::Attach(_) => self.change.good.as_ref(),
            _ => self.change.from.as_ref(),
        }
    }

    /// What it runs now, as far as this run knows.
    pub(crate) fn runs(&self) -> Option<TaskDefinitionRevision> {
        match (&self.back, &self.fate, &self.to) {
            (Back::Done | Back::Asked, ..) => self.change.good.clone(),
            (Back::ScaledToZero, ..) => None,
            (_, Fate::Superseded { by }, _) => by.parse().ok(),
            (_, _, Some(to)) if self.is_begun() => Some(to.clone()),
            _ => self.change.from.clone(),
        }
    }

    pub(super) fn phase(&mut self, at: Duration, what: &str) {
        if self.phases.last().is_none_or(|(_, last)| last != what) {
            self.phases.push((at, what.to_owned()));
        }
    }
}

impl From<Sight> for Fate {
    fn from(sight: Sight) -> Self {
        match sight {
            Sight::Going => Self::Going,
            Sight::Deployed => Self::Deployed,
            Sight::Paused { hook, until } => Self::Paused { hook, until },
            Sight::Superseded { by } => Self::Superseded { by },
            Sight::GoingBack { why }
            | Sight::WentBack { why }
            | Sight::StuckBetween { why }
            | Sight::Doomed { why }
            | Sight::Failed { why } => Self::Failed { why },
        }
    }
}
