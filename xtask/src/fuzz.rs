//! `cargo xtask fuzz`: texts that nobody thought of, for the languages that the suite reads.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::process::{Run, cargo, program, root, target};

/// Fuzzes the language of conditions for so long. What it finds is kept below target/fuzz, and told.
pub(crate) fn run(time: Duration) -> Result<()> {
    let folder = root().join("tests/fuzz");
    cargo()
        .args(["build", "--quiet", "--package", "fuzz", "--features", "libfuzzer", "--bin", "condition"])
        // The dependencies stay as every other build has them.
        .env("RUSTC_WORKSPACE_WRAPPER", folder.join("instrument.sh"))
        .run()?;
    let corpus = target().join("fuzz/condition");
    std::fs::create_dir_all(&corpus).with_context(|| format!("cannot make {}", corpus.display()))?;
    program(target().join("debug/condition"))
        .arg(&corpus)
        .arg(format!("-max_total_time={}", time.as_secs()))
        .arg(format!("-dict={}", folder.join("condition.dict").display()))
        .arg(format!("-artifact_prefix={}/", target().join("fuzz").display()))
        .args(["-max_len=120", "-timeout=5", "-print_final_stats=1", "-verbosity=0"])
        .run()
}
