//! Why a use case did not come to its end.

use async_task::TaskError;

/// Why a use case did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// What was asked contradicts itself.
    #[error("{0}")]
    Malformed(String),
    /// A task could not be moved.
    #[error("the task could not be moved")]
    Task(#[from] TaskError),
}
