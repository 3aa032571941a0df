//! `rsctl dlq list`.

use std::io::Write;

use anyhow::Result;
use eventbus::{dlq_headers as names, letters::Letter};
use jiff::{RoundMode, TimestampRound, Unit};

use super::{
    Selection,
    described::{Described, EVENT_TYPE},
    letters::{Letters, States},
};
use crate::{
    Ending,
    shown::{cut, line, table},
};

/// How much of an error a line shows, in characters.
const ERROR_CHARACTERS: usize = 80;

const COLUMNS: [&str; 7] =
    ["partition/offset", "failed first at", "key", "event", "cause", "attempts", "error"];

/// One line for each dead letter.
#[derive(clap::Args)]
pub struct List {
    #[command(flatten)]
    selection: Selection,
    /// Also those that were replayed or dropped
    #[arg(long)]
    all: bool,
}

pub(crate) async fn run(options: &List, out: &mut dyn Write) -> Result<Ending> {
    let selection = &options.selection;
    let letters = Letters::open(selection).await?;
    let states = if options.all { States::All } else { selection.states() };
    let mut read = letters.read(selection, states);
    let mut table = table();
    let state = (states == States::All).then_some("state");
    table.set_header(COLUMNS.iter().copied().chain(state));
    let mut count = 0_usize;
    while let Some(letter) = read.next().await? {
        count += 1;
        if selection.json {
            serde_json::to_writer(&mut *out, &Described::of(&letter))?;
            writeln!(out)?;
            continue;
        }
        let mut row = row(&letter).to_vec();
        if states == States::All {
            row.push(letter.state().as_str().to_owned());
        }
        table.add_row(row);
    }
    match (selection.json, count) {
        (true, _) => (),
        (false, 0) => writeln!(out, "no dead letters in {}", letters.topic)?,
        (false, _) => writeln!(out, "{table}\n{count} in {}", letters.topic)?,
    }
    Ok(Ending::Well)
}

fn row(letter: &Letter) -> [String; COLUMNS.len()] {
    let header = |name| letter.header(name).map(line).unwrap_or_default();
    let seconds = TimestampRound::new().smallest(Unit::Second).mode(RoundMode::Trunc);
    let failed_at = letter.failed_at().map(|it| it.round(seconds).unwrap_or(it).to_string());
    [
        letter.place.to_string(),
        failed_at.unwrap_or_default(),
        letter.key().map(line).unwrap_or_default(),
        header(EVENT_TYPE),
        header(names::CAUSE),
        header(names::ATTEMPTS),
        cut(header(names::ERROR), ERROR_CHARACTERS),
    ]
}
