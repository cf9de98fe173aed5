//! How a task lives: PROVISIONING, PENDING while its secrets and images are fetched, RUNNING, and one of many ends.
//!
//! <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-lifecycle-explanation.html>

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::scheduler;
use super::tasks::{Container, Health, Status, Stop, Task};
use crate::behaviour::Behaviour;
use crate::state::State;
use crate::{ecr, logs, secretsmanager, ssm};

/// Something that happens to a task.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// The network interface is attached; secrets are fetched, and the pull begins.
    Provisioned,
    /// The images are there, or it is known that they never will be.
    Pulled,
    Started,
    /// A container writes a line to its log.
    Says(usize, String),
    /// Health checks have come to a verdict.
    Checked(Health),
    /// Health checks have failed so often that a service replaces the task.
    FailedHealthChecks,
    /// A container ends, for a reason of ECS's or for none.
    Ends(usize, i64, Option<&'static str>),
    Stopped,
    /// ECS describes a stopped task for an hour or more, not for ever.
    Forgotten,
}

/// A container that ends by itself sooner than this never passed a health check, however brisk the world is.
const PASSES_CHECKS: Duration = Duration::from_secs(30);

const REMEMBERED: Duration = Duration::from_secs(60 * 60);

/// Lets the next thing happen to a task, and its service's scheduler look at what has become of it.
pub(super) fn step(state: &mut State, sequence: u64) {
    let Some(task) = state.ecs.tasks.get_mut(&sequence) else { return };
    let Some((_, step)) = task.timeline.pop_front() else { return };
    let service = task.service.clone();
    match step {
        Step::Provisioned => provisioned(state, sequence),
        Step::Pulled => pulled(state, sequence),
        Step::Started => started(state, sequence),
        Step::Says(container, line) => say(state, sequence, container, &line),
        Step::Checked(health) => checked(state, sequence, health),
        Step::FailedHealthChecks => failed_health_checks(state, sequence),
        Step::Ends(container, code, reason) => ends(state, sequence, container, code, reason),
        Step::Stopped => stopped(state, sequence),
        Step::Forgotten => drop(state.ecs.tasks.remove(&sequence)),
    }
    if let Some(service) = service {
        scheduler::reconcile(state, &service);
    }
}

/// Asks a task to stop, as StopTask and schedulers do: its connections drain, its containers get SIGTERM.
pub(super) fn ask_to_stop(state: &mut State, sequence: u64, stop: Stop) {
    let (now, timing) = (state.now, state.timing);
    let Some(task) = state.ecs.tasks.get_mut(&sequence).filter(|task| !task.stopping) else { return };
    if task.status == Status::Running {
        begin_to_stop(task, stop, Status::Deactivating, now, timing.drain);
    } else {
        begin_to_stop(task, stop, Status::Deprovisioning, now, timing.deprovision);
    }
}

/// What a container of this image does: its label says so, or it does what most do.
pub(super) fn behaviour(labels: &BTreeMap<String, String>, in_service: bool) -> Behaviour {
    match in_service {
        true => labelled(labels, "world.serves", Behaviour::Serves),
        false => labelled(
            labels,
            "world.runs",
            Behaviour::Exits { code: 0, after: Duration::from_secs(1), says: Vec::new() },
        ),
    }
}

/// What a job of this image does with a command: `world.runs.status` is about those that end with the word `status`.
fn commanded(labels: &BTreeMap<String, String>, definition: &Value) -> Behaviour {
    let word = definition["command"].as_array().and_then(|words| words.last()?.as_str());
    let usual = behaviour(labels, false);
    word.map_or(usual.clone(), |word| labelled(labels, &format!("world.runs.{word}"), usual))
}

fn labelled(labels: &BTreeMap<String, String>, label: &str, usual: Behaviour) -> Behaviour {
    match labels.get(label).map(|text| text.parse()) {
        None => usual,
        Some(Ok(behaviour)) => behaviour,
        // A label that nobody can follow must not pass for one that serves.
        Some(Err(mistake)) => {
            Behaviour::Exits { code: 64, after: Duration::ZERO, says: vec![format!("{label}: {mistake}")] }
        }
    }
}

