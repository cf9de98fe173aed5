//! Watching: one look at all services of a wave at a time, ten services and twenty deployments a call.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use common::aws::{Service, ServiceDeployment, Task};
use common::failure::{Failure, Kind};
use common::poll::{Ended, Judged, Pace, poll};
use common::runner::{Annotation, Level};
use common::stopped::{causes, is_own_failure};
use futures_util::future::{join_all, try_join_all};
use jiff::Timestamp;

use super::{DEPLOYED, Fate, Flight, Release};
use crate::ACTION;
use crate::diagnosis::Cause;
use crate::plan::Step;
use crate::rollout::{Rollout, Seen, Sight, judge, progress};

/// Stopped tasks are looked for when tasks failed, and every so many looks: a task that crashes after it ran for a while is
/// in no count of ECS's.
const LOOKS_BETWEEN_TASKS: u32 = 5;

impl Release<'_> {
    /// Watches what is on its way until all of it has ended, or one of it has failed for certain.
    pub(super) async fn watch(&self, flights: &mut [Flight]) {
        let left = (self.config.timeout + own_time(flights)).saturating_sub(self.began.elapsed());
        let look = async || {
            // A look that a signal cuts short is no look: the wait ends with the signal.
            let Some(looked) = self.edges.stop.unless_raised(self.look(flights)).await else { return Ok(Judged::Wait) };
            looked?;
            let is_over =
                flights.iter().all(|flight| !flight.is_going() && !matches!(flight.sight, Sight::GoingBack { .. }));
            let has_failed = flights.iter().any(|flight| flight.sight.is_bad());
            Ok(if is_over || has_failed { Judged::Done(()) } else { Judged::Wait })
        };
        let ended = poll(Pace::until(left), &self.edges.stop, look).await;
        for flight in flights.iter_mut().filter(|flight| flight.is_going()) {
            match &ended {
                // Another one has failed: this one is taken back on its way.
                Ok(Ended::Done(())) => {}
                Ok(Ended::TimedOut) => flight.fate = Fate::TimedOut,
                Ok(Ended::Cancelled) => flight.fate = Fate::Cancelled,
                Err(failure) => flight.fate = Fate::Broken(failure.again()),
            }
        }
    }

    /// One look at everything that is on its way.
    async fn look(&self, flights: &mut [Flight]) -> Result<(), Failure> {
        let mut going: Vec<&mut Flight> = flights.iter_mut().filter(|flight| flight.is_going()).collect();
        let services = self.services(&going).await?;
        self.read_records(&mut going).await?;
        self.read_tasks(&mut going, &services).await?;
        for flight in going {
            let service = services.iter().find(|service| service.name == flight.change.service.as_str());
            let sight = match service {
                Some(service) if service.status == "ACTIVE" => self.sight(flight, service),
                _ => Sight::Failed { why: "the service was deleted while it was being deployed".to_owned() },
            };
            flight.sight = sight.clone();
            if sight.is_bad() || sight.is_final() {
                flight.fate = sight.into();
                flight.ended = self.began.elapsed();
                if matches!(flight.fate, Fate::Deployed) {
                    flight.phase(flight.ended, DEPLOYED);
                    self.tell_what_was_lost(flight);
                }
            }
        }
        Ok(())
    }

    pub(super) async fn services(&self, flights: &[&mut Flight]) -> Result<Vec<Service>, Failure> {
        let names: Vec<_> = flights.iter().map(|flight| &flight.change.service).collect();
        self.aws.ecs.describe_services(&self.config.cluster, &names).await
    }

    fn sight(&self, flight: &mut Flight, service: &Service) -> Sight {
        if let Step::Scale(desired) = flight.change.step {
            self.say(flight, format!("{} of {desired} tasks run", service.running));
            let is_there = u32::try_from(service.running) == Ok(desired) && service.pending == 0;
            return if is_there { Sight::Deployed } else { Sight::Going };
        }
        let Some(rollout) = flight.rollout.clone() else { return Sight::Going };
        let seen = Seen { service: service.clone(), record: flight.record.clone(), stopped: flight.stopped.clone() };
        self.say(flight, progress(&rollout, &seen));
        if let Some(stage) =
            seen.record.as_ref().filter(|record| !record.is_over()).and_then(|record| record.stage.as_deref())
        {
            flight.phase(self.began.elapsed(), stage);
        }
        judge(&rollout, &seen)
    }

    /// ECS calls a deployment a success whose tasks ended on the way, as long as others took their places.
    fn tell_what_was_lost(&self, flight: &mut Flight) {
        let Some(rollout) = &flight.rollout else { return };
        let lost: Vec<&Task> =
            flight.stopped.iter().filter(|task| rollout.owns(task) && is_own_failure(task)).collect();
        let causes = causes(&lost);
        let Some((most, _)) = causes.first() else { return };
        let message = format!(
            "`{}`: it is deployed, but {} of its new tasks ended by themselves meanwhile: {most}",
            flight.change.key,
            lost.len()
        );
        self.edges.runner.annotate(&Annotation { level: Level::Warning, title: ACTION.name, message: &message });
        flight.diagnosis.causes = causes.into_iter().map(|(text, tasks)| Cause { text, tasks }).collect();
    }

    /// Says how far a service is, whenever that changes.
    pub(super) fn say(&self, flight: &mut Flight, now: String) {
        if now != flight.said {
            self.edges.runner.say(format!("{}: {now}", flight.change.key));
            flight.said = now;
        }
    }

    /// AWS's own records of our deployments: looked for until they are found, then all in one call.
    pub(super) async fn read_records(&self, flights: &mut [&mut Flight]) -> Result<(), Failure> {
        let known: Vec<String> =
            flights.iter().filter_map(|flight| Some(flight.record.as_ref()?.arn.clone())).collect();
        let records = match known.as_slice() {
            [] => Vec::new(),
            arns => self.aws.ecs.describe_service_deployments(arns).await?,
        };
        let found = try_join_all(flights.iter().map(|flight| async {
            match (&flight.record, &flight.rollout) {
                (None, Some(rollout)) => self.find_record(flight, rollout).await,
                _ => Ok(None),
            }
        }));
        let found = found.await?;
        for (flight, found) in flights.iter_mut().zip(found) {
            let arn = flight.record.as_ref().map(|record| &record.arn);
            let newer = records.iter().find(|record| Some(&record.arn) == arn).cloned();
            flight.record = found.or(newer).or(flight.record.take());
        }
        Ok(())
    }

    /// AWS's record of a deployment: the first that was made since, for our task definition. Where records cannot be listed
    /// (an older endpoint, a role that may not), the service's own deployments have to do.
    pub(super) async fn find_record(
        &self,
        flight: &Flight,
        rollout: &Rollout,
    ) -> Result<Option<ServiceDeployment>, Failure> {
        let Some(since) = rollout.since.filter(|_| !self.goes_without_records.load(Ordering::Relaxed)) else {
            return Ok(None);
        };
        match self.list_records(flight, since, &rollout.to).await {
            Err(failure) if failure.kind == Kind::Denied => {
                if !self.goes_without_records.swap(true, Ordering::Relaxed) {
                    let message = format!("deployments are judged without AWS's records of them: {failure}");
                    let warning = Annotation { level: Level::Warning, title: ACTION.name, message: &message };
                    self.edges.runner.annotate(&warning);
                }
                Ok(None)
            }
            found => found,
        }
    }

    async fn list_records(
        &self,
        flight: &Flight,
        since: Timestamp,
        to: &str,
    ) -> Result<Option<ServiceDeployment>, Failure> {
        let ecs = &self.aws.ecs;
        let records = ecs.service_deployments_since(&self.config.cluster, &flight.change.service, since).await?;
        let revisions: Vec<String> = records.iter().map(|record| record.target_revision.clone()).collect();
        let definitions = ecs.revision_task_definitions(&revisions).await?;
        let is_ours =
            |record: &ServiceDeployment| definitions.get(&record.target_revision).is_some_and(|one| one == to);
        Ok(records.into_iter().find(is_ours))
    }

    /// The tasks that our deployments have lost.
    async fn read_tasks(&self, flights: &mut [&mut Flight], services: &[Service]) -> Result<(), Failure> {
        let looks = flights.iter_mut().filter_map(|flight| {
            flight.looks += 1;
            let id = &flight.rollout.as_ref()?.deployment;
            let failed = services.iter().flat_map(|service| &service.deployments).find(|one| one.id == *id)?.failed;
            (failed > 0 || flight.looks % LOOKS_BETWEEN_TASKS == 0).then_some(flight)
        });
        let read = join_all(looks.map(|flight| async {
            let service = flight.change.service.as_str();
            match self.aws.ecs.stopped_tasks(&self.config.cluster, service).await {
                Ok(tasks) => flight.stopped = tasks,
                // Without its tasks the deployment is judged by ECS's counts alone.
                Err(failure) if failure.kind == Kind::Denied => {}
                Err(failure) => return Err(failure),
            }
            Ok(())
        }));
        read.await.into_iter().collect()
    }
}

/// What the strategies of the waves so far take by themselves: the slowest service of each.
fn own_time(flights: &[Flight]) -> Duration {
    let begun = flights.iter().filter(|flight| flight.is_touched());
    let mut waves: BTreeMap<usize, Duration> = BTreeMap::new();
    for flight in begun {
        let longest = waves.entry(flight.wave).or_default();
        *longest = flight.change.own_time.max(*longest);
    }
    waves.values().sum()
}
