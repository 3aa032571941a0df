//! Starts rsagents.

use std::process::ExitCode;

fn main() -> ExitCode {
    let _scenario = fail::FailScenario::setup();
    chassis::main(rsagents::SERVICE, rsagents::settings::DEFAULTS, rsagents::run)
}
