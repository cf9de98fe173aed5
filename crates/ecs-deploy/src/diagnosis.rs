//! Why a deployment failed, as far as AWS can tell: the tasks that stopped, the last lines of their containers, what ECS
//! said. Reads only, and never the reason for a worse outcome: what cannot be read is said to be unknown.

use std::collections::BTreeMap;

use common::aws::{Aws, LogStream, Task};
use common::names::{ClusterName, ServiceName};
use jiff::Timestamp;

/// How many different ends of tasks are shown, and how many lines of a log.
const CAUSES: usize = 5;
const LINES: i32 = 20;

/// What a reader needs in order to mend a failed deployment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Diagnosis {
    /// Why tasks stopped, the most frequent first.
    pub(crate) causes: Vec<Cause>,
    /// The last lines of a container that failed, by log stream.
    pub(crate) logs: Vec<(LogStream, Vec<String>)>,
    /// What ECS said of the service since the deployment began, oldest first.
    pub(crate) events: Vec<String>,
    /// What could not be found out, and why.
    pub(crate) unknown: Vec<String>,
}

/// One way in which tasks ended.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cause {
    /// In words: container, exit code, AWS's reason.
    pub(crate) text: String,
    /// How many tasks ended so.
    pub(crate) tasks: usize,
}

/// Finds out why a deployment failed.
pub(crate) async fn diagnose(
    aws: &Aws,
    cluster: &ClusterName,
    service: &ServiceName,
    deployment: &str,
    since: Option<Timestamp>,
) -> Diagnosis {
    let mut diagnosis = Diagnosis::default();
    match aws.ecs.stopped_tasks(cluster, service.as_str(), deployment).await {
        Ok(tasks) => {
            let failed: Vec<Task> = tasks.into_iter().filter(failed_by_itself).collect();
            diagnosis.causes = causes(&failed);
            if let Some(last) = failed.iter().max_by_key(|task| task.stopped_at) {
                read_logs(aws, last, &mut diagnosis).await;
            }
        }
        Err(failure) => diagnosis.unknown.push(format!("why tasks stopped: {failure}")),
    }
    match aws.ecs.describe_services(cluster, &[service]).await {
        Ok(services) => {
            let events = services.iter().flat_map(|service| &service.events).filter(|event| event.at >= since);
            diagnosis.events = events.map(|event| event.message.clone()).collect();
            diagnosis.events.reverse();
        }
        Err(failure) => diagnosis.unknown.push(format!("what ECS said: {failure}")),
    }
    diagnosis
}

/// Whether a task ended for a reason of its own. Those that ECS stopped to make room tell nothing.
fn failed_by_itself(task: &Task) -> bool {
    let reason = task.stopped_reason.as_deref().unwrap_or_default();
    !reason.starts_with("Scaling activity initiated by")
}

fn causes(tasks: &[Task]) -> Vec<Cause> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for task in tasks {
        *counts.entry(cause(task)).or_default() += 1;
    }
    let mut causes: Vec<Cause> = counts.into_iter().map(|(text, tasks)| Cause { text, tasks }).collect();
    causes.sort_by_key(|cause| std::cmp::Reverse(cause.tasks));
    causes.truncate(CAUSES);
    causes
}

/// How a task ended, in one line.
fn cause(task: &Task) -> String {
    let containers =
        task.containers.iter().filter(|container| container.exit_code != Some(0)).filter_map(|container| {
            let exit = container.exit_code.map(|code| format!("exit code {code}{}", signal(code)));
            let parts: Vec<String> = exit.into_iter().chain(container.reason.clone()).collect();
            (!parts.is_empty()).then(|| format!("container `{}`: {}", container.name, parts.join(", ")))
        });
    let mut parts: Vec<String> = containers.collect();
    // Where a container tells its own end, the task's "Essential container in task exited" adds nothing.
    if task.stop_code.as_deref() != Some("EssentialContainerExited") || parts.is_empty() {
        let reason = task.stopped_reason.clone().unwrap_or_else(|| "no reason given".to_owned());
        if !parts.iter().any(|part| part.contains(&reason)) {
            parts.push(reason);
        }
    }
    parts.join("; ")
}

/// What an exit code above 128 stands for.
fn signal(code: i32) -> &'static str {
    match code {
        137 => " (SIGKILL: out of memory, or it ignored SIGTERM)",
        139 => " (SIGSEGV)",
        143 => " (SIGTERM)",
        _ => "",
    }
}

async fn read_logs(aws: &Aws, task: &Task, diagnosis: &mut Diagnosis) {
    let definition = match aws.ecs.describe_task_definition(&task.task_definition).await {
        Ok(definition) => definition,
        Err(failure) => return diagnosis.unknown.push(format!("where the container logs to: {failure}")),
    };
    let failed = task.containers.iter().filter(|container| container.exit_code.is_some_and(|code| code != 0));
    for stream in failed.filter_map(|container| LogStream::of_container(&definition, &container.name, task.id())) {
        match aws.logs.tail(&stream, LINES).await {
            Ok(lines) if lines.is_empty() => diagnosis.unknown.push(format!("the log `{}` is empty", stream.stream)),
            Ok(lines) => diagnosis.logs.push((stream, lines.into_iter().map(|line| line.message).collect())),
            Err(failure) => diagnosis.unknown.push(format!("the log `{}`: {failure}", stream.stream)),
        }
    }
}
