//! Reading log events: stream by stream, or filtered across a group.

use serde_json::{Value, json};

use super::{Event, group_name, invalid, no_group, place};
use crate::state::State;
use crate::wire::Refusal;

/// The largest page: <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_GetLogEvents.html>
const PAGE: usize = 10_000;

/// GetLogEvents. A token names a place in the stream: whoever gets back the token that they sent has reached the end.
pub(super) fn get(state: &State, body: &Value) -> Result<Value, Refusal> {
    let group = state.logs.0.get(&group_name(body)).ok_or_else(no_group)?;
    let stream = group.streams.get(body["logStreamName"].as_str().unwrap_or_default());
    let stream =
        stream.ok_or_else(|| Refusal::new("ResourceNotFoundException", "The specified log stream does not exist."))?;
    let wanted = within(body);
    let first = stream.events.iter().position(&wanted).unwrap_or(stream.events.len());
    let last = stream.events.iter().rposition(&wanted).map_or(first, |last| last + 1);
    let limit = limit(body);
    let (start, end) = match body["nextToken"].as_str().map(position) {
        Some(Some(("f", place))) => (place.min(last), place.saturating_add(limit).min(last)),
        Some(Some(("b", place))) => (place.saturating_sub(limit).max(first), place.max(first).min(last)),
        Some(_) => return Err(invalid("The specified nextToken is invalid.")),
        None if body["startFromHead"] == true => (first, (first + limit).min(last)),
        None => (last.saturating_sub(limit).max(first), last),
    };
    let events = stream.events[start.min(end)..end].iter();
    let events = events.map(|event| json!({ "timestamp": event.at, "message": event.line, "ingestionTime": event.at }));
    Ok(json!({
        "events": events.collect::<Vec<_>>(),
        "nextForwardToken": format!("f/{end:056}"),
        "nextBackwardToken": format!("b/{start:056}"),
    }))
}

/// FilterLogEvents.
pub(super) fn filter(state: &State, body: &Value) -> Result<Value, Refusal> {
    let group = state.logs.0.get(&group_name(body)).ok_or_else(no_group)?;
    let names = body["logStreamNames"].as_array();
    let prefix = body["logStreamNamePrefix"].as_str();
    if names.is_some() && prefix.is_some() {
        return Err(invalid("logStreamNamePrefix and logStreamNames can not be specified at the same time."));
    }
    let pattern = body["filterPattern"].as_str().unwrap_or_default();
    if pattern.trim_start().starts_with(['{', '[', '%']) {
        return Err(invalid("This world matches terms only, not JSON, columns or regular expressions."));
    }
    let wanted = within(body);
    let mut found: Vec<(&str, i128, &Event)> = (group.streams.iter())
        .filter(|(name, _)| names.is_none_or(|names| names.iter().any(|one| one == name.as_str())))
        .filter(|(name, _)| prefix.is_none_or(|prefix| name.starts_with(prefix)))
        .flat_map(|(name, stream)| (0..).zip(&stream.events).map(move |(index, event)| (name.as_str(), index, event)))
        .filter(|(_, _, event)| wanted(event) && matches(pattern, &event.line))
        .collect();
    found.sort_by_key(|(_, _, event)| event.at);
    let (start, limit) = (place(body)?, limit(body));
    let more = found.len() > start.saturating_add(limit);
    let events = found.into_iter().skip(start).take(limit).map(|(stream, index, event)| {
        json!({
            "logStreamName": stream,
            "timestamp": event.at,
            "message": event.line,
            "ingestionTime": event.at,
            "eventId": format!("{:056}", i128::from(event.at) * 1_000_000 + index),
        })
    });
    let mut answer = json!({ "events": events.collect::<Vec<_>>(), "searchedLogStreams": [] });
    if more {
        answer["nextToken"] = json!((start + limit).to_string());
    }
    Ok(answer)
}

/// Terms that must all occur, `?term`s of which one must, `-term`s that must not; quotes keep a term together.
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html>
fn matches(pattern: &str, line: &str) -> bool {
    let (mut any, mut found) = (false, false);
    for term in terms(pattern) {
        if let Some(term) = term.strip_prefix('?') {
            any = true;
            found |= line.contains(term);
        } else if let Some(term) = term.strip_prefix('-') {
            if line.contains(term) {
                return false;
            }
        } else if !line.contains(&term) {
            return false;
        }
    }
    found || !any
}

