//! Putting things back: all that the release updated, the last wave first, and watched to its end.

use std::time::Duration;

use common::aws::{Service, Stopped, Update};
use common::failure::{Failure, Kind};
use common::names::TaskDefinitionRevision;
use common::poll::{Ended, Judged, Pace, poll, within};
use futures_util::future::join_all;

use super::flight::Way;
use super::{Back, Fate, Flight, LAST_CALL, Release};
use crate::config::Operation;
use crate::diagnosis::diagnose;
use crate::inputs::OnFirstFailure;
use crate::plan::Step;
use crate::rollout::{Rollout, Seen, Sight, judge};

/// What a way back gets at least: a run that was given little time to deploy has to see what became of it nevertheless.
const LEAST_TIME_BACK: Duration = Duration::from_secs(10 * 60);

impl Release<'_> {
    /// Puts back all that this release updated, the last wave first, and watches that to its end.
    pub(super) async fn go_back(&self, flights: &mut [Flight]) {
        let last = flights.iter().filter(|flight| flight.has_to_go_back()).map(|flight| flight.wave).max().unwrap_or(0);
        for wave in (0..=last).rev() {
            if let Err(failure) = self.confirm_lock().await {
                self.edges.runner.say(format!("nothing more is put back: {failure}"));
                return;
            }
            let mut in_wave: Vec<&mut Flight> =
                flights.iter_mut().filter(|flight| flight.wave == wave && flight.has_to_go_back()).collect();
            join_all(in_wave.iter_mut().map(|flight| self.turn(flight))).await;
            join_all(in_wave.iter_mut().map(|flight| self.diagnose(flight))).await;
            self.watch_back(&mut in_wave).await;
        }
    }

    /// The run is cancelled: everything is asked to go back at once, and nobody waits.
    pub(super) async fn recall(&self, flights: &mut [Flight]) {
        let touched = flights.iter_mut().filter(|flight| flight.has_to_go_back());
        let asked = join_all(touched.map(|flight| async {
            self.turn(flight).await;
            if flight.way.is_some() {
                flight.back = Back::Asked;
            }
        }));
        if within(LAST_CALL, asked).await.is_none() {
            self.edges.runner.say("not every request to go back was answered in time");
            // It was made all the same: nobody knows what became of it, and ECS may well go back.
            let unanswered = flights.iter_mut().filter(|flight| flight.has_to_go_back() && flight.back == Back::No);
            unanswered.for_each(|flight| flight.back = Back::Asked);
        }
    }

    /// Finds out why a service failed, while it is on its way back.
    async fn diagnose(&self, flight: &mut Flight) {
        let is_well = matches!(flight.fate, Fate::Deployed | Fate::Going | Fate::Superseded { .. });
        if let (Some(rollout), false) = (&flight.rollout, is_well) {
            let found =
                diagnose(self.aws, &self.config.cluster, &flight.change.service, rollout, flight.record.as_ref());
            flight.diagnosis = found.await;
            let title = format!("{}: why it failed", flight.change.key);
            self.edges.runner.group(&title, flight.diagnosis.to_string());
        }
    }

    /// Turns a service round: one request.
    async fn turn(&self, flight: &mut Flight) {
        let turned = self.try_to_turn(flight).await;
        match turned {
            Ok(way) => flight.way = way,
            Err(failure) => flight.back = Back::Failed { why: failure.to_string() },
        }
        if flight.way.is_some() {
            self.edges.runner.say(format!("{}: going back{}", flight.change.key, to_what(flight)));
            flight.phase(self.began.elapsed(), "going back");
        }
    }

    async fn try_to_turn(&self, flight: &mut Flight) -> Result<Option<Way>, Failure> {
        if let Step::Scale(_) = flight.change.step {
            let desired = flight.change.desired;
            self.update_back(flight, Update { desired_count: Some(desired), ..Update::default() }).await?;
            return Ok(Some(Way::Rescale(desired)));
        }
        // Whether what ECS goes back to by itself is where this service belongs.
        let ecs_would = flight.change.good == flight.change.completed;
        match (&flight.sight, &flight.fate) {
            // Whoever took our place decides what runs.
            (Sight::Superseded { .. }, _) => return Ok(None),
            (Sight::GoingBack { .. }, _) => return Ok(Some(Way::Recall)),
            (Sight::WentBack { .. }, _) if ecs_would => {
                flight.back = Back::Done;
                return Ok(None);
            }
            (Sight::StuckBetween { why }, _) => {
                flight.back = Back::Failed { why: why.clone() };
                return Ok(None);
            }
            // Nothing was updated: a task definition alone runs nowhere.
            (_, Fate::Broken(_)) if flight.rollout.is_none() && ecs_would => return Ok(None),
            _ => {}
        }
        let is_over = matches!(flight.fate, Fate::Deployed | Fate::NotStarted | Fate::Unchanged);
        match flight.change.good.clone() {
            None => self.without_a_good_one(flight).await.map(|()| None),
            Some(_) if ecs_would && !is_over && self.stop(flight).await? => Ok(Some(Way::Recall)),
            // It was started anew, and runs: there is nothing else to go back to. Only what it took up then may be wrong by now.
            Some(good) if flight.to.as_ref() == Some(&good) && !self.is_rotation() => Ok(None),
            Some(good) => self.redeploy(flight, good).await.map(Some),
        }
    }

    /// Whether tasks hold a value that is no longer the secret's once all goes back.
    fn is_rotation(&self) -> bool {
        matches!(self.config.operation, Operation::Rotate { value: Some(_), .. })
    }

    /// Deploys what ran before.
    async fn redeploy(&self, flight: &Flight, good: TaskDefinitionRevision) -> Result<Way, Failure> {
        let update = Update { task_definition: Some(good), force: self.is_rotation(), ..Update::default() };
        let service = self.update_back(flight, update).await?;
        let primary = service.primary().ok_or_else(|| {
            Failure::remote(format!(
                "ECS took the update of `{}` and shows no deployment for it",
                flight.change.service
            ))
        })?;
        Ok(Way::Redeploy(Rollout {
            deployment: primary.id.clone(),
            since: primary.created_at,
            to: primary.task_definition.clone(),
            good: None,
        }))
    }

    /// Has ECS take our deployment back; `false` if there is nothing (any more) to take back.
    async fn stop(&self, flight: &mut Flight) -> Result<bool, Failure> {
        if let (None, Some(rollout)) = (&flight.record, &flight.rollout) {
            flight.record = self.find_record(flight, rollout).await.unwrap_or_default();
        }
        let Some(record) = &flight.record else { return Ok(false) };
        let arn = record.arn.clone();
        match self.unstoppably(async || self.aws.ecs.stop_service_deployment(&arn).await).await {
            Ok(stopped) => Ok(stopped == Stopped::Requested),
            // By another deployment it goes back as well, if not as quickly.
            Err(failure) if failure.kind == Kind::Denied => {
                self.edges.runner.say(format!("{}: {failure}", flight.change.key));
                Ok(false)
            }
            Err(failure) => Err(failure),
        }
    }

    /// A first deployment that failed: there is nothing to go back to.
    async fn without_a_good_one(&self, flight: &mut Flight) -> Result<(), Failure> {
        match self.config.policy.on_first_failure {
            OnFirstFailure::Leave => flight.back = Back::Nowhere,
            OnFirstFailure::ScaleToZero => {
                self.update_back(flight, Update { desired_count: Some(0), ..Update::default() }).await?;
                flight.back = Back::ScaledToZero;
            }
        }
        Ok(())
    }

    async fn update_back(&self, flight: &Flight, update: Update) -> Result<Service, Failure> {
        let (cluster, name) = (&self.config.cluster, &flight.change.service);
        self.unstoppably(async || self.aws.ecs.update_service(cluster, name, &update).await).await
    }

    /// A request to go back is made even though the run is cancelled: then once, otherwise as often as it takes.
    async fn unstoppably<T>(&self, mut call: impl AsyncFnMut() -> Result<T, Failure>) -> Result<T, Failure> {
        match self.edges.stop.is_raised() {
            true => call().await,
            false => self.patiently(call).await,
        }
    }

    /// Watches services on their way back.
    async fn watch_back(&self, flights: &mut [&mut Flight]) {
        let own_time = flights.iter().map(|flight| flight.change.own_time).max().unwrap_or_default();
        let limit = self.config.timeout.max(LEAST_TIME_BACK) + own_time;
        let look = async || {
            let Some(looked) = self.edges.stop.unless_raised(self.look_back(flights)).await else {
                return Ok(Judged::Wait);
            };
            looked?;
            let is_over = flights.iter().all(|flight| flight.way.is_none());
            Ok(if is_over { Judged::Done(()) } else { Judged::Wait })
        };
        let ended = poll(Pace::until(limit), &self.edges.stop, look).await;
        for flight in flights.iter_mut().filter(|flight| flight.way.is_some()) {
            flight.back = match &ended {
                Ok(Ended::TimedOut) => Back::Failed { why: "it was not back in time".to_owned() },
                Ok(Ended::Done(()) | Ended::Cancelled) => Back::Asked,
                Err(failure) => Back::Failed { why: format!("it cannot be watched: {failure}") },
            };
        }
    }

    async fn look_back(&self, flights: &mut [&mut Flight]) -> Result<(), Failure> {
        let mut returning: Vec<&mut Flight> =
            flights.iter_mut().map(|flight| &mut **flight).filter(|flight| flight.way.is_some()).collect();
        let services = self.services(&returning).await?;
        self.read_records(&mut returning).await?;
        for flight in returning {
            let service = services.iter().find(|service| service.name == flight.change.service.as_str());
            let Some(service) = service.filter(|service| service.status == "ACTIVE") else {
                flight.back = Back::Failed { why: "the service is not there any more".to_owned() };
                flight.way = None;
                flight.ended = self.began.elapsed();
                continue;
            };
            self.say(flight, format!("going back: {} of {} tasks run", service.running, service.desired));
            match (returned(flight, service), flight.change.good.clone()) {
                (Returned::NotYet, _) => continue,
                (Returned::Back(back), _) => flight.back = back,
                (Returned::NeverTurned, Some(good)) => match self.redeploy(flight, good).await {
                    Ok(way) => {
                        flight.way = Some(way);
                        continue;
                    }
                    Err(failure) => flight.back = Back::Failed { why: failure.to_string() },
                },
                (Returned::NeverTurned, None) => flight.back = Back::Nowhere,
            }
            flight.way = None;
            flight.ended = self.began.elapsed();
        }
        Ok(())
    }
}

