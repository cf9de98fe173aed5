//! The words of the contract: how it ended, for one service and for the whole. Pure.

use common::duration::human;
use common::failure::Kind;
use common::report::Verdict;

use crate::config::{Config, Operation};
use crate::effects::{Back, Fate, Flight};
use crate::facts::Facts;
use crate::plan::Step;

/// Of several words the gravest is the release's.
const BY_GRAVITY: [&str; 11] = [
    "rollback-failed",
    "failed",
    "timed-out",
    "superseded",
    "cancelled",
    "rolled-back",
    "paused",
    "refused",
    "not-started",
    "deployed",
    "unchanged",
];

/// The word for one service.
pub(crate) fn word(flight: &Flight) -> &'static str {
    match (&flight.back, &flight.fate) {
        (Back::Done, _) => "rolled-back",
        (Back::Failed { .. }, _) => "rollback-failed",
        (Back::No | Back::Asked | Back::Nowhere | Back::ScaledToZero, fate) => match fate {
            Fate::NotStarted => "not-started",
            Fate::Unchanged => "unchanged",
            Fate::Deployed if flight.back == Back::Asked => "cancelled",
            Fate::Deployed => "deployed",
            Fate::Paused { .. } => "paused",
            Fate::Superseded { .. } => "superseded",
            Fate::TimedOut => "timed-out",
            Fate::Going | Fate::Cancelled => "cancelled",
            Fate::Broken(failure) if failure.kind == Kind::Cancelled => "cancelled",
            Fate::Broken(failure) if failure.kind == Kind::Refused => "superseded",
            Fate::Failed { .. } | Fate::Broken(_) => "failed",
        },
    }
}

/// The one word for a release: its gravest service's.
pub(crate) fn outcome(flights: &[Flight]) -> &'static str {
    let words: Vec<&str> = flights.iter().map(word).collect();
    match BY_GRAVITY.into_iter().find(|word| words.contains(word)) {
        // Nothing failed, and not everything was begun: somebody wanted it to stop.
        Some("not-started") => "cancelled",
        Some(word) => word,
        None => "unchanged",
    }
}

/// Why a service is where it is, in a few words.
pub(crate) fn because(flight: &Flight) -> String {
    let to = flight.to.as_ref().map_or("a new revision", |to| to.short());
    match &flight.fate {
        Fate::Deployed
            if flight.back == Back::No
                && let Step::Scale(desired) = flight.change.step =>
        {
            format!("{desired} tasks run")
        }
        Fate::NotStarted | Fate::Unchanged if flight.back != Back::No => {
            "another service of the release failed".to_owned()
        }
        Fate::NotStarted => "another service of the release failed, or the run was cancelled".to_owned(),
        Fate::Unchanged => "it runs what it should".to_owned(),
        Fate::Deployed if flight.back == Back::No && flight.change.desired == 0 && flight.change.from.is_some() => {
            format!("{to} is what it is to run: its desired count is 0")
        }
        Fate::Deployed if flight.back == Back::No => format!("{to} runs"),
        Fate::Deployed => "another service of the release failed".to_owned(),
        Fate::Going => "another service of the release failed first".to_owned(),
        Fate::Paused { hook, until } => match until {
            Some(until) => format!("hook {hook} waits for an answer until {}", until.strftime("%Y-%m-%d %H:%M UTC")),
            None => format!("hook {hook} waits for an answer"),
        },
        Fate::Failed { why } => why.clone(),
        Fate::Superseded { by } => format!("another deployment took its place, of {}", short(by)),
        Fate::TimedOut => "it was not ready in time".to_owned(),
        Fate::Cancelled => "the run was cancelled".to_owned(),
        Fate::Broken(failure) => format!("{:#}", failure.error),
    }
}

/// What it is all for, where the services' own lines do not say it.
pub(crate) fn goal(config: &Config, facts: &Facts) -> Option<String> {
    let release = || {
        let release = facts.release.as_ref()?;
        let commit = release.commit.as_ref().map(|commit| format!(", commit {}", commit.short())).unwrap_or_default();
        Some((release.release, commit))
    };
    match &config.operation {
        Operation::Rollback { .. } => release().map(|(number, commit)| format!("back to release {number}{commit}")),
        Operation::Promote { from, .. } => {
            release().map(|(number, commit)| format!("release {number} of {from}{commit}"))
        }
        Operation::Rotate { secret, value: Some(_) } => Some(format!("a new value for {secret}")),
        Operation::Rotate { secret, value: None } => Some(format!("taking up the value of {secret}")),
        _ => None,
    }
}

/// Whether a release is what was asked for; if not, why, and what to do about it.
pub(crate) fn verdict(config: &Config, flights: &[Flight]) -> Verdict {
    let outcome = outcome(flights);
    let culprit = flights.iter().filter(|flight| !flight.is_good()).min_by_key(|flight| guilt(flight));
    let Some(culprit) = culprit else { return Verdict::Good };
    let (why, hint) = explain(culprit, flights, config);
    match (outcome, &culprit.fate) {
        ("cancelled", _) => Verdict::Cancelled { why, hint },
        (_, Fate::Broken(failure)) if failure.kind != Kind::Refused => {
            Verdict::Broken { kind: failure.kind, why, hint }
        }
        _ => Verdict::Bad { why, hint },
    }
}

