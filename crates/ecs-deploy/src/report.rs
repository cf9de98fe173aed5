//! What happened, for people and for the next job.

use std::fmt::Write as _;

use common::aws::Aws;
use common::duration::human;
use common::markdown::{block, code, details, escape, prose, table};
use common::report::{Report, Verdict};
use serde_json::{Map, Value, json};

use crate::ACTION;
use crate::config::Config;
use crate::effects::{Fate, Outcome, ServiceOutcome};
use crate::plan::{Plan, Step};
use crate::rollout::Ending;

/// The report of a dry run.
pub(crate) fn planned(config: &Config, plan: &Plan) -> Report {
    let changes: Vec<_> = plan.changes().filter(|change| !matches!(change.step, Step::Keep)).collect();
    let result = if changes.is_empty() { "unchanged" } else { "planned" };
    let word = |step: &Step| if matches!(step, Step::Keep) { "unchanged" } else { "planned" };
    let services: Map<String, Value> =
        plan.changes().map(|change| (change.key.to_string(), json!(word(&change.step)))).collect();
    let summary =
        format!("### 📋 {}: {result}\n\n{}\n\n{}", ACTION.name, about(config), block("diff", &plan.to_string()));
    Report {
        result,
        verdict: Verdict::Good,
        outputs: vec![("services", Value::Object(services).to_string())],
        json: json!({ "result": result, "changes": changes.len() }),
        summary,
    }
}

/// The report of a deployment.
pub(crate) fn report(config: &Config, outcome: &Outcome, aws: &Aws) -> Report {
    let result = result(outcome);
    let revisions = outcome
        .services
        .iter()
        .map(|service| (service.key.to_string(), json!(service.to.as_ref().unwrap_or(&service.from))));
    let services = outcome.services.iter().map(|service| (service.key.to_string(), json!(word(&service.fate))));
    let (revisions, services): (Map<String, Value>, Map<String, Value>) = (revisions.collect(), services.collect());
    let json = json!({
        "result": result,
        "environment": config.environment,
        "cluster": config.cluster,
        "commit": config.commit,
        "seconds": outcome.took.as_secs(),
        "services": outcome.services.iter().map(as_json).collect::<Vec<_>>(),
    });
    Report {
        result,
        verdict: verdict(config, outcome),
        outputs: vec![
            ("task-definitions", Value::Object(revisions).to_string()),
            ("services", Value::Object(services).to_string()),
        ],
        json,
        summary: summary(config, outcome, aws, result),
    }
}

/// The one word for a release: its worst service's.
fn result(outcome: &Outcome) -> &'static str {
    let words: Vec<&str> = outcome.services.iter().map(|service| word(&service.fate)).collect();
    let by_gravity =
        ["rollback-failed", "failed", "rolled-back", "superseded", "timed-out", "cancelled", "not-started", "deployed"];
    match by_gravity.into_iter().find(|word| words.contains(word)) {
        Some("not-started") => "cancelled",
        Some(word) => word,
        None => "unchanged",
    }
}

/// The word for one service.
fn word(fate: &Fate) -> &'static str {
    match fate {
        Fate::Unchanged => "unchanged",
        Fate::Ended(Ending::Deployed) => "deployed",
        Fate::Ended(Ending::RolledBack { .. }) => "rolled-back",
        Fate::Ended(Ending::RollbackFailed { .. }) => "rollback-failed",
        Fate::Ended(Ending::Failed { .. }) | Fate::Broken { .. } => "failed",
        Fate::Ended(Ending::Superseded { .. }) => "superseded",
        Fate::TimedOut => "timed-out",
        Fate::Cancelled => "cancelled",
        Fate::NotStarted => "not-started",
    }
}

fn verdict(config: &Config, outcome: &Outcome) -> Verdict {
    let Some(worst) = outcome.services.iter().find(|service| !service.fate.is_good()) else { return Verdict::Good };
    let (why, hint) = explain(worst, config);
    match result(outcome) {
        "cancelled" => Verdict::Cancelled { why, hint },
        _ => Verdict::Bad { why, hint },
    }
}

