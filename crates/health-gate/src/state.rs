//! What AWS says of a service: whether its deployment is complete, whether its tasks run, from which image, and whether the
//! load balancer finds them healthy.

use common::aws::{Aws, Deployment, Service, Target};
use common::failure::Failure;
use common::names::{ClusterName, Digest, ServiceName};
use futures_util::future::join_all;
use serde_json::Value;

use crate::tally::Sample;

/// What to ask AWS about a service.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) cluster: ClusterName,
    pub(crate) service: ServiceName,
    /// The image that is to run, by digest.
    pub(crate) image: Option<String>,
    /// The ARNs of its target groups.
    pub(crate) target_groups: Vec<String>,
}

impl State {
    /// Looks once: samples for the deployment, the tasks, the image (if one is expected), and each target group.
    pub(crate) async fn look(&self, aws: &Aws) -> Vec<Sample> {
        let service = match aws.ecs.describe_services(&self.cluster, &[&self.service]).await {
            Ok(services) => services.into_iter().next(),
            Err(failure) => {
                return vec![unseen(&failure); 2 + usize::from(self.image.is_some()) + self.target_groups.len()];
            }
        };
        let primary = service.as_ref().and_then(|service| Some((service, service.primary()?)));
        let Some((service, primary)) = primary else {
            let gone = Sample::Bad("there is no such service".to_owned());
            return vec![gone; 2 + usize::from(self.image.is_some()) + self.target_groups.len()];
        };
        let mut samples = vec![deployment(primary), tasks(service, primary)];
        if let Some(expected) = &self.image {
            samples.push(match aws.ecs.describe_task_definition(&primary.task_definition).await {
                Ok(definition) => image(&definition, expected),
                Err(failure) => unseen(&failure),
            });
        }
        let groups = self.target_groups.iter().map(async |group| match aws.elb.describe_target_health(group).await {
            Ok(found) => targets(&found, service.desired),
            Err(failure) => unseen(&failure),
        });
        samples.extend(join_all(groups).await);
        samples
    }
}

fn unseen(failure: &Failure) -> Sample {
    Sample::Unseen(format!("{:#}", failure.error))
}

fn deployment(primary: &Deployment) -> Sample {
    let reason = || primary.reason.clone().unwrap_or_else(|| "ECS gave no reason".to_owned());
    match primary.rollout.as_str() {
        "COMPLETED" => Sample::Good("completed".to_owned()),
        "FAILED" => Sample::Bad(format!("failed: {}", reason())),
        "IN_PROGRESS" => {
            Sample::Unsettled(format!("in progress: {} of {} tasks run", primary.running, primary.desired))
        }
        // No rollout state: another controller than ECS deploys. A word that is newer than this program decides nothing.
        "" => Sample::Unsettled("ECS shows no rollout state".to_owned()),
        other => Sample::Unsettled(other.to_owned()),
    }
}

fn tasks(service: &Service, primary: &Deployment) -> Sample {
    let observed = format!("{} of {} run", primary.running, service.desired);
    match (service.desired, primary.running) {
        (0, _) => Sample::Bad("none is wanted: the desired count is 0".to_owned()),
        (desired, running) if running >= desired => Sample::Good(observed),
        _ if primary.rollout == "IN_PROGRESS" => Sample::Unsettled(observed),
        _ => Sample::Bad(observed),
    }
}

/// Whether one of the containers runs the expected image.
fn image(definition: &Value, expected: &str) -> Sample {
    let containers = definition["containerDefinitions"].as_array().into_iter().flatten();
    let images: Vec<&str> = containers.filter_map(|container| container["image"].as_str()).collect();
    match images.contains(&expected) {
        true => Sample::Good(short_image(expected)),
        false => Sample::Bad(images.into_iter().map(short_image).collect::<Vec<_>>().join(", ")),
    }
}

