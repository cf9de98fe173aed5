//! The doorway of the action `run-migration`.

use std::process::ExitCode;

fn main() -> ExitCode {
    common::entry(&run_migration::ACTION, run_migration::run)
}
