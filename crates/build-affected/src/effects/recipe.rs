//! How each image is built: settled for all of them before the first is begun, so that what is missing is told at once.

use std::collections::BTreeMap;

use common::delivery::{ContextSource, ImagePolicy, RelativePath};
use common::docker::{Build, Cache, KEY, REVISION, SOURCE};
use common::edges::Edges;
use common::failure::Failure;
use common::git::Git;
use common::names::{CommitSha, Secret, ServiceKey};
use jiff::Timestamp;

use super::cache::REPOSITORY;
use crate::config::Config;
use crate::facts::Service;
use crate::inputs;
use crate::plan::Plan;

/// The moment that an image was made: its commit's (OCI image specification, "Pre-Defined Annotation Keys").
const CREATED: &str = "org.opencontainers.image.created";
const TITLE: &str = "org.opencontainers.image.title";
const VERSION: &str = "org.opencontainers.image.version";

/// How one image is built, and what it has to be then.
#[derive(Clone, Debug)]
pub(crate) struct Recipe {
    /// All but the images that it is made of, which are not there yet.
    pub(crate) build: Build,
    /// What its Dockerfile means by a name.
    pub(crate) sources: BTreeMap<String, Source>,
    pub(crate) policy: ImagePolicy,
}

/// What a Dockerfile means by the name of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// A folder of the workspace.
    Folder(RelativePath),
    /// The image of a service, as it is now.
    Service(ServiceKey),
    /// An image.
    Image(String),
}

impl Recipe {
    /// The services whose images it needs.
    pub(super) fn services(&self) -> impl Iterator<Item = &ServiceKey> {
        self.sources.values().filter_map(|source| match source {
            Source::Service(key) => Some(key),
            Source::Folder(_) | Source::Image(_) => None,
        })
    }
}

/// How each image is built that the plan asks for, and each that one of them is made of. All that is missing is one failure.
pub(crate) fn recipes(
    config: &Config,
    plan: &Plan,
    edges: &Edges,
    cache: &Cache,
) -> Result<BTreeMap<ServiceKey, Recipe>, Failure> {
    let time = Git::open(&config.workspace)?.commit_time(&plan.head)?;
    let kitchen = Kitchen { config, head: &plan.head, time, edges, cache };
    let (mut recipes, mut failures) = (BTreeMap::new(), Vec::new());
    for service in needed(plan) {
        match kitchen.recipe(service) {
            Ok(recipe) => drop(recipes.insert(service.key.clone(), recipe)),
            Err(failure) => failures.push(failure.context(format!("service `{}`", service.key))),
        }
    }
    Failure::all(failures).map_or(Ok(recipes), Err)
}

/// The affected services, and those whose images they are made of.
fn needed(plan: &Plan) -> Vec<&Service> {
    let mut needed: Vec<&Service> = plan.affected().map(|candidate| &candidate.service).collect();
    let mut at = 0;
    while let Some(service) = needed.get(at).copied() {
        let made_of = service.bases.values().chain(service.build.services());
        let found = made_of.filter_map(|key| plan.services.iter().find(|candidate| candidate.service.key == *key));
        let found: Vec<&Service> = found.map(|candidate| &candidate.service).collect();
        let new = found.into_iter().filter(|other| !needed.iter().any(|known| known.key == other.key));
        let new: Vec<&Service> = new.collect();
        needed.extend(new);
        at += 1;
    }
    needed
}

/// What all recipes share.
struct Kitchen<'a> {
    config: &'a Config,
    head: &'a CommitSha,
    time: Timestamp,
    edges: &'a Edges,
    cache: &'a Cache,
}

