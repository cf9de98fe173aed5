//! The parts of the summary that are about what was found, and about the repositories.

use std::fmt::Write as _;

use common::delivery::FindingException;
use common::markdown::{code, details, escape, prose, table};
use common::names::{RepositoryName, ServiceKey};
use common::policy::{self, Violation, by_package};
use common::push::{Amount, Tally};
use serde_json::{Value, json};

use crate::effects::{Fate, Outcome};
use crate::gate::Scanned;
use crate::settings::Drift;
use crate::upkeep::Upkeep;

/// What an image does not pass.
pub(super) fn violations(key: &ServiceKey, violations: &[Violation]) -> String {
    format!("**{}**\n\n{}\n", escape(key.as_str()), policy::table(violations))
}

/// What became of the blobs of an image.
pub(super) fn tally(key: &ServiceKey, tally: &Tally) -> String {
    let biggest =
        tally.biggest.iter().map(|(digest, bytes)| format!("{} {}", code(digest.short()), policy::human(*bytes)));
    let biggest: Vec<String> = biggest.collect();
    format!("*{}: {}; the biggest: {}*\n\n", escape(key.as_str()), escape(&tally.line()), biggest.join(", "))
}

/// The same in numbers.
pub(super) fn tally_as_json(tally: &Tally) -> Value {
    let amount = |amount: Amount| json!({ "blobs": amount.blobs, "bytes": amount.bytes });
    json!({ "sent": amount(tally.uploaded), "mounted": amount(tally.mounted), "there": amount(tally.present) })
}

/// Repositories, and what was done about their settings; `true` where it was done, and not merely planned.
pub(super) fn repositories<'a>(all: impl Iterator<Item = (&'a RepositoryName, &'a Upkeep, bool)>) -> String {
    let mut rows = Vec::new();
    let mut notes = String::new();
    for (name, upkeep, is_done) in all {
        let name = code(name.as_str());
        let done = |done: &str, planned: &str| if is_done { done } else { planned }.to_owned();
        if upkeep.is_made {
            let row = ["the repository".to_owned(), "missing".to_owned(), "there".to_owned(), done("made", "is made")];
            rows.push([vec![name.clone()], row.to_vec()].concat());
        }
        let row = |drift: &Drift, what: String| {
            let Drift { setting, found, wanted, .. } = drift;
            vec![name.clone(), setting.name().to_owned(), escape(found), escape(wanted), what]
        };
        rows.extend(upkeep.mended.iter().map(|drift| row(drift, done("changed", "is changed"))));
        rows.extend(
            upkeep.left.iter().map(|drift| {
                row(drift, prose(drift.advice.unwrap_or("nothing: `reconcile: enforce` would change it")))
            }),
        );
        for note in &upkeep.notes {
            let _ = writeln!(notes, "*{name}: {}*\n", prose(note));
        }
    }
    let table = table(&["repository", "setting", "is", "should be", "what is done"], &rows);
    let heading = if rows.is_empty() { "" } else { "**Repositories**\n\n" };
    format!("{heading}{table}{}{notes}", if rows.is_empty() { "" } else { "\n" })
}

/// What was found in an image, in a few words.
pub(super) fn in_short(scans: &[Scanned]) -> String {
    let one = |scan: &Scanned| {
        let found = &scan.judgement;
        let through = found.excepted.len() + found.unfixed.len() + found.minor.len();
        match (found.blocking.len(), through) {
            (0, 0) => format!("none ({})", scan.by),
            (0, through) => format!("{through} let through ({})", scan.by),
            (blocking, through) => format!("**{blocking} block**, {through} let through ({})", scan.by),
        }
    };
    scans.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// What was found in an image and does not keep it back: what is excepted, with the reason, and what has no fix.
pub(super) fn let_through(key: &ServiceKey, scans: &[&Scanned]) -> String {
    let mut text = String::new();
    for Scanned { by, judgement } in scans {
        let excepted = judgement.excepted.iter().map(|(finding, exception)| {
            let what = format!("{} {} in {}", finding.severity, finding.id, finding.package);
            vec![escape(&what), escape(&exception.reason), format!("excepted until {}", exception.expires)]
        });
        let unfixed = by_package(&judgement.unfixed).into_iter().map(|package| {
            let what = format!("{}: {}", package.name(), package.told());
            vec![escape(&what), "there is no fix yet".to_owned(), "`ignore-unfixed`".to_owned()]
        });
        let rows: Vec<Vec<String>> = excepted.chain(unfixed).collect();
        if rows.is_empty() {
            continue;
        }
        let less = match judgement.minor.len() {
            0 => String::new(),
            count => format!("\nLess severe than the policy asks for: {count}.\n"),
        };
        let body = table(&["what", "why it is let through", "by"], &rows) + &less;
        text += &details(&format!("{key}: what {by} found and was let through"), &body);
        text.push('\n');
    }
    text
}

/// Exceptions that are over, and those that none of the images needs.
pub(super) fn exceptions<'a>(scans: impl Iterator<Item = &'a Scanned>) -> String {
    let mut expired: Vec<FindingException> = Vec::new();
    let mut unused: Option<Vec<FindingException>> = None;
    for Scanned { judgement, .. } in scans {
        expired.extend(judgement.expired.iter().cloned());
        let others = unused.unwrap_or_else(|| judgement.unused.clone());
        unused = Some(others.into_iter().filter(|exception| judgement.unused.contains(exception)).collect());
    }
    expired.sort_by(|one, other| one.id.cmp(&other.id));
    expired.dedup();
    let expired = expired.iter().map(|it| (it, format!("ended on {}: renew it, or take it out", it.expires)));
    let unused = unused.unwrap_or_default();
    let unused =
        unused.iter().map(|it| (it, "was needed by no image of this run: take it out if it is not needed".to_owned()));
    let line = |(exception, what): (&FindingException, String)| {
        format!("- the exception of {} ({}) {what}\n", code(&exception.id), escape(&exception.reason))
    };
    let lines: String = expired.chain(unused).map(line).collect();
    if lines.is_empty() { lines } else { format!("{lines}\n") }
}

/// The images that were pushed and that nobody looked into.
pub(super) fn not_scanned(outcome: &Outcome) -> String {
    let pushed = outcome.images.iter().filter(|image| matches!(image.fate, Fate::Pushed) && image.scanned.is_empty());
    let keys: Vec<String> = pushed.map(|image| escape(image.target.key.as_str())).collect();
    match keys.is_empty() {
        true => String::new(),
        false => format!(
            "*Not scanned by this run: {}. Give a report by `scan-report`, or wait for ECR's by `gate: ecr`.*\n",
            keys.join(", ")
        ),
    }
}

/// What was found, in numbers.
pub(super) fn as_json(scan: &Scanned) -> Value {
    let found = &scan.judgement;
    json!({
        "by": scan.by,
        "blocking": found.blocking.len(),
        "excepted": found.excepted.len(),
        "unfixed": found.unfixed.len(),
        "minor": found.minor.len(),
    })
}
