//! What a failure of the service's own parts means for the record: it waits, and an outage is not its fault.

use mongodb::error::ErrorKind;

use crate::{
    domain::{Attempt, Later},
    infrastructure::store::StoreError,
};

/// The record waits for a part of the service other than the backend.
pub fn later(attempt: &Attempt, reason: impl std::fmt::Display) -> Later {
    let after = eventbus::backoff(attempt.number);
    Later { after, counted: false, reason: reason.to_string() }
}

/// The record waits for the store. A stored row that cannot be read counts: no end of an outage mends it.
pub fn store_later(attempt: &Attempt, error: StoreError) -> Later {
    let counted = match &error {
        StoreError::Mongo(err) => matches!(*err.kind, ErrorKind::Bson(_)),
        StoreError::Refused(_) | StoreError::Lost => false,
        StoreError::Malformed(_) => true,
    };
    Later { counted, ..later(attempt, format!("{:#}", anyhow::Error::new(error))) }
}
