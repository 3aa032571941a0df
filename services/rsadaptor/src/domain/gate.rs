//! The gate in front of the backend: what an answer means for the record that asked and for all others.
//!
//! A state machine without a clock: every call says what time it is. Keys are device ids; records of one key are
//! handled one at a time, so two calls under different keys are calls of different records.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use hs_admin::Answer;

use super::{Attempt, recent::Recent};

/// From so many remembered keys on, those that have not been heard of for long are forgotten.
const KEYS_TIDIED_FROM: usize = 10_000;
/// How long a key is remembered then.
const KEYS_KEPT: Duration = Duration::from_secs(3_600);

/// What an operator may choose of the gate.
#[derive(Clone, Copy, Debug)]
pub struct GateLimits {
    /// How often a closed gate lets one record try.
    pub probe_interval: Duration,
    /// How long a record may be early before it is rejected.
    pub early: Duration,
    /// How often the backend's status may make a failure count.
    pub status_counts_every: Duration,
}

/// Whether calls go out, and what is remembered of those that did.
#[derive(Debug)]
pub struct Gate {
    limits: GateLimits,
    state: State,
    /// Calls that began or ended.
    tried: Recent,
    /// Calls that ended with a 2xx, by their end.
    succeeded: Recent,
    /// Calls that ended with a 2xx, by their beginning: what began after a failure was not under way with it.
    succeeded_begin: Recent,
    status_asked_at: Option<Instant>,
    /// Since when a record is early.
    early: HashMap<String, Instant>,
    /// When a record was last told that we are misconfigured.
    refused: HashMap<String, Instant>,
}

#[derive(Debug)]
enum State {
    Open,
    Closed(Closed),
}

#[derive(Debug)]
struct Closed {
    detail: String,
    next_probe_at: Instant,
    probe_under_way: bool,
    /// Who has probed in this round.
    probed: HashSet<String>,
    /// Who waits, and when it last asked.
    waiting: HashMap<String, Instant>,
}

/// The right to make one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    key: String,
    began: Instant,
    probe: bool,
}

/// Whether a record may call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It may; what it hears goes to [`Gate::heard`].
    Call(Ticket),
    /// Not now.
    Wait(WaitReason),
}

/// What an answer means for the record that asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The backend did it.
    Done {
        /// What it answered.
        http_status: u16,
    },
    /// A dry run.
    NotSent,
    /// The backend has something newer.
    Superseded,
    /// The record is wrong.
    Rejected {
        /// What the backend answered.
        http_status: Option<u16>,
        /// Why.
        reason: String,
    },
    /// The record waits.
    Wait(WaitReason),
}

/// Why a record waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WaitReason {
    /// The backend is in trouble.
    Trouble {
        /// Whether the record may be at fault.
        counts: Counts,
        /// What the backend answered.
        http_status: Option<u16>,
        /// How long the backend wants to be left alone.
        retry_after: Option<Duration>,
        /// What went wrong.
        detail: String,
    },
    /// What the record refers to is not there yet.
    Early {
        /// How long it may still wait.
        left: Duration,
        /// What went wrong.
        detail: String,
    },
    /// Nothing is sent until a probe succeeds.
    Closed {
        /// When to ask again.
        after: Duration,
        /// What went wrong.
        detail: String,
    },
}

/// Whether a failure counts towards the record's limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counts {
    /// Another record got through meanwhile.
    Yes,
    /// Nobody got through, or it cannot be told.
    No,
    /// Nobody else tried: it counts if the backend says now that it is well.
    IfStatusIsWell,
}

/// What a verdict has changed for all records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing is sent any more, except probes.
    Closed,
    /// Calls go out again.
    Opened,
}

impl Gate {
    /// An open gate.
    pub fn new(limits: GateLimits) -> Self {
        Self {
            limits,
            state: State::Open,
            tried: Recent::default(),
            succeeded: Recent::default(),
            succeeded_begin: Recent::default(),
            status_asked_at: None,
            early: HashMap::new(),
            refused: HashMap::new(),
        }
    }

