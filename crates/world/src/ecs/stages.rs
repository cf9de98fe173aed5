//! The lifecycle stages of a deployment: blue/green, linear and canary deployments start every new task beside the old ones
//! and shift the traffic between them; a rolling deployment may have hooks, and bake at its end.
//!
//! <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/blue-green-deployment-how-it-works.html>

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::deployments::{Rollout, ServiceDeployment};
use super::services::Service;
use super::tasks::Health;
use super::{hooks, scheduler};
use crate::clock::Timing;
use crate::state::State;

/// `lifecycleStage`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    ReconcileService,
    PreScaleUp,
    ScaleUp,
    PostScaleUp,
    TestTrafficShift,
    PostTestTrafficShift,
    PreProductionTrafficShift,
    ProductionTrafficShift,
    PostProductionTrafficShift,
    BakeTime,
    CleanUp,
}

/// One stage of a deployment's journey; a stage may come more than once.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Leg {
    pub(super) stage: Stage,
    lasts: Lasts,
    traffic: Traffic,
}

/// How long a leg lasts. A hook may make it longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lasts {
    For(Duration),
    /// Until every new task is healthy.
    Scaled,
    /// Until nothing but healthy new tasks is left, and that has been so for a while.
    Settled,
}

/// The percentage of each kind of traffic that the new revision gets.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Traffic {
    pub(super) production: f64,
    pub(super) test: f64,
}

/// What lies before a deployment.
#[derive(Clone, Debug, Default)]
pub(super) struct Journey {
    /// The first is where it is.
    legs: VecDeque<Leg>,
    entered_at: Option<Timestamp>,
    /// How the load balancer shares the traffic out. `None` where nothing shifts it.
    pub(super) traffic: Option<Traffic>,
}

impl Journey {
    /// The way of a deployment with this configuration.
    pub(super) fn new(configuration: &Value, setting: &Setting, timing: &Timing) -> Self {
        let traffic = (shifts(configuration) && setting.manages_traffic).then(Traffic::default);
        Self { legs: legs(configuration, setting, timing), entered_at: None, traffic }
    }

    /// Where it is; `None` before it begins, and for a deployment without stages.
    pub(super) fn stage(&self) -> Option<Stage> {
        self.legs.front().filter(|_| self.entered_at.is_some()).map(|leg| leg.stage)
    }

    /// The end of all stages: it arrived, or is given up.
    pub(super) fn end(&mut self, production: f64) {
        self.legs.clear();
        self.entered_at = None;
        if let Some(traffic) = &mut self.traffic {
            *traffic = Traffic { production, test: 0.0 };
        }
    }

    fn still_has(&self, stage: Stage) -> bool {
        self.legs.iter().skip(1).any(|leg| leg.stage == stage)
    }
}

/// What else decides which stages there are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setting {
    /// A load balancer can share the traffic out between the revisions.
    pub(super) manages_traffic: bool,
    /// It has a listener for tests.
    pub(super) tests_traffic: bool,
    /// Another deployment was under way when it began.
    pub(super) reconciles: bool,
}

/// Whether a deployment with this configuration starts every new task beside the old ones, and shifts the traffic.
pub(super) fn shifts(configuration: &Value) -> bool {
    !matches!(configuration["strategy"].as_str(), None | Some("ROLLING"))
}

fn legs(configuration: &Value, setting: &Setting, timing: &Timing) -> VecDeque<Leg> {
    let beat = Lasts::For(timing.schedule);
    let bake = Lasts::For(bake(configuration));
    let leg = |stage: Stage, lasts: Lasts, production: f64, test: f64| Leg {
        stage,
        lasts,
        traffic: Traffic { production, test },
    };
    let is_hooked = |stage: &Leg| hooks::configured(configuration, stage.stage).next().is_some();
    if !shifts(configuration) {
        let before = [leg(Stage::PreScaleUp, beat, 0.0, 0.0)].into_iter().filter(is_hooked);
        let after = [leg(Stage::PostScaleUp, beat, 0.0, 0.0)].into_iter().filter(is_hooked);
        let baking =
            [leg(Stage::BakeTime, bake, 0.0, 0.0)].into_iter().filter(|leg| leg.lasts != Lasts::For(Duration::ZERO));
        let (before, after): (Vec<Leg>, Vec<Leg>) = (before.collect(), after.chain(baking).collect());
        let has_stages = !before.is_empty() || !after.is_empty();
        let scale_up = has_stages.then(|| leg(Stage::ScaleUp, Lasts::Settled, 0.0, 0.0));
        return before.into_iter().chain(scale_up).chain(after).collect();
    }
    let test = if setting.tests_traffic { 100.0 } else { 0.0 };
    let mut legs = VecDeque::new();
    legs.extend(setting.reconciles.then(|| leg(Stage::ReconcileService, beat, 0.0, 0.0)));
    legs.push_back(leg(Stage::PreScaleUp, beat, 0.0, 0.0));
    legs.push_back(leg(Stage::ScaleUp, Lasts::Scaled, 0.0, 0.0));
    legs.push_back(leg(Stage::PostScaleUp, beat, 0.0, 0.0));
    legs.push_back(leg(Stage::TestTrafficShift, beat, 0.0, test));
    legs.push_back(leg(Stage::PostTestTrafficShift, beat, 0.0, test));
    let mut shifted = 0.0;
    for (percent, lasts) in steps(configuration, timing) {
        legs.push_back(leg(Stage::PreProductionTrafficShift, beat, shifted, test));
        legs.push_back(leg(Stage::ProductionTrafficShift, Lasts::For(lasts), percent, test));
        shifted = percent;
    }
    legs.push_back(leg(Stage::PostProductionTrafficShift, beat, 100.0, test));
    legs.push_back(leg(Stage::BakeTime, bake, 100.0, test));
    legs.push_back(leg(Stage::CleanUp, Lasts::Settled, 100.0, 0.0));
    legs
}

