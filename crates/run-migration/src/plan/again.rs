//! What tells a run's task from all others, so that it is found again and never started twice. Pure.

use common::aws::Task;
use common::names::{ContainerName, ServiceKey};
use common::poll::Judged;
use common::task_definition::comparable;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::Start;
use crate::class::Class;
use crate::config::Run;
use crate::ending::{Watched, judge};

/// The tasks of this action are known by this, whoever runs it.
const STARTED_BY: &str = "migration/";

/// What tells this run's tasks from all others: `migration/<run>/<what is run>/<service>`, within ECS's 128 characters of
/// letters, digits, `-`, `_` and `/`.
pub(super) fn started_by(
    run: &Run,
    key: &ServiceKey,
    container: &ContainerName,
    command: &[String],
    definition: &Value,
) -> String {
    let what = json!([run.repository, container, command, comparable(definition)]);
    format!("{STARTED_BY}{}/{}/{key}", run.id, &hash(&what.to_string())[..16])
}

/// What tells the task that is asked before a migration whether any is pending: never taken for the migration itself.
pub(crate) fn started_by_status(migration: &str) -> String {
    format!("status/{}", migration.trim_start_matches(STARTED_BY))
}

/// The token of a start: repeated, ECS starts nothing new for 24 hours
/// (<https://docs.aws.amazon.com/AmazonECS/latest/APIReference/ECS_Idempotency.html>). After a failure it must be another one,
/// or ECS would hand back the dead task.
pub(crate) fn client_token(run: &Run, started_by: &str, number: usize) -> String {
    hash(&format!("{started_by} {} {number}", run.attempt))
}

fn hash(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The service that a task migrates, by what started it.
fn service_of(started_by: &str) -> &str {
    started_by.rsplit('/').next().unwrap_or_default()
}

/// How a migration begins, by the tasks of its family.
pub(super) fn start(started_by: &str, tasks: Vec<Task>, watched: &Watched) -> Start {
    // Services that are made from one family of task definitions have a database each all the same.
    let service = service_of(started_by);
    let of_migrations =
        tasks.into_iter().filter(|task| task.started_by.as_deref().is_some_and(|by| by.starts_with(STARTED_BY)));
    let (mut ours, others): (Vec<Task>, Vec<Task>) =
        of_migrations.partition(|task| task.started_by.as_deref() == Some(started_by));
    ours.sort_by_key(|task| std::cmp::Reverse(task.created_at));
    let has_failed =
        |task: &Task| matches!(judge(watched, task), Judged::Done(ending) if ending.class != Class::Success);
    match ours.iter().position(|task| !has_failed(task)) {
        Some(index) => Start::Follow(Box::new(ours.swap_remove(index))),
        None => match others.into_iter().find(|task| {
            task.desired_status != "STOPPED" && task.started_by.as_deref().map(service_of) == Some(service)
        }) {
            Some(other) => Start::Blocked(Box::new(other)),
            None => Start::New { earlier: ours.len() },
        },
    }
}

#[cfg(test)]
mod tests {
    use common::aws::Container;

    use super::*;

    const OURS: &str = "migration/7/0123456789abcdef/auth";

    fn task(id: &str, started_by: &str, status: &str, exit_code: Option<i32>) -> Task {
        Task {
            arn: id.into(),
            started_by: Some(started_by.into()),
            last_status: status.into(),
            desired_status: if status == "STOPPED" { "STOPPED".into() } else { "RUNNING".into() },
            stop_code: (status == "STOPPED").then(|| "EssentialContainerExited".into()),
            stopped_reason: None,
            health: "UNKNOWN".into(),
            task_definition: "auth-migration:1".into(),
            containers: vec![Container {
                name: "app".into(),
                exit_code,
                reason: None,
                addresses: Vec::new(),
                image_digest: None,
            }],
            created_at: None,
            started_at: None,
            stopped_at: None,
        }
    }

    fn check(tasks: Vec<Task>, expected: &str) {
        let definition = json!({ "containerDefinitions": [{ "name": "app" }] });
        let found = match start(OURS, tasks, &Watched::new(&definition, &"app".parse().unwrap())) {
            Start::New { earlier } => format!("new after {earlier}"),
            Start::Follow(task) => format!("follow {}", task.arn),
            Start::Blocked(task) => format!("blocked by {}", task.arn),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn a_run_never_starts_what_it_has_started_before_unless_that_failed() {
        let another_run = "migration/6/0123456789abcdef/auth";
        check(vec![], "new after 0");
        check(vec![task("a", OURS, "RUNNING", None)], "follow a");
        check(vec![task("a", OURS, "PROVISIONING", None)], "follow a");
        check(vec![task("a", OURS, "STOPPED", Some(0))], "follow a");
        check(vec![task("a", OURS, "STOPPED", Some(1))], "new after 1");
        check(vec![task("a", OURS, "STOPPED", None), task("b", OURS, "STOPPED", Some(1))], "new after 2");
        check(vec![task("a", OURS, "STOPPED", Some(1)), task("b", OURS, "RUNNING", None)], "follow b");
        check(vec![task("a", another_run, "STOPPED", Some(0))], "new after 0");
        check(vec![task("a", another_run, "RUNNING", None)], "blocked by a");
        check(vec![task("a", "migration/6/0123456789abcdef/orders", "RUNNING", None)], "new after 0");
        check(vec![task("a", "ecs-svc/1234567890123456789", "RUNNING", None)], "new after 0");
        check(vec![task("a", &started_by_status(OURS), "STOPPED", Some(0))], "new after 0");
    }

    #[test]
    fn what_tells_tasks_apart_fits_into_what_ecs_takes() {
        let run =
            |id: &str, attempt: &str| Run { repository: "org/shop.js".into(), id: id.into(), attempt: attempt.into() };
        let definition = json!({ "containerDefinitions": [{ "name": "app" }] });
        let key = "k".repeat(64).parse().unwrap();
        let name = |run: &Run, command: &str| {
            started_by(run, &key, &"app".parse().unwrap(), &[command.to_owned()], &definition)
        };
        let first = name(&run("18446744073709551615", "1"), "migrate");
        assert!(first.len() <= 128, "{first}");
        assert!(first.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_/".contains(&byte)), "{first}");
        assert_eq!(first, name(&run("18446744073709551615", "2"), "migrate"));
        assert_ne!(first, name(&run("18446744073709551615", "1"), "seed"));
        assert_ne!(first, name(&run("7", "1"), "migrate"));

        let token = |attempt: &str, number| client_token(&run("7", attempt), &first, number);
        assert_eq!((token("1", 0).len(), token("1", 0)), (64, token("1", 0)));
        assert_ne!(token("1", 0), token("1", 1));
        assert_ne!(token("1", 0), token("2", 0));
    }
}
