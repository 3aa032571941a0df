//! What bounds a task.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What bounds the tasks of a service; every number is a setting.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Most requests that all tasks of the service together have open.
    pub window_total: u64,
    /// Most children that one task has open.
    pub children_max: usize,
    /// Most requests of one bulk.
    pub bulk_requests: u64,
    /// Seconds after which a copy of a record is not sent any more; then it is sent again.
    pub record_seconds: u64,
    /// Seconds of silence after which a child is asked again.
    pub ask_again_seconds: u64,
    /// Milliseconds between two reports of one task to its parent.
    pub tell_every_ms: u64,
    /// Seconds after which the open records of a bulk count as unknown.
    pub bulk_seconds: u64,
    /// Seconds after which a job fails, a paused one too.
    pub job_seconds: u64,
    /// Seconds that a cancelled task waits for what it has sent.
    pub cancel_seconds: u64,
    /// Days for which the end of a task is remembered.
    pub tombstone_days: u32,
    /// When failures stop a job.
    pub budget: Budget,
}

/// When failures stop a job; it can be resumed.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// More failures than this.
    pub count: u64,
    /// More than this share, once `share_after` records have ended.
    pub share: f64,
    /// From so many records on the share counts.
    pub share_after: u64,
    /// More failures than this with no success between them.
    pub run: u64,
}

impl Limits {
    /// How long a copy of a record is worth to be sent.
    pub fn record(&self) -> Duration {
        Duration::from_secs(self.record_seconds)
    }

    /// How long a child may be silent.
    pub fn ask_again(&self) -> Duration {
        Duration::from_secs(self.ask_again_seconds)
    }

    /// How often a parent is told.
    pub fn tell_every(&self) -> Duration {
        Duration::from_millis(self.tell_every_ms)
    }

    /// How long the end of a task is remembered.
    pub fn tombstone_life(&self) -> Duration {
        Duration::from_secs(u64::from(self.tombstone_days) * 86_400)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            window_total: 4_000,
            children_max: 64,
            bulk_requests: 500,
            record_seconds: 30,
            ask_again_seconds: 10,
            tell_every_ms: 1_000,
            bulk_seconds: 6 * 3_600,
            job_seconds: 24 * 3_600,
            cancel_seconds: 300,
            tombstone_days: 14,
            budget: Budget { count: 1_000, share: 0.2, share_after: 500, run: 100 },
        }
    }
}
