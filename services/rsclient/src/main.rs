//! Starts rsclient.

use std::process::ExitCode;

fn main() -> ExitCode {
    let _scenario = fail::FailScenario::setup();
    chassis::main(rsclient::SERVICE, rsclient::settings::DEFAULTS, rsclient::run)
}
