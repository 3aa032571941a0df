//! The outside world: Kafka in and out, MongoDB.

pub mod kafka;
pub mod problems;
pub mod store;
mod tasks;
