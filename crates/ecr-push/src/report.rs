//! What happened, for people and for the next job.

use std::fmt::Write as _;

use common::duration::human;
use common::markdown::{block, code, escape, prose, table};
use common::policy;
use common::report::{Report, Verdict};
use serde_json::{Map, Value, json};

use crate::ACTION;
use crate::config::Config;
use crate::effects::{Fate, ImageOutcome, Outcome};
use crate::plan::{Change, Plan, Step};

/// The report of a dry run, and of a push that the policy forbids: nothing was pushed.
pub(crate) fn planned(config: &Config, plan: &Plan) -> Report {
    let is_push = plan.changes.iter().any(|change| matches!(change.step, Step::Push { .. }));
    let (result, sign) = match (plan.is_blocked(), is_push) {
        (true, _) => ("blocked", "❌"),
        (false, true) => ("planned", "📋"),
        (false, false) => ("unchanged", "📋"),
    };
    let verdict = blocked(plan);
    let mut summary = format!(
        "### {sign} {}: {}\n\n",
        ACTION.name,
        if plan.is_blocked() { "blocked, nothing was pushed" } else { "what a push would do" }
    );
    if let Verdict::Bad { why, hint } = &verdict {
        let _ = writeln!(summary, "{}\n\n**Next step:** {}\n", prose(why), prose(hint));
    }
    for change in &plan.changes {
        if let Step::Block(_, violations) = &change.step {
            let _ = write!(summary, "**{}**\n\n{}\n", escape(change.key.as_str()), policy::table(violations));
        }
    }
    summary += &block("", &plan.to_string());
    let json =
        json!({ "result": result, "dry-run": config.dry_run, "commit": config.commit, "plan": plan.to_string() });
    Report { result, verdict, outputs: Vec::new(), json, summary }
}

fn blocked(plan: &Plan) -> Verdict {
    let block = |change: &Change| match &change.step {
        Step::Block(_, violations) => Some((change.key.clone(), policy::explain(violations))),
        Step::Keep { .. } | Step::Push { .. } => None,
    };
    match plan.changes.iter().find_map(block) {
        Some((key, (why, hint))) => Verdict::Bad { why: format!("`{key}`: {why}"), hint },
        None => Verdict::Good,
    }
}

/// The report of a push.
pub(crate) fn report(config: &Config, outcome: &Outcome) -> Report {
    let result = result(outcome);
    let images: Map<String, Value> =
        outcome.images.iter().map(|image| (image.key.to_string(), as_json(image))).collect();
    let json = json!({
        "result": result,
        "commit": config.commit,
        "seconds": outcome.took.as_secs(),
        "images": images,
    });
    Report {
        result,
        verdict: verdict(config, outcome),
        outputs: outputs(config, outcome, images),
        json,
        summary: summary(config, outcome, result),
    }
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
    let tags: Vec<&str> =
        std::iter::once(config.tag.as_str()).chain(config.moving.iter().map(|tag| tag.as_str())).collect();
    vec![
        ("digest", single(|image| image.fate.digest().map(ToString::to_string).unwrap_or_default())),
        ("repository", single(|image| image.repository.to_string())),
        ("registry", registry),
        ("tags", if matches!(result(outcome), "pushed" | "unchanged") { tags.join("\n") } else { String::new() }),
        ("images", Value::Object(images).to_string()),
    ]
}

/// The one word for a run: its worst image's.
fn result(outcome: &Outcome) -> &'static str {
    let words: Vec<&str> = outcome.images.iter().map(|image| word(&image.fate)).collect();
    match ["failed", "timed-out", "cancelled", "pushed"].into_iter().find(|word| words.contains(word)) {
        Some("pushed") => "pushed",
        Some(_) => "failed",
        None => "unchanged",
    }
}

/// The word for one image.
fn word(fate: &Fate) -> &'static str {
    match fate {
        Fate::Unchanged(_) => "unchanged",
        Fate::Pushed(_) => "pushed",
        Fate::Failed(..) => "failed",
        Fate::TimedOut => "timed-out",
        Fate::Cancelled => "cancelled",
    }
}

fn verdict(config: &Config, outcome: &Outcome) -> Verdict {
    let failed = outcome.images.iter().find(|image| matches!(image.fate, Fate::Failed(..)));
    let bad =
        failed.or_else(|| outcome.images.iter().find(|image| matches!(image.fate, Fate::TimedOut | Fate::Cancelled)));
    let Some(image) = bad else { return Verdict::Good };
    let key = &image.key;
    match &image.fate {
        Fate::Failed(failure, digest) => Verdict::Bad {
            why: match digest {
                Some(digest) => {
                    format!("`{key}`: the image is in the registry ({}), but: {:#}", digest.short(), failure.error)
                }
                None => format!("`{key}`: {:#}", failure.error),
            },
            hint: failure
                .hint
                .clone()
                .unwrap_or_else(|| "run again: layers that arrived are not sent twice".to_owned()),
        },
        Fate::TimedOut => Verdict::Bad {
            why: format!("`{key}`: the push did not end within {}", human(config.timeout)),
            hint: "run again, with more time by the input `timeout`: layers that arrived are not sent twice".to_owned(),
        },
        Fate::Cancelled | Fate::Unchanged(_) | Fate::Pushed(_) => Verdict::Cancelled {
            why: format!("`{key}`: cancelled while the image was being pushed"),
            hint: "run the action again: layers that arrived are not sent twice".to_owned(),
        },
    }
}

fn as_json(image: &ImageOutcome) -> Value {
    let ImageOutcome { repository, registry, fate, .. } = image;
    json!({
        "result": word(fate),
        "image": fate.digest().map(|digest| format!("{registry}/{repository}@{digest}")),
        "digest": fate.digest(),
        "repository": repository,
        "registry": registry,
    })
}

fn summary(config: &Config, outcome: &Outcome, result: &str) -> String {
    let sign = if matches!(result, "pushed" | "unchanged") { "✅" } else { "❌" };
    let commit = code(config.commit.short());
    let mut text = format!("### {sign} {}: {result}, commit {commit} in {}\n\n", ACTION.name, human(outcome.took));
    if let Verdict::Bad { why, hint } | Verdict::Cancelled { why, hint } = verdict(config, outcome) {
        let _ = writeln!(text, "{}\n\n**Next step:** {}\n", prose(&why), prose(&hint));
    }
    let rows: Vec<Vec<String>> = outcome.images.iter().map(row).collect();
    text += &table(&["service", "result", "repository", "digest", "size", "took"], &rows);
    for image in &outcome.images {
        if let Some(remark) = image.remark {
            let _ = writeln!(text, "\n*{}: {}*", escape(image.key.as_str()), escape(remark));
        }
    }
    text
}

fn row(image: &ImageOutcome) -> Vec<String> {
    let none = || "–".to_owned();
    vec![
        escape(image.key.as_str()),
        word(&image.fate).to_owned(),
        code(image.repository.as_str()),
        image.fate.digest().map_or_else(none, |digest| code(digest.as_str())),
        image.size.and_then(|size| u64::try_from(size).ok()).map_or_else(none, policy::human),
        human(image.took),
    ]
}
