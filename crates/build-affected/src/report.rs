//! What was found and what was built, for people and for the next job.

use std::fmt::Write as _;

use common::duration::human;
use common::markdown::{block, code, details, escape, prose, table};
use common::names::ServiceKey;
use common::policy;
use common::report::{Report, Verdict};
use monorepo::exclude::Exclusion;
use monorepo::snapshot::Affected;
use serde_json::{Map, Value, json};

use crate::ACTION;
use crate::config::Config;
use crate::effects::{Fate, ImageOutcome, Outcome};
use crate::history::Base;
use crate::plan::{Candidate, Destination, Plan, differ};

/// The jobs that a matrix may have (<https://docs.github.com/en/actions/reference/limits>).
const JOBS: usize = 256;

/// How many of the files that do not reach a service are told of in the summary.
const EXCLUDED: usize = 200;

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
        "history": plan.history,
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
            ("shards", shards(&services).to_string()),
            ("projects", json!(plan.projects.iter().map(project).collect::<Vec<_>>()).to_string()),
            ("checks", json!(plan.checks.iter().map(check).collect::<Vec<_>>()).to_string()),
            ("removed", json!(plan.removed).to_string()),
            ("has-changes", (!services.is_empty()).to_string()),
            ("base", base.to_owned()),
            ("head", plan.head.to_string()),
            ("history", plan.history.to_owned()),
            ("images", Value::Object(images).to_string()),
        ],
        json,
        summary: summary(plan, &verdict) + &more,
        verdict,
    }
}

fn as_json(candidate: &Candidate) -> Value {
    let reasons: Vec<String> = candidate.reasons.iter().map(ToString::to_string).collect();
    let service = &candidate.service;
    let base = match &candidate.compared.base {
        Base::Known { commit, .. } => Some(commit),
        Base::Unknown { .. } => None,
    };
    json!({
        "service": service.key,
        "affected": !reasons.is_empty(),
        "key": service.content_key,
        "base": base,
        "reasons": reasons,
    })
}

fn project(project: &Affected) -> Value {
    let root = if project.root.is_empty() { "." } else { &project.root };
    json!({ "project": project.name, "root": root, "targets": project.targets })
}

fn check((target, projects): &(String, Vec<String>)) -> Value {
    let filters: Vec<String> = projects.iter().map(|project| format!("--filter={project}")).collect();
    json!({ "target": target, "projects": projects.join(","), "filters": filters.join(" ") })
}

fn matrix(plan: &Plan) -> Value {
    let or_root = |path: &str| if path.is_empty() { ".".to_owned() } else { path.to_owned() };
    let row = |candidate: &Candidate| {
        let service = &candidate.service;
        json!({
            "service": service.key,
            "path": or_root(&service.source.folder),
            "dockerfile": service.source.dockerfile,
            "context": or_root(&service.source.context),
            "repository": service.source.repository,
            "key": service.content_key,
            "wave": candidate.wave,
        })
    };
    json!({ "include": plan.affected().take(JOBS).map(row).collect::<Vec<_>>() })
}

/// The affected services in parts that each fit a matrix.
fn shards(services: &[&str]) -> Value {
    let shards = services.chunks(JOBS).enumerate();
    let row = |(place, services): (usize, &[&str])| json!({ "shard": place + 1, "services": services });
    json!({ "include": shards.map(row).collect::<Vec<_>>() })
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
        Base::Unknown { why, .. } => format!("Compared with nothing, so every service is affected: {}.", escape(why)),
    };
    let _ = writeln!(text, "{compared}\n");
    let rows: Vec<Vec<String>> = plan.services.iter().map(row).collect();
    text += &table(&["service", "affected", "because"], &rows);
    if let Some(destination) = plan.destination.as_ref().filter(|_| affected > 0) {
        let _ = writeln!(text, "\n{}", sentence(destination));
    }
    if !plan.removed.is_empty() {
        let removed: Vec<String> = plan.removed.iter().map(|key| escape(key)).collect();
        let _ = writeln!(text, "\n**Removed since:** {}", removed.join(", "));
    }
    plan.remarks.iter().for_each(|remark| {
        let _ = writeln!(text, "\n*{}*", escape(remark));
    });
    text + &excluded(plan) + &reaching_nothing(plan)
}

