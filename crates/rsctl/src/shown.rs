//! How answers are written: tables, times, lines of JSON, and texts of strangers made harmless.

use std::io::Write;

use anyhow::Result;
use comfy_table::{Table, presets};
use jiff::{RoundMode, Timestamp, TimestampRound, Unit};
use serde::Serialize;

/// How the answer is written.
#[derive(clap::Args)]
pub(crate) struct Form {
    /// Write JSON, one object on each line
    #[arg(long)]
    pub(crate) json: bool,
}

/// A value as a line of JSON.
pub(crate) fn json_line(out: &mut dyn Write, value: &impl Serialize) -> Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    writeln!(out)?;
    // Whoever reads along sees it now.
    Ok(out.flush()?)
}

pub(crate) fn to_the_second(time: Timestamp) -> String {
    let seconds = TimestampRound::new().smallest(Unit::Second).mode(RoundMode::Trunc);
    time.round(seconds).unwrap_or(time).to_string()
}

/// A table without lines between its rows.
pub(crate) fn table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table
}

/// A table of names and values without any lines.
pub(crate) fn bare_table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table
}

/// One line of text from bytes of anybody: a terminal obeys none of it.
pub(crate) fn line(bytes: &[u8]) -> String {
    harmless(bytes, |_| false)
}

/// Text of several lines from bytes of anybody.
pub(crate) fn text(bytes: &[u8]) -> String {
    harmless(bytes, |it| matches!(it, '\n' | '\t'))
}

fn harmless(bytes: &[u8], kept: impl Fn(char) -> bool) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.chars().map(|it| if it.is_control() && !kept(it) { '\u{fffd}' } else { it }).collect()
}

/// The beginning of a text that is longer than `characters`.
pub(crate) fn cut(text: String, characters: usize) -> String {
    match text.char_indices().nth(characters) {
        None => text,
        Some((at, _)) => format!("{}…", &text[..at]),
    }
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|it| format!("{it:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_strangers_is_cut_and_obeyed_by_no_terminal() {
        assert_eq!(line(b"a\x1b[2Jb\nc\xff"), "a\u{fffd}[2Jb\u{fffd}c\u{fffd}");
        assert_eq!(text(b"{\n\t\x07}"), "{\n\t\u{fffd}}");
        assert_eq!(cut("é".repeat(3), 2), "éé…");
        assert_eq!(cut("é".repeat(2), 2), "éé");
    }
}
