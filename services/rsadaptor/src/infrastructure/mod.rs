//! What the service speaks with: Kafka, MongoDB, the backend.

mod gather;
pub mod hs;
pub mod kafka;
pub mod problems;
pub mod store;
