//! One attempt at a record and how it ends.

use std::time::{Duration, Instant};

use events::{ReplyStatus, Revision};

/// One attempt at a record.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    /// Which one, from 1.
    pub number: u32,
    /// Whether a failure that counts would be the last.
    pub last_if_counted: bool,
    /// When the first attempt began.
    pub first_attempt_at: Instant,
    /// When the attempt before this one failed.
    pub previous_failure_at: Option<Instant>,
}

/// The record is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// How.
    pub status: ReplyStatus,
    /// What the backend answered, where it was asked.
    pub http_status: Option<u16>,
    /// Why it was rejected.
    pub error: Option<String>,
    /// The revision that `applied` holds afterwards.
    pub held: Option<Revision>,
}

impl Ending {
    /// An end without an answer of the backend or an error.
    pub fn new(status: ReplyStatus, held: Option<Revision>) -> Self {
        Self { status, http_status: None, error: None, held }
    }

    /// The record is wrong.
    pub fn rejected(error: impl Into<String>, held: Option<Revision>) -> Self {
        Self { error: Some(error.into()), ..Self::new(ReplyStatus::Rejected, held) }
    }
}

/// The record cannot be handled now: its key waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Later {
    /// How long.
    pub after: Duration,
    /// Whether the record may be at fault.
    pub counted: bool,
    /// What went wrong.
    pub reason: String,
}
