//! What AWS says of a service: whether its deployment is ours and complete or waits at a hook, whether its tasks run and stay
//! up, from which task definition and image, and whether the load balancer finds them healthy.

mod targets;

use common::aws::{Aws, Deployment, LoadBalancer, Service, Task};
use common::failure::Failure;
use common::names::{ClusterName, Digest, ServiceName};
use common::stopped::{causes, is_own_failure};
use futures_util::future::{join_all, join3};
use serde_json::Value;

use crate::check::Check;
use crate::pause::Pause;
use crate::tally::{Policy, Sample};

/// What to ask AWS about a service.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) cluster: ClusterName,
    pub(crate) service: ServiceName,
    /// The deployment that has to be the primary one, if it is known.
    pub(crate) deployment: Option<String>,
    /// The task definition that is to run, `family:revision`, if it is known.
    pub(crate) task_definition: Option<String>,
    /// The image that is to run, by digest.
    pub(crate) image: Option<String>,
    /// Who sends it requests.
    pub(crate) load_balancers: Vec<LoadBalancer>,
    /// Whether a hook that its deployment waits at is to be answered: then waiting there is as good as being complete.
    pub(crate) answer_pause: bool,
    /// How many tasks that end by themselves are a crash loop.
    pub(crate) crashes: u32,
}

/// What one look showed.
#[derive(Debug, Default)]
pub(crate) struct Look {
    /// One for each of [`State::checks`].
    pub(crate) samples: Vec<Sample>,
    /// The hook that the deployment waits at.
    pub(crate) pause: Option<Pause>,
}

impl State {
    /// What has to hold, in the order of a look's samples.
    pub(crate) fn checks(&self, policy: Policy) -> Vec<Check> {
        let Self { deployment, task_definition, image, load_balancers, answer_pause, .. } = self;
        let arrived = if *answer_pause { "completed, or waits at a hook" } else { "completed" };
        let arrived = deployment.as_ref().map_or_else(|| arrived.to_owned(), |id| format!("{id}, {arrived}"));
        let identity =
            |subject: &str, expected: &str| Check { is_identity: true, ..Check::new(subject, expected, policy) };
        let mut checks = vec![
            Check { is_identity: deployment.is_some(), ..Check::new("deployment", arrived, policy) },
            Check::new("tasks", "all run, none unhealthy", policy),
            Check::new("stopped tasks", "none by its own doing", policy),
        ];
        checks.extend(task_definition.iter().map(|revision| identity("task definition", revision)));
        checks.extend(image.iter().map(|image| identity("image", &short_image(image))));
        checks.extend(load_balancers.iter().map(|balancer| {
            Check::new(format!("targets of {}", short(&balancer.target_group)), "all healthy", policy)
        }));
        checks
    }

