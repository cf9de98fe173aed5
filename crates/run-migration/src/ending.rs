//! How a migration ended: pure, from what ECS shows of its task. The named container decides, and nothing is guessed: a missing
//! exit code is no success, and an exit code of 0 after somebody stopped the task is not one either.

use common::aws::{Container, Task};
use common::names::ContainerName;
use common::poll::Judged;
use serde_json::Value;

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

/// The ways in which a migration ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// The container ended with 0.
    Success,
    /// The container ended with another code.
    AppExit,
    /// The image could not be pulled.
    ImagePull,
    /// A secret could not be fetched.
    SecretFetch,
    /// The task could not reach what it needs to start.
    Network,
    /// The command could not be started.
    BadCommand,
    /// The task never started, for another reason.
    NeverStarted,
    /// ECS refused to start a task.
    Refused,
    /// There was no room for the task.
    Capacity,
    /// Another task is migrating.
    AlreadyRunning,
    /// Killed for want of memory.
    OutOfMemory,
    /// Killed, and nobody says by whom.
    Killed,
    /// AWS took the machine away.
    InfrastructureLost,
    /// Somebody stopped the task.
    Stopped,
    /// Another essential container failed first, and took the migration with it.
    SidecarFailed,
    /// The container is over, and its exit code is not known.
    NoExitCode,
    /// No end within the time limit.
    TimedOut,
    /// The run was cancelled while the task ran.
    Cancelled,
    /// The run was cancelled before a task was started.
    NotStarted,
    /// The task is out of sight.
    Lost,
}

/// What is known of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Database {
    Migrated,
    Untouched,
    /// The migration began and did not succeed: some of it may have been applied.
    Unfinished,
    Unknown,
}

impl Class {
    /// The word for it, the result that it makes, and what it means for the database.
    const fn meaning(self) -> (&'static str, &'static str, Database) {
        match self {
            Self::Success => ("success", "applied", Database::Migrated),
            Self::AppExit => ("app-exit", "failed", Database::Unfinished),
            Self::ImagePull => ("image-pull", "failed", Database::Untouched),
            Self::SecretFetch => ("secret-fetch", "failed", Database::Untouched),
            Self::Network => ("network", "failed", Database::Untouched),
            Self::BadCommand => ("bad-command", "failed", Database::Untouched),
            Self::NeverStarted => ("never-started", "failed", Database::Untouched),
            Self::Refused => ("refused", "failed", Database::Untouched),
            Self::Capacity => ("capacity", "failed", Database::Untouched),
            Self::AlreadyRunning => ("already-running", "failed", Database::Unknown),
            Self::NotStarted => ("not-started", "failed", Database::Untouched),
            Self::OutOfMemory => ("out-of-memory", "failed", Database::Unfinished),
            Self::Killed => ("killed", "failed", Database::Unfinished),
            Self::InfrastructureLost => ("infrastructure-lost", "failed", Database::Unfinished),
            Self::NoExitCode => ("no-exit-code", "failed", Database::Unknown),
            Self::Stopped => ("stopped", "unknown", Database::Unknown),
            Self::SidecarFailed => ("sidecar-failed", "unknown", Database::Unknown),
            Self::TimedOut => ("timed-out", "unknown", Database::Unknown),
            Self::Cancelled => ("cancelled", "unknown", Database::Unknown),
            Self::Lost => ("lost", "unknown", Database::Unknown),
        }
    }

    /// The word for it.
    pub(crate) const fn word(self) -> &'static str {
        self.meaning().0
    }

    /// `applied`, `failed` or `unknown`.
    pub(crate) const fn result(self) -> &'static str {
        self.meaning().1
    }

    /// What it means for the database.
    pub(crate) const fn database(self) -> Database {
        self.meaning().2
    }

    /// The next step.
    pub(crate) const fn remedy(self) -> &'static str {
        match self {
            Self::Success => "nothing is to be done",
            Self::AppExit => "read the log's last lines in the job summary, mend the migration, and run again",
            Self::ImagePull => {
                "check that the image was pushed for this platform, that the execution role may pull it, and that the subnets reach ECR (a NAT gateway, VPC endpoints, or `assign-public-ip: true`)"
            }
            Self::SecretFetch => {
                "check that the secret exists, that the execution role may read it, and that the subnets reach Secrets Manager or SSM"
            }
            Self::Network => {
                "check the subnets' way out (a NAT gateway, VPC endpoints, or `assign-public-ip: true`), the security groups' outbound rules, and that the log group exists"
            }
            Self::BadCommand => "check the command: its program must exist in the image, and no shell interprets it",
            Self::NeverStarted => "mend the cause that ECS names above, and run again",
            Self::Refused => "mend what ECS refused, and run again",
            Self::Capacity => "run again in a while, or with `subnets` in another availability zone",
            Self::AlreadyRunning => "wait for that task to end, or stop it if it hangs, and run again",
            Self::NotStarted => "run again",
            Self::OutOfMemory => {
                "raise the memory of the task definition, and look at what was applied before running again"
            }
            Self::Killed => {
                "look at what was applied before running again; if memory ran out, raise it in the task definition"
            }
            Self::InfrastructureLost => {
                "look at what was applied before running again; use on-demand capacity for migrations"
            }
            Self::NoExitCode | Self::SidecarFailed => {
                "look at what was applied: the migration tool's own status command tells; then run again"
            }
            Self::Stopped => {
                "find out who stopped the task (CloudTrail, `StopTask`), look at what was applied, and run again"
            }
            Self::TimedOut | Self::Cancelled => "the task goes on: re-run this job to follow the same task to its end",
            Self::Lost => "look for the task in the ECS console, look at what was applied, and run again",
        }
    }
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
        (Some("SpotInterruption" | "TerminationNotice" | "InfrastructureHealth"), _) => {
            (Class::InfrastructureLost, of_task)
        }
        _ if of_task.contains("Host EC2") => (Class::InfrastructureLost, of_task),
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
        check(&stopped("SpotInterruption", spot, app(Some(143))), (Class::InfrastructureLost, spot));
        let host = "Host EC2 (instance i-0a1b2c3d) terminated.";
        check(&stopped("", host, app(None)), (Class::InfrastructureLost, host));
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