/// The steps in which production traffic shifts: the percentage, and how long it stays. After the last step nothing bakes
/// but the bake time.
fn steps(configuration: &Value, timing: &Timing) -> Vec<(f64, Duration)> {
    let last = (100.0, timing.schedule);
    match configuration["strategy"].as_str() {
        Some("CANARY") => {
            let canary = &configuration["canaryConfiguration"];
            let percent = canary["canaryPercent"].as_f64().unwrap_or(5.0);
            let lasts = minutes(&canary["canaryBakeTimeInMinutes"], 10);
            if percent < 100.0 { vec![(percent, lasts), last] } else { vec![last] }
        }
        Some("LINEAR") => {
            let linear = &configuration["linearConfiguration"];
            let percent = linear["stepPercent"].as_f64().unwrap_or(10.0);
            let lasts = minutes(&linear["stepBakeTimeInMinutes"], 6);
            // ECS counts in tenths of a percent.
            let steps = (1..).map(|step| (percent * 10.0).round() * f64::from(step) / 10.0);
            let steps = steps.take_while(|percent| *percent < 100.0);
            steps.map(|percent| (percent, lasts)).chain([last]).collect()
        }
        _ => vec![last],
    }
}

/// How long both revisions are kept, or a rolling deployment watched, at the end. ECS computes it from the alarms where a
/// rolling deployment has them and says nothing; how is not documented.
fn bake(configuration: &Value) -> Duration {
    let watched = configuration["alarms"]["enable"] == true && !shifts(configuration);
    minutes(&configuration["bakeTimeInMinutes"], if watched { 5 } else { 0 })
}

fn minutes(value: &Value, default: u64) -> Duration {
    Duration::from_secs(60 * value.as_u64().unwrap_or(default))
}

/// Goes on through the stages as far as can be gone at this moment.
pub(super) fn advance(state: &mut State, arn: &str) {
    while let Some(again) = step(state, arn) {
        if let Some(again) = again {
            return scheduler::look_again(state, arn, again);
        }
    }
}

/// Enters the next stage, or leaves the one that is over. `None`: there is nothing to be done now; `Some(Some(_))`: not
/// before that moment.
fn step(state: &mut State, arn: &str) -> Option<Option<Timestamp>> {
    let now = state.now;
    let service = state.ecs.services.get(arn)?;
    let scaled = is_scaled(state, service);
    // A deployment that failed with nothing to go back to stays where it is.
    service.primary().filter(|deployment| deployment.rollout == Rollout::InProgress)?;
    let deployment = state.ecs.services.get_mut(arn)?.on_its_way_mut()?;
    let leg = deployment.journey.legs.front()?.clone();
    let Some(entered_at) = deployment.journey.entered_at else {
        deployment.journey.entered_at = Some(now);
        deployment.updated_at = now;
        if let Some(traffic) = &mut deployment.journey.traffic {
            *traffic = leg.traffic;
        }
        hooks::begin(state, arn, leg.stage);
        return Some(None);
    };
    if let Some(expires_at) = hooks::pending(deployment) {
        return Some(Some(expires_at));
    }
    match leg.lasts {
        Lasts::For(lasts) if entered_at + lasts > now => Some(Some(entered_at + lasts)),
        Lasts::Scaled if !scaled => None,
        // The scheduler says when.
        Lasts::Settled => None,
        Lasts::For(_) | Lasts::Scaled => {
            leave(deployment);
            Some(None)
        }
    }
}

/// Everything that was wanted runs, and nothing else. Whether the deployment has stages yet to pass all the same.
pub(super) fn goes_on(state: &mut State, arn: &str) -> bool {
    let Some(deployment) = state.ecs.services.get_mut(arn).and_then(Service::on_its_way_mut) else { return false };
    let settled = deployment.journey.legs.front().is_some_and(|leg| leg.lasts == Lasts::Settled);
    if settled && deployment.journey.entered_at.is_some() && hooks::pending(deployment).is_none() {
        leave(deployment);
        advance(state, arn);
    }
    let deployment = state.ecs.services.get_mut(arn).and_then(Service::on_its_way_mut);
    deployment.is_some_and(|deployment| !deployment.journey.legs.is_empty())
}

fn leave(deployment: &mut ServiceDeployment) {
    deployment.journey.legs.pop_front();
    deployment.journey.entered_at = None;
}

