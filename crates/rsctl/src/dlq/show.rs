//! `rsctl dlq show`.

use std::io::Write;

use anyhow::Result;
use eventbus::letters::Letter;

use super::{
    Selection,
    described::InFull,
    letters::{Letters, States},
};
use crate::{
    Ending,
    shown::{bare_table, hex, line, text},
};

/// How many bytes of a value that is no text are shown as hexadecimal beside what can be read of it.
const HEX_BYTES: usize = 64;

/// Everything about dead letters, headers and values included.
#[derive(clap::Args)]
pub struct Show {
    #[command(flatten)]
    selection: Selection,
    /// Also those that were replayed or dropped
    #[arg(long)]
    all: bool,
}

pub(crate) async fn run(options: &Show, out: &mut dyn Write) -> Result<Ending> {
    let selection = &options.selection;
    let letters = Letters::open(selection).await?;
    let states = if options.all { States::All } else { selection.states() };
    let mut read = letters.read(selection, states);
    let mut count = 0_usize;
    while let Some(letter) = read.next().await? {
        if selection.json {
            serde_json::to_writer(&mut *out, &InFull::of(&letter))?;
            writeln!(out)?;
        } else {
            if count > 0 {
                writeln!(out)?;
            }
            show(&letter, &letters.topic, out)?;
        }
        count += 1;
    }
    if count == 0 && !selection.json {
        writeln!(out, "no dead letters in {}", letters.topic)?;
    }
    Ok(Ending::Well)
}

fn show(letter: &Letter, topic: &str, out: &mut dyn Write) -> Result<()> {
    let state = letter.state().as_str();
    let at = letter.mark.and_then(|it| it.at).map(|it| format!(" at {it}")).unwrap_or_default();
    writeln!(out, "== {} of {topic}: {state}{at}", letter.place)?;
    let mut table = bare_table();
    table.add_row(["key".to_owned(), letter.key().map_or_else(|| "(none)".to_owned(), line)]);
    for header in &letter.headers {
        let value = header.value.as_deref().map_or_else(|| "(none)".to_owned(), line);
        table.add_row([line(header.name.as_bytes()), value]);
    }
    if letter.unreadable > 0 {
        let count = format!("{} more with names that are not UTF-8", letter.unreadable);
        table.add_row(["(headers)".to_owned(), count]);
    }
    writeln!(out, "{}", table.trim_fmt())?;
    let Some(value) = letter.value() else { return Ok(writeln!(out, "no value")?) };
    writeln!(out, "value of {} bytes:", value.len())?;
    if let Ok(json) = serde_json::from_slice::<serde_json::Value>(value) {
        return Ok(writeln!(out, "{}", text(serde_json::to_string_pretty(&json)?.as_bytes()))?);
    }
    writeln!(out, "{}", text(value))?;
    if std::str::from_utf8(value).is_err() {
        let (shown, more) = match value.get(..HEX_BYTES) {
            Some(begin) if begin.len() < value.len() => (begin, " …"),
            Some(_) | None => (value, ""),
        };
        writeln!(out, "which is no text; in hexadecimal {}{more}", hex(shown))?;
    }
    Ok(())
}
