//! The outside world: REST and Kafka in, Kafka out, MongoDB.

pub mod heartbeat;
pub mod kafka;
pub mod outboxes;
pub mod problems;
pub mod rest;
pub mod store;
mod tasks;
pub mod witnesses;
