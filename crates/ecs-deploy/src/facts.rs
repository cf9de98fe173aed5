//! What is true out there before anything is done: what runs, from what, what it can go back to, which image carries the
//! commit's tag, and what the ledger says. Reads only.

use std::collections::{BTreeMap, BTreeSet};

use common::aws::{Alarm, Aws, Service};
use common::edges::Edges;
use common::failure::{Failure, Kind};
use common::github::Comparison;
use common::image::{FoundImage, ImageSource};
use common::ledger::{Entry, Ledger, Target as Goal};
use common::names::{CommitSha, EnvironmentName, ServiceKey, TaskDefinitionRevision};
use common::task_definition::Source;
use futures_util::future::{join_all, try_join_all};
use serde_json::Value;

use crate::config::{Config, Operation, Target, Want};

/// What is true out there.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) services: BTreeMap<ServiceKey, ServiceFacts>,
    /// What the ledger says of the environment; `None` where there is no ledger (yet).
    pub(crate) latest: Option<Entry>,
    /// Whether the ledger could be read, empty or not: what cannot be read is not written over.
    pub(crate) is_ledger_known: bool,
    /// The release to go back to, or to promote.
    pub(crate) release: Option<Entry>,
    /// Every alarm that a deployment here would be watched by; `None` where they may not be looked at.
    pub(crate) alarms: Option<Vec<Alarm>>,
    /// What could not be found out, and does not decide anything.
    pub(crate) remarks: Vec<String>,
}

/// What is true of one service.
#[derive(Debug)]
pub(crate) struct ServiceFacts {
    /// The service; `None` if there is none of this name.
    pub(crate) service: Option<Service>,
    /// The task definition that it runs.
    pub(crate) running: Option<Value>,
    /// What it ran when a deployment of it last came to its good end: what there is to go back to.
    pub(crate) good: Option<TaskDefinitionRevision>,
    /// The task definition that was asked for by name.
    pub(crate) existing: Option<Value>,
    /// The image behind the commit's tag, or the digest.
    pub(crate) image: FoundImage,
    /// The commit that runs, and how the wanted one lies to it.
    pub(crate) history: Option<(CommitSha, Comparison)>,
}

impl Facts {
    pub(crate) async fn read(config: &Config, aws: &Aws, edges: &Edges) -> Result<Self, Failure> {
        let mut remarks = Vec::new();
        let (latest, release) = releases(config, aws, edges, &mut remarks).await?;
        let is_ledger_known = remarks.is_empty();
        let names: Vec<_> = config.targets().map(|target| &target.service).collect();
        let found = aws.ecs.describe_services(&config.cluster, &names).await?;
        let services = try_join_all(config.targets().map(|target| {
            let service = found.iter().find(|service| service.name == target.service.as_str()).cloned();
            ServiceFacts::read(config, target, service, release.as_ref(), aws)
        }));
        let mut services: BTreeMap<ServiceKey, ServiceFacts> =
            config.targets().map(|target| target.key.clone()).zip(services.await?).collect();
        compare(config, latest.as_ref(), edges, &mut services, &mut remarks).await;
        let alarms = alarms(config, &found, aws, &mut remarks).await?;
        Ok(Self { services, latest, is_ledger_known, release, alarms, remarks })
    }
}

impl ServiceFacts {
    async fn read(
        config: &Config,
        target: &Target,
        service: Option<Service>,
        release: Option<&Entry>,
        aws: &Aws,
    ) -> Result<Self, Failure> {
        let Some(active) = service.as_ref().filter(|service| service.status == "ACTIVE") else {
            let image = image_source(target, release).find(&aws.ecr).await?;
            return Ok(Self { service, running: None, good: None, existing: None, image, history: None });
        };
        let running = aws.ecs.describe_task_definition(&active.task_definition).await?;
        let (good, before) = known_good(config, target, active, aws).await?;
        let placed = release.and_then(|release| release.services.get(&target.key));
        let existing = match &target.want {
            Want::Content { source: Source::Existing(revision), .. }
            | Want::Prepared { source: Source::Existing(revision), .. }
            | Want::Promoted { source: Source::Existing(revision), .. } => Some(revision.to_string()),
            Want::Earlier => match (placed, release) {
                (Some(placed), _) => Some(placed.task_definition.clone()),
                (None, Some(_)) => None,
                // Without a ledger ECS's own memory has to do: 90 days of deployments.
                (None, None) if good.as_ref().is_some_and(|good| good.as_str() != active.task_definition) => {
                    good.as_ref().map(ToString::to_string)
                }
                (None, None) => before.as_ref().map(ToString::to_string),
            },
            _ => None,
        };
        let existing = match existing {
            Some(revision) => Some(aws.ecs.describe_task_definition(&revision).await?),
            None => None,
        };
        let image = image_source(target, release).find(&aws.ecr).await?;
        Ok(Self { service, running: Some(running), good, existing, image, history: None })
    }
}