    /// Looks once.
    pub(crate) async fn look(&self, aws: &Aws) -> Look {
        let service = match aws.ecs.describe_services(&self.cluster, &[&self.service]).await {
            Ok(services) => services.into_iter().next(),
            Err(failure) => return self.all(&unseen(&failure)),
        };
        let primary = service.as_ref().and_then(|service| Some((service, service.primary()?)));
        let Some((service, primary)) = primary else {
            return self.all(&Sample::Bad("there is no such service".to_owned()));
        };
        let name = self.service.as_str();
        let (pause, running, stopped) = join3(
            self.pause(primary, aws),
            aws.ecs.running_tasks(&self.cluster, name),
            aws.ecs.stopped_tasks(&self.cluster, name),
        )
        .await;
        let (settled, pause) = match pause {
            Ok(Some(pause)) => (Sample::Good(pause.to_string()), Some(pause)),
            Ok(None) => (deployment(primary), None),
            Err(failure) => (unseen(&failure), None),
        };
        let settled = match &self.deployment {
            Some(expected) if *expected != primary.id => {
                Sample::Certain(format!("{} is the primary one: another deployment took its place", primary.id))
            }
            _ => settled,
        };
        let is_ours = |task: &&Task| task.is_of(&primary.id, &primary.task_definition, primary.created_at);
        let ours = |tasks: &Result<Vec<Task>, Failure>| match tasks {
            Ok(tasks) => Ok(tasks.iter().filter(is_ours).cloned().collect()),
            Err(failure) => Err(unseen(failure)),
        };
        let (running, stopped): (Result<Vec<Task>, _>, Result<Vec<Task>, _>) = (ours(&running), ours(&stopped));
        let mut samples = vec![
            settled,
            running.as_ref().map_or_else(Clone::clone, |running| tasks(service, primary, running, pause.as_ref())),
            stopped.map_or_else(|unseen| unseen, |stopped| crashes(&stopped, self.crashes)),
        ];
        if let Some(expected) = &self.task_definition {
            samples.push(task_definition(&primary.task_definition, expected));
        }
        if let Some(expected) = &self.image {
            samples.push(match aws.ecs.describe_task_definition(&primary.task_definition).await {
                Ok(definition) => image(&definition, expected),
                Err(failure) => unseen(&failure),
            });
        }
        let balancers = self.load_balancers.iter();
        let balancers = balancers.map(|balancer| async {
            match &running {
                Ok(running) => targets::look(balancer, primary.desired, running, aws).await,
                Err(unseen) => unseen.clone(),
            }
        });
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
        let checks = self.checks(Policy::LATEST).len();
        Look { samples: vec![sample.clone(); checks], pause: None }
    }
}

/// The target group's name within its ARN: `arn:aws:elasticloadbalancing:…:targetgroup/<name>/<id>`.
fn short(arn: &str) -> &str {
    arn.split('/').nth(1).unwrap_or(arn)
}

pub(crate) fn unseen(failure: &Failure) -> Sample {
    Sample::Unseen(format!("{:#}", failure.error))
}

fn deployment(primary: &Deployment) -> Sample {
    // ECS's sentence goes on in ours.
    let reason = primary.reason.as_deref().map_or("ECS gave no reason", |reason| reason.trim_end_matches('.'));
    match primary.rollout.as_str() {
        "COMPLETED" => Sample::Good("completed".to_owned()),
        "FAILED" => Sample::Certain(format!("failed: {reason}")),
        "IN_PROGRESS" => {
            Sample::Unsettled(format!("in progress: {} of {} tasks run", primary.running, primary.desired))
        }
        // No rollout state: another controller than ECS deploys. A word that is newer than this program decides nothing.
        "" => Sample::Unsettled("ECS shows no rollout state".to_owned()),
        other => Sample::Unsettled(other.to_owned()),
    }
}

/// Where a deployment waits, all its tasks run already, unless it waits for them to be started. A task without a health check
/// of its own is `UNKNOWN` for ever, which says nothing.
fn tasks(service: &Service, primary: &Deployment, running: &[Task], pause: Option<&Pause>) -> Sample {
    let observed = format!("{} of {} run", primary.running, service.desired);
    let unhealthy: Vec<&Task> = running.iter().filter(|task| task.health == "UNHEALTHY").collect();
    let is_on_its_way = primary.rollout == "IN_PROGRESS" && !pause.is_some_and(Pause::is_scaled_up);
    match (service.desired, primary.running, unhealthy.first()) {
        (0, _, _) => Sample::Bad("none is wanted: the desired count is 0".to_owned()),
        (_, _, Some(first)) => {
            Sample::Bad(format!("{observed}, {} unhealthy by its health check (task {})", unhealthy.len(), first.id()))
        }
        (desired, running, None) if running >= desired => Sample::Good(observed),
        _ if is_on_its_way => Sample::Unsettled(observed),
        _ => Sample::Bad(observed),
    }
}