/// Where what is affected will go.
fn sentence(destination: &Destination) -> String {
    let Destination { branch, is_proposed, environment, cluster } = destination;
    let place = format!("{} (cluster {})", code(environment.as_str()), code(cluster.as_str()));
    match is_proposed {
        true => format!("Once merged into {}, this is for {place}.", code(branch)),
        false => format!("What is on {} is for {place}.", code(branch)),
    }
}

/// Why files that changed do not reach the service that was asked about.
fn excluded(plan: &Plan) -> String {
    if plan.exclusions.is_empty() {
        return String::new();
    }
    let row = |exclusion: &Exclusion| vec![code(&exclusion.path), escape(&exclusion.why.to_string())];
    let rows: Vec<Vec<String>> = plan.exclusions.iter().take(EXCLUDED).map(row).collect();
    let title = format!("changed files that do not reach the service that was asked about: {}", plan.exclusions.len());
    format!("\n{}", details(&title, &table(&["file", "why not"], &rows)))
}

fn row(candidate: &Candidate) -> Vec<String> {
    let reasons: Vec<String> = candidate.reasons.iter().map(|reason| escape(&reason.to_string())).collect();
    let (word, because) = match (reasons.is_empty(), &candidate.compared.registry) {
        (true, Some(Some(digest))) => ("no", format!("its image is {}", code(digest.short()))),
        (true, _) => ("no", "nothing that it is made of changed".to_owned()),
        (false, _) => ("yes", reasons.join("<br>")),
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

/// What is wrong with any image, all at once. Cancelled is what was cancelled and has nothing else wrong with it.
fn verdict(config: &Config, outcome: &Outcome) -> Verdict {
    let told: Vec<(String, String)> = outcome.images.iter().filter_map(|image| complaint(config, image)).collect();
    let cancelled = outcome.images.iter().find(|image| matches!(image.fate, Fate::Cancelled));
    match (told.as_slice(), cancelled) {
        ([], None) => Verdict::Good,
        ([], Some(image)) => Verdict::Cancelled {
            why: format!("`{}`: cancelled before the image was built", image.key),
            hint: "run the action again".to_owned(),
        },
        (told, _) => {
            let (why, mut hints): (Vec<String>, Vec<String>) = told.iter().cloned().unzip();
            hints.dedup();
            Verdict::Bad { why: why.join("\n"), hint: hints.join("; ") }
        }
    }
}

/// What is wrong with an image by itself, and what would mend it.
fn complaint(config: &Config, image: &ImageOutcome) -> Option<(String, String)> {
    let key = &image.key;
    match &image.fate {
        Fate::Failed(failure) => Some((
            format!("`{key}`: {:#}", failure.error),
            failure.hint.clone().unwrap_or_else(|| "run again".to_owned()),
        )),
        Fate::Refused(_, violations) => {
            let (why, hint) = policy::explain(violations);
            Some((format!("`{key}`: {why}"), hint))
        }
        Fate::TimedOut => Some((
            format!("`{key}`: the build did not end within {}", human(config.timeout)),
            "give the input `timeout` more time".to_owned(),
        )),
        Fate::Cancelled | Fate::Blocked(_) | Fate::Built(_) => None,
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
            Fate::Built(_) | Fate::TimedOut | Fate::Cancelled | Fate::Blocked(_) => {}
        }
    }
    text
}

fn blocked_row(image: &ImageOutcome, key: &ServiceKey) -> Vec<String> {
    let none = || "–".to_owned();
    vec![code(&image.reference), format!("not started: it comes after {}", escape(key.as_str())), none(), none()]
}

fn built_row(image: &ImageOutcome) -> Vec<String> {
    let (word, size) = match &image.fate {
        Fate::Built(built) => ("built", policy::human(built.size)),
        Fate::Refused(built, _) => ("against the policy", policy::human(built.size)),
        Fate::Failed(_) => ("failed", "–".to_owned()),
        Fate::TimedOut => ("timed out", "–".to_owned()),
        Fate::Cancelled => ("cancelled", "–".to_owned()),
        Fate::Blocked(key) => return blocked_row(image, key),
    };
    let took = if image.took.is_zero() { "–".to_owned() } else { human(image.took) };
    vec![code(&image.reference), word.to_owned(), size, took]
}
