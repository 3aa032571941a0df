//! What waits and why: a look at the records of one key, for people who ask about it.

use std::sync::{Arc, Weak};

use jiff::Timestamp;
use tokio::time::Instant;

use super::{
    assigned::Assigned,
    handling::Tried,
    partition::{KeyState, Open, Tries},
    runners::Runners,
};

/// Most records of one key that are told.
const RECORDS_MAX: usize = 100;

/// A record that was taken from the broker and is not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingRecord {
    /// Where it came from.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
    /// Its place there.
    pub offset: i64,
    /// Its key.
    pub key: String,
    /// Since when it waits: its first attempt, or, where there was none, when it was written.
    pub since: Timestamp,
    /// How many attempts at it were made, one that is under way included.
    pub attempts: u32,
    /// What it waits for, in words.
    pub reason: String,
}

/// Looks at what consumers hold. Cheap to clone; it does not keep them alive.
#[derive(Clone)]
pub struct Inspector(Vec<Weak<Runners>>);

impl Inspector {
    pub(crate) fn of(runners: &Arc<Runners>) -> Self {
        Self(vec![Arc::downgrade(runners)])
    }

    pub(crate) fn and(self, other: Self) -> Self {
        Self([self.0, other.0].concat())
    }

    /// The records of `key` that are not done, in order within their topic; the first hundred of each. Records that
    /// are still at the broker, and those of partitions that others own, are not known here.
    pub fn waiting(&self, key: &str) -> Vec<WaitingRecord> {
        self.0.iter().filter_map(Weak::upgrade).flat_map(|it| waiting(&it, key)).collect()
    }
}

fn waiting(runners: &Runners, key: &str) -> Vec<WaitingRecord> {
    let stopped = runners.handling.guard().stopped().map(str::to_owned);
    let state = runners.state();
    let mut all = Vec::new();
    for (_, assigned) in state.dispatcher.partitions() {
        let Some((doing, records)) = assigned.records.of_key(key.as_bytes()) else { continue };
        let mut before = None;
        for open in records.iter().take(RECORDS_MAX) {
            let reason = match (open.record, before, &stopped) {
                (None, ..) => "it is being handled".to_owned(),
                (Some(_), Some(before), _) => format!("it stands behind offset {before}"),
                (Some(_), None, Some(why)) => format!("the consumer has stopped: {why}"),
                (Some(entry), None, None) => reason(assigned, doing, &entry.record),
            };
            all.push(WaitingRecord {
                topic: assigned.topic.to_string(),
                partition: assigned.partition,
                offset: open.offset,
                key: key.to_owned(),
                since: since(&open.tries),
                attempts: attempts(open),
                reason,
            });
            before = before.or(Some(open.offset));
        }
    }
    all
}

/// Why the first record of a key is not handled at this moment.
fn reason(assigned: &Assigned<Box<Tried>>, doing: KeyState, tried: &Tried) -> String {
    let failed = || tried.why.as_deref().map(|it| format!("its last attempt failed: {it}"));
    let turn = "it has not had its turn yet";
    let Some(registry) = assigned.registry() else { return "nobody handles its topic".to_owned() };
    let stopped = registry.destination.as_ref().and_then(|it| it.open_for());
    match doing {
        KeyState::Held => "too many records are ahead of one that is not done".to_owned(),
        KeyState::Ready | KeyState::Running if assigned.draining => {
            "its partition is being given back".to_owned()
        }
        KeyState::Ready | KeyState::Running => match stopped {
            Some(why) => format!("sending has stopped: {why}"),
            None => failed().unwrap_or_else(|| turn.to_owned()),
        },
        KeyState::Waiting => failed().unwrap_or_else(|| turn.to_owned()),
    }
}

fn attempts<R>(open: &Open<'_, R>) -> u32 {
    open.tries.ended + u32::from(open.record.is_none())
}

fn since(tries: &Tries) -> Timestamp {
    let now = Timestamp::now();
    let tried = tries.first_at.map(|it| now - Instant::now().saturating_duration_since(it));
    let written = || tries.written_ms.and_then(|it| Timestamp::from_millisecond(it).ok());
    tried.or_else(written).unwrap_or(now)
}
