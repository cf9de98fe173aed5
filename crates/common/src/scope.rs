//! What a run is about, resolved from the shared inputs, the delivery file and the event: strings end here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::aws::Place;
use crate::delivery::{Delivery, Environment, Service};
use crate::edges::Edges;
use crate::failure::Failure;
use crate::inputs::CommonInputs;
use crate::names::{ClusterName, CommitSha, EnvironmentName, ServiceKey, ServiceName};

/// What a run is about.
#[derive(Clone, Debug)]
pub struct Scope {
    /// The checkout.
    pub workspace: PathBuf,
    /// The delivery file; `None` where the action works from its other inputs alone.
    pub delivery: Option<Delivery>,
    /// The environment to deliver to; `None` where none was named and the branch is nobody's.
    pub environment: Option<(EnvironmentName, Environment)>,
    /// The services to act on: those named, or all of the delivery file.
    pub services: Vec<ServiceKey>,
    /// The commit to deliver; `None` outside of a workflow when none was named.
    pub commit: Option<CommitSha>,
    /// Where in AWS to work, and as whom.
    pub place: Place,
}

impl Scope {
    /// Resolves the shared inputs. All that is wrong with the delivery file is one failure.
    pub fn resolve(inputs: &CommonInputs, edges: &Edges) -> Result<Self, Failure> {
        let environment = edges.runner.environment();
        let workspace = environment.workspace();
        let delivery = read_delivery(&workspace, &inputs.config)?;
        let named = named_environment(inputs, edges, delivery.as_ref())?;
        let asked = inputs.services.as_ref().map(|list| list.0.clone());
        let services = match (&delivery, asked) {
            // None at all was asked for: nothing is affected.
            (_, Some(asked)) if asked.is_empty() => Vec::new(),
            (Some(delivery), asked) => delivery.select(&asked.unwrap_or_default())?.into_iter().cloned().collect(),
            (None, asked) => asked.unwrap_or_default(),
        };
        let settings = named.as_ref().map(|(_, environment)| environment);
        let place = Place {
            region: inputs.aws_region.clone().or_else(|| settings.and_then(|settings| settings.region.clone())),
            role: inputs.role_to_assume.clone().or_else(|| settings.and_then(|settings| settings.role.clone())),
            allowed_accounts: match &inputs.allowed_account_ids {
                Some(list) => list.0.clone(),
                None => settings.and_then(|settings| settings.account.clone()).into_iter().collect(),
            },
        };
        Ok(Self { workspace, delivery, environment: named, services, commit: commit(inputs, edges)?, place })
    }

    /// The services to act on: those of the delivery file that were asked for; without one, the one that the input
    /// `service` names. `of_one` is an input that was given and speaks of one service: several are refused then.
    pub fn targets(&self, service: Option<&ServiceName>, of_one: Option<&str>) -> Result<Vec<ServiceKey>, Failure> {
        match (self.services.as_slice(), service, of_one) {
            ([], Some(service), _) => Ok(vec![service.as_str().parse().map_err(Failure::input)?]),
            ([], None, _) => {
                self.require_delivery("set the inputs `cluster` and `service`")?;
                Ok(Vec::new())
            }
            ([_, _, ..], _, Some(input)) => Err(Failure::input(format!(
                "input `{input}` speaks of one service, and there are {} to act on",
                self.services.len()
            ))
            .hint("name that one in the input `services`")),
            (services, _, _) => Ok(services.to_vec()),
        }
    }

    /// What the delivery file says of a service.
    pub fn declared(&self, key: &ServiceKey) -> Option<&Service> {
        self.delivery.as_ref()?.services.get(key)
    }

    /// The ECS service behind a key: the one that was named, the delivery file's, or the one of the same name.
    pub fn ecs_service(&self, key: &ServiceKey, named: Option<&ServiceName>) -> ServiceName {
        match (named, self.declared(key)) {
            (Some(named), _) => named.clone(),
            (None, Some(declared)) => declared.ecs_service(key),
            (None, None) => key.into(),
        }
    }

