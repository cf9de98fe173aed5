//! The doorway of the action `build-affected`.

use std::process::ExitCode;

fn main() -> ExitCode {
    common::entry(&build_affected::ACTION, build_affected::run)
}
