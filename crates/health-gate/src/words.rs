//! What came of a gate in words: why, and the next step. Pure.

use common::duration::human;
use common::failure::Kind;

use crate::check::Check;
use crate::config::Config;
use crate::effects::{GateOutcome, RolledBack};
use crate::pause::{Answered, Pause, Reply};
use crate::tally::Verdict;

/// Why a service did not pass, or its hook was not answered, and what to do about it.
pub(crate) fn explain(config: &Config, gate: &GateOutcome) -> (String, String) {
    let (name, result) = (&gate.gate.name, gate.verdict.result());
    let why = match gate.verdict {
        _ if gate.is_cancelled => format!("`{name}`: cancelled before it was decided"),
        Verdict::Pass => format!("`{name}` is {result}"),
        Verdict::Warn | Verdict::NoData | Verdict::Error | Verdict::Fail => {
            format!("`{name}` is {result}: {}", findings(gate).join("; "))
        }
    };
    let why =
        [Some(why), of_the_hook(gate), of_the_rollback(gate)].into_iter().flatten().collect::<Vec<_>>().join(". ");
    (why, next_step(config, gate))
}

/// The verdict and the first reason for it, for where there is room for a line.
pub(crate) fn in_one_line(gate: &GateOutcome) -> String {
    let result = gate.verdict.result();
    match gate.verdict {
        Verdict::Pass => format!("{result}: {} checks hold", gate.gate.checks.len()),
        Verdict::Warn | Verdict::NoData | Verdict::Error | Verdict::Fail => {
            format!("{result}: {}", findings(gate).into_iter().next().unwrap_or_default())
        }
    }
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
pub(crate) fn of_the_hook(gate: &GateOutcome) -> Option<String> {
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
fn findings(gate: &GateOutcome) -> Vec<String> {
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
        true => vec![format!("everything held, and not for {}", human(gate.gate.bake))],
        false => sentences,
    }
}
