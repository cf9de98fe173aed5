//! The logs of a task, relayed line by line while it runs. They never decide how a migration ended.

use std::collections::VecDeque;
use std::time::Duration;

use common::aws::{Aws, LogEvent, LogStream};
use common::edges::Edges;
use common::failure::Kind;
use common::poll::{Judged, Pace, poll};
use serde_json::Value;
use tokio::time::Instant;

/// How many of a container's last lines are kept for the report.
const KEPT: usize = 50;

/// How long a log must be silent, once its task is over, to be complete: its lines reach CloudWatch some seconds late
/// (apache/airflow#43717 lost them).
const QUIET: Duration = Duration::from_secs(6);

/// The log of one container.
#[derive(Debug)]
pub(crate) struct ContainerLog {
    pub(crate) container: String,
    pub(crate) stream: LogStream,
    /// The last lines, oldest first.
    pub(crate) lines: VecDeque<String>,
    /// Why it could not be read to its end.
    pub(crate) problem: Option<String>,
    token: Option<String>,
    is_given_up: bool,
}

/// Follows the logs of a task's containers.
pub(crate) struct Follower<'a> {
    aws: &'a Aws,
    edges: &'a Edges,
    service: &'a str,
    logs: Vec<ContainerLog>,
}

impl<'a> Follower<'a> {
    /// Follows every container of this task whose log goes to CloudWatch.
    pub(crate) fn new(aws: &'a Aws, edges: &'a Edges, service: &'a str, definition: &Value, task: &str) -> Self {
        let containers = definition["containerDefinitions"].as_array().into_iter().flatten();
        let logs = containers.filter_map(|container| {
            let container = container["name"].as_str()?.to_owned();
            let stream = LogStream::of_container(definition, &container, task)?;
            Some(ContainerLog {
                container,
                stream,
                lines: VecDeque::new(),
                problem: None,
                token: None,
                is_given_up: false,
            })
        });
        Self { aws, edges, service, logs: logs.collect() }
    }

    /// Relays what was written since the last time, in the order of time; `false` if that is nothing.
    pub(crate) async fn relay(&mut self) -> bool {
        let mut found: Vec<(usize, LogEvent)> = Vec::new();
        for (index, log) in self.logs.iter_mut().enumerate().filter(|(_, log)| !log.is_given_up) {
            found.extend(log.read(self.aws).await.into_iter().map(|event| (index, event)));
        }
        found.sort_by_key(|(_, event)| event.at);
        let is_alone = self.logs.len() == 1;
        let mut text = String::new();
        for (index, event) in &found {
            let log = &mut self.logs[*index];
            let speaker =
                if is_alone { self.service.to_owned() } else { format!("{}/{}", self.service, log.container) };
            event.message.lines().for_each(|line| text += &format!("{speaker} | {line}\n"));
            log.keep(event.message.clone());
        }
        self.edges.runner.say(text);
        !found.is_empty()
    }

    /// Relays the rest of the logs of a task that is over.
    pub(crate) async fn drain(&mut self) {
        if self.logs.is_empty() {
            return;
        }
        let edges = self.edges;
        let mut last = Instant::now();
        let pace = Pace { every: Duration::from_secs(2), limit: Duration::from_secs(60), patience: 0 };
        let look = async || {
            if self.relay().await {
                last = Instant::now();
            }
            Ok(if last.elapsed() >= QUIET { Judged::Done(()) } else { Judged::Wait })
        };
        // Whichever way this ends, what was read is kept, and what could not be read is said in the report.
        let _ended = poll(pace, &edges.stop, look).await;
    }

    /// The logs, as far as they were read.
    pub(crate) fn into_logs(self) -> Vec<ContainerLog> {
        self.logs
    }
}

impl ContainerLog {
    /// Reads on to where the log ends for now: to the token that comes back unchanged.
    async fn read(&mut self, aws: &Aws) -> Vec<LogEvent> {
        let mut events = Vec::new();
        loop {
            match aws.logs.get_log_events(&self.stream, self.token.as_deref()).await {
                Ok(page) => {
                    self.problem = None;
                    events.extend(page.events);
                    if page.next == self.token {
                        return events;
                    }
                    self.token = page.next;
                }
                Err(failure) => {
                    // A remote that fails now may answer at the next look; a denial stays one.
                    self.is_given_up = failure.kind != Kind::Remote;
                    self.problem = Some(failure.to_string().replace('\n', ", "));
                    return events;
                }
            }
        }
    }

    fn keep(&mut self, message: String) {
        self.lines.push_back(message);
        if self.lines.len() > KEPT {
            self.lines.pop_front();
        }
    }
}
