//! What the caller meant: every string is checked here, every file read, and nothing has left the process yet.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use common::aws::{DatabaseName, Place};
use common::calendar;
use common::delivery::{BackupWhen, RelativePath, Service};
use common::edges::Edges;
use common::failure::Failure;
use common::image::ImageSource;
use common::inputs::List;
use common::names::{
    ClusterName, CommitSha, ContainerName, DeliveryName, EnvironmentName, RepositoryName, SecurityGroupId, ServiceKey,
    ServiceName, SubnetId,
};
use common::runner::{Environment, Event};
use common::scope::Scope;
use common::task_definition::Source;

use crate::backup::Wanted;
use crate::command::CommandLine;
use crate::inputs::{Inputs, OnCancel};
use crate::pending::Since;

/// Migrations, as the caller meant them.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) place: Place,
    pub(crate) cluster: ClusterName,
    pub(crate) product: Option<DeliveryName>,
    pub(crate) environment: Option<EnvironmentName>,
    /// The checkout.
    pub(crate) workspace: PathBuf,
    /// What migrations are pending since.
    pub(crate) since: Since,
    pub(crate) commit: Option<CommitSha>,
    pub(crate) run: Run,
    pub(crate) targets: Vec<Target>,
    /// The services that were asked for and have no migration.
    pub(crate) skipped: Vec<ServiceKey>,
    pub(crate) placement: Placement,
    pub(crate) on_cancel: OnCancel,
    /// The page of this run, for people.
    pub(crate) run_url: Option<String>,
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
    /// Where the service's images are.
    pub(crate) repository: Option<RepositoryName>,
    /// Empty is the task definition's own.
    pub(crate) command: Vec<String>,
    /// What tells by its exit code that nothing is pending; empty is nothing.
    pub(crate) status: Vec<String>,
    /// The folder of the migration files.
    pub(crate) sources: Option<RelativePath>,
    pub(crate) backup: Option<Wanted>,
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
            operation: _,
            cluster,
            service,
            task_definition,
            container,
            image,
            command,
            status,
            subnets,
            security_groups,
            assign_public_ip,
            base,
            backup,
            rds_instance,
            rds_cluster,
            // A restore's.
            snapshot: _,
            restore_to: _,
            confirm: _,
            swap_names: _,
            on_cancel,
        } = inputs;
        let scope = Scope::resolve(&common, edges)?;
        let image = image.map(ImageSource::given).transpose()?;
        let database = database(rds_instance, rds_cluster)?;
        let overrides = Overrides { service, task_definition, container, image, command, status, backup, database };
        let (targets, skipped) = targets(&scope, &overrides)?;
        Ok(Self {
            cluster: scope.cluster(cluster)?,
            product: scope.delivery.as_ref().map(|delivery| delivery.name.clone()),
            environment: scope.environment.as_ref().map(|(name, _)| name.clone()),
            since: since(base, &edges.event()?),
            commit: scope.commit.clone(),
            run: Run::of(edges.runner.environment()),
            targets,
            skipped,
            placement: Placement {
                subnets: subnets.map(|List(subnets)| subnets),
                security_groups: security_groups.map(|List(groups)| groups),
                assign_public_ip,
            },
            on_cancel,
            run_url: edges.runner.environment().run_url(),
            workspace: scope.workspace,
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

/// What migrations are pending since.
pub(crate) fn since(base: Option<String>, event: &Event) -> Since {
    match (base, event.pull_request_base()) {
        (Some(base), _) => Since::Revision(base),
        (None, Some(tip)) => {
            Since::Parting { tip: tip.to_owned(), branch: event.pull_request_base_branch().map(str::to_owned) }
        }
        (None, None) => Since::Running,
    }
}

/// The database that the inputs name.
pub(crate) fn database(instance: Option<String>, cluster: Option<String>) -> Result<Option<DatabaseName>, Failure> {
    match (instance, cluster) {
        (Some(_), Some(_)) => Err(Failure::input("there is an input `rds-instance`, and an input `rds-cluster`")
            .hint("keep the one that names the database")),
        (Some(instance), None) => Ok(Some(DatabaseName::Instance(instance))),
        (None, Some(cluster)) => Ok(Some(DatabaseName::Cluster(cluster))),
        (None, None) => Ok(None),
    }
}

/// Inputs that speak of one service.
struct Overrides {
    service: Option<ServiceName>,
    task_definition: Option<String>,
    container: Option<ContainerName>,
    image: Option<ImageSource>,
    command: Option<CommandLine>,
    status: Option<CommandLine>,
    backup: Option<BackupWhen>,
    database: Option<DatabaseName>,
}

impl Overrides {
    fn given(&self) -> Option<&'static str> {
        let Self { service, task_definition, container, image, command, status, backup: _, database } = self;
        let given = [
            ("service", service.is_some()),
            ("task-definition", task_definition.is_some()),
            ("container", container.is_some()),
            ("image", image.is_some()),
            ("command", command.is_some()),
            ("status", status.is_some()),
            (
                if matches!(database, Some(DatabaseName::Cluster(_))) { "rds-cluster" } else { "rds-instance" },
                database.is_some(),
            ),
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
    let Some(command) = command(overrides, declared)? else { return Ok(None) };
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
    let declared_backup = migration.and_then(|migration| migration.backup.as_ref());
    let backup = match (&overrides.database, declared_backup) {
        (Some(database), _) => Some(Wanted::of(database.clone(), overrides.backup.unwrap_or(BackupWhen::IfPending))),
        (None, Some(declared)) => {
            Some(Wanted::declared(declared, overrides.backup, |name| variables.get(name).cloned())?)
        }
        (None, None) if overrides.backup.is_some_and(|when| when != BackupWhen::Never) => {
            return Err(Failure::input("there is an input `backup`, and nothing says of which database")
                .hint("set the input `rds-instance` or `rds-cluster`, or `backup` of the migration in delivery.toml"));
        }
        (None, None) => None,
    };
    Ok(Some(Target {
        key: key.clone(),
        service: scope.ecs_service(key, overrides.service.as_ref()),
        source,
        container: overrides.container.clone().or_else(|| declared.map(|declared| declared.container.clone())),
        repository: declared.map(|declared| declared.repository.clone()),
        image,
        command,
        status: match (&overrides.status, migration) {
            (Some(CommandLine(status)), _) => status.clone(),
            (None, migration) => migration.map(|migration| migration.status.clone()).unwrap_or_default(),
        },
        sources: migration.and_then(|migration| migration.sources.clone()),
        backup,
        variables,
    }))
}

/// The command that migrates, blank for the task definition's own. `None` if the service has no migration.
fn command(overrides: &Overrides, declared: Option<&Service>) -> Result<Option<Vec<String>>, Failure> {
    let migration = declared.and_then(|declared| declared.migration.as_ref());
    match (&overrides.command, migration) {
        (Some(CommandLine(command)), _) => Ok(Some(command.clone())),
        (None, Some(migration)) => Ok(Some(migration.command.clone())),
        // A task definition that was named for this may have a command of its own.
        (None, None) if overrides.task_definition.is_some() => Ok(Some(Vec::new())),
        (None, None) if declared.is_some() => Ok(None),
        (None, None) => {
            Err(Failure::input("nothing says how to migrate").hint("set the input `command`, or add delivery.toml"))
        }
    }
}
