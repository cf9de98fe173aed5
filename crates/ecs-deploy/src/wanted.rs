//! What every service is to run, as JSON, before anybody decides what to do about it. Pure.

use std::collections::BTreeMap;

use common::failure::Failure;
use common::names::ServiceKey;
use common::task_definition::{Source, registrable};
use serde_json::Value;

use crate::config::{Config, Target, Want};
use crate::facts::{Facts, ServiceFacts, image_source};

/// What every service is to run, or why that cannot be said.
pub(crate) type Wanted = BTreeMap<ServiceKey, Result<Value, Failure>>;

/// What stands for an image where none is known: Docker's own word for none, which no registry is asked for.
const NO_IMAGE: &str = "scratch";

/// Fills in every task definition.
pub(crate) fn render(config: &Config, facts: &Facts) -> Wanted {
    let rendered = config.targets().filter_map(|target| {
        let service = facts.services.get(&target.key)?;
        Some((target.key.clone(), definition(target, service, facts)))
    });
    rendered.collect()
}

/// The task definitions that are going to be registered or started anew: what has to be checked before.
pub(crate) fn to_check(wanted: &Wanted) -> Vec<(ServiceKey, Value)> {
    let known = wanted.iter().filter_map(|(key, definition)| Some((key, definition.as_ref().ok()?)));
    known.map(|(key, definition)| (key.clone(), registrable(definition.clone()))).collect()
}

/// The image in the container that is delivered.
pub(crate) fn image<'a>(definition: &'a Value, target: &Target) -> Option<&'a str> {
    let containers = definition["containerDefinitions"].as_array()?;
    let container = match &target.container {
        Some(name) => containers.iter().find(|container| container["name"] == name.as_str()),
        None => containers.first(),
    };
    container?["image"].as_str()
}

fn definition(target: &Target, facts: &ServiceFacts, all: &Facts) -> Result<Value, Failure> {
    let running = facts.running.as_ref().unwrap_or(&Value::Null);
    let release = all.release.as_ref();
    match &target.want {
        Want::Running => Ok(running.clone()),
        Want::Earlier => match (&facts.existing, release) {
            (Some(earlier), _) => Ok(earlier.clone()),
            (None, Some(release)) => Err(Failure::input(format!("release {} has no such service", release.release))
                .hint("name the services to roll back in the input `services`, or choose another release with `to`")),
            (None, None) => Err(Failure::input(
                "there is nothing to go back to: ECS remembers no earlier deployment that succeeded",
            )
            .hint("deploy a revision that is known to be good with the input `task-definition`")),
        },
        Want::Content { source, image, variables } => {
            let image = image.reference(&facts.image)?;
            fill_in(target, source, facts, running, image.as_deref(), variables)
        }
        Want::Prepared { source, variables } => {
            let stand_in = image(running, target).unwrap_or(NO_IMAGE);
            let image = matches!(source, Source::File(_)).then_some(stand_in);
            fill_in(target, source, facts, running, image, variables)
        }
        Want::Promoted { source, variables, .. } => {
            let placed = release.and_then(|release| Some((release, release.services.get(&target.key)?)));
            let Some((release, placed)) = placed else {
                return Err(Failure::input("the release that is promoted does not have this service")
                    .hint("leave it out of the input `services`, or deploy it to that environment first"));
            };
            let image = image_source(target, Some(release)).reference(&facts.image)?;
            let mut variables = variables.clone();
            let commit = placed.commit.as_ref().or(release.commit.as_ref());
            variables.extend(commit.map(|commit| ("COMMIT".to_owned(), commit.to_string())));
            fill_in(target, source, facts, running, image.as_deref(), &variables)
        }
    }
}

fn fill_in(
    target: &Target,
    source: &Source,
    facts: &ServiceFacts,
    running: &Value,
    image: Option<&str>,
    variables: &BTreeMap<String, String>,
) -> Result<Value, Failure> {
    source.render(running, facts.existing.as_ref(), image, target.container.as_ref(), variables)
}