impl Kitchen<'_> {
    fn recipe(&self, service: &Service) -> Result<Recipe, Failure> {
        let settings = &service.build;
        let sources = settings.contexts.iter().map(|(name, source)| {
            let source = match source {
                ContextSource::Folder(path) => Source::Folder(path.clone()),
                ContextSource::Service(key) => Source::Service(key.clone()),
                ContextSource::Image(image) => Source::Image(image.clone()),
            };
            (name.to_string(), source)
        });
        let bases = service.bases.iter().map(|(name, key)| (name.clone(), Source::Service(key.clone())));
        let (arguments, secrets) = (self.arguments(service), self.secrets(service));
        let (arguments, secrets) = match (arguments, secrets) {
            (Ok(arguments), Ok(secrets)) => (arguments, secrets),
            (Err(one), Err(other)) => return Err(Failure::all([one, other]).unwrap_or_else(unexplained)),
            (Err(failure), Ok(_)) | (Ok(_), Err(failure)) => return Err(failure),
        };
        let build = Build {
            context: self.config.workspace.join(&service.source.context),
            dockerfile: self.config.workspace.join(&service.source.dockerfile),
            dockerfile_name: service.source.dockerfile.clone(),
            reference: format!("{}:{}", service.source.repository, self.head),
            target: settings.target.clone(),
            arguments,
            images: BTreeMap::new(),
            contexts: settings.contexts.keys().map(ToString::to_string).collect(),
            secrets,
            labels: self.labels(service),
            platform: settings.platform.map(|platform| platform.to_string()),
            epoch: Some(self.time.as_second()),
            cache: self.cache_of(service),
        };
        let policy = match &self.config.delivery {
            Some(delivery) => delivery.image_policy_of(&service.key),
            None => self.config.policy.clone(),
        };
        Ok(Recipe { build, sources: bases.chain(sources).collect(), policy })
    }

    fn arguments(&self, service: &Service) -> Result<BTreeMap<String, String>, Failure> {
        let known = self.config.variables.get(&service.key);
        let lookup = |name: &str| match name {
            "COMMIT" => Some(self.head.to_string()),
            "SERVICE" => Some(service.key.to_string()),
            name => known.and_then(|known| known.get(name).cloned()),
        };
        let (mut arguments, mut failures) = (BTreeMap::new(), Vec::new());
        for (name, template) in &service.build.arguments {
            match template.render(lookup) {
                Ok(value) => drop(arguments.insert(name.to_string(), value)),
                Err(unknown) => failures.push(
                    Failure::input(format!("build argument `{name}`: nothing is known of `${{{}}}`", unknown.name))
                        .hint("name the environment in the input `environment`, or leave the variable out: an image is built once for all of them"),
                ),
            }
        }
        Failure::all(failures).map_or(Ok(arguments), Err)
    }

    fn secrets(&self, service: &Service) -> Result<BTreeMap<String, Secret>, Failure> {
        let environment = self.edges.runner.environment();
        let (mut secrets, mut failures) = (BTreeMap::new(), Vec::new());
        for (id, variable) in &service.build.secrets {
            match environment.secret(variable.as_str()) {
                Some(secret) => {
                    self.edges.runner.mask(&secret);
                    secrets.insert(id.to_string(), secret);
                }
                None => failures.push(
                    Failure::input(format!("build secret `{id}`: the environment variable `{variable}` is blank"))
                        .hint(format!("give it to the step: `env: {{ {variable}: ${{{{ secrets.{variable} }}}} }}`")),
                ),
            }
        }
        Failure::all(failures).map_or(Ok(secrets), Err)
    }

    fn labels(&self, service: &Service) -> BTreeMap<String, String> {
        let mut labels = BTreeMap::from([
            (REVISION.to_owned(), self.head.to_string()),
            (CREATED.to_owned(), self.time.to_string()),
            (TITLE.to_owned(), service.key.to_string()),
            (VERSION.to_owned(), self.head.to_string()),
        ]);
        labels.extend(self.config.source.iter().map(|source| (SOURCE.to_owned(), source.clone())));
        labels.insert(KEY.to_owned(), service.content_key.clone());
        labels
    }

    /// Each service has a cache of its own: its repository's.
    fn cache_of(&self, service: &Service) -> Cache {
        match (self.config.cache, self.cache) {
            (inputs::Cache::None, _) => Cache::None,
            (_, Cache::Registry { images: registries, logins }) => Cache::Registry {
                images: registries.iter().map(|place| place.replace(REPOSITORY, &service.source.repository)).collect(),
                logins: logins.clone(),
            },
            _ => Cache::Engine,
        }
    }
}

fn unexplained() -> Failure {
    Failure::bug("a recipe was refused without a reason")
}
