//! The operators' command.
//!
//! - [`broker`]: which broker, and how to reach it;
//! - [`dlq`]: what was set aside: looking at it, handing it back, giving it up. It speaks with the broker alone;
//! - [`rollout`]: routers are led to another agent package in waves. It speaks with rsclient alone;
//! - [`sync`]: full syncs: started, watched, steered, looked through. It speaks with rssync alone;
//! - [`why`]: why a home looks as it does. It speaks with rsclient alone.
//!
//! Exit codes, which stay as they are:
//!
//! | code | meaning |
//! | --- | --- |
//! | 0 | done; of a job or rollout that was followed: completed |
//! | 1 | not done: out of reach, refused, or an answer that makes no sense |
//! | 2 | the command line is wrong |
//! | 3 | the job that was followed has ended with failures |
//! | 4 | the job that was followed was cancelled, the rollout aborted |
//! | 5 | the job or rollout that was followed has failed |
//! | 6 | no such job, rollout or device |
//! | 7 | not possible now: another job or rollout is in the way, or its state is |
//! | 130 | Ctrl-C while a job or rollout was followed, which goes on |

pub mod broker;
pub mod dlq;
mod pages;
pub mod rollout;
pub mod service;
mod shown;
pub mod sync;
pub mod why;

use std::io::Write;

use anyhow::Result;
use clap::{Parser, Subcommand};

use self::service::Cause;

/// The operators' command of RouterSecure.
#[derive(Parser)]
#[command(name = "rsctl", version, after_long_help = EXIT_CODES)]
pub struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    #[command(subcommand)]
    Dlq(dlq::Command),
    #[command(subcommand)]
    Rollout(rollout::Command),
    #[command(subcommand)]
    Sync(sync::Command),
    #[command(subcommand)]
    Why(why::Command),
}

/// The exit codes, for those who ask for help.
const EXIT_CODES: &str = "\
Exit codes:
  0    done; of a job or rollout that was followed: completed
  1    not done: out of reach, refused, or an answer that makes no sense
  2    the command line is wrong
  3    the job that was followed has ended with failures
  4    the job that was followed was cancelled, the rollout aborted
  5    the job or rollout that was followed has failed
  6    no such job, rollout or device
  7    not possible now: another job or rollout is in the way, or its state is
  130  Ctrl-C while a job or rollout was followed, which goes on";

/// How a command ended that could be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All of it was done.
    Well,
    /// Some of it was refused; the output says what and why.
    Refused,
    /// The job that was followed has ended with failures.
    WithFailures,
    /// The job that was followed was cancelled.
    Cancelled,
    /// The job that was followed has failed.
    Failed,
    /// Whoever followed a job has pressed Ctrl-C.
    Interrupted,
}

impl Ending {
    /// The exit code that says so.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Well => 0,
            Self::Refused => 1,
            Self::WithFailures => 3,
            Self::Cancelled => 4,
            Self::Failed => 5,
            Self::Interrupted => 130,
        }
    }
}

/// The exit code for what could not be carried out.
pub fn exit_code(error: &anyhow::Error) -> u8 {
    match error.downcast_ref::<service::Refusal>().map(|it| it.cause) {
        Some(Cause::NotFound) => 6,
        Some(Cause::Conflict) => 7,
        Some(Cause::Unreachable | Cause::Refused | Cause::Senseless) => 1,
        None if error.is::<Usage>() => 2,
        None => 1,
    }
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
        Command::Rollout(command) => rollout::run(command, out).await,
        Command::Sync(command) => sync::run(command, out).await,
        Command::Why(command) => why::run(command, out).await,
    }
}
