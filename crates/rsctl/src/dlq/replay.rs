//! `rsctl dlq replay`.
//!
//! Replaying is harmless where something newer was handled since, because every receiver compares revisions. It
//! does so for as long as it remembers deletions, and what failed before that is refused.

use std::io::Write;

use anyhow::Result;
use eventbus::{
    dlq_headers as names,
    letters::{Letter, State},
};
use jiff::{SignedDuration, Timestamp};
use rdkafka::message::{Header, OwnedHeaders};

use super::{
    Selection,
    letters::Letters,
    report::{Mode, Report},
    writing::{mark, publish},
};
use crate::Ending;

/// Publish dead letters again to where they came from, in their order.
#[derive(clap::Args)]
pub struct Replay {
    #[command(flatten)]
    selection: Selection,
    /// For how many days the services remember deletions; what failed before that, less a day, is refused
    #[arg(long, value_name = "DAYS", default_value_t = 60, value_parser = clap::value_parser!(u16).range(2..))]
    tombstone_days: u16,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
}

pub(crate) async fn run(options: &Replay, out: &mut dyn Write) -> Result<Ending> {
    let selection = &options.selection;
    let letters = Letters::open(selection).await?;
    let mut report = Report::new(out, selection.json, options.dry_run, State::Replayed);
    let outcome = replay(options, &letters, &mut report).await;
    report.end(outcome)
}

async fn replay(options: &Replay, letters: &Letters, report: &mut Report<'_>) -> Result<()> {
    let selection = &options.selection;
    let producer = selection.broker.producer()?;
    let mut read = letters.read(selection, selection.states());
    // Each is acknowledged before the next one is sent: that keeps the order of every key.
    while let Some(letter) = read.next().await? {
        let wanted = match wanted(&letter, letters, options.tombstone_days) {
            Ok(wanted) => wanted,
            Err(why) => {
                report.refused(&letter, &why)?;
                continue;
            }
        };
        if report.mode == Mode::DryRun {
            report.done(&letter, Some(&wanted.topic))?;
            continue;
        }
        let headers = headers(&letter, &letters.topic);
        let to = publish(&producer, &letter, &wanted.topic, wanted.partition, headers).await?;
        let Some(to) = to else {
            report.refused(&letter, &format!("it is too large for `{}`", wanted.topic))?;
            continue;
        };
        mark(&producer, &letter, &letters.topic, State::Replayed).await?;
        report.done(&letter, Some(&to))?;
    }
    Ok(())
}

/// Where a record goes.
struct Wanted {
    topic: String,
    /// `None`: its key chooses.
    partition: Option<i32>,
}

/// Where the record goes, or why it goes nowhere.
fn wanted(letter: &Letter, letters: &Letters, tombstone_days: u16) -> Result<Wanted, String> {
    if let Some(mark) = letter.mark {
        let at = mark.at.map(|it| format!(" at {it}")).unwrap_or_default();
        return Err(format!("it was {} already{at}", mark.state.as_str()));
    }
    let Some(topic) = letter.text(names::TOPIC) else {
        return Err(format!("it has no header {}: the bus did not write it", names::TOPIC));
    };
    let Some(failed_at) = letter.failed_at() else {
        return Err(format!("its header {} is no time: its age is unknown", names::FAILED_AT));
    };
    let oldest =
        Timestamp::now() - SignedDuration::from_hours((i64::from(tombstone_days) - 1) * 24);
    if failed_at < oldest {
        return Err(format!(
            "it failed first at {failed_at}: deletions since then may be forgotten"
        ));
    }
    if let (None, Some(bytes)) = (letter.value(), letter.text(names::VALUE_BYTES)) {
        return Err(format!("its value of {bytes} bytes was not kept"));
    }
    if letter.unreadable > 0 {
        return Err("it has a header whose name is not UTF-8".to_owned());
    }
    let Some(partitions) = letters.topics.get(&topic).copied() else {
        return Err(format!("the broker has no topic `{topic}`"));
    };
    // Where no key chooses, order is that of the partition.
    let partition = match letter.key() {
        Some(key) if !key.is_empty() => None,
        Some(_) | None => letter.number(names::PARTITION).filter(|it| (0..partitions).contains(it)),
    };
    Ok(Wanted { topic, partition })
}

/// The record's own headers, and those that tell where it has been.
fn headers(letter: &Letter, topic: &str) -> OwnedHeaders {
    let kept = letter.headers.iter();
    let kept = kept.filter(|it| !it.name.starts_with(names::PREFIX) || it.name == names::FAILED_AT);
    let headers = kept.fold(OwnedHeaders::new(), |all, it| {
        all.insert(Header { key: &it.name, value: it.value.as_deref() })
    });
    let (now, from) = (Timestamp::now().to_string(), format!("{topic}/{}", letter.place));
    headers
        .insert(Header { key: names::REPLAYED_AT, value: Some(&now) })
        .insert(Header { key: names::REPLAYED_FROM, value: Some(&from) })
}
