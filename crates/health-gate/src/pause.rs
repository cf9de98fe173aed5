//! A lifecycle hook that a deployment waits at, and the answer that a verdict is to it. Pure.
//! <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/pause-lifecycle-hooks.html>

use std::fmt;

use common::aws::{LifecycleHook, ServiceDeployment};
use common::failure::Failure;

use crate::tally::Verdict;

/// A deployment that waits for an answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pause {
    /// The ARN of the service deployment.
    pub(crate) deployment: String,
    pub(crate) hook: LifecycleHook,
    /// Where it is on its way: `POST_TEST_TRAFFIC_SHIFT`, …
    pub(crate) stage: Option<String>,
    /// How much of the traffic the new version gets, in percent; `None` where ECS does not move traffic.
    traffic: Option<f64>,
}

/// The answer to a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    Continue,
    Rollback,
}

/// What came of answering.
#[derive(Debug)]
pub(crate) enum Answered {
    /// No hook waits, or there is no verdict to answer it by.
    Nothing,
    /// ECS took it.
    Given(Reply),
    /// ECS did not take it.
    Failed(Reply, Failure),
}

impl Pause {
    /// Of the deployments of a service that are on their way, the one that waits. There is one at a time: another would have
    /// taken its place.
    pub(crate) fn of(deployments: &[ServiceDeployment]) -> Option<Self> {
        let waiting = |deployment: &ServiceDeployment| {
            let hook = deployment.awaits()?.clone();
            let (stage, traffic) = (deployment.stage.clone(), deployment.traffic);
            Some(Self { deployment: deployment.arn.clone(), hook, stage, traffic })
        };
        deployments.iter().find_map(waiting)
    }

    /// Whether the new version's tasks were started before it came here.
    pub(crate) fn is_scaled_up(&self) -> bool {
        !matches!(self.stage.as_deref(), Some("RECONCILE_SERVICE" | "PRE_SCALE_UP"))
    }

    /// Whether the version before gets requests too.
    pub(crate) fn is_shared(&self) -> bool {
        self.traffic.is_some_and(|percent| percent < 100.0)
    }

    /// What happens if nobody answers.
    pub(crate) fn unless_answered(&self) -> String {
        let until = match self.hook.expires_at {
            Some(expires_at) => format!(" until {}", expires_at.strftime("%Y-%m-%d %H:%M UTC")),
            None => String::new(),
        };
        let then = match self.hook.timeout_action.as_deref() {
            Some("ROLLBACK") => "rolls back",
            Some("CONTINUE") => "continues",
            Some(newer) => newer,
            None => "does what the hook is set to",
        };
        format!("ECS waits for an answer{until}, and then {then}")
    }

    /// Whether the hook was answered so, as AWS's record of the deployment tells.
    pub(crate) fn is_answered(&self, reply: Reply, deployment: &ServiceDeployment) -> bool {
        let hook = deployment.hooks.iter().find(|hook| hook.id == self.hook.id);
        match reply {
            Reply::Continue => hook.is_some_and(|hook| hook.status == "SUCCEEDED"),
            Reply::Rollback => deployment.status.starts_with("ROLLBACK"),
        }
    }
}

impl fmt::Display for Pause {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "waits at hook {}", self.hook.id)?;
        match (&self.stage, self.traffic) {
            (Some(stage), Some(percent)) => write!(formatter, " ({stage}, {percent} % of the traffic)"),
            (Some(stage), None) => write!(formatter, " ({stage})"),
            (None, _) => Ok(()),
        }
    }
}

impl Reply {
    /// The answer that a verdict is. What is not certain is none.
    pub(crate) const fn to(verdict: Verdict) -> Option<Self> {
        match verdict {
            Verdict::Pass | Verdict::Warn => Some(Self::Continue),
            Verdict::Fail => Some(Self::Rollback),
            Verdict::NoData | Verdict::Error => None,
        }
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Continue => "CONTINUE",
            Self::Rollback => "ROLLBACK",
        })
    }
}

