//! `rsctl dlq drop`.

use std::io::Write;

use anyhow::Result;
use clap::ArgGroup;
use eventbus::letters::State;

use super::{
    Selection,
    letters::Letters,
    report::{Mode, Report},
    writing::mark,
};
use crate::Ending;

/// Give dead letters up: they are kept, and passed over from now on.
#[derive(clap::Args)]
#[command(group = ArgGroup::new("which").args(["key", "since", "offset", "everything"]).required(true).multiple(true))]
pub struct Drop {
    #[command(flatten)]
    selection: Selection,
    /// All of them
    #[arg(long, conflicts_with_all = ["key", "since", "offset"])]
    everything: bool,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
}

pub(crate) async fn run(options: &Drop, out: &mut dyn Write) -> Result<Ending> {
    let selection = &options.selection;
    let letters = Letters::open(selection).await?;
    let mut report = Report::new(out, selection.json, options.dry_run, State::Dropped);
    let outcome = drop_all(selection, &letters, &mut report).await;
    report.end(outcome)
}

async fn drop_all(selection: &Selection, letters: &Letters, report: &mut Report<'_>) -> Result<()> {
    let producer = selection.broker.producer()?;
    let mut read = letters.read(selection, selection.states());
    while let Some(letter) = read.next().await? {
        if let Some(mark) = letter.mark {
            report.refused(&letter, &format!("it was {} already", mark.state.as_str()))?;
            continue;
        }
        if report.mode == Mode::Act {
            mark(&producer, &letter, &letters.topic, State::Dropped).await?;
        }
        report.done(&letter, None)?;
    }
    Ok(())
}
