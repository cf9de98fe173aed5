//! CloudWatch Logs: what a container wrote.

use aws_config::SdkConfig;
use aws_sdk_cloudwatchlogs::operation::get_log_events::GetLogEventsError;
use jiff::Timestamp;
use serde_json::Value;

use super::refusal::failure;
use crate::failure::Failure;

/// The CloudWatch Logs API.
#[derive(Clone, Debug)]
pub struct Logs(aws_sdk_cloudwatchlogs::Client);

/// Where one container of one task writes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogStream {
    /// The log group.
    pub group: String,
    /// The stream in it: `prefix/container/task`.
    pub stream: String,
}

/// One line that a container wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEvent {
    /// When.
    pub at: Timestamp,
    /// What.
    pub message: String,
}

/// What one look at a stream showed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogPage {
    /// The lines, oldest first.
    pub events: Vec<LogEvent>,
    /// Where to go on. The same token again means: nothing new yet.
    pub next: Option<String>,
}

impl LogStream {
    /// Where a container of a task writes to, if its task definition sends its log to CloudWatch under a known name: only with
    /// a stream prefix is that `prefix/container/task`
    /// (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/using_awslogs.html>).
    pub fn of_container(definition: &Value, container: &str, task: &str) -> Option<Self> {
        let containers = definition["containerDefinitions"].as_array()?;
        let log = &containers.iter().find(|candidate| candidate["name"] == container)?["logConfiguration"];
        let option = |name: &str| log["options"][name].as_str();
        (log["logDriver"] == "awslogs").then_some(())?;
        let stream = format!("{}/{container}/{task}", option("awslogs-stream-prefix")?);
        Some(Self { group: option("awslogs-group")?.to_owned(), stream })
    }
}

impl Logs {
    pub(super) fn new(config: &SdkConfig) -> Self {
        Self(aws_sdk_cloudwatchlogs::Client::new(config))
    }

    /// `logs:GetLogEvents`, from where the last page ended, or from the stream's beginning. A stream that does not exist
    /// (yet) is an empty page: ECS makes it with the container's first line.
    ///
    /// An empty page is not the end of a stream; the token that was sent, coming back, is
    /// (<https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_GetLogEvents.html>).
    pub async fn get_log_events(&self, from: &LogStream, token: Option<&str>) -> Result<LogPage, Failure> {
        self.page(from, true, token, None).await
    }

    /// The last lines of a stream, at most `most` (10,000), oldest first.
    pub async fn tail(&self, from: &LogStream, most: i32) -> Result<Vec<LogEvent>, Failure> {
        Ok(self.page(from, false, None, Some(most)).await?.events)
    }

    /// `logs:DescribeLogGroups`: whether there is a log group of this name.
    pub async fn log_group_exists(&self, name: &str) -> Result<bool, Failure> {
        let answer = self
            .0
            .describe_log_groups()
            .log_group_name_prefix(name)
            .send()
            .await
            .map_err(|error| failure("logs:DescribeLogGroups", format!("look up log group `{name}`"), error))?;
        // Groups come in the order of their names, so that one is before those that only begin as it does
        // (<https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_DescribeLogGroups.html>).
        Ok(answer.log_groups().iter().any(|group| group.log_group_name() == Some(name)))
    }

    async fn page(
        &self,
        from: &LogStream,
        from_head: bool,
        token: Option<&str>,
        most: Option<i32>,
    ) -> Result<LogPage, Failure> {
        let answer = self
            .0
            .get_log_events()
            .log_group_name(&from.group)
            .log_stream_name(&from.stream)
            .start_from_head(from_head)
            .set_next_token(token.map(str::to_owned))
            .set_limit(most)
            .send()
            .await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) if error.as_service_error().is_some_and(GetLogEventsError::is_resource_not_found_exception) => {
                return Ok(LogPage { events: Vec::new(), next: token.map(str::to_owned) });
            }
            Err(error) => {
                let doing = format!("read the log `{}` of `{}`", from.stream, from.group);
                return Err(failure("logs:GetLogEvents", doing, error));
            }
        };
        let events = answer.events().iter().filter_map(|event| {
            let at = Timestamp::from_millisecond(event.timestamp()?).ok()?;
            Some(LogEvent { at, message: event.message().unwrap_or_default().trim_end().to_owned() })
        });
        Ok(LogPage { events: events.collect(), next: answer.next_forward_token().map(str::to_owned) })
    }
}
