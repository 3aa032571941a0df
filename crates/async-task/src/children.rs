//! Requests that are tasks themselves, opened little by little.

use std::{collections::BTreeMap, time::Duration};

use events::{SyncCounts, SyncReply, SyncStatus};
use serde::{Deserialize, Serialize};

use crate::{At, Budget, End, Limits, Payload, Requests, State, Task, task::OVER_BUDGET};

/// How often a task with open requests says that it still has its part of the shared window.
const HOLD_AGAIN: Duration = Duration::from_secs(15);

/// The open children of a task, and where the next one begins.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Children {
    /// Those that have not ended.
    pub open: BTreeMap<String, Child>,
    /// The last key that was opened.
    pub cursor: Option<String>,
    /// How many were ever opened.
    pub opened: u32,
    /// Whether there is nothing more to open.
    pub exhausted: bool,
    /// Whether to begin from the first key again when all were opened: something changed meanwhile.
    pub again: bool,
    /// How many entities there are in all, once they were counted.
    pub expected: Option<u64>,
    /// Nothing is opened before this.
    pub next_open_at: At,
    /// When its part of the shared window was asked for last.
    #[serde(default)]
    pub held_at: At,
    /// How much it got then.
    #[serde(default)]
    pub held: u64,
    /// Failures since the last success.
    pub run: u64,
    /// Failures before the last resumption: they do not count for the budget any more.
    pub forgiven: u64,
    /// Why the task must fail: a child did.
    pub failed: Option<String>,
    /// Whether a child ended without having done everything.
    #[serde(default)]
    pub flawed: bool,
}

/// A child that has not ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Child {
    /// How many entities it is about; 0 where only it knows.
    pub size: u64,
    /// The key before its first entity.
    pub after: Option<String>,
    /// Its last entity.
    pub up_to: Option<String>,
    /// What it has told of them.
    pub counts: SyncCounts,
    /// Why it stands still.
    pub reason: Option<String>,
    /// It is asked again after this.
    pub expires_at: At,
}

/// A child to be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewChild {
    /// Its key; without one it gets the next number.
    pub key: Option<String>,
    /// How many entities it is about; 0 where only it will know.
    pub size: u64,
    /// The key before its first entity.
    pub after: Option<String>,
    /// Its last entity.
    pub up_to: Option<String>,
}

impl Child {
    /// How many of its entities have not ended.
    pub fn open(&self) -> u64 {
        match self.size {
            0 => 0,
            size => size.max(self.counts.total).saturating_sub(self.counts.settled()),
        }
    }
}

impl Children {
    /// How many entities of open children have not ended.
    pub fn open_items(&self) -> u64 {
        self.open.values().map(Child::open).sum()
    }

    /// Why nothing moves: what the first child says where all say something.
    pub(crate) fn standstill(&self) -> Option<String> {
        let mut reasons = self.open.values().map(|it| it.reason.as_ref());
        let first = reasons.next().flatten()?;
        reasons.all(|it| it.is_some()).then(|| first.clone())
    }

    /// How many entities may be opened beside those that are open, of a window of so many.
    pub(crate) fn room(&self, window: u64, limits: &Limits, now: At) -> u64 {
        let idle = self.exhausted || self.failed.is_some() || now < self.next_open_at;
        if idle || self.open.len() >= limits.children_max {
            return 0;
        }
        let room = window.saturating_sub(self.open_items());
        // Small bulks cost more than they bring, but one slow record does not hold back a whole one.
        let worth = window.min(limits.bulk_requests).div_ceil(2).max(1);
        if room >= worth { room.min(limits.bulk_requests) } else { 0 }
    }

    /// When its part of the shared window must be asked for again: who is silent for long loses it, and what it does not
    /// need any more is for others.
    pub(crate) fn hold_again_at(&self) -> Option<At> {
        (self.held > 0 || self.open_items() > 0).then(|| self.held_at.plus(HOLD_AGAIN))
    }

