//! What a caller asks for who starts a full sync.

use events::{SyncMode, SyncScope};

/// A full sync that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// Which homes it covers.
    pub scope: SyncScope,
    /// What is sent.
    pub mode: SyncMode,
    /// Most devices that are open at a time.
    pub window: u32,
    /// Most devices per second.
    pub rate_per_s: Option<u32>,
    /// What happens where a job that overlaps has not ended.
    pub on_running: OnRunning,
}

/// What happens where a job that overlaps has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnRunning {
    /// The caller is told of that job.
    Return,
    /// The caller is refused.
    Reject,
    /// That job is cancelled, and the new one begins at its end.
    Replace,
}
