//! What the service speaks with: Kafka, MongoDB, the backend.

pub mod canonical;
pub mod hs;
pub mod kafka;
pub mod problems;
pub mod store;
