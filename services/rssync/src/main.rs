//! Starts rssync.

use std::process::ExitCode;

fn main() -> ExitCode {
    chassis::main(rssync::SERVICE, rssync::settings::DEFAULTS, rssync::run)
}
