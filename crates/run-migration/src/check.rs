//! `operation: lint`: what is pending, and what is to be said of it, from the checkout alone. For pull requests: nothing is asked
//! of AWS, and nothing is run.

use common::edges::Edges;
use common::failure::Failure;
use common::names::ServiceKey;
use common::report::{Report, Verdict};
use common::scope::Scope;
use serde_json::{Value, json};

use crate::ACTION;
use crate::config::since;
use crate::inputs::Inputs;
use crate::pending::{Pending, Since, base};
use crate::report::{found, is_rollback_safe, refusal, word};
use crate::summary::pending_of;

/// Looks at the pending migrations of every service that has some.
pub(crate) fn check(inputs: Inputs, edges: &Edges) -> Result<Report, Failure> {
    let scope = Scope::resolve(&inputs.common, edges)?;
    scope.require_delivery("run `operation: migrate` instead: it works without")?;
    let head = scope.require_commit()?;
    let since = since(inputs.base, &edges.event()?);
    if matches!(since, Since::Running) {
        return Err(Failure::input("it is not known what migrations are pending since")
            .hint("set the input `base` to a commit, a branch or a tag: only a pull request has a base of its own"));
    }
    let base = base(&scope.workspace, &since, head, Err(String::new()));
    let mut all: Vec<(ServiceKey, Pending)> = Vec::new();
    for key in &scope.services {
        let migration = scope.declared(key).and_then(|declared| declared.migration.as_ref());
        let Some(sources) = migration.and_then(|migration| migration.sources.as_ref()) else { continue };
        let pending = match &base {
            Ok(base) => Pending::read(&scope.workspace, sources, base, head),
            Err(why) => Pending::Unknown(why.clone()),
        };
        all.push((key.clone(), pending));
    }
    Ok(report(&all))
}

fn report(all: &[(ServiceKey, Pending)]) -> Report {
    let pending = || all.iter().map(|(key, pending)| (key, pending));
    let unknown = all.iter().find_map(|(key, pending)| match pending {
        Pending::Unknown(why) => Some((key, why)),
        Pending::NotAsked | Pending::Known(_) => None,
    });
    let is_blocked = pending().any(|(_, pending)| pending.blocking().next().is_some());
    let (result, sign, verdict) = match unknown {
        _ if is_blocked => ("failed", "❌", refusal(pending().flat_map(|(_, pending)| pending.blocking()))),
        Some((key, why)) => {
            let why = format!("which migrations of `{key}` are pending is not known: {why}");
            let hint = "check out the whole history: actions/checkout with `fetch-depth: 0`".to_owned();
            ("unknown", "❓", Verdict::Bad { why, hint })
        }
        None if pending().all(|(_, pending)| pending.is_none()) => ("skipped", "✅", Verdict::Good),
        None => ("planned", "📋", Verdict::Good),
    };
    let services: Vec<Value> = pending().map(found).collect();
    let text = match pending_of(pending()) {
        blank if blank.is_empty() => {
            "\nNo service has migration files (`sources` of its migration in delivery.toml).\n".to_owned()
        }
        text => text,
    };
    let advice = match is_rollback_safe(pending()) {
        Some(false) => "\nThe version that runs may break by this: going back to it will not be safe.\n",
        Some(true) | None => "",
    };
    Report {
        result,
        verdict,
        outputs: vec![("class", "lint".to_owned()), ("rollback-safe", word(is_rollback_safe(pending())))],
        json: json!({ "result": result, "class": "lint", "services": services }),
        summary: format!("### {sign} {}: pending migrations\n{text}{advice}", ACTION.name),
    }
}
