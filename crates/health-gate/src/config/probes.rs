//! What to ask over HTTP, and what its answer has to be.

use std::num::NonZeroU32;

use bytes::Bytes;
use common::delivery::{Addresses, Health};
use common::failure::Failure;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::variables::Variables;
use crate::condition::Condition;
use crate::inputs::{Lines, Overrides};
use crate::probe::{Distinct, Probe};

/// The probes of a target: its URL's, and those of its smoke test. All that is wrong with them is told at once.
pub(super) fn read(health: &Health, overrides: &Overrides, variables: &Variables) -> Result<Vec<Probe>, Failure> {
    let mut failures = Vec::new();
    let main = main(health, overrides, variables, &mut failures);
    let (place, smoke) = match &overrides.smoke {
        Some(Lines(lines)) => ("input `smoke`", lines.clone()),
        None => ("`smoke`", health.smoke.iter().map(|url| url.as_str().to_owned()).collect()),
    };
    let mut probes: Vec<Probe> = main.into_iter().collect();
    for url in &smoke {
        match (variables.url(url), "status < 400".parse::<Condition>()) {
            (Ok(url), Ok(condition)) => probes.push(Probe {
                url,
                method: Method::GET,
                headers: HeaderMap::new(),
                body: Bytes::new(),
                conditions: vec![condition],
                limit: overrides.request_timeout.unwrap_or_else(|| health.timeout.get()),
                addresses: Addresses::One,
                distinct: None,
                is_smoke: true,
            }),
            (Err(failure), _) => failures.push(failure.context(place)),
            (_, Err(mistake)) => failures.push(Failure::bug(mistake)),
        }
    }
    Failure::all(failures).map_or(Ok(probes), Err)
}

/// The probe of the target's URL; `None` if it has none, or something is wrong with it.
fn main(health: &Health, overrides: &Overrides, variables: &Variables, failures: &mut Vec<Failure>) -> Option<Probe> {
    let Some(url) = overrides.url.as_deref().or_else(|| health.url.as_ref().map(|url| url.as_str())) else {
        if overrides.expect.is_some() {
            let failure = Failure::input("input `expect`: there is no URL whose answer could be as expected");
            failures.push(failure.hint("set the input `url`, or `url` under `health` in delivery.toml"));
        }
        return None;
    };
    let conditions = conditions(health, overrides, variables, failures);
    let mut kept = |place: &str, failure: Failure| failures.push(failure.context(place.to_owned()));
    let url = variables.url(url).map_err(|failure| kept("`url`", failure));
    let method = overrides.method.as_ref().or(health.method.as_ref()).map_or("GET", String::as_str);
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| {
        let failure = Failure::input(format!("`{method}` is not a method"));
        kept("`method`", failure.hint("write it as `GET` or `POST`"));
    });
    let headers = headers(health, overrides, variables).map_err(|failure| kept("`headers`", failure));
    let body = overrides.body.as_deref().or_else(|| health.body.as_ref().map(|body| body.as_str()));
    let body = variables.fill(body.unwrap_or_default()).map_err(|failure| kept("`body`", failure));
    let distinct = distinct(health, overrides).map_err(|failure| kept("`distinct-by`", failure));
    Some(Probe {
        url: url.ok()?,
        method: method.ok()?,
        headers: headers.ok()?,
        body: body.ok()?.into(),
        conditions,
        limit: overrides.request_timeout.unwrap_or_else(|| health.timeout.get()),
        addresses: overrides.addresses.unwrap_or(health.addresses),
        distinct: distinct.ok()?,
        is_smoke: false,
    })
}

fn conditions(
    health: &Health,
    overrides: &Overrides,
    variables: &Variables,
    failures: &mut Vec<Failure>,
) -> Vec<Condition> {
    let (place, expect) = match &overrides.expect {
        Some(Lines(lines)) => ("input `expect`", lines.clone()),
        None => ("`expect`", health.expect.iter().map(|template| template.as_str().to_owned()).collect()),
    };
    let mut conditions: Vec<Condition> = Vec::new();
    for (number, line) in (1..).zip(&expect) {
        let condition = variables.fill(line).and_then(|line| line.parse().map_err(Failure::input));
        match condition {
            Ok(condition) => conditions.push(condition),
            Err(failure) => failures.push(failure.context(format!("{place}, line {number}"))),
        }
    }
    conditions
}

fn headers(health: &Health, overrides: &Overrides, variables: &Variables) -> Result<HeaderMap, Failure> {
    let given: Vec<(String, String)> = match &overrides.headers {
        Some(Lines(lines)) => lines
            .iter()
            .map(|line| match line.split_once(':') {
                Some((name, value)) => Ok((name.trim().to_owned(), value.trim().to_owned())),
                None => Err(Failure::input(format!("`{line}` is not a header")).hint("write it as `name: value`")),
            })
            .collect::<Result<_, _>>()?,
        None => health.headers.iter().map(|(name, value)| (name.clone(), value.as_str().to_owned())).collect(),
    };
    let mut headers = HeaderMap::new();
    for (name, value) in given {
        let value = variables.fill(&value)?;
        match (name.parse::<HeaderName>(), HeaderValue::try_from(value)) {
            (Ok(name), Ok(mut value)) => {
                value.set_sensitive(true);
                headers.append(name, value);
            }
            _ => return Err(Failure::input(format!("`{name}` cannot be sent as a header"))),
        }
    }
    Ok(headers)
}

fn distinct(health: &Health, overrides: &Overrides) -> Result<Option<Distinct>, Failure> {
    let count = overrides.distinct.or(health.distinct).map(NonZeroU32::get);
    let by = overrides.distinct_by.as_deref().or_else(|| health.distinct_by.as_ref().map(|by| by.as_str()));
    match (count, by) {
        (None, None) => Ok(None),
        (Some(count), Some(by)) => {
            let count = usize::try_from(count).map_err(Failure::bug)?;
            Ok(Some(Distinct { count, by: by.parse().map_err(Failure::input)? }))
        }
        _ => Err(Failure::input("`distinct` and `distinct-by` belong together")
            .hint("say how many instances, and what tells them apart: `distinct: 3`, `distinct-by: json(/task)`")),
    }
}