/// Why a service is not where it should be, and what to do about it.
fn explain(service: &ServiceOutcome, config: &Config) -> (String, String) {
    let ServiceOutcome { key, from, to, fate, diagnosis, .. } = service;
    let to = to.as_ref().map_or_else(|| "a new revision".to_owned(), |to| to.short().to_owned());
    let from = from.short();
    let cause = diagnosis.causes.first().map(|cause| format!(": {}", cause.text)).unwrap_or_default();
    let mend = "mend the cause, which the job summary shows with the container's last lines, and deploy again";
    match fate {
        Fate::Unchanged | Fate::Ended(Ending::Deployed) => {
            (format!("`{key}` runs {to}"), "nothing is to be done".to_owned())
        }
        Fate::Ended(Ending::RolledBack { why }) => {
            (format!("`{key}`: {to} was rolled back to {from}{cause} ({why})"), mend.to_owned())
        }
        Fate::Ended(Ending::RollbackFailed { why }) => (
            format!("`{key}`: {to} failed, and putting {from} back failed too{cause} ({why})"),
            format!(
                "look at the service now; deploy a revision that is known to be good with `task-definition: {from}`"
            ),
        ),
        Fate::Ended(Ending::Failed { why }) => (
            format!("`{key}`: {to} failed and was not rolled back{cause} ({why})"),
            format!(
                "{mend}; to put back what ran before, deploy `task-definition: {from}`; enable the deployment circuit breaker with rollback"
            ),
        ),
        Fate::Ended(Ending::Superseded { by }) => (
            format!("`{key}`: the deployment of {to} was replaced by another one, of {}", short(by)),
            "look at the run that started the other one: it decides what runs".to_owned(),
        ),
        Fate::TimedOut => (
            format!("`{key}`: {to} did not get ready within {}{cause}", human(config.timeout)),
            "the deployment goes on in ECS: look at it there, or give the input `timeout` more time".to_owned(),
        ),
        Fate::Cancelled => (
            format!("`{key}`: cancelled while {to} was being deployed"),
            "the deployment goes on in ECS: look at it there, or run this action again to follow it to its end"
                .to_owned(),
        ),
        Fate::Broken { failure, is_started } => {
            let hint = failure.hint.clone().unwrap_or_else(|| "run the action again".to_owned());
            let state =
                if *is_started { "the deployment goes on in ECS, unwatched" } else { "the service was not touched" };
            (format!("`{key}`: {:#}", failure.error), format!("{hint} ({state})"))
        }
        Fate::NotStarted => (format!("`{key}` was not touched"), "run the action again".to_owned()),
    }
}

fn short(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}

fn as_json(service: &ServiceOutcome) -> Value {
    json!({
        "service": service.key,
        "result": word(&service.fate),
        "from": service.from,
        "to": service.to,
        "seconds": service.took.as_secs(),
        "causes": service.diagnosis.causes.iter().map(|cause| json!({ "tasks": cause.tasks, "cause": cause.text })).collect::<Vec<_>>(),
    })
}

/// Where to, and what: `staging · commit 0123456`.
fn about(config: &Config) -> String {
    let commit = config.commit.as_ref().map(|commit| format!("commit {}", code(commit.short())));
    let cluster = format!("cluster {}", code(config.cluster.as_str()));
    let parts: Vec<String> =
        config.environment.as_deref().map(escape).into_iter().chain([cluster]).chain(commit).collect();
    parts.join(" · ")
}

fn summary(config: &Config, outcome: &Outcome, aws: &Aws, result: &str) -> String {
    let sign = if matches!(result, "deployed" | "unchanged") { "✅" } else { "❌" };
    let mut text = format!("### {sign} {}: {result}\n\n{} · {}\n\n", ACTION.name, about(config), human(outcome.took));
    if let Verdict::Bad { why, hint } | Verdict::Cancelled { why, hint } = verdict(config, outcome) {
        let _ = writeln!(text, "{}\n\n**Next step:** {}\n", prose(&why), prose(&hint));
    }
    let rows: Vec<Vec<String>> = outcome
        .services
        .iter()
        .map(|service| {
            let to = service.to.as_ref().unwrap_or(&service.from);
            let url = aws.service_url(config.cluster.as_str(), &service.service);
            let took = if service.took.is_zero() { "–".to_owned() } else { human(service.took) };
            vec![
                format!("[{}]({url})", escape(service.key.as_str())),
                word(&service.fate).to_owned(),
                code(service.from.short()),
                code(to.short()),
                took,
            ]
        })
        .collect();
    text += &table(&["service", "result", "from", "to", "took"], &rows);
    text += &timeline(outcome);
    outcome.services.iter().for_each(|service| text += &diagnosis(service));
    text
}

/// The release over time, as a picture. One service needs none.
fn timeline(outcome: &Outcome) -> String {
    let moved: Vec<_> = outcome.services.iter().filter(|service| !service.took.is_zero()).collect();
    if moved.len() < 2 {
        return String::new();
    }
    let mut chart = "gantt\n  dateFormat X\n  axisFormat %M:%S\n".to_owned();
    for service in moved {
        let style = if service.fate.is_good() { "" } else { "crit, " };
        let (from, to) =
            (service.began.as_secs(), (service.began + service.took).as_secs().max(service.began.as_secs() + 1));
        let _ = writeln!(chart, "  {} :{style}{from}, {to}", service.key);
    }
    format!("\n{}", block("mermaid", &chart))
}

fn diagnosis(service: &ServiceOutcome) -> String {
    let diagnosis = &service.diagnosis;
    let mut text = String::new();
    let rows: Vec<Vec<String>> =
        diagnosis.causes.iter().map(|cause| vec![cause.tasks.to_string(), prose(&cause.text)]).collect();
    if !rows.is_empty() {
        let _ = write!(
            text,
            "\n**{}: why its tasks stopped**\n\n{}",
            escape(service.key.as_str()),
            table(&["tasks", "cause"], &rows)
        );
    }
    for (stream, lines) in &diagnosis.logs {
        let title = format!("the last lines of {}", stream.stream);
        let _ = write!(text, "\n{}", details(&title, &block("", &lines.join("\n"))));
    }
    if !diagnosis.events.is_empty() {
        let _ = write!(
            text,
            "\n{}",
            details(&format!("what ECS said of {}", service.key), &block("", &diagnosis.events.join("\n")))
        );
    }
    for unknown in &diagnosis.unknown {
        let _ = write!(text, "\n*Not known: {}*\n", escape(unknown));
    }
    text
}
