//! The rsadaptor service as a process.

use std::process::ExitCode;

use rsadaptor::{DEFAULTS, SERVICE, run};

fn main() -> ExitCode {
    // Reads fail points from the environment in builds that have them.
    let _failpoints = fail::FailScenario::setup();
    chassis::main(SERVICE, DEFAULTS, run)
}
