//! The post step of an action: what it is told, and what its end means for the job.

use std::time::Duration;

use clap::Parser;
use common::edges::Edges;
use common::failure::{Failure, Kind};
use common::inputs::{CommonInputs, parse};
use common::manifest::Action;
use common::poll::pause;
use common::report::{Report, Verdict};
use stage::Stage;

const ACTION: Action = Action {
    name: "example",
    description: "An action with a post step.",
    icon: "box",
    color: "blue",
    results: &["done"],
    failed: "failed",
    outputs: &[],
    permissions: &[],
    iam: &[],
    post: true,
};

#[derive(Parser)]
struct Inputs {
    #[command(flatten)]
    common: CommonInputs,
}

impl AsRef<CommonInputs> for Inputs {
    fn as_ref(&self) -> &CommonInputs {
        &self.common
    }
}

async fn run(_: Inputs, edges: &Edges) -> Result<Report, Failure> {
    edges.runner.state("lock", "two\nlines")?;
    if !pause(Duration::from_secs(60), &edges.stop).await {
        return Err(Failure::cancelled("cancelled"));
    }
    let (json, summary) = (serde_json::Value::Null, String::new());
    Ok(Report { result: "done", verdict: Verdict::Good, outputs: Vec::new(), json, summary })
}

async fn tell(edges: &Edges) -> Result<(), Failure> {
    let inputs: Inputs = parse(edges.runner.environment())?;
    let environment = inputs.common.environment.map(String::from).unwrap_or_default();
    edges.runner.say(format!("{environment}, {:?}, {}", edges.runner.saved("lock"), edges.stop.is_raised()));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn the_post_step_has_the_inputs_and_the_state_of_a_run_however_that_ended() {
    let told = "staging, Some(\"two\\nlines\"), false\n";
    let stage = Stage::new();
    let ran = stage.run(&ACTION, run, &[("environment", "staging")]).await;
    assert_eq!((ran.exit_code, ran.state["lock"].as_str()), (0, "two\nlines"));
    assert_eq!(stage.run_post(&ACTION, tell).await.log, told);

    let edges = stage.edges(&[]);
    tokio::select! {
        _ = stage.run(&ACTION, run, &[("environment", "staging")]) => panic!("it ended"),
        _ = pause(Duration::from_secs(1), &edges.stop) => {}
    }
    assert_eq!(stage.run_post(&ACTION, tell).await.log, told);

    stage.stopper.raise();
    assert_eq!(stage.run(&ACTION, run, &[("environment", "staging")]).await.exit_code, 130);
    assert_eq!(stage.run_post(&ACTION, tell).await.log, told);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_tidied_up_is_a_warning_and_only_our_mistakes_fail_the_job() {
    let stage = Stage::new();
    stage.run(&ACTION, run, &[]).await;
    for (kind, exit_code, level) in [
        (Kind::Remote, 0, "warning"),
        (Kind::Denied, 0, "warning"),
        (Kind::Input, 0, "warning"),
        (Kind::Cancelled, 0, "warning"),
        (Kind::Bug, 70, "error"),
    ] {
        let post = async |_: &Edges| Err(Failure::new(kind, std::io::Error::other("no")));
        let ran = stage.run_post(&ACTION, post).await;
        assert_eq!((ran.exit_code, ran.annotations()), (exit_code, vec![format!("::{level} title=example::no")]));
    }
}
