//! Requests that are records, all sent at once.

use std::time::Duration;

use events::{AppliedReply, ReplyStatus};
use serde::{Deserialize, Serialize};

use crate::{At, End, Failure, Limits, Order, Payload, Requests, State, Task, task::STALLED};

/// How long after its expiry the answer to a copy may still be on its way.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);
/// How often a bulk that may not send looks whether it may.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// The records of a task that have not come to an end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Items {
    /// Those that nothing was heard of, in order.
    pub open: Vec<String>,
    /// Those whose copy came too late to be sent on.
    pub expired: Vec<String>,
    /// Whether copies were ever sent.
    pub sent: bool,
    /// No copy that was sent is answered after this.
    pub quiet_at: At,
    /// When to look again whether to send.
    pub look_at: At,
    /// Whether one has ended since the last copies were sent.
    pub progressed: bool,
    /// How often no copy was sent on in time; 0 while the task is not stalled.
    pub stalls: u32,
    /// The record whose copy is on its way alone, to find out whether others may follow.
    #[serde(default)]
    pub probe: Option<String>,
}

/// What a bulk must know of its parent before it sends anything again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parent {
    /// Whether records may be sent at all.
    pub paused: bool,
    /// Whether any of its children moves.
    pub moves: bool,
    /// Whether this bulk is its first open one, whose part it is to probe.
    pub first: bool,
}

/// What is to be sent again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Again {
    /// Nothing: copies are on their way, or none may be sent.
    Nothing,
    /// These, until this moment.
    Keys(Vec<String>, At),
}

impl Items {
    pub(crate) fn new(mut open: Vec<String>, expires_at: At) -> Self {
        open.sort_unstable();
        open.dedup();
        let mut items = Self { open, ..Self::default() };
        items.sending(expires_at);
        items
    }

    fn sending(&mut self, expires_at: At) {
        let quiet_at = expires_at.plus(ANSWER_LIMIT);
        (self.sent, self.progressed, self.quiet_at, self.look_at) =
            (true, false, quiet_at, quiet_at);
        self.probe = None;
    }

    /// Until when the copies are sent on that were sent last.
    pub(crate) fn expires_at(&self) -> At {
        At(self.quiet_at.0 - At(0).plus(ANSWER_LIMIT).0)
    }

    /// How many have not ended.
    pub fn len(&self) -> usize {
        self.open.len() + self.expired.len()
    }

    /// Whether all have ended.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn holds_open(&self, key: &str) -> bool {
        self.place(key).is_ok() || self.expired.iter().any(|it| it == key)
    }

    pub(crate) fn standstill(&self) -> Option<String> {
        let open = self.len();
        (self.stalls > 0)
            .then(|| format!("{STALLED}the backend took none of {open} records in time"))
    }

    fn place(&self, key: &str) -> Result<usize, usize> {
        self.open.binary_search_by(|it| it.as_str().cmp(key))
    }

    fn take(&mut self, key: &str) -> bool {
        if let Ok(place) = self.place(key) {
            self.open.remove(place);
            return true;
        }
        let before = self.expired.len();
        self.expired.retain(|it| it != key);
        self.expired.len() < before
    }

    fn note_expired(&mut self, key: &str) -> bool {
        let Ok(place) = self.place(key) else { return false };
        self.expired.push(self.open.remove(place));
        true
    }

    /// All that have not ended are to be sent again.
    fn reopen(&mut self) -> Vec<String> {
        self.open.append(&mut self.expired);
        self.open.sort_unstable();
        self.open.clone()
    }

    /// Only one of those that have not ended is to be sent again, another one each time.
    fn reopen_one(&mut self) -> Vec<String> {
        let key = match self.stalls as usize % self.len() {
            place if place < self.open.len() => self.open[place].clone(),
            place => self.expired.remove(place - self.open.len()),
        };
        if let Err(place) = self.place(&key) {
            self.open.insert(place, key.clone());
        }
        vec![key]
    }

    /// One has ended. All others follow at once where their copies expired before: where that was a probe, or none is
    /// on its way.
    fn progress(&mut self, key: &str, now: At) {
        self.progressed = true;
        if self.stalls == 0 {
            return;
        }
        self.stalls = 0;
        if self.probe.as_deref().is_none_or(|it| it == key) {
            (self.look_at, self.quiet_at) = (now, now.min(self.quiet_at));
        }
    }
}

