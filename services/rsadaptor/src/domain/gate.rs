//! What an answer of the backend means for the record that asked.
//!
//! Without a clock: every call says what time it is. Keys are device ids; records of one key are handled one at a
//! time, so two calls under different keys are calls of different records.

use std::{
    collections::HashMap,
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
    /// How long a record may be early before it is rejected.
    pub early: Duration,
    /// How often the backend's status may make a failure count.
    pub status_counts_every: Duration,
}

/// What is remembered of calls.
#[derive(Debug)]
pub struct Gate {
    limits: GateLimits,
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

/// A call that has ended.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// The key of the record that asked.
    pub key: &'a str,
    /// When it began.
    pub began: Instant,
    /// The attempt that it belongs to.
    pub attempt: &'a Attempt,
}

/// Whether records were sent while a call was under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Circuit {
    /// They were.
    Closed,
    /// Only probes were.
    Open,
}

/// What became of a call for the record that asked, unless it waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Called {
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
    /// The backend will have nothing from us.
    Refused {
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

impl Gate {
    /// A gate that has heard of nothing yet.
    pub fn new(limits: GateLimits) -> Self {
        Self {
            limits,
            tried: Recent::default(),
            succeeded: Recent::default(),
            succeeded_begin: Recent::default(),
            status_asked_at: None,
            early: HashMap::new(),
            refused: HashMap::new(),
        }
    }

    /// A record calls.
    pub fn began(&mut self, key: &str, now: Instant) {
        self.tried.note(key, now);
    }

    /// Says what an answer means.
    ///
    /// # Errors
    /// The record waits.
    pub fn heard(
        &mut self,
        call: &Call<'_>,
        answer: &Answer,
        circuit: Circuit,
        now: Instant,
    ) -> Result<Called, WaitReason> {
        self.tried.note(call.key, now);
        match answer {
            Answer::Done { http_status } => {
                self.succeeded.note(call.key, now);
                self.succeeded_begin.note(call.key, call.began);
                Ok(Called::Done { http_status: *http_status })
            }
            Answer::NotSent => Ok(Called::NotSent),
            Answer::Stale => Ok(Called::Superseded),
            Answer::Wrong { http_status, detail } => Ok(rejected(*http_status, detail)),
            Answer::Early { http_status, detail } => self.early(call, *http_status, detail, now),
            Answer::Trouble { http_status, retry_after, detail } => {
                let (http_status, retry_after) = (*http_status, *retry_after);
                let (counts, detail) = (self.counts(call, now), detail.clone());
                Err(WaitReason::Trouble { counts, http_status, retry_after, detail })
            }
            Answer::Misconfigured { http_status, detail } => {
                let (is_alone, detail) = (self.is_alone(call, now), detail.clone());
                if is_alone && circuit == Circuit::Closed {
                    let (counts, http_status, retry_after) = (Counts::Yes, *http_status, None);
                    return Err(WaitReason::Trouble { counts, http_status, retry_after, detail });
                }
                Err(WaitReason::Refused { detail })
            }
        }
    }

    fn early(
        &mut self,
        call: &Call<'_>,
        http_status: u16,
        detail: &str,
        now: Instant,
    ) -> Result<Called, WaitReason> {
        tidy(&mut self.early, now);
        // What is remembered of the key may be another record's.
        let since = self.early.get(call.key).copied();
        let since = since.filter(|it| *it >= call.attempt.first_attempt_at).unwrap_or(now);
        self.early.insert(call.key.to_owned(), since);
        let left = self.limits.early.saturating_sub(now - since);
        if left.is_zero() {
            self.early.remove(call.key);
            return Ok(rejected(http_status, detail));
        }
        Err(WaitReason::Early { left, detail: detail.to_owned() })
    }

    fn counts(&mut self, call: &Call<'_>, now: Instant) -> Counts {
        let since = call.attempt.previous_failure_at.unwrap_or(call.attempt.first_attempt_at);
        if self.succeeded.to_another_since(call.key, since) {
            return Counts::Yes;
        }
        if self.tried.to_another_since(call.key, since) {
            return Counts::No;
        }
        let every = self.limits.status_counts_every;
        if self.status_asked_at.is_some_and(|it| now - it < every) {
            return Counts::No;
        }
        self.status_asked_at = Some(now);
        Counts::IfStatusIsWell
    }

    /// Whether another record got through between two refusals of this one: it may not be us, but this record. It
    /// may also be that all are refused once more, so once is not enough to tell.
    fn is_alone(&mut self, call: &Call<'_>, now: Instant) -> bool {
        tidy(&mut self.refused, now);
        let before = self.refused.insert(call.key.to_owned(), now);
        let before = before.filter(|it| *it >= call.attempt.first_attempt_at);
        before.is_some_and(|it| self.succeeded_begin.to_another_since(call.key, it))
    }
}

fn rejected(http_status: u16, reason: &str) -> Called {
    Called::Rejected { http_status: Some(http_status), reason: reason.to_owned() }
}

fn tidy(keys: &mut HashMap<String, Instant>, now: Instant) {
    if keys.len() >= KEYS_TIDIED_FROM {
        keys.retain(|_, at| now - *at < KEYS_KEPT);
    }
}

#[cfg(test)]
#[path = "gate_tests.rs"]
mod tests;
