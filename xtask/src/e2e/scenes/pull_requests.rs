//! A pull request: what it would do, in one comment that is kept up to date.

use std::path::Path;

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::open;
use crate::e2e::github::{self, GitHub, REPOSITORY};
use crate::e2e::monorepo::{AUTH, BILLING};
use crate::e2e::stage::{Stage, short};
use crate::e2e::workflow::Workflow;

/// The number of the one pull request.
const NUMBER: u32 = 1;

/// `base` is what the branch that it goes to has. Answers the proposal.
pub(super) fn play(stage: &Stage, folder: &Path, base: &str) -> Result<String> {
    let github = GitHub::start(folder)?;
    stage.repository.write_into_image(BILLING, "about.txt", "proposed\n")?;
    let head = stage.repository.propose("billing: a proposal", base)?;
    open(&format!("a pull request gets one comment ({})", short(&head)));
    preview(stage, &head, base)?.step("build-affected", &[], "affected")?;
    expect_comment(&github, &["build-affected", BILLING], &["run-migration"])?;

    stage.repository.write_into_image(AUTH, "20260103_note.sql", "ALTER TABLE payments ADD COLUMN note text;\n")?;
    let head = stage.repository.propose("auth: a proposal with a migration", base)?;
    open(&format!("another push to it: the same comment, with the pending migration ({})", short(&head)));
    let preview = preview(stage, &head, base)?;
    preview.step("build-affected", &[], "affected")?;
    preview.step("run-migration", &[("operation", "lint"), ("services", AUTH)], "planned")?;
    expect_comment(&github, &["build-affected", BILLING, AUTH, "run-migration", "20260103_note.sql"], &[])?;
    Ok(head)
}

/// A run for the pull request, with a token that GitHub takes.
fn preview(stage: &Stage, head: &str, base: &str) -> Result<Workflow> {
    let event = event(head, base);
    let more = [
        ("GITHUB_API_URL", github::URL),
        ("GITHUB_BASE_REF", "main"),
        ("GITHUB_EVENT_NAME", "pull_request"),
        ("GITHUB_HEAD_REF", "proposal"),
        ("GITHUB_REF", "refs/pull/1/merge"),
        ("GITHUB_REF_NAME", "1/merge"),
    ];
    Ok(stage.run_for(&stage.repository, head, &event, &more)?.with_token("ghs_of_the_pull_request"))
}

/// What GitHub tells of it. <https://docs.github.com/en/webhooks/webhook-events-and-payloads#pull_request>
pub(super) fn event(head: &str, base: &str) -> Value {
    let repository = json!({ "full_name": REPOSITORY, "default_branch": "main", "fork": false });
    json!({
        "action": "synchronize",
        "number": NUMBER,
        "pull_request": {
            "number": NUMBER,
            "head": { "sha": head, "ref": "proposal", "repo": repository },
            "base": { "sha": base, "ref": "main", "repo": repository },
        },
        "repository": repository,
    })
}

/// There is one comment, with these words and without those.
fn expect_comment(github: &GitHub, with: &[&str], without: &[&str]) -> Result<()> {
    let comments = github.comments()?;
    let [comment] = comments.as_slice() else { bail!("there are {} comments: {comments:#?}", comments.len()) };
    if let Some(words) = with.iter().find(|words| !comment.contains(**words)) {
        bail!("`{words}` is not in the comment:\n{comment}");
    }
    match without.iter().find(|words| comment.contains(**words)) {
        Some(words) => bail!("`{words}` is in the comment:\n{comment}"),
        None => Ok(()),
    }
}
