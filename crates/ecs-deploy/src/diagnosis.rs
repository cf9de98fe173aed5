//! Why a deployment failed, as far as AWS can tell: the tasks that stopped, the last lines of their containers, the targets
//! that are unhealthy, circuit breaker, alarms, what ECS said. Reads only, and never the reason for a worse outcome: what cannot
//! be read is said to be unknown.

use std::collections::BTreeSet;
use std::fmt;

use common::aws::{Aws, LogStream, Service, ServiceDeployment, Task};
use common::names::{ClusterName, ServiceName};
use common::stopped::{causes, is_own_failure};

use crate::rollout::Rollout;

/// How many different ends of tasks are shown, how many targets, events, and lines of a log.
const CAUSES: usize = 5;
const TARGETS: usize = 5;
const EVENTS: usize = 20;
const LINES: i32 = 20;

/// ECS writes an event for every task that it starts and stops. These words tell of trouble.
const TROUBLE: [&str; 9] =
    ["fail", "unhealthy", "error", "throttl", "unable", "missing", "alarm", "rolling back", "circuit breaker"];

/// What a reader needs in order to mend a failed deployment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Diagnosis {
    /// Why tasks stopped, the most frequent first.
    pub(crate) causes: Vec<Cause>,
    /// The last lines of each container that failed, by log stream.
    pub(crate) logs: Vec<(LogStream, Vec<String>)>,
    /// Targets that get no requests, and why.
    pub(crate) targets: Vec<String>,
    /// How far the circuit breaker counted.
    pub(crate) breaker: Option<String>,
    /// The alarms that went off.
    pub(crate) alarms: Vec<String>,
    /// What ECS said of trouble since the deployment began, oldest first.
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

/// For the log: what a reader of the summary unfolds.
impl fmt::Display for Diagnosis {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { causes, logs, targets, breaker, alarms, events, unknown } = self;
        for Cause { text, tasks } in causes {
            writeln!(formatter, "{tasks} tasks stopped: {text}")?;
        }
        for (stream, lines) in logs {
            writeln!(formatter, "the last lines of {}:", stream.stream)?;
            lines.iter().try_for_each(|line| writeln!(formatter, "  {line}"))?;
        }
        targets.iter().try_for_each(|target| writeln!(formatter, "unhealthy target {target}"))?;
        breaker.iter().try_for_each(|breaker| writeln!(formatter, "{breaker}"))?;
        alarms.iter().try_for_each(|alarm| writeln!(formatter, "alarm {alarm} went off"))?;
        events.iter().try_for_each(|event| writeln!(formatter, "ECS: {event}"))?;
        unknown.iter().try_for_each(|unknown| writeln!(formatter, "not known: {unknown}"))
    }
}

/// Finds out why a deployment failed.
pub(crate) async fn diagnose(
    aws: &Aws,
    cluster: &ClusterName,
    service: &ServiceName,
    rollout: &Rollout,
    record: Option<&ServiceDeployment>,
) -> Diagnosis {
    let mut diagnosis = Diagnosis::default();
    if let Some(record) = record {
        diagnosis.breaker = breaker(record);
        diagnosis.alarms.clone_from(&record.triggered_alarms);
    }
    match aws.ecs.stopped_tasks(cluster, service.as_str()).await {
        Ok(tasks) => {
            let failed: Vec<&Task> = tasks.iter().filter(|task| rollout.owns(task) && is_own_failure(task)).collect();
            let found = causes(&failed).into_iter().map(|(text, tasks)| Cause { text, tasks });
            diagnosis.causes = found.take(CAUSES).collect();
            read_logs(aws, &failed, &mut diagnosis).await;
        }
        Err(failure) => diagnosis.unknown.push(format!("why tasks stopped: {failure}")),
    }
    match aws.ecs.describe_services(cluster, &[service]).await {
        Ok(services) => {
            for service in &services {
                read_events(service, rollout, &mut diagnosis);
                read_targets(aws, service, &mut diagnosis).await;
            }
        }
        Err(failure) => diagnosis.unknown.push(format!("what ECS said: {failure}")),
    }
    diagnosis
}

fn breaker(record: &ServiceDeployment) -> Option<String> {
    let (failed, threshold) = record.failures?;
    // One that counted nothing has nothing to say.
    let status = record.breaker.as_deref().filter(|status| *status == "TRIGGERED" || failed > 0)?;
    let status = Some(status).filter(|status| *status != "DISABLED")?;
    Some(format!("circuit breaker {status}: {failed} tasks failed, {threshold} may"))
}

fn read_events(service: &Service, rollout: &Rollout, diagnosis: &mut Diagnosis) {
    let since = service.events.iter().filter(|event| event.at >= rollout.since);
    let trouble = since.filter(|event| {
        let text = event.message.to_lowercase();
        TROUBLE.iter().any(|word| text.contains(word))
    });
    // ECS says the same again and again: the first time is enough.
    let mut messages: Vec<&String> = trouble.map(|event| &event.message).collect();
    messages.reverse();
    let mut told = BTreeSet::new();
    messages.retain(|message| told.insert(message.as_str()));
    diagnosis.events = messages.into_iter().take(EVENTS).cloned().collect();
}

/// The last lines of each container that failed, from the last task in which it did.
async fn read_logs(aws: &Aws, failed: &[&Task], diagnosis: &mut Diagnosis) {
    let mut newest: Vec<&&Task> = failed.iter().collect();
    newest.sort_by_key(|task| std::cmp::Reverse(task.stopped_at));
    let Some(last) = newest.first() else { return };
    let definition = match aws.ecs.describe_task_definition(&last.task_definition).await {
        Ok(definition) => definition,
        Err(failure) => return diagnosis.unknown.push(format!("where the container logs to: {failure}")),
    };
    let mut seen = Vec::new();
    for (task, container) in
        newest.iter().flat_map(|task| task.containers.iter().map(move |container| (task, container)))
    {
        let has_failed = container.exit_code.is_some_and(|code| code != 0);
        if !has_failed || seen.contains(&&container.name) {
            continue;
        }
        seen.push(&container.name);
        let Some(stream) = LogStream::of_container(&definition, &container.name, task.id()) else { continue };
        match aws.logs.tail(&stream, LINES).await {
            Ok(lines) if lines.is_empty() => diagnosis.unknown.push(format!("the log `{}` is empty", stream.stream)),
            Ok(lines) => diagnosis.logs.push((stream, lines.into_iter().map(|line| line.message).collect())),
            Err(failure) => diagnosis.unknown.push(format!("the log `{}`: {failure}", stream.stream)),
        }
    }
}

/// The targets that get no requests.
async fn read_targets(aws: &Aws, service: &Service, diagnosis: &mut Diagnosis) {
    for balancer in &service.load_balancers {
        match aws.elb.describe_target_health(&balancer.target_group).await {
            Ok(targets) => {
                let unhealthy = targets.into_iter().filter(|target| target.state == "unhealthy");
                diagnosis.targets.extend(unhealthy.take(TARGETS).map(|target| {
                    let port = target.port.map(|port| format!(":{port}")).unwrap_or_default();
                    format!("`{}{port}`: {}", target.id, target.reason.unwrap_or(target.state))
                }));
            }
            Err(failure) => diagnosis.unknown.push(format!("the health of its targets: {failure}")),
        }
    }
}