/// The deployment whose tasks are kept beside the new ones for now.
pub(super) fn kept(service: &Service) -> Option<&str> {
    let deployment = service.on_its_way()?;
    let is_kept = shifts(&deployment.configuration) && deployment.journey.still_has(Stage::CleanUp);
    let completed = service.deployments.iter().rev().find(|one| one.rollout == Rollout::Completed);
    completed.filter(|one| is_kept && one.id != service.primary).map(|one| one.id.as_str())
}

/// Whether new tasks may start, and how: `Some(true)` all at once beside the old ones.
pub(super) fn starts_tasks(service: &Service) -> Option<bool> {
    let Some(deployment) = service.on_its_way() else { return Some(false) };
    (!deployment.journey.still_has(Stage::ScaleUp)).then(|| shifts(&deployment.configuration))
}

fn is_scaled(state: &State, service: &Service) -> bool {
    let healthy = scheduler::tasks(state, &service.arn)
        .filter(|task| task.is_wanted() && task.health == Health::Healthy)
        .filter(|task| task.deployment.as_deref() == Some(&service.primary));
    healthy.count() >= usize::try_from(service.desired_count).unwrap_or(usize::MAX)
}

impl Stage {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::ReconcileService => "RECONCILE_SERVICE",
            Self::PreScaleUp => "PRE_SCALE_UP",
            Self::ScaleUp => "SCALE_UP",
            Self::PostScaleUp => "POST_SCALE_UP",
            Self::TestTrafficShift => "TEST_TRAFFIC_SHIFT",
            Self::PostTestTrafficShift => "POST_TEST_TRAFFIC_SHIFT",
            // ECS has hooks for this one, and its model has no such `lifecycleStage` yet: a word that is newer than the SDK.
            Self::PreProductionTrafficShift => "PRE_PRODUCTION_TRAFFIC_SHIFT",
            Self::ProductionTrafficShift => "PRODUCTION_TRAFFIC_SHIFT",
            Self::PostProductionTrafficShift => "POST_PRODUCTION_TRAFFIC_SHIFT",
            Self::BakeTime => "BAKE_TIME",
            Self::CleanUp => "CLEAN_UP",
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(configuration: Value, reconciles: bool, expected: &[&str]) {
        let setting = Setting { manages_traffic: true, tests_traffic: true, reconciles };
        let told: Vec<String> = (legs(&configuration, &setting, &Timing::FARGATE).iter())
            .map(|leg| {
                let lasts = match leg.lasts {
                    Lasts::For(lasts) => format!("{} s", lasts.as_secs()),
                    Lasts::Scaled => "scaled".to_owned(),
                    Lasts::Settled => "settled".to_owned(),
                };
                format!("{} {lasts} {}/{}", leg.stage.name(), leg.traffic.production, leg.traffic.test)
            })
            .collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn every_strategy_has_its_stages() {
        check(json!({ "strategy": "ROLLING" }), true, &[]);
        check(json!({ "bakeTimeInMinutes": 3 }), false, &["SCALE_UP settled 0/0", "BAKE_TIME 180 s 0/0"]);
        check(
            json!({ "strategy": "BLUE_GREEN", "bakeTimeInMinutes": 5 }),
            true,
            &[
                "RECONCILE_SERVICE 2 s 0/0",
                "PRE_SCALE_UP 2 s 0/0",
                "SCALE_UP scaled 0/0",
                "POST_SCALE_UP 2 s 0/0",
                "TEST_TRAFFIC_SHIFT 2 s 0/100",
                "POST_TEST_TRAFFIC_SHIFT 2 s 0/100",
                "PRE_PRODUCTION_TRAFFIC_SHIFT 2 s 0/100",
                "PRODUCTION_TRAFFIC_SHIFT 2 s 100/100",
                "POST_PRODUCTION_TRAFFIC_SHIFT 2 s 100/100",
                "BAKE_TIME 300 s 100/100",
                "CLEAN_UP settled 100/0",
            ],
        );
    }

    #[test]
    fn traffic_shifts_in_the_steps_that_were_asked_for() {
        #[track_caller]
        fn check(configuration: Value, expected: &[(f64, u64)]) {
            let steps = steps(&configuration, &Timing::FARGATE);
            let steps: Vec<(f64, u64)> = steps.into_iter().map(|(percent, lasts)| (percent, lasts.as_secs())).collect();
            assert_eq!(steps, expected);
        }
        check(json!({ "strategy": "CANARY" }), &[(5.0, 600), (100.0, 2)]);
        let canary = json!({ "canaryPercent": 20.5, "canaryBakeTimeInMinutes": 1 });
        check(json!({ "strategy": "CANARY", "canaryConfiguration": canary }), &[(20.5, 60), (100.0, 2)]);
        let linear = json!({ "stepPercent": 40, "stepBakeTimeInMinutes": 2 });
        let expected = [(40.0, 120), (80.0, 120), (100.0, 2)];
        check(json!({ "strategy": "LINEAR", "linearConfiguration": linear }), &expected);
        check(json!({ "strategy": "LINEAR", "linearConfiguration": { "stepPercent": 100 } }), &[(100.0, 2)]);
    }
}
