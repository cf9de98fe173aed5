//! CloudWatch Logs: groups, streams, and the lines that containers write.
//!
//! API: <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/Welcome.html>

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::state::State;
use crate::wire::Refusal;

mod events;

/// Every log group, by name.
#[derive(Debug, Default)]
pub(crate) struct Logs(BTreeMap<String, Group>);

#[derive(Debug)]
struct Group {
    created_at: Timestamp,
    retention: Option<u64>,
    streams: BTreeMap<String, Stream>,
}

#[derive(Debug)]
struct Stream {
    created_at: Timestamp,
    events: Vec<Event>,
}

#[derive(Debug)]
struct Event {
    /// Milliseconds since the epoch.
    at: i64,
    line: String,
}

/// Answers one operation of the API.
pub(crate) fn answer(state: &mut State, operation: &str, body: &Value) -> Result<Value, Refusal> {
    match operation {
        "CreateLogGroup" => create_log_group(state, body),
        "PutRetentionPolicy" => put_retention_policy(state, body),
        "DescribeLogGroups" => describe_log_groups(state, body),
        "DescribeLogStreams" => describe_log_streams(state, body),
        "GetLogEvents" => events::get(state, body),
        "FilterLogEvents" => events::filter(state, body),
        _ => Err(Refusal::new("UnknownOperationException", format!("Logs in this world do not answer {operation}."))),
    }
}

/// Writes a line. Group and stream are made with the first one, as with `awslogs-create-group`: who builds a world
/// would otherwise have to make a group for every service.
pub(crate) fn write(state: &mut State, group: &str, stream: &str, moment: Timestamp, line: &str) {
    let group = state.logs.0.entry(group.to_owned()).or_insert_with(|| Group::new(moment));
    let stream =
        group.streams.entry(stream.to_owned()).or_insert_with(|| Stream { created_at: moment, events: Vec::new() });
    stream.events.push(Event { at: moment.as_millisecond(), line: line.to_owned() });
}

fn create_log_group(state: &mut State, body: &Value) -> Result<Value, Refusal> {
    let name = body["logGroupName"].as_str().unwrap_or_default();
    if name.is_empty() {
        return Err(invalid("Log group name must not be empty."));
    }
    if state.logs.0.contains_key(name) {
        return Err(Refusal::new("ResourceAlreadyExistsException", "The specified log group already exists"));
    }
    state.logs.0.insert(name.to_owned(), Group::new(state.now));
    Ok(json!({}))
}

fn put_retention_policy(state: &mut State, body: &Value) -> Result<Value, Refusal> {
    const DAYS: [u64; 22] =
        [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653];
    let days = body["retentionInDays"].as_u64().filter(|days| DAYS.contains(days));
    let days = days.ok_or_else(|| invalid("The specified retention period is not valid."))?;
    let name = group_name(body);
    state.logs.0.get_mut(&name).ok_or_else(no_group)?.retention = Some(days);
    Ok(json!({}))
}

fn describe_log_groups(state: &State, body: &Value) -> Result<Value, Refusal> {
    let prefix = body["logGroupNamePrefix"].as_str().unwrap_or_default();
    let pattern = body["logGroupNamePattern"].as_str().unwrap_or_default();
    let groups = state.logs.0.iter().filter(|(name, _)| name.starts_with(prefix) && name.contains(pattern));
    let described = groups.map(|(name, group)| {
        let arn = arn(state, name);
        let mut described = json!({
            "logGroupName": name,
            "creationTime": group.created_at.as_millisecond(),
            "metricFilterCount": 0,
            "arn": format!("{arn}:*"),
            "logGroupArn": arn,
            "storedBytes": group.streams.values().map(Stream::bytes).sum::<usize>(),
            "logGroupClass": "STANDARD",
        });
        if let Some(days) = group.retention {
            described["retentionInDays"] = json!(days);
        }
        described
    });
    page("logGroups", described.collect(), body)
}

fn describe_log_streams(state: &State, body: &Value) -> Result<Value, Refusal> {
    let name = group_name(body);
    let group = state.logs.0.get(&name).ok_or_else(no_group)?;
    let prefix = body["logStreamNamePrefix"].as_str().unwrap_or_default();
    let by_time = body["orderBy"] == "LastEventTime";
    if by_time && !prefix.is_empty() {
        return Err(invalid("Cannot order by LastEventTime with a logStreamNamePrefix."));
    }
    let mut streams: Vec<(&String, &Stream)> =
        group.streams.iter().filter(|(name, _)| name.starts_with(prefix)).collect();
    if by_time {
        streams.sort_by_key(|(_, stream)| stream.events.last().map(|event| event.at));
    }
    if body["descending"] == true {
        streams.reverse();
    }
    let described = streams.into_iter().map(|(stream_name, stream)| {
        let mut described = json!({
            "logStreamName": stream_name,
            "creationTime": stream.created_at.as_millisecond(),
            "uploadSequenceToken": "49039859585506771883379104138446",
            "arn": format!("{}:log-stream:{stream_name}", arn(state, &name)),
            "storedBytes": stream.bytes(),
        });
        if let Some((first, last)) = stream.events.first().zip(stream.events.last()) {
            described["firstEventTimestamp"] = json!(first.at);
            described["lastEventTimestamp"] = json!(last.at);
            described["lastIngestionTime"] = json!(last.at);
        }
        described
    });
    page("logStreams", described.collect(), body)
}

impl Group {
    fn new(created_at: Timestamp) -> Self {
        Self { created_at, retention: None, streams: BTreeMap::new() }
    }
}

impl Stream {
    fn bytes(&self) -> usize {
        self.events.iter().map(|event| event.line.len()).sum()
    }
}

/// The group that a request means, by name or by ARN.
fn group_name(body: &Value) -> String {
    let name = body["logGroupName"].as_str().or(body["logGroupIdentifier"].as_str()).unwrap_or_default();
    let name = name.rsplit_once(":log-group:").map_or(name, |(_, name)| name);
    name.trim_end_matches(":*").to_owned()
}

fn arn(state: &State, group: &str) -> String {
    format!("arn:aws:logs:{}:{}:log-group:{group}", state.region, state.account)
}

fn no_group() -> Refusal {
    Refusal::new("ResourceNotFoundException", "The specified log group does not exist.")
}

fn invalid(message: &str) -> Refusal {
    Refusal::new("InvalidParameterException", message)
}

/// The place that a list's `nextToken` names.
fn place(body: &Value) -> Result<usize, Refusal> {
    let token = body["nextToken"].as_str().unwrap_or("0");
    token.parse().map_err(|_| invalid("The specified nextToken is invalid."))
}

/// One page of a list; fifty unless `limit` says fewer.
fn page(member: &str, items: Vec<Value>, body: &Value) -> Result<Value, Refusal> {
    let start = place(body)?;
    let limit = body["limit"].as_u64().and_then(|limit| usize::try_from(limit).ok()).unwrap_or(50).clamp(1, 50);
    let more = items.len() > start.saturating_add(limit);
    let mut answer = json!({ member: items.into_iter().skip(start).take(limit).collect::<Vec<_>>() });
    if more {
        answer["nextToken"] = json!((start + limit).to_string());
    }
    Ok(answer)
}
