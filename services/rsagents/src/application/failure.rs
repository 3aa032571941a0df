//! Why a use case did not come to its end.

use async_task::TaskError;
use eventbus::PublishError;

use crate::{domain::Unchangeable, infrastructure::store::StoreError};

/// Why a use case did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// What was asked contradicts itself.
    #[error("{0}")]
    Malformed(String),
    /// Nobody who is trusted has signed the package.
    #[error("nobody who is trusted has signed the package")]
    Unsigned,
    /// There is no such thing, or it is another ISP's; these members name such.
    #[error("there is no such thing")]
    NoSuch(Vec<String>),
    /// The present state does not allow it.
    #[error("{0}")]
    Conflict(String),
    /// A package does not change like that.
    #[error(transparent)]
    Unchangeable(#[from] Unchangeable),
    /// Somebody else has changed it, and the caller does not want to change that.
    #[error("it is not in the state that If-Match names")]
    Changed,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A task could not be moved.
    #[error("the task could not be moved")]
    Task(#[from] TaskError),
    /// The bus failed.
    #[error("failed to tell others")]
    Publish(#[from] PublishError),
    /// A peer did not answer, or not as agreed.
    #[error("a peer could not be asked")]
    Peer(#[source] anyhow::Error),
}
