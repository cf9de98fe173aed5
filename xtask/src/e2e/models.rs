//! The simulated world held against AWS's own models, so that it cannot drift into fiction.

use anyhow::Result;

use crate::process::{Run, cargo, program, root, target};
use crate::tools;

/// Rehearses, and checks every request to and every answer of the simulated AWS against botocore's service models.
pub(crate) fn check() -> Result<()> {
    let transcript = target().join("e2e/transcript.jsonl");
    let log = target().join("e2e/rehearse.log");
    cargo().args(["run", "--quiet", "--package", "rehearse", "--", "--transcript"]).arg(&transcript).log(&log)?;
    program(tools::python("python")?).arg(root().join("xtask/src/e2e/models.py")).arg(transcript).run()
}
