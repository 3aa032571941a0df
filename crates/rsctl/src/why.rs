//! `rsctl why`: why a home looks as it does, as rsclient tells it.

mod device;
mod story;

use std::io::Write;

use anyhow::Result;
use clap::Subcommand;

pub use self::device::Device;
use crate::Ending;

/// Say why a home looks as it does
#[derive(Subcommand)]
#[command(after_long_help = crate::EXIT_CODES)]
pub enum Command {
    /// Where a device is on its way to the backend, what holds for it and who decided so
    Device(Device),
}

/// Carries out what is asked.
///
/// # Errors
/// rsclient cannot be reached, refuses, or answers what makes no sense; or a setting is wrong.
pub(crate) async fn run(command: &Command, out: &mut dyn Write) -> Result<Ending> {
    match command {
        Command::Device(options) => device::run(options, out).await,
    }
}
