//! What was found, for people and for the next job.

use std::fmt::Write as _;

use common::duration::human;
use common::markdown::{block, code, escape, prose, table};
use common::report::{Report, Verdict as Answer};
use serde_json::{Map, Value, json};

use crate::ACTION;
use crate::check::Check;
use crate::config::Config;
use crate::effects::{GateOutcome, Outcome};
use crate::pause::Answered;
use crate::plan::Plan;
use crate::sparkline;
use crate::tally::{Tally, Verdict};
use crate::words::{explain, of_the_hook};

/// The report of a dry run: nothing was watched.
pub(crate) fn planned(config: &Config, plan: &Plan) -> Report {
    let verdicts: Map<String, Value> = plan.gates.iter().map(|gate| (gate.name.clone(), json!("planned"))).collect();
    let place = in_environment(config);
    Report {
        result: "planned",
        verdict: Answer::Good,
        outputs: vec![("verdicts", Value::Object(verdicts).to_string()), ("rollback", "none".to_owned())],
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
        verdict: culprit(outcome).map_or(Answer::Good, |culprit| answer(config, culprit)),
        outputs: vec![("verdicts", Value::Object(verdicts).to_string()), ("rollback", rollback(outcome).to_owned())],
        json: json!({
            "result": result,
            "rollback": rollback(outcome),
            "environment": config.environment,
            "cluster": config.cluster,
            "commit": config.commit,
            "seconds": outcome.took.as_secs(),
            "services": outcome.gates.iter().map(as_json).collect::<Vec<_>>(),
        }),
        summary: summary(config, outcome, result),
    }
}

/// What is to be done about all services: as much as about the one that needs most.
fn rollback(outcome: &Outcome) -> &'static str {
    let words = ["needed", "requested"];
    let is_any = |word: &&str| outcome.gates.iter().any(|gate| gate.rolled_back.word() == *word);
    words.into_iter().find(is_any).unwrap_or("none")
}

/// Who is told of: a service whose hook could not be answered before all others, then the worst.
fn culprit(outcome: &Outcome) -> Option<&GateOutcome> {
    outcome.gates.iter().max_by_key(|gate| (matches!(gate.answered, Answered::Failed(..)), gate.verdict))
}

fn answer(config: &Config, gate: &GateOutcome) -> Answer {
    let (why, hint) = explain(config, gate);
    match (&gate.answered, gate.verdict) {
        (Answered::Failed(_, failure), _) => Answer::Broken { kind: failure.kind, why, hint },
        _ if gate.is_cancelled => Answer::Cancelled { why, hint },
        (_, Verdict::Warn) if config.fail_on_warn => Answer::Bad { why, hint },
        (_, Verdict::Pass | Verdict::Warn) => Answer::Good,
        (_, Verdict::NoData | Verdict::Error | Verdict::Fail) => Answer::Bad { why, hint },
    }
}

/// Whether a service is as it was asked for, and so was what was to be done about it.
fn is_good(gate: &GateOutcome) -> bool {
    gate.verdict <= Verdict::Warn && !gate.is_cancelled && !matches!(gate.answered, Answered::Failed(..))
}

fn summary(config: &Config, outcome: &Outcome, result: &str) -> String {
    let sign = match result {
        "healthy" | "degraded" if !outcome.gates.iter().all(is_good) => "❌",
        "healthy" => "✅",
        "degraded" => "⚠️",
        "unhealthy" => "❌",
        _ => "❓",
    };
    let commit = config.commit.as_ref().map(|commit| format!(" with {}", code(commit.short()))).unwrap_or_default();
    let (place, took) = (in_environment(config), human(outcome.took));
    let mut text = format!("### {sign} {}: {result}{commit}{place} after {took}\n\n", ACTION.name);
    for gate in outcome.gates.iter().filter(|gate| !is_good(gate) || gate.verdict == Verdict::Warn) {
        let (why, hint) = explain(config, gate);
        let _ = writeln!(text, "{}\n\n**Next step:** {}\n", prose(&why), prose(&hint));
    }
    let rows: Vec<Vec<String>> = outcome.gates.iter().flat_map(rows).collect();
    text += &table(&["service", "check", "expected", "observed", "samples", "verdict"], &rows);
    text += &sparkline::table(outcome);
    outcome.gates.iter().for_each(|gate| text += &remarks(gate));
    text
}

fn rows(gate: &GateOutcome) -> Vec<Vec<String>> {
    let row = |(check, tally, verdict): (&Check, &Tally, Verdict)| {
        let (sign, word) = match verdict {
            // What it showed is in the same row.
            Verdict::NoData if tally.is_good() => ("❓", "too few looks"),
            verdict => verdict.word(),
        };
        vec![
            escape(&gate.gate.name),
            code(&check.subject),
            code(&check.expected),
            if tally.looks == 0 { "–".to_owned() } else { code(&tally.observed) },
            format!("{} of {} good", tally.good, tally.looks),
            match check.importance.note() {
                "" => format!("{sign} {word}"),
                note => format!("{sign} {word} ({note})"),
            },
        ]
    };
    let smoked = gate.smoked.iter().zip(&gate.gate.smoke).map(|(smoked, task)| {
        let (sign, word) = smoked.verdict.word();
        let name = escape(&gate.gate.name);
        let (command, observed) = (code(&task.command.join(" ")), code(&smoked.observed));
        vec![name, command, "exit code 0".to_owned(), observed, "1".to_owned(), format!("{sign} {word}")]
    });
    gate.checks().map(row).chain(smoked).collect()
}

fn remarks(gate: &GateOutcome) -> String {
    let mut text = String::new();
    if let (Some(hook), true) = (of_the_hook(gate), is_good(gate)) {
        let name = escape(&gate.gate.name);
        let _ = write!(text, "\n{name}: {}. Run ecs-deploy again to follow the deployment to its end.\n", prose(&hook));
    }
    if let Some(probe) = gate.gate.probes.iter().find(|probe| !probe.is_smoke) {
        let _ = write!(text, "\n{} was asked at {}.\n", escape(&gate.gate.name), code(&probe.to_string()));
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
            "importance": if check.importance.note().is_empty() { "required" } else { check.importance.note() },
            "verdict": verdict.word().1,
        })
    };
    json!({
        "service": gate.gate.name,
        "result": gate.verdict.result(),
        "answered": gate.answered.word(),
        "hook": gate.pause.as_ref().map(|pause| json!({
            "id": pause.hook.id,
            "stage": pause.stage,
            "expires_at": pause.hook.expires_at.map(|moment| moment.to_string()),
            "timeout_action": pause.hook.timeout_action,
        })),
        "rollback": gate.rolled_back.word(),
        "url": gate.gate.probes.iter().find(|probe| !probe.is_smoke).map(|probe| probe.url.to_string()),
        "smoke": gate.smoked.as_ref().map(|smoked| json!({
            "verdict": smoked.verdict.word().1, "observed": smoked.observed,
        })),
        "series": gate.curves.iter().map(|curve| json!({
            "name": curve.name, "unit": curve.unit.trim(), "values": curve.values, "before": curve.before,
        })).collect::<Vec<_>>(),
        "checks": gate.checks().map(check).collect::<Vec<_>>(),
    })
}

fn in_environment(config: &Config) -> String {
    config.environment.as_ref().map(|name| format!(" in {}", escape(name.as_str()))).unwrap_or_default()
}
