//! How a migration ended: pure, from what ECS shows of its task. The named container decides, and nothing is guessed: a missing
//! exit code is no success, and an exit code of 0 after somebody stopped the task is not one either.

use common::aws::{Container, Task};
use common::names::ContainerName;
use common::poll::Judged;
use serde_json::Value;

use crate::class::Class;

/// How a migration ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ending {
    pub(crate) class: Class,
    pub(crate) exit_code: Option<i32>,
    /// What happened, in AWS's words where it has some.
    pub(crate) why: String,
    /// The next step, if it is another one than the class's.
    pub(crate) hint: Option<String>,
}

impl Ending {
    pub(crate) fn new(class: Class, why: impl Into<String>) -> Self {
        Self { class, exit_code: None, why: why.into(), hint: None }
    }

    /// The next step.
    pub(crate) fn hint(&self) -> &str {
        self.hint.as_deref().unwrap_or(self.class.remedy())
    }
}

/// Whose end is the verdict, and whose end ends the task.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    container: String,
    essential: Vec<String>,
}

impl Watched {
    pub(crate) fn new(definition: &Value, container: &ContainerName) -> Self {
        let containers = definition["containerDefinitions"].as_array().into_iter().flatten();
        let essential = containers.filter(|container| container["essential"] != false);
        let essential = essential.filter_map(|container| container["name"].as_str().map(str::to_owned));
        Self { container: container.to_string(), essential: essential.collect() }
    }

    pub(crate) fn is_essential(&self) -> bool {
        self.essential.contains(&self.container)
    }
}

/// Judges what one look at the task showed.
pub(crate) fn judge(watched: &Watched, task: &Task) -> Judged<Ending> {
    let container = task.containers.iter().find(|container| container.name == watched.container);
    let exit_code = container.and_then(|container| container.exit_code);
    // Once a task is deprovisioning, all of its containers have ended: what follows is the network interface's
    // (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-lifecycle-explanation.html>).
    let is_over = task.is_stopped() || (task.last_status == "DEPROVISIONING" && exit_code.is_some());
    if !is_over {
        return Judged::Wait;
    }
    let (class, why) = classify(watched, task, container);
    Judged::Done(Ending { exit_code, ..Ending::new(class, why) })
}

/// The class of a task that is over, and what happened. The first row that fits decides.
fn classify(watched: &Watched, task: &Task, container: Option<&Container>) -> (Class, String) {
    let name = &watched.container;
    let of_task = task.stopped_reason.clone().unwrap_or_else(|| "ECS gave no reason".to_owned());
    let own = container.and_then(|container| container.reason.clone());
    let reason = own.clone().unwrap_or_else(|| of_task.clone());
    let exit_code = container.and_then(|container| container.exit_code);
    if task.stop_code.as_deref() == Some("TaskFailedToStart") {
        let reason = if of_task.starts_with("Task failed to start") { reason } else { of_task };
        return (never_started(&reason), reason);
    }
    match (task.stop_code.as_deref(), exit_code) {
        _ if reason.contains("OutOfMemory") => (Class::OutOfMemory, format!("container `{name}`: {reason}")),
        (Some("SpotInterruption"), _) => (Class::Spot, of_task),
        (Some("TerminationNotice" | "InfrastructureHealth"), _) => (Class::HostLost, of_task),
        _ if of_task.contains("Host EC2") => (Class::HostLost, of_task),
        (Some("UserInitiated" | "ServiceSchedulerInitiated"), _) => {
            (Class::Stopped, format!("the task was stopped from outside: {of_task}"))
        }
        (_, None) => (Class::NoExitCode, format!("container `{name}` has no exit code: {reason}")),
        (_, Some(0)) => match failed_sidecar(watched, task) {
            Some(sidecar) => (Class::SidecarFailed, sidecar),
            None => (Class::Success, format!("container `{name}` exited with 0")),
        },
        (_, Some(137)) => (Class::Killed, format!("container `{name}` was killed (exit code 137, SIGKILL)")),
        (_, Some(code)) => {
            let told = own.map(|reason| format!(": {reason}")).unwrap_or_default();
            (Class::AppExit, format!("container `{name}` exited with {code}{}{told}", signal(code)))
        }
    }
}

/// Why a task never started, by the error that ECS names first
/// (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-error-codes.html>).
fn never_started(reason: &str) -> Class {
    let of_secrets = ["secret", "ssm", "asm", "kms"];
    match reason.split(':').next().unwrap_or_default() {
        "CannotPullContainerError" | "CannotPullImageManifestError" => Class::ImagePull,
        // Whichever of the two it was, the message begins with "unable to pull secrets or registry auth".
        "ResourceInitializationError" if reason.contains("retrieve ecr registry auth") => Class::RegistryAuth,
        "ResourceInitializationError" if of_secrets.iter().any(|word| reason.to_lowercase().contains(word)) => {
            Class::SecretFetch
        }
        "ResourceInitializationError" => Class::Network,
        "CannotStartContainerError" | "CannotCreateContainerError" => Class::BadCommand,
        _ => Class::NeverStarted,
    }
}

/// An essential container that failed by itself. Those that ECS stops after the migration's end exit by SIGTERM or SIGKILL.
fn failed_sidecar(watched: &Watched, task: &Task) -> Option<String> {
    let others = task
        .containers
        .iter()
        .filter(|container| container.name != watched.container && watched.essential.contains(&container.name));
    let mut failed = others.filter_map(|container| Some((container, container.exit_code?)));
    let (sidecar, code) = failed.find(|(_, code)| !matches!(code, 0 | 137 | 143))?;
    Some(format!(
        "container `{}` exited with 0, but the essential container `{}` with {code}: it may have taken the migration with it",
        watched.container, sidecar.name
    ))
}

