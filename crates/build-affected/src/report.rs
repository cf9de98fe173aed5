//! What was found and what was built, for people and for the next job.

use std::fmt::Write as _;

use common::duration::human;
use common::markdown::{block, code, details, escape, prose, table};
use common::policy;
use common::report::{Report, Verdict};
use serde_json::{Map, Value, json};

use crate::ACTION;
use crate::config::Config;
use crate::effects::{Fate, ImageOutcome, Outcome};
use crate::history::Base;
use crate::plan::{Candidate, Plan, differ};

/// How many of the files that reach nothing are named.
const NAMED: usize = 20;

/// The report of a comparison.
pub(crate) fn found(plan: &Plan) -> Report {
    report(plan, found_word(plan), Verdict::Good, Map::new(), String::new())
}

/// The report of a comparison and of the images that were built.
pub(crate) fn built(config: &Config, plan: &Plan, outcome: &Outcome) -> Report {
    let verdict = verdict(config, outcome);
    let result = if verdict == Verdict::Good { found_word(plan) } else { "failed" };
    let images = outcome.images.iter().filter_map(|image| match &image.fate {
        Fate::Built(built) => {
            Some((image.key.to_string(), json!({ "image": image.reference, "id": built.id, "size": built.size })))
        }
        _ => None,
    });
    report(plan, result, verdict, images.collect(), built_summary(outcome))
}

fn found_word(plan: &Plan) -> &'static str {
    if plan.affected().next().is_some() { "affected" } else { "none" }
}

fn report(plan: &Plan, result: &'static str, verdict: Verdict, images: Map<String, Value>, more: String) -> Report {
    let base = match &plan.base {
        Base::Known { commit, .. } => commit.as_str(),
        Base::Unknown { .. } => "",
    };
    let services: Vec<&str> = plan.affected().map(|candidate| candidate.service.key.as_str()).collect();
    let json = json!({
        "result": result,
        "head": plan.head,
        "base": base,
        "history": plan.base.word(),
        "changed": plan.changed,
        "services": plan.services.iter().map(as_json).collect::<Vec<_>>(),
        "removed": plan.removed,
        "images": images,
    });
    Report {
        result,
        outputs: vec![
            ("services", json!(services).to_string()),
            ("matrix", matrix(plan).to_string()),
            ("projects", json!(plan.projects).to_string()),
            ("removed", json!(plan.removed).to_string()),
            ("has-changes", (!services.is_empty()).to_string()),
            ("base", base.to_owned()),
            ("head", plan.head.to_string()),
            ("history", plan.base.word().to_owned()),
            ("images", Value::Object(images).to_string()),
        ],
        json,
        summary: summary(plan, &verdict) + &more,
        verdict,
    }
}

fn as_json(candidate: &Candidate) -> Value {
    let reasons: Vec<String> = candidate.reasons.iter().map(ToString::to_string).collect();
    json!({ "service": candidate.service.key, "affected": !reasons.is_empty(), "reasons": reasons })
}

fn matrix(plan: &Plan) -> Value {
    let or_root = |path: &str| if path.is_empty() { ".".to_owned() } else { path.to_owned() };
    let row = |candidate: &Candidate| {
        let service = &candidate.service;
        json!({
            "service": service.key,
            "path": or_root(&service.path),
            "dockerfile": service.dockerfile,
            "context": or_root(&service.context),
            "repository": service.repository,
            "wave": candidate.wave,
        })
    };
    json!({ "include": plan.affected().map(row).collect::<Vec<_>>() })
}

fn summary(plan: &Plan, verdict: &Verdict) -> String {
    let sign = if *verdict == Verdict::Good { "✅" } else { "❌" };
    let failed = if *verdict == Verdict::Good { "" } else { "failed; " };
    let (affected, all) = (plan.affected().count(), plan.services.len());
    let mut text = format!(
        "### {sign} {}: {failed}{affected} of {all} services affected by {}\n\n",
        ACTION.name,
        code(plan.head.short())
    );
    if let Verdict::Bad { why, hint } | Verdict::Cancelled { why, hint } = verdict {
        let _ = writeln!(text, "{}\n\n**Next step:** {}\n", prose(why), prose(hint));
    }
    let compared = match &plan.base {
        Base::Known { commit, sentence, .. } => {
            format!("Compared with {}, {}: {}.", code(commit.short()), escape(sentence), differ(plan.changed))
        }
        Base::Unknown { why } => format!("Compared with nothing, so every service is affected: {}.", escape(why)),
    };
    let _ = writeln!(text, "{compared}\n");
    let rows: Vec<Vec<String>> = plan.services.iter().map(row).collect();
    text += &table(&["service", "affected", "because"], &rows);
    if !plan.removed.is_empty() {
        let removed: Vec<String> = plan.removed.iter().map(|key| escape(key)).collect();
        let _ = writeln!(text, "\n**Removed since:** {}", removed.join(", "));
    }
    plan.remarks.iter().for_each(|remark| {
        let _ = writeln!(text, "\n*{}*", escape(remark));
    });
    text + &reaching_nothing(plan)
}

