//! Transitions of every task: orders, the end, what wakes it next.

use events::SyncCounts;

use crate::{At, End, Limits, Order, Payload, Requests, State, Task};

use std::time::Duration;

/// How often a task that has ended looks whether its parent knows.
const HEARD_AGAIN: Duration = Duration::from_secs(5);

impl<P: Payload> Task<P> {
    /// A task that was cancelled before anybody asked for it: a request that comes later finds it ended.
    pub fn unborn(mut self, now: At) -> Self {
        let reason = Some("cancelled before it began".to_owned());
        self.state = State::Ended { end: End::Cancelled, reason, heard: true };
        (self.wake_at, self.updated_at) = (None, now);
        self
    }

    /// Does what it is told; answers whether that is anything new.
    pub fn order(&mut self, order: &Order, now: At) -> bool {
        let next = match (&self.state, order) {
            (State::Running | State::Paused { .. }, Order::Cancel) => {
                State::Cancelling { since: now }
            }
            (State::Running, Order::Pause(why)) => State::Paused { why: why.clone() },
            (State::Paused { .. }, Order::Resume) => {
                let failed = self.counts_so_far().failed();
                if let Requests::Children(children) = &mut self.requests {
                    (children.forgiven, children.run) = (failed, 0);
                }
                State::Running
            }
            (State::Ended { .. } | State::Cancelling { .. }, _)
            | (State::Running, Order::Resume)
            | (State::Paused { .. }, Order::Pause(_)) => return false,
        };
        self.state = next;
        self.untold = true;
        true
    }

    /// Something changed that all children must see: those that were opened are opened once more, at the end.
    pub fn go_round_again(&mut self, now: At, limits: &Limits) {
        let Requests::Children(children) = &mut self.requests else { return };
        if matches!(self.state, State::Ended { .. }) {
            let started = Self::parent(
                self.id.clone(),
                self.job_id.clone(),
                self.payload.clone(),
                now,
                limits,
            );
            let (opened, fence) = (children.opened, self.fence);
            *self = Self { fence, ..started };
            if let Requests::Children(children) = &mut self.requests {
                // The keys of the last round have tombstones.
                children.opened = opened;
            }
        } else {
            children.again = true;
        }
    }

    /// A cancelled parent opens nothing more: so many entities are not sent.
    pub(crate) fn give_up_rest(&mut self, rest: u64) {
        let Requests::Children(children) = &mut self.requests else { return };
        children.exhausted = true;
        children.expected = None;
        self.counts =
            self.counts.plus(SyncCounts { total: rest, not_sent: rest, ..SyncCounts::default() });
    }

    /// Ends the task where it is over, and says when somebody must look at it next.
    pub fn settle(&mut self, now: At, limits: &Limits) {
        self.settle_children(now, limits);
        self.settle_items(now);
        self.updated_at = now;
        self.wake_at = self.next_wake(now, limits);
    }

    /// Whoever asked knows the end: what is left is a tombstone.
    pub fn heard(&mut self, now: At) {
        if let State::Ended { heard, .. } = &mut self.state {
            *heard = true;
        }
        (self.wake_at, self.updated_at) = (None, now);
    }

    /// Whether the parent is to be told now: the end at once, all else not too often.
    pub fn tell_due(&mut self, now: At, limits: &Limits) -> bool {
        let due = self.has_ended() || now.since(self.told_at) >= limits.tell_every();
        if !self.untold || !due {
            return false;
        }
        (self.untold, self.told_at) = (false, now);
        self.wake_at = self.next_wake(now, limits);
        true
    }

    fn next_wake(&self, now: At, limits: &Limits) -> Option<At> {
        let mut wake = self.deadline_at;
        match &self.state {
            State::Ended { heard: true, .. } => return None,
            State::Ended { heard: false, .. } => return Some(now.plus(HEARD_AGAIN)),
            State::Cancelling { since } => {
                wake = wake.min(since.plus(Duration::from_secs(limits.cancel_seconds)));
            }
            State::Running | State::Paused { .. } => (),
        }
        if self.untold {
            wake = wake.min(self.told_at.plus(limits.tell_every()));
        }
        match &self.requests {
            Requests::Children(children) => {
                let silent = children.open.values().map(|it| it.expires_at).min();
                wake = silent.map_or(wake, |it| wake.min(it));
                wake = children.hold_again_at().map_or(wake, |it| wake.min(it));
                if self.state == State::Running && !children.exhausted {
                    let open_at = children.next_open_at.max(now.plus(limits.tell_every()));
                    wake = wake.min(open_at);
                }
            }
            Requests::Items(items) if self.is_cancelling() => wake = wake.min(items.quiet_at),
            Requests::Items(items) => wake = wake.min(items.look_at),
        }
        Some(wake)
    }
}