/// How far a service is on its way back.
enum Returned {
    NotYet,
    Back(Back),
    /// ECS did not take it back: it made its way before it could be stopped (ROLLBACK_REQUESTED may end in SUCCESSFUL), or was
    /// stopped where it was (a circuit breaker without rollback), or went back to what a run brought that was cut off.
    NeverTurned,
}

fn returned(flight: &Flight, service: &Service) -> Returned {
    let is_back = service.primary().is_some_and(|primary| {
        Some(primary.task_definition.as_str()) == flight.change.good.as_ref().map(|good| good.as_str())
            && primary.rollout == "COMPLETED"
            && primary.running >= primary.desired
    });
    let is_ours = service
        .primary()
        .is_some_and(|primary| flight.rollout.as_ref().is_some_and(|rollout| rollout.deployment == primary.id));
    match (&flight.way, &flight.record) {
        (None, _) => Returned::Back(flight.back.clone()),
        (Some(Way::Rescale(desired)), _) => {
            match u32::try_from(service.running) == Ok(*desired) && service.pending == 0 {
                true => Returned::Back(Back::Done),
                false => Returned::NotYet,
            }
        }
        (Some(Way::Recall), Some(record)) => match record.status.as_str() {
            "ROLLBACK_SUCCESSFUL" if flight.change.good != flight.change.completed => Returned::NeverTurned,
            "ROLLBACK_SUCCESSFUL" => Returned::Back(Back::Done),
            "SUCCESSFUL" => Returned::NeverTurned,
            "ROLLBACK_FAILED" => Returned::Back(Back::Failed { why: record.why() }),
            "STOPPED" if is_back => Returned::Back(Back::Done),
            "STOPPED" if is_ours => Returned::NeverTurned,
            "STOPPED" => Returned::Back(Back::Failed { why: record.why() }),
            _ => Returned::NotYet,
        },
        (Some(Way::Recall), None) if is_back => Returned::Back(Back::Done),
        (Some(Way::Recall), None) => Returned::NotYet,
        (Some(Way::Redeploy(rollout)), _) => {
            let seen = Seen { service: service.clone(), record: None, stopped: Vec::new() };
            match judge(rollout, &seen) {
                Sight::Deployed => Returned::Back(Back::Done),
                Sight::Going | Sight::GoingBack { .. } | Sight::Paused { .. } => Returned::NotYet,
                Sight::Superseded { by } => {
                    let by = by.rsplit('/').next().unwrap_or(&by).to_owned();
                    Returned::Back(Back::Failed { why: format!("another deployment, of {by}, took its place") })
                }
                Sight::WentBack { why }
                | Sight::StuckBetween { why }
                | Sight::Doomed { why }
                | Sight::Failed { why } => Returned::Back(Back::Failed { why }),
            }
        }
    }
}

fn to_what(flight: &Flight) -> String {
    match (&flight.way, &flight.change.good) {
        (Some(Way::Rescale(desired)), _) => format!(" to {desired} tasks"),
        (_, Some(good)) => format!(" to {}", good.short()),
        (_, None) => String::new(),
    }
}
