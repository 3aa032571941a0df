//! How a record comes to the dispatcher: with its lane and the time at which it expires.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use tokio::time::Instant;

use super::{
    call::{Entry, Epoch},
    handling::Tried,
    runners::Runners,
};
use crate::{Lane, Record, registry::LaneOf};

/// What expires later is taken for this.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
/// By how much the clock of the day may be behind until then.
const MARGIN: Duration = Duration::from_millis(2);

/// Hands records of a partition to the dispatcher and sees to it that somebody works on them.
pub(crate) fn take(
    runners: &Arc<Runners>,
    epoch: Epoch,
    all: impl IntoIterator<Item = Box<Tried>>,
) {
    let now = Instant::now();
    let registered = runners.state().dispatcher.registered(epoch);
    // Where nothing holds records back, it is of no interest here when they expire.
    let may_wait = registered.as_ref().is_none_or(|it| it.registry.destination.is_some());
    // Before the lock is taken: the runners wait for it.
    let entries: Vec<Entry<Box<Tried>>> = all
        .into_iter()
        .map(|tried| {
            let record = &tried.record;
            let lane = registered.as_ref().map_or(Lane::Live, |it| lane(&it.registry.lane, record));
            let bytes = record.size();
            let expires_at = if may_wait { expiry(record) } else { None };
            Entry { lane, expires_at, bytes, alone: false, record: tried }
        })
        .collect();
    let mut state = runners.state();
    for entry in entries {
        state.dispatcher.take(epoch, entry.record.record.offset(), entry, now);
    }
    runners.rouse(&mut state, now);
}

/// A closure that panics says nothing.
fn lane(of: &LaneOf, record: &Record) -> Lane {
    catch_unwind(AssertUnwindSafe(|| of(record))).unwrap_or(Lane::Live)
}

/// When a record is not worth to be handled any more. What cannot be read is told when it is handled.
fn expiry(record: &Record) -> Option<Instant> {
    let at: Timestamp = record.header("ce_expiresat")?.parse().ok()?;
    let left = Duration::try_from(at.duration_since(Timestamp::now())).unwrap_or_default();
    // Read last, so that by the clock of its callback, too, the record has expired then.
    Some(Instant::now() + left.min(LONGEST) + MARGIN)
}
