//! What was found, for people and for the next job.

use std::fmt::Write as _;

use common::duration::human;
use common::failure::Kind;
use common::markdown::{block, code, escape, prose, table};
use common::report::{Report, Verdict as Answer};
use serde_json::{Map, Value, json};

use crate::ACTION;
use crate::check::Check;
use crate::config::Config;
use crate::effects::{GateOutcome, Outcome, RolledBack};
use crate::pause::{Answered, Pause, Reply};
use crate::plan::Plan;
use crate::sparkline;
use crate::tally::{Tally, Verdict};

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

/// Why a service did not pass, or its hook was not answered, and what to do about it.
fn explain(config: &Config, gate: &GateOutcome) -> (String, String) {
    let (name, result) = (&gate.gate.name, gate.verdict.result());
    let why = match gate.verdict {
        _ if gate.is_cancelled => format!("`{name}`: cancelled before it was decided"),
        Verdict::Pass => format!("`{name}` is {result}"),
        Verdict::Warn | Verdict::NoData | Verdict::Error | Verdict::Fail => {
            format!("`{name}` is {result}: {}", findings(gate))
        }
    };
    let why =
        [Some(why), of_the_hook(gate), of_the_rollback(gate)].into_iter().flatten().collect::<Vec<_>>().join(". ");
    (why, next_step(config, gate))
}

fn next_step(config: &Config, gate: &GateOutcome) -> String {
    match (&gate.answered, gate.verdict) {
        (Answered::Failed(_, failure), _) => {
            failure.hint.clone().unwrap_or_else(|| "run the action again while the hook still waits".to_owned())
        }
        _ if gate.is_cancelled => "run the action again: a gate that has not seen enough opens for nobody".to_owned(),
        (Answered::Given(Reply::Rollback), _) => {
            "ECS puts back what ran before: mend the cause, which the service's log and events tell, and deploy again".to_owned()
        }
        (_, Verdict::Pass) => "nothing is to be done".to_owned(),
        (_, Verdict::Warn) => {
            "look at what is not as it should be; the step fails for it only with `fail-on: warn`".to_owned()
        }
        (_, Verdict::Fail) if matches!(gate.rolled_back, RolledBack::Requested) => {
            "mend the cause, which the service's log and events tell, and deploy again".to_owned()
        }
        (_, Verdict::Fail) if matches!(gate.rolled_back, RolledBack::Arrived | RolledBack::Failed(_)) => {
            "run ecs-deploy with `operation: rollback`: the output `rollback` is `needed`".to_owned()
        }
        (_, Verdict::Fail) => {
            "look at the service's log and events; to put back what ran before, deploy the commit before".to_owned()
        }
        (_, Verdict::Error) => {
            "check that the runner reaches what it could not look at: the URL, its DNS name and security groups, or the role's permissions".to_owned()
        }
        (_, Verdict::NoData) if gate.pause.as_ref().is_some_and(Pause::is_shared) => {
            "the version before still answers: ask the new one at an address of its own (the input `url`: that of a test listener), give the input `timeout` more time, or answer the hook yourself".to_owned()
        }
        (_, Verdict::NoData) => {
            format!("it was not decided within {}: look at the service, or give the input `timeout` more time", human(config.timeout))
        }
    }
}

/// What became of the hook that the deployment waits at.
fn of_the_hook(gate: &GateOutcome) -> Option<String> {
    let pause = gate.pause.as_ref()?;
    let (hook, unless_answered) = (&pause.hook.id, pause.unless_answered());
    Some(match &gate.answered {
        Answered::Given(reply) => format!("Hook {hook} is answered with {reply}"),
        Answered::Failed(reply, failure) if failure.kind == Kind::Refused => {
            format!("Hook {hook} could not be answered with {reply}: {}", failure.error.root_cause())
        }
        Answered::Failed(reply, failure) => {
            let why = failure.error.root_cause();
            format!("Hook {hook} could not be answered with {reply}: {why}. {unless_answered}")
        }
        Answered::Nothing => format!("Hook {hook} is not answered: {unless_answered}"),
    })
}

/// What became of the deployment that was to be taken back.
fn of_the_rollback(gate: &GateOutcome) -> Option<String> {
    match &gate.rolled_back {
        RolledBack::Nothing => None,
        RolledBack::Requested => Some("ECS takes the deployment back".to_owned()),
        RolledBack::Arrived => Some("The deployment has arrived, and is not ECS's to take back".to_owned()),
        RolledBack::Failed(failure) => {
            Some(format!("The deployment is not taken back: {}", failure.error.root_cause()))
        }
    }
}

/// What was found where the verdict comes from. Checks that found the same share a sentence.
fn findings(gate: &GateOutcome) -> String {
    let mut found: Vec<(String, Vec<&Check>)> = Vec::new();
    let weighed = |check: &Check, verdict: Verdict| check.importance.weigh(verdict) == Some(gate.verdict);
    for (check, tally, _) in gate.checks().filter(|(check, _, verdict)| weighed(check, *verdict)) {
        let observed = tally.in_short();
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
    let smoked = gate.smoked.iter().filter(|smoked| smoked.verdict == gate.verdict);
    let smoked = smoked.map(|smoked| format!("the smoke test: {}", smoked.observed));
    let sentences: Vec<String> = sentences.chain(smoked).collect();
    match sentences.is_empty() {
        // Everything held, and not for long enough.
        true => format!("everything held, and not for {}", human(gate.gate.bake)),
        false => sentences.join("; "),
    }
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
        let (sign, word) = verdict.word();
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
    config.environment.as_ref().map(|name| format!(" in {}", escape(name))).unwrap_or_default()
}
