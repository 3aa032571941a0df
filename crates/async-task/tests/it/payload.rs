//! What the tasks of the tests are about.

use async_task::Payload;
use serde::{Deserialize, Serialize};

/// What a task that was asked for tells.
pub(crate) const TASK_REPLY: &str = "TaskReply";
/// How a record ended.
pub(crate) const RECORD_REPLY: &str = "RecordReply";

/// A task, parameters included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "task_type")]
pub(crate) enum Work {
    /// One step after the other; each is a task of the other service.
    Job { window: u64 },
    /// Entities from one number to below another, bulk by bulk.
    Accounts { from: u32, to: u32, window: u64, rate_per_s: Option<u32> },
    /// Everything, because something changed that touches all of it.
    Walk { to: u32, window: u64 },
    /// What failed before.
    Again { window: u64 },
    /// Some records.
    Bulk { again: bool },
}

impl Payload for Work {
    const VERSION: u32 = 1;

    fn task_type(&self) -> &'static str {
        match self {
            Self::Job { .. } => "Job",
            Self::Accounts { .. } => "Accounts",
            Self::Walk { .. } => "Walk",
            Self::Again { .. } => "Again",
            Self::Bulk { .. } => "Bulk",
        }
    }

    fn replies(&self) -> &'static [&'static str] {
        match self {
            Self::Job { .. } | Self::Accounts { .. } | Self::Walk { .. } | Self::Again { .. } => {
                &[TASK_REPLY]
            }
            Self::Bulk { .. } => &[RECORD_REPLY],
        }
    }

    fn window(&self) -> u64 {
        match self {
            Self::Job { window }
            | Self::Accounts { window, .. }
            | Self::Walk { window, .. }
            | Self::Again { window } => *window,
            Self::Bulk { .. } => 0,
        }
    }

    fn rate_per_s(&self) -> Option<u32> {
        match self {
            Self::Accounts { rate_per_s, .. } => *rate_per_s,
            Self::Job { .. } | Self::Walk { .. } | Self::Again { .. } | Self::Bulk { .. } => None,
        }
    }

    fn is_redrive(&self) -> bool {
        match self {
            Self::Bulk { again } => *again,
            Self::Job { .. } | Self::Accounts { .. } | Self::Walk { .. } | Self::Again { .. } => {
                false
            }
        }
    }

    fn parent_is_here(&self) -> bool {
        matches!(self, Self::Bulk { .. })
    }
}
