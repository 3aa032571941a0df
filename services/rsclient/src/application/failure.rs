//! Why a use case did not end well.

use async_task::TaskError;
use eventbus::PublishError;

use crate::infrastructure::store::StoreError;

/// Why a use case did not end well. All of them fail in the same ways.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// What was told contradicts itself.
    #[error("{0}")]
    Malformed(String),
    /// An entity belongs to another ISP than the one that speaks.
    #[error("{0}")]
    TenantMismatch(String),
    /// There is no such thing, or it is another ISP's; these members name such.
    #[error("there is no such thing")]
    NoSuch(Vec<String>),
    /// The present state does not allow it.
    #[error("{0}")]
    Conflict(String),
    /// Somebody else has changed it, and the caller does not want to change that.
    #[error("it is not in the state that If-Match names")]
    Changed,
    /// The store failed.
    #[error(transparent)]
    Store(StoreError),
    /// A task could not be moved.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// The bus failed.
    #[error("failed to tell others")]
    Publish(#[from] PublishError),
}

impl From<StoreError> for Failure {
    fn from(err: StoreError) -> Self {
        match err {
            StoreError::TenantMismatch { .. } => Self::TenantMismatch(err.to_string()),
            StoreError::Mongo(_) | StoreError::Contended { .. } => Self::Store(err),
        }
    }
}
