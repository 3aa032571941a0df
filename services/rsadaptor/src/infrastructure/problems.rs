//! What a failure of the service's own parts means for the record: it waits, and it is not at fault.

use std::time::Duration;

use crate::{
    domain::{Attempt, Later, backoff_ceiling},
    infrastructure::store::StoreError,
};

/// Waits a random part of what the attempt allows.
pub fn jitter(ceiling: Duration) -> Duration {
    ceiling.mul_f64(fastrand::f64())
}

/// The record waits for a part of the service other than the backend.
pub fn later(attempt: &Attempt, reason: impl std::fmt::Display) -> Later {
    let after = jitter(backoff_ceiling(attempt.number));
    Later { after, counted: false, reason: reason.to_string() }
}

/// The record waits for the store.
pub fn store_later(attempt: &Attempt, error: StoreError) -> Later {
    later(attempt, format!("{:#}", anyhow::Error::new(error)))
}