/// Who is to blame comes first: what failed by itself before what went back because of it.
fn guilt(flight: &Flight) -> u8 {
    match (&flight.fate, &flight.back) {
        (Fate::Failed { .. } | Fate::Broken(_), _) => 0,
        (Fate::TimedOut | Fate::Superseded { .. }, _) => 1,
        (_, Back::Failed { .. }) => 2,
        (Fate::Cancelled | Fate::Paused { .. }, _) => 3,
        _ => 4,
    }
}

fn explain(flight: &Flight, flights: &[Flight], config: &Config) -> (String, String) {
    let (key, to) = (&flight.change.key, flight.to.as_ref().map_or("a new revision", |to| to.short()));
    let good = flight.change.good.as_ref().map_or("what ran before", |good| good.short());
    let (scaled_to, scaled_from) = match flight.change.step {
        Step::Scale(desired) => (Some(desired), flight.change.desired),
        _ => (None, 0),
    };
    // Where no task ended, what ECS says comes closest to a reason: that there is no room, for one.
    let cause = flight.diagnosis.causes.first().map(|cause| &cause.text);
    let cause = cause.or(flight.diagnosis.events.last().filter(|_| matches!(flight.fate, Fate::TimedOut)));
    let cause = cause.map(|cause| format!(": {}", cause.trim_end_matches('.'))).unwrap_or_default();
    let mut why = match &flight.fate {
        Fate::Failed { why } if cause.is_empty() || why.contains(cause.trim_start_matches(": ")) => {
            format!("`{key}`: {to} failed: {why}")
        }
        Fate::Failed { why } => format!("`{key}`: {to} failed{cause} ({why})"),
        Fate::TimedOut if let Some(desired) = scaled_to => {
            format!("`{key}`: {desired} tasks did not get ready within {}{cause}", human(config.timeout))
        }
        Fate::TimedOut => format!("`{key}`: {to} did not get ready within {}{cause}", human(config.timeout)),
        Fate::Cancelled | Fate::Going => format!("`{key}`: cancelled while {to} was being deployed"),
        Fate::NotStarted => format!("cancelled before `{key}` was begun"),
        Fate::Paused { .. } | Fate::Superseded { .. } | Fate::Broken(_) | Fate::Unchanged | Fate::Deployed => {
            format!("`{key}`: {}", because(flight))
        }
    };
    why += &match &flight.back {
        Back::No => String::new(),
        Back::Done if scaled_to.is_some() => format!(". It has {scaled_from} tasks again"),
        Back::Done => format!(". {good} runs again"),
        Back::Asked => format!(". ECS was asked to go back to {good}"),
        Back::Failed { why } => format!(". Going back to {good} failed too: {why}"),
        Back::Nowhere => ". There is nothing to go back to: no deployment of it ever succeeded".to_owned(),
        Back::ScaledToZero => ". There is nothing to go back to: its tasks were stopped".to_owned(),
    };
    let others: Vec<String> = flights
        .iter()
        .filter(|other| other.change.key != *key && other.back == Back::Done)
        .map(|other| format!("`{}`", other.change.key))
        .collect();
    if !others.is_empty() {
        why += &format!(". Put back with it: {}", others.join(", "));
    }
    match config.policy.goes_back || !matches!(flight.fate, Fate::Failed { .. } | Fate::TimedOut) {
        true => (why, next_step(flight, good)),
        false => (
            format!("{why}. Nothing was put back by this run: {good} may break on the migrated database"),
            "mend the cause and deploy forward; if the version before is known to run on the database, go back with `operation: rollback`".to_owned(),
        ),
    }
}

fn next_step(flight: &Flight, good: &str) -> String {
    let mend = match flight.diagnosis.logs.is_empty() {
        true => "mend the cause, and deploy again",
        false => "mend the cause, which the job summary shows with the container's last lines, and deploy again",
    };
    match (&flight.fate, &flight.back) {
        (_, Back::Failed { .. }) => {
            let key = &flight.change.key;
            format!("look at the service now; deploy a revision that is known to be good with `services: {key}` and `task-definition: {good}`")
        }
        (Fate::Broken(failure), _) => failure.hint.clone().unwrap_or_else(|| "run the action again".to_owned()),
        (Fate::Superseded { .. }, _) => "look at the run that started the other one: it decides what runs".to_owned(),
        (Fate::Paused { .. }, _) => {
            "answer the hook: run health-gate with `answer-pause: true`, or call ContinueServiceDeployment; then run this action again to follow the deployment to its end".to_owned()
        }
        (Fate::TimedOut, _) => format!("{mend}; if it only needs longer, give the input `timeout` more time"),
        (Fate::Cancelled | Fate::Going | Fate::NotStarted, Back::No) => {
            "the deployment goes on in ECS: run this action again to follow it to its end".to_owned()
        }
        (Fate::Cancelled | Fate::Going | Fate::NotStarted, _) => {
            "run this action again to bring everything to one release".to_owned()
        }
        _ => mend.to_owned(),
    }
}

/// The last part of an ARN.
pub(crate) fn short(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}
