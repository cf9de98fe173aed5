//! The judgement of a deployment: pure, from what ECS shows. The deployment that this run started, and no other, is judged:
//! "the service is stable" is true after a rollback too.

use common::aws::{Deployment, Service, ServiceDeployment, Task};
use jiff::Timestamp;

use crate::crash;

/// A deployment that this run started, or attached itself to.
#[derive(Clone, Debug)]
pub(crate) struct Rollout {
    /// `ecs-svc/<number>`, from UpdateService's answer; also `startedBy` of its tasks. Blank where it is not known any more.
    pub(crate) deployment: String,
    /// When it was made, by AWS's clock.
    pub(crate) since: Option<Timestamp>,
    /// The ARN of the task definition that it deploys.
    pub(crate) to: String,
    /// The ARN of what ran before and is known to be good.
    pub(crate) good: Option<String>,
}

/// What one look at a service showed.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) service: Service,
    /// AWS's own record of our deployment; `None` where it cannot be read.
    pub(crate) record: Option<ServiceDeployment>,
    /// Those of its tasks that are over, as far as anybody looked.
    pub(crate) stopped: Vec<Task>,
}

/// How far a deployment is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sight {
    /// On its way. A word that is newer than this program decides nothing either: look again.
    Going,
    /// It runs.
    Deployed,
    /// A hook waits for somebody's answer.
    Paused { hook: String, until: Option<Timestamp> },
    /// It fails, and ECS puts back what ran before.
    GoingBack { why: String },
    /// ECS put back what ran before.
    WentBack { why: String },
    /// ECS tried to put back what ran before, and could not.
    StuckBetween { why: String },
    /// It can never succeed, and nobody has ended it.
    Doomed { why: String },
    /// It is over, and nothing was put back.
    Failed { why: String },
    /// Another deployment took its place.
    Superseded { by: String },
}

impl Sight {
    /// Whether there is nothing more to wait for.
    pub(crate) fn is_final(&self) -> bool {
        !matches!(self, Self::Going | Self::GoingBack { .. })
    }

    /// Whether the release has failed with it, be it over or not.
    pub(crate) fn is_bad(&self) -> bool {
        !matches!(self, Self::Going | Self::Deployed | Self::Paused { .. })
    }
}

impl Rollout {
    /// Whether a task belongs to this deployment.
    pub(crate) fn owns(&self, task: &Task) -> bool {
        task.is_of(&self.deployment, &self.to, self.since)
    }
}

/// Judges what one look showed. AWS's record of the deployment decides; without one, its place among the service's
/// deployments does.
pub(crate) fn judge(rollout: &Rollout, seen: &Seen) -> Sight {
    let ours = seen.service.deployments.iter().find(|deployment| deployment.id == rollout.deployment);
    let sight = match &seen.record {
        Some(record) => by_record(record, ours, &seen.service),
        None => by_place(rollout, ours, &seen.service),
    };
    match (&sight, ours) {
        (Sight::Going, Some(ours)) if ours.status == "PRIMARY" => {
            let mine: Vec<&Task> = seen.stopped.iter().filter(|task| rollout.owns(task)).collect();
            crash::certain(&seen.service, ours, &mine).map_or(sight, |why| Sight::Doomed { why })
        }
        _ => sight,
    }
}

/// By AWS's record.
fn by_record(record: &ServiceDeployment, ours: Option<&Deployment>, service: &Service) -> Sight {
    let why = || match record.triggered_alarms.as_slice() {
        [] => record.why(),
        alarms => format!("{} (alarm {})", record.why(), alarms.join(", ")),
    };
    match record.status.as_str() {
        "SUCCESSFUL" => Sight::Deployed,
        "ROLLBACK_REQUESTED" | "ROLLBACK_IN_PROGRESS" => Sight::GoingBack { why: why() },
        "ROLLBACK_SUCCESSFUL" => Sight::WentBack { why: why() },
        "ROLLBACK_FAILED" => Sight::StuckBetween { why: why() },
        "STOPPED" if why().contains("Replaced by") => Sight::Superseded { by: primary(service) },
        "STOPPED" => Sight::Failed { why: why() },
        // The circuit breaker opened, and there is nothing to go back to: ECS leaves it like this for ever
        // (hashicorp/terraform-provider-aws#19519).
        "IN_PROGRESS" | "STOP_REQUESTED" => {
            match (record.awaits(), ours.filter(|ours| ours.status == "PRIMARY" && ours.rollout == "FAILED")) {
                (Some(hook), _) => Sight::Paused { hook: hook.id.clone(), until: hook.expires_at },
                (None, Some(ours)) => Sight::Doomed { why: reason(ours) },
                (None, None) => Sight::Going,
            }
        }
        _ => Sight::Going,
    }
}

/// By the deployment's place among the service's.
fn by_place(rollout: &Rollout, ours: Option<&Deployment>, service: &Service) -> Sight {
    let is_back = service.primary().is_some_and(|primary| Some(&primary.task_definition) == rollout.good.as_ref());
    match (ours, service.primary()) {
        (Some(ours), _) if ours.status == "PRIMARY" => match ours.rollout.as_str() {
            "COMPLETED" if ours.running >= ours.desired => Sight::Deployed,
            "FAILED" => Sight::Doomed { why: reason(ours) },
            _ => Sight::Going,
        },
        // Ours failed or is gone, and what ran before is primary again: that is a rollback, once it is complete.
        (ours, Some(primary)) if is_back && ours.is_none_or(|ours| ours.rollout == "FAILED") => {
            let why = ours.map_or_else(|| "ECS put back what ran before".to_owned(), reason);
            match primary.rollout.as_str() {
                "COMPLETED" => Sight::WentBack { why },
                "FAILED" => Sight::StuckBetween { why: format!("{why}; then {}", reason(primary)) },
                _ => Sight::GoingBack { why },
            }
        }
        (_, Some(_)) => Sight::Superseded { by: self::primary(service) },
        (_, None) => Sight::Going,
    }
}

