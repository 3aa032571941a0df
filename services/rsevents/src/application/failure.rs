//! Why a use case did not end well.

use eventbus::PublishError;

use crate::{domain::Wrong, infrastructure::store::StoreError};

/// Why a use case did not end well. All of them fail in the same ways.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// What was told contradicts itself, or cannot be read.
    #[error("{0}")]
    Malformed(String),
    /// An event comes from the future, or from too long ago.
    #[error("{0}")]
    Untimely(String),
    /// Something belongs to another ISP than the one that is named.
    #[error("{0}")]
    TenantMismatch(String),
    /// An event is about something that has not become known while it waited.
    #[error("{0}")]
    Unknown(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The bus failed.
    #[error("failed to tell others")]
    Publish(#[from] PublishError),
}

impl From<Wrong> for Failure {
    fn from(wrong: Wrong) -> Self {
        match wrong {
            Wrong::Foreign(why) => Self::TenantMismatch(why),
            Wrong::Untimely(why) => Self::Untimely(why),
        }
    }
}