/// What an exit code above 128 stands for.
const fn signal(code: i32) -> &'static str {
    match code {
        139 => " (SIGSEGV)",
        143 => " (SIGTERM)",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::class::Database;

    fn container(name: &str, exit_code: Option<i32>, reason: Option<&str>) -> Container {
        Container {
            name: name.into(),
            exit_code,
            reason: reason.map(Into::into),
            addresses: Vec::new(),
            image_digest: None,
        }
    }

    fn stopped(stop_code: &str, reason: &str, containers: Vec<Container>) -> Task {
        Task {
            arn: "arn".into(),
            started_by: None,
            last_status: "STOPPED".into(),
            desired_status: "STOPPED".into(),
            stop_code: Some(stop_code.into()),
            stopped_reason: Some(reason.into()),
            health: "UNKNOWN".into(),
            task_definition: "auth-migration:1".into(),
            containers,
            created_at: None,
            started_at: None,
            stopped_at: None,
        }
    }

    fn watched() -> Watched {
        let definition = json!({ "containerDefinitions": [
            { "name": "app" }, { "name": "proxy", "essential": true }, { "name": "agent", "essential": false },
        ] });
        Watched::new(&definition, &"app".parse().unwrap())
    }

    fn check(task: &Task, expected: (Class, &str)) {
        let Judged::Done(ending) = judge(&watched(), task) else { panic!("{task:?} is over") };
        assert_eq!((ending.class, ending.why.as_str()), expected, "{task:?}");
    }

    #[test]
    fn the_named_containers_end_is_the_verdict() {
        let exited = |code, reason: Option<&str>| {
            stopped(
                "EssentialContainerExited",
                "Essential container in task exited",
                vec![container("app", code, reason)],
            )
        };
        check(&exited(Some(0), None), (Class::Success, "container `app` exited with 0"));
        check(&exited(Some(1), None), (Class::AppExit, "container `app` exited with 1"));
        check(&exited(Some(139), None), (Class::AppExit, "container `app` exited with 139 (SIGSEGV)"));
        check(&exited(Some(137), None), (Class::Killed, "container `app` was killed (exit code 137, SIGKILL)"));
        let memory = "OutOfMemoryError: Container killed due to memory usage";
        check(
            &exited(Some(137), Some(memory)),
            (Class::OutOfMemory, "container `app`: OutOfMemoryError: Container killed due to memory usage"),
        );
        check(
            &exited(None, None),
            (Class::NoExitCode, "container `app` has no exit code: Essential container in task exited"),
        );
    }

    #[test]
    fn other_containers_make_no_success_a_failure_but_may_make_it_doubtful() {
        let beside = |name: &str, code| {
            let containers = vec![container("app", Some(0), None), container(name, code, None)];
            stopped("EssentialContainerExited", "Essential container in task exited", containers)
        };
        for code in [None, Some(0), Some(137), Some(143)] {
            check(&beside("proxy", code), (Class::Success, "container `app` exited with 0"));
        }
        check(&beside("agent", Some(1)), (Class::Success, "container `app` exited with 0"));
        check(
            &beside("proxy", Some(1)),
            (
                Class::SidecarFailed,
                "container `app` exited with 0, but the essential container `proxy` with 1: it may have taken the migration with it",
            ),
        );
    }

    #[test]
    fn what_never_started_left_the_database_alone() {
        for (reason, class) in [
            ("CannotPullContainerError: pull image manifest has been retried 1 time(s)", Class::ImagePull),
            ("ResourceInitializationError: unable to pull secrets or registry auth: …", Class::SecretFetch),
            (
                "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: unable to retrieve ecr registry auth: service call has been retried 3 time(s): RequestError: send request failed",
                Class::RegistryAuth,
            ),
            ("ResourceInitializationError: failed to validate logger args: …", Class::Network),
            ("CannotStartContainerError: Error response from daemon: exec: \"npx\": not found", Class::BadCommand),
            ("Timeout waiting for network interface provisioning to complete.", Class::NeverStarted),
        ] {
            check(&stopped("TaskFailedToStart", reason, vec![container("app", None, None)]), (class, reason));
            assert_eq!((class.result(), class.database()), ("failed", Database::Untouched));
        }
    }

    #[test]
    fn an_end_from_outside_is_never_a_success() {
        let app = |code| vec![container("app", code, None)];
        for code in [Some(0), Some(143), None] {
            check(
                &stopped("UserInitiated", "Task stopped by user", app(code)),
                (Class::Stopped, "the task was stopped from outside: Task stopped by user"),
            );
        }
        let spot = "Your Spot Task was interrupted.";
        check(&stopped("SpotInterruption", spot, app(Some(143))), (Class::Spot, spot));
        let host = "Host EC2 (instance i-0a1b2c3d) terminated.";
        check(&stopped("", host, app(None)), (Class::HostLost, host));
        for code in ["TerminationNotice", "InfrastructureHealth"] {
            check(
                &stopped(code, "Fargate retires the host.", app(Some(0))),
                (Class::HostLost, "Fargate retires the host."),
            );
        }
    }

    #[test]
    fn a_task_is_over_when_its_containers_are() {
        let app = |status: &str, code| Task {
            last_status: status.into(),
            ..stopped(
                "EssentialContainerExited",
                "Essential container in task exited",
                vec![container("app", code, None)],
            )
        };
        for status in ["PROVISIONING", "PENDING", "RUNNING", "DEACTIVATING", "STOPPING"] {
            assert_eq!(judge(&watched(), &app(status, Some(0))), Judged::Wait, "{status}");
        }
        assert_eq!(judge(&watched(), &app("DEPROVISIONING", None)), Judged::Wait);
        check(&app("DEPROVISIONING", Some(0)), (Class::Success, "container `app` exited with 0"));
    }
}