fn terms(pattern: &str) -> Vec<String> {
    let (mut terms, mut term, mut quoted) = (Vec::new(), String::new(), false);
    for character in pattern.chars() {
        match character {
            '"' => quoted = !quoted,
            space if space.is_whitespace() && !quoted => terms.push(std::mem::take(&mut term)),
            other => term.push(other),
        }
    }
    terms.push(term);
    terms.retain(|term| !term.is_empty());
    terms
}

/// `f/…` or `b/…`, and the place that it names.
fn position(token: &str) -> Option<(&str, usize)> {
    let (direction, place) = token.split_once('/')?;
    Some((direction, place.parse().ok()?))
}

fn limit(body: &Value) -> usize {
    body["limit"].as_u64().and_then(|limit| usize::try_from(limit).ok()).unwrap_or(PAGE).clamp(1, PAGE)
}

/// Whether an event lies between `startTime`, included, and `endTime`, excluded.
fn within(body: &Value) -> impl Fn(&Event) -> bool + use<> {
    let (start, end) = (body["startTime"].as_i64(), body["endTime"].as_i64());
    move |event| start.is_none_or(|start| event.at >= start) && end.is_none_or(|end| event.at < end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::World;
    use crate::logs::{answer, write};

    fn world_with_lines(count: usize) -> World {
        let world = World::new();
        world.with(|state| {
            for line in 0..count {
                let now = state.now;
                write(state, "/ecs/auth", "app/app/1", now, &format!("line {line}"));
            }
        });
        world
    }

    fn messages(answer: &Value) -> Vec<&str> {
        answer["events"].as_array().into_iter().flatten().filter_map(|event| event["message"].as_str()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn pages_forward_until_the_token_repeats() {
        let world = world_with_lines(3);
        world.with(|state| {
            let mut request = json!({
                "logGroupName": "/ecs/auth", "logStreamName": "app/app/1", "startFromHead": true, "limit": 2,
            });
            let first = get(state, &request).expect("a page");
            assert_eq!(messages(&first), ["line 0", "line 1"]);
            request["nextToken"] = first["nextForwardToken"].clone();
            let second = get(state, &request).expect("a page");
            assert_eq!(messages(&second), ["line 2"]);
            request["nextToken"] = second["nextForwardToken"].clone();
            let end = get(state, &request).expect("the end");
            assert!(messages(&end).is_empty());
            assert_eq!(end["nextForwardToken"], request["nextToken"]);

            let now = state.now;
            write(state, "/ecs/auth", "app/app/1", now, "a late line");
            assert_eq!(messages(&get(state, &request).expect("a page")), ["a late line"]);
        });
    }

    #[tokio::test(start_paused = true)]
    async fn reads_the_tail_and_goes_backward() {
        let world = world_with_lines(5);
        world.with(|state| {
            let mut request = json!({ "logGroupName": "/ecs/auth", "logStreamName": "app/app/1", "limit": 2 });
            let tail = get(state, &request).expect("a page");
            assert_eq!(messages(&tail), ["line 3", "line 4"]);
            request["nextToken"] = tail["nextBackwardToken"].clone();
            assert_eq!(messages(&get(state, &request).expect("a page")), ["line 1", "line 2"]);
        });
    }

    #[tokio::test(start_paused = true)]
    async fn names_what_does_not_exist() {
        let world = world_with_lines(1);
        world.with(|state| {
            let refusal = |state: &mut State, group: &str, stream: &str| {
                let body = json!({ "logGroupName": group, "logStreamName": stream });
                answer(state, "GetLogEvents", &body).expect_err("nothing there")
            };
            assert_eq!(refusal(state, "/ecs/web", "x").message, "The specified log group does not exist.");
            assert_eq!(refusal(state, "/ecs/auth", "x").message, "The specified log stream does not exist.");
            assert_eq!(refusal(state, "/ecs/auth", "x").code, "ResourceNotFoundException");
            let again = answer(state, "CreateLogGroup", &json!({ "logGroupName": "/ecs/auth" })).expect_err("exists");
            assert_eq!(again.code, "ResourceAlreadyExistsException");
        });
    }

    #[test]
    fn matches_terms() {
        #[track_caller]
        fn check(pattern: &str, line: &str, expected: bool) {
            assert_eq!(matches(pattern, line), expected, "{pattern} on {line}");
        }
        check("", "anything", true);
        check("ERROR", "an ERROR here", true);
        check("ERROR fatal", "an ERROR here", false);
        check("?ERROR ?WARN", "a WARN here", true);
        check("?ERROR ?WARN", "all well", false);
        check("\"no such column\" -retry", "no such column x", true);
        check("\"no such column\" -retry", "no such column x, will retry", false);
    }
}
