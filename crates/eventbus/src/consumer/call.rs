//! What passes between the dispatcher and those who ask it: records, calls of callbacks, and how they ended.

use std::{sync::Arc, time::Duration};

use smallvec::SmallVec;
use tokio::time::Instant;

use super::{
    assigned::Assigned,
    partition::{KeyId, Keyed, Seq, Tries},
};
use crate::{Lane, destination::Pass, registry::Registered};

/// Nobody waits longer, whatever a callback asks for.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// What belongs to the records of one call: mostly one.
pub(crate) type Few<T> = SmallVec<[T; 1]>;

/// Names one assignment of one partition; what belongs to an earlier one is dropped.
pub(crate) type Epoch = u64;

/// Names one call.
pub(crate) type CallId = u64;

/// What bounds a dispatcher.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Most calls at a time.
    pub(crate) in_flight_max: usize,
    /// Most records of a partition that are started before the first one that is not done.
    pub(crate) ahead_max: usize,
    /// Most records of a partition that are held.
    pub(crate) window_max: usize,
    /// Most bytes that are held, over all partitions.
    pub(crate) bytes_max: usize,
    /// A sync record starts after so many live ones while both are ready.
    pub(crate) sync_every: u32,
}

impl Limits {
    /// How many records of a partition a call may start that starts one.
    pub(crate) fn room<R: Keyed>(&self, assigned: &Assigned<R>) -> usize {
        self.ahead_max.saturating_sub(assigned.records.ahead()).max(1)
    }
}

/// A record as the dispatcher holds it.
pub(crate) struct Entry<R> {
    pub(crate) lane: Lane,
    pub(crate) expires_at: Option<Instant>,
    pub(crate) bytes: usize,
    /// It was in a batch that failed as a whole: it goes by itself, so that it is seen which of them was at fault.
    pub(crate) alone: bool,
    pub(crate) record: R,
}

impl<R> Entry<R> {
    pub(crate) fn has_expired(&self, now: Instant) -> bool {
        self.expires_at.is_some_and(|it| it <= now)
    }

    /// When it is tried again after it has failed: when it has waited for so long, or when it expires, since then it
    /// comes to its end.
    pub(crate) fn due(&self, now: Instant, after: Duration) -> Instant {
        let due = now + after.min(LONGEST_WAIT);
        self.expires_at.filter(|it| *it > now).map_or(due, |it| it.min(due))
    }
}

/// Where a record that runs belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) epoch: Epoch,
    pub(crate) key: KeyId,
    pub(crate) seq: Seq,
}

/// Records for one call of a callback.
pub(crate) struct Call<R> {
    pub(crate) id: CallId,
    pub(crate) registered: Arc<Registered>,
    pub(crate) places: Few<Place>,
    pub(crate) entries: Few<Entry<R>>,
    /// The right to call the destination; it is given back with the call.
    pub(crate) pass: Option<Pass>,
}

/// How an attempt at a record ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Its offset may be committed.
    Done,
    /// It waits.
    Retry {
        /// How long.
        after: Duration,
    },
    /// It stays in front of its key, as if nothing had been tried: it was broken off, kept back, or stood behind another
    /// one of its batch that is not done.
    Untouched,
}

/// What the consumer's thread may have to do after a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Aftermath {
    /// A partition that was full has room again.
    pub(crate) room: bool,
    /// A partition that is to be given back has come to rest.
    pub(crate) drained: bool,
    /// A record waits until then.
    pub(crate) due: Option<Instant>,
}

impl<R: Keyed> Keyed for Entry<R> {
    fn key(&self) -> Option<&[u8]> {
        self.record.key()
    }

    fn is_urgent(&self) -> bool {
        self.lane == Lane::Live
    }

    fn tries(&self) -> Tries {
        self.record.tries()
    }
}
