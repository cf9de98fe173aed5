//! What the caller meant: every string is checked here, every file read, and nothing has left the process yet.

use std::collections::BTreeMap;
use std::time::Duration;

use common::aws::Place;
use common::delivery::{Delivery, Strategy};
use common::edges::Edges;
use common::failure::Failure;
use common::image::ImageSource;
use common::inputs::CommonInputs;
use common::ledger::Target as Goal;
use common::names::{
    ClusterName, CommitSha, ContainerName, DeliveryName, EnvironmentName, RepositoryName, Secret, ServiceKey,
    ServiceName,
};
use common::scope::Scope;
use common::task_definition::{Source, Template};

use crate::inputs::{Inputs, OnCancel, OnConflict, OnFirstFailure, OperationName};

/// What to do, as the caller meant it.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) operation: Operation,
    pub(crate) place: Place,
    pub(crate) cluster: ClusterName,
    pub(crate) environment: Option<EnvironmentName>,
    /// The product: under this name lie the environment's ledger and its lock. `None` without a delivery file.
    pub(crate) product: Option<DeliveryName>,
    pub(crate) commit: Option<CommitSha>,
    /// In waves: those of a later wave come after all of an earlier one.
    pub(crate) waves: Vec<Vec<Target>>,
    pub(crate) strategy: Option<Strategy>,
    pub(crate) policy: Policy,
    pub(crate) dry_run: bool,
    pub(crate) timeout: Duration,
    /// Who started the run, and where it can be looked at.
    pub(crate) actor: Option<String>,
    pub(crate) run_url: Option<String>,
    pub(crate) github_token: Secret,
}

/// What to do with the services.
#[derive(Debug)]
pub(crate) enum Operation {
    Deploy,
    /// To a release of the ledger, as the caller named it.
    Rollback {
        to: Goal,
    },
    Restart,
    Scale {
        desired: u32,
    },
    /// `value` is `None` where it was written already.
    Rotate {
        secret: String,
        value: Option<Secret>,
    },
    /// From another environment, which lies at this place.
    Promote {
        from: EnvironmentName,
        place: Place,
    },
    Explain,
    /// Look whether a deployment has what it needs, but for the commit's image.
    Preflight,
}

/// What to do where there is a choice.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    pub(crate) force: bool,
    pub(crate) create: bool,
    pub(crate) allow_older: bool,
    pub(crate) on_conflict: OnConflict,
    pub(crate) on_cancel: OnCancel,
    pub(crate) on_first_failure: OnFirstFailure,
    /// Whether this run puts back what fails: not where what ran before would break on a migrated database.
    pub(crate) goes_back: bool,
}

/// One service to act on.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) key: ServiceKey,
    pub(crate) service: ServiceName,
    pub(crate) want: Want,
    pub(crate) container: Option<ContainerName>,
    /// What the service is made from where it does not exist.
    pub(crate) definition: Option<Template>,
    /// Where people reach it, for GitHub's deployment.
    pub(crate) url: Option<String>,
}

/// What a service is to run.
#[derive(Debug)]
pub(crate) enum Want {
    /// A task definition with an image in it. The variables are what `${…}` in a file stands for, but for what only AWS knows.
    Content { source: Source, image: ImageSource, variables: BTreeMap<String, String> },
    /// The same, with the image that runs in the environment that is promoted.
    Promoted { source: Source, repository: RepositoryName, variables: BTreeMap<String, String> },
    /// A task definition, whatever its image: what a deployment finds is looked at before there is an image of the commit.
    Prepared { source: Source, variables: BTreeMap<String, String> },
    /// What the release that is gone back to says.
    Earlier,
    /// What it runs now.
    Running,
}