fn provisioned(state: &mut State, sequence: u64) {
    let missing = missing_secret(state, sequence);
    let (now, timing) = (state.now, state.timing);
    let Some(task) = state.ecs.tasks.get_mut(&sequence) else { return };
    task.status = Status::Pending;
    match missing {
        Some(reason) => fails_to_start(state, sequence, None, reason),
        None => {
            task.pull_started_at = Some(now);
            task.timeline.push_back((now + timing.pull, Step::Pulled));
        }
    }
}

fn pulled(state: &mut State, sequence: u64) {
    let Some(task) = state.ecs.tasks.get(&sequence) else { return };
    let (in_service, platform) = (task.service.is_some(), platform(state, task));
    let references: Vec<String> = task.containers.iter().map(|container| container.image.clone()).collect();
    // Beside a job that says how it runs, a container that says nothing is a sidecar: it runs as long as the job.
    let is_job =
        |reference: &String| ecr::image(state, reference).is_some_and(|image| image.labels.contains_key("world.runs"));
    let among_jobs = !in_service && references.iter().any(is_job);
    for (index, reference) in references.iter().enumerate() {
        let image = ecr::image(state, reference);
        let problem = match &image {
            None => Some(format!("1 time(s): failed to resolve ref {reference}: {reference}: not found")),
            Some(image) if behaviour(&image.labels, in_service) == Behaviour::CannotBePulled => {
                Some(format!("5 time(s): failed to resolve ref {reference}: failed to do request: i/o timeout"))
            }
            // An image built on another kind of machine, for that kind alone.
            Some(image) if !image.architectures.iter().any(|architecture| architecture == platform) => Some(format!(
                "7 time(s): image Manifest does not contain descriptor matching platform 'linux/{platform}'"
            )),
            Some(_) => None,
        };
        if let Some(problem) = problem {
            let reason = format!("CannotPullContainerError: pull image manifest has been retried {problem}");
            return fails_to_start(state, sequence, Some(index), reason);
        }
        let container = state.ecs.tasks.get_mut(&sequence).and_then(|task| task.containers.get_mut(index));
        if let Some((container, image)) = container.zip(image) {
            container.behaviour = Some(if among_jobs && !image.labels.contains_key("world.runs") {
                Behaviour::Serves
            } else if in_service {
                behaviour(&image.labels, in_service)
            } else {
                commanded(&image.labels, &container.definition)
            });
            container.digest = Some(image.digest).filter(|digest| !digest.is_empty());
        }
    }
    let (now, timing) = (state.now, state.timing);
    if let Some(task) = state.ecs.tasks.get_mut(&sequence) {
        task.pull_stopped_at = Some(now);
        task.timeline.push_back((now + timing.start, Step::Started));
    }
}

fn started(state: &mut State, sequence: u64) {
    let Some(task) = state.ecs.tasks.get(&sequence) else { return };
    let cannot = |container: &Container| container.behaviour == Some(Behaviour::CannotBeExecuted);
    if let Some(container) = task.containers.iter().position(cannot) {
        return cannot_start(state, sequence, container);
    }
    let (plan, now) = (plan(state, task), state.now);
    if let Some(task) = state.ecs.tasks.get_mut(&sequence) {
        task.status = Status::Running;
        task.started_at = Some(now);
        task.timeline.extend(plan);
    }
    scheduler::registered(state, sequence);
}

/// What the runtime says is the container's reason alone: the task's says no more than that it failed.
fn cannot_start(state: &mut State, sequence: u64, container: usize) {
    const REASON: &str = "CannotStartContainerError: failed to create shim task: OCI runtime create failed: runc create \
                          failed: unable to start container process: exec: \"/app\": stat /app: no such file or directory: \
                          unknown";
    fails_to_start(state, sequence, None, "Task failed to start".to_owned());
    let task = state.ecs.tasks.get_mut(&sequence);
    if let Some(container) = task.and_then(|task| task.containers.get_mut(container)) {
        container.reason = Some(REASON.to_owned());
    }
}