fn reason(deployment: &Deployment) -> String {
    deployment.reason.as_deref().unwrap_or("ECS gave no reason").trim_end_matches('.').to_owned()
}

fn primary(service: &Service) -> String {
    service.primary().map_or(&service.task_definition, |primary| &primary.task_definition).clone()
}

/// One line on how far it is, for whoever watches.
pub(crate) fn progress(rollout: &Rollout, seen: &Seen) -> String {
    let record = seen.record.as_ref();
    let status = record.map(|record| record.status.as_str());
    let stage = record.and_then(|record| record.stage.as_deref()).filter(|_| status == Some("IN_PROGRESS"));
    let ours = seen.service.deployments.iter().find(|deployment| deployment.id == rollout.deployment);
    let word = stage.or(status).or(ours.map(|ours| ours.rollout.as_str())).unwrap_or("?");
    let mut text = word.to_owned();
    if let Some(percent) = record.and_then(|record| record.traffic) {
        text += &format!(", {percent} % of the traffic");
    }
    match ours {
        Some(ours) if ours.failed > 0 => {
            text + &format!(": {} of {} tasks run, {} failed", ours.running, ours.desired, ours.failed)
        }
        Some(ours) => text + &format!(": {} of {} tasks run", ours.running, ours.desired),
        None => text + ": the deployment has left the service",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment(id: &str, status: &str, task_definition: &str, rollout: &str) -> Deployment {
        Deployment {
            id: id.into(),
            status: status.into(),
            task_definition: task_definition.into(),
            desired: 2,
            running: 2,
            pending: 0,
            failed: 0,
            rollout: rollout.into(),
            reason: Some(format!("{id} {rollout}")),
            created_at: None,
        }
    }

    fn service(deployments: Vec<Deployment>) -> Service {
        Service {
            task_definition: deployments[0].task_definition.clone(),
            desired: 2,
            deployments,
            ..Service::default()
        }
    }

    fn rollout() -> Rollout {
        Rollout { deployment: "ours".into(), since: None, to: "auth:2".into(), good: Some("auth:1".into()) }
    }

    fn check(deployments: Vec<Deployment>, expected: Sight) {
        let seen = Seen { service: service(deployments), record: None, stopped: Vec::new() };
        assert_eq!(judge(&rollout(), &seen), expected);
    }

    #[test]
    fn aws_own_record_decides_whatever_the_service_looks_like() {
        let why = |why: &str| why.to_owned();
        for (status, reason, expected) in [
            ("SUCCESSFUL", None, Sight::Deployed),
            ("ROLLBACK_REQUESTED", Some("x"), Sight::GoingBack { why: why("x") }),
            ("ROLLBACK_IN_PROGRESS", Some("x"), Sight::GoingBack { why: why("x") }),
            ("ROLLBACK_SUCCESSFUL", Some("x"), Sight::WentBack { why: why("x") }),
            ("ROLLBACK_FAILED", None, Sight::StuckBetween { why: why("ECS gave no reason") }),
            ("STOPPED", Some("Replaced by a new service deployment"), Sight::Superseded { by: "auth:1".into() }),
            ("STOPPED", Some("stopped"), Sight::Failed { why: why("stopped") }),
            ("STOP_REQUESTED", None, Sight::Going),
            ("PENDING", None, Sight::Going),
            ("IN_PROGRESS", None, Sight::Going),
            ("A_NEWER_WORD", None, Sight::Going),
        ] {
            let record =
                ServiceDeployment { status: status.into(), reason: reason.map(str::to_owned), ..Default::default() };
            let service = service(vec![deployment("other", "PRIMARY", "auth:1", "COMPLETED")]);
            let seen = Seen { service, record: Some(record), stopped: Vec::new() };
            assert_eq!(judge(&rollout(), &seen), expected, "{status}");
        }
    }

    #[test]
    fn without_a_record_its_place_among_the_deployments_decides() {
        let ours = |status, rollout| deployment("ours", status, "auth:2", rollout);
        let old = |status, rollout| deployment("old", status, "auth:1", rollout);
        let why = |why: &str| why.to_owned();
        check(vec![ours("PRIMARY", "IN_PROGRESS"), old("ACTIVE", "COMPLETED")], Sight::Going);
        check(vec![ours("PRIMARY", "COMPLETED")], Sight::Deployed);
        check(vec![Deployment { running: 0, ..ours("PRIMARY", "COMPLETED") }], Sight::Going);
        check(vec![ours("PRIMARY", "FAILED")], Sight::Doomed { why: why("ours FAILED") });
        check(
            vec![old("PRIMARY", "IN_PROGRESS"), ours("ACTIVE", "FAILED")],
            Sight::GoingBack { why: why("ours FAILED") },
        );
        check(vec![old("PRIMARY", "COMPLETED"), ours("ACTIVE", "FAILED")], Sight::WentBack { why: why("ours FAILED") });
        check(vec![old("PRIMARY", "COMPLETED")], Sight::WentBack { why: why("ECS put back what ran before") });
        check(
            vec![deployment("newer", "PRIMARY", "auth:3", "COMPLETED"), ours("ACTIVE", "IN_PROGRESS")],
            Sight::Superseded { by: "auth:3".into() },
        );
    }
}