impl Operation {
    /// The word as the caller wrote it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Deploy => OperationName::Deploy,
            Self::Rollback { .. } => OperationName::Rollback,
            Self::Restart => OperationName::Restart,
            Self::Scale { .. } => OperationName::Scale,
            Self::Rotate { .. } => OperationName::Rotate,
            Self::Promote { .. } => OperationName::Promote,
            Self::Explain => OperationName::Explain,
            Self::Preflight => OperationName::Preflight,
        }
        .as_str()
    }

    fn read(inputs: &Inputs, edges: &Edges) -> Result<Self, Failure> {
        refuse_strays(inputs)?;
        let missing = |input: &str, example: &str| {
            Failure::input(format!("`operation: {}` needs the input `{input}`", inputs.operation.as_str()))
                .hint(format!("set it, as in `{input}: {example}`"))
        };
        Ok(match inputs.operation {
            OperationName::Deploy => Self::Deploy,
            OperationName::Rollback => Self::Rollback { to: inputs.to.clone().unwrap_or(Goal::Previous) },
            OperationName::Restart => Self::Restart,
            OperationName::Scale => {
                Self::Scale { desired: inputs.desired_count.ok_or_else(|| missing("desired-count", "4"))? }
            }
            OperationName::Rotate => Self::Rotate {
                secret: inputs.secret.clone().ok_or_else(|| missing("secret", "/shop/production/database-url"))?,
                value: inputs.secret_value.clone(),
            },
            OperationName::Promote => {
                let from = inputs.from.clone().ok_or_else(|| missing("from", "staging"))?;
                Self::Promote { place: place_of(&inputs.common, &from, edges)?, from }
            }
            OperationName::Explain => Self::Explain,
            OperationName::Preflight => Self::Preflight,
        })
    }
}

impl Config {
    pub(crate) fn read(inputs: Inputs, edges: &Edges) -> Result<Self, Failure> {
        let operation = Operation::read(&inputs, edges)?;
        let scope = Scope::resolve(&inputs.common, edges)?;
        let overrides = Overrides {
            service: inputs.service,
            task_definition: inputs.task_definition,
            container: inputs.container,
            image: inputs.image.map(ImageSource::given).transpose()?,
        };
        let strategy = match &inputs.strategy {
            Some(text) => Some(Strategy::parse(text)?),
            None => scope.environment.as_ref().and_then(|(_, environment)| environment.strategy.clone()),
        };
        if let (Operation::Promote { from, .. }, Some((to, _))) = (&operation, &scope.environment)
            && from == to
        {
            return Err(Failure::input(format!("`{from}` cannot be promoted to itself"))
                .hint("name the environment to deploy to in the input `environment`"));
        }
        let environment = edges.runner.environment();
        Ok(Self {
            cluster: scope.cluster(inputs.cluster)?,
            waves: waves(&scope, &operation, &overrides)?,
            operation,
            product: scope.environment.as_ref().and(scope.delivery.as_ref()).map(|delivery| delivery.name.clone()),
            environment: scope.environment.map(|(name, _)| name),
            commit: scope.commit,
            place: scope.place,
            strategy,
            policy: Policy {
                force: inputs.force,
                create: inputs.create,
                allow_older: inputs.allow_older,
                on_conflict: inputs.on_conflict,
                on_cancel: inputs.on_cancel,
                on_first_failure: inputs.on_first_failure,
                goes_back: inputs.rollback_safe != Some(false),
            },
            dry_run: inputs.common.dry_run,
            timeout: inputs.common.timeout,
            actor: environment.get("GITHUB_ACTOR").map(str::to_owned),
            run_url: environment.run_url(),
            github_token: inputs.common.github_token,
        })
    }

    /// All services to act on, in order.
    pub(crate) fn targets(&self) -> impl Iterator<Item = &Target> {
        self.waves.iter().flatten()
    }
}

/// An input that belongs to another operation would be silently without effect.
fn refuse_strays(inputs: &Inputs) -> Result<(), Failure> {
    use OperationName::{Deploy, Preflight, Promote, Rollback, Rotate, Scale};

    let given = [
        ("to", inputs.to.is_some(), &[Rollback][..]),
        ("from", inputs.from.is_some(), &[Promote]),
        ("secret", inputs.secret.is_some(), &[Rotate]),
        ("secret-value", inputs.secret_value.is_some(), &[Rotate]),
        ("desired-count", inputs.desired_count.is_some(), &[Scale]),
        ("task-definition", inputs.task_definition.is_some(), &[Deploy, Preflight, Promote]),
        ("image", inputs.image.is_some(), &[Deploy]),
        ("force", inputs.force, &[Deploy, Promote, Rollback]),
        ("create", inputs.create, &[Deploy, Preflight, Promote]),
    ];
    let strays =
        given.into_iter().filter(|(_, is_given, operations)| *is_given && !operations.contains(&inputs.operation));
    let failures = strays.map(|(input, _, operations)| {
        let operations: Vec<&str> = operations.iter().map(|operation| operation.as_str()).collect();
        let name = inputs.operation.as_str();
        Failure::input(format!("input `{input}` means nothing to `operation: {name}`"))
            .hint(format!("leave it out, or set `operation` to `{}`", operations.join("` or `")))
    });
    Failure::all(failures).map_or(Ok(()), Err)
}

