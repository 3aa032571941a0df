//! Which records were handled, how often, and whether those of a key came in order.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use crate::{
    child::Measured,
    records::{Records, number_of},
};

/// Accounts for every record of a workload. It costs a few nanoseconds for each.
pub(crate) struct Ledger {
    records: Records,
    seen: Vec<AtomicU8>,
    /// The last record of each key: `2n + 1` while the record `n` is handled, `2n + 2` afterwards.
    keys: Vec<AtomicU32>,
    distinct: AtomicUsize,
    repeated: AtomicU64,
    wrong: AtomicU64,
    handling_nanos: AtomicU64,
    first: OnceLock<Instant>,
    last: OnceLock<Instant>,
    complete: Notify,
}

/// Whether a record came when it was due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Came {
    /// For the first time, after those before it of its key.
    InOrder,
    /// Once more.
    Again,
    /// Before or beside another one of its key, or it is none of the workload.
    Wrong,
}

impl Ledger {
    pub(crate) fn new(records: &Records) -> Self {
        Self {
            records: records.clone(),
            seen: (0..records.count).map(|_| AtomicU8::new(0)).collect(),
            keys: (0..records.keys).map(|_| AtomicU32::new(0)).collect(),
            distinct: AtomicUsize::new(0),
            repeated: AtomicU64::new(0),
            wrong: AtomicU64::new(0),
            handling_nanos: AtomicU64::new(0),
            first: OnceLock::new(),
            last: OnceLock::new(),
            complete: Notify::new(),
        }
    }

    /// A handler begins with the record that has this id.
    pub(crate) fn begin(&self, id: &str) -> (usize, Came) {
        self.first.get_or_init(Instant::now);
        let Some(number) = number_of(id).filter(|it| *it < self.seen.len()) else {
            self.wrong.fetch_add(1, Relaxed);
            return (0, Came::Wrong);
        };
        let key = &self.keys[self.records.key_of(number)];
        let before = key.swap(2 * number as u32 + 1, Relaxed);
        if self.seen[number].load(Relaxed) > 0 {
            self.repeated.fetch_add(1, Relaxed);
            return (number, Came::Again);
        }
        if before % 2 == 1 || before > 2 * number as u32 {
            self.wrong.fetch_add(1, Relaxed);
            return (number, Came::Wrong);
        }
        (number, Came::InOrder)
    }

    /// The handler has ended.
    pub(crate) fn end(&self, number: usize) {
        self.keys[self.records.key_of(number)].store(2 * number as u32 + 2, Relaxed);
        if self.seen[number].fetch_add(1, Relaxed) == 0
            && self.distinct.fetch_add(1, Relaxed) + 1 == self.seen.len()
        {
            self.last.get_or_init(Instant::now);
            self.complete.notify_one();
        }
    }

    /// So long was spent within a handler.
    pub(crate) fn spent(&self, time: Duration) {
        self.handling_nanos.fetch_add(time.as_nanos() as u64, Relaxed);
    }

    /// Returns once every record was handled.
    pub(crate) async fn complete(&self) {
        self.complete.notified().await;
    }

    /// When the first handler began.
    pub(crate) fn first(&self) -> Option<Instant> {
        self.first.get().copied()
    }

    /// What there is to tell.
    pub(crate) fn measured(&self) -> Measured {
        let ends = (self.first.get(), self.last.get());
        let seconds = match ends {
            (Some(first), Some(last)) => last.duration_since(*first).as_secs_f64(),
            (Some(_), None) | (None, Some(_) | None) => 0.0,
        };
        Measured {
            seconds,
            records: self.seen.len() as u64,
            handling_seconds: self.handling_nanos.load(Relaxed) as f64 / 1e9,
            lost: (self.seen.len() - self.distinct.load(Relaxed)) as u64,
            repeated: self.repeated.load(Relaxed),
            wrong: self.wrong.load(Relaxed),
            ..Measured::default()
        }
    }
}
