//! The one rule of order: which of two states of an entity is the newer one.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The largest number that every JSON reader holds exactly.
pub(crate) const EXACT_MAX: u64 = (1 << 53) - 1;

/// How often an entity has changed, in the clock of its owner: `max(previous + 1, Unix milliseconds)`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(try_from = "u64", into = "u64")]
pub struct Revision(u64);

/// A revision that a JSON number cannot carry exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("revision must be below 2^53")]
pub struct InvalidRevision;

impl Revision {
    /// The revision as a number.
    pub fn get(self) -> u64 {
        self.0
    }

    /// The revision as databases hold it.
    pub fn as_i64(self) -> i64 {
        i64::try_from(self.0).expect("a revision is below 2^53")
    }
}

impl TryFrom<u64> for Revision {
    type Error = InvalidRevision;

    fn try_from(number: u64) -> Result<Self, InvalidRevision> {
        if number > EXACT_MAX {
            return Err(InvalidRevision);
        }
        Ok(Self(number))
    }
}

impl From<Revision> for u64 {
    fn from(revision: Revision) -> Self {
        revision.0
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
