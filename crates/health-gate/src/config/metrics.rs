//! What is measured: presets by name, with limits of one's own if need be, and series of one's own.

use std::num::NonZeroU32;
use std::time::Duration;

use common::aws::MetricSource;
use common::delivery::{Health, Metric, Side};
use common::duration;
use common::failure::Failure;
use common::inputs::nearest;

use super::variables::Variables;
use crate::inputs::{Lines, Overrides};
use crate::metric::{PRESETS, Preset, Rule, Source};

/// A metric that somebody wants watched.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Wish {
    pub(crate) name: String,
    pub(crate) wanted: Wanted,
    pub(crate) rule: Rule,
}

/// Where its points come from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Wanted {
    /// What the service's surroundings make of a preset.
    Preset(Preset),
    Own(Box<Source>),
}

/// The metrics of a target. All that is wrong with them is told at once.
pub(super) fn read(health: &Health, overrides: &Overrides, variables: &Variables) -> Result<Vec<Wish>, Failure> {
    match &overrides.metrics {
        Some(Lines(lines)) => Failure::collect(
            lines
                .iter()
                .map(|line| of_line(line).map_err(|failure| failure.context(format!("input `metrics`, `{line}`")))),
        ),
        None => {
            let server = overrides.prometheus.as_deref();
            let server = server.or_else(|| health.prometheus.as_ref().map(|server| server.as_str()));
            Failure::collect(health.metrics.iter().map(|(name, metric)| {
                of_table(name, metric, server, variables).map_err(|failure| failure.context(format!("metric `{name}`")))
            }))
        }
    }
}

/// `ecs-cpu warn 60 fail 80, 3 of 3 points every 5m`.
fn of_line(line: &str) -> Result<Wish, Failure> {
    let text = line.replace(',', " ");
    let mut words = text.split_whitespace();
    let name = words.next().unwrap_or_default();
    let preset = preset(name)?;
    let mut rule = preset.rule();
    let words: Vec<&str> = words.collect();
    let mut rest = words.as_slice();
    loop {
        rest = match rest {
            [] => break,
            ["warn", limit, rest @ ..] => {
                rule.warn = Some(limit_of(limit)?);
                rest
            }
            ["fail", limit, rest @ ..] => {
                rule.fail = Some(limit_of(limit)?);
                rest
            }
            ["every", period, rest @ ..] => {
                rule.period = whole_minutes(period)?;
                rest
            }
            [sustained, "of", points, rest @ ..] => {
                let number = |text: &str| text.parse::<NonZeroU32>().map(NonZeroU32::get).ok();
                match (number(sustained), number(points)) {
                    (Some(sustained), Some(points)) if sustained <= points => {
                        (rule.sustained, rule.points) = (sustained, points);
                    }
                    _ => return Err(Failure::input(format!("`{sustained} of {points}` is not so many of so many"))),
                }
                rest.strip_prefix(&["points"]).unwrap_or(rest)
            }
            [word, ..] => {
                return Err(Failure::input(format!("`{word}` is not expected here"))
                    .hint("after the preset's name there may be `warn 1`, `fail 3`, `2 of 3 points`, `every 5m`"));
            }
        };
    }
    hold_together(&rule)?;
    Ok(Wish { name: name.to_owned(), wanted: Wanted::Preset(preset), rule })
}

