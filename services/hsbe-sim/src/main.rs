//! The simulated HomeSecure backend as a process.

use std::process::ExitCode;

fn main() -> ExitCode {
    chassis::main("hsbe-sim", hsbe_sim::DEFAULTS, hsbe_sim::run)
}
