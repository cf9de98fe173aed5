//! What the caller meant: every string is checked here, every file read, and nothing has left the process yet.

use std::collections::BTreeMap;
use std::time::Duration;

use common::aws::Place;
use common::calendar;
use common::edges::Edges;
use common::failure::Failure;
use common::image::ImageSource;
use common::inputs::List;
use common::names::{ClusterName, CommitSha, ContainerName, SecurityGroupId, ServiceKey, ServiceName, SubnetId};
use common::runner::Environment;
use common::scope::Scope;
use common::task_definition::Source;

use crate::command::CommandLine;
use crate::inputs::Inputs;

/// Migrations, as the caller meant them.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) place: Place,
    pub(crate) cluster: ClusterName,
    pub(crate) environment: Option<String>,
    pub(crate) commit: Option<CommitSha>,
    pub(crate) run: Run,
    pub(crate) targets: Vec<Target>,
    /// The services that were asked for and have no migration.
    pub(crate) skipped: Vec<ServiceKey>,
    pub(crate) placement: Placement,
    pub(crate) dry_run: bool,
    pub(crate) timeout: Duration,
}

/// One service to migrate for.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) key: ServiceKey,
    pub(crate) service: ServiceName,
    pub(crate) source: Source,
    pub(crate) container: Option<ContainerName>,
    pub(crate) image: ImageSource,
    /// Empty is the task definition's own.
    pub(crate) command: Vec<String>,
    pub(crate) variables: BTreeMap<String, String>,
}

/// Where to run, as far as it is not to be where the service's tasks run.
#[derive(Debug, Default)]
pub(crate) struct Placement {
    pub(crate) subnets: Option<Vec<SubnetId>>,
    pub(crate) security_groups: Option<Vec<SecurityGroupId>>,
    pub(crate) assign_public_ip: Option<bool>,
}

/// The workflow run that this is a step of: what tells its own tasks from those of others, in every attempt.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) repository: String,
    pub(crate) id: String,
    pub(crate) attempt: String,
}

impl Config {
    pub(crate) fn read(inputs: Inputs, edges: &Edges) -> Result<Self, Failure> {
        let Inputs {
            common,
            cluster,
            service,
            task_definition,
            container,
            image,
            command,
            subnets,
            security_groups,
            assign_public_ip,
        } = inputs;
        let scope = Scope::resolve(&common, edges)?;
        let image = image.map(ImageSource::given).transpose()?;
        let overrides = Overrides { service, task_definition, container, image, command };
        let (targets, skipped) = targets(&scope, &overrides)?;
        Ok(Self {
            cluster: scope.cluster(cluster)?,
            environment: scope.environment.as_ref().map(|(name, _)| name.to_string()),
            commit: scope.commit.clone(),
            run: Run::of(edges.runner.environment()),
            targets,
            skipped,
            placement: Placement {
                subnets: subnets.map(|List(subnets)| subnets),
                security_groups: security_groups.map(|List(groups)| groups),
                assign_public_ip,
            },
            place: scope.place,
            dry_run: common.dry_run,
            timeout: common.timeout,
        })
    }
}

impl Run {
    /// Outside of a workflow nothing is ever run again: every start is a run of its own.
    fn of(environment: &Environment) -> Self {
        let text = |name: &str| environment.get(name).map(str::to_owned);
        Self {
            repository: text("GITHUB_REPOSITORY").unwrap_or_default(),
            id: text("GITHUB_RUN_ID").unwrap_or_else(|| format!("local-{}", calendar::now().as_millisecond())),
            attempt: text("GITHUB_RUN_ATTEMPT").unwrap_or_default(),
        }
    }
}

/// Inputs that speak of one service.
struct Overrides {
    service: Option<ServiceName>,
    task_definition: Option<String>,
    container: Option<ContainerName>,
    image: Option<ImageSource>,
    command: Option<CommandLine>,
}

impl Overrides {
    fn given(&self) -> Option<&'static str> {
        let Self { service, task_definition, container, image, command } = self;
        let given = [
            ("service", service.is_some()),
            ("task-definition", task_definition.is_some()),
            ("container", container.is_some()),
            ("image", image.is_some()),
            ("command", command.is_some()),
        ];
        given.into_iter().find_map(|(input, is_given)| is_given.then_some(input))
    }
}

/// The services to migrate for, and those that have no migration.
fn targets(scope: &Scope, overrides: &Overrides) -> Result<(Vec<Target>, Vec<ServiceKey>), Failure> {
    let (mut targets, mut skipped, mut failures) = (Vec::new(), Vec::new(), Vec::new());
    for key in scope.targets(overrides.service.as_ref(), overrides.given())? {
        match target(scope, &key, overrides) {
            Ok(Some(target)) => targets.push(target),
            Ok(None) => skipped.push(key),
            Err(failure) => failures.push(failure.context(format!("service `{key}`"))),
        }
    }
    Failure::all(failures).map_or(Ok((targets, skipped)), Err)
}

/// `None` if the service has no migration.
fn target(scope: &Scope, key: &ServiceKey, overrides: &Overrides) -> Result<Option<Target>, Failure> {
    let declared = scope.declared(key);
    let migration = declared.and_then(|declared| declared.migration.as_ref());
    let command = match (&overrides.command, migration) {
        (Some(CommandLine(command)), _) => command.clone(),
        (None, Some(migration)) => migration.command.clone(),
        // A task definition that was named for this may have a command of its own.
        (None, None) if overrides.task_definition.is_some() => Vec::new(),
        (None, None) if declared.is_some() => return Ok(None),
        (None, None) => {
            return Err(
                Failure::input("nothing says how to migrate").hint("set the input `command`, or add delivery.toml")
            );
        }
    };
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
    Ok(Some(Target { key: key.clone(), service, source, container, image, command, variables }))
}