impl<P: Payload> Task<P> {
    /// Counts how records ended; answers the failures, and whether anything has changed.
    pub fn fold_results(&mut self, results: &[AppliedReply], now: At) -> (bool, Vec<Failure>) {
        let (job_id, task_id) = (self.job_id.clone(), self.id.clone());
        let Requests::Items(items) = &mut self.requests else { return (false, Vec::new()) };
        if matches!(self.state, State::Ended { .. }) {
            return (false, Vec::new());
        }
        let (mut changed, mut failures) = (false, Vec::new());
        for result in results {
            let key = result.request_id.key();
            let count = match result.status {
                // Neither success nor failure: it is sent again.
                ReplyStatus::Expired => {
                    changed |= items.note_expired(key);
                    continue;
                }
                ReplyStatus::Applied => &mut self.counts.applied,
                ReplyStatus::Unchanged => &mut self.counts.unchanged,
                ReplyStatus::Superseded => &mut self.counts.superseded,
                ReplyStatus::NotSent => &mut self.counts.not_sent,
                ReplyStatus::Rejected => &mut self.counts.rejected,
            };
            let is_open = items.take(key);
            #[cfg(feature = "planted")]
            let is_open = is_open || crate::planted::is(crate::planted::Bug::ResultFoldedTwice);
            if !is_open {
                continue;
            }
            *count += 1;
            changed = true;
            items.progress(key, now);
            if result.status == ReplyStatus::Rejected {
                failures.push(Failure::rejected(&job_id, &task_id, result, now));
            }
        }
        self.untold |= changed;
        (changed, failures)
    }

    /// Counts records that turned out to have nothing to send, and those that cannot be sent.
    pub fn fold_unsent(&mut self, gone: &[String], failures: &[Failure], now: At) -> bool {
        let Requests::Items(items) = &mut self.requests else { return false };
        let mut taken = |key: &str| {
            let taken = items.take(key);
            if taken {
                items.progress(key, now);
            }
            taken
        };
        let gone = gone.iter().filter(|it| taken(it)).count() as u64;
        let rejected = failures.iter().filter(|it| taken(&it.key)).count() as u64;
        if gone + rejected == 0 {
            return false;
        }
        self.counts.gone += gone;
        self.counts.rejected += rejected;
        self.untold = true;
        true
    }

    /// Nothing was sent yet: the parent stands still or ends, or there is nothing to send at all.
    pub(crate) fn begin_unsent(&mut self, order: Option<&Order>, now: At) -> (bool, Vec<Failure>) {
        let Requests::Items(items) = &mut self.requests else { return (false, Vec::new()) };
        if !items.is_empty() {
            (items.sent, items.quiet_at, items.look_at) = (false, now, now.plus(LOOK_AGAIN));
        }
        if order == Some(&Order::Cancel) {
            self.order(&Order::Cancel, now);
        }
        self.untold = true;
        (true, Vec::new())
    }

    /// Copies of these were sent just now.
    pub(crate) fn note_copies(&mut self, keys: &[String], expires_at: At) {
        let Requests::Items(items) = &mut self.requests else { return };
        if !keys.is_empty() {
            items.quiet_at = items.quiet_at.max(expires_at.plus(ANSWER_LIMIT));
            items.look_at = items.look_at.max(items.quiet_at);
            (items.progressed, items.stalls) = (true, 0);
        }
    }

    /// What is to be sent again now. Never anything whose last copy has not expired; where none of the copies was sent
    /// on in time, one record of the first bulk probes for all.
    pub(crate) fn send_again(&mut self, parent: Parent, now: At, limits: &Limits) -> Again {
        let Requests::Items(items) = &mut self.requests else { return Again::Nothing };
        let over = self.state != State::Running || now >= self.deadline_at;
        if over || items.is_empty() || now < items.look_at {
            return Again::Nothing;
        }
        if parent.paused {
            items.look_at = now.plus(LOOK_AGAIN);
            return Again::Nothing;
        }
        let moves = items.progressed || !items.sent || (items.stalls > 0 && parent.moves);
        let keys = if moves {
            items.stalls = 0;
            items.reopen()
        } else {
            items.stalls += 1;
            self.untold = true;
            if !parent.first {
                items.look_at = now.plus(LOOK_AGAIN);
                return Again::Nothing;
            }
            items.reopen_one()
        };
        let expires_at = now.plus(limits.record());
        items.sending(expires_at);
        items.probe = (items.stalls > 0).then(|| keys[0].clone());
        Again::Keys(keys, expires_at)
    }

    /// How the bulk ends once nothing is open, and by its limits even where something is.
    pub(crate) fn settle_items(&mut self, now: At) {
        let (late, cancelling) = (now >= self.deadline_at, self.is_cancelling());
        let Requests::Items(items) = &mut self.requests else { return };
        let over = items.is_empty() || late || (cancelling && now >= items.quiet_at);
        if matches!(self.state, State::Ended { .. }) || !over {
            return;
        }
        let (expired, silent) = (items.expired.len() as u64, items.open.len() as u64);
        match items.sent {
            true => self.counts.unknown += silent,
            false => self.counts.not_sent += silent,
        }
        self.counts.not_sent += expired;
        let unfinished = !items.is_empty();
        *items = Items::default();
        let (end, reason) = match (cancelling, self.counts.failed()) {
            (true, _) => (End::Cancelled, None),
            (false, _) if unfinished => {
                (End::CompletedWithFailures, Some("its time was over".to_owned()))
            }
            (false, 0) => (End::Completed, None),
            (false, _) => (End::CompletedWithFailures, None),
        };
        self.state = State::Ended { end, reason, heard: false };
    }
}
