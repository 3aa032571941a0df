//! What a command says of what it does with each dead letter, and in the end.

use std::io::Write;

use anyhow::Result;
use eventbus::letters::{Letter, State};
use serde::Serialize;
use serde_json::json;

use crate::{Ending, shown::line};

/// How the words of a command go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Lines for people.
    People,
    /// JSON objects, one on each line.
    Json,
}

/// Whether anything is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It is done.
    Act,
    /// It is only said.
    DryRun,
}

/// Says what becomes of each dead letter, and counts.
pub(crate) struct Report<'a> {
    out: &'a mut dyn Write,
    form: Form,
    pub(crate) mode: Mode,
    /// What becomes of those that are not refused.
    target: State,
    done: u64,
    refused: u64,
}

/// What became of one dead letter.
#[derive(Serialize)]
struct Line<'a> {
    partition: i32,
    offset: i64,
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<&'a str>,
}

impl<'a> Report<'a> {
    pub(crate) fn new(out: &'a mut dyn Write, json: bool, dry_run: bool, target: State) -> Self {
        let form = if json { Form::Json } else { Form::People };
        let mode = if dry_run { Mode::DryRun } else { Mode::Act };
        Self { out, form, mode, target, done: 0, refused: 0 }
    }

    fn verb(&self) -> &'static str {
        match (self.mode, self.target) {
            (Mode::Act, target) => target.as_str(),
            (Mode::DryRun, State::Replayed) => "would replay",
            (Mode::DryRun, State::Dropped) => "would drop",
            (Mode::DryRun, State::Open) => "would leave",
        }
    }

    /// One that is done, or would be.
    pub(crate) fn done(&mut self, letter: &Letter, to: Option<&str>) -> Result<()> {
        self.done += 1;
        self.say(letter, to, None)
    }

    /// One that is left as it is, and why.
    pub(crate) fn refused(&mut self, letter: &Letter, why: &str) -> Result<()> {
        self.refused += 1;
        self.say(letter, None, Some(why))
    }

    fn say(&mut self, letter: &Letter, to: Option<&str>, refused: Option<&str>) -> Result<()> {
        let key = letter.key().map(line);
        let (partition, offset) = (letter.place.partition, letter.place.offset);
        match self.form {
            Form::Json => {
                let line = Line { partition, offset, key, to, refused };
                serde_json::to_writer(&mut *self.out, &line)?;
                writeln!(self.out)?;
            }
            Form::People => {
                let verb = if refused.is_some() { "refused" } else { self.verb() };
                let key = key.map_or_else(|| "no key".to_owned(), |it| format!("key {it}"));
                let to = to.map(|it| format!(" to {it}")).unwrap_or_default();
                let why = refused.map(|it| format!(": {it}")).unwrap_or_default();
                writeln!(self.out, "{verb} {} ({key}){to}{why}", letter.place)?;
            }
        }
        // Whoever watches sees how far it is.
        Ok(self.out.flush()?)
    }

    /// The last line; `outcome` tells whether all of them could be gone through.
    pub(crate) fn end(self, outcome: Result<()>) -> Result<Ending> {
        let (done, refused) = (self.done, self.refused);
        match self.form {
            Form::Json => {
                let mut summary = json!({"refused": refused, "dry_run": self.mode == Mode::DryRun});
                summary[self.target.as_str()] = json!(done);
                if let Err(error) = &outcome {
                    summary["error"] = json!(format!("{error:#}"));
                }
                writeln!(self.out, "{summary}")?;
            }
            Form::People => writeln!(self.out, "{} {done}, refused {refused}", self.verb())?,
        }
        outcome?;
        Ok(if refused > 0 { Ending::Refused } else { Ending::Well })
    }
}
