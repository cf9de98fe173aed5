//! Doing it: register, update, watch, wave by wave. Total: whatever happens on the way is an [`Outcome`], never a `?`.

use std::time::Duration;

use common::aws::{Aws, Deployment, ServiceDeployment};
use common::edges::Edges;
use common::failure::Failure;
use common::names::{ClusterName, ServiceKey, TaskDefinitionRevision};
use common::poll::{Ended, Pace, poll};
use futures_util::future::join_all;
use tokio::time::Instant;

use crate::config::Config;
use crate::diagnosis::{Diagnosis, diagnose};
use crate::plan::{Change, Plan, Step};
use crate::rollout::{Ending, Rollout, Seen, judge, progress};

/// What came of a plan.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) services: Vec<ServiceOutcome>,
    pub(crate) took: Duration,
}

/// What came of one service.
#[derive(Debug)]
pub(crate) struct ServiceOutcome {
    pub(crate) key: ServiceKey,
    pub(crate) service: String,
    pub(crate) from: TaskDefinitionRevision,
    /// What was to run; `None` if it came to no such thing.
    pub(crate) to: Option<TaskDefinitionRevision>,
    pub(crate) fate: Fate,
    /// When it began, counted from the beginning of the release.
    pub(crate) began: Duration,
    pub(crate) took: Duration,
    /// What a reader needs in order to mend it; blank if there is nothing to mend.
    pub(crate) diagnosis: Diagnosis,
}

/// How it ended for one service.
#[derive(Debug)]
pub(crate) enum Fate {
    /// It ran what it should, and was left alone.
    Unchanged,
    /// A deployment was watched to its end.
    Ended(Ending),
    /// No end came in time; the deployment goes on.
    TimedOut,
    /// The run was cancelled; the deployment goes on.
    Cancelled,
    /// A call failed. Whether a deployment goes on, says `is_started`.
    Broken { failure: Failure, is_started: bool },
    /// An earlier wave failed, or the run was cancelled: nothing was touched.
    NotStarted,
}

impl Fate {
    /// Whether the service runs what it should.
    pub(crate) fn is_good(&self) -> bool {
        matches!(self, Self::Unchanged | Self::Ended(Ending::Deployed))
    }
}

/// Applies a plan. A wave begins when every service of the waves before runs what it should.
pub(crate) async fn apply(config: &Config, plan: Plan, aws: &Aws, edges: &Edges) -> Outcome {
    let release = Release { cluster: &config.cluster, limit: config.timeout, aws, edges, began: Instant::now() };
    let mut services: Vec<ServiceOutcome> = Vec::new();
    for wave in plan.waves {
        if services.iter().all(|service| service.fate.is_good()) && !edges.stop.is_raised() {
            services.extend(join_all(wave.into_iter().map(|change| release.deploy(change))).await);
        } else {
            services.extend(wave.into_iter().map(|change| release.outcome(change, None, Fate::NotStarted)));
        }
    }
    Outcome { services, took: release.began.elapsed() }
}

/// What every service of a release shares.
struct Release<'a> {
    cluster: &'a ClusterName,
    limit: Duration,
    aws: &'a Aws,
    edges: &'a Edges,
    began: Instant,
}

impl Release<'_> {
    /// Takes one service to where it should be, and finds out why if it did not get there.
    async fn deploy(&self, change: Change) -> ServiceOutcome {
        let began = self.began.elapsed();
        let started = match self.start(&change).await {
            Ok(Some(started)) => started,
            Ok(None) => return self.outcome(change, None, Fate::Unchanged),
            Err(failure) => return self.outcome(change, None, Fate::Broken { failure, is_started: false }),
        };
        let fate = self.watch(&change, &started).await;
        let diagnosis = match fate.is_good() {
            true => Diagnosis::default(),
            false => {
                diagnose(self.aws, self.cluster, &change.service, &started.deployment.id, started.deployment.created_at)
                    .await
            }
        };
        let outcome = self.outcome(change, Some(started.revision), fate);
        ServiceOutcome { began, took: self.began.elapsed().saturating_sub(began), diagnosis, ..outcome }
    }

    fn outcome(&self, change: Change, to: Option<TaskDefinitionRevision>, fate: Fate) -> ServiceOutcome {
        ServiceOutcome {
            key: change.key,
            service: change.service.to_string(),
            from: change.from,
            to,
            fate,
            began: self.began.elapsed(),
            took: Duration::ZERO,
            diagnosis: Diagnosis::default(),
        }
    }

    /// Starts the deployment: at most one RegisterTaskDefinition and exactly one UpdateService, for each UpdateService is a
    /// deployment of its own. `None` if there is nothing to do.
    async fn start(&self, change: &Change) -> Result<Option<Started>, Failure> {
        let (revision, force) = match &change.step {
            Step::Keep => return Ok(None),
            Step::Restart => (change.from.clone(), true),
            Step::Deploy(revision) => (revision.clone(), false),
            Step::Register(definition) => (self.aws.ecs.register_task_definition(definition).await?, false),
        };
        let service = self.aws.ecs.update_service(self.cluster, &change.service, &revision, force).await?;
        let deployment = service.primary().cloned().ok_or_else(|| {
            Failure::remote(format!("ECS took the update of `{}` and shows no deployment for it", change.service))
        })?;
        self.edges.runner.say(format!("{}: deploying {} ({})", change.key, revision.short(), deployment.id));
        Ok(Some(Started { revision, deployment }))
    }

    /// Watches our deployment to its end.
    async fn watch(&self, change: &Change, started: &Started) -> Fate {
        let rollout = Rollout { deployment: started.deployment.id.clone(), from: change.from.to_string() };
        let mut said = String::new();
        let mut record = None;
        let look = async || {
            let services = self.aws.ecs.describe_services(self.cluster, &[&change.service]).await?;
            let service = services.into_iter().next().ok_or_else(|| {
                Failure::input(format!("service `{}` was deleted while it was being deployed", change.service))
            })?;
            record = self.record(change, started, record.take()).await?;
            let seen = Seen { service, record: record.clone() };
            let now = progress(&rollout, &seen);
            if now != said {
                self.edges.runner.say(format!("{}: {now}", change.key));
                said = now;
            }
            Ok(judge(&rollout, &seen))
        };
        let left = self.limit.saturating_sub(self.began.elapsed());
        match poll(Pace::until(left), &self.edges.stop, look).await {
            Ok(Ended::Done(ending)) => Fate::Ended(ending),
            Ok(Ended::TimedOut) => Fate::TimedOut,
            Ok(Ended::Cancelled) => Fate::Cancelled,
            Err(failure) => Fate::Broken { failure, is_started: true },
        }
    }

    /// AWS's own record of our deployment: the first that was made since, for our task definition. Where records cannot be
    /// listed (an older endpoint, a role that may not), the service's own deployments have to do.
    async fn record(
        &self,
        change: &Change,
        started: &Started,
        known: Option<ServiceDeployment>,
    ) -> Result<Option<ServiceDeployment>, Failure> {
        if let Some(known) = known {
            return Ok(self.aws.ecs.describe_service_deployments(&[known.arn]).await?.into_iter().next());
        }
        let Some(since) = started.deployment.created_at else { return Ok(None) };
        let Ok(records) = self.aws.ecs.service_deployments_since(self.cluster, &change.service, since).await else {
            return Ok(None);
        };
        for record in records {
            let deployed = self.aws.ecs.revision_task_definition(&record.target_revision).await?;
            if deployed.as_deref() == Some(started.revision.as_str()) {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }
}

/// A deployment that this run started.
struct Started {
    revision: TaskDefinitionRevision,
    deployment: Deployment,
}
