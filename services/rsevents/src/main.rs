//! Starts rsevents.

use std::process::ExitCode;

fn main() -> ExitCode {
    let _scenario = fail::FailScenario::setup();
    chassis::main(rsevents::SERVICE, rsevents::settings::DEFAULTS, rsevents::run)
}
