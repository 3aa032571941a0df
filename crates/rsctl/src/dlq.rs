//! `rsctl dlq`: what a group could not handle of a topic, and what is to become of it.
//!
//! A dead letter stays where it lies until its topic forgets it. What was handed back or given up is told by a mark,
//! a further record of the same topic: so nothing is lost where a command is cut off, and every command sees what
//! the others have done.

mod described;
mod drop;
mod letters;
mod list;
mod replay;
mod report;
mod show;
mod since;
mod writing;

use std::io::Write;

use anyhow::Result;
use clap::{Args, Subcommand};
use eventbus::letters::Letter;

use self::letters::States;
pub use self::{drop::Drop, list::List, replay::Replay, show::Show, since::Since};
use crate::{Ending, broker::Broker};

/// Look at dead letters, hand them back or give them up
#[derive(Subcommand)]
pub enum Command {
    /// One line for each dead letter
    List(List),
    /// Everything about dead letters, headers and values included
    Show(Show),
    /// Publish dead letters again to where they came from, in their order
    Replay(Replay),
    /// Give dead letters up: they are kept, and passed over from now on
    Drop(Drop),
}

/// Which dead letters.
#[derive(Args)]
pub struct Selection {
    #[command(flatten)]
    broker: Broker,
    /// The topic that the records came from
    #[arg(long)]
    topic: String,
    /// The consumer group that could not handle them
    #[arg(long)]
    group: String,
    /// Only those with this key
    #[arg(long)]
    key: Option<String>,
    /// Only those that failed first at or after this time: 2026-03-01T08:00:00Z, or how long ago: 2h, 7d
    #[arg(long, value_name = "TIME")]
    since: Option<Since>,
    /// Only the one at this offset of the dead-letter topic
    #[arg(long)]
    offset: Option<i64>,
    /// The partition of the offset, where the dead-letter topic has several
    #[arg(long, requires = "offset")]
    partition: Option<i32>,
    /// Write JSON, one object on each line
    #[arg(long)]
    json: bool,
}

impl Selection {
    fn takes(&self, letter: &Letter) -> bool {
        let failed_at = || letter.failed_at().or_else(|| letter.recorded_at());
        self.key.as_ref().is_none_or(|it| letter.key() == Some(it.as_bytes()))
            && self.since.is_none_or(|it| failed_at().is_some_and(|at| at >= it.0))
            && self.offset.is_none_or(|it| letter.place.offset == it)
            && self.partition.is_none_or(|it| letter.place.partition == it)
    }

    /// Who names a single one is told also of what was done with it.
    fn states(&self) -> States {
        if self.offset.is_some() { States::All } else { States::Open }
    }
}

/// Carries out what is asked of dead letters.
///
/// # Errors
/// The dead letters cannot be read, or not all that was asked for could be done.
pub(crate) async fn run(command: &Command, out: &mut dyn Write) -> Result<Ending> {
    match command {
        Command::List(options) => list::run(options, out).await,
        Command::Show(options) => show::run(options, out).await,
        Command::Replay(options) => replay::run(options, out).await,
        Command::Drop(options) => drop::run(options, out).await,
    }
}
