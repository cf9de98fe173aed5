//! The door that every action's `main` goes through: read the inputs, run, publish what came of it, exit.

use std::process::ExitCode;

use clap::Parser;

use crate::comment;
use crate::edges::Edges;
use crate::failure::Failure;
use crate::http::Http;
use crate::inputs::{self, CommonInputs};
use crate::manifest::Action;
use crate::markdown;
use crate::report::Report;
use crate::runner::{Annotation, Level, Runner};
use crate::stop::Stop;

/// Runs an action in this process.
pub fn entry<I: Parser + AsRef<CommonInputs>>(
    action: &Action,
    run: impl AsyncFnOnce(I, &Edges) -> Result<Report, Failure>,
) -> ExitCode {
    let runner = Runner::of_process();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return ExitCode::from(publish(action, &runner, Err(Failure::bug(error)))),
    };
    runtime.block_on(async {
        let stop = Stop::on_signals();
        let http = Http::connect(runner.environment());
        match (stop, http) {
            (Ok(stop), Ok(http)) => ExitCode::from(perform(action, &Edges { runner, stop, http }, run).await),
            (Err(failure), _) | (_, Err(failure)) => ExitCode::from(publish(action, &runner, Err(failure))),
        }
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
    {
        comment::keep_up_to_date(action, edges, &github, &event, report).await;
    }
    publish(action, &edges.runner, outcome)
}

/// Writes outputs, the summary and the one annotation. Answers the exit code.
fn publish(action: &Action, runner: &Runner, outcome: Result<Report, Failure>) -> u8 {
    let (outputs, summary, annotation, code) = match outcome {
        Ok(report) => {
            let mut outputs = vec![("result", report.result.to_owned())];
            outputs.extend(report.outputs);
            outputs.push(("json", report.json.to_string()));
            (outputs, report.summary, report.verdict.annotation(), report.verdict.exit_code())
        }
        Err(failure) => {
            let json = serde_json::json!({ "result": action.failed, "failure": failure.to_string() });
            let outputs = vec![("result", action.failed.to_owned()), ("json", json.to_string())];
            (outputs, summary_of(action, &failure), Some(failure.to_string()), failure.kind.exit_code())
        }
    };
    if let Some(message) = annotation {
        runner.annotate(&Annotation { level: Level::Error, title: action.name, message: &message });
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

fn summary_of(action: &Action, failure: &Failure) -> String {
    let hint =
        failure.hint.as_ref().map(|hint| format!("\n**Next step:** {}\n", markdown::prose(hint))).unwrap_or_default();
    format!("### ❌ {}: could not start\n\n{}{hint}", action.name, markdown::block("", &format!("{:#}", failure.error)))
}
