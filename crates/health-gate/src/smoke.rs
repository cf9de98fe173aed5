//! A smoke test: a command that runs once, in a task of the service's own image and network, and whose exit code is the answer.

use std::fmt;
use std::time::Duration;

use common::aws::{Aws, Network, RunTask, Started, Task};
use common::edges::Edges;
use common::failure::Failure;
use common::names::{ClusterName, ContainerName, ServiceName, TaskDefinitionRevision};
use common::poll::{Ended, Judged, Pace, poll};
use common::stopped::cause;

use crate::tally::Verdict;

/// What k6 ends with where a threshold was crossed
/// (<https://grafana.com/docs/k6/latest/using-k6/thresholds/>). Its other codes say that it could not measure.
const THRESHOLDS_CROSSED: i32 = 99;

/// What to run, and where.
#[derive(Clone, Debug)]
pub(crate) struct SmokeTask {
    pub(crate) cluster: ClusterName,
    pub(crate) command: Vec<String>,
    /// `None`: the task definition's first essential one.
    pub(crate) container: Option<ContainerName>,
    pub(crate) network: Option<Network>,
    pub(crate) launch_type: Option<String>,
    pub(crate) capacity_providers: Vec<(String, i32, i32)>,
    pub(crate) platform_version: Option<String>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Smoked {
    pub(crate) verdict: Verdict,
    pub(crate) observed: String,
}

impl SmokeTask {
    /// Runs it to its end. A task that is not over by the limit, or when the run is cancelled, is stopped.
    pub(crate) async fn run(&self, service: &ServiceName, limit: Duration, aws: &Aws, edges: &Edges) -> Smoked {
        let unknown = |failure: &Failure| Smoked { verdict: Verdict::Error, observed: format!("{:#}", failure.error) };
        let (task, container) = match self.start(service, aws, edges).await {
            Ok(started) => started,
            Err(failure) => return unknown(&failure),
        };
        edges.runner.say(format!("{service}: the smoke test runs as task {}", task.id()));
        let arns = [task.arn.clone()];
        let look = async || {
            let tasks = aws.ecs.describe_tasks(&self.cluster, &arns).await?;
            let over = tasks.into_iter().find(Task::is_stopped);
            Ok(over.map_or(Judged::Wait, |task| Judged::Done(judge(&task, &container))))
        };
        let late = match poll(Pace::until(limit), &edges.stop, look).await {
            Ok(Ended::Done(smoked)) => return smoked,
            Err(failure) => unknown(&failure),
            Ok(Ended::TimedOut) => {
                Smoked { verdict: Verdict::NoData, observed: format!("task {} did not end in time", task.id()) }
            }
            Ok(Ended::Cancelled) => Smoked { verdict: Verdict::NoData, observed: "cancelled while it ran".to_owned() },
        };
        if let Err(failure) = aws.ecs.stop_task(&self.cluster, &task.arn, "health-gate: no longer waited for").await {
            edges.runner.say(format!("{service}: the smoke test could not be stopped: {:#}", failure.error));
        }
        late
    }

    async fn start(&self, service: &ServiceName, aws: &Aws, edges: &Edges) -> Result<(Task, String), Failure> {
        let found = aws.ecs.describe_services(&self.cluster, &[service]).await?;
        let revision = found.first().map(|service| service.task_definition.clone()).unwrap_or_default();
        let definition = aws.ecs.describe_task_definition(&revision).await?;
        let container = self.container_of(&definition)?;
        let run = edges.runner.environment();
        let token = ["GITHUB_RUN_ID", "GITHUB_RUN_ATTEMPT"].map(|name| run.get(name).unwrap_or("0")).join("-");
        let task = RunTask {
            cluster: self.cluster.clone(),
            task_definition: revision.parse::<TaskDefinitionRevision>().map_err(Failure::bug)?,
            network: self.network.clone(),
            launch_type: self.launch_type.clone(),
            capacity_providers: self.capacity_providers.clone(),
            platform_version: self.platform_version.clone(),
            container: container.clone(),
            command: self.command.clone(),
            environment: Vec::new(),
            started_by: "health-gate".to_owned(),
            // Another gate of the same run is another test; a lost answer of this one starts no second.
            client_token: format!("gate-{token}-{}", edges.now().as_second()),
            tags: Vec::new(),
        };
        match aws.ecs.run_task(&task).await? {
            Started::Task(task) => Ok((*task, container.to_string())),
            Started::Refused(reasons) => {
                Err(Failure::remote(reasons.join("; ")).context("ECS did not start the smoke test"))
            }
        }
    }

    fn container_of(&self, definition: &serde_json::Value) -> Result<ContainerName, Failure> {
        if let Some(container) = &self.container {
            return Ok(container.clone());
        }
        let mut containers = definition["containerDefinitions"].as_array().into_iter().flatten();
        let essential = containers.find(|container| container["essential"] != false);
        let name = essential.and_then(|container| container["name"].as_str()).unwrap_or_default();
        name.parse().map_err(|error| Failure::remote(error).context("the task definition's first container"))
    }
}

/// The container's exit code decides; without one nothing is known.
fn judge(task: &Task, container: &str) -> Smoked {
    let ended = task.containers.iter().find(|ended| ended.name == container);
    match ended.and_then(|ended| ended.exit_code) {
        Some(0) => Smoked { verdict: Verdict::Pass, observed: "exit code 0".to_owned() },
        Some(THRESHOLDS_CROSSED) => {
            Smoked { verdict: Verdict::Fail, observed: "exit code 99: thresholds were crossed".to_owned() }
        }
        _ => Smoked { verdict: Verdict::Error, observed: cause(task) },
    }
}

impl fmt::Display for SmokeTask {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "`{}` has to end with 0, in a task of its own", self.command.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use common::aws::Container;

    use super::*;

    #[test]
    fn an_exit_code_is_an_answer_and_none_is_none() {
        let judged = |exit_code| {
            let container =
                Container { name: "app".into(), exit_code, reason: None, addresses: Vec::new(), image_digest: None };
            let task = Task {
                arn: "arn".into(),
                started_by: None,
                last_status: "STOPPED".into(),
                desired_status: "STOPPED".into(),
                stop_code: Some("EssentialContainerExited".into()),
                stopped_reason: Some("Essential container in task exited".into()),
                health: "UNKNOWN".into(),
                task_definition: "auth:1".into(),
                containers: vec![container],
                created_at: None,
                started_at: None,
                stopped_at: None,
            };
            let Smoked { verdict, observed } = judge(&task, "app");
            (verdict, observed)
        };
        assert_eq!(judged(Some(0)), (Verdict::Pass, "exit code 0".into()));
        assert_eq!(judged(Some(99)), (Verdict::Fail, "exit code 99: thresholds were crossed".into()));
        assert_eq!(judged(Some(107)), (Verdict::Error, "container `app`: exit code 107".into()));
        assert_eq!(judged(None), (Verdict::Error, "Essential container in task exited".into()));
    }
}
