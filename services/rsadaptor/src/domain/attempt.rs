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

/// Why a record is rejected that belongs to another tenant than what it is about.
pub const TENANT_MISMATCH: &str = "tenant_mismatch";

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

    /// How a record ends of which one part has ended like this and another like `other`: as the part that is further
    /// from what the record wants. Held is the higher revision of the two, above which the next record must be.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let held = self.held.max(other.held);
        let worse = if distance(other.status) > distance(self.status) { other } else { self };
        Self { held, ..worse }
    }
}

/// How far from what a record wants it has ended.
fn distance(status: ReplyStatus) -> u8 {
    match status {
        ReplyStatus::Unchanged => 0,
        ReplyStatus::Applied => 1,
        ReplyStatus::Superseded => 2,
        ReplyStatus::NotSent => 3,
        ReplyStatus::Expired => 4,
        ReplyStatus::Rejected => 5,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_of_two_parts_ends_as_the_worse_one() {
        let held = |at: u64| Some(at.try_into().unwrap());
        let applied =
            Ending { http_status: Some(204), ..Ending::new(ReplyStatus::Applied, held(7)) };
        let unchanged = Ending::new(ReplyStatus::Unchanged, held(7));
        assert_eq!(unchanged.clone().and(applied.clone()), applied);
        assert_eq!(applied.clone().and(unchanged), applied);
        let rejected = Ending::rejected("malformed", held(5));
        let both = Ending { held: held(7), ..rejected.clone() };
        assert_eq!(applied.clone().and(rejected.clone()), both);
        assert_eq!(rejected.clone().and(applied), both);
        // Of two that are rejected, the first says why.
        let first = rejected.clone().and(Ending::rejected("too large", None));
        assert_eq!(first, rejected);
    }
}
