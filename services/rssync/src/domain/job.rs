//! A job as those see it who asked for it.

use events::{JobId, SyncCounts, SyncMode, SyncScope};
use jiff::Timestamp;
use openapi::schema;
use serde::Serialize;
use utoipa::ToSchema;

/// One full sync.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Job {
    /// Its name.
    #[schema(value_type = schema::Id)]
    pub job_id: JobId,
    /// How it is.
    pub state: JobState,
    /// Why it is so, where that is not plain.
    pub reason: Option<String>,
    /// Which homes it covers.
    #[schema(value_type = schema::SyncScope)]
    pub scope: SyncScope,
    /// What is sent.
    #[schema(value_type = schema::SyncMode)]
    pub mode: SyncMode,
    /// Most devices that are open at a time.
    pub window: u32,
    /// Most devices per second.
    pub rate_per_s: Option<u32>,
    /// What it does now.
    pub step: Step,
    /// What became of its devices, agent packages and documents so far.
    #[schema(value_type = schema::SyncCounts)]
    pub counts: SyncCounts,
    /// Who asked for it.
    pub requested_by: String,
    /// When it was asked for.
    #[schema(value_type = schema::Time)]
    pub started_at: Timestamp,
    /// When it last changed.
    #[schema(value_type = schema::Time)]
    pub updated_at: Timestamp,
    /// When it ended.
    #[schema(value_type = Option<schema::Time>)]
    pub ended_at: Option<Timestamp>,
}

/// How a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum JobState {
    Running,
    Paused,
    Stalled,
    Cancelling,
    Completed,
    CompletedWithFailures,
    Cancelled,
    Failed,
}

/// What a job does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// The system documents.
    System,
    /// Every agent package.
    AgentPackages,
    /// Every account's devices.
    Accounts,
    /// What had failed, once more.
    Redrive,
    /// Nothing any more.
    Ended,
}

impl JobState {
    /// Whether nothing moves it any more, but for a redrive.
    pub fn has_ended(self) -> bool {
        match self {
            Self::Completed | Self::CompletedWithFailures | Self::Cancelled | Self::Failed => true,
            Self::Running | Self::Paused | Self::Stalled | Self::Cancelling => false,
        }
    }
}
