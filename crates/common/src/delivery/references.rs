//! What the parts of a delivery file say of each other.
//!
//! These checks look at the tables as they are written, not at the model: a service that has a mistake of its own still
//! has its place in the order.

use std::collections::{BTreeMap, VecDeque};

use indexmap::{IndexMap, IndexSet};

use super::read::suggest;
use super::section::Section;
use super::template::VARIABLES;

/// Notes every mistake that only the whole file shows.
pub(super) fn check(file: &Section<'_>) {
    let environments = file.sections("environments");
    let services = file.sections("services");
    for key in ["environments", "services"] {
        if file.section(key).map_or(!file.has(key), |table| table.keys().next().is_none()) {
            file.problem(key, &format!("there are none: add a table `[{key}.NAME]`"));
        }
    }
    refuse_same_branches(&environments);
    refuse_same_ecs_services(&services);
    for key in ["after", "depends-on"] {
        refuse_unknown_services(file, &services, key);
        refuse_cycles(&services, key);
    }
    refuse_unknown_variables(file, &environments);
}

/// A branch that two environments follow would be delivered to the first, and nobody would know why.
fn refuse_same_branches(environments: &[Section<'_>]) {
    let mut followers: BTreeMap<String, &str> = BTreeMap::new();
    for environment in environments {
        let Some(branch) = environment.peek::<String>("branch") else { continue };
        match followers.get(&branch) {
            Some(first) => environment.problem("branch", &format!("[{first}] follows `{branch}` already")),
            None => drop(followers.insert(branch, environment.name())),
        }
    }
}

fn refuse_same_ecs_services(services: &[Section<'_>]) {
    let mut owners: BTreeMap<String, &str> = BTreeMap::new();
    for service in services {
        let name = service.peek::<String>("service").unwrap_or_else(|| service.key().to_owned());
        match owners.get(&name) {
            Some(first) => service.problem("service", &format!("[{first}] is the ECS service `{name}` already")),
            None => drop(owners.insert(name, service.name())),
        }
    }
}

fn refuse_unknown_services(file: &Section<'_>, services: &[Section<'_>], key: &str) {
    let known: Vec<&str> =
        file.section("services").map(|table| table.keys().map(|(key, _)| key).collect()).unwrap_or_default();
    for service in services {
        for (name, offset) in others(service, key).into_iter().filter(|(name, _)| !known.contains(name)) {
            let others = known.iter().copied().filter(|known| *known != service.key());
            service.problem_at(offset, key, &format!("there is no service `{name}`: {}", suggest(name, others)));
        }
    }
}

/// The services that one names by a key. It depends on those whose images it is built from, too.
fn others<'a>(service: &Section<'a>, key: &str) -> Vec<(&'a str, usize)> {
    let mut others = service.texts(key);
    if key == "depends-on"
        && let Some(contexts) = service.section("build").and_then(|build| build.section("contexts"))
    {
        let named = contexts.values().filter_map(|(text, offset)| Some((text.strip_prefix("service:")?, offset)));
        others.extend(named);
    }
    others
}

fn refuse_cycles(services: &[Section<'_>], key: &str) {
    let edges: IndexMap<&str, Vec<&str>> = services
        .iter()
        .map(|service| (service.key(), others(service, key).into_iter().map(|(name, _)| name).collect()))
        .collect();
    let mut told: Vec<&str> = Vec::new();
    for service in services {
        let Some(cycle) = cycle_through(service.key(), &edges).filter(|cycle| !told.contains(&cycle[0])) else {
            continue;
        };
        let circle = cycle.iter().chain([&cycle[0]]).copied().collect::<Vec<_>>().join(" → ");
        service.problem(key, &format!("it goes in a circle: {circle}"));
        told.extend(cycle);
    }
}

/// The shortest way from a service back to itself, without its return.
fn cycle_through<'a>(start: &'a str, edges: &IndexMap<&'a str, Vec<&'a str>>) -> Option<Vec<&'a str>> {
    let mut paths = VecDeque::from([vec![start]]);
    let mut seen = Vec::new();
    while let Some(path) = paths.pop_front() {
        for next in path.last().and_then(|last| edges.get(last)).into_iter().flatten().copied() {
            if next == start {
                return Some(path);
            }
            if !seen.contains(&next) {
                seen.push(next);
                paths.push_back(path.iter().copied().chain([next]).collect());
            }
        }
    }
    None
}

/// A service is delivered to every environment, so every environment has to know its variables.
fn refuse_unknown_variables(file: &Section<'_>, environments: &[Section<'_>]) {
    let variables = |environment: &Section<'_>| -> Vec<String> {
        let table = environment.section("variables");
        table.map(|table| table.keys().map(|(key, _)| key.to_owned()).collect()).unwrap_or_default()
    };
    let known: Vec<(&str, Vec<String>)> =
        environments.iter().map(|environment| (environment.key(), variables(environment))).collect();
    let anywhere: IndexSet<&str> =
        VARIABLES.into_iter().chain(known.iter().flat_map(|(_, names)| names.iter().map(String::as_str))).collect();
    for used in file.notes().variables_used() {
        if VARIABLES.contains(&used.name.as_str()) {
            continue;
        }
        let without: Vec<&str> = known
            .iter()
            .filter(|(_, names)| !names.contains(&used.name))
            .map(|(environment, _)| *environment)
            .collect();
        let message = match without.as_slice() {
            [] if !known.is_empty() => continue,
            some if some.len() < known.len() => {
                format!("`${{{}}}` is not among the `variables` of environment `{}`", used.name, some.join("`, `"))
            }
            _ => format!("unknown variable `${{{}}}`: {}", used.name, suggest(&used.name, anywhere.iter().copied())),
        };
        file.notes().problem(used.offset, format!("{}: {message}", used.place));
    }
}
