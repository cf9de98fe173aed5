//! What happened, for people and for the next job.

mod sections;

use std::fmt::Write as _;

use common::duration::human;
use common::markdown::{block, code, escape, prose, table};
use common::names::Tag;
use common::policy;
use common::report::{Report, Verdict};
use serde_json::{Map, Value, json};

use crate::ACTION;
use crate::config::Config;
use crate::effects::{Fate, ImageOutcome, Outcome};
use crate::gate::Scanned;
use crate::plan::{Change, Plan, Step};

/// The report of a dry run, and of a push that the gates forbid: nothing was touched.
pub(crate) fn planned(config: &Config, plan: &Plan) -> Report {
    let is_push = plan.changes.iter().any(|change| matches!(change.step, Step::Push { .. }));
    let (result, sign) = match (plan.is_blocked(), is_push) {
        (true, _) => ("blocked", "❌"),
        (false, true) => ("planned", "📋"),
        (false, false) => ("unchanged", "📋"),
    };
    let verdict = blocked(plan);
    let heading = if plan.is_blocked() { "blocked, nothing was pushed" } else { "what a push would do" };
    let mut summary = format!("### {sign} {}: {heading}\n\n", ACTION.name);
    summary += &cause(&verdict);
    let upkeep = plan.changes.iter().map(|change| (change.repository(), &change.upkeep, false));
    for change in &plan.changes {
        if let Some(violations) = change.violations() {
            summary += &sections::violations(change.key(), violations);
        }
    }
    summary += &sections::repositories(upkeep);
    let found: Vec<_> = plan.changes.iter().map(|change| (change.key(), found(change))).collect();
    for (key, scanned) in &found {
        summary += &sections::let_through(key, scanned);
    }
    summary += &sections::exceptions(found.iter().flat_map(|(_, scanned)| scanned.iter().copied()));
    summary += &block("", &plan.to_string());
    let json =
        json!({ "result": result, "dry-run": config.dry_run, "commit": config.commit, "plan": plan.to_string() });
    Report { result, verdict, outputs: Vec::new(), json, summary }
}

/// What was found in an image before it was pushed.
fn found(change: &Change) -> Vec<&Scanned> {
    match &change.step {
        Step::Push { checked, .. } | Step::Block { checked, .. } => checked.scanned.iter().collect(),
        Step::Keep { .. } => Vec::new(),
    }
}

fn blocked(plan: &Plan) -> Verdict {
    let blocked: Vec<&Change> = plan.changes.iter().filter(|change| change.violations().is_some()).collect();
    let Some(first) = blocked.first() else { return Verdict::Good };
    let (why, hint) = policy::explain(first.violations().unwrap_or_default());
    Verdict::Bad { why: format!("`{}`: {why}{}", first.key(), and_more(blocked.len())), hint }
}

/// That the first of these images is not the only one.
fn and_more(count: usize) -> String {
    match count {
        0 | 1 => String::new(),
        2 => "; another image is not as it should be either".to_owned(),
        count => format!("; {} more images are not as they should be either", count - 1),
    }
}

/// The cause and the next step, if the verdict is not good.
fn cause(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Good => String::new(),
        Verdict::Bad { why, hint } | Verdict::Broken { why, hint, .. } | Verdict::Cancelled { why, hint } => {
            format!("{}\n\n**Next step:** {}\n\n", prose(why), prose(hint))
        }
    }
}

/// The report of a push.
pub(crate) fn report(config: &Config, outcome: &Outcome) -> Report {
    let result = result(outcome);
    let images: Map<String, Value> =
        outcome.images.iter().map(|image| (image.target.key.to_string(), as_json(image))).collect();
    let json = json!({
        "result": result,
        "commit": config.commit,
        "seconds": outcome.took.as_secs(),
        "images": images,
    });
    let verdict = verdict(config, outcome);
    let summary = summary(config, outcome, result, &verdict);
    Report { result, outputs: outputs(config, outcome, images), json, summary, verdict }
}

fn outputs(config: &Config, outcome: &Outcome, images: Map<String, Value>) -> Vec<(&'static str, String)> {
    let single = |value: fn(&ImageOutcome) -> String| match outcome.images.as_slice() {
        [image] => value(image),
        _ => String::new(),
    };
    let registry = match outcome.images.as_slice() {
        [first, more @ ..] if more.iter().all(|image| image.registry == first.registry) => first.registry.clone(),
        _ => String::new(),
    };
    let tags: Vec<&str> = std::iter::once(&config.tag).chain(&outcome.moved).map(Tag::as_str).collect();
    vec![
        ("digest", single(|image| image.digest().map(ToString::to_string).unwrap_or_default())),
        ("repository", single(|image| image.target.repository.to_string())),
        ("registry", registry),
        ("tags", if matches!(result(outcome), "pushed" | "unchanged") { tags.join("\n") } else { String::new() }),
        ("images", Value::Object(images).to_string()),
    ]
}

/// The one word for a run: its worst image's.
fn result(outcome: &Outcome) -> &'static str {
    let words: Vec<&str> = outcome.images.iter().map(|image| word(&image.fate)).collect();
    match ["failed", "timed-out", "cancelled", "blocked", "pushed"].into_iter().find(|word| words.contains(word)) {
        Some(word @ ("pushed" | "blocked")) => word,
        Some(_) => "failed",
        None => "unchanged",
    }
}

