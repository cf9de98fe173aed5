//! The five actions as one program. The container image holds it once, under the name of each, and of what an action does when
//! the job ends (`<name>-post`): what they share, which is nearly everything, is linked and shipped once.

use std::process::ExitCode;

use common::entry;
use common::failure::Failure;

fn main() -> ExitCode {
    let name = common::runner::program_name().unwrap_or_default();
    match name.as_str() {
        "build-affected" => entry(&build_affected::ACTION, build_affected::run),
        "ecr-push" => entry(&ecr_push::ACTION, ecr_push::run),
        "run-migration" => entry(&run_migration::ACTION, run_migration::run),
        "run-migration-post" => common::entry_post(&run_migration::ACTION, run_migration::post),
        "ecs-deploy" => entry(&ecs_deploy::ACTION, ecs_deploy::run),
        "ecs-deploy-post" => common::entry_post(&ecs_deploy::ACTION, ecs_deploy::post),
        "health-gate" => entry(&health_gate::ACTION, health_gate::run),
        other => common::refuse(&Failure::input(format!("there is no action `{other}`")).hint(
            "start the program by the name of an action: build-affected, ecr-push, run-migration, ecs-deploy or health-gate",
        )),
    }
}
