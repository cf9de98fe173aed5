//! What AWS says of a service: whether its deployment is complete or waits at a hook, whether its tasks run, from which image,
//! and whether the load balancer finds them healthy.

use common::aws::{Aws, Deployment, LoadBalancer, Service, Target};
use common::failure::Failure;
use common::names::{ClusterName, Digest, ServiceName};
use futures_util::future::{join_all, try_join};
use serde_json::Value;

use crate::pause::Pause;
use crate::tally::Sample;

/// What to ask AWS about a service.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) cluster: ClusterName,
    pub(crate) service: ServiceName,
    /// The image that is to run, by digest.
    pub(crate) image: Option<String>,
    /// Who sends it requests.
    pub(crate) load_balancers: Vec<LoadBalancer>,
    /// Whether a hook that its deployment waits at is to be answered: then waiting there is as good as being complete.
    pub(crate) answer_pause: bool,
}

/// What one look showed.
#[derive(Debug, Default)]
pub(crate) struct Look {
    pub(crate) samples: Vec<Sample>,
    /// The hook that the deployment waits at.
    pub(crate) pause: Option<Pause>,
}

impl State {
    /// Looks once: samples for the deployment, the tasks, the image (if one is expected), and each load balancer.
    pub(crate) async fn look(&self, aws: &Aws) -> Look {
        let service = match aws.ecs.describe_services(&self.cluster, &[&self.service]).await {
            Ok(services) => services.into_iter().next(),
            Err(failure) => return self.all(&unseen(&failure)),
        };
        let primary = service.as_ref().and_then(|service| Some((service, service.primary()?)));
        let Some((service, primary)) = primary else {
            return self.all(&Sample::Bad("there is no such service".to_owned()));
        };
        let (settled, pause) = match self.pause(primary, aws).await {
            Ok(Some(pause)) => (Sample::Good(pause.to_string()), Some(pause)),
            Ok(None) => (deployment(primary), None),
            Err(failure) => (unseen(&failure), None),
        };
        let mut samples = vec![settled, tasks(service, primary, pause.as_ref())];
        if let Some(expected) = &self.image {
            samples.push(match aws.ecs.describe_task_definition(&primary.task_definition).await {
                Ok(definition) => image(&definition, expected),
                Err(failure) => unseen(&failure),
            });
        }
        let balancers = self.load_balancers.iter();
        let balancers = balancers.map(|balancer| targets_behind(balancer, service.desired, pause.as_ref(), aws));
        samples.extend(join_all(balancers).await);
        Look { samples, pause }
    }

    /// The hook that the deployment waits at, if anybody is to answer it.
    async fn pause(&self, primary: &Deployment, aws: &Aws) -> Result<Option<Pause>, Failure> {
        if !self.answer_pause || primary.rollout != "IN_PROGRESS" {
            return Ok(None);
        }
        let going = aws.ecs.latest_service_deployments(&self.cluster, &self.service, Some("IN_PROGRESS")).await?;
        Ok(Pause::of(&going))
    }

    /// The same for all checks.
    fn all(&self, sample: &Sample) -> Look {
        let checks = 2 + usize::from(self.image.is_some()) + self.load_balancers.len();
        Look { samples: vec![sample.clone(); checks], pause: None }
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

/// Where a deployment waits, all its tasks run already, unless it waits for them to be started.
fn tasks(service: &Service, primary: &Deployment, pause: Option<&Pause>) -> Sample {
    let observed = format!("{} of {} run", primary.running, service.desired);
    let is_on_its_way = primary.rollout == "IN_PROGRESS" && !pause.is_some_and(Pause::is_scaled_up);
    match (service.desired, primary.running) {
        (0, _) => Sample::Bad("none is wanted: the desired count is 0".to_owned()),
        (desired, running) if running >= desired => Sample::Good(observed),
        _ if is_on_its_way => Sample::Unsettled(observed),
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

/// What a load balancer finds. Where two target groups take turns, one of them is empty, but for the time of a deployment.
async fn targets_behind(balancer: &LoadBalancer, desired: i32, pause: Option<&Pause>, aws: &Aws) -> Sample {
    let alternate = async {
        match &balancer.alternate_target_group {
            Some(group) => aws.elb.describe_target_health(group).await,
            None => Ok(Vec::new()),
        }
    };
    match try_join(aws.elb.describe_target_health(&balancer.target_group), alternate).await {
        Err(failure) => unseen(&failure),
        Ok((one, other)) if pause.is_some_and(Pause::moves_traffic) => {
            of_both(&targets(&one, desired), &targets(&other, desired))
        }
        Ok((one, other)) => targets(&[one, other].concat(), desired),
    }
}

/// Each version has a target group, and which one is whose is not told: where they differ, it may be the version before that
/// is not healthy, and mended by this one.
fn of_both(one: &Sample, other: &Sample) -> Sample {
    let observed = format!("{} in one target group, {} in the other", one.observed(), other.observed());
    match (one, other) {
        (Sample::Good(_), Sample::Good(_)) => Sample::Good(observed),
        (Sample::Bad(_), Sample::Bad(_)) => Sample::Bad(observed),
        _ => Sample::Unsettled(observed),
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
    use common::aws::{LifecycleHook, ServiceDeployment};
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
                tasks(&service(desired), &primary(rollout, running), None),
                expected,
                "{running} of {desired}, {rollout}"
            );
        }
    }

    #[test]
    fn a_deployment_that_waits_has_its_tasks_unless_it_waits_for_them() {
        for (stage, expected) in [
            ("PRE_SCALE_UP", Sample::Unsettled("1 of 2 run".into())),
            ("POST_SCALE_UP", Sample::Bad("1 of 2 run".into())),
        ] {
            let hook = LifecycleHook { status: "AWAITING_ACTION".into(), ..LifecycleHook::default() };
            let waiting =
                ServiceDeployment { stage: Some(stage.into()), hooks: vec![hook], ..ServiceDeployment::default() };
            let pause = Pause::of(&[waiting]);
            assert_eq!(tasks(&service(2), &primary("IN_PROGRESS", 1), pause.as_ref()), expected, "{stage}");
        }
    }

    #[test]
    fn while_each_version_has_a_target_group_only_what_is_true_of_both_is_certain() {
        let (good, bad) = (Sample::Good("2 of 2".into()), Sample::Bad("0 of 2".into()));
        let told = |one: &str, other: &str| format!("{one} in one target group, {other} in the other");
        assert_eq!(of_both(&good, &good), Sample::Good(told("2 of 2", "2 of 2")));
        assert_eq!(of_both(&bad, &bad), Sample::Bad(told("0 of 2", "0 of 2")));
        assert_eq!(of_both(&good, &bad), Sample::Unsettled(told("2 of 2", "0 of 2")));
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
