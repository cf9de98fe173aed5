//! The job summary: the answer, then where every service stood, went and is, then why.

use std::fmt::Write as _;

use common::aws::Aws;
use common::duration::human;
use common::markdown::{block, code, details, escape, prose, table};
use common::report::Verdict;

use super::{about, timeline::timeline, took};
use crate::ACTION;
use crate::config::Config;
use crate::diagnosis::Diagnosis;
use crate::effects::{Flight, Outcome};
use crate::words::{because, word};

pub(super) fn summary(config: &Config, done: &Outcome, aws: &Aws, result: &str, verdict: &Verdict) -> String {
    let sign = if matches!(verdict, Verdict::Good) { "✅" } else { "❌" };
    let release = done.release.map(|release| format!(" · release {release}")).unwrap_or_default();
    let mut text = format!(
        "### {sign} {}: {result}\n\n{}{release} · {}\n\n",
        ACTION.name,
        about(config, done.goal.as_deref()),
        human(done.took)
    );
    if let Verdict::Bad { why, hint } | Verdict::Broken { why, hint, .. } | Verdict::Cancelled { why, hint } = verdict {
        let _ = writeln!(text, "{}\n\n**Next step:** {}\n", prose(why), prose(hint));
    }
    let rows: Vec<Vec<String>> = done.flights.iter().map(|flight| row(config, flight, aws)).collect();
    text += &table(&["service", "result", "stood at", "went to", "runs now", "took", "because"], &rows);
    text += &timeline(&done.flights);
    for flight in &done.flights {
        text += &diagnosis(flight.change.key.as_str(), &flight.diagnosis);
    }
    text
}

fn row(config: &Config, flight: &Flight, aws: &Aws) -> Vec<String> {
    let url = aws.service_url(config.cluster.as_str(), flight.change.service.as_str());
    let revision = |revision: Option<&common::names::TaskDefinitionRevision>| {
        revision.map_or_else(|| "–".to_owned(), |revision| code(revision.short()))
    };
    vec![
        format!("[{}]({url})", escape(flight.change.key.as_str())),
        word(flight).to_owned(),
        revision(flight.stood()),
        revision(flight.to.as_ref().filter(|_| flight.is_touched())),
        revision(flight.runs().as_ref()),
        took(flight),
        prose(&because(flight)),
    ]
}

/// Why a deployment failed, as far as AWS can tell.
pub(crate) fn diagnosis(key: &str, diagnosis: &Diagnosis) -> String {
    let Diagnosis { causes, logs, targets, breaker, alarms, events, unknown } = diagnosis;
    let mut text = String::new();
    let rows: Vec<Vec<String>> = causes.iter().map(|cause| vec![cause.tasks.to_string(), prose(&cause.text)]).collect();
    if !rows.is_empty() {
        let _ = write!(text, "\n**{}: why its tasks stopped**\n\n{}", escape(key), table(&["tasks", "cause"], &rows));
    }
    for (what, lines) in [("unhealthy target", targets), ("alarm that went off", alarms)] {
        for line in lines {
            let _ = writeln!(text, "\n**{}: {what}** {}", escape(key), prose(line));
        }
    }
    if let Some(breaker) = breaker {
        let _ = writeln!(text, "\n{}: {}", escape(key), prose(breaker));
    }
    for (stream, lines) in logs {
        let title = format!("the last lines of {}", stream.stream);
        let _ = write!(text, "\n{}", details(&title, &block("", &lines.join("\n"))));
    }
    if !events.is_empty() {
        let _ = write!(text, "\n{}", details(&format!("what ECS said of {key}"), &block("", &events.join("\n"))));
    }
    for unknown in unknown {
        let _ = write!(text, "\n*Not known: {}*\n", escape(unknown));
    }
    text
}
