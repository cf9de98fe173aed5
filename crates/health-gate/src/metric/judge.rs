//! The judgement of a series: pure. Whole periods alone count, missing points are no zeros unless they are said to be, and too
//! few samples are no verdict.

use std::collections::BTreeMap;

use common::delivery::Side;
use jiff::Timestamp;

use super::{Measured, Rule, Source, number};
use crate::tally::Sample;

/// By the beginning of the period that each stands for.
pub(crate) type Points = BTreeMap<Timestamp, f64>;

/// How long after its end a period may still be without data that was measured, in seconds: AWS's services hand theirs in
/// within two or three minutes.
const LATE: i64 = 180;

/// How many samples a 95th percentile needs, and what is judged by below that.
const SAMPLES_OF_P95: f64 = 200.0;

/// From the first whole period after `from` to the end of the last one that is over; `None` if none is.
pub(super) fn window(rule: &Rule, from: Timestamp, now: Timestamp) -> Option<(Timestamp, Timestamp)> {
    let period = i64::try_from(rule.period.as_secs()).ok().filter(|period| *period > 0)?;
    let first = (from.as_second() + period - 1).div_euclid(period) * period;
    let end = now.as_second().div_euclid(period) * period;
    (first < end).then_some(())?;
    Some((Timestamp::from_second(first).ok()?, Timestamp::from_second(end).ok()?))
}

/// Judges what was measured in a window. `series` are those of the source, in the order of its fields.
pub(super) fn judge(
    source: &Source,
    rule: &Rule,
    series: &[Points],
    (from, to): (Timestamp, Timestamp),
    now: Timestamp,
) -> Measured {
    let empty = Points::new();
    let of = |index: usize| series.get(index).unwrap_or(&empty).range(from..to);
    let samples_in = |points: &[(Timestamp, f64)], counts: usize| -> f64 {
        let counted = points.iter().rev().take(rule.points as usize);
        counted.filter_map(|(at, _)| series.get(counts)?.get(at)).sum()
    };
    let (points, samples, note): (Vec<(Timestamp, f64)>, Option<f64>, &str) = match source {
        Source::One(_) | Source::Prometheus { .. } => (filled(rule, of(0), (from, to), now), None, ""),
        Source::Percent { .. } => {
            // Nothing is counted where nothing went wrong: CloudWatch has no zeros.
            let part = |at: &Timestamp| series.first().and_then(|part| part.get(at)).copied().unwrap_or(0.0);
            let whole = of(1).filter(|(_, whole)| **whole > 0.0);
            let points: Vec<_> = whole.map(|(at, whole)| (*at, part(at) / whole * 100.0)).collect();
            let samples = samples_in(&points, 1);
            (points, Some(samples), "")
        }
        Source::Percentile { .. } => {
            let percentiles: Vec<_> = of(0).map(|(at, value)| (*at, *value)).collect();
            let samples = samples_in(&percentiles, 2);
            match samples < SAMPLES_OF_P95 {
                true => (of(1).map(|(at, value)| (*at, *value)).collect(), Some(samples), " on average"),
                false => (percentiles, Some(samples), " at p95"),
            }
        }
    };
    let curve: Vec<f64> = points.into_iter().map(|(_, value)| value).collect();
    Measured { sample: sample(rule, &curve, samples, note), curve }
}

fn sample(rule: &Rule, curve: &[f64], samples: Option<f64>, note: &str) -> Sample {
    let wanted = rule.points as usize;
    let last = &curve[curve.len().saturating_sub(wanted)..];
    let Some(latest) = last.last() else { return Sample::Unsettled("no data".to_owned()) };
    let of_samples = samples.map(|samples| format!(", {samples:.0} requests")).unwrap_or_default();
    let observed = format!("{}{}{note}{of_samples}", number(*latest), rule.unit);
    if samples.is_some_and(|samples| samples < f64::from(rule.minimum_samples)) {
        return Sample::Unsettled(format!("{observed}: fewer than {} say nothing", rule.minimum_samples));
    }
    let beyond = |limit: Option<f64>| {
        limit.map_or(0, |limit| {
            let is_beyond = |value: &&f64| match rule.bad {
                Side::Above => **value > limit,
                Side::Below => **value < limit,
            };
            last.iter().filter(is_beyond).count()
        })
    };
    let sustained = rule.sustained as usize;
    let (failed, warned) = (beyond(rule.fail), beyond(rule.warn));
    let seen = last.len();
    match () {
        // Certain as soon as so many are beyond the limit: those that are to come change nothing.
        () if failed >= sustained => Sample::Certain(format!("{observed}, {failed} of {seen} points beyond the limit")),
        () if seen < wanted => Sample::Unsettled(format!("{observed}, {seen} of {wanted} points so far")),
        () if warned >= sustained => Sample::Warned(format!("{observed}, {warned} of {seen} points beyond the limit")),
        () => Sample::Good(observed),
    }
}

