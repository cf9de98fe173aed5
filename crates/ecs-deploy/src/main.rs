//! The doorway of the action `ecs-deploy`.

use std::process::ExitCode;

fn main() -> ExitCode {
    common::entry(&ecs_deploy::ACTION, ecs_deploy::run)
}
