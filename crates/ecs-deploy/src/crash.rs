//! When it is certain that a deployment can never succeed: pure, from the tasks that it lost. ECS without a circuit breaker
//! would try for ever, and its breaker misses what crashes after it ran for a while (aws/containers-roadmap#1206).

use common::aws::{Deployment, Service, Task};
use common::stopped::{cause, causes, is_own_failure};

/// Reasons that no further attempt will change: what is not there, may not be read, or cannot be executed
/// (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-error-codes.html>).
const PERMANENT: [&str; 14] = [
    "manifest unknown",
    "not found",
    "does not exist",
    "pull access denied",
    "no basic auth credentials",
    "AccessDenied",
    "not authorized",
    "ResourceNotFoundException",
    "invalid ssm parameters",
    "exec format error",
    "executable file not found",
    "no such file or directory",
    "permission denied",
    "image Manifest does not contain descriptor matching platform",
];

/// Why a deployment can never succeed; `None` while that is not certain.
///
/// One task that failed to start for a permanent reason is enough. Otherwise as many have to fail as ECS's own circuit breaker
/// allows by default; where that breaker watches, it gets the chance of one more.
pub(crate) fn certain(service: &Service, ours: &Deployment, lost: &[&Task]) -> Option<String> {
    let lost: Vec<&Task> = lost.iter().copied().filter(|task| is_own_failure(task)).collect();
    let permanent = |task: &&&Task| {
        task.stop_code.as_deref() == Some("TaskFailedToStart")
            && PERMANENT.iter().any(|reason| cause(task).contains(reason))
    };
    if let Some(task) = lost.iter().find(permanent) {
        return Some(format!("a task cannot start, and no further attempt will change that: {}", cause(task)));
    }
    let is_watched = service.circuit_breaker.is_some_and(|breaker| breaker.enabled);
    let threshold = usize::try_from((ours.desired / 2).clamp(3, 200)).unwrap_or(3) + usize::from(is_watched);
    let failed = lost.len().max(usize::try_from(ours.failed).unwrap_or_default());
    let most = most_frequent(&lost).map(|cause| format!(": {cause}")).unwrap_or_default();
    (failed >= threshold).then(|| match is_watched {
        true => format!("{failed} of its tasks failed, and the circuit breaker has not ended it{most}"),
        false => format!("{failed} of its tasks failed, and the service has no circuit breaker to end it{most}"),
    })
}

fn most_frequent(tasks: &[&Task]) -> Option<String> {
    causes(tasks).into_iter().next().map(|(cause, _)| cause)
}

#[cfg(test)]
mod tests {
    use common::aws::{CircuitBreaker, Container};

    use super::*;

    fn task(stop_code: &str, reason: &str, exit_code: Option<i32>) -> Task {
        let container =
            Container { name: "app".into(), exit_code, reason: None, addresses: Vec::new(), image_digest: None };
        Task {
            arn: "task".into(),
            started_by: None,
            last_status: "STOPPED".into(),
            desired_status: "STOPPED".into(),
            stop_code: Some(stop_code.into()),
            stopped_reason: Some(reason.into()),
            health: "UNKNOWN".into(),
            task_definition: "auth:2".into(),
            containers: vec![container],
            created_at: None,
            started_at: None,
            stopped_at: None,
        }
    }

    fn check(breaker: bool, lost: &[Task], expected: Option<&str>) {
        let circuit_breaker = breaker.then_some(CircuitBreaker { enabled: true, rollback: true });
        let service = Service { circuit_breaker, ..Service::default() };
        let ours = Deployment {
            id: "ours".into(),
            status: "PRIMARY".into(),
            task_definition: "auth:2".into(),
            desired: 2,
            running: 0,
            pending: 0,
            failed: 0,
            rollout: "IN_PROGRESS".into(),
            reason: None,
            created_at: None,
        };
        let lost: Vec<&Task> = lost.iter().collect();
        assert_eq!(certain(&service, &ours, &lost).as_deref(), expected);
    }

    #[test]
    fn a_crash_loop_is_certain_after_as_many_failures_as_ecs_allows() {
        let exited = || task("EssentialContainerExited", "Essential container in task exited", Some(1));
        check(false, &[exited(), exited()], None);
        let why =
            "3 of its tasks failed, and the service has no circuit breaker to end it: container `app`: exit code 1";
        check(false, &[exited(), exited(), exited()], Some(why));
        check(true, &[exited(), exited(), exited()], None);
    }

    #[test]
    fn what_no_attempt_will_change_is_certain_at_once() {
        let pull = task("TaskFailedToStart", "CannotPullContainerError: manifest unknown", None);
        let why =
            "a task cannot start, and no further attempt will change that: CannotPullContainerError: manifest unknown";
        check(true, &[pull], Some(why));
        check(true, &[task("TaskFailedToStart", "CannotPullContainerError: i/o timeout", None)], None);
    }

    #[test]
    fn a_lost_host_and_a_scaled_down_task_say_nothing_about_the_version() {
        let others = ["SpotInterruption", "InfrastructureHealth", "UserInitiated", "ServiceSchedulerInitiated"];
        check(false, &others.map(|code| task(code, "Scaling activity initiated by (deployment x)", Some(143))), None);
    }
}