/// The word for one image.
fn word(fate: &Fate) -> &'static str {
    match fate {
        Fate::Unchanged => "unchanged",
        Fate::Pushed => "pushed",
        Fate::Blocked(_) => "blocked",
        Fate::Failed(_) => "failed",
        Fate::TimedOut => "timed-out",
        Fate::Cancelled => "cancelled",
    }
}

/// How grave a fate is; what failed comes before what was merely cut off.
fn gravity(fate: &Fate) -> u8 {
    match fate {
        Fate::Failed(_) => 3,
        Fate::TimedOut | Fate::Cancelled => 2,
        Fate::Blocked(_) => 1,
        Fate::Unchanged | Fate::Pushed => 0,
    }
}

fn verdict(config: &Config, outcome: &Outcome) -> Verdict {
    let bad: Vec<&ImageOutcome> = outcome.images.iter().filter(|image| gravity(&image.fate) > 0).collect();
    let Some(worst) = bad.iter().rev().max_by_key(|image| gravity(&image.fate)) else { return Verdict::Good };
    let there = worst.digest().map(|digest| format!("the image is in the registry ({}), but", digest.short()));
    let key = &worst.target.key;
    let why = |text: String| match &there {
        Some(there) => format!("`{key}`: {there} {text}{}", and_more(bad.len())),
        None => format!("`{key}`: {text}{}", and_more(bad.len())),
    };
    let again = "run again: what arrived is not sent twice";
    match &worst.fate {
        Fate::Failed(failure) => Verdict::Broken {
            kind: failure.kind,
            why: why(format!("{}{:#}", if there.is_some() { "could not " } else { "" }, failure.error)),
            hint: failure.hint.clone().unwrap_or_else(|| again.to_owned()),
        },
        Fate::Blocked(violations) => {
            let (text, hint) = policy::explain(violations);
            Verdict::Bad { why: why(text.replacen("the image does not keep the policy", "it does not pass", 1)), hint }
        }
        Fate::TimedOut => Verdict::Bad {
            why: why(format!("the push did not end within {}", human(config.timeout))),
            hint: "run again, with more time by the input `timeout`: what arrived is not sent twice".to_owned(),
        },
        Fate::Cancelled | Fate::Unchanged | Fate::Pushed => {
            let text = if worst.digest().is_some() {
                "the run was cancelled"
            } else {
                "cancelled while the image was being pushed"
            };
            Verdict::Cancelled { why: why(text.to_owned()), hint: again.to_owned() }
        }
    }
}

fn as_json(image: &ImageOutcome) -> Value {
    let ImageOutcome { target, registry, fate, .. } = image;
    let repository = &target.repository;
    let scans: Vec<Value> = image.scanned.iter().map(sections::as_json).collect();
    json!({
        "result": word(fate),
        "image": image.digest().map(|digest| format!("{registry}/{repository}@{digest}")),
        "digest": image.digest(),
        "repository": repository,
        "registry": registry,
        "size": image.size(),
        "size-before": image.tally.as_ref().and_then(|tally| tally.before),
        "blobs": image.tally.as_ref().map(sections::tally_as_json),
        "scans": scans,
        "signed-by": image.signed,
    })
}

fn summary(config: &Config, outcome: &Outcome, result: &str, verdict: &Verdict) -> String {
    let sign = if matches!(result, "pushed" | "unchanged") { "✅" } else { "❌" };
    let commit = code(config.commit.short());
    let mut text = format!("### {sign} {}: {result}, commit {commit} in {}\n\n", ACTION.name, human(outcome.took));
    text += &cause(verdict);
    let rows: Vec<Vec<String>> = outcome.images.iter().map(|image| row(image, &outcome.moved)).collect();
    text += &table(&["service", "result", "repository", "digest", "size", "tags", "findings", "took"], &rows);
    text.push('\n');
    for image in &outcome.images {
        if let Fate::Blocked(violations) = &image.fate {
            text += &sections::violations(&image.target.key, violations);
        }
    }
    let was_touched = |image: &ImageOutcome| !image.registry.is_empty();
    let upkeep = outcome.images.iter().map(|image| (&image.target.repository, &image.upkeep, was_touched(image)));
    text += &sections::repositories(upkeep);
    for image in &outcome.images {
        let key = &image.target.key;
        text += &sections::let_through(key, &image.scanned.iter().collect::<Vec<_>>());
        if let Some(tally) = &image.tally {
            text += &sections::tally(key, tally);
        }
        if let Some(profile) = &image.signed {
            let _ = writeln!(text, "*{}: signed by {}*\n", escape(key.as_str()), code(profile));
        }
        if let Some(remark) = &image.remark {
            let _ = writeln!(text, "*{}: {}*\n", escape(key.as_str()), prose(remark));
        }
    }
    text += &sections::exceptions(outcome.images.iter().flat_map(|image| &image.scanned));
    text += &sections::not_scanned(outcome);
    text
}

fn row(image: &ImageOutcome, moved: &[Tag]) -> Vec<String> {
    let none = || "–".to_owned();
    let tags: Vec<String> = moved.iter().map(|tag| code(tag.as_str())).collect();
    vec![
        escape(image.target.key.as_str()),
        word(&image.fate).to_owned(),
        code(image.target.repository.as_str()),
        image.digest().map_or_else(none, |digest| code(digest.as_str())),
        image.size().map_or_else(none, policy::human),
        if tags.is_empty() { none() } else { tags.join(", ") },
        if image.scanned.is_empty() { none() } else { sections::in_short(&image.scanned) },
        human(image.took),
    ]
}
