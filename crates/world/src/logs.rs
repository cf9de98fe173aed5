//! CloudWatch Logs: groups, streams, and the lines that containers write.
//!
//! API: <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/Welcome.html>

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::state::{State, World};
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

impl World {
    /// Makes a log group, if it is not there yet.
    pub fn create_log_group(&self, name: &str) {
        self.with(|state| create(state, name));
    }
}

/// Makes the groups that a task definition's containers write to: see [`crate::iam::create_roles_of`].
pub(crate) fn create_groups_of(state: &mut State, task_definition: &Value) {
    for container in task_definition["containerDefinitions"].as_array().into_iter().flatten() {
        let log = &container["logConfiguration"];
        if let Some(group) = log["options"]["awslogs-group"].as_str().filter(|_| log["logDriver"] == "awslogs") {
            create(state, group);
        }
    }
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

fn create(state: &mut State, name: &str) {
    let now = state.now;
    state.logs.0.entry(name.to_owned()).or_insert_with(|| Group::new(now));
}

fn create_log_group(state: &mut State, body: &Value) -> Result<Value, Refusal> {
    let name = body["logGroupName"].as_str().unwrap_or_default();
    if name.is_empty() {
        return Err(invalid("Log group name must not be empty."));
    }
    if state.logs.0.contains_key(name) {
        return Err(Refusal::new("ResourceAlreadyExistsException", "The specified log group already exists"));
    }
    create(state, name);
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
    if !prefix.is_empty() && !pattern.is_empty() {
        return Err(invalid("LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters."));
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn names(answer: &Value) -> Vec<&str> {
        answer["logGroups"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|group| group["logGroupName"].as_str())
            .collect()
    }

    #[test]
    fn groups_are_found_by_prefix_page_by_page() {
        let world = World::new();
        for number in 0..51 {
            world.create_log_group(&format!("/ecs/shop-{number:02}"));
        }
        world.create_log_group("/lambda/shop");
        let describe = |body: Value| world.with(|state| answer(state, "DescribeLogGroups", &body));
        let first = describe(json!({ "logGroupNamePrefix": "/ecs/" })).expect("a page");
        assert_eq!(names(&first).len(), 50);
        let rest = describe(json!({ "logGroupNamePrefix": "/ecs/", "nextToken": first["nextToken"] })).expect("a page");
        assert_eq!((names(&rest), rest.get("nextToken")), (vec!["/ecs/shop-50"], None));
        assert_eq!(names(&describe(json!({ "logGroupNamePattern": "bda" })).expect("a page")), ["/lambda/shop"]);
        assert!(names(&describe(json!({ "logGroupNamePrefix": "/none" })).expect("a page")).is_empty());
        let both = describe(json!({ "logGroupNamePrefix": "/ecs", "logGroupNamePattern": "shop" })).unwrap_err();
        assert_eq!(both.code, "InvalidParameterException");
    }

    #[test]
    fn a_group_exists_once_it_was_written_to_or_a_seed_names_it() {
        let world = World::new();
        let exists = |name: &str| world.with(|state| state.logs.0.contains_key(name));
        world.register_task_definition(&json!({
            "family": "auth", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "512",
            "executionRoleArn": "arn:aws:iam::111122223333:role/execution",
            "containerDefinitions": [{
                "name": "app", "image": "nginx",
                "logConfiguration": { "logDriver": "awslogs", "options": {
                    "awslogs-group": "/ecs/auth", "awslogs-region": "eu-west-1", "awslogs-stream-prefix": "app",
                } },
            }],
        }));
        assert_eq!((exists("/ecs/auth"), exists("/ecs/web")), (true, false));
        world.with(|state| write(state, "/ecs/web", "app", state.now, "a line"));
        assert!(exists("/ecs/web"));
        assert!(
            world
                .with(|state| crate::iam::answer(
                    state,
                    "GetRole",
                    &[("RoleName".to_owned(), "execution".to_owned())].into()
                ))
                .is_ok()
        );
    }
}
