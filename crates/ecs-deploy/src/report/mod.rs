//! What happened, for people and for the next job.

mod summary;
mod timeline;

pub(crate) use summary::diagnosis;

use common::aws::Aws;
use common::duration::human;
use common::markdown::{block, code, escape, prose};
use common::report::{Report, Verdict};
use serde_json::{Map, Value, json};

use crate::ACTION;
use crate::config::{Config, Operation};
use crate::effects::{Back, Flight, Outcome};
use crate::plan::{Change, Plan, Step};
use crate::words::{because, outcome, verdict, word};

/// The report of a dry run.
pub(crate) fn planned(config: &Config, plan: &Plan) -> Report {
    let result = if plan.is_empty() { "unchanged" } else { "planned" };
    let word = |change: &Change| if matches!(change.step, Step::Keep) { "unchanged" } else { "planned" };
    let changes = plan.changes().filter(|change| !matches!(change.step, Step::Keep)).count();
    Report {
        result,
        verdict: Verdict::Good,
        outputs: vec![("services", words(plan, word))],
        json: json!({ "result": result, "operation": config.operation.name(), "changes": changes }),
        summary: format!(
            "### 📋 {}: {result}\n\n{}\n\n{}",
            ACTION.name,
            about(config, plan.goal.as_deref()),
            block("diff", &plan.to_string())
        ),
    }
}

/// The report of a preflight that nothing speaks against.
pub(crate) fn ready(config: &Config, plan: &Plan) -> Report {
    let result = "unchanged";
    let remarks = plan.remarks.iter().map(|remark| format!("- {}\n", prose(remark)));
    let of_services = plan.changes().flat_map(|change| {
        let line = |remark: &String| format!("- {}: {}\n", code(change.key.as_str()), prose(remark));
        change.remarks.iter().map(line)
    });
    let remarks: String = remarks.chain(of_services).collect();
    let services: Vec<String> = plan.changes().map(|change| code(change.key.as_str())).collect();
    Report {
        result,
        verdict: Verdict::Good,
        outputs: vec![("services", words(plan, |_| result))],
        json: json!({ "result": result, "operation": config.operation.name(), "environment": config.environment, "cluster": config.cluster }),
        summary: format!(
            "### ✅ {}: ready\n\n{}\n\nNothing that was looked at speaks against a deployment of {}. Nothing was changed, and no image of the commit was looked for.\n\n{remarks}",
            ACTION.name,
            about(config, None),
            services.join(", "),
        ),
    }
}

/// The report of a run that found everything as it should be.
pub(crate) fn unchanged(config: &Config, plan: &Plan) -> Report {
    let runs = plan.changes().filter_map(|change| Some((change.key.to_string(), json!(change.from.as_ref()?))));
    let result = "unchanged";
    Report {
        result,
        verdict: Verdict::Good,
        outputs: vec![
            ("task-definitions", Value::Object(runs.collect()).to_string()),
            ("services", words(plan, |_| result)),
        ],
        json: json!({ "result": result, "operation": config.operation.name(), "environment": config.environment, "cluster": config.cluster, "commit": config.commit }),
        summary: format!(
            "### ✅ {}: {result}\n\n{}\n\n{}",
            ACTION.name,
            about(config, plan.goal.as_deref()),
            block("diff", &plan.to_string())
        ),
    }
}

/// The report of a run whose turn it was not: nothing was touched.
pub(crate) fn stood_back(config: &Config, result: &'static str, why: &str) -> Report {
    let why = format!("{why}: nothing was touched");
    let (verdict, hint) = match result {
        "cancelled" => {
            let hint = "run the action again";
            (Verdict::Cancelled { why: why.clone(), hint: hint.to_owned() }, hint)
        }
        _ => {
            let hint = match result {
                "timed-out" => {
                    "look at what it waited for; give the input `timeout` more time, or set `on-conflict: supersede`"
                }
                _ => "look at the other run; run again after it, or set `on-conflict` to `wait` or `supersede`",
            };
            (Verdict::Bad { why: why.clone(), hint: hint.to_owned() }, hint)
        }
    };
    Report {
        result,
        verdict,
        outputs: Vec::new(),
        json: json!({ "result": result, "operation": config.operation.name(), "failure": why }),
        summary: format!(
            "### ❌ {}: {result}\n\n{}\n\n{}\n\n**Next step:** {}\n",
            ACTION.name,
            about(config, None),
            prose(&why),
            prose(hint)
        ),
    }
}