/// Where the environment that is promoted lies. The inputs that say where to deliver to do not speak of it.
fn place_of(inputs: &CommonInputs, from: &EnvironmentName, edges: &Edges) -> Result<Place, Failure> {
    let inputs = CommonInputs {
        environment: Some(from.clone()),
        services: None,
        aws_region: None,
        role_to_assume: None,
        allowed_account_ids: None,
        ..inputs.clone()
    };
    Ok(Scope::resolve(&inputs, edges)?.place)
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

fn waves(scope: &Scope, operation: &Operation, overrides: &Overrides) -> Result<Vec<Vec<Target>>, Failure> {
    let keys = scope.targets(overrides.service.as_ref(), overrides.given())?;
    let keys: Vec<&ServiceKey> = keys.iter().collect();
    let in_order = scope.delivery.as_ref().map_or_else(|| vec![keys.clone()], |delivery| delivery.waves(&keys));
    let mut failures = Vec::new();
    let mut waves = Vec::new();
    for keys in in_order {
        let mut wave = Vec::new();
        for key in keys {
            match target(scope, operation, key, overrides) {
                Ok(target) => wave.push(target),
                Err(failure) => failures.push(failure.context(format!("service `{key}`"))),
            }
        }
        waves.push(wave);
    }
    Failure::all(failures).map_or(Ok(waves), Err)
}

fn target(scope: &Scope, operation: &Operation, key: &ServiceKey, overrides: &Overrides) -> Result<Target, Failure> {
    let declared = scope.declared(key);
    let want = match operation {
        Operation::Deploy => content(scope, key, overrides)?,
        Operation::Promote { .. } => promoted(scope, key, overrides)?,
        Operation::Preflight => {
            Want::Prepared { source: source(scope, key, overrides)?, variables: scope.variables(key) }
        }
        Operation::Rollback { .. } => Want::Earlier,
        Operation::Restart | Operation::Scale { .. } | Operation::Rotate { .. } | Operation::Explain => Want::Running,
    };
    let variables = scope.variables(key);
    let definition = declared.and_then(|declared| declared.service_definition.as_ref());
    let definition = definition.map(|file| Template::read(&scope.workspace, file.as_str(), &variables)).transpose()?;
    let url = declared.and_then(|declared| declared.health.url.as_ref());
    Ok(Target {
        key: key.clone(),
        service: scope.ecs_service(key, overrides.service.as_ref()),
        want,
        container: overrides.container.clone().or_else(|| declared.map(|declared| declared.container.clone())),
        definition,
        url: url.and_then(|url| url.render(|name| variables.get(name).cloned()).ok()),
    })
}

/// What the commit says that a service is to run.
fn content(scope: &Scope, key: &ServiceKey, overrides: &Overrides) -> Result<Want, Failure> {
    let declared = scope.declared(key);
    let source = source(scope, key, overrides)?;
    let image = match (&overrides.image, declared, &source) {
        (Some(image), _, _) => image.clone(),
        (None, _, Source::Existing(_)) | (None, None, _) => ImageSource::AsWritten,
        (None, Some(declared), _) => {
            ImageSource::Commit { repository: declared.repository.clone(), commit: scope.require_commit()?.clone() }
        }
    };
    Ok(Want::Content { source, image, variables: scope.variables(key) })
}

fn promoted(scope: &Scope, key: &ServiceKey, overrides: &Overrides) -> Result<Want, Failure> {
    let _: &Delivery = scope.require_delivery("deploy the image by digest with the input `image`")?;
    let declared = scope.declared(key).ok_or_else(|| Failure::input("it is not in the delivery file"))?;
    let source = source(scope, key, overrides)?;
    Ok(Want::Promoted { source, repository: declared.repository.clone(), variables: scope.variables(key) })
}

fn source(scope: &Scope, key: &ServiceKey, overrides: &Overrides) -> Result<Source, Failure> {
    let file = scope.declared(key).and_then(|declared| declared.task_definition.as_ref()).map(|file| file.as_str());
    let written = overrides.task_definition.as_deref().or(file);
    Source::read(written, &scope.workspace, &scope.variables(key))
}
