//! `rsctl rollout`: routers are led from one agent package to another in waves, at rsclient.
//!
//! Nothing is kept here: every command asks rsclient and tells its answer. With `--json` that is the answer itself,
//! members that this program does not know included.

mod act;
mod list;
mod show;
mod start;
mod told;
mod watch;

use std::io::Write;

use anyhow::Result;
use clap::{Args, Subcommand};
use events::JobId;

use self::act::Action;
pub use self::{list::List, start::Start, watch::Watch};
use crate::{
    Ending,
    service::{Address, Caller, Service, Whom},
    shown::Form,
};

/// Where rollouts lie at rsclient.
const PLACE: [&str; 3] = ["subsystems", "rs", "rollouts"];

/// Lead routers from one agent package to another in waves, and watch it
#[derive(Subcommand)]
#[command(after_long_help = crate::EXIT_CODES)]
pub enum Command {
    /// Start a rollout
    Start(Start),
    /// The rollouts, one line each, the newest first
    List(List),
    /// Everything about a rollout
    Show(One),
    /// Follow a rollout to its end
    Watch(Watch),
    /// Hold a rollout: no wave is begun
    Pause(One),
    /// Go on with a rollout that was paused, its failures so far forgiven
    Resume(One),
    /// Lead the routers back that were moved
    Abort(One),
}

/// Which rollout.
#[derive(Args)]
#[command(after_long_help = crate::EXIT_CODES)]
pub struct One {
    /// The rollout
    #[arg(value_name = "ROLLOUT")]
    rollout_id: JobId,
    #[command(flatten)]
    server: Server,
    #[command(flatten)]
    form: Form,
}

/// Where rsclient is and who asks.
#[derive(Args)]
pub struct Server {
    /// Address of rsclient, such as https://rsclient:8443
    #[arg(long, help_heading = "Service", env = "RSCTL_CLIENT_URL", value_name = "URL")]
    url: Address,
    #[command(flatten)]
    caller: Caller,
}

impl Server {
    /// rsclient, as these credentials see it.
    fn connect(&self) -> Result<Service> {
        Service::connect(Whom::Rsclient, &self.url, &self.caller)
    }
}

/// The path of a rollout.
fn place(rollout_id: &JobId) -> Vec<&str> {
    PLACE.into_iter().chain([rollout_id.as_str()]).collect()
}

/// Carries out what is asked of rollouts.
///
/// # Errors
/// rsclient cannot be reached, refuses, or answers what makes no sense: [`crate::service::Refusal`]; or a setting is
/// wrong.
pub(crate) async fn run(command: &Command, out: &mut dyn Write) -> Result<Ending> {
    match command {
        Command::Start(options) => start::run(options, out).await,
        Command::List(options) => list::run(options, out).await,
        Command::Show(options) => show::run(options, out).await,
        Command::Watch(options) => watch::run(options, out).await,
        Command::Pause(options) => act::run(Action::Pause, options, out).await,
        Command::Resume(options) => act::run(Action::Resume, options, out).await,
        Command::Abort(options) => act::run(Action::Abort, options, out).await,
    }
}