impl Answered {
    /// The word for it: what the deployment was told.
    pub(crate) const fn word(&self) -> &'static str {
        match self {
            Self::Given(Reply::Continue) => "continue",
            Self::Given(Reply::Rollback) => "rollback",
            Self::Nothing | Self::Failed(..) => "none",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hook(status: &str) -> LifecycleHook {
        LifecycleHook { id: "ecs-pause-1".into(), status: status.into(), ..LifecycleHook::default() }
    }

    fn deployment(status: &str, hook_status: &str, stage: &str, traffic: Option<f64>) -> ServiceDeployment {
        ServiceDeployment {
            arn: "arn".into(),
            status: status.into(),
            stage: Some(stage.into()),
            traffic,
            hooks: vec![hook(hook_status)],
            ..ServiceDeployment::default()
        }
    }

    fn pause(stage: &str, traffic: Option<f64>) -> Pause {
        Pause::of(&[deployment("IN_PROGRESS", "AWAITING_ACTION", stage, traffic)]).unwrap()
    }

    #[test]
    fn only_a_hook_that_waits_for_an_answer_is_a_pause() {
        for status in ["IN_PROGRESS", "SUCCEEDED", "FAILED", "TIMED_OUT", "A_NEWER_WORD"] {
            assert_eq!(Pause::of(&[deployment("IN_PROGRESS", status, "POST_SCALE_UP", None)]), None, "{status}");
        }
        assert_eq!(pause("POST_SCALE_UP", None).to_string(), "waits at hook ecs-pause-1 (POST_SCALE_UP)");
        assert_eq!(
            pause("PRE_PRODUCTION_TRAFFIC_SHIFT", Some(10.0)).to_string(),
            "waits at hook ecs-pause-1 (PRE_PRODUCTION_TRAFFIC_SHIFT, 10 % of the traffic)"
        );
    }

    #[test]
    fn where_it_waits_tells_what_can_be_seen_there() {
        for (stage, traffic, is_scaled_up, is_shared) in [
            ("PRE_SCALE_UP", None, false, false),
            ("RECONCILE_SERVICE", Some(0.0), false, true),
            ("POST_SCALE_UP", None, true, false),
            ("POST_TEST_TRAFFIC_SHIFT", Some(0.0), true, true),
            ("PRE_PRODUCTION_TRAFFIC_SHIFT", Some(10.0), true, true),
            ("POST_PRODUCTION_TRAFFIC_SHIFT", Some(100.0), true, false),
            ("A_NEWER_WORD", None, true, false),
        ] {
            let pause = pause(stage, traffic);
            let told = (pause.is_scaled_up(), pause.is_shared());
            assert_eq!(told, (is_scaled_up, is_shared), "{stage}");
        }
    }

    #[test]
    fn what_is_not_certain_is_no_answer() {
        for (verdict, reply) in [
            (Verdict::Pass, Some(Reply::Continue)),
            (Verdict::Warn, Some(Reply::Continue)),
            (Verdict::NoData, None),
            (Verdict::Error, None),
            (Verdict::Fail, Some(Reply::Rollback)),
        ] {
            assert_eq!(Reply::to(verdict), reply, "{verdict:?}");
        }
    }

    #[test]
    fn what_happens_without_an_answer_is_told_as_far_as_it_is_known() {
        let check = |timeout_action: Option<&str>, expected: &str| {
            let mut pause = pause("POST_SCALE_UP", None);
            pause.hook.timeout_action = timeout_action.map(str::to_owned);
            assert_eq!(pause.unless_answered(), format!("ECS waits for an answer, and then {expected}"));
        };
        check(Some("ROLLBACK"), "rolls back");
        check(Some("CONTINUE"), "continues");
        check(Some("EXTEND"), "EXTEND");
        check(None, "does what the hook is set to");
    }

    #[test]
    fn an_answer_is_known_by_what_became_of_the_hook() {
        let pause = pause("POST_SCALE_UP", None);
        for (status, hook, is_continued, is_rolled_back) in [
            ("IN_PROGRESS", "AWAITING_ACTION", false, false),
            ("IN_PROGRESS", "SUCCEEDED", true, false),
            ("ROLLBACK_REQUESTED", "FAILED", false, true),
            ("IN_PROGRESS", "TIMED_OUT", false, false),
        ] {
            let seen = deployment(status, hook, "POST_SCALE_UP", None);
            let told = (pause.is_answered(Reply::Continue, &seen), pause.is_answered(Reply::Rollback, &seen));
            assert_eq!(told, (is_continued, is_rolled_back), "{status}, {hook}");
        }
    }
}
