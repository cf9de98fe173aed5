//! The doorway of the action `ecr-push`.

use std::process::ExitCode;

fn main() -> ExitCode {
    common::entry(&ecr_push::ACTION, ecr_push::run)
}
