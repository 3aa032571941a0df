//! `rsctl sync`: full syncs, started, watched, steered and looked through at rssync.
//!
//! Nothing is kept here: every command asks rssync and tells its answer. With `--json` that is the answer itself,
//! members that this program does not know included.

mod act;
mod bar;
mod failures;
mod job;
mod list;
mod pace;
mod server;
mod show;
mod start;
mod stream;
mod watch;

use std::io::Write;

use anyhow::Result;
use clap::{Args, Subcommand};
use events::JobId;

use self::act::Action;
pub use self::{failures::Failures, list::List, server::Server, start::Start, watch::Watch};
use crate::{Ending, shown::Form};

/// Send to the backend again what it should hold, and watch it
#[derive(Subcommand)]
#[command(after_long_help = crate::EXIT_CODES)]
pub enum Command {
    /// Start a full sync
    Start(Start),
    /// The jobs, one line each, the newest first
    List(List),
    /// Everything about a job
    Show(One),
    /// Follow a job to its end
    Watch(Watch),
    /// End a job: what is not sent is not sent any more
    Cancel(One),
    /// Hold a job
    Pause(One),
    /// Go on with a job that was paused
    Resume(One),
    /// Send once more what has failed of a job that has ended
    Redrive(One),
    /// What failed, by class of failure
    Failures(Failures),
}

/// Which job.
#[derive(Args)]
#[command(after_long_help = crate::EXIT_CODES)]
pub struct One {
    /// The job
    #[arg(value_name = "JOB")]
    job_id: JobId,
    #[command(flatten)]
    server: Server,
    #[command(flatten)]
    form: Form,
}

/// Carries out what is asked of full syncs.
///
/// # Errors
/// rssync cannot be reached, refuses, or answers what makes no sense: [`crate::service::Refusal`]; or a setting is wrong.
pub(crate) async fn run(command: &Command, out: &mut dyn Write) -> Result<Ending> {
    match command {
        Command::Start(options) => start::run(options, out).await,
        Command::List(options) => list::run(options, out).await,
        Command::Show(options) => show::run(options, out).await,
        Command::Watch(options) => watch::run(options, out).await,
        Command::Cancel(options) => act::run(Action::Cancel, options, out).await,
        Command::Pause(options) => act::run(Action::Pause, options, out).await,
        Command::Resume(options) => act::run(Action::Resume, options, out).await,
        Command::Redrive(options) => act::run(Action::Redrive, options, out).await,
        Command::Failures(options) => failures::run(options, out).await,
    }
}
