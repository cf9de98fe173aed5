//! One look at everything, and what all looks so far have shown.

use std::collections::BTreeSet;

use common::aws::Aws;
use common::edges::Edges;
use futures_util::future::{join_all, join3};
use jiff::Timestamp;

use super::Curve;
use crate::metric::Measured;
use crate::pause::Pause;
use crate::plan::Gate;
use crate::probe::{Asked, Distinct};
use crate::state::Look;
use crate::tally::{Sample, Tally};

/// What all looks so far have shown.
#[derive(Debug)]
pub(super) struct Watch {
    /// One for each check.
    pub(super) tallies: Vec<Tally>,
    /// What was watched over time: the answers' latency, then each metric.
    pub(super) curves: Vec<Curve>,
    /// The hook that the deployment waits at.
    pub(super) pause: Option<Pause>,
    /// The instances that answered as expected.
    instances: BTreeSet<String>,
    /// Since when the deployment has arrived.
    arrived: Option<Timestamp>,
}

impl Watch {
    pub(super) fn of(gate: &Gate) -> Self {
        let latency = gate.probes.first().map(|_| Curve { name: "latency".into(), unit: " s", ..Curve::default() });
        let metrics = gate.metrics.iter().map(|metric| Curve {
            name: metric.name.clone(),
            unit: metric.rule.unit,
            ..Curve::default()
        });
        Self {
            tallies: vec![Tally::default(); gate.checks.len()],
            curves: latency.into_iter().chain(metrics).collect(),
            pause: None,
            instances: BTreeSet::new(),
            arrived: None,
        }
    }

    /// Looks once at everything: a sample for each check, in their order.
    pub(super) async fn look(&mut self, gate: &Gate, aws: Option<&Aws>, edges: &Edges) {
        let state = async {
            match (&gate.state, aws) {
                (Some(state), Some(aws)) => state.look(aws).await,
                _ => Look::default(),
            }
        };
        let answers = join_all(gate.probes.iter().map(|probe| probe.look(&edges.http)));
        let alarms = async {
            match (&gate.alarms, aws) {
                (Some(alarms), Some(aws)) => alarms.look(aws).await,
                _ => Vec::new(),
            }
        };
        let (Look { mut samples, pause }, answers, alarms) = join3(state, answers, alarms).await;
        if hook(pause.as_ref()) != hook(self.pause.as_ref()) {
            // What was seen on the way says nothing about the place where the deployment waits now.
            self.tallies.fill(Tally::default());
            self.instances.clear();
            self.arrived = None;
        }
        // While a deployment goes on, the version before answers too: that is no fault of the new one.
        let is_on_its_way = samples.iter().any(|sample| matches!(sample, Sample::Unsettled(_)));
        if samples.first().is_none_or(|deployment| matches!(deployment, Sample::Good(_))) {
            self.arrived.get_or_insert(edges.now());
        }
        self.pause = pause;
        samples.extend(self.answers(gate, &answers, samples.len(), is_on_its_way));
        samples.extend(gate.distinct().map(|distinct| self.instances(distinct, &answers)));
        samples.extend(alarms);
        let measured = join_all(gate.metrics.iter().map(|metric| self.measure(metric, gate, aws, edges))).await;
        let first = self.curves.len() - gate.metrics.len();
        for (curve, Measured { sample, curve: values }) in self.curves[first..].iter_mut().zip(measured) {
            samples.push(sample);
            curve.values = values;
        }
        for (tally, sample) in self.tallies.iter_mut().zip(samples) {
            tally.add(sample);
        }
    }

    /// A sample for each condition of each URL.
    fn answers(&mut self, gate: &Gate, answers: &[Asked], first: usize, is_on_its_way: bool) -> Vec<Sample> {
        if let (Some(latency), Some(curve)) = (answers.first().and_then(|asked| asked.latency), self.curves.first_mut())
        {
            curve.values.push(latency.as_secs_f64());
        }
        let samples: Vec<&Sample> = answers.iter().flat_map(|asked| &asked.samples).collect();
        // Where it waits with a part of the traffic, the version before answers the rest.
        let mut identities = gate.checks.iter().skip(first).zip(&samples).filter(|(check, _)| check.is_identity);
        let is_of_another = self.pause.as_ref().is_some_and(Pause::is_shared)
            && identities.any(|(_, answer)| matches!(answer, Sample::Bad(_)));
        let judged = samples.into_iter().cloned().map(|answer| match () {
            () if is_of_another => Sample::OfAnother(format!("{}, of the version before", answer.observed())),
            () if is_on_its_way => answer.or_unsettled(),
            () => answer,
        });
        judged.collect()
    }

    /// Whether as many instances as there have to be have answered as expected.
    fn instances(&mut self, distinct: &Distinct, answers: &[Asked]) -> Sample {
        for (instance, is_good) in answers.iter().flat_map(|asked| &asked.instances) {
            match is_good {
                true => self.instances.insert(instance.clone()),
                // One that answers otherwise now is none of those that are right.
                false => self.instances.remove(instance),
            };
        }
        let seen = format!("{} of {} seen", self.instances.len(), distinct.count);
        if self.instances.len() >= distinct.count { Sample::Good(seen) } else { Sample::Unsettled(seen) }
    }

    async fn measure(&self, metric: &crate::metric::Metric, gate: &Gate, aws: Option<&Aws>, edges: &Edges) -> Measured {
        let Some(from) = self.arrived.and_then(|arrived| arrived.checked_add(gate.settle).ok()) else {
            let waiting = Sample::Unsettled("not before the deployment has arrived".to_owned());
            return Measured { sample: waiting, curve: Vec::new() };
        };
        metric.look(from, edges.now(), aws, &edges.http).await
    }
}

/// Beside what was measured, what was usual before the deployment: advice, and no part of the verdict.
pub(super) async fn compare(gate: &Gate, curves: &mut [Curve], aws: Option<&Aws>, edges: &Edges) {
    let Some(deployed) = gate.deployed else { return };
    let first = curves.len() - gate.metrics.len();
    let before = join_all(gate.metrics.iter().map(|metric| metric.before(deployed, aws, &edges.http)));
    // Nobody waits for advice once the run is cancelled.
    let Some(before) = edges.stop.unless_raised(before).await else { return };
    for (curve, before) in curves[first..].iter_mut().zip(before) {
        curve.before = before;
    }
}

fn hook(pause: Option<&Pause>) -> Option<&str> {
    pause.map(|pause| pause.hook.id.as_str())
}
