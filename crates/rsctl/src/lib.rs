//! The operators' command. It speaks with the broker as the services do, and needs none of them to run.
//!
//! - [`broker`]: which broker, and how to reach it;
//! - [`dlq`]: what was set aside: looking at it, handing it back, giving it up.

pub mod broker;
pub mod dlq;
mod shown;

use std::io::Write;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// The operators' command of RouterSecure.
#[derive(Parser)]
#[command(name = "rsctl", version)]
pub struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    #[command(subcommand)]
    Dlq(dlq::Command),
}

/// How a command ended that could be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All of it was done.
    Well,
    /// Some of it was refused; the output says what and why.
    Refused,
}

/// What the caller can set right on the command line.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// Carries a command out and writes to `out` what it has to say.
///
/// # Errors
/// It could not be carried out: [`Usage`] where the command line is at fault.
pub async fn run(command_line: &CommandLine, out: &mut dyn Write) -> Result<Ending> {
    match &command_line.command {
        Command::Dlq(command) => dlq::run(command, out).await,
    }
}
