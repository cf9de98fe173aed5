//! The judgement of a deployment: pure, from what ECS shows. The deployment that this run started, and no other, is judged:
//! "the service is stable" is true after a rollback too.

use common::aws::{Deployment, Service, ServiceDeployment};
use common::poll::Judged;

/// A deployment that this run started.
#[derive(Clone, Debug)]
pub(crate) struct Rollout {
    /// `ecs-svc/<number>`, from UpdateService's answer.
    pub(crate) deployment: String,
    /// What ran before.
    pub(crate) from: String,
}

/// How a deployment ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It runs.
    Deployed,
    /// ECS put back what ran before.
    RolledBack { why: String },
    /// ECS tried to put back what ran before, and could not.
    RollbackFailed { why: String },
    /// It failed, and nothing was put back.
    Failed { why: String },
    /// Another deployment took its place.
    Superseded { by: String },
}

/// What one look showed.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) service: Service,
    /// AWS's own record of our deployment; `None` where it cannot be read.
    pub(crate) record: Option<ServiceDeployment>,
}

/// Judges what one look showed. AWS's record of the deployment decides; without one, its place among the service's
/// deployments does.
pub(crate) fn judge(rollout: &Rollout, seen: &Seen) -> Judged<Ending> {
    let ours = seen.service.deployments.iter().find(|deployment| deployment.id == rollout.deployment);
    if let Some(crash_loop) = ours.and_then(|ours| crash_loop(&seen.service, ours)) {
        return Judged::Done(crash_loop);
    }
    match &seen.record {
        Some(record) => by_record(record, ours, &seen.service),
        None => by_place(rollout, ours, &seen.service),
    }
}

/// By AWS's record. A word that is newer than this program decides nothing: look again.
fn by_record(record: &ServiceDeployment, ours: Option<&Deployment>, service: &Service) -> Judged<Ending> {
    let reason = || {
        record
            .rollback_reason
            .clone()
            .or_else(|| record.reason.clone())
            .unwrap_or_else(|| "ECS gave no reason".to_owned())
    };
    match record.status.as_str() {
        "SUCCESSFUL" => Judged::Done(Ending::Deployed),
        "ROLLBACK_SUCCESSFUL" => Judged::Done(Ending::RolledBack { why: reason() }),
        "ROLLBACK_FAILED" => Judged::Done(Ending::RollbackFailed { why: reason() }),
        "STOPPED" if reason().contains("Replaced by") => Judged::Done(Ending::Superseded { by: primary(service) }),
        "STOPPED" => Judged::Done(Ending::Failed { why: reason() }),
        // The circuit breaker opened, and there is nothing to go back to: ECS leaves it like this for ever
        // (hashicorp/terraform-provider-aws#19519).
        "IN_PROGRESS" => match ours.filter(|ours| ours.status == "PRIMARY" && ours.rollout == "FAILED") {
            Some(ours) => Judged::Done(Ending::Failed { why: self::reason(ours) }),
            None => Judged::Wait,
        },
        _ => Judged::Wait,
    }
}

/// By the deployment's place among the service's.
fn by_place(rollout: &Rollout, ours: Option<&Deployment>, service: &Service) -> Judged<Ending> {
    let is_back = service.primary().is_some_and(|primary| primary.task_definition == rollout.from);
    match (ours, service.primary()) {
        (Some(ours), _) if ours.status == "PRIMARY" => match ours.rollout.as_str() {
            "COMPLETED" if ours.running >= ours.desired => Judged::Done(Ending::Deployed),
            "FAILED" => Judged::Done(Ending::Failed { why: reason(ours) }),
            _ => Judged::Wait,
        },
        // Ours failed or is gone, and what ran before is primary again: that is a rollback, once it is complete.
        (ours, Some(primary)) if is_back && ours.is_none_or(|ours| ours.rollout == "FAILED") => {
            let why = ours.map_or_else(|| "ECS put back what ran before".to_owned(), reason);
            match primary.rollout.as_str() {
                "COMPLETED" => Judged::Done(Ending::RolledBack { why }),
                "FAILED" => Judged::Done(Ending::RollbackFailed { why: format!("{why}; then {}", reason(primary)) }),
                _ => Judged::Wait,
            }
        }
        (_, Some(_)) => Judged::Done(Ending::Superseded { by: self::primary(service) }),
        (_, None) => Judged::Wait,
    }
}

/// A deployment that nobody will end: its tasks keep failing, and no circuit breaker watches. ECS would go on for ever.
fn crash_loop(service: &Service, ours: &Deployment) -> Option<Ending> {
    let is_watched = service.circuit_breaker.is_some_and(|breaker| breaker.enabled);
    // As many failures as ECS's own breaker would allow.
    let threshold = (ours.desired / 2).clamp(3, 200);
    (ours.status == "PRIMARY" && !is_watched && ours.failed >= threshold).then(|| Ending::Failed {
        why: format!(
            "{} tasks failed in a row, and the service has no circuit breaker to end the deployment",
            ours.failed
        ),
    })
}

fn reason(deployment: &Deployment) -> String {
    deployment.reason.clone().unwrap_or_else(|| "ECS gave no reason".to_owned())
}

fn primary(service: &Service) -> String {
    service.primary().map_or(&service.task_definition, |primary| &primary.task_definition).clone()
}

