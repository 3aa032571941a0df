//! Kafka, the store, and what is remembered of it for a while.

mod cache;
mod event;
pub mod kafka;
pub mod outages;
pub mod places;
mod problems;
pub mod store;
pub mod windows;