    pub(crate) fn must_hold(&self, now: At) -> bool {
        self.hold_again_at().is_some_and(|it| it <= now)
    }

    /// Opens a child; answers its key.
    pub(crate) fn open_child(
        &mut self,
        new: NewChild,
        rate_per_s: Option<u32>,
        expires_at: At,
        now: At,
    ) -> String {
        let key = new.key.unwrap_or_else(|| format!("{:06}", self.opened));
        self.opened += 1;
        if let Some(rate) = rate_per_s {
            let pause = Duration::from_secs(new.size).div_f64(f64::from(rate.max(1)));
            self.next_open_at = self.next_open_at.max(now).plus(pause);
        }
        if new.up_to.is_some() {
            self.cursor.clone_from(&new.up_to);
        }
        let child = Child {
            size: new.size,
            after: new.after,
            up_to: new.up_to,
            counts: SyncCounts::default(),
            reason: None,
            expires_at,
        };
        self.open.insert(key.clone(), child);
        key
    }

    /// Whether the child of this entity is still to be opened, for the first time or once more.
    pub fn will_open(&self, entity: &str) -> bool {
        let is_ahead = self.cursor.as_deref().is_none_or(|it| it < entity) && !self.exhausted;
        is_ahead || self.again
    }

    /// The children that have not ended and may be about this entity, by their keys.
    pub fn open_about<'a>(&'a self, entity: &'a str) -> impl Iterator<Item = &'a str> {
        let about = move |it: &Child| {
            let is_behind = it.after.as_deref().is_none_or(|it| it < entity);
            is_behind && it.up_to.as_deref().is_some_and(|it| entity <= it)
        };
        self.open.iter().filter(move |(_, it)| about(it)).map(|(key, _)| key.as_str())
    }

    /// Begins with the first key again, where that is due: when all were opened and have ended.
    pub(crate) fn begin_again(&mut self) {
        if self.again && self.exhausted && self.open.is_empty() {
            (self.again, self.exhausted, self.cursor) = (false, false, None);
        }
    }

    /// Counts what children tell; answers the ended ones' counts and whether anything is new.
    fn fold(&mut self, reply: &SyncReply, heard_until: At) -> Option<SyncCounts> {
        #[cfg(feature = "planted")]
        if crate::planted::is(crate::planted::Bug::ReplyFoldedTwice)
            && !self.open.contains_key(reply.request_id.key())
        {
            return Some(reply.counts);
        }
        let child = self.open.get_mut(reply.request_id.key())?;
        let (done, failed) = (child.counts.settled(), child.counts.failed());
        child.counts = child.counts.at_least(reply.counts);
        child.expires_at = heard_until;
        child.reason.clone_from(&reply.reason);
        let failed = child.counts.failed() - failed;
        match child.counts.settled() - done > failed {
            true => self.run = failed,
            false => self.run += failed,
        }
        match reply.status {
            SyncStatus::Running => return Some(SyncCounts::default()),
            SyncStatus::Failed => {
                let why = reply.reason.as_deref().unwrap_or("for no reason that it told");
                self.failed = Some(format!("{} failed: {why}", reply.request_id.key()));
            }
            SyncStatus::CompletedWithFailures | SyncStatus::Cancelled => self.flawed = true,
            SyncStatus::Completed => (),
        }
        self.open.remove(reply.request_id.key());
        Some(reply.counts)
    }

    /// Why the job must not go on like this.
    fn over_budget(&self, counts: SyncCounts, budget: &Budget) -> Option<String> {
        let (failed, ended) = (counts.failed().saturating_sub(self.forgiven), counts.settled());
        #[allow(clippy::cast_precision_loss, reason = "a share need not be exact")]
        let share = failed as f64 / ended.max(1) as f64;
        if failed > budget.count {
            return Some(format!("{failed} failures are more than {}", budget.count));
        }
        if ended >= budget.share_after && share > budget.share {
            return Some(format!("{failed} failures of {ended} are more than {}", budget.share));
        }
        (self.run > budget.run).then(|| format!("{} failures without a success", self.run))
    }
}

