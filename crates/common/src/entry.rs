//! The door that every action's `main` goes through: read the inputs, run, publish what came of it, exit.

use std::process::ExitCode;

use clap::Parser;
use serde_json::{Value, json};

use crate::comment;
use crate::edges::Edges;
use crate::failure::{Failure, Kind};
use crate::http::Http;
use crate::inputs::{self, CommonInputs};
use crate::manifest::Action;
use crate::markdown;
use crate::report::Report;
use crate::runner::{Annotation, Level, Runner};
use crate::stop::Stop;

/// The most that a job can hand on in an output: 1 MiB
/// (<https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#jobsjob_idoutputs>).
const OUTPUT_LIMIT: usize = 1024 * 1024;

/// Runs an action in this process.
pub fn entry<I: Parser + AsRef<CommonInputs>>(
    action: &Action,
    run: impl AsyncFnOnce(I, &Edges) -> Result<Report, Failure>,
) -> ExitCode {
    let runner = Runner::of_process();
    within(
        runner,
        async |edges| perform(action, edges, run).await,
        |runner, failure| publish(action, runner, Err(failure)),
    )
}

/// Runs an action's `post-entrypoint` in this process: the runner starts it in a container of its own when the job ends,
/// however the action ended, a cancelled one included.
pub fn entry_post(action: &Action, post: impl AsyncFnOnce(&Edges) -> Result<(), Failure>) -> ExitCode {
    let runner = Runner::of_process();
    within(
        runner,
        async |edges| perform_post(action, edges, post).await,
        |runner, failure| warn(action, runner, &failure),
    )
}

/// Does the work between the edges of this process, or tells that there are none.
fn within(runner: Runner, work: impl AsyncFnOnce(&Edges) -> u8, tell: impl FnOnce(&Runner, Failure) -> u8) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return ExitCode::from(tell(&runner, Failure::bug(error))),
    };
    runtime.block_on(async {
        let stop = Stop::on_signals();
        let http = Http::connect(runner.environment());
        ExitCode::from(match (stop, http) {
            (Ok(stop), Ok(http)) => work(&Edges { runner, stop, http }).await,
            (Err(failure), _) | (_, Err(failure)) => tell(&runner, failure),
        })
    })
}

/// Ends a process that cannot even tell which action it is.
pub fn refuse(failure: &Failure) -> ExitCode {
    let message = failure.to_string();
    Runner::of_process().annotate(&Annotation { level: Level::Error, title: "delivery", message: &message });
    ExitCode::from(failure.kind.exit_code())
}

/// Runs an action between these edges and publishes what came of it. Answers the exit code.
pub async fn perform<I: Parser + AsRef<CommonInputs>>(
    action: &Action,
    edges: &Edges,
    run: impl AsyncFnOnce(I, &Edges) -> Result<Report, Failure>,
) -> u8 {
    let inputs = match inputs::parse::<I>(edges.runner.environment()) {
        Ok(inputs) => inputs,
        Err(failure) => return publish(action, &edges.runner, Err(failure)),
    };
    let common = inputs.as_ref().clone();
    let outcome = run(inputs, edges).await;
    if let (Ok(report), Ok(event), Some(github)) = (&outcome, edges.event(), edges.github(&common.github_token))
        && common.comment == "auto"
        // Nobody waits for the comment of a run that is cancelled.
        && !edges.stop.is_raised()
    {
        comment::keep_up_to_date(action, edges, &github, &event, report).await;
    }
    publish(action, &edges.runner, outcome)
}

/// Runs an action's `post-entrypoint` between these edges. Answers the exit code.
pub async fn perform_post(action: &Action, edges: &Edges, post: impl AsyncFnOnce(&Edges) -> Result<(), Failure>) -> u8 {
    match post(edges).await {
        Ok(()) => 0,
        Err(failure) => warn(action, &edges.runner, &failure),
    }
}

/// What could not be tidied up is worth a warning. It does not fail a job whose work is done: the action's own step has said
/// how that went. Only our own mistakes do.
fn warn(action: &Action, runner: &Runner, failure: &Failure) -> u8 {
    let (level, code) = match failure.kind {
        Kind::Bug => (Level::Error, failure.kind.exit_code()),
        Kind::Refused | Kind::Input | Kind::Denied | Kind::Remote | Kind::Cancelled => (Level::Warning, 0),
    };
    runner.annotate(&Annotation { level, title: action.name, message: &failure.to_string() });
    code
}

/// Writes outputs, the summary and the one annotation. Answers the exit code.
fn publish(action: &Action, runner: &Runner, outcome: Result<Report, Failure>) -> u8 {
    let (outputs, summary, annotation, code) = match outcome {
        Ok(report) => {
            let mut outputs = vec![("result", report.result.to_owned())];
            outputs.extend(report.outputs);
            outputs.push(("json", fitting(report.result, &report.json)));
            (outputs, report.summary, report.verdict.annotation(), report.verdict.exit_code())
        }
        Err(failure) => {
            let is_cancelled = failure.kind == Kind::Cancelled && action.results.contains(&"cancelled");
            let result = if is_cancelled { "cancelled" } else { action.failed };
            let json = json!({ "result": result, "failure": failure.to_string() });
            let outputs = vec![("result", result.to_owned()), ("json", json.to_string())];
            (outputs, summary_of(action, &failure), Some(failure.to_string()), failure.kind.exit_code())
        }
    };
    if let Some(message) = annotation {
        runner.annotate(&Annotation { level: Level::Error, title: action.name, message: &message });
    }
    for (name, value) in outputs.iter().filter(|(_, value)| value.len() > OUTPUT_LIMIT) {
        let message = format!(
            "output `{name}` has {} bytes: the steps of this job can read it, other jobs cannot, for an output of a job has 1 MiB at most",
            value.len()
        );
        runner.annotate(&Annotation { level: Level::Warning, title: action.name, message: &message });
    }
    let written = outputs.iter().try_for_each(|(name, value)| runner.output(name, value));
    match written.and_then(|()| runner.summary(&summary)) {
        Ok(()) => code,
        // An outcome that later steps cannot read must not look like one that they can.
        Err(failure) => {
            let message = failure.to_string();
            runner.annotate(&Annotation { level: Level::Error, title: action.name, message: &message });
            failure.kind.exit_code()
        }
    }
}

/// The report as data, or what there is to say of it if no job could take it.
fn fitting(result: &str, report: &Value) -> String {
    let json = report.to_string();
    if json.len() <= OUTPUT_LIMIT {
        return json;
    }
    let why =
        format!("the whole report has {} bytes, and an output of a job 1 MiB at most: see the summary", json.len());
    json!({ "result": result, "left-out": why }).to_string()
}

fn summary_of(action: &Action, failure: &Failure) -> String {
    let hint =
        failure.hint.as_ref().map(|hint| format!("\n**Next step:** {}\n", markdown::prose(hint))).unwrap_or_default();
    format!("### ❌ {}: could not start\n\n{}{hint}", action.name, markdown::block("", &format!("{:#}", failure.error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_other_job_could_read_is_told() {
        assert_eq!(fitting("affected", &json!({ "a": 1 })), r#"{"a":1}"#);
        let fitted: Value = serde_json::from_str(&fitting("affected", &json!("x".repeat(OUTPUT_LIMIT)))).unwrap();
        assert_eq!(fitted["result"], "affected");
        assert!(fitted["left-out"].as_str().unwrap().starts_with("the whole report has 1048578 bytes"), "{fitted}");
    }
}
