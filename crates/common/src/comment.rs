//! The pull request's one comment: found by a hidden marker *and* its author, a section per action, never overwritten by an
//! older run.

use crate::edges::Edges;
use crate::github::{GitHub, Refused};
use crate::manifest::Action;
use crate::report::Report;
use crate::runner::{Annotation, Event, Level};

/// Marks the comment. Anyone can paste it, hence the check of the author.
const MARKER: &str = "<!-- delivery -->";

/// GitHub cuts no comment: it refuses one that is longer than 65,536 characters.
const LIMIT: usize = 65_000;

/// Writes this action's section of the pull request's comment.
///
/// A comment is a courtesy: where it cannot be written, the run says so once, and its outcome stays what it is.
pub(crate) async fn keep_up_to_date(action: &Action, edges: &Edges, github: &GitHub, event: &Event, report: &Report) {
    let Some(pull_request) = event.pull_request() else { return };
    let run = Run::of(edges);
    let refused = match write(action, github, pull_request, run, &report.summary).await {
        Ok(()) => return,
        Err(refused) => refused,
    };
    let message = match refused {
        Refused::Forbidden(_) if event.is_from_fork() => {
            "the pull request comes from a fork, whose token may not comment: see the job's summary".to_owned()
        }
        Refused::Forbidden(failure) | Refused::Failed(failure) => {
            format!("the pull request has no comment of this run: {failure}")
        }
    };
    edges.runner.annotate(&Annotation { level: Level::Notice, title: action.name, message: &message });
}

/// A run's place in time: a re-run is later than the run, a newer run is later than both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Run {
    id: u64,
    attempt: u64,
}

impl Run {
    fn of(edges: &Edges) -> Self {
        let number = |name| edges.runner.environment().get(name).and_then(|text| text.parse().ok()).unwrap_or(0);
        Self { id: number("GITHUB_RUN_ID"), attempt: number("GITHUB_RUN_ATTEMPT") }
    }
}

async fn write(action: &Action, github: &GitHub, pull_request: u64, run: Run, text: &str) -> Result<(), Refused> {
    let login = github.login().await?;
    let ours = github
        .comments(pull_request)
        .await?
        .into_iter()
        .find(|comment| comment.author == login && comment.body.starts_with(MARKER));
    match ours {
        None => github.create_comment(pull_request, &render(&[(action.name.to_owned(), run, cut(text))])).await,
        Some(comment) => match merge(sections(&comment.body), action.name, run, text) {
            Some(sections) => github.update_comment(comment.id, &render(&sections)).await,
            None => Ok(()),
        },
    }
}

type Section = (String, Run, String);

/// The comment's sections with this one in its place; `None` if the comment knows a later run of it.
fn merge(mut sections: Vec<Section>, name: &str, run: Run, text: &str) -> Option<Vec<Section>> {
    match sections.iter_mut().find(|section| section.0 == name) {
        Some(section) if section.1 > run => return None,
        Some(section) => *section = (name.to_owned(), run, cut(text)),
        None => sections.push((name.to_owned(), run, cut(text))),
    }
    Some(sections)
}

/// Five sections share the limit.
fn cut(text: &str) -> String {
    let most = LIMIT / 5;
    if text.len() <= most {
        return text.trim().to_owned();
    }
    let end = (0..=most).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
    format!("{}\n\n*Cut here; the job's summary has the rest.*", &text[..end])
}

fn render(sections: &[Section]) -> String {
    let mut body = MARKER.to_owned();
    for (name, run, text) in sections {
        body += &format!("\n<!-- section {name} {} {} -->\n{text}\n<!-- end {name} -->\n", run.id, run.attempt);
    }
    body
}

fn sections(body: &str) -> Vec<Section> {
    let mut sections = Vec::new();
    let mut rest = body;
    while let Some((_, tail)) = rest.split_once("<!-- section ") {
        let Some((head, tail)) = tail.split_once(" -->\n") else { break };
        let words: Vec<&str> = head.split(' ').collect();
        let [name, id, attempt] = words.as_slice() else { break };
        let Some((text, tail)) = tail.split_once(&format!("\n<!-- end {name} -->")) else { break };
        let run = Run { id: id.parse().unwrap_or(0), attempt: attempt.parse().unwrap_or(0) };
        sections.push(((*name).to_owned(), run, text.to_owned()));
        rest = tail;
    }
    sections
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Run = Run { id: 7, attempt: 1 };
    const SECOND: Run = Run { id: 7, attempt: 2 };

    #[test]
    fn a_section_is_replaced_in_its_place_and_the_others_stay() {
        let comment = render(&[("a".into(), FIRST, "one".into()), ("b".into(), FIRST, "two\n\nlines".into())]);
        let merged = merge(sections(&comment), "a", SECOND, "new").unwrap();
        assert_eq!(
            sections(&render(&merged)),
            [("a".into(), SECOND, "new".into()), ("b".into(), FIRST, "two\n\nlines".into())]
        );
    }

    #[test]
    fn an_older_run_never_overwrites_a_newer_one() {
        let comment = render(&[("a".into(), SECOND, "new".into())]);
        assert_eq!(merge(sections(&comment), "a", FIRST, "old"), None);
    }

    #[test]
    fn a_long_section_is_cut_and_says_so() {
        let text = cut(&"ä".repeat(LIMIT));
        assert!(text.len() < LIMIT / 5 + 100 && text.ends_with("the rest.*"));
    }
}