impl<P: Payload> Task<P> {
    /// Counts what children tell. What is repeated, too late or unknown changes nothing.
    pub fn fold_replies(&mut self, replies: &[SyncReply], now: At, limits: &Limits) -> bool {
        let Requests::Children(children) = &mut self.requests else { return false };
        if matches!(self.state, State::Ended { .. }) {
            return false;
        }
        let mut changed = false;
        for reply in replies {
            if let Some(ended) = children.fold(reply, now.plus(limits.ask_again())) {
                self.counts = self.counts.plus(ended);
                changed = true;
            }
        }
        if changed {
            self.untold = true;
            self.keep_to_budget(&limits.budget);
        }
        changed
    }

    fn keep_to_budget(&mut self, budget: &Budget) {
        let counts = self.counts_so_far();
        let Requests::Children(children) = &self.requests else { return };
        if self.state == State::Running
            && self.payload.keeps_to_budget()
            && let Some(why) = children.over_budget(counts, budget)
        {
            self.state = State::Paused { why: format!("{OVER_BUDGET}: {why}") };
        }
    }

    /// Children that have been silent for too long; they count as asked again now.
    pub fn silent_children(&mut self, now: At, limits: &Limits) -> Vec<String> {
        let Requests::Children(children) = &mut self.requests else { return Vec::new() };
        let silent = children.open.iter_mut().filter(|(_, it)| it.expires_at <= now);
        silent
            .map(|(key, child)| {
                child.expires_at = now.plus(limits.ask_again());
                key.clone()
            })
            .collect()
    }

    /// How the parent ends once nothing is open, and by its limits even where something is.
    pub(crate) fn settle_children(&mut self, now: At, limits: &Limits) {
        let Requests::Children(children) = &self.requests else { return };
        let nothing_open = children.open.is_empty();
        let failed = children.failed.clone();
        let open = self.counts_so_far();
        let counted = SyncCounts { total: open.settled(), ..open };
        let unknown = open.total.saturating_sub(open.settled());
        let given_up = SyncCounts { total: open.total, unknown: open.unknown + unknown, ..open };
        let (end, reason, counts) = match &self.state {
            State::Ended { .. } => return,
            _ if now >= self.deadline_at => {
                (End::Failed, Some("its time was over".to_owned()), given_up)
            }
            State::Cancelling { .. } if nothing_open => (End::Cancelled, None, counted),
            State::Cancelling { since }
                if now.since(*since) >= Duration::from_secs(limits.cancel_seconds) =>
            {
                let reason = "some of it did not answer any more".to_owned();
                (End::Cancelled, Some(reason), given_up)
            }
            State::Running | State::Paused { .. } if failed.is_some() && nothing_open => {
                (End::Failed, failed, counted)
            }
            State::Running | State::Paused { .. } if nothing_open && children.exhausted => {
                match children.flawed || counted.failed() > 0 {
                    false => (End::Completed, None, counted),
                    true => (End::CompletedWithFailures, None, counted),
                }
            }
            State::Running | State::Paused { .. } | State::Cancelling { .. } => return,
        };
        self.counts = counts;
        self.requests = Requests::Children(self.buried());
        self.state = State::Ended { end, reason, heard: false };
    }

    /// Whether it ended though children may go on, or may yet begin: they are not wanted any more.
    pub(crate) fn has_left_children(&self) -> bool {
        let State::Ended { end, .. } = &self.state else { return false };
        match end {
            End::Completed | End::CompletedWithFailures => false,
            End::Cancelled | End::Failed => self.children().is_some(),
        }
    }

    /// What of the children a tombstone keeps: how many there were, so that no key is used twice.
    fn buried(&self) -> Children {
        let opened = self.children().map_or(0, |it| it.opened);
        Children { opened, exhausted: true, ..Children::default() }
    }
}
