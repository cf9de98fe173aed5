//! What is true out there before anything is done: what the service runs and where, which image carries the commit's tag, and
//! which migrations ran or run. Reads only.

use std::collections::BTreeMap;

use common::aws::{Aws, Database, DatabaseName, Service, Task};
use common::failure::Failure;
use common::image::FoundImage;
use common::names::{CommitSha, Digest, ServiceKey};
use common::task_definition::Source;
use serde_json::Value;

use crate::config::{Config, Target};
use crate::pending::{Pending, Since, base};
use crate::plan::family;

/// What is true out there.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) services: BTreeMap<ServiceKey, ServiceFacts>,
}

/// What is true of one service.
#[derive(Debug)]
pub(crate) struct ServiceFacts {
    /// The service; `None` if there is no active one of this name.
    pub(crate) service: Option<Service>,
    /// The task definition that it runs.
    pub(crate) running: Option<Value>,
    /// The task definition that was asked for by name.
    pub(crate) existing: Option<Value>,
    /// The image behind the commit's tag.
    pub(crate) image: FoundImage,
    /// The newest revision of the migration's family.
    pub(crate) latest: Option<Value>,
    /// The family's tasks, those that ended within the last hour included.
    pub(crate) tasks: Vec<Task>,
    /// Which migrations are pending.
    pub(crate) pending: Pending,
    /// The database to back up.
    pub(crate) database: FoundDatabase,
}

/// What RDS has of a database.
#[derive(Debug)]
pub(crate) enum FoundDatabase {
    /// Nobody asked for one.
    NotAsked,
    /// There is none of this name. Another one that has it is of the other kind.
    None { is_of_other_kind: bool },
    /// This one.
    Found(Box<Database>),
}

impl Facts {
    pub(crate) async fn read(config: &Config, aws: &Aws) -> Result<Self, Failure> {
        let names: Vec<_> = config.targets.iter().map(|target| &target.service).collect();
        let found = aws.ecs.describe_services(&config.cluster, &names).await?;
        let mut services = BTreeMap::new();
        for target in &config.targets {
            let service = found.iter().find(|service| service.name == target.service.as_str()).cloned();
            let service = service.filter(|service| service.status == "ACTIVE");
            services.insert(target.key.clone(), ServiceFacts::read(config, target, service, aws).await?);
        }
        Ok(Self { services })
    }
}

impl ServiceFacts {
    async fn read(config: &Config, target: &Target, service: Option<Service>, aws: &Aws) -> Result<Self, Failure> {
        let running = match &service {
            Some(service) => Some(aws.ecs.describe_task_definition(&service.task_definition).await?),
            None => None,
        };
        let existing = match &target.source {
            Source::Existing(revision) => Some(aws.ecs.describe_task_definition(revision.as_str()).await?),
            Source::File(_) | Source::Running => None,
        };
        let image = target.image.find(&aws.ecr).await?;
        let (mut latest, mut tasks) = (None, Vec::new());
        if let Some(running) = &running {
            let family = family(target, running, existing.as_ref());
            tasks = aws.ecs.tasks_of_family(&config.cluster, &family).await?;
            latest = aws.ecs.latest_task_definition(&family).await?;
        }
        let pending = pending(config, target, running.as_ref(), aws).await;
        let database = match &target.backup {
            Some(wanted) if wanted.is_due(&pending) => FoundDatabase::read(&wanted.database, aws).await?,
            _ => FoundDatabase::NotAsked,
        };
        Ok(Self { service, running, existing, image, latest, tasks, pending, database })
    }
}

impl FoundDatabase {
    pub(crate) async fn read(name: &DatabaseName, aws: &Aws) -> Result<Self, Failure> {
        if let Some(database) = aws.rds.database(name).await? {
            return Ok(Self::Found(Box::new(database)));
        }
        let other = match name {
            DatabaseName::Instance(id) => DatabaseName::Cluster(id.clone()),
            DatabaseName::Cluster(id) => DatabaseName::Instance(id.clone()),
        };
        // That the other kind may not be looked at changes nothing.
        let is_of_other_kind = matches!(aws.rds.database(&other).await, Ok(Some(_)));
        Ok(Self::None { is_of_other_kind })
    }

    /// The database, if it is there.
    pub(crate) fn require(self, name: &DatabaseName) -> Result<Option<Database>, Failure> {
        let missing = Failure::input(format!("there is no {name}"));
        match (self, name) {
            (Self::NotAsked, _) => Ok(None),
            (Self::Found(database), _) => Ok(Some(*database)),
            (Self::None { is_of_other_kind: true }, DatabaseName::Instance(_)) => {
                Err(missing.hint("it is an Aurora cluster: write `rds-cluster` in place of `rds-instance`"))
            }
            (Self::None { is_of_other_kind: true }, DatabaseName::Cluster(_)) => {
                Err(missing.hint("it is an instance: write `rds-instance` in place of `rds-cluster`"))
            }
            (Self::None { .. }, _) => Err(missing.hint("check its name, the account and the region")),
        }
    }
}

/// Which migrations of a service are pending. What cannot be found out is not known, and stops nothing.
async fn pending(config: &Config, target: &Target, running: Option<&Value>, aws: &Aws) -> Pending {
    let (Some(sources), Some(head)) = (&target.sources, &config.commit) else { return Pending::NotAsked };
    let running = match (&config.since, running) {
        (Since::Running, Some(running)) => running_commit(target, running, aws).await,
        _ => Err("the service does not run".to_owned()),
    };
    match base(&config.workspace, &config.since, head, running) {
        Ok(base) => Pending::read(&config.workspace, sources, &base, head),
        Err(why) => Pending::Unknown(why),
    }
}

/// The commit of the image that a service runs: one of its tags.
async fn running_commit(target: &Target, running: &Value, aws: &Aws) -> Result<CommitSha, String> {
    let containers = running["containerDefinitions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let named = |container: &&Value| target.container.as_ref().is_none_or(|name| container["name"] == name.as_str());
    let image = containers.iter().find(named).and_then(|container| container["image"].as_str()).unwrap_or_default();
    let unknown = |why: &str| Err(format!("the commit of the running image `{image}` is not known: {why}"));
    let Some(repository) = &target.repository else {
        return unknown("delivery.toml does not say where its images are");
    };
    if let Some((_, tag)) = image.rsplit_once(':')
        && let Ok(commit) = tag.parse()
    {
        return Ok(commit);
    }
    let Some(digest) = image.rsplit_once('@').and_then(|(_, digest)| digest.parse::<Digest>().ok()) else {
        return unknown("it has neither a digest nor a commit for a tag");
    };
    match aws.ecr.image_by_digest(repository, &digest).await {
        Ok(Some(image)) => match image.tags.iter().find_map(|tag| tag.parse().ok()) {
            Some(commit) => Ok(commit),
            None => unknown("it has no commit for a tag"),
        },
        Ok(None) => unknown(&format!("repository `{repository}` does not have it")),
        Err(failure) => unknown(&failure.to_string().replace('\n', ", ")),
    }
}