/// Which image a service is to get.
pub(crate) fn image_source(target: &Target, release: Option<&Entry>) -> ImageSource {
    match &target.want {
        Want::Content { image, .. } => image.clone(),
        Want::Promoted { repository, .. } => {
            let placed = release.and_then(|release| release.services.get(&target.key));
            match placed.and_then(|placed| placed.image.clone()) {
                Some(digest) => ImageSource::Digest { repository: repository.clone(), digest },
                None => ImageSource::AsWritten,
            }
        }
        Want::Prepared { .. } | Want::Earlier | Want::Running => ImageSource::AsWritten,
    }
}

/// What the ledger says last, and the release that was asked for. A ledger that cannot be read stops only who needs it.
async fn releases(
    config: &Config,
    aws: &Aws,
    edges: &Edges,
    remarks: &mut Vec<String>,
) -> Result<(Option<Entry>, Option<Entry>), Failure> {
    let (Some(product), Some(environment)) = (&config.product, &config.environment) else { return Ok((None, None)) };
    let ledger = Ledger::of(&aws.ssm, product, environment);
    let latest = match ledger.latest().await {
        Ok(latest) => latest,
        Err(failure) if matches!(config.operation, Operation::Rollback { .. }) => return Err(failure),
        Err(failure) => {
            remarks.push(format!("the release ledger cannot be read: {failure}"));
            None
        }
    };
    let release = match &config.operation {
        Operation::Rollback { to } => {
            let history = ledger.history().await?;
            remarks.extend(history.unreadable.iter().map(|failure| format!("a part of the release ledger: {failure}")));
            match (history.entries.as_slice(), to) {
                // Nothing was ever written down. ECS remembers `previous` by itself.
                ([], Goal::Previous) => None,
                (entries, to) => Some(Entry::find(entries, to)?.clone()),
            }
        }
        Operation::Promote { from, place } => {
            let there =
                edges.aws(place).await.map_err(|failure| failure.context(format!("reach environment `{from}`")))?;
            Some(promotable(Ledger::of(&there.ssm, product, from).latest().await?, from)?)
        }
        _ => None,
    };
    Ok((latest, release))
}

/// The newest release that runs as it should.
fn promotable(latest: Option<Entry>, from: &EnvironmentName) -> Result<Entry, Failure> {
    match latest {
        Some(entry) if entry.has_succeeded() => Ok(entry),
        Some(entry) => Err(Failure::input(format!(
            "release {} of `{from}` is `{}`: it is not known to run well",
            entry.release, entry.outcome
        ))
        .hint(format!("bring `{from}` to a release that succeeds, then promote that one"))),
        None => Err(Failure::input(format!("the ledger of `{from}` has no release"))
            .hint(format!("deploy to `{from}` with this action first"))),
    }
}

