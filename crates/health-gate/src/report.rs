//! What was found, for people and for the next job.

use std::fmt::Write as _;

use common::duration::human;
use common::markdown::{block, code, escape, prose, table};
use common::report::{Report, Verdict as Answer};
use serde_json::{Map, Value, json};

use crate::ACTION;
use crate::config::Config;
use crate::effects::{GateOutcome, Outcome};
use crate::plan::{Check, Plan};
use crate::tally::{Tally, Verdict};

/// The report of a dry run: nothing was watched.
pub(crate) fn planned(config: &Config, plan: &Plan) -> Report {
    let verdicts: Map<String, Value> = plan.gates.iter().map(|gate| (gate.name.clone(), json!("planned"))).collect();
    let place = in_environment(config);
    Report {
        result: "planned",
        verdict: Answer::Good,
        outputs: vec![("verdicts", Value::Object(verdicts).to_string())],
        json: json!({ "result": "planned", "checks": plan.gates.iter().map(|gate| gate.checks.len()).sum::<usize>() }),
        summary: format!("### 📋 {}: what would be checked{place}\n\n{}", ACTION.name, block("", &plan.to_string())),
    }
}

/// The report of a gate.
pub(crate) fn report(config: &Config, outcome: &Outcome) -> Report {
    let worst = outcome.gates.iter().max_by_key(|gate| gate.verdict);
    let result = worst.map_or(Verdict::NoData, |worst| worst.verdict).result();
    let verdicts: Map<String, Value> =
        outcome.gates.iter().map(|gate| (gate.gate.name.clone(), json!(gate.verdict.result()))).collect();
    Report {
        result,
        verdict: worst.map_or(Answer::Good, |worst| answer(config, worst)),
        outputs: vec![("verdicts", Value::Object(verdicts).to_string())],
        json: json!({
            "result": result,
            "environment": config.environment,
            "cluster": config.cluster,
            "commit": config.commit,
            "seconds": outcome.took.as_secs(),
            "services": outcome.gates.iter().map(as_json).collect::<Vec<_>>(),
        }),
        summary: summary(config, outcome, result),
    }
}

fn answer(config: &Config, worst: &GateOutcome) -> Answer {
    let (why, hint) = explain(config, worst);
    match worst.verdict {
        _ if worst.is_cancelled => Answer::Cancelled { why, hint },
        Verdict::Pass | Verdict::Warn => Answer::Good,
        Verdict::NoData | Verdict::Error | Verdict::Fail => Answer::Bad { why, hint },
    }
}

/// Why a service did not pass, and what to do about it.
fn explain(config: &Config, gate: &GateOutcome) -> (String, String) {
    let name = &gate.gate.name;
    if gate.is_cancelled {
        let why = format!("`{name}`: cancelled before it was decided");
        return (why, "run the action again: a gate that has not seen enough opens for nobody".to_owned());
    }
    let why = format!("`{name}` is {}: {}", gate.verdict.result(), findings(gate));
    let hint = match gate.verdict {
        Verdict::Pass | Verdict::Warn => "nothing is to be done".to_owned(),
        Verdict::Fail => "look at the service's log and events; to put back what ran before, deploy the commit before".to_owned(),
        Verdict::Error => {
            "check that the runner reaches what it could not look at: the URL, its DNS name and security groups, or the role's permissions".to_owned()
        }
        Verdict::NoData => {
            format!("it was not decided within {}: look at the service, or give the input `timeout` more time", human(config.timeout))
        }
    };
    (why, hint)
}

/// What was found where the verdict comes from. Checks that found the same share a sentence.
fn findings(gate: &GateOutcome) -> String {
    let mut found: Vec<(&str, Vec<&Check>)> = Vec::new();
    for (check, tally, _) in gate.checks().filter(|(_, _, verdict)| *verdict == gate.verdict) {
        let observed = if tally.looks == 0 { "never looked at" } else { tally.observed.as_str() };
        match found.iter_mut().find(|(known, _)| *known == observed) {
            Some((_, checks)) => checks.push(check),
            None => found.push((observed, vec![check])),
        }
    }
    let sentences = found.iter().map(|(observed, checks)| match checks.as_slice() {
        [check] => format!("{}: {observed}, expected {}", check.subject, check.expected),
        checks => {
            let subjects: Vec<&str> = checks.iter().map(|check| check.subject.as_str()).collect();
            format!("{}: {observed}", subjects.join(", "))
        }
    });
    sentences.collect::<Vec<_>>().join("; ")
}

fn summary(config: &Config, outcome: &Outcome, result: &str) -> String {
    let sign = match result {
        "healthy" => "✅",
        "degraded" => "⚠️",
        "unhealthy" => "❌",
        _ => "❓",
    };
    let commit = config.commit.as_ref().map(|commit| format!(" with {}", code(commit.short()))).unwrap_or_default();
    let (place, took) = (in_environment(config), human(outcome.took));
    let mut text = format!("### {sign} {}: {result}{commit}{place} after {took}\n\n", ACTION.name);
    for gate in outcome.gates.iter().filter(|gate| gate.verdict > Verdict::Warn || gate.is_cancelled) {
        let (why, hint) = explain(config, gate);
        let _ = writeln!(text, "{}\n\n**Next step:** {}\n", prose(&why), prose(&hint));
    }
    let rows: Vec<Vec<String>> = outcome.gates.iter().flat_map(rows).collect();
    text += &table(&["service", "check", "expected", "observed", "samples", "verdict"], &rows);
    outcome.gates.iter().for_each(|gate| text += &remarks(gate));
    text
}

fn rows(gate: &GateOutcome) -> Vec<Vec<String>> {
    let row = |(check, tally, verdict): (&Check, &Tally, Verdict)| {
        let (sign, word) = verdict.word();
        vec![
            escape(&gate.gate.name),
            code(&check.subject),
            code(&check.expected),
            if tally.looks == 0 { "–".to_owned() } else { code(&tally.observed) },
            format!("{} of {} good", tally.good, tally.looks),
            format!("{sign} {word}"),
        ]
    };
    gate.checks().map(row).collect()
}

fn remarks(gate: &GateOutcome) -> String {
    let mut text = String::new();
    if let Some(probe) = &gate.gate.probe {
        let _ = write!(text, "\n{} was asked at {}.\n", escape(&gate.gate.name), code(&probe.url.to_string()));
    }
    if !gate.gate.checks.iter().any(|check| check.is_identity) {
        let advice = code("json(/version) == '${COMMIT}'");
        let _ = write!(
            text,
            "\n*Nothing tells which version of {} it is that answers: add {advice} or the like to `expect`.*\n",
            escape(&gate.gate.name)
        );
    }
    text
}

fn as_json(gate: &GateOutcome) -> Value {
    let check = |(check, tally, verdict): (&Check, &Tally, Verdict)| {
        json!({
            "check": check.subject,
            "expected": check.expected,
            "observed": tally.observed,
            "looks": tally.looks,
            "good": tally.good,
            "identity": check.is_identity,
            "verdict": verdict.word().1,
        })
    };
    json!({
        "service": gate.gate.name,
        "result": gate.verdict.result(),
        "url": gate.gate.probe.as_ref().map(|probe| probe.url.to_string()),
        "checks": gate.checks().map(check).collect::<Vec<_>>(),
    })
}

fn in_environment(config: &Config) -> String {
    config.environment.as_ref().map(|name| format!(" in {}", escape(name))).unwrap_or_default()
}