/// The points of a window, those that are missing by the rule among them: one is missing once nobody will hand it in any more.
fn filled<'a>(
    rule: &Rule,
    points: impl Iterator<Item = (&'a Timestamp, &'a f64)>,
    (from, to): (Timestamp, Timestamp),
    now: Timestamp,
) -> Vec<(Timestamp, f64)> {
    let mut points: Points = points.map(|(at, value)| (*at, *value)).collect();
    let period = i64::try_from(rule.period.as_secs()).unwrap_or(i64::MAX);
    if let Some(missing) = rule.missing {
        let late = to.as_second().min(now.as_second() - LATE);
        let mut begin = from.as_second();
        while begin + period <= late {
            if let Ok(at) = Timestamp::from_second(begin) {
                points.entry(at).or_insert(missing);
            }
            begin += period;
        }
    }
    points.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use common::aws::MetricSource;

    use super::super::Preset;
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(minute * 60).unwrap()
    }

    fn points(values: &[Option<f64>]) -> Points {
        (0..).zip(values).filter_map(|(minute, value)| Some((at(minute), (*value)?))).collect()
    }

    fn all(values: &[f64]) -> Points {
        points(&values.iter().copied().map(Some).collect::<Vec<_>>())
    }

    fn any() -> MetricSource {
        MetricSource::Expression("x".into())
    }

    fn judged(source: &Source, rule: &Rule, series: &[Points], minutes: i64) -> Sample {
        judge(source, rule, series, (at(0), at(minutes)), at(minutes)).sample
    }

    #[test]
    fn a_window_has_whole_periods_alone_and_none_from_before() {
        let rule = Preset::Cpu.rule();
        let second = |second| Timestamp::from_second(second).unwrap();
        assert_eq!(window(&rule, second(61), second(299)), Some((at(2), at(4))));
        assert_eq!(window(&rule, second(60), second(120)), Some((at(1), at(2))));
        assert_eq!(window(&rule, second(61), second(179)), None);
        assert_eq!(window(&rule, second(500), second(100)), None);
    }

    #[test]
    fn a_limit_has_to_be_crossed_in_so_many_of_the_last_points() {
        let cpu = |values: &[f64]| judged(&Source::One(any()), &Preset::Cpu.rule(), &[all(values)], 10);
        assert_eq!(cpu(&[50.0, 50.0, 60.0]), Sample::Good("60 %".into()));
        assert_eq!(cpu(&[50.0, 95.0, 60.0]), Sample::Good("60 %".into()), "one of three is a spike");
        assert_eq!(cpu(&[80.0, 50.0, 80.0]), Sample::Warned("80 %, 2 of 3 points beyond the limit".into()));
        assert_eq!(cpu(&[95.0, 50.0, 95.0]), Sample::Certain("95 %, 2 of 3 points beyond the limit".into()));
        assert_eq!(cpu(&[95.0, 95.0]), Sample::Certain("95 %, 2 of 2 points beyond the limit".into()), "it is certain");
        assert_eq!(cpu(&[50.0, 50.0]), Sample::Unsettled("50 %, 2 of 3 points so far".into()));
        assert_eq!(cpu(&[99.0, 99.0, 50.0, 50.0, 50.0]), Sample::Good("50 %".into()), "it was mended");
        assert_eq!(cpu(&[]), Sample::Unsettled("no data".into()));
    }

    #[test]
    fn below_may_be_the_bad_side() {
        let rule = Rule { bad: Side::Below, warn: Some(10.0), fail: Some(5.0), unit: "", ..Preset::Cpu.rule() };
        let sample = |value: f64| judged(&Source::One(any()), &rule, &[all(&[value; 3])], 10);
        assert_eq!(sample(20.0), Sample::Good("20".into()));
        assert_eq!(sample(7.0), Sample::Warned("7, 3 of 3 points beyond the limit".into()));
        assert_eq!(sample(1.0), Sample::Certain("1, 3 of 3 points beyond the limit".into()));
    }

    #[test]
    fn no_errors_are_no_points_and_mean_zero() {
        let (source, rule) = (Source::Percent { part: any(), whole: any() }, Preset::ErrorRate.rule());
        let rate = |part: &[Option<f64>], whole: &[f64]| judged(&source, &rule, &[points(part), all(whole)], 10);
        assert_eq!(rate(&[], &[100.0; 3]), Sample::Good("0 %, 300 requests".into()));
        let two = [None, Some(10.0), Some(10.0)];
        assert_eq!(
            rate(&two, &[100.0; 3]),
            Sample::Certain("10 %, 300 requests, 2 of 3 points beyond the limit".into())
        );
        let few = "33.3 %, 9 requests: fewer than 20 say nothing";
        assert_eq!(rate(&[Some(1.0); 3], &[3.0; 3]), Sample::Unsettled(few.into()), "one error of three requests");
        assert_eq!(rate(&[], &[]), Sample::Unsettled("no data".into()), "no traffic is no health");
    }

    #[test]
    fn a_percentile_of_few_samples_is_the_average_instead() {
        let source = Source::Percentile { percentile: any(), average: any(), samples: any() };
        let rule = Preset::ResponseTime.rule();
        let time = |requests: f64| judged(&source, &rule, &[all(&[4.0; 3]), all(&[0.5; 3]), all(&[requests; 3])], 10);
        assert_eq!(time(100.0), Sample::Certain("4 s at p95, 300 requests, 3 of 3 points beyond the limit".into()));
        assert_eq!(time(20.0), Sample::Good("0.5 s on average, 60 requests".into()));
        assert_eq!(time(2.0), Sample::Unsettled("0.5 s on average, 6 requests: fewer than 20 say nothing".into()));
    }

    #[test]
    fn a_missing_point_stands_for_what_it_is_said_to_once_it_cannot_come_any_more() {
        let (source, rule) = (Source::One(any()), Preset::Errors.rule());
        let after = |minutes: i64| judged(&source, &rule, &[Points::new()], minutes);
        assert_eq!(after(10), Sample::Unsettled("0, 1 of 2 points so far".into()), "the second may be late");
        assert_eq!(after(15), Sample::Good("0".into()));
        let many = BTreeMap::from([(at(0), 11.0), (at(5), 12.0)]);
        assert_eq!(judged(&source, &rule, &[many], 10), Sample::Certain("12, 2 of 2 points beyond the limit".into()));
    }
}