/// The report of a release.
pub(crate) fn report(config: &Config, done: &Outcome, aws: &Aws) -> Report {
    let result = outcome(&done.flights);
    let verdict = verdict(config, &done.flights);
    let by_key = |value: &dyn Fn(&Flight) -> Value| {
        let entries = done.flights.iter().map(|flight| (flight.change.key.to_string(), value(flight)));
        Value::Object(entries.collect::<Map<_, _>>()).to_string()
    };
    let mut outputs = vec![
        ("task-definitions", by_key(&|flight| json!(flight.to.as_ref().or(flight.change.from.as_ref())))),
        ("services", by_key(&|flight| json!(word(flight)))),
    ];
    outputs.extend(done.release.map(|release| ("release", release.to_string())));
    Report {
        result,
        outputs,
        json: json!({
            "result": result,
            "operation": config.operation.name(),
            "release": done.release,
            "environment": config.environment,
            "cluster": config.cluster,
            "commit": config.commit,
            "seconds": done.took.as_secs(),
            "services": done.flights.iter().map(as_json).collect::<Vec<_>>(),
        }),
        summary: summary::summary(config, done, aws, result, &verdict),
        verdict,
    }
}

fn words(plan: &Plan, word: impl Fn(&Change) -> &'static str) -> String {
    let words = plan.changes().map(|change| (change.key.to_string(), json!(word(change))));
    Value::Object(words.collect::<Map<_, _>>()).to_string()
}

fn as_json(flight: &Flight) -> Value {
    let causes = flight.diagnosis.causes.iter().map(|cause| json!({ "tasks": cause.tasks, "cause": cause.text }));
    let phases = flight.phases.iter().map(|(at, phase)| json!({ "phase": phase, "seconds": at.as_secs() }));
    json!({
        "service": flight.change.key,
        "result": word(flight),
        "because": because(flight),
        "from": flight.stood(),
        "to": flight.to,
        "runs": flight.runs(),
        "rolled-back": flight.back == Back::Done,
        "seconds": flight.ended.saturating_sub(flight.began()).as_secs(),
        "phases": phases.collect::<Vec<_>>(),
        "causes": causes.collect::<Vec<_>>(),
        "targets": flight.diagnosis.targets,
        "breaker": flight.diagnosis.breaker,
        "alarms": flight.diagnosis.alarms,
        "events": flight.diagnosis.events,
        "logs": flight.diagnosis.logs.iter().map(|(stream, lines)| json!({ "stream": stream.stream, "lines": lines })).collect::<Vec<_>>(),
    })
}

/// Where to, and what: `staging · cluster shop · commit 0123456`.
pub(crate) fn about(config: &Config, goal: Option<&str>) -> String {
    let operation = Some(config.operation.name()).filter(|name| *name != "deploy").map(escape);
    // Of an operation on what runs the commit of the event says nothing.
    let commit = config.commit.as_ref().filter(|_| matches!(config.operation, Operation::Deploy));
    let commit = commit.map(|commit| format!("commit {}", code(commit.short())));
    let goal = goal.map(escape);
    let cluster = format!("cluster {}", code(config.cluster.as_str()));
    let environment = config.environment.as_ref().map(|environment| escape(environment.as_str()));
    let parts: Vec<String> =
        operation.into_iter().chain(environment).chain([cluster]).chain(commit).chain(goal).collect();
    parts.join(" · ")
}

/// How long a part of the release took.
fn took(flight: &Flight) -> String {
    match flight.is_touched() {
        true => human(flight.ended.saturating_sub(flight.began())),
        false => "–".to_owned(),
    }
}