fn of_table(name: &str, metric: &Metric, server: Option<&str>, variables: &Variables) -> Result<Wish, Failure> {
    let wanted = match (&metric.metric, &metric.expression, &metric.prometheus) {
        (Some(series), _, _) => {
            let dimension = |(name, value): (&String, &common::delivery::Template)| {
                Ok((name.clone(), variables.fill(value.as_str())?))
            };
            Wanted::Own(Box::new(Source::One(MetricSource::Statistic {
                namespace: metric.namespace.clone().unwrap_or_default(),
                metric: series.clone(),
                dimensions: metric.dimensions.iter().map(dimension).collect::<Result<_, Failure>>()?,
                statistic: metric.statistic.clone().unwrap_or_else(|| "Average".to_owned()),
            })))
        }
        (None, Some(expression), _) => {
            Wanted::Own(Box::new(Source::One(MetricSource::Expression(variables.fill(expression.as_str())?))))
        }
        (None, None, Some(query)) => {
            let server = server.ok_or_else(|| {
                Failure::input("there is no Prometheus server to ask")
                    .hint("set `prometheus` under `health`, or the input `prometheus`, to its URL")
            })?;
            let (server, query) = (variables.url(server)?, variables.fill(query.as_str())?);
            Wanted::Own(Box::new(Source::Prometheus { server, query }))
        }
        (None, None, None) => Wanted::Preset(preset(name)?),
    };
    let usual = match &wanted {
        Wanted::Preset(preset) => preset.rule(),
        Wanted::Own(_) => Rule { warn: None, fail: None, unit: "", ..Preset::Cpu.rule() },
    };
    let rule = Rule {
        warn: metric.warn.or(usual.warn),
        fail: metric.fail.or(usual.fail),
        bad: metric.bad.unwrap_or(usual.bad),
        period: metric.period.map_or(usual.period, common::delivery::TimeSpan::get),
        points: metric.points.map_or(usual.points, NonZeroU32::get),
        sustained: metric.sustained.map_or(usual.sustained, NonZeroU32::get),
        minimum_samples: metric.minimum_samples.unwrap_or(usual.minimum_samples),
        missing: metric.missing.or(usual.missing),
        unit: usual.unit,
    };
    hold_together(&rule)?;
    Ok(Wish { name: name.to_owned(), wanted, rule })
}

/// Refuses limits in the wrong order, and more points than there are.
fn hold_together(rule: &Rule) -> Result<(), Failure> {
    if let (Some(warn), Some(fail)) = (rule.warn, rule.fail) {
        let is_in_order = match rule.bad {
            Side::Above => warn <= fail,
            Side::Below => warn >= fail,
        };
        if !is_in_order {
            return Err(Failure::input(format!("its limit for `fail`, {fail}, is crossed before the one for `warn`, {warn}"))
                .hint("give both in the order in which they are crossed; in delivery.toml `bad` says on which side of them values are bad"));
        }
    }
    if rule.sustained > rule.points {
        return Err(Failure::input(format!("{} of {} points are more than there are", rule.sustained, rule.points))
            .hint("set `points` and `sustained`"));
    }
    Ok(())
}

fn preset(name: &str) -> Result<Preset, Failure> {
    let known = || PRESETS.iter().map(|(known, _)| *known);
    Preset::named(name).ok_or_else(|| {
        let refused = Failure::input(format!("there is no preset `{name}`"));
        match nearest(name, known()) {
            Some(nearest) => refused.hint(format!("did you mean `{nearest}`?")),
            None => refused.hint(format!(
                "known are `{}`; a metric of your own has a source in delivery.toml: `metric`, `expression` or `prometheus`",
                known().collect::<Vec<_>>().join("`, `")
            )),
        }
    })
}

fn limit_of(text: &str) -> Result<f64, Failure> {
    let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
    number.ok_or_else(|| Failure::input(format!("`{text}` is not a number")))
}

fn whole_minutes(text: &str) -> Result<Duration, Failure> {
    let period = duration::parse(text).map_err(Failure::input)?;
    let is_whole = !period.is_zero() && period.subsec_nanos() == 0 && period.as_secs().is_multiple_of(60);
    if is_whole { Ok(period) } else { Err(Failure::input(format!("`{text}` is not whole minutes"))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preset_may_have_limits_of_its_own() {
        let rule = |line: &str| of_line(line).map(|wish| wish.rule);
        assert_eq!(rule("ecs-cpu").unwrap(), Preset::Cpu.rule());
        let read = rule("ecs-cpu warn 60 fail 80, 3 of 4 points every 5m").unwrap();
        let own = Rule {
            warn: Some(60.0),
            fail: Some(80.0),
            points: 4,
            sustained: 3,
            period: Duration::from_mins(5),
            ..Preset::Cpu.rule()
        };
        assert_eq!(read, own);
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let told: Vec<String> = [
            "ecs-cpus",
            "queue-depth",
            "ecs-cpu > 5",
            "ecs-cpu fail much",
            "ecs-cpu warn 90 fail 80",
            "ecs-cpu fail 60",
            "ecs-cpu 3 of 2",
            "ecs-cpu every 90s",
        ]
        .iter()
        .map(|line| of_line(line).unwrap_err().to_string())
        .collect();
        insta::assert_snapshot!(told.join("\n"));
    }
}