/// Everything that a task will do by itself from the moment it runs, in the order of time.
fn plan(state: &State, task: &Task) -> Vec<(Timestamp, Step)> {
    let (now, timing) = (state.now, state.timing);
    let mut plan: Vec<(Timestamp, Step)> = Vec::new();
    let (mut passes, mut fails) = (true, false);
    for (index, container) in task.containers.iter().enumerate() {
        if task.service.is_some() && container.essential {
            plan.push((now, Step::Says(index, listening(state, container))));
        }
        let mut lives = |after: Duration| passes &= !container.essential || after >= PASSES_CHECKS.max(timing.healthy);
        match &container.behaviour {
            Some(Behaviour::Exits { code, after, says }) => {
                lives(*after);
                let lines = u32::try_from(says.len()).unwrap_or(u32::MAX).max(1);
                let lines = says.iter().zip(0..).map(|(line, place)| (now + *after * place / lines, line.clone()));
                plan.extend(lines.map(|(moment, line)| (moment, Step::Says(index, line))));
                plan.push((now + *after, Step::Ends(index, i64::from(*code), None)));
            }
            Some(Behaviour::OutOfMemory { after }) => {
                lives(*after);
                let reason = "OutOfMemoryError: Container killed due to memory usage";
                plan.push((now + *after, Step::Ends(index, 137, Some(reason))));
            }
            Some(Behaviour::Unhealthy) => fails |= container.essential,
            _ => {}
        }
    }
    if fails {
        plan.push((now + timing.healthy, Step::Checked(Health::Unhealthy)));
        plan.push((now + timing.healthy + timing.settle, Step::FailedHealthChecks));
    } else if passes {
        plan.push((now + timing.healthy, Step::Checked(Health::Healthy)));
    }
    plan.sort_by_key(|(moment, _)| *moment);
    plan
}

fn checked(state: &mut State, sequence: u64, health: Health) {
    if let Some(task) = state.ecs.tasks.get_mut(&sequence) {
        task.health = health;
    }
    match health {
        Health::Healthy => scheduler::passed(state, sequence),
        Health::Unhealthy => scheduler::unhealthy(state, sequence),
        Health::Unknown => {}
    }
}

/// Only a service's scheduler replaces a task for its health; a task of RunTask runs on.
fn failed_health_checks(state: &mut State, sequence: u64) {
    let Some(service) = scheduler::service_of(state, sequence) else { return };
    let reason = match service.target_groups_of(&state.ecs.tasks[&sequence]).next() {
        Some(target_group) => format!("Task failed ELB health checks in (target-group {target_group})"),
        None => "Task failed container health checks".to_owned(),
    };
    scheduler::failed(state, sequence, None);
    ask_to_stop(state, sequence, Stop { code: "ServiceSchedulerInitiated", reason });
}

/// The end of an essential container is the end of its task; the end of another is its own affair.
fn ends(state: &mut State, sequence: u64, container: usize, code: i64, reason: Option<&str>) {
    let (now, timing) = (state.now, state.timing);
    let Some(task) = state.ecs.tasks.get_mut(&sequence) else { return };
    let Some(container) = task.containers.get_mut(container) else { return };
    container.exit_code = Some(code);
    container.reason = reason.map(str::to_owned);
    if container.essential {
        let stop = Stop { code: "EssentialContainerExited", reason: "Essential container in task exited".to_owned() };
        task.execution_stopped_at = Some(now);
        begin_to_stop(task, stop, Status::Deprovisioning, now, timing.deprovision);
        scheduler::failed(state, sequence, None);
    }
}

fn fails_to_start(state: &mut State, sequence: u64, container: Option<usize>, reason: String) {
    let (now, timing) = (state.now, state.timing);
    let Some(task) = state.ecs.tasks.get_mut(&sequence) else { return };
    if let Some(container) = container.and_then(|index| task.containers.get_mut(index)) {
        container.reason = Some(reason.clone());
    }
    let stop = Stop { code: "TaskFailedToStart", reason: reason.clone() };
    begin_to_stop(task, stop, Status::Deprovisioning, now, timing.deprovision);
    scheduler::failed(state, sequence, Some(&reason));
}

fn begin_to_stop(task: &mut Task, stop: Stop, status: Status, now: Timestamp, takes: Duration) {
    task.status = status;
    task.stopping = true;
    task.stop = Some(stop);
    task.stopping_at = Some(now);
    task.timeline.clear();
    task.timeline.push_back((now + takes, Step::Stopped));
}

fn stopped(state: &mut State, sequence: u64) {
    let now = state.now;
    let Some(task) = state.ecs.tasks.get_mut(&sequence) else { return };
    task.status = Status::Stopped;
    task.stopped_at = Some(now);
    if task.started_at.is_some() {
        task.execution_stopped_at.get_or_insert(now);
        for container in &mut task.containers {
            // A server ends in peace when it is told to (SIGTERM); a job is cut short: 128 + 15.
            let serves = matches!(container.behaviour, Some(Behaviour::Serves | Behaviour::Unhealthy));
            container.exit_code.get_or_insert(if serves { 0 } else { 143 });
        }
    }
    task.timeline.push_back((now + REMEMBERED, Step::Forgotten));
}

