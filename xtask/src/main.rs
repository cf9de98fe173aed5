//! The project's own tasks, as `cargo xtask TASK`.

mod bench;
mod check;
mod docker;
mod e2e;
mod fuzz;
mod image;
mod policies;
mod poll;
mod process;
mod registry;
mod release;
mod samples;
mod snippets;
mod tools;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use crate::image::Build;

/// The project's own tasks.
#[derive(Parser)]
#[command(bin_name = "cargo xtask", disable_help_subcommand = true)]
enum Task {
    /// Judge the tree: format, lints, documentation, dependencies, generated files, workflows.
    Check {
        /// What to judge, by the names that it prints; all, if none is named.
        steps: Vec<String>,
    },
    /// Write the files that are printed from code: `action.yml`, the tables of the READMEs, the schema.
    Generate {
        /// Write nothing, and fail if a file would change.
        #[arg(long)]
        check: bool,
    },
    /// Deliver a sample monorepo for real: the image, a Docker engine, and an emulated AWS.
    E2e {
        /// Compile quickly instead of as shipped: for working on the test itself.
        #[arg(long)]
        quick: bool,
        /// What to play; all, if nothing is named. `workflows` and `databases` install a root file system and Go programs first.
        parts: Vec<e2e::Part>,
    },
    /// Measure: what one AWS call costs each binary, what is affected in repositories of several sizes; all, if none is named.
    Bench {
        /// What to measure.
        races: Vec<bench::Race>,
        /// Of `push` and `affected`, only the lines with all of these words in them or above them: `--only cold --only layout`.
        #[arg(long)]
        only: Vec<String>,
    },
    /// Give the languages that the suite reads texts that nobody thought of. Needs a C++ compiler.
    Fuzz {
        /// For how many seconds.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
    /// Lay out the files of the container image below target/rootfs.
    Rootfs,
    /// Write the tree that a release's tag points to: the actions with their image by digest, and the reusable workflows.
    ReleaseTree(release::Release),
    /// Build the container image from binaries that are compiled here.
    Image,
    /// Write the bill of materials of the program that the image holds, as CycloneDX.
    Sbom {
        /// The file to write.
        file: PathBuf,
    },
}

fn main() -> ExitCode {
    let outcome = match Task::parse() {
        Task::Check { steps } => check::check(&steps),
        Task::Generate { check } => generate(check),
        Task::E2e { quick, parts } => e2e::run(if quick { Build::Quick } else { Build::Shipped }, &parts),
        Task::Bench { races, only } => bench::run(&races, &only),
        Task::Fuzz { seconds } => fuzz::run(Duration::from_secs(seconds)),
        Task::Rootfs => image::rootfs(Build::Shipped).map(|rootfs| process::say(rootfs.display())),
        Task::ReleaseTree(release) => release.write(),
        Task::Image => docker::require().and_then(|()| image::image(Build::Shipped)),
        Task::Sbom { file } => image::bill_of_materials(&file),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            process::say(format!("error: {failure:#}"));
            ExitCode::FAILURE
        }
    }
}

/// What is printed from code is printed by a program that links the code, and this one links none of it.
fn generate(check: bool) -> anyhow::Result<()> {
    let mut generate = process::cargo();
    generate.args(["run", "--quiet", "--package", "repository", "--bin", "generate", "--"]);
    if check {
        generate.arg("--check");
    }
    anyhow::ensure!(generate.status()?.success(), "the printed files are not up to date");
    Ok(())
}