/// An image as people tell it from others: without its registry, and with the beginning of its digest.
pub(crate) fn short_image(image: &str) -> String {
    let name = image.split_once('/').filter(|(host, _)| host.contains(['.', ':'])).map_or(image, |(_, name)| name);
    match name.split_once('@').map(|(name, digest)| (name, digest.parse::<Digest>())) {
        Some((name, Ok(digest))) => format!("{name}@{}", digest.short()),
        _ => name.to_owned(),
    }
}

/// Targets that leave (`draining`) are the version before's.
fn targets(targets: &[Target], desired: i32) -> Sample {
    let count = |state: &str| targets.iter().filter(|target| target.state == state).count();
    let (healthy, wanted) = (count("healthy"), usize::try_from(desired).unwrap_or_default());
    let observed = format!("{healthy} of {wanted} healthy");
    let unhealthy: Vec<&Target> = targets.iter().filter(|target| target.state.starts_with("unhealthy")).collect();
    match unhealthy.first() {
        _ if wanted == 0 => Sample::Bad("none is wanted: the desired count is 0".to_owned()),
        Some(first) => {
            let reason = first.reason.as_deref().unwrap_or("no reason given");
            Sample::Bad(format!("{observed}, {} unhealthy ({reason})", unhealthy.len()))
        }
        None if healthy >= wanted => Sample::Good(observed),
        None if count("initial") > 0 => {
            Sample::Unsettled(format!("{observed}, {} being checked for the first time", count("initial")))
        }
        None => Sample::Bad(observed),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn primary(rollout: &str, running: i32) -> Deployment {
        Deployment {
            id: "ecs-svc/1".into(),
            status: "PRIMARY".into(),
            task_definition: "auth:1".into(),
            desired: 2,
            running,
            pending: 0,
            failed: 0,
            rollout: rollout.into(),
            reason: Some("tasks failed to start.".into()),
            created_at: None,
        }
    }

    fn service(desired: i32) -> Service {
        Service {
            name: "auth".into(),
            status: "ACTIVE".into(),
            task_definition: "auth:1".into(),
            desired,
            controller: "ECS".into(),
            ..Service::default()
        }
    }

    #[test]
    fn a_deployment_is_good_once_it_is_complete() {
        for (rollout, expected) in [
            ("COMPLETED", Sample::Good("completed".into())),
            ("FAILED", Sample::Bad("failed: tasks failed to start.".into())),
            ("IN_PROGRESS", Sample::Unsettled("in progress: 1 of 2 tasks run".into())),
            ("", Sample::Unsettled("ECS shows no rollout state".into())),
            ("A_NEWER_WORD", Sample::Unsettled("A_NEWER_WORD".into())),
        ] {
            assert_eq!(deployment(&primary(rollout, 1)), expected, "{rollout}");
        }
    }

    #[test]
    fn as_many_tasks_as_are_wanted_have_to_run() {
        for (desired, rollout, running, expected) in [
            (2, "COMPLETED", 2, Sample::Good("2 of 2 run".into())),
            (2, "COMPLETED", 1, Sample::Bad("1 of 2 run".into())),
            (2, "IN_PROGRESS", 1, Sample::Unsettled("1 of 2 run".into())),
            (0, "COMPLETED", 0, Sample::Bad("none is wanted: the desired count is 0".into())),
        ] {
            assert_eq!(
                tasks(&service(desired), &primary(rollout, running)),
                expected,
                "{running} of {desired}, {rollout}"
            );
        }
    }

    #[test]
    fn the_image_is_the_expected_one_to_the_digest() {
        let digest = |digit: &str| digit.repeat(64);
        let reference =
            |digit| format!("111122223333.dkr.ecr.eu-west-1.amazonaws.com/shop/auth@sha256:{}", digest(digit));
        let definition = json!({ "containerDefinitions": [{ "image": "nginx:1" }, { "image": reference("1") }] });
        assert_eq!(image(&definition, &reference("1")), Sample::Good("shop/auth@sha256:111111111111".into()));
        assert_eq!(image(&definition, &reference("2")), Sample::Bad("nginx:1, shop/auth@sha256:111111111111".into()));
    }

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
            targets(&states.iter().map(target).collect::<Vec<_>>(), 2)
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
}