/// What a service ran when a deployment of it last came to its good end, and before that. What was registered last is no
/// answer: it may be what failed last (kayac/ecspresso's `rollback` goes there).
async fn known_good(
    config: &Config,
    target: &Target,
    service: &Service,
    aws: &Aws,
) -> Result<(Option<TaskDefinitionRevision>, Option<TaskDefinitionRevision>), Failure> {
    let parse = |arn: &String| arn.parse::<TaskDefinitionRevision>().ok();
    let is_completed = |rollout: &str| rollout == "COMPLETED";
    let completed = service.deployments.iter().find(|deployment| is_completed(&deployment.rollout));
    let completed = completed.and_then(|deployment| parse(&deployment.task_definition));
    let needs_history = completed.is_none() || matches!(target.want, Want::Earlier);
    if !needs_history {
        return Ok((completed, None));
    }
    let records = match aws.ecs.latest_service_deployments(&config.cluster, &target.service, Some("SUCCESSFUL")).await {
        Ok(records) => records,
        Err(failure) if failure.kind == Kind::Denied => Vec::new(),
        Err(failure) => return Err(failure),
    };
    let revisions: Vec<String> = records.iter().map(|record| record.target_revision.clone()).collect();
    let definitions = match aws.ecs.revision_task_definitions(&revisions).await {
        Ok(definitions) => definitions,
        Err(failure) if failure.kind == Kind::Denied => BTreeMap::new(),
        Err(failure) => return Err(failure),
    };
    let in_order = revisions.iter().filter_map(|revision| parse(definitions.get(revision)?));
    let mut in_order = completed.into_iter().chain(in_order);
    let good = in_order.next();
    let before = in_order.find(|revision| Some(revision) != good.as_ref());
    Ok((good, before))
}

/// How the wanted commit lies to the one that runs. GitHub knows, whatever the depth of the checkout.
async fn compare(
    config: &Config,
    latest: Option<&Entry>,
    edges: &Edges,
    services: &mut BTreeMap<ServiceKey, ServiceFacts>,
    remarks: &mut Vec<String>,
) {
    let (Operation::Deploy, Some(wanted), Some(latest)) = (&config.operation, &config.commit, latest) else { return };
    let Some(github) = edges.github(&config.github_token) else { return };
    let runs: BTreeMap<&ServiceKey, CommitSha> =
        services.keys().filter_map(|key| Some((key, latest.services.get(key)?.commit.clone()?))).collect();
    let mut commits: Vec<&CommitSha> = runs.values().filter(|commit| *commit != wanted).collect();
    commits.sort();
    commits.dedup();
    let compared = join_all(commits.iter().map(|commit| github.compare(commit, wanted))).await;
    let mut known = BTreeMap::new();
    for (commit, comparison) in commits.into_iter().zip(compared) {
        match comparison {
            Ok(Comparison::Unknown) => remarks.push(format!(
                "whether commit {} is older than {}, which runs, is not known: GitHub does not know both of them",
                wanted.short(),
                commit.short(),
            )),
            Ok(comparison) => drop(known.insert(commit.clone(), comparison)),
            Err(refused) => remarks.push(format!(
                "whether commit {} is older than {}, which runs, cannot be found out: {}",
                wanted.short(),
                commit.short(),
                Failure::from(refused)
            )),
        }
    }
    let runs: BTreeMap<ServiceKey, CommitSha> = runs.into_iter().map(|(key, commit)| (key.clone(), commit)).collect();
    for (key, facts) in services {
        facts.history = runs.get(key).and_then(|commit| Some((commit.clone(), *known.get(commit)?)));
    }
}

/// The alarms that a deployment here would be watched by: the strategy's, and those that the services have already.
async fn alarms(
    config: &Config,
    services: &[Service],
    aws: &Aws,
    remarks: &mut Vec<String>,
) -> Result<Option<Vec<Alarm>>, Failure> {
    let of_services = services.iter().flat_map(alarm_names);
    let names: BTreeSet<String> =
        config.strategy.iter().flat_map(|strategy| strategy.alarms.clone()).chain(of_services).collect();
    if names.is_empty() {
        return Ok(Some(Vec::new()));
    }
    match aws.cloudwatch.describe_alarms(&names).await {
        Ok(alarms) => Ok(Some(alarms)),
        Err(failure) if failure.kind == Kind::Denied => {
            remarks.push(format!("whether alarms are firing already cannot be found out: {failure}"));
            Ok(None)
        }
        Err(failure) => Err(failure),
    }
}

/// The alarms that a service's deployments are watched by.
pub(crate) fn alarm_names(service: &Service) -> Vec<String> {
    let alarms = &service.configuration["alarms"];
    let names = alarms["alarmNames"].as_array().into_iter().flatten().filter_map(Value::as_str);
    match alarms["enable"].as_bool() {
        Some(true) => names.map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}
