//! What a failure of the service's own parts means for the record: it waits, and it is not at fault.

use crate::{
    domain::{Attempt, Later},
    infrastructure::store::StoreError,
};

/// The record waits for a part of the service other than the backend.
pub fn later(attempt: &Attempt, reason: impl std::fmt::Display) -> Later {
    let after = eventbus::backoff(attempt.number);
    Later { after, counted: false, reason: reason.to_string() }
}

/// The record waits for the store.
pub fn store_later(attempt: &Attempt, error: StoreError) -> Later {
    later(attempt, format!("{:#}", anyhow::Error::new(error)))
}
