//! Why a use case did not come to its end.

use async_task::TaskError;
use events::JobId;

/// Why a use case did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// There is no such job.
    #[error("there is no job `{0}`")]
    NoSuchJob(JobId),
    /// It is not the caller's.
    #[error("{0}")]
    Foreign(String),
    /// The caller may not do this.
    #[error("{0}")]
    NotAllowed(&'static str),
    /// The state of a job does not allow it.
    #[error("{0}")]
    Conflict(String),
    /// A payload that makes no sense.
    #[error("{0}")]
    Malformed(String),
    /// The store did not answer.
    #[error("the store did not answer")]
    Store(#[from] mongodb::error::Error),
    /// A task could not be moved.
    #[error("the task could not be moved")]
    Task(#[from] TaskError),
    /// Another service did not answer.
    #[error("another service did not answer")]
    Peer(#[source] anyhow::Error),
}