/// Writes a line to where the container's `awslogs` driver sends it, if it has one.
fn say(state: &mut State, sequence: u64, container: usize, line: &str) {
    let Some(task) = state.ecs.tasks.get(&sequence) else { return };
    let Some(container) = task.containers.get(container) else { return };
    let options = &container.definition["logConfiguration"];
    let Some(group) = options["options"]["awslogs-group"].as_str().filter(|_| options["logDriver"] == "awslogs") else {
        return;
    };
    let stream = match options["options"]["awslogs-stream-prefix"].as_str() {
        Some(prefix) => format!("{prefix}/{}/{}", container.name, task.id),
        None => container.runtime_id.clone(),
    };
    let (group, now) = (group.to_owned(), state.now);
    logs::write(state, &group, &stream, now, line);
}

fn listening(state: &State, container: &Container) -> String {
    let port = container.definition["portMappings"][0]["containerPort"].as_u64();
    let version = crate::traffic::version(state, container);
    port.map_or_else(
        || format!("started, version {version}"),
        |port| format!("listening on :{port}, version {version}"),
    )
}

/// The platform that the task's images must have, as registries write it.
fn platform(state: &State, task: &Task) -> &'static str {
    let definition = super::task_definitions::find(state, &task.task_definition);
    let platform = definition.and_then(|definition| definition.content.get("runtimePlatform"));
    if platform.is_some_and(|platform| platform["cpuArchitecture"] == "ARM64") { "arm64" } else { "amd64" }
}

/// Why a secret of the task cannot be fetched, as ECS says it.
fn missing_secret(state: &State, sequence: u64) -> Option<String> {
    const FAILED: &str = "ResourceInitializationError: unable to pull secrets or registry auth: execution resource \
                          retrieval failed: unable to retrieve";
    let from_secrets_manager = |secret: &str, reason: &str| {
        format!(
            "{FAILED} secret from asm: service call has been retried 1 time(s): failed to fetch secret {secret} from \
             secrets manager: {reason}"
        )
    };
    let task = state.ecs.tasks.get(&sequence)?;
    for container in &task.containers {
        let labels = ecr::image(state, &container.image).map(|image| image.labels).unwrap_or_default();
        let secrets = secrets(&container.definition);
        if behaviour(&labels, task.service.is_some()) == Behaviour::SecretCannotBeFetched {
            let secret = secrets.first().unwrap_or(&"registry credentials");
            let reason = "AccessDeniedException: not authorized to perform: secretsmanager:GetSecretValue";
            return Some(from_secrets_manager(secret, reason));
        }
        for secret in secrets {
            if secret.split(':').nth(2) == Some("secretsmanager") {
                if let Err(reason) = secretsmanager::value_from(state, secret) {
                    return Some(from_secrets_manager(secret, &reason));
                }
            } else if !ssm::parameter_exists(state, secret) {
                return Some(format!(
                    "{FAILED} secrets from ssm: service call has been retried 1 time(s): invalid ssm parameters: {secret}"
                ));
            }
        }
    }
    None
}

/// What a container's secrets, and those of its log driver, are fetched from.
fn secrets(container: &Value) -> Vec<&str> {
    let of_container = container["secrets"].as_array().into_iter().flatten();
    let of_log = container["logConfiguration"]["secretOptions"].as_array().into_iter().flatten();
    of_container.chain(of_log).filter_map(|secret| secret["valueFrom"].as_str()).collect()
}

/// Puts a task where it would be had it been launched long ago. For worlds that begin with services that already run.
pub(super) fn has_long_been_running(task: &mut Task, now: Timestamp) {
    task.status = Status::Running;
    task.health = Health::Healthy;
    task.pull_started_at = Some(now);
    task.pull_stopped_at = Some(now);
    task.started_at = Some(now);
    task.timeline.clear();
    for container in &mut task.containers {
        container.behaviour = Some(Behaviour::Serves);
    }
}

/// Whether the containers' own health checks are part of the verdict.
pub(super) fn has_health_check(container: &Container) -> bool {
    container.definition["healthCheck"] != Value::Null
}
