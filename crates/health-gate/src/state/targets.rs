//! What the load balancer finds of a deployment's tasks.

use std::collections::BTreeSet;

use common::aws::{Aws, LoadBalancer, Target, Task};
use futures_util::future::try_join;

use super::unseen;
use crate::tally::Sample;

/// What a load balancer finds of the tasks, in whichever of two target groups that take turns they are.
pub(super) async fn look(balancer: &LoadBalancer, desired: i32, running: &[Task], aws: &Aws) -> Sample {
    let alternate = async {
        match &balancer.alternate_target_group {
            Some(group) => aws.elb.describe_target_health(group).await,
            None => Ok(Vec::new()),
        }
    };
    match try_join(aws.elb.describe_target_health(&balancer.target_group), alternate).await {
        Err(failure) => unseen(&failure),
        Ok((one, other)) => judge(&[one, other].concat(), desired, running),
    }
}

/// Only the deployment's own targets count: those of the version before may be ill, and leave. Where tasks have no address of
/// their own (network modes `bridge` and `host`), a target is an instance, and all of them count but those that leave.
fn judge(targets: &[Target], desired: i32, running: &[Task]) -> Sample {
    let up: Vec<&Task> = running.iter().filter(|task| task.last_status == "RUNNING").collect();
    let containers = up.iter().flat_map(|task| &task.containers);
    let addresses: BTreeSet<&String> = containers.flat_map(|container| &container.addresses).collect();
    let is_own = |target: &&Target| match addresses.is_empty() {
        true => target.state != "draining",
        false => addresses.contains(&target.id),
    };
    let own: Vec<&Target> = targets.iter().filter(is_own).collect();
    let count = |state: &str| own.iter().filter(|target| target.state == state).count();
    let (healthy, wanted) = (count("healthy"), usize::try_from(desired).unwrap_or_default());
    let observed = format!("{healthy} of {wanted} healthy");
    let unhealthy: Vec<&&Target> = own.iter().filter(|target| target.state.starts_with("unhealthy")).collect();
    match unhealthy.first() {
        _ if wanted == 0 => Sample::Bad("none is wanted: the desired count is 0".to_owned()),
        Some(first) => {
            let reason = first.reason.as_deref().unwrap_or("no reason given");
            Sample::Bad(format!("{observed}, {} unhealthy ({reason})", unhealthy.len()))
        }
        None if up.is_empty() => Sample::Unsettled(format!("{observed}: no task of the deployment runs yet")),
        None if healthy >= wanted => Sample::Good(observed),
        None if up.len() < wanted => Sample::Unsettled(format!("{observed}, {} tasks run", up.len())),
        None if count("initial") > 0 => {
            Sample::Unsettled(format!("{observed}, {} being checked for the first time", count("initial")))
        }
        None => Sample::Bad(observed),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::task;
    use super::*;

    #[test]
    fn the_load_balancer_has_to_find_as_many_targets_healthy_as_tasks_are_wanted() {
        let found = |states: &[&str]| {
            let reason = "Target.ResponseCodeMismatch: Health checks failed with these codes: [503]";
            let target = |state: &&str| Target {
                id: "10.0.0.1".into(),
                port: Some(3001),
                state: (*state).into(),
                reason: state.starts_with("unhealthy").then(|| reason.to_owned()),
            };
            let running = [task("UNKNOWN", "10.0.0.1"), task("UNKNOWN", "10.0.0.1")];
            judge(&states.iter().map(target).collect::<Vec<_>>(), 2, &running)
        };
        assert_eq!(found(&["healthy", "healthy", "draining"]), Sample::Good("2 of 2 healthy".into()));
        assert_eq!(
            found(&["healthy", "initial"]),
            Sample::Unsettled("1 of 2 healthy, 1 being checked for the first time".into())
        );
        assert_eq!(
            found(&["healthy", "unhealthy"]),
            Sample::Bad(
                "1 of 2 healthy, 1 unhealthy (Target.ResponseCodeMismatch: Health checks failed with these codes: [503])".into()
            )
        );
        assert_eq!(found(&["healthy"]), Sample::Bad("1 of 2 healthy".into()));
        assert_eq!(found(&[]), Sample::Bad("0 of 2 healthy".into()));
    }

    #[test]
    fn the_targets_of_the_version_before_do_not_count() {
        let target =
            |id: &str, state: &str| Target { id: id.into(), port: Some(3001), state: state.into(), reason: None };
        let both = [target("10.0.0.1", "healthy"), target("10.0.0.9", "unhealthy")];
        assert_eq!(judge(&both, 1, &[task("UNKNOWN", "10.0.0.1")]), Sample::Good("1 of 1 healthy".into()));
        let ill = "0 of 1 healthy, 1 unhealthy (no reason given)";
        assert_eq!(judge(&both, 1, &[task("UNKNOWN", "10.0.0.9")]), Sample::Bad(ill.into()));
        let none = "0 of 1 healthy: no task of the deployment runs yet";
        assert_eq!(judge(&[target("10.0.0.9", "draining")], 1, &[]), Sample::Unsettled(none.into()));
    }
}
