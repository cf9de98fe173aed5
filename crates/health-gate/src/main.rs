//! The doorway of the action `health-gate`.

use std::process::ExitCode;

fn main() -> ExitCode {
    common::entry(&health_gate::ACTION, health_gate::run)
}