    /// The cluster to deliver to: the one that was named, or the environment's.
    pub fn cluster(&self, named: Option<ClusterName>) -> Result<ClusterName, Failure> {
        match (named, &self.environment, &self.delivery) {
            (Some(cluster), _, _) => Ok(cluster),
            (None, Some((_, environment)), _) => Ok(environment.cluster.clone()),
            (None, None, Some(delivery)) => {
                let known: Vec<&str> = delivery.environments.keys().map(EnvironmentName::as_str).collect();
                Err(Failure::input("no environment was named, and the run's branch is none's")
                    .hint(format!("set the input `environment` to one of `{}`", known.join("`, `"))))
            }
            (None, None, None) => {
                Err(Failure::input("there is no delivery.toml in the workspace, and the input `cluster` is blank")
                    .hint(
                        "run actions/checkout before this step and add delivery.toml, or set `cluster` and `service`",
                    ))
            }
        }
    }

    /// What `${NAME}` stands for when this service is delivered: the environment's variables and our own, as far as they are
    /// known without asking AWS. `IMAGE` never is.
    pub fn variables(&self, service: &ServiceKey) -> BTreeMap<String, String> {
        let mut variables = BTreeMap::from([("SERVICE".to_owned(), service.to_string())]);
        if let Some((name, environment)) = &self.environment {
            variables.insert("ENVIRONMENT".to_owned(), name.to_string());
            variables.extend(environment.account.iter().map(|account| ("ACCOUNT".to_owned(), account.to_string())));
            variables.extend(environment.variables.iter().map(|(name, value)| (name.to_string(), value.clone())));
        }
        variables.extend(self.place.region.iter().map(|region| ("REGION".to_owned(), region.to_string())));
        variables.extend(self.commit.iter().map(|commit| ("COMMIT".to_owned(), commit.to_string())));
        variables
    }

    /// The commit to deliver, where there is no doing without.
    pub fn require_commit(&self) -> Result<&CommitSha, Failure> {
        self.commit.as_ref().ok_or_else(|| {
            Failure::input("no commit is known")
                .hint("set the input `commit`: outside of a workflow there is no event to take it from")
        })
    }

    /// The delivery file, where there is no doing without.
    pub fn require_delivery(&self, instead: &str) -> Result<&Delivery, Failure> {
        self.delivery.as_ref().ok_or_else(|| {
            Failure::input("there is no delivery.toml in the workspace")
                .hint(format!("run actions/checkout before this step and add delivery.toml, or {instead}"))
        })
    }
}

fn read_delivery(workspace: &Path, file: &str) -> Result<Option<Delivery>, Failure> {
    let is_asked_for = file != "delivery.toml";
    match std::fs::read_to_string(workspace.join(file)) {
        Ok(text) => Delivery::read(&text, file).map(Some),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !is_asked_for => Ok(None),
        Err(error) => Err(Failure::input(error)
            .context(format!("read `{file}`"))
            .hint("check the input `config`: its path is relative to the workspace, which actions/checkout fills")),
    }
}

/// The environment that was named, or the one that the run's branch delivers to.
fn named_environment(
    inputs: &CommonInputs,
    edges: &Edges,
    delivery: Option<&Delivery>,
) -> Result<Option<(EnvironmentName, Environment)>, Failure> {
    let environment = edges.runner.environment();
    let Some(delivery) = delivery else { return Ok(None) };
    let branch = environment.get("GITHUB_REF_NAME").filter(|_| environment.get("GITHUB_REF_TYPE") != Some("tag"));
    let name = match (&inputs.environment, branch) {
        (Some(name), _) => Some(name.clone()),
        (None, Some(branch)) => delivery.for_branch(branch),
        (None, None) => None,
    };
    name.map(|name| Ok((name.clone(), delivery.environment(&name)?.clone()))).transpose()
}

/// The commit that was named, or the event's: on a pull request the tip of its branch, for GitHub's merge commit is in
/// nobody's history.
fn commit(inputs: &CommonInputs, edges: &Edges) -> Result<Option<CommitSha>, Failure> {
    if let Some(text) = &inputs.commit {
        return text.parse().map(Some).map_err(|error| Failure::input(format!("input `commit`: {error}")));
    }
    let event = edges.event()?;
    let environment = edges.runner.environment();
    let text = event.pull_request_head().or_else(|| environment.get("GITHUB_SHA"));
    text.map(|text| text.parse().map_err(|error| Failure::input(format!("the event's commit: {error}")))).transpose()
}