    /// Why the gate is closed, if it is.
    pub fn closed_for(&self) -> Option<&str> {
        match &self.state {
            State::Open => None,
            State::Closed(closed) => Some(&closed.detail),
        }
    }

    /// Whether a record would be let through now, without letting it through.
    pub fn look(&mut self, key: &str, now: Instant) -> Option<WaitReason> {
        match &mut self.state {
            State::Open => None,
            State::Closed(closed) => closed.look(key, now, self.limits.probe_interval),
        }
    }

    /// Lets a record call, or not.
    pub fn admit(&mut self, key: &str, now: Instant) -> Admission {
        if let Some(reason) = self.look(key, now) {
            return Admission::Wait(reason);
        }
        let probe = match &mut self.state {
            State::Open => false,
            State::Closed(closed) => {
                closed.begin_probe(key);
                true
            }
        };
        self.tried.note(key, now);
        Admission::Call(Ticket { key: key.to_owned(), began: now, probe })
    }

    /// A call that was begun ends without an answer.
    pub fn abandon(&mut self, ticket: &Ticket) {
        if let (State::Closed(closed), true) = (&mut self.state, ticket.probe) {
            closed.probe_under_way = false;
        }
    }

    /// Says what an answer means.
    pub fn heard(
        &mut self,
        ticket: &Ticket,
        answer: &Answer,
        attempt: &Attempt,
        now: Instant,
    ) -> (Verdict, Option<Change>) {
        let key = ticket.key.as_str();
        self.tried.note(key, now);
        let verdict = match answer {
            Answer::Done { http_status } => {
                self.succeeded.note(key, now);
                self.succeeded_begin.note(key, ticket.began);
                Verdict::Done { http_status: *http_status }
            }
            Answer::NotSent => Verdict::NotSent,
            Answer::Stale => Verdict::Superseded,
            Answer::Wrong { http_status, detail } => {
                Verdict::Rejected { http_status: Some(*http_status), reason: detail.clone() }
            }
            Answer::Early { http_status, detail } => {
                self.early(key, *http_status, detail, attempt, now)
            }
            Answer::Trouble { http_status, retry_after, detail } => {
                self.still_closed(ticket, now);
                let (http_status, retry_after) = (*http_status, *retry_after);
                let (counts, detail) = (self.counts(key, attempt, now), detail.clone());
                return (
                    Verdict::Wait(WaitReason::Trouble { counts, http_status, retry_after, detail }),
                    None,
                );
            }
            Answer::Misconfigured { http_status, detail } => {
                return self.misconfigured(ticket, (*http_status, detail), attempt, now);
            }
        };
        let opens = ticket.probe && self.closed_for().is_some();
        if opens {
            self.state = State::Open;
        }
        (verdict, opens.then_some(Change::Opened))
    }

    fn early(
        &mut self,
        key: &str,
        http_status: u16,
        detail: &str,
        attempt: &Attempt,
        now: Instant,
    ) -> Verdict {
        tidy(&mut self.early, now);
        // What is remembered of the key may be another record's.
        let since = self.early.get(key).copied().filter(|it| *it >= attempt.first_attempt_at);
        let since = since.unwrap_or(now);
        self.early.insert(key.to_owned(), since);
        let left = self.limits.early.saturating_sub(now - since);
        if left.is_zero() {
            self.early.remove(key);
            return Verdict::Rejected { http_status: Some(http_status), reason: detail.to_owned() };
        }
        Verdict::Wait(WaitReason::Early { left, detail: detail.to_owned() })
    }

    fn counts(&mut self, key: &str, attempt: &Attempt, now: Instant) -> Counts {
        let since = attempt.previous_failure_at.unwrap_or(attempt.first_attempt_at);
        if self.succeeded.to_another_since(key, since) {
            return Counts::Yes;
        }
        if self.tried.to_another_since(key, since) {
            return Counts::No;
        }
        let every = self.limits.status_counts_every;
        if self.status_asked_at.is_some_and(|it| now - it < every) {
            return Counts::No;
        }
        self.status_asked_at = Some(now);
        Counts::IfStatusIsWell
    }