/// The deployment's tasks that ended by their own doing: so many are a crash loop, fewer are worth a warning.
fn crashes(stopped: &[Task], limit: u32) -> Sample {
    let failed: Vec<&Task> = stopped.iter().filter(|task| is_own_failure(task)).collect();
    let Some((cause, _)) = causes(&failed).into_iter().next() else { return Sample::Good("none".to_owned()) };
    let observed = format!("{} stopped: {cause}", failed.len());
    match u32::try_from(failed.len()) {
        Ok(count) if count < limit => Sample::Warned(observed),
        _ => Sample::Certain(observed),
    }
}

/// `arn:aws:ecs:…:task-definition/<family>:<revision>` against `<family>:<revision>`, or the ARN.
fn task_definition(runs: &str, expected: &str) -> Sample {
    let short = |arn: &str| arn.rsplit('/').next().unwrap_or(arn).to_owned();
    let runs = short(runs);
    if runs == short(expected) { Sample::Good(runs) } else { Sample::Bad(runs) }
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

#[cfg(test)]
mod tests {
    use common::aws::{Container, LifecycleHook, ServiceDeployment};
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
            ("FAILED", Sample::Certain("failed: tasks failed to start".into())),
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
                tasks(&service(desired), &primary(rollout, running), &[], None),
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
            assert_eq!(tasks(&service(2), &primary("IN_PROGRESS", 1), &[], pause.as_ref()), expected, "{stage}");
        }
    }

    pub(super) fn task(health: &str, address: &str) -> Task {
        Task {
            arn: "arn:aws:ecs:eu-west-1:111122223333:task/shop/0a1b".into(),
            started_by: Some("ecs-svc/1".into()),
            last_status: "RUNNING".into(),
            desired_status: "RUNNING".into(),
            stop_code: None,
            stopped_reason: None,
            health: health.into(),
            task_definition: "auth:1".into(),
            containers: vec![Container {
                name: "app".into(),
                exit_code: None,
                reason: None,
                addresses: vec![address.into()],
                image_digest: None,
            }],
            created_at: None,
            started_at: None,
            stopped_at: None,
        }
    }

    #[test]
    fn a_task_that_its_own_health_check_fails_is_not_running_well() {
        let found = |health: &str| tasks(&service(2), &primary("COMPLETED", 2), &[task(health, "10.0.0.1")], None);
        assert_eq!(found("HEALTHY"), Sample::Good("2 of 2 run".into()));
        assert_eq!(found("UNKNOWN"), Sample::Good("2 of 2 run".into()));
        let unhealthy = "2 of 2 run, 1 unhealthy by its health check (task 0a1b)";
        assert_eq!(found("UNHEALTHY"), Sample::Bad(unhealthy.into()));
    }

    #[test]
    fn a_task_that_crashes_is_worth_a_warning_and_a_crash_loop_is_certain() {
        let ended = |code: &str, exit| {
            let mut task = Task { stop_code: Some(code.into()), ..task("UNKNOWN", "10.0.0.1") };
            task.containers[0].exit_code = Some(exit);
            task
        };
        let crashed = || ended("EssentialContainerExited", 1);
        let told = |count: usize| format!("{count} stopped: container `app`: exit code 1");
        assert_eq!(crashes(&[], 3), Sample::Good("none".into()));
        assert_eq!(crashes(&[ended("SpotInterruption", 143)], 3), Sample::Good("none".into()));
        assert_eq!(crashes(&[crashed(), crashed()], 3), Sample::Warned(told(2)));
        assert_eq!(crashes(&[crashed(), crashed(), crashed()], 3), Sample::Certain(told(3)));
    }

    #[test]
    fn a_task_definition_is_the_same_by_its_arn_and_by_its_name() {
        let arn = "arn:aws:ecs:eu-west-1:111122223333:task-definition/auth:7";
        assert_eq!(task_definition(arn, "auth:7"), Sample::Good("auth:7".into()));
        assert_eq!(task_definition(arn, arn), Sample::Good("auth:7".into()));
        assert_eq!(task_definition(arn, "auth:8"), Sample::Bad("auth:7".into()));
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
}
