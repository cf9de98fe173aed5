//! The simulated world and the suite's requests held against what others wrote, so that neither can drift into fiction.

use std::path::Path;

use anyhow::Result;

use crate::process::{Run, cargo, program, root, target};
use crate::tools;

/// Rehearses, and releases ever more services. Checks every request to and every answer of the simulated AWS against botocore's
/// service models, and has moto, a simulation of others, take the same requests.
pub(crate) fn check() -> Result<()> {
    let rehearsal = target().join("e2e/transcript.jsonl");
    let log = target().join("e2e/rehearse.log");
    cargo().args(["run", "--quiet", "--package", "rehearse", "--", "--transcript"]).arg(&rehearsal).log(&log)?;
    let releases = target().join("e2e/requests.jsonl");
    requests(&releases).log(&target().join("e2e/requests.log"))?;
    for transcript in [&rehearsal, &releases] {
        python("models.py", &[transcript])?;
    }
    python("second_opinion.py", &[&rehearsal, &releases])
}

/// The program that counts the requests of a release, and writes them down here.
pub(crate) fn requests(transcript: &Path) -> std::process::Command {
    let mut requests = cargo();
    requests.args(["run", "--quiet", "--package", "ecs-deploy", "--example", "requests", "--"]).arg(transcript);
    requests
}

fn python(script: &str, transcripts: &[&Path]) -> Result<()> {
    program(tools::python("python")?).arg(root().join("xtask/src/e2e").join(script)).args(transcripts).run()
}