    /// A probe that brought no news: the next one has to wait.
    fn still_closed(&mut self, ticket: &Ticket, now: Instant) {
        let next_probe_at = now + self.limits.probe_interval;
        if let (State::Closed(closed), true) = (&mut self.state, ticket.probe) {
            closed.probe_under_way = false;
            closed.next_probe_at = next_probe_at;
        }
    }

    fn misconfigured(
        &mut self,
        ticket: &Ticket,
        (http_status, detail): (Option<u16>, &str),
        attempt: &Attempt,
        now: Instant,
    ) -> (Verdict, Option<Change>) {
        let key = ticket.key.as_str();
        let interval = self.limits.probe_interval;
        self.still_closed(ticket, now);
        tidy(&mut self.refused, now);
        let before = self.refused.insert(key.to_owned(), now);
        let before = before.filter(|it| *it >= attempt.first_attempt_at);
        // Another one got through between two failures of this one: it may not be us, but this record. It may also
        // be that all are refused once more, so once is not enough to tell.
        let alone = before.is_some_and(|it| self.succeeded_begin.to_another_since(key, it));
        if alone && self.closed_for().is_none() {
            let (counts, retry_after, detail) = (Counts::Yes, None, detail.to_owned());
            let failed = WaitReason::Trouble { counts, http_status, retry_after, detail };
            return (Verdict::Wait(failed), None);
        }
        let change = match &mut self.state {
            State::Closed(closed) => {
                closed.waiting.insert(key.to_owned(), now);
                None
            }
            State::Open => {
                let answer = http_status.map_or_else(String::new, |it| format!("{it}: "));
                let mut closed = Closed::new(format!("{answer}{detail}"), now + interval);
                closed.probed.insert(key.to_owned());
                closed.waiting.insert(key.to_owned(), now);
                self.state = State::Closed(closed);
                Some(Change::Closed)
            }
        };
        let detail = detail.to_owned();
        (Verdict::Wait(WaitReason::Closed { after: interval, detail }), change)
    }
}

impl Closed {
    fn new(detail: String, next_probe_at: Instant) -> Self {
        Self {
            detail,
            next_probe_at,
            probe_under_way: false,
            probed: HashSet::new(),
            waiting: HashMap::new(),
        }
    }

    fn look(&mut self, key: &str, now: Instant, interval: Duration) -> Option<WaitReason> {
        self.waiting.insert(key.to_owned(), now);
        let until_probe = self.next_probe_at.saturating_duration_since(now);
        let after = if !until_probe.is_zero() {
            until_probe
        } else if self.probe_under_way || self.somebody_else_is_next(key, now, interval) {
            interval / 2
        } else {
            return None;
        };
        Some(WaitReason::Closed { after, detail: self.detail.clone() })
    }

    /// Whether this record has probed in this round and one that waits has not.
    fn somebody_else_is_next(&mut self, key: &str, now: Instant, interval: Duration) -> bool {
        if !self.probed.contains(key) {
            return false;
        }
        // Whoever has not asked for so long has left: it went to another process.
        let asked_lately = |at: &Instant| now - *at < interval * 3;
        self.waiting.retain(|_, at| asked_lately(at));
        self.waiting.keys().any(|it| !self.probed.contains(it))
    }

    fn begin_probe(&mut self, key: &str) {
        if self.probed.contains(key) {
            self.probed.clear();
        }
        self.probed.insert(key.to_owned());
        self.probe_under_way = true;
    }
}

fn tidy(keys: &mut HashMap<String, Instant>, now: Instant) {
    if keys.len() >= KEYS_TIDIED_FROM {
        keys.retain(|_, at| now - *at < KEYS_KEPT);
    }
}

#[cfg(test)]
#[path = "gate_tests.rs"]
mod tests;
