//! Why tasks stopped, and whether the version that they ran is to blame. Pure, from what ECS tells of them.
//! <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-error-codes.html>

use std::collections::BTreeMap;

use crate::aws::Task;

/// Whether a task ended by its own doing. Those that ECS stopped to make room, that a person stopped, or that lost their host
/// say nothing about the version.
pub fn is_own_failure(task: &Task) -> bool {
    let reason = task.stopped_reason.as_deref().unwrap_or_default();
    match task.stop_code.as_deref() {
        Some("SpotInterruption" | "TerminationNotice" | "InfrastructureHealth" | "UserInitiated") => false,
        Some("ServiceSchedulerInitiated") => reason.contains("health check"),
        _ => !reason.starts_with("Scaling activity initiated by"),
    }
}

/// How a task ended, in one line: container, exit code, AWS's reason.
pub fn cause(task: &Task) -> String {
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

/// Ways in which tasks ended, the most frequent first.
pub fn causes(tasks: &[&Task]) -> Vec<(String, usize)> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for task in tasks {
        *counts.entry(cause(task)).or_default() += 1;
    }
    let mut causes: Vec<(String, usize)> = counts.into_iter().collect();
    causes.sort_by_key(|(_, tasks)| std::cmp::Reverse(*tasks));
    causes
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