fn row(candidate: &Candidate) -> Vec<String> {
    let reasons: Vec<String> = candidate.reasons.iter().map(|reason| escape(&reason.to_string())).collect();
    let (word, because) = match reasons.is_empty() {
        true => ("no", "nothing that it is made of changed".to_owned()),
        false => ("yes", reasons.join("<br>")),
    };
    vec![escape(candidate.service.key.as_str()), word.to_owned(), because]
}

/// The files that changed and reach no service: here a reader sees what the delivery file may have forgotten.
fn reaching_nothing(plan: &Plan) -> String {
    let files = &plan.reaching_nothing;
    if files.is_empty() {
        return String::new();
    }
    let mut named: String = files.iter().take(NAMED).map(|file| format!("{file}\n")).collect();
    if files.len() > NAMED {
        let _ = writeln!(named, "and {} more", files.len() - NAMED);
    }
    let told = "A service that is made of one of them names it in its `paths` in delivery.toml.\n\n".to_owned()
        + &block("", &named);
    format!("\n{}", details(&format!("changed files that reach no service: {}", files.len()), &told))
}

fn verdict(config: &Config, outcome: &Outcome) -> Verdict {
    let bad = outcome.images.iter().find(|image| !matches!(image.fate, Fate::Built(_) | Fate::NotStarted));
    let Some(image) = bad.or_else(|| outcome.images.iter().find(|image| !matches!(image.fate, Fate::Built(_)))) else {
        return Verdict::Good;
    };
    let key = &image.key;
    match &image.fate {
        Fate::Failed(failure) => Verdict::Bad {
            why: format!("`{key}`: {:#}", failure.error),
            hint: failure.hint.clone().unwrap_or_else(|| "run again".to_owned()),
        },
        Fate::Refused(_, violations) => {
            let (why, hint) = policy::explain(violations);
            Verdict::Bad { why: format!("`{key}`: {why}"), hint }
        }
        Fate::TimedOut => Verdict::Bad {
            why: format!("`{key}`: the build did not end within {}", human(config.timeout)),
            hint: "give the input `timeout` more time".to_owned(),
        },
        Fate::Cancelled | Fate::NotStarted | Fate::Built(_) => Verdict::Cancelled {
            why: format!("`{key}`: cancelled before the image was built"),
            hint: "run the action again".to_owned(),
        },
    }
}

fn built_summary(outcome: &Outcome) -> String {
    let rows: Vec<Vec<String>> = outcome.images.iter().map(built_row).collect();
    if rows.is_empty() {
        return String::new();
    }
    let mut text = format!("\n**Images**, built in {}\n\n", human(outcome.took));
    text += &table(&["image", "result", "size", "took"], &rows);
    for image in &outcome.images {
        match &image.fate {
            Fate::Refused(_, violations) => {
                let key = escape(image.key.as_str());
                let _ = write!(text, "\n**{key}: what the image policy asks for**\n\n{}", policy::table(violations));
            }
            Fate::Failed(failure) => {
                let title = format!("why {} could not be built", image.key);
                let _ = write!(text, "\n{}", details(&title, &block("", &format!("{:#}", failure.error))));
            }
            Fate::Built(_) | Fate::TimedOut | Fate::Cancelled | Fate::NotStarted => {}
        }
    }
    text
}

fn built_row(image: &ImageOutcome) -> Vec<String> {
    let (word, size) = match &image.fate {
        Fate::Built(built) => ("built", policy::human(built.size)),
        Fate::Refused(built, _) => ("against the policy", policy::human(built.size)),
        Fate::Failed(_) => ("failed", "–".to_owned()),
        Fate::TimedOut => ("timed out", "–".to_owned()),
        Fate::Cancelled => ("cancelled", "–".to_owned()),
        Fate::NotStarted => ("not started", "–".to_owned()),
    };
    let took = if image.took.is_zero() { "–".to_owned() } else { human(image.took) };
    vec![code(&image.reference), word.to_owned(), size, took]
}
