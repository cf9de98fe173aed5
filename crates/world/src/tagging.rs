//! Resource Groups Tagging: what has which tag. Of the world's resources, alarms have tags here.
//!
//! API: <https://docs.aws.amazon.com/resourcegroupstagging/latest/APIReference/API_GetResources.html>

use serde_json::{Value, json};

use crate::cloudwatch;
use crate::state::State;
use crate::wire::{self, Refusal};

/// How many resources a page holds, unless the caller says otherwise.
const PAGE: usize = 50;

/// Answers an operation of the API.
pub(crate) fn answer(state: &State, operation: &str, body: &Value) -> Result<Value, Refusal> {
    match operation {
        "GetResources" => get_resources(state, body),
        _ => {
            let message = format!("Resource Groups Tagging has no operation {operation} in this world");
            Err(Refusal::new("UnknownOperationException", message))
        }
    }
}

fn get_resources(state: &State, body: &Value) -> Result<Value, Refusal> {
    let invalid = |message: &str| Refusal::new("InvalidParameterException", message);
    let size = match body["ResourcesPerPage"].as_u64() {
        None => PAGE,
        Some(size @ 1..=100) => usize::try_from(size).unwrap_or(PAGE),
        Some(_) => return Err(invalid("ResourcesPerPage must be from 1 to 100")),
    };
    let listed = |member: &Value| member.as_array().cloned().unwrap_or_default();
    let types = listed(&body["ResourceTypeFilters"]);
    let is_of_type =
        types.is_empty() || types.iter().any(|wanted| wanted == "cloudwatch" || wanted == "cloudwatch:alarm");
    let filters = listed(&body["TagFilters"]);
    let mut found = Vec::new();
    for (arn, tags) in cloudwatch::tagged(state).filter(|_| is_of_type) {
        // All keys have to be there, each with one of its values, or any where none is named.
        let is_wanted = filters.iter().all(|filter| {
            let values = listed(&filter["Values"]);
            let value = filter["Key"].as_str().and_then(|key| tags.get(key));
            value.is_some_and(|value| values.is_empty() || values.iter().any(|wanted| wanted == value))
        });
        if is_wanted {
            let tags: Vec<Value> = tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect();
            found.push(json!({ "ResourceARN": arn, "Tags": tags }));
        }
    }
    let token = body["PaginationToken"].as_str().filter(|token| !token.is_empty());
    let (page, next) = wire::page(found, size, token).ok_or_else(|| {
        Refusal::new("PaginationTokenExpiredException", "The pagination token is expired. Start again without one.")
    })?;
    // The last page has an empty token, and not none.
    Ok(json!({ "ResourceTagMappingList": page, "PaginationToken": next.unwrap_or_default() }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::World;

    fn found(world: &World, body: Value) -> (Vec<String>, String) {
        let answer = world.with(|state| answer(state, "GetResources", &body)).expect("resources");
        let name =
            |found: &Value| found["ResourceARN"].as_str().unwrap_or_default().rsplit(':').next().map(str::to_owned);
        let names = answer["ResourceTagMappingList"].as_array().into_iter().flatten().filter_map(name).collect();
        (names, answer["PaginationToken"].as_str().unwrap_or("none").to_owned())
    }

    #[test]
    fn what_is_tagged_is_found_by_key_and_value() {
        let world = World::new();
        for (name, service) in [("auth-errors", "auth"), ("auth-latency", "auth"), ("web-errors", "web")] {
            world.set_alarm(name, "OK");
            world.tag_alarm(name, "service", service);
        }
        world.set_alarm("nobody's", "OK");
        world.tag_alarm("auth-errors", "severity", "high");
        let check = |body: Value, expected: &[&str]| {
            assert_eq!(
                found(&world, body.clone()),
                (expected.iter().map(ToString::to_string).collect(), String::new()),
                "{body}"
            );
        };
        let service = |values: Value| json!({ "Key": "service", "Values": values });
        let severity = json!({ "Key": "severity" });
        check(json!({ "TagFilters": [service(json!(["auth"]))] }), &["auth-errors", "auth-latency"]);
        check(
            json!({ "TagFilters": [service(json!(["auth", "web"]))] }),
            &["auth-errors", "auth-latency", "web-errors"],
        );
        check(json!({ "TagFilters": [service(json!(["auth"])), severity] }), &["auth-errors"]);
        check(json!({ "TagFilters": [service(json!(["Auth"]))] }), &[]);
        check(json!({ "ResourceTypeFilters": ["cloudwatch:alarm"] }), &["auth-errors", "auth-latency", "web-errors"]);
        check(json!({ "ResourceTypeFilters": ["ecs:service"] }), &[]);
    }

    #[test]
    fn a_listing_is_paged_and_ends_with_an_empty_token() {
        let world = World::new();
        for name in ["one", "three", "two"] {
            world.set_alarm(name, "OK");
            world.tag_alarm(name, "service", "auth");
        }
        let (names, token) = found(&world, json!({ "ResourcesPerPage": 2 }));
        assert_eq!(names, ["one", "three"]);
        assert_eq!(
            found(&world, json!({ "ResourcesPerPage": 2, "PaginationToken": token })),
            (vec!["two".to_owned()], String::new())
        );
        for (body, code) in [
            (json!({ "ResourcesPerPage": 101 }), "InvalidParameterException"),
            (json!({ "PaginationToken": "x" }), "PaginationTokenExpiredException"),
        ] {
            let refused = world.with(|state| answer(state, "GetResources", &body)).unwrap_err();
            assert_eq!(refused.code, code);
        }
    }
}
