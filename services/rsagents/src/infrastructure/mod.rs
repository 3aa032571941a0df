//! REST and Kafka in, Kafka out, the store, rsclient, and what tasks do in the world.

pub mod backend;
pub mod kafka;
pub mod makers;
pub mod outboxes;
pub mod peers;
mod problems;
pub mod rest;
pub mod store;
pub mod sync;
