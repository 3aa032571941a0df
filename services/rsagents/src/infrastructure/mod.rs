//! Kafka, the store, and what tasks do in the world.

pub mod kafka;
mod problems;
pub mod store;
pub mod sync;