/// One line on how far it is, for whoever watches.
pub(crate) fn progress(rollout: &Rollout, seen: &Seen) -> String {
    let status = seen.record.as_ref().map(|record| record.status.as_str());
    match seen.service.deployments.iter().find(|deployment| deployment.id == rollout.deployment) {
        Some(ours) => {
            let failed = if ours.failed > 0 { format!(", {} failed", ours.failed) } else { String::new() };
            let word = status.unwrap_or(&ours.rollout);
            format!("{word}: {} of {} tasks run{failed}", ours.running, ours.desired)
        }
        None => format!("{}: the deployment has left the service", status.unwrap_or("?")),
    }
}

#[cfg(test)]
mod tests {
    use common::aws::CircuitBreaker;

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

    fn service(deployments: Vec<Deployment>, breaker: bool) -> Service {
        Service {
            name: "auth".into(),
            status: "ACTIVE".into(),
            task_definition: deployments[0].task_definition.clone(),
            desired: 2,
            running: 2,
            pending: 0,
            controller: "ECS".into(),
            deployments,
            events: Vec::new(),
            load_balancers: Vec::new(),
            circuit_breaker: breaker.then_some(CircuitBreaker { enabled: true, rollback: true }),
            network: None,
            launch_type: None,
            capacity_providers: Vec::new(),
            platform_version: None,
        }
    }

    fn rollout() -> Rollout {
        Rollout { deployment: "ours".into(), from: "auth:1".into() }
    }

    fn check(deployments: Vec<Deployment>, expected: Judged<Ending>) {
        assert_eq!(judge(&rollout(), &Seen { service: service(deployments, true), record: None }), expected);
    }

    #[test]
    fn aws_own_record_decides_whatever_the_service_looks_like() {
        for (status, reason, expected) in [
            ("SUCCESSFUL", None, Judged::Done(Ending::Deployed)),
            ("ROLLBACK_SUCCESSFUL", Some("x"), Judged::Done(Ending::RolledBack { why: "x".into() })),
            ("ROLLBACK_FAILED", None, Judged::Done(Ending::RollbackFailed { why: "ECS gave no reason".into() })),
            (
                "STOPPED",
                Some("Replaced by a new service deployment"),
                Judged::Done(Ending::Superseded { by: "auth:1".into() }),
            ),
            ("STOPPED", Some("stopped"), Judged::Done(Ending::Failed { why: "stopped".into() })),
            ("STOP_REQUESTED", None, Judged::Wait),
            ("ROLLBACK_REQUESTED", None, Judged::Wait),
            ("IN_PROGRESS", None, Judged::Wait),
            ("A_NEWER_WORD", None, Judged::Wait),
        ] {
            let record = ServiceDeployment {
                arn: "arn".into(),
                status: status.into(),
                reason: reason.map(str::to_owned),
                target_revision: String::new(),
                created_at: None,
                rollback_reason: None,
                breaker: None,
                failures: None,
            };
            let service = service(vec![deployment("other", "PRIMARY", "auth:1", "COMPLETED")], true);
            assert_eq!(judge(&rollout(), &Seen { service, record: Some(record) }), expected, "{status}");
        }
    }

    #[test]
    fn without_a_record_its_place_among_the_deployments_decides() {
        let ours = |status, rollout| deployment("ours", status, "auth:2", rollout);
        let old = |status, rollout| deployment("old", status, "auth:1", rollout);
        check(vec![ours("PRIMARY", "IN_PROGRESS"), old("ACTIVE", "COMPLETED")], Judged::Wait);
        check(vec![ours("PRIMARY", "COMPLETED")], Judged::Done(Ending::Deployed));
        check(vec![Deployment { running: 0, ..ours("PRIMARY", "COMPLETED") }], Judged::Wait);
        check(vec![ours("PRIMARY", "FAILED")], Judged::Done(Ending::Failed { why: "ours FAILED".into() }));
        check(vec![old("PRIMARY", "IN_PROGRESS"), ours("ACTIVE", "FAILED")], Judged::Wait);
        check(
            vec![old("PRIMARY", "COMPLETED"), ours("ACTIVE", "FAILED")],
            Judged::Done(Ending::RolledBack { why: "ours FAILED".into() }),
        );
        check(
            vec![old("PRIMARY", "COMPLETED")],
            Judged::Done(Ending::RolledBack { why: "ECS put back what ran before".into() }),
        );
        check(
            vec![deployment("newer", "PRIMARY", "auth:3", "COMPLETED"), ours("ACTIVE", "IN_PROGRESS")],
            Judged::Done(Ending::Superseded { by: "auth:3".into() }),
        );
    }

    #[test]
    fn a_crash_loop_that_nobody_ends_is_a_failure() {
        let ours = Deployment { failed: 3, ..deployment("ours", "PRIMARY", "auth:2", "IN_PROGRESS") };
        let without = Seen { service: service(vec![ours.clone()], false), record: None };
        let why = "3 tasks failed in a row, and the service has no circuit breaker to end the deployment".to_owned();
        assert_eq!(judge(&rollout(), &without), Judged::Done(Ending::Failed { why }));
        let with = Seen { service: service(vec![ours], true), record: None };
        assert_eq!(judge(&rollout(), &with), Judged::Wait);
    }
}
