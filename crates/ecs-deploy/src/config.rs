//! What the caller meant: every string is checked here, every file read, and nothing has left the process yet.

use std::collections::BTreeMap;
use std::time::Duration;

use common::aws::Place;
use common::edges::Edges;
use common::failure::Failure;
use common::image::ImageSource;
use common::names::{ClusterName, CommitSha, ContainerName, ServiceKey, ServiceName};
use common::scope::Scope;
use common::task_definition::Source;

use crate::inputs::Inputs;

/// A deployment, as the caller meant it.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) place: Place,
    pub(crate) cluster: ClusterName,
    pub(crate) environment: Option<String>,
    pub(crate) commit: Option<CommitSha>,
    /// In waves: those of a later wave come after all of an earlier one.
    pub(crate) waves: Vec<Vec<Target>>,
    pub(crate) force: bool,
    pub(crate) dry_run: bool,
    pub(crate) timeout: Duration,
}

/// One service to deploy.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) key: ServiceKey,
    pub(crate) service: ServiceName,
    pub(crate) source: Source,
    pub(crate) container: Option<ContainerName>,
    pub(crate) image: ImageSource,
    /// What `${…}` in a task definition file stands for, but for what only AWS knows.
    pub(crate) variables: BTreeMap<String, String>,
}

impl Config {
    pub(crate) fn read(inputs: Inputs, edges: &Edges) -> Result<Self, Failure> {
        let Inputs { common, cluster, service, task_definition, container, image, force } = inputs;
        let scope = Scope::resolve(&common, edges)?;
        let overrides =
            Overrides { service, task_definition, container, image: image.map(ImageSource::given).transpose()? };
        Ok(Self {
            cluster: scope.cluster(cluster)?,
            environment: scope.environment.as_ref().map(|(name, _)| name.to_string()),
            commit: scope.commit.clone(),
            waves: waves(&scope, &overrides)?,
            place: scope.place,
            force,
            dry_run: common.dry_run,
            timeout: common.timeout,
        })
    }

    /// All services to deploy, in order.
    pub(crate) fn targets(&self) -> impl Iterator<Item = &Target> {
        self.waves.iter().flatten()
    }
}

/// Inputs that speak of one service.
struct Overrides {
    service: Option<ServiceName>,
    task_definition: Option<String>,
    container: Option<ContainerName>,
    image: Option<ImageSource>,
}

impl Overrides {
    fn given(&self) -> Option<&'static str> {
        let Self { service, task_definition, container, image } = self;
        service
            .as_ref()
            .map(|_| "service")
            .or(task_definition.as_ref().map(|_| "task-definition"))
            .or(container.as_ref().map(|_| "container"))
            .or(image.as_ref().map(|_| "image"))
    }
}

fn waves(scope: &Scope, overrides: &Overrides) -> Result<Vec<Vec<Target>>, Failure> {
    let keys = scope.targets(overrides.service.as_ref(), overrides.given())?;
    let keys: Vec<&ServiceKey> = keys.iter().collect();
    let in_order = scope.delivery.as_ref().map_or_else(|| vec![keys.clone()], |delivery| delivery.waves(&keys));
    let mut failures = Vec::new();
    let mut waves = Vec::new();
    for keys in in_order {
        let mut wave = Vec::new();
        for key in keys {
            match target(scope, key, overrides) {
                Ok(target) => wave.push(target),
                Err(failure) => failures.push(failure.context(format!("service `{key}`"))),
            }
        }
        waves.push(wave);
    }
    Failure::all(failures).map_or(Ok(waves), Err)
}

fn target(scope: &Scope, key: &ServiceKey, overrides: &Overrides) -> Result<Target, Failure> {
    let declared = scope.declared(key);
    let variables = scope.variables(key);
    let file = declared.and_then(|declared| declared.task_definition.as_ref()).map(|file| file.as_str());
    let source = Source::read(overrides.task_definition.as_deref().or(file), &scope.workspace, &variables)?;
    let image = match (&overrides.image, declared, &source) {
        (Some(image), _, _) => image.clone(),
        (None, _, Source::Existing(_)) | (None, None, _) => ImageSource::AsWritten,
        (None, Some(declared), _) => {
            ImageSource::Commit { repository: declared.repository.clone(), commit: scope.require_commit()?.clone() }
        }
    };
    let container = overrides.container.clone().or_else(|| declared.map(|declared| declared.container.clone()));
    let service = scope.ecs_service(key, overrides.service.as_ref());
    Ok(Target { key: key.clone(), service, source, container, image, variables })
}
